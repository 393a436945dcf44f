//! What a detector made of the streams with and without a change.
//!
//! Detected: an alarm that starts between the beginning of the change and 48 hours behind its end.
//! False: an episode before the change, or in a stream without one; a rise within an hour of the
//! last alarm goes on with its episode. Nothing is scored in the reference.

use crate::nab_score::median;
use crate::recorded::DriftStream;

const EPISODE_GAP: i64 = 3600;
const STILL_DETECTED: i64 = 48 * 3600;

/// What happened in one stream.
#[derive(Clone, Debug)]
pub struct Outcome {
    pub stream: String,
    pub is_seasonal: bool,
    pub has_change: bool,
    /// Hours from the beginning of the change to the first alarm that detects it.
    pub delay: Option<f64>,
    pub false_alarms: usize,
    /// Weeks in which an alarm is false.
    pub weeks: f64,
}

/// Judges a detector that alarms at these rows.
pub fn judge(stream: &DriftStream, alarms: &[bool]) -> Outcome {
    let truth = &stream.truth;
    let mut starts = Vec::new();
    let mut last: Option<i64> = None;
    for (&(at, _), _) in stream.rows.iter().zip(alarms).filter(|(_, alarm)| **alarm) {
        if at < truth.reference_until {
            continue;
        }
        if last.is_none_or(|last| at - last > EPISODE_GAP) {
            starts.push(at);
        }
        last = Some(at);
    }
    let end = stream.rows.last().unwrap().0 + stream.step;
    let is_false = |at: &&i64| truth.change.is_none_or(|(begun, _)| **at < begun);
    let quiet_until = truth.change.map_or(end, |(begun, _)| begun);
    let detects = |at: &&i64| {
        truth
            .change
            .is_some_and(|(begun, done)| (begun..=done + STILL_DETECTED).contains(*at))
    };
    let first = starts.iter().find(detects);
    Outcome {
        stream: stream.name.clone(),
        is_seasonal: truth.is_seasonal,
        has_change: truth.change.is_some(),
        delay: first
            .zip(truth.change)
            .map(|(at, (begun, _))| (at - begun) as f64 / 3600.0),
        false_alarms: starts.iter().filter(is_false).count(),
        weeks: (quiet_until - truth.reference_until) as f64 / (7.0 * 86_400.0),
    }
}

/// The figures of a detector over several streams.
pub struct Figures {
    pub detected: usize,
    pub changes: usize,
    pub median_delay: Option<f64>,
    pub false_per_week: f64,
    pub false_per_week_seasonal: f64,
    /// Delays by stream, of streams with a change.
    pub delays: Vec<(String, Option<f64>)>,
}

/// Sums outcomes up.
pub fn figures(outcomes: &[Outcome]) -> Figures {
    let changed: Vec<&Outcome> = outcomes.iter().filter(|one| one.has_change).collect();
    let found: Vec<f64> = changed.iter().filter_map(|one| one.delay).collect();
    let per_week = |all: Vec<&Outcome>| {
        let alarms: usize = all.iter().map(|one| one.false_alarms).sum();
        let weeks: f64 = all.iter().map(|one| one.weeks).sum();
        alarms as f64 / weeks.max(f64::MIN_POSITIVE)
    };
    Figures {
        detected: found.len(),
        changes: changed.len(),
        median_delay: median(&found),
        false_per_week: per_week(outcomes.iter().collect()),
        false_per_week_seasonal: per_week(outcomes.iter().filter(|one| one.is_seasonal).collect()),
        delays: changed
            .iter()
            .map(|one| (one.stream.clone(), one.delay))
            .collect(),
    }
}
