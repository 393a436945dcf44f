//! Data in, data out: what is recorded of Prometheus, and scripts that say what is expected.

#![allow(clippy::unwrap_used, reason = "a test may stop at once")]

mod answer;
mod at_modifier;
mod expected;
mod laws;
mod notation;
mod promql;
mod promqltest;
mod script;
mod stored;
