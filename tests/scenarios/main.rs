//! Incidents of ML services and the days on which nothing happens, played to the bundled rules.
//!
//! Exposition text as a target shows it becomes remote write with the labels of a scrape (`job`,
//! `instance`, `up`), goes through the real door in event time, and through the engine with every
//! rule of `rules/`, evaluated on arrival. [`world`] is that; [`story`] reads the generator's text
//! and its truth.
//!
//! `incidents`: what the truth names fires inside its window and what it excludes never; every
//! other alert stands on a list with its reason. `quiet`: peaks, troughs, a planned maintenance;
//! what Alertmanager would let through ([`inhibition`]) is nothing.
//!
//! What made the tests fail while rules were as they had been: no rule for PSI and the KS test
//! (silent, nan); slower burn rates that waited for a window of maintenance (oom); `NoPredictions`
//! without its job and objectives that counted a maintenance (planned maintenance); one NaN among
//! few values, the end of a peak, a forecast for another instant (night and Monday).
//!
//! The generator lies beside the recorded data (`BURNWATCH_SHARED`) and needs python3; without
//! them `incidents` says what it skips. Seed 1 and one control alone (`tests/demo` plays the others);
//! with `BURNWATCH_DEEP=1` seeds 1, 2 and 11 of all.

#[macro_use]
#[path = "../support/say.rs"]
mod say;

mod incidents;
mod inhibition;
mod quiet;
mod story;
mod world;

/// Whether there is time for all of it: minutes without optimisation.
fn is_deep() -> bool {
    std::env::var_os("BURNWATCH_DEEP").is_some()
}
