//! How far what has changed between the oldest and the newest sample of a window is stretched to the
//! edges of the window.
//!
//! That follows from where the samples lie. The series of one target are scraped at one instant, so
//! what is found for one of them most often serves the next: five divisions a series are saved.
//!
//! Where the first or last sample is nearer to its edge than 1.1 times the mean distance of samples,
//! the series is taken to go on to the edge; else half a mean distance beyond the sample. A counter
//! is not taken to have been below zero. The order of operations is that of Prometheus'
//! `extrapolatedRate`, so that values agree bit for bit.

use crate::model::{DurationMs, TimestampMs};
use crate::windows::{Fixed, Lasting, LiveArgs};

/// What is nearer to its edge than so many mean distances of samples goes on to it.
pub const NEAR: f64 = 1.1;

/// Values up to here, and from its inverse on, can be added up, multiplied and divided a few times
/// without leaving what floats can hold.
const ORDINARY_MAX: f64 = 1e100;

/// Where the samples of a window lie.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spacing {
    /// When the oldest was taken, ms.
    pub first: TimestampMs,
    /// When the newest was, ms.
    pub last: TimestampMs,
    /// How many there are, two at least.
    pub n_samples: u32,
}

/// How a change is stretched, where the counter was not near zero.
#[derive(Clone, Copy, Debug, Default)]
pub struct Extrapolation {
    distances: Distances,
    /// What the factor is divided by.
    per: f64,
    factor: f64,
    until: TimestampMs,
}

impl Extrapolation {
    /// Returns how a change of samples that lie so is stretched and then divided by `per`.
    pub fn new(spacing: &Spacing, args: &LiveArgs<'_>, per: f64) -> Self {
        let distances = Distances::new(spacing, args);
        let (factor, until) = distances.factor(None);
        Extrapolation {
            distances,
            per,
            factor: factor / per,
            until,
        }
    }

    /// Returns what the change of a counter comes to.
    #[inline]
    pub fn of_counter(&self, fixed: &Fixed) -> Lasting {
        let (factor, until) = match self.distances.is_clear_of_zero(fixed) {
            true => (self.factor, self.until),
            false => {
                let (factor, until) = self.factor_near_zero(fixed);
                (factor / self.per, until)
            }
        };
        let value = fixed.change * factor;
        lasting(value, until, value >= 0.0)
    }

    /// Returns what the change of a gauge comes to.
    #[inline]
    pub fn of_gauge(&self, fixed: &Fixed) -> Lasting {
        lasting(fixed.change * self.factor, self.until, true)
    }

    /// Returns the factor of a counter that had `start` at the oldest sample and has changed so much
    /// since, before it is divided.
    pub fn factor_near_zero(&self, fixed: &Fixed) -> (f64, TimestampMs) {
        let part = Some(fixed.start / fixed.change).filter(|part| !part.is_nan());
        self.distances.factor(part)
    }
}

/// A value that follows the time by rounding alone until an instant, where it is an ordinary one.
#[inline]
fn lasting(value: f64, until: TimestampMs, is_expected: bool) -> Lasting {
    let is_ordinary = value == 0.0 || (1.0 / ORDINARY_MAX..=ORDINARY_MAX).contains(&value.abs());
    Lasting {
        value,
        until: match is_ordinary && is_expected {
            true => until,
            false => TimestampMs::MIN,
        },
    }
}

/// How far samples are from each other and from the edges, in seconds.
#[derive(Clone, Copy, Debug, Default)]
struct Distances {
    sampled: f64,
    /// The mean distance of two samples.
    step: f64,
    /// What is nearer to an edge than this goes on to it.
    near: f64,
    to_start: f64,
    to_end: f64,
    /// The evaluation time, ms.
    at: TimestampMs,
    /// When the oldest sample leaves, ms.
    leaves_at: TimestampMs,
}

impl Distances {
    fn new(spacing: &Spacing, args: &LiveArgs<'_>) -> Self {
        let seconds = |from: TimestampMs, to: TimestampMs| (to - from).0 as f64 / 1000.0;
        let sampled = seconds(spacing.first, spacing.last);
        let step = sampled / f64::from(spacing.n_samples - 1);
        Distances {
            sampled,
            step,
            near: step * NEAR,
            to_start: seconds(args.start, spacing.first),
            to_end: seconds(spacing.last, args.end),
            at: args.at,
            leaves_at: args.leaves_at(spacing.first),
        }
    }

