//! The alert state machine: pending, firing, resolved, for the alerts of one rule.
//!
//! What lives here: transitions, given what an evaluation found. What may not: evaluation,
//! templates, notification. The engine is the only caller.

mod active;
mod saved;
mod state;

pub use active::{ActiveAlerts, Found, Policy};
pub use state::{Alert, Phase, Transition};
