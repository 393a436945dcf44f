//! `Live == Scan`: what rules are worth by windows that move with the frontier is what they are
//! worth by the textbook loop over history.
//!
//! Random rule sets meet random streams in the real engine. After every entry each rule is
//! evaluated by both sources and compared: labels, order and errors exactly, values bit for bit
//! where they follow from the edges of windows, and else to 1e-9. The effects of an engine that
//! gets all leaves from windows are those of one that scans, byte for byte.
//!
//! What was broken on purpose in `src`, and made the property fail:
//!
//! | broken | found after |
//! |---|---|
//! | heads closed on the left (`edges`: the first sample ahead at the very edge) | a few streams |
//! | resets at the first sample of a window counted as inside | a few streams |
//! | an insertion does not start the windows anew | some streams |
//! | a series that comes back at a place keeps the windows of the one before | some streams |
//!
//! `altered` breaks one of the two sources from outside in every run.

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
mod conformance;
mod drift;

mod equal;
mod expressions;
mod rule_sets;
mod same;
mod scanned;
mod streams;
mod world;
