//! Every function with an incremental form, against itself over the samples of the window.
//!
//! Streams have what breaks sums and edges: resets, gaps, stale markers, runs of one value, NaN,
//! infinities, numbers of any size, samples ahead of the frontier, samples put between others.

use std::sync::Arc;

use proptest::prelude::*;

use crate::functions::deriv::linear_regression;
use crate::functions::{
    ALL, Annotations, Argument, Call, CallMemory, Function, Functions, LiveFunction, Output,
    QueryTimes, RangeSeries, RangeVector,
};
use crate::history::{Samples, SeriesHistory};
use crate::model::{
    BucketSpan, DerivedLabels, DurationMs, FloatHistogram, FloatPoint, HistogramPoint, Labels,
    SampleValue, TimestampMs, stale_nan,
};
use crate::promql::ast::{ExprKind, RangeMode, Span as Place};
use crate::promql::{Expr, Features, ValueType, parse};
use crate::windows::{LiveArgs, SeriesWindows, Span};

/// What scalar arguments are, in the order written.
const SCALARS: &[f64] = &[0.9];

/// The options that functions with options are called with.
const OPTIONS: &[(&str, &[&str])] = &[
    (
        "anomaly_ewma",
        &[
            "alpha=0.3,min_samples=2",
            "output=var,min_samples=0,since=1700000200",
        ],
    ),
    (
        "anomaly_holt_winters",
        &[
            "m=2,min_samples=1",
            "m=3,output=forecast,horizon=2",
            "m=1,output=one_step,warmup=nan",
        ],
    ),
    ("anomaly_mad", &["min_samples=2", "since=1700000200"]),
    (
        "anomaly_seasonal",
        &[
            "season=hour_of_day,min_samples=2",
            "min_samples=2,since=1700000200,warmup=nan",
        ],
    ),
    (
        "anomaly_zscore",
        &["min_samples=2", "ddof=1,since=1700000200,warmup=nan"],
    ),
    (
        "change_adwin",
        &[
            "clock=1,grace_period=1,min_window_length=1,delta=0.9,max_buckets=2,hold=1m",
            "train=0.3,clock=2",
        ],
    ),
    (
        "change_cusum",
        &[
            "mu=2,sigma=3,h=2,hold=20s,mode=up",
            "train=0.2,min_samples=2,h=1",
            "mu=0,output=neg,train=10s,since=1700000200",
        ],
    ),
    (
        "change_page_hinkley",
        &[
            "min_instances=2,threshold=1,hold=45s",
            "train=0.3,min_instances=1,threshold=0.5,output=sum_decrease",
        ],
    ),
    (
        "forecast_error",
        &[
            "horizon=1m",
            "horizon=20s,output=forecast,since=1700000200",
            "horizon=0,output=relative",
        ],
    ),
    (
        "forecast_time_to",
        &["", "direction=up", "direction=down,since=1700000200"],
    ),
];

/// Range and offset of the windows that are watched, ms.
const WINDOWS: &[(i64, i64)] = &[
    (30_000, 0),
    (60_000, 0),
    (60_000, 30_000),
    (300_000, 0),
    (45_000, -15_000),
    (3_000_000, 60_000),
];

/// A function with a call of it.
struct Case {
    function: &'static dyn Function,
    options: &'static str,
    live: LiveFunction,
    expr: Expr,
}

/// Returns all functions that have a form.
fn cases() -> Vec<Case> {
    let case = |(function, options): (&'static dyn Function, &'static str)| {
        let live = function.live().filter(|live| !live.is_absence)?;
        let signature = function.signature();
        let args = signature.args.iter().map(|ty| match ty {
            ValueType::Matrix => "m[1m]".to_owned(),
            ValueType::String => format!("{options:?}"),
            _ => SCALARS[0].to_string(),
        });
        let args: Vec<String> = args.collect();
        let text = format!("{}({})", signature.name, args.join(","));
        let features = Features {
            experimental_functions: true,
            ..Features::default()
        };
        Some(Case {
            function,
            options,
            live,
            expr: parse(&text, &Functions, features).expect("it is a call"),
        })
    };
    let with_options = |function: &'static dyn Function| {
        let name = function.signature().name;
        let listed = OPTIONS.iter().find(|(listed, _)| *listed == name);
        let texts = listed.map_or(&[""][..], |(_, texts)| texts);
        texts.iter().map(move |options| (function, *options))
    };
    let calls = ALL.iter().flat_map(|function| with_options(*function));
    calls.filter_map(case).collect()
}

