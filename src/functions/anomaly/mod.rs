//! `anomaly_*`: how unusual the newest sample of a series is.
//!
//! The newest float in the window is the point that is scored; what lies before it in the window
//! is what it is compared with. A score is a distance in spreads, signed: 3 is far above, -3 far
//! below. Formulas and conventions are those of docs/ANOMALY.md. As long as there is too little to
//! compare with there is no score, so that nothing fires because a series is young.
//!
//! What lives here: the members, a file each, and what they share ([`score`]). What may not: what
//! is kept of a window that moves, which is in `windows`, and scores of several series together.

mod ewma;
mod holt_winters;
mod mad;
mod score;
mod seasonal;
mod zscore;

pub(super) use ewma::ANOMALY_EWMA;
pub(super) use holt_winters::ANOMALY_HOLT_WINTERS;
pub(super) use mad::ANOMALY_MAD;
pub(super) use score::{after, distance, since};
pub(super) use seasonal::ANOMALY_SEASONAL;
pub(super) use zscore::ANOMALY_ZSCORE;
