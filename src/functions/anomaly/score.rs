//! What scores have in common: a distance in spreads, the options that all know, warm-up.

use crate::functions::FunctionError;
use crate::functions::options::Options;
use crate::model::{FloatPoint, TimestampMs};

/// Spreads and distances up to this part of the centre are rounding, and count as none.
const NEGLIGIBLE: f64 = 1e-12;

/// At most so many samples can be asked for before there is a score.
const MIN_SAMPLES_MAX: usize = 1_000_000;

/// Tells whether a spread is no more than what rounding leaves.
pub fn is_negligible(spread: f64, centre: f64) -> bool {
    spread <= NEGLIGIBLE * centre.abs()
}

/// Returns how many spreads a value lies from the centre. Where there is no spread that is none
/// for the centre itself, and infinitely many for everything else.
pub fn distance(value: f64, centre: f64, spread: f64) -> f64 {
    let distance = value - centre;
    if !is_negligible(spread, centre) || distance.is_nan() {
        distance / spread
    } else if is_negligible(distance.abs(), centre) {
        0.0
    } else {
        f64::INFINITY.copysign(distance)
    }
}

/// When there is a score, and what there is until then.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Warmup {
    /// So many values to compare with are needed.
    pub min_samples: usize,
    /// Whether the answer is NaN until then, and not nothing.
    is_nan: bool,
}

impl Warmup {
    /// Reads `min_samples` and `warmup`.
    pub fn read(options: &mut Options<'_>, default: usize) -> Result<Self, FunctionError> {
        Ok(Warmup {
            min_samples: options.count("min_samples", default, 0, MIN_SAMPLES_MAX)?,
            is_nan: options.choice("warmup", &[("absent", false), ("nan", true)])?,
        })
    }

    /// Returns what there is when there is no score yet.
    pub fn answer(self) -> Option<f64> {
        self.is_nan.then_some(f64::NAN)
    }

    /// Tells whether there are enough values for a mean and a spread.
    pub fn is_over(self, n_values: usize) -> bool {
        n_values >= self.min_samples.max(2)
    }

    /// Returns the score, if there are so many values to compare with.
    pub fn score(self, n_values: usize, score: impl FnOnce() -> f64) -> Option<f64> {
        match n_values < self.min_samples {
            true => self.answer(),
            false => Some(score()),
        }
    }
}

/// Reads `since`: what was at or before this instant (Unix seconds) is not looked at, so that a
/// detector begins anew after a deployment.
pub fn since(options: &mut Options<'_>) -> Result<TimestampMs, FunctionError> {
    let expected = "a time in Unix seconds";
    let seconds = options.number("since", f64::NEG_INFINITY, expected, f64::is_finite)?;
    Ok(match seconds.is_finite() {
        // A number beyond all time is its end.
        true => TimestampMs((seconds * 1e3).round() as i64),
        false => TimestampMs::MIN,
    })
}

/// Returns the points after an instant.
pub fn after(points: &[FloatPoint], since: TimestampMs) -> &[FloatPoint] {
    &points[points.partition_point(|point| point.at <= since)..]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::promql::ValueType;

    /// Every detector refuses what it does not know, and says what it knows.
    #[test]
    fn options_that_are_wrong_are_refused() {
        let check = |name: &str, text: &str, expected: &str| {
            let function = crate::functions::find(name).expect(name);
            let refused = function.check_texts(&[text]).expect_err(text);
            assert_eq!(refused.0, format!("{name}(): {expected}"));
        };
        let mut n_with_options = 0;
        for function in crate::functions::ALL {
            let signature = function.signature();
            let has_options = matches!(signature.args, [ValueType::Matrix, .., ValueType::String])
                && !signature.args[1..signature.args.len() - 1].contains(&ValueType::String);
            if has_options {
                let name = signature.name;
                assert!(function.check_texts(&["wrong=1"]).is_err(), "{name}");
                n_with_options += 1;
            }
        }
        assert!(n_with_options >= 10, "{n_with_options}");
        check(
            "anomaly_ewma",
            "alpha=0",
            "option \"alpha\" is \"0\", but must be a number above 0, up to 1",
        );
        check(
            "anomaly_zscore",
            "min_sample=3",
            "there is no option \"min_sample\". Did you mean \"min_samples\"? Known are: ddof, \
             min_samples, warmup, since",
        );
        check(
            "anomaly_holt_winters",
            "m=4,horizon=5",
            "option \"horizon\" is \"5\", but must be a whole number from 1 to 4",
        );
        check(
            "change_cusum",
            "train=0.7",
            "option \"train\" is \"0.7\", but must be a share of the window above 0, up to 0.4, or \
             a duration such as 6h",
        );
        check(
            "forecast_time_to",
            "direction=left",
            "option \"direction\" is \"left\", but must be one of auto, up, down",
        );
    }

    #[test]
    fn without_spread_everything_else_is_infinitely_far() {
        assert_eq!(distance(5.0, 3.0, 0.5), 4.0);
        assert_eq!(distance(3.0, 3.0, 0.0), 0.0);
        assert_eq!(distance(3.0 + 1e-13, 3.0, 1e-13), 0.0);
        assert_eq!(distance(3.1, 3.0, 1e-13), f64::INFINITY);
        assert_eq!(distance(-3.1, 3.0, 0.0), f64::NEG_INFINITY);
        assert!(distance(f64::NAN, 3.0, 0.0).is_nan());
    }
}
