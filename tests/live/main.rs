//! `Live == Scan`: what rules are worth by windows that move with the frontier is what they are
//! worth by the textbook loop over history.
//!
//! Random rule sets meet random streams in the real engine. After every entry each rule is
//! evaluated by both sources and compared: labels, order and errors exactly, values bit for bit
//! where they follow from the edges of windows, and else to 1e-9. The effects of an engine that
//! gets all leaves from windows are those of one that scans, byte for byte.
//!
//! What it has found, each within two hundred streams but for the last, which took a thousand:
//!
//! | wrong | shown by |
//! |---|---|
//! | series that differ by `__type__` alone did not collide without it | an error that only one side gave |
//! | history was cut before the heads of rarely evaluated windows had passed it | a count of 41 for 40 |
//! | a part with headroom was left out though it could not be evaluated | an alert of another part |
//!
//! `altered` changes what one of the two sides is given (a lost sample, one bit, a millisecond, a
//! stale marker, a histogram) and demands that it is noticed; `conformance` asks what Prometheus
//! answered; `drift` looks for traces of what has left; `scanned` for what reads history;
//! `vectors` holds detectors against what other programs made of the same samples.

#![allow(clippy::unwrap_used, reason = "a test may stop at once")]

#[macro_use]
#[path = "../support/say.rs"]
mod say;
#[path = "../support/answer.rs"]
#[allow(dead_code, reason = "the tests of single queries use the rest")]
mod answer;
#[path = "../support/compare.rs"]
#[allow(dead_code, reason = "the tests of single queries use the rest")]
mod compare;
#[path = "../support/recorded.rs"]
mod recorded;

mod altered;
mod both;
mod checkpoints;
mod conformance;
mod drift;
mod equal;
mod expressions;
mod forest;
mod headroom;
mod idle;
mod resets;
mod rule_sets;
mod same;
mod scanned;
mod streams;
mod vectors;
mod world;
