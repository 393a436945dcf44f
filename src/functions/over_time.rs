//! `*_over_time`: aggregations over the window of one series.

use crate::functions::FunctionError;
use crate::functions::annotation::Remark;
use crate::functions::formula::{Window, WindowFunction};
use crate::functions::over_time_histogram::{average, total};
use crate::functions::quantile::{nan_first, quantile};
use crate::model::kahan::{KahanMean, KahanSum};
use crate::model::{FloatPoint, SampleValue, TimestampMs};
use crate::promql::ValueType;
use crate::windows::{self, Extreme, LiveForm, Moments, Ordered, Sum, VALUES_MAX};

type Formula = Result<Option<SampleValue>, FunctionError>;

pub(super) static AVG_OVER_TIME: WindowFunction = WindowFunction::new(
    "avg_over_time",
    "Returns the mean of the samples in the window.",
    "avg_over_time(node_load1[1h])",
    |window| {
        if let Some(mixed) = floats_or_histograms(window) {
            return Ok(mixed);
        }
        let Some((first, rest)) = window.floats().split_first() else {
            return Ok(average(window));
        };
        let mut mean = KahanMean::new(first.value);
        rest.iter().for_each(|point| mean.add(point.value));
        float(mean.value())
    },
)
.live(LiveForm::state(&windows::SUM, |held, _| {
    held.get::<Sum>()?.mean().map(Some)
}));

pub(super) static SUM_OVER_TIME: WindowFunction = WindowFunction::new(
    "sum_over_time",
    "Returns the sum of the samples in the window.",
    "sum_over_time(probe_success[1h])",
    |window| {
        if let Some(mixed) = floats_or_histograms(window) {
            return Ok(mixed);
        }
        if window.floats().is_empty() {
            return Ok(total(window));
        }
        let points = window.floats().iter();
        let sum = points.fold(KahanSum::default(), |sum, point| sum.plus(point.value));
        float(if sum.sum.is_infinite() {
            sum.sum
        } else {
            sum.value()
        })
    },
)
.live(LiveForm::state(&windows::SUM, |held, _| {
    held.get::<Sum>()?.total().map(Some)
}));

pub(super) static COUNT_OVER_TIME: WindowFunction = WindowFunction::new(
    "count_over_time",
    "Returns how many samples are in the window.",
    "count_over_time(up[1h])",
    |window| float(window.series.len() as f64),
)
.live(LiveForm::edges_of_any(
    |edges, _| Some(edges.n_samples as f64),
    |edges, _| float(edges.n_samples() as f64),
));

pub(super) static PRESENT_OVER_TIME: WindowFunction = WindowFunction::new(
    "present_over_time",
    "Returns 1 for every series with a sample in the window.",
    "present_over_time(up[1h])",
    |_| float(1.0),
)
.live(LiveForm::edges_of_any(|_, _| Some(1.0), |_, _| float(1.0)));

pub(super) static FIRST_OVER_TIME: WindowFunction = WindowFunction::new(
    "first_over_time",
    "Returns the oldest sample in the window.",
    "first_over_time(node_load1[1h])",
    |window| {
        let (floats, histograms) = (window.floats().first(), window.histograms().first());
        Ok(match (floats, histograms) {
            (Some(point), None) => Some(SampleValue::Float(point.value)),
            (Some(point), Some(other)) if point.at < other.at => {
                Some(SampleValue::Float(point.value))
            }
            (_, Some(other)) => Some(SampleValue::Histogram(other.value.clone())),
            (None, None) => None,
        })
    },
)
.keeping_name()
.live(LiveForm::edges_of_any(
    |edges, _| Some(edges.first.value),
    |edges, _| Ok(edges.first().map(|point| point.value)),
));

pub(super) static LAST_OVER_TIME: WindowFunction = WindowFunction::new(
    "last_over_time",
    "Returns the newest sample in the window.",
    "last_over_time(node_load1[1h])",
    |window| {
        let (floats, histograms) = (window.floats().last(), window.histograms().last());
        Ok(match (floats, histograms) {
            (Some(point), None) => Some(SampleValue::Float(point.value)),
            (Some(point), Some(other)) if other.at < point.at => {
                Some(SampleValue::Float(point.value))
            }
            (_, Some(other)) => Some(SampleValue::Histogram(other.value.clone())),
            (None, None) => None,
        })
    },
)
.keeping_name()
.live(LiveForm::edges_of_any(
    |edges, _| Some(edges.last.value),
    |edges, _| Ok(edges.last().map(|point| point.value)),
));

