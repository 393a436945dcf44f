//! Labelled streams through rules: what is found, how late, and how often in vain.
//!
//! Rows become remote-write requests in event time, as a scrape would label them; counts of an
//! interval become counters as an exporter shows them. They go through door, log and engine with
//! the bundled rules, and what fires is judged by the truth that comes with the streams, beside
//! the figures of usual batch tools. `make streams` prints the whole tables, which are those of
//! docs/DETECTION.md; without `BURNWATCH_DEEP` a few of the streams are replayed.
//!
//! The streams lie in `$BURNWATCH_SHARED/conformance/ml`; without them nothing is tested here,
//! and that is said.

#![allow(clippy::unwrap_used, reason = "a test may stop at once")]

#[macro_use]
#[path = "../support/say.rs"]
mod say;

mod classics;
mod drift;
mod drift_score;
mod nab;
mod nab_score;
mod process;
mod recorded;
mod rules;
mod table;
mod work;