impl Case {
    /// Computes the function from samples.
    fn plain(&self, samples: &Samples<'_>, args: &LiveArgs<'_>) -> Option<SampleValue> {
        let ExprKind::Call(call) = &self.expr.kind else {
            return None;
        };
        let values = call.args.iter().map(|arg| match &arg.kind {
            ExprKind::Matrix(_) => Argument::Matrix(RangeVector {
                series: vec![RangeSeries {
                    labels: Labels::empty(),
                    floats: samples.floats.clone(),
                    histograms: samples.histograms.clone(),
                    starts: None,
                    drop_name: false,
                }],
                start: args.start,
                end: args.end,
                mode: RangeMode::Plain,
            }),
            ExprKind::String(text) => Argument::String(text.clone()),
            _ => Argument::Scalar(SCALARS[0]),
        });
        let output = self.function.call(&mut Call {
            args: values.collect(),
            exprs: call.args.iter().collect(),
            span: Place::default(),
            at: args.at,
            query: QueryTimes {
                start: args.at,
                end: args.at,
                step: DurationMs(0),
            },
            is_range: false,
            features: Features::default(),
            origins: None,
            annotations: &mut Annotations::default(),
            nameless: &mut DerivedLabels::default(),
            memory: &mut CallMemory::default(),
        });
        match output {
            Ok(Output::Vector(elements)) => elements.into_iter().next().map(|e| e.value),
            _ => None,
        }
    }

    /// Returns how far from the plain formula's value another may be, rounding taken into
    /// account; both keep to it where nothing is rounded.
    fn tolerance(&self, points: &[FloatPoint], at: TimestampMs, value: f64) -> f64 {
        let largest = points.iter().map(|p| p.value.abs()).fold(0.0, f64::max);
        let n = points.len() as f64;
        match self.function.signature().name {
            "sum_over_time" => 1e-12 * value.abs() + 1e-28 * n * largest,
            "avg_over_time" => 1e-12 * value.abs() + 1e-28 * largest,
            "stdvar_over_time" => {
                1e-12 * value + 1e-14 * largest * value.sqrt() + 1e-27 * largest * largest
            }
            "stddev_over_time" => 1e-12 * value + 1e-13 * largest,
            "anomaly_zscore" | "anomaly_seasonal" => self.score_tolerance(points, value),
            "forecast_error" => {
                // As of a prediction; a relative one is of the newest value.
                let newest = points[points.len() - 1];
                let (slope, mean_time) = self.slope_tolerance(&self.context(points), newest.at);
                let absolute = slope * mean_time + 1e-13 * largest;
                let newest = newest.value.abs();
                match self.options.contains("relative") {
                    true => absolute / newest,
                    false => absolute,
                }
            }
            "forecast_time_to" => {
                // Where the slope may be none, or the threshold is met, anything can be.
                let points = self.context(points);
                let (slope, mean_time) = self.slope_tolerance(&points, at);
                let now = slope * mean_time + 1e-13 * largest;
                let (steepness, _) = linear_regression(&points, at);
                match value > 0.0 && value.is_finite() && steepness.abs() > 2.0 * slope {
                    true => 4.0 * (now + value * slope) / steepness.abs(),
                    false => f64::INFINITY,
                }
            }
            "deriv" => self.slope_tolerance(points, points[0].at).0,
            "predict_linear" => {
                let (slope, mean_time) = self.slope_tolerance(points, at);
                slope * (mean_time + SCALARS[0]) + 1e-14 * largest
            }
            _ => 0.0,
        }
    }

