//! `change_*`: whether a series has changed for good: 1 at an alarm, else 0.
//!
//! A detector goes from sample to sample and raises an alarm at the one by which it is sure. It
//! begins anew at the boundaries that [`crate::windows::Blocks`] speaks of, so its value is a
//! function of the samples in the window alone. With `hold` an alarm stands for a while, so that a
//! tick and `for` see it. Formulas and conventions are those of docs/ANOMALY.md.
//!
//! What lives here: the members, a file each, and what they share ([`alarm`], [`learn`]). What may
//! not: what is kept of a window that moves, which is in `windows`.

mod adwin;
mod alarm;
mod cusum;
mod learn;
mod page_hinkley;

pub(super) use adwin::CHANGE_ADWIN;
pub(super) use cusum::CHANGE_CUSUM;
pub(super) use page_hinkley::CHANGE_PAGE_HINKLEY;