pub(super) static MAX_OVER_TIME: WindowFunction = WindowFunction::new(
    "max_over_time",
    "Returns the largest float in the window.",
    "max_over_time(node_load1[1h])",
    |window| {
        over_floats(window, |points| {
            extreme(points, |new, best| new > best).value
        })
    },
)
.live(LiveForm::state_of_floats(&windows::LARGEST, |held, _| {
    Ok(held.get::<Extreme>()?.best().map(|best| best.value))
}));

pub(super) static MIN_OVER_TIME: WindowFunction = WindowFunction::new(
    "min_over_time",
    "Returns the smallest float in the window.",
    "min_over_time(node_load1[1h])",
    |window| {
        over_floats(window, |points| {
            extreme(points, |new, best| new < best).value
        })
    },
)
.live(LiveForm::state_of_floats(&windows::SMALLEST, |held, _| {
    Ok(held.get::<Extreme>()?.best().map(|best| best.value))
}));

pub(super) static TS_OF_MAX_OVER_TIME: WindowFunction = WindowFunction::new(
    "ts_of_max_over_time",
    "Returns when the window's largest float was last seen, in Unix seconds.",
    "ts_of_max_over_time(node_load1[1h])",
    |window| {
        over_floats(window, |points| {
            extreme(points, |new, best| new >= best).at.seconds()
        })
    },
)
.experimental()
.live(LiveForm::state_of_floats(
    &windows::LAST_LARGEST,
    |held, _| Ok(held.get::<Extreme>()?.best().map(|best| best.at.seconds())),
));

pub(super) static TS_OF_MIN_OVER_TIME: WindowFunction = WindowFunction::new(
    "ts_of_min_over_time",
    "Returns when the window's smallest float was last seen, in Unix seconds.",
    "ts_of_min_over_time(node_load1[1h])",
    |window| {
        over_floats(window, |points| {
            extreme(points, |new, best| new <= best).at.seconds()
        })
    },
)
.experimental()
.live(LiveForm::state_of_floats(
    &windows::LAST_SMALLEST,
    |held, _| Ok(held.get::<Extreme>()?.best().map(|best| best.at.seconds())),
));

pub(super) static TS_OF_FIRST_OVER_TIME: WindowFunction = WindowFunction::new(
    "ts_of_first_over_time",
    "Returns when the window's oldest sample was taken, in Unix seconds.",
    "ts_of_first_over_time(node_load1[1h])",
    |window| {
        let floats = window.floats().first().map(|point| point.at);
        let histograms = window.histograms().first().map(|point| point.at);
        let first = floats.into_iter().chain(histograms).min();
        Ok(first.map(|at: TimestampMs| SampleValue::Float(at.seconds())))
    },
)
.experimental()
.live(LiveForm::edges_of_any(
    |edges, _| Some(edges.first.at.seconds()),
    |edges, _| {
        Ok(edges
            .first()
            .map(|point| SampleValue::Float(point.at.seconds())))
    },
));

pub(super) static TS_OF_LAST_OVER_TIME: WindowFunction = WindowFunction::new(
    "ts_of_last_over_time",
    "Returns when the window's newest sample was taken, in Unix seconds.",
    "ts_of_last_over_time(node_load1[1h])",
    |window| {
        let floats = window.floats().last().map(|point| point.at);
        let histograms = window.histograms().last().map(|point| point.at);
        let last = floats.into_iter().chain(histograms).max();
        Ok(last.map(|at: TimestampMs| SampleValue::Float(at.seconds())))
    },
)
.experimental()
.live(LiveForm::edges_of_any(
    |edges, _| Some(edges.last.at.seconds()),
    |edges, _| {
        Ok(edges
            .last()
            .map(|point| SampleValue::Float(point.at.seconds())))
    },
));

pub(super) static STDDEV_OVER_TIME: WindowFunction = WindowFunction::new(
    "stddev_over_time",
    "Returns the population standard deviation of the floats in the window.",
    "stddev_over_time(node_load1[1h])",
    |window| over_floats(window, |points| variance(points).sqrt()),
)
.live(LiveForm::state_of_floats(&windows::MOMENTS, |held, _| {
    Ok(Some(held.get::<Moments>()?.variance()?.sqrt()))
}));

pub(super) static STDVAR_OVER_TIME: WindowFunction = WindowFunction::new(
    "stdvar_over_time",
    "Returns the population variance of the floats in the window.",
    "stdvar_over_time(node_load1[1h])",
    |window| over_floats(window, variance),
)
.live(LiveForm::state_of_floats(&windows::MOMENTS, |held, _| {
    held.get::<Moments>()?.variance().map(Some)
}));