    /// Returns the samples that a score or a line follows from besides the newest.
    fn context(&self, points: &[FloatPoint]) -> Vec<FloatPoint> {
        let since = match self.options.contains("since=") {
            true => TimestampMs(1_700_000_200_000),
            false => TimestampMs::MIN,
        };
        let season = match self.options.contains("hour_of_day") {
            true => 24,
            false => 168,
        };
        let Some((newest, before)) = points.split_last() else {
            return Vec::new();
        };
        let hour = |at: TimestampMs| at.0.div_euclid(3_600_000);
        let is_known = |horizon: i64, at: TimestampMs| (newest.at - at).0 >= horizon;
        let counts = |point: &&FloatPoint| match self.function.signature().name {
            "anomaly_seasonal" => {
                let apart = hour(newest.at) - hour(point.at);
                !point.value.is_nan() && apart != 0 && apart % season == 0
            }
            "anomaly_zscore" => !point.value.is_nan(),
            "forecast_error" if self.options.contains("horizon=1m") => is_known(60_000, point.at),
            "forecast_error" if self.options.contains("20s") => is_known(20_000, point.at),
            _ => true,
        };
        let has_newest = match self.function.signature().name {
            "forecast_error" => self.options.contains("horizon=0"),
            "forecast_time_to" => true,
            _ => false,
        };
        let all = if has_newest { points } else { before };
        let after = all.iter().filter(|point| point.at > since);
        after.filter(counts).copied().collect()
    }

    /// Returns the tolerance of a distance in standard deviations: their rounding, and that of
    /// mean and value. A deviation that is nearly too small to be one may be none.
    fn score_tolerance(&self, points: &[FloatPoint], score: f64) -> f64 {
        let others = self.context(points);
        let n = others.len() as f64;
        let mean = others.iter().map(|p| p.value).sum::<f64>() / n;
        let squares = others.iter().map(|p| (p.value - mean) * (p.value - mean));
        let spread = (squares.sum::<f64>() / n).sqrt();
        let largest = largest(points);
        match spread < 1e-11 * largest {
            true => f64::INFINITY,
            false => 1e-13 * (1.0 + score.abs()) * (1.0 + largest / spread),
        }
    }

    /// Returns the tolerance of a slope, and the mean distance of the samples from the origin, s.
    fn slope_tolerance(&self, points: &[FloatPoint], origin: TimestampMs) -> (f64, f64) {
        let n = points.len() as f64;
        let times = points.iter().map(|p| (p.at - origin).0 as f64 / 1e3);
        let times: Vec<f64> = times.collect();
        let mean = times.iter().sum::<f64>() / n;
        let spread: f64 = times.iter().map(|t| (t - mean) * (t - mean)).sum();
        let squares: f64 = times.iter().map(|t| t * t).sum();
        let products = times.iter().zip(points).map(|(t, p)| (t * p.value).abs());
        let products: f64 = products.sum::<f64>() + mean.abs() * n * largest(points);
        // Of the products a part is lost, and so is of the squares of times.
        let slope = 1e-14 * n * products / spread;
        let worst = slope * (1.0 + 1e-14 * squares / spread);
        let stretched = products / spread * 1e-14 * squares / spread;
        (
            worst + stretched,
            times.iter().map(|t| t.abs()).sum::<f64>() / n,
        )
    }
}

fn largest(points: &[FloatPoint]) -> f64 {
    points.iter().map(|p| p.value.abs()).fold(0.0, f64::max)
}

/// What happens next.
#[derive(Clone, Debug)]
enum Step {
    /// A sample so many ms after the last.
    Sample(i64, f64),
    /// A histogram counter that has seen so many more observations in one of its buckets.
    Observe(i64, usize, u8),
    /// The histogram counter begins anew, with another schema.
    Restart(i32),
    /// A sample between the newest two.
    Late(f64),
    /// The frontier moves by so many ms; windows with a set bit are asked.
    Move(i64, u8),
    /// What no window can reach any more is forgotten.
    Forget,
}

fn value() -> BoxedStrategy<f64> {
    let any_size = [
        1e290, -1e290, 1e140, 1e20, -1e20, 1e-20, 1e-290, 5e-324, 1e300, -0.0,
    ];
    let special = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, stale_nan()];
    prop_oneof![
        8 => (0..4).prop_map(f64::from),
        4 => -1e3..1e3f64,
        2 => prop::sample::select(any_size.to_vec()),
        1 => prop::sample::select(special.to_vec()),
    ]
    .boxed()
}

