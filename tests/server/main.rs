//! The real binary over real HTTP: what a sender, an Alertmanager, an operator and Grafana see.
//!
//! Every test starts `burnwatch serve` on a free port in a directory of its own and ends it.
//! Event time is the tests' own: samples carry timestamps of the last minute, so ticks pass as
//! fast as they are sent, and nothing here waits for a clock. Where the answer of another
//! process is awaited, the test asks until it comes.

#[macro_use]
#[path = "../support/say.rs"]
mod say;
#[path = "../support/tools.rs"]
mod tools;

mod alerts;
mod api;
mod backfill;
mod bad_input;
mod bad_queries;
mod baselines;
mod config;
mod context;
mod detectors;
mod flood;
mod limits;
mod mixin;
mod process;
mod receiver;
mod reload;
mod restart;
mod sender;
mod shards;
mod skew;
mod start_timestamps;
mod upgrade;
mod write;
