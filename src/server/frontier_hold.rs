//! How long event time that had come was not evaluated, because the rest of a scrape was waited
//! for.
//!
//! Measured between requests, not between steps of an engine: from the first byte of the one that
//! moved the clock to the first byte of the one that let the frontier follow. So an engine that
//! lags does not make holds longer. Event time that the frontier reaches at once is no hold.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::arrivals::Arrivals;
use crate::model::{Stamp, TimestampMs};
use crate::telemetry::frontier::FrontierMetrics;

/// The most places of the clock that wait to be measured; in a hold of `scrape_settle`, 5 s, that
/// is a request a millisecond. Beyond it places are left out.
const WAITING_MAX: usize = 5_000;

/// Watches one shard's frontier.
pub struct FrontierHold {
    arrivals: Arc<Arrivals>,
    metrics: FrontierMetrics,
    /// The clock's newest place.
    clock: Option<TimestampMs>,
    /// The stamps whose place of the clock the frontier has not reached, in order.
    waiting: VecDeque<(TimestampMs, Stamp)>,
}

impl FrontierHold {
    /// Returns a watch that has seen nothing.
    pub fn new(arrivals: Arc<Arrivals>, metrics: FrontierMetrics) -> Self {
        FrontierHold {
            arrivals,
            metrics,
            clock: None,
            waiting: VecDeque::new(),
        }
    }

    /// Notes where an entry with a stamp has left the frontier.
    pub fn moved(&mut self, stamp: &Stamp, frontier: Option<TimestampMs>) {
        while let Some((_, first)) = self.waiting.pop_front_if(|(at, _)| Some(*at) <= frontier) {
            let held = self.arrivals.between(&first, stamp);
            self.metrics.held(held.as_secs_f64());
        }
        let Some(clock) = stamp.clock.filter(|clock| self.clock < Some(*clock)) else {
            return;
        };
        self.clock = Some(clock);
        if frontier < Some(clock) && self.waiting.len() < WAITING_MAX {
            self.waiting.push_back((clock, *stamp));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Stopwatch;
    use prometheus_client::registry::Registry;

    /// Plays entries as `clock>frontier` and returns count and sum of the holds; entries are a
    /// second of the wall clock apart.
    fn play(script: &str) -> (f64, f64) {
        let mut registry = Registry::default();
        let metrics = FrontierMetrics::register(&mut registry);
        let mut hold = FrontierHold::new(Arc::default(), metrics);
        for (sequence, entry) in script.split(' ').enumerate() {
            let (clock, frontier) = entry.split_once('>').expect("two places");
            let place = |text: &str| text.parse().ok().map(TimestampMs);
            let stamp = Stamp {
                sequence: sequence as u64,
                wall: TimestampMs(sequence as i64 * 1_000),
                clock: place(clock),
            };
            hold.moved(&stamp, place(frontier));
        }
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).expect("text");
        let value = |tail: &str| {
            let name = format!("burnwatch_frontier_hold_duration_seconds_{tail} ");
            let line = text.lines().find_map(|line| line.strip_prefix(&name));
            line.expect("the histogram").parse().expect("a number")
        };
        (value("count"), value("sum"))
    }

    #[test]
    fn a_hold_ends_when_the_frontier_reaches_where_the_clock_was() {
        for (script, expected) in [
            ("->- 10>10 20>20", (0.0, 0.0)),
            // The first part of a scrape, the rest two seconds later.
            ("10>10 20>19 20>19 20>20", (1.0, 2.0)),
            // Another target's scrape has to wait with it.
            ("10>10 20>19 25>19 25>25 30>30", (2.0, 2.0 + 1.0)),
            // The frontier follows in steps.
            ("10>10 20>19 30>20 30>30", (2.0, 1.0 + 1.0)),
            // Still waiting.
            ("10>10 20>19 20>19", (0.0, 0.0)),
        ] {
            assert_eq!(play(script), expected, "{script}");
        }
    }

    #[test]
    fn holds_are_measured_between_requests() {
        let arrivals = Arrivals::default();
        let began = Stopwatch::start();
        arrivals.note(1, began);
        let next = Stopwatch::start();
        arrivals.note(2, next);
        let stamp = |sequence, wall| Stamp {
            sequence,
            wall: TimestampMs(wall),
            clock: None,
        };
        let between = |a, b| arrivals.between(&a, &b);
        // What the wall clock says is not asked.
        assert_eq!(between(stamp(1, 0), stamp(2, 60_000)), next.since(&began));
        assert_eq!(between(stamp(2, 0), stamp(3, 7_000)).as_secs(), 7);
        assert_eq!(between(stamp(2, 9_000), stamp(3, 7_000)).as_secs(), 0);
    }
}
