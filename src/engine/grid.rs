//! Where a group's ticks lie: Prometheus' grid.
//!
//! Prometheus spreads groups over their interval by a hash of file and name
//! (`rules/group.go`, `EvalTimestamp`), so that timestamps are the same after a restart and in
//! every replica. The hash is xxh64 over the labels `file` and `name` as Prometheus packs them:
//! each text behind its length.

use crate::model::{DurationMs, TimestampMs};

/// The instants `phase + k · interval`, in ms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TickGrid {
    phase_ms: i64,
    interval_ms: i64,
}

impl TickGrid {
    /// Returns the grid on which Prometheus evaluates the group.
    pub fn hashed(file: &str, name: &str, interval: DurationMs) -> Self {
        let interval_ms = interval.0.max(1);
        let interval_ns = interval_ms as u64 * 1_000_000;
        let phase_ns = group_hash(file, name) % interval_ns;
        TickGrid {
            phase_ms: (phase_ns / 1_000_000) as i64,
            interval_ms,
        }
    }

    /// Returns the grid `start + k · interval`.
    pub fn aligned(start: TimestampMs, interval: DurationMs) -> Self {
        let interval_ms = interval.0.max(1);
        TickGrid {
            phase_ms: start.0.rem_euclid(interval_ms),
            interval_ms,
        }
    }

    /// Returns the first tick after `at`.
    pub fn next_after(&self, at: TimestampMs) -> TimestampMs {
        TimestampMs(self.last_until(at).0 + self.interval_ms)
    }

    /// Returns the last tick at or before `at`.
    pub fn last_until(&self, at: TimestampMs) -> TimestampMs {
        let since_phase = at.0 - self.phase_ms;
        TimestampMs(at.0 - since_phase.rem_euclid(self.interval_ms))
    }

    /// Returns the number of ticks in `(after, until]`.
    pub fn count(&self, after: TimestampMs, until: TimestampMs) -> i64 {
        ((self.last_until(until).0 - self.last_until(after).0) / self.interval_ms).max(0)
    }
}

fn group_hash(file: &str, name: &str) -> u64 {
    let mut packed = Vec::with_capacity(file.len() + name.len() + 16);
    for text in ["file", file, "name", name] {
        let length = text.len();
        if length < 255 {
            packed.push(length as u8);
        } else {
            packed.extend([
                0xff,
                length as u8,
                (length >> 8) as u8,
                (length >> 16) as u8,
            ]);
        }
        packed.extend(text.as_bytes());
    }
    xxhash_rust::xxh64::xxh64(&packed, 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_lie_on_the_grid() {
        let grid = TickGrid {
            phase_ms: 300,
            interval_ms: 1000,
        };
        let at = TimestampMs;
        assert_eq!(grid.next_after(at(0)), at(300));
        assert_eq!(grid.next_after(at(300)), at(1300));
        assert_eq!(grid.last_until(at(299)), at(-700));
        assert_eq!(grid.count(at(300), at(2300)), 2);
        assert_eq!(grid.count(at(299), at(2299)), 2);
        assert_eq!(grid.next_after(at(-5000)), at(-4700));
    }
}
