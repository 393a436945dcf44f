//! The wall clock, behind a trait so that everything that waits can be tested without waiting.
//!
//! Nothing but this file reads the system's clock; modules below the shell get the time as an
//! argument.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::model::{DurationMs, TimestampMs};

/// Something that knows the time of day.
pub trait Clock: Send + Sync + 'static {
    /// Returns the wall clock, ms since 1970.
    fn now(&self) -> TimestampMs;
}

/// The machine's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> TimestampMs {
        // A clock before 1970 is no clock; zero keeps all samples "ahead of the wall clock".
        let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH);
        let ms = since_1970.map_or(0, |span| span.as_millis());
        TimestampMs(i64::try_from(ms).unwrap_or(i64::MAX / 4))
    }
}

/// A clock that stands until it is moved: for tests and simulation.
#[derive(Debug, Default)]
pub struct ManualClock(AtomicI64);

impl ManualClock {
    /// Returns a clock that stands at `at`.
    pub fn at(at: TimestampMs) -> Self {
        ManualClock(AtomicI64::new(at.0))
    }

    /// Sets the clock, also backwards.
    pub fn set(&self, at: TimestampMs) {
        self.0.store(at.0, Ordering::SeqCst);
    }

    /// Moves the clock by `span`.
    pub fn advance(&self, span: DurationMs) {
        self.0.fetch_add(span.0, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> TimestampMs {
        TimestampMs(self.0.load(Ordering::SeqCst))
    }
}

/// Measures how long something took; only metrics, statistics and timeouts may depend on it.
#[derive(Clone, Copy, Debug)]
pub struct Stopwatch(Instant);

impl Stopwatch {
    /// Starts measuring.
    pub fn start() -> Self {
        Stopwatch(Instant::now())
    }

    /// Returns the time since the start.
    pub fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }

    /// Returns how long after `earlier` this one was started; zero where it was before.
    pub fn since(&self, earlier: &Stopwatch) -> Duration {
        self.0.saturating_duration_since(earlier.0)
    }

    /// Returns the seconds since the start.
    pub fn seconds(&self) -> f64 {
        self.elapsed().as_secs_f64()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manual_clock_stands_until_moved() {
        let clock = ManualClock::at(TimestampMs(1_000));
        assert_eq!(clock.now(), TimestampMs(1_000));
        clock.advance(DurationMs(500));
        assert_eq!(clock.now(), TimestampMs(1_500));
        clock.set(TimestampMs(7));
        assert_eq!(clock.now(), TimestampMs(7));
    }

    #[test]
    fn the_system_clock_is_past_2020() {
        assert!(SystemClock.now() > TimestampMs(1_577_836_800_000));
    }
}
