//! What a real Prometheus did with rules and series for two minutes, done again by the engine.
//!
//! The recordings in `tests/data/notify` hold rule files, series, every sample the rules wrote,
//! every post to Alertmanager and answers of the HTTP API. Here the same series go through the
//! real engine, evaluating at ticks alone, the real schedule of notifications and the real API;
//! all must say what Prometheus said. Catches whatever differs in `for`, `keep_firing_for`,
//! templates, recorded series, resends, resolved alerts, labels outside, or the shapes of JSON.

#[macro_use]
#[path = "../support/say.rs"]
mod say;

#[path = "../api/backend.rs"]
#[allow(dead_code, reason = "the tests of the API use the rest")]
mod backend;

mod answers;
mod cases;
mod lifecycle;
mod posts;
mod recording;
mod replay;
mod written;
