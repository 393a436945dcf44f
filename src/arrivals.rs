//! When requests began, by the number of their stamp: what latencies are measured from.
//!
//! Engines know numbers and the stamped wall clock, never an instant, so that a log replays
//! alike. The door notes here when the first byte of a request was seen; whoever measures looks
//! the number up. Nothing is decided by what is found.
//!
//! Cost: one short lock per request and per look-up; 24 bytes per request kept.

use std::collections::VecDeque;
use std::time::Duration;

use parking_lot::Mutex;

use crate::clock::Stopwatch;
use crate::model::{Stamp, TimestampMs};

/// How many requests are remembered; of older ones the stamped wall clock must do, which is as
/// good as it is exact to the millisecond.
pub const REMEMBERED_MAX: usize = 8_192;

/// The requests of late.
#[derive(Debug, Default)]
pub struct Arrivals(Mutex<Remembered>);

#[derive(Debug, Default)]
struct Remembered {
    /// The first number ever noted: what lies before belongs to an earlier process.
    first: Option<u64>,
    /// Numbers, growing, and when their requests began.
    requests: VecDeque<(u64, Stopwatch)>,
}

/// What is known of the entry with one number.
#[derive(Clone, Copy, Debug)]
pub enum Arrival {
    /// It came with a request whose first byte was seen then.
    Began(Stopwatch),
    /// It came with a request too long ago to be remembered.
    Forgotten,
    /// No request of this process: the wall clock moved event time, rules were loaded, or the
    /// entry is of an earlier process.
    NoRequest,
}

/// An instant by both clocks.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    /// To be measured from or to.
    pub stopwatch: Stopwatch,
    /// The wall clock, ms.
    pub wall: TimestampMs,
}

impl Arrivals {
    /// Notes that the request stamped with a number began then. Numbers must grow.
    pub fn note(&self, sequence: u64, began: Stopwatch) {
        let mut remembered = self.0.lock();
        remembered.first.get_or_insert(sequence);
        if remembered.requests.len() >= REMEMBERED_MAX {
            remembered.requests.pop_front();
        }
        remembered.requests.push_back((sequence, began));
    }

    /// Returns what is known of the entry with a number.
    pub fn find(&self, sequence: u64) -> Arrival {
        let remembered = self.0.lock();
        let requests = &remembered.requests;
        if let Ok(at) = requests.binary_search_by_key(&sequence, |(number, _)| *number) {
            return Arrival::Began(requests[at].1);
        }
        let is_of_before = remembered.first.is_none_or(|first| sequence < first);
        let is_old = requests
            .front()
            .is_some_and(|(oldest, _)| sequence < *oldest);
        match !is_of_before && is_old {
            true => Arrival::Forgotten,
            false => Arrival::NoRequest,
        }
    }

    /// Returns how long after the first byte of a request `then` was; `stamped` is the wall
    /// clock of the request's stamp. `None` where the entry came with no request.
    pub fn until(&self, sequence: u64, stamped: TimestampMs, then: Moment) -> Option<Duration> {
        match self.find(sequence) {
            Arrival::Began(began) => Some(then.stopwatch.since(&began)),
            Arrival::Forgotten => Some((then.wall - stamped).to_std()),
            Arrival::NoRequest => None,
        }
    }

    /// Returns how long after the entry with one stamp the entry with another came: between the
    /// first bytes of their requests, and by the wall clock where one came with none.
    pub fn between(&self, earlier: &Stamp, later: &Stamp) -> Duration {
        match (self.find(earlier.sequence), self.find(later.sequence)) {
            (Arrival::Began(earlier), Arrival::Began(later)) => later.since(&earlier),
            _ => (later.wall - earlier.wall).to_std(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_a_request_of_late_or_of_long_ago_or_none() {
        let arrivals = Arrivals::default();
        assert!(matches!(arrivals.find(7), Arrival::NoRequest));
        // Every third stamp is the wall clock's.
        let noted = |n: u64| n >= 10 && !n.is_multiple_of(3);
        let last = 10 + 2 * REMEMBERED_MAX as u64;
        (10..=last)
            .filter(|n| noted(*n))
            .for_each(|n| arrivals.note(n, Stopwatch::start()));
        assert_eq!(arrivals.0.lock().requests.len(), REMEMBERED_MAX);
        let is = |n: u64| match arrivals.find(n) {
            Arrival::Began(_) => "began",
            Arrival::Forgotten => "forgotten",
            Arrival::NoRequest => "none",
        };
        assert_eq!(
            [9, 11, last, last + 1].map(is),
            ["none", "forgotten", "began", "none"]
        );
        let newest_clock = (0..=last).rev().find(|n| !noted(*n)).expect("every third");
        assert_eq!(is(newest_clock), "none");
    }

    #[test]
    fn what_is_forgotten_is_measured_by_the_wall_clock() {
        let arrivals = Arrivals::default();
        (1..=REMEMBERED_MAX as u64 + 1).for_each(|n| arrivals.note(n, Stopwatch::start()));
        let then = Moment {
            stopwatch: Stopwatch::start(),
            wall: TimestampMs(5_000),
        };
        let until = |n, stamped| arrivals.until(n, TimestampMs(stamped), then);
        assert_eq!(until(1, 2_000), Some(Duration::from_secs(3)));
        assert_eq!(
            until(1, 9_000),
            Some(Duration::ZERO),
            "the clock was set back"
        );
        assert!(until(2, 2_000).is_some_and(|span| span < Duration::from_secs(3)));
        assert_eq!(until(1 << 40, 2_000), None);
    }
}
