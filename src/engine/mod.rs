//! The deterministic whole: `apply(entry) -> effects`. No clock, socket, file or random number.

mod cohort;
mod grid;
pub mod status;

pub use status::{AlertState, AlertView, GroupStatus, RuleHealth, RuleStatus};
