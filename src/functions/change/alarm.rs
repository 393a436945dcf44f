//! Alarms of change detectors, and how long they stand.

use crate::functions::FunctionError;
use crate::functions::blocks::Standing;
use crate::functions::options::Options;
use crate::model::{DurationMs, TimestampMs};

/// Which changes count.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Mode {
    /// Up and down.
    Both,
    /// To more alone.
    Up,
    /// To less alone.
    Down,
}

impl Mode {
    /// Reads `mode`.
    pub fn read(options: &mut Options<'_>) -> Result<Self, FunctionError> {
        let modes = [("both", Mode::Both), ("up", Mode::Up), ("down", Mode::Down)];
        options.choice("mode", &modes)
    }

    /// Tells whether a change up or down counts.
    pub fn counts(self, is_up: bool, is_down: bool) -> bool {
        is_up && self != Mode::Down || is_down && self != Mode::Up
    }
}

/// When there was an alarm, and what else has to be known to say whether it stands.
#[derive(Clone, Copy, Debug, Default)]
pub struct Alarms {
    newest: Option<TimestampMs>,
    alarm: Option<TimestampMs>,
}

impl Alarms {
    /// Notes a sample, and whether there was an alarm at it.
    pub fn note(&mut self, at: TimestampMs, is_alarm: bool) {
        self.newest = Some(at);
        if is_alarm {
            self.alarm = Some(at);
        }
    }

    /// Tells whether an alarm stands at a window's end: that of the newest sample, or one that is
    /// no older than `hold`.
    pub fn standing(&self, end: TimestampMs, hold: DurationMs) -> Standing {
        let forever = TimestampMs::MAX;
        match self.alarm {
            Some(alarm) if self.newest == Some(alarm) => Standing {
                value: 1.0,
                until: forever,
            },
            Some(alarm) if end - alarm <= hold => Standing {
                value: 1.0,
                until: TimestampMs((alarm + hold).0.saturating_add(1)),
            },
            _ => Standing {
                value: 0.0,
                until: forever,
            },
        }
    }
}