fn tame() -> BoxedStrategy<f64> {
    prop_oneof![
        6 => (0..1000).prop_map(f64::from),
        3 => -1e3..1e3f64,
        1 => Just(stale_nan()),
    ]
    .boxed()
}

fn steps(value: BoxedStrategy<f64>) -> impl Strategy<Value = Vec<Step>> {
    let gap = prop_oneof![6 => Just(15_000i64), 2 => 1..30_000i64, 1 => 100_000..400_000i64];
    let step = prop_oneof![
        20 => (gap, value.clone()).prop_map(|(gap, value)| Step::Sample(gap, value)),
        1 => value.prop_map(Step::Late),
        1 => Just(Step::Forget),
        10 => (prop_oneof![0..40_000i64, 0..500_000i64], any::<u8>())
            .prop_map(|(by, asked)| Step::Move(by, asked)),
    ];
    prop::collection::vec(step, 1..80)
}

/// A counter of observations that goes on, now and then begins anew or is a float.
fn histogram_steps(n_odd: u32) -> BoxedStrategy<Vec<Step>> {
    let gap = prop_oneof![6 => Just(15_000i64), 2 => 1..30_000i64, 1 => 100_000..400_000i64];
    let odd = prop_oneof![
        (0..2).prop_map(Step::Restart),
        Just(Step::Sample(15_000, 1.0)),
        Just(Step::Sample(15_000, stale_nan())),
        Just(Step::Forget),
    ];
    let step = prop_oneof![
        20 => (gap, 0usize..4, 0u8..4).prop_map(|(gap, at, n)| Step::Observe(gap, at, n)),
        n_odd => odd,
        10 => (prop_oneof![0..40_000i64, 0..500_000i64], any::<u8>())
            .prop_map(|(by, asked)| Step::Move(by, asked)),
    ];
    prop::collection::vec(step, 1..60).boxed()
}

/// A series with its windows, as the steps make it.
struct World {
    history: SeriesHistory,
    windows: SeriesWindows,
    newest: TimestampMs,
    frontier: TimestampMs,
    counter: FloatHistogram,
    /// All distances in time are so many times as long.
    scale: i64,
}

impl World {
    fn new(scale: i64) -> Self {
        let newest = TimestampMs(1_700_000_000_000);
        World {
            history: SeriesHistory::default(),
            windows: SeriesWindows::default(),
            newest,
            frontier: newest,
            counter: counter(0),
            scale,
        }
    }

    fn take(&mut self, step: &Step, cases: &[Case]) -> Result<(), TestCaseError> {
        let mut append = |gap: i64, value: SampleValue| {
            self.newest = self.newest + DurationMs(gap * self.scale);
            self.history.append(self.newest, value, TimestampMs::MIN);
        };
        match step {
            Step::Sample(gap, value) => append(*gap, SampleValue::Float(*value)),
            Step::Observe(gap, bucket, n) => {
                let n = f64::from(*n);
                self.counter.positive_buckets[*bucket] += n;
                self.counter.count += n;
                self.counter.sum += n * 0.3 * *bucket as f64;
                append(*gap, SampleValue::Histogram(Arc::new(self.counter.clone())));
            }
            Step::Restart(schema) => self.counter = counter(*schema),
            Step::Late(value) => {
                let at = self.newest - DurationMs(7);
                let value = SampleValue::Float(*value);
                self.history.append(at, value, TimestampMs::MIN);
            }
            Step::Move(by, asked) => {
                // Samples may lie ahead of the frontier, but not by much.
                let held = self.newest - DurationMs(60_000 * self.scale);
                let by = DurationMs(by * self.scale);
                self.frontier = (self.frontier + by).max(held);
                for (index, (range, offset)) in WINDOWS.iter().enumerate() {
                    if asked & 1 << index != 0 {
                        self.compare(cases, (range * self.scale, offset * self.scale))?;
                    }
                }
            }
            Step::Forget => {
                let longest = WINDOWS.iter().map(|(range, offset)| range + offset).max();
                self.windows.follow(&self.history, self.frontier);
                let until = self.frontier - DurationMs(longest.unwrap_or(0) * self.scale);
                self.history.forget(until);
            }
        }
        Ok(())
    }

