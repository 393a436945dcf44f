//! Data in, data out: what is recorded of Prometheus, and scripts that say what is expected.

#![allow(clippy::unwrap_used, reason = "a test may stop at once")]

#[macro_use]
#[path = "../support/say.rs"]
mod say;

#[path = "../server/process.rs"]
#[allow(dead_code, reason = "the tests of the server use the rest")]
mod process;
#[path = "../server/sender.rs"]
#[allow(dead_code, reason = "the tests of the server use the rest")]
mod sender;

#[path = "../support/answer.rs"]
mod answer;
#[path = "../support/compare.rs"]
#[allow(dead_code, reason = "the tests of rules over windows use the rest")]
mod compare;
#[path = "../support/recorded.rs"]
mod recorded;

mod at_modifier;
mod expected;
mod features;
mod laws;
mod ml;
mod notation;
mod over_http;
mod promql;
mod promqltest;
mod push;
mod script;
mod stored;