    /// Returns how far before the oldest sample the series is taken to have begun, if it was not
    /// near zero there.
    #[inline]
    fn before(&self) -> f64 {
        match self.to_start < self.near {
            true => self.to_start,
            false => self.step / 2.0,
        }
    }

    /// Tells whether nothing is to be cut off because a counter certainly was above zero where the
    /// stretch begins: without a division, and so not of one that was near zero there.
    #[inline]
    fn is_clear_of_zero(&self, fixed: &Fixed) -> bool {
        // Far more than rounding takes; products that small are not exact.
        const MARGIN: f64 = 1.0 + 1e-9;
        const EXACT_MIN: f64 = 1e-290;
        let at_zero = fixed.start * self.sampled;
        let at_begin = fixed.change * self.before() * MARGIN;
        fixed.start.is_nan() || (at_zero > EXACT_MIN && at_zero > at_begin)
    }

    /// Returns what the change between first and last is to be multiplied by to be that of the
    /// window, and until when that stays so but for rounding. `since_zero` is what a counter had
    /// at the first sample as a part of the change.
    fn factor(&self, since_zero: Option<f64>) -> (f64, TimestampMs) {
        let (is_start_near, is_end_near) = (self.to_start < self.near, self.to_end < self.near);
        let zero = since_zero
            .map(|part| self.sampled * part)
            .filter(|zero| *zero < self.before());
        let before = zero.unwrap_or(self.before());
        let behind = match is_end_near {
            true => self.to_end,
            false => self.step / 2.0,
        };
        let factor = match self.sampled == 0.0 {
            true => 1.0,
            false => (self.sampled + before + behind) / self.sampled,
        };
        // As time goes on the start comes nearer to its sample, and the end goes away from its own.
        let left =
            |distance: f64, limit: f64| self.at + DurationMs(((limit - distance) * 1e3) as i64);
        let until = match (is_start_near && zero.is_none(), is_end_near) {
            // What one end loses the other gains.
            (true, true) => left(self.to_end, self.near),
            // Both stay where they are.
            (false, false) => left(zero.unwrap_or(self.near), self.to_start),
            _ => TimestampMs::MIN,
        };
        (factor, until.min(self.leaves_at))
    }
}

/// The extrapolation that was asked for last; that of no samples before any was.
#[derive(Debug, Default)]
pub struct LastExtrapolation {
    spacing: Spacing,
    extrapolation: Extrapolation,
}

impl LastExtrapolation {
    /// Returns that of samples which lie so, made where it is not the last one.
    #[inline]
    pub fn of(
        &mut self,
        spacing: &Spacing,
        make: impl FnOnce() -> Extrapolation,
    ) -> &Extrapolation {
        if self.spacing != *spacing {
            (self.spacing, self.extrapolation) = (*spacing, make());
        }
        &self.extrapolation
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn values() -> impl Strategy<Value = f64> {
        prop_oneof![
            4 => (0u32..5_000).prop_map(f64::from),
            2 => -310.0..308.0_f64,
            1 => prop::sample::select(&[0.0, 5e-324, 1e-300, 1e300, f64::MAX, f64::INFINITY][..]),
        ]
        .prop_map(|value: f64| match value < 0.0 {
            // Of any size.
            true => 10.0_f64.powf(value),
            false => value,
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        #[test]
        fn what_is_said_to_be_clear_of_zero_is_not_cut_off_there(
            (before, sampled, behind) in (0i64..100_000, 0i64..1_000_000, 0i64..100_000),
            n_samples in 2u32..200,
            (start, change) in (prop_oneof![8 => values(), 1 => Just(f64::NAN)], values()),
        ) {
            let first = TimestampMs(before);
            let last = first + DurationMs(sampled);
            let end = last + DurationMs(behind);
            let args = LiveArgs {
                start: TimestampMs(0),
                end,
                at: end,
                scalars: &[],
                options: "",
            };
            let spacing = Spacing { first, last, n_samples };
            let extrapolation = Extrapolation::new(&spacing, &args, 60.0);
            let fixed = Fixed { change, start, spacing };
            let (factor, until) = extrapolation.factor_near_zero(&fixed);
            let value = fixed.change * (factor / 60.0);
            let lasting = extrapolation.of_counter(&fixed);
            prop_assert_eq!(lasting.value.to_bits(), value.to_bits());
            prop_assert!(lasting.until == until || lasting.until == TimestampMs::MIN);
        }
    }
}