pub(super) static MAD_OVER_TIME: WindowFunction = WindowFunction::new(
    "mad_over_time",
    "Returns the median absolute deviation of the floats in the window.",
    "mad_over_time(node_load1[1h])",
    |window| {
        over_floats(window, |points| {
            let mut values: Vec<f64> = points.iter().map(|point| point.value).collect();
            if values.iter().any(|value| value.is_nan()) {
                // There is no median.
                return f64::NAN;
            }
            let median = quantile(0.5, &mut values);
            values
                .iter_mut()
                .for_each(|value| *value = (*value - median).abs());
            quantile(0.5, &mut values)
        })
    },
)
.experimental()
.live(LiveForm::state_of_floats(&windows::ORDERED, |held, _| {
    let values = held.get::<Ordered>()?.values()?;
    if values.first().is_none_or(|first| first.is_nan()) {
        return Ok(Some(f64::NAN));
    }
    let median = between_ranks(0.5, values);
    let mut distances: Vec<f64> = values.iter().map(|v| (v - median).abs()).collect();
    distances.sort_by(nan_first);
    Ok(Some(between_ranks(0.5, &distances)))
}))
.up_to(|_| Some(VALUES_MAX));

pub(super) static QUANTILE_OVER_TIME: WindowFunction = WindowFunction::new(
    "quantile_over_time",
    "Returns a quantile of the floats in the window.",
    "quantile_over_time(0.95, probe_duration_seconds[1h])",
    |window| {
        let q = window.call.scalar(0);
        if window.floats().is_empty() {
            return Ok(None);
        }
        if q.is_nan() || !(0.0..=1.0).contains(&q) {
            window.call.remark(0, Remark::InvalidQuantile(q));
        }
        // Prometheus points at the first argument here.
        if !window.histograms().is_empty() {
            let metric = window.metric();
            window
                .call
                .remark(0, Remark::HistogramIgnoredInMixedRange { metric });
        }
        let mut values: Vec<f64> = window.floats().iter().map(|point| point.value).collect();
        float(quantile(q, &mut values))
    },
)
.with_args(&[ValueType::Scalar, ValueType::Matrix])
.live(LiveForm::state_of_floats(
    &windows::ORDERED,
    |held, args| {
        let values = held.get::<Ordered>()?.values()?;
        let q = args.scalars.first().copied().unwrap_or(f64::NAN);
        Ok(Some(match q {
            q if q.is_nan() => f64::NAN,
            q if q < 0.0 => f64::NEG_INFINITY,
            q if q > 1.0 => f64::INFINITY,
            q => between_ranks(q, values),
        }))
    },
))
.up_to(|_| Some(VALUES_MAX));

/// Returns the `q`-quantile, for `q` from 0 to 1, of ascending values.
fn between_ranks(q: f64, ascending: &[f64]) -> f64 {
    let highest = ascending.len().saturating_sub(1);
    let rank = q * highest as f64;
    let lower = rank as usize;
    let weight = rank - lower as f64;
    let value = |index: usize| {
        ascending
            .get(index.min(highest))
            .copied()
            .unwrap_or(f64::NAN)
    };
    value(lower) * (1.0 - weight) + value(lower + 1) * weight
}

fn float<E>(value: f64) -> Result<Option<SampleValue>, E> {
    Ok(Some(SampleValue::Float(value)))
}

/// Refuses a window that holds both kinds: `Some(None)`, with a remark.
fn floats_or_histograms(window: &mut Window<'_, '_>) -> Option<Option<SampleValue>> {
    if window.floats().is_empty() || window.histograms().is_empty() {
        return None;
    }
    let metric = window.metric();
    window.remark(Remark::MixedFloatsHistograms { metric });
    Some(None)
}

/// Applies a formula to the floats; histograms are left out with a remark.
fn over_floats(window: &mut Window<'_, '_>, formula: impl Fn(&[FloatPoint]) -> f64) -> Formula {
    if window.floats().is_empty() {
        return Ok(None);
    }
    window.remark_ignored_histograms();
    float(formula(window.floats()))
}

/// Returns the best point; NaN gives way to anything.
fn extreme(points: &[FloatPoint], better: impl Fn(f64, f64) -> bool) -> FloatPoint {
    let mut best = points[0];
    for point in points {
        if better(point.value, best.value) || best.value.is_nan() {
            best = *point;
        }
    }
    best
}

fn variance(points: &[FloatPoint]) -> f64 {
    let mut count = 0.0;
    let (mut mean, mut squares) = (KahanSum::default(), KahanSum::default());
    for point in points {
        count += 1.0;
        let delta = point.value - mean.value();
        mean = mean.plus(delta / count);
        squares = squares.plus(delta * (point.value - mean.value()));
    }
    squares.value() / count
}
