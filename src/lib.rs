#![doc = include_str!("../ARCHITECTURE.md")]
#![warn(missing_docs)]
#![deny(unsafe_code)]

#[cfg(test)]
#[macro_use]
#[path = "../tests/support/say.rs"]
mod say;

// Ground.
pub mod arrivals;
pub mod clock;
pub mod config;
pub mod model;
pub mod relabel;
pub mod sync;
pub mod telemetry;
pub mod wire;
pub mod yaml;

// In.
pub mod ingest;
pub mod log;

// Core: pure, synchronous; no tokio, no I/O, no clock.
pub mod alert;
pub mod context;
pub mod engine;
pub mod eval;
pub mod functions;
pub mod history;
pub mod promql;
pub mod rule;
pub mod series;
pub mod slo;
pub mod template;
pub mod windows;

// Out.
pub mod api;
pub mod notify;
pub mod ui;

// Shell.
pub mod backfill;
pub mod bundled;
pub mod cli;
pub mod server;
pub mod storage;
pub mod web;
