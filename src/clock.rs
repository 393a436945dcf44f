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

    /// Returns how long has passed since some origin: goes on when the wall clock is set.
    fn steady(&self) -> DurationMs;
}

/// Notices that a wall clock was set: forward by more than time has passed, or back.
#[derive(Debug, Default)]
pub struct JumpWatch {
    /// The wall clock and the time passed when last looked at.
    seen: Option<(TimestampMs, DurationMs)>,
}

impl JumpWatch {
    /// Less than this is a clock being slewed, or a thread that had to wait between two readings.
    pub const SMALLEST: DurationMs = DurationMs::from_seconds(2);

    /// Looks at the clock; returns by how much it was set since last looked at, if it was.
    pub fn look(&mut self, clock: &dyn Clock) -> Option<DurationMs> {
        let (wall, steady) = (clock.now(), clock.steady());
        let (wall_before, steady_before) = self.seen.replace((wall, steady))?;
        let jump = DurationMs((wall - wall_before).0 - (steady.0 - steady_before.0));
        (jump.0.abs() >= JumpWatch::SMALLEST.0).then_some(jump)
    }
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

    fn steady(&self) -> DurationMs {
        static ORIGIN: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
        let since = ORIGIN.get_or_init(Instant::now).elapsed().as_millis();
        DurationMs(i64::try_from(since).unwrap_or(i64::MAX))
    }
}

/// A clock that stands until it is moved: for tests and simulation.
#[derive(Debug, Default)]
pub struct ManualClock {
    wall: AtomicI64,
    steady: AtomicI64,
}

impl ManualClock {
    /// Returns a clock that stands at `at`.
    pub fn at(at: TimestampMs) -> Self {
        ManualClock {
            wall: AtomicI64::new(at.0),
            steady: AtomicI64::new(0),
        }
    }

    /// Sets the clock, also backwards: no time passes.
    pub fn set(&self, at: TimestampMs) {
        self.wall.store(at.0, Ordering::SeqCst);
    }

    /// Lets time pass.
    pub fn advance(&self, span: DurationMs) {
        self.wall.fetch_add(span.0, Ordering::SeqCst);
        self.steady.fetch_add(span.0, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> TimestampMs {
        TimestampMs(self.wall.load(Ordering::SeqCst))
    }

    fn steady(&self) -> DurationMs {
        DurationMs(self.steady.load(Ordering::SeqCst))
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
    fn that_a_clock_was_set_is_noticed_once() {
        let clock = ManualClock::at(TimestampMs(1_000_000));
        let mut watch = JumpWatch::default();
        assert_eq!(watch.look(&clock), None);
        clock.advance(DurationMs(3_600_000));
        assert_eq!(watch.look(&clock), None, "time has passed");
        clock.set(clock.now() + DurationMs(500));
        assert_eq!(watch.look(&clock), None, "too little to matter");
        clock.advance(DurationMs(100));
        clock.set(clock.now() - DurationMs(60_000));
        assert_eq!(watch.look(&clock), Some(DurationMs(-60_000)));
        clock.advance(DurationMs(100));
        assert_eq!(watch.look(&clock), None);
        clock.set(clock.now() + DurationMs(7_000));
        assert_eq!(watch.look(&clock), Some(DurationMs(7_000)));
    }

    #[test]
    fn the_system_clock_is_past_2020() {
        assert!(SystemClock.now() > TimestampMs(1_577_836_800_000));
    }
}