    fn compare(
        &mut self,
        cases: &[Case],
        (range, offset): (i64, i64),
    ) -> Result<(), TestCaseError> {
        let frontier = self.frontier;
        let until = frontier - DurationMs(offset);
        let span = Span::new(frontier, until - DurationMs(range), until);
        let args = LiveArgs {
            start: span.after,
            end: span.until,
            at: frontier,
            scalars: SCALARS,
            options: "",
        };
        let samples = self.history.window(span.after, span.until);
        for case in cases {
            let name = case.function.signature().name;
            let windows = (&mut self.windows, &self.history);
            let args = LiveArgs {
                options: case.options,
                ..args
            };
            let Ok(kept) = case.live.form.value(windows, span, &args) else {
                prop_assert!(may_want_samples(name, &samples), "{name} wants {samples:?}");
                continue;
            };
            let plain = (!samples.is_empty()).then(|| case.plain(&samples, &args));
            let plain = plain.flatten();
            let agrees = match (&kept, &plain) {
                (Some(SampleValue::Float(kept)), Some(SampleValue::Float(plain))) => {
                    let tolerance = case.tolerance(&samples.floats, frontier, *plain);
                    kept.to_bits() == plain.to_bits()
                        || (kept.is_nan() && plain.is_nan())
                        || kept == plain
                        || (plain.is_finite() && (kept - plain).abs() <= tolerance)
                        || tolerance == f64::INFINITY
                }
                (kept, plain) => kept == plain,
            };
            prop_assert!(
                agrees,
                "{name} {} of {samples:?} at {frontier:?}: kept {kept:?}, plain {plain:?}",
                case.options
            );
        }
        Ok(())
    }
}

/// Returns a histogram of four buckets that has seen nothing.
fn counter(schema: i32) -> FloatHistogram {
    FloatHistogram {
        schema,
        positive_spans: vec![BucketSpan {
            offset: 0,
            length: 4,
        }],
        positive_buckets: vec![0.0; 4],
        ..FloatHistogram::default()
    }
}

/// Tells whether a function may look at the samples of a window: where sums may overflow, and
/// where there are histograms among floats, or after a reset, or to be added up.
fn may_want_samples(name: &str, samples: &Samples<'_>) -> bool {
    let is_large = |point: &FloatPoint| point.value.abs() >= 1e140;
    if samples.histograms.is_empty() {
        return samples.floats.iter().any(is_large);
    }
    let goes_on = |pair: &[HistogramPoint]| {
        pair[0].value.schema == pair[1].value.schema && !pair[1].value.detect_reset(&pair[0].value)
    };
    let is_added_up = matches!(name, "sum_over_time" | "avg_over_time" | "changes");
    is_added_up || !samples.floats.is_empty() || !samples.histograms.windows(2).all(goes_on)
}

fn check(steps: &[Step], scale: i64) -> Result<(), TestCaseError> {
    let (mut cases, mut world) = (cases(), World::new(scale));
    // What others are worth does not depend on how long a second is.
    cases.retain(|case| scale == 1 || !case.options.is_empty());
    steps.iter().try_for_each(|step| world.take(step, &cases))
}

proptest! {
    #[test]
    fn what_is_kept_of_histograms_is_worth_what_they_are(
        steps in prop_oneof![histogram_steps(1), histogram_steps(6)],
    ) {
        check(&steps, 1)?;
    }

    /// Hours between samples, windows of days: seasons come back.
    #[test]
    fn what_is_kept_of_a_long_window_is_worth_what_its_samples_are(steps in steps(tame())) {
        check(&steps, 240)?;
    }

    #[test]
    fn what_is_kept_of_a_window_is_worth_what_its_samples_are(
        steps in prop_oneof![steps(value()), steps(tame())],
    ) {
        check(&steps, 1)?;
    }
}

#[test]
fn functions_of_windows_are_incremental_but_for_these() {
    let takes_window = |f: &&&dyn Function| f.signature().args.contains(&ValueType::Matrix);
    let scan = ALL
        .iter()
        .filter(takes_window)
        // Those over several series together are kept elsewhere.
        .filter(|f| f.live().is_none() && !f.joins_series());
    let scan: Vec<&str> = scan.map(|function| function.signature().name).collect();
    assert_eq!(scan, ["double_exponential_smoothing"]);
}
