//! The surroundings of an alert: what it was before, what changed, what else fires, where to look.
//!
//! [`build`] is pure: given what an alert is ([`Subject`]) and series to read, it says what a
//! person would ask first. The engine builds a context once, when an alert of a rule that asks for
//! it begins to fire, and keeps it as text ([`ContextState`]) until the alert is over; the API
//! builds one from a snapshot whenever somebody asks.
//!
//! What may not live here: whether an alert fires, and how anybody is told.

mod annotations;
mod build;
mod changes;
mod criteria;
mod json;
mod labels;
mod links;
mod readings;
mod recent;
mod state;
mod versions;

pub use annotations::annotations;
pub use build::{Baseline, Context, CriterionReading, Metrics, Subject, System, WEEK, build};
pub use changes::Changes;
pub use criteria::{Criterion, criteria};
pub use json::{ChangeJson, to_json, to_value};
pub use labels::identity;
pub use links::check_link;
pub use readings::{History, Readings};
pub use recent::{RecentAlert, RecentAlerts};
pub use state::{BuiltContext, ContextState};
pub use versions::{InfoSelector, observed_changes};
