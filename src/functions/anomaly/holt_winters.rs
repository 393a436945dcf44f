//! `anomaly_holt_winters`: by how many spreads of the earlier forecasts' errors the newest sample
//! differs from what Holt and Winters' additive method forecast for it.
//!
//! With level `L`, trend `T` and a season of `m` samples `S`:
//! `one_step = L + T + S_t`; `L' = α (y - S_t) + (1 - α)(L + T)`;
//! `S_{t+m} = γ (y - L - T) + (1 - γ) S_t`; `T' = β (L' - L) + (1 - β) T` (Winters, 1960; as
//! statsmodels' `ExponentialSmoothing(trend="add", seasonal="add")`). The forecast of `h` samples
//! ahead is `L + h T + S_{n-m+h}`.
//!
//! The first two seasons begin it: the trend is the difference of their means over `m`, the level
//! where that line is at their end, the season the mean distance from it. From then on each sample
//! has a forecast. The spread is the root of the mean square of the errors before the newest.
//! What is no finite number is scored, but not learned: level and season go on without it.

use crate::functions::FunctionError;
use crate::functions::anomaly::score::{Warmup, distance, since};
use crate::functions::blocks::{self, DetectorFunction, Standing};
use crate::functions::formula::WindowFunction;
use crate::functions::options::Options;
use crate::model::{DurationMs, FloatPoint, TimestampMs};
use crate::windows::{Detector, StateKind};

/// So many errors make a spread at least, where nothing else is said.
const MIN_SAMPLES: usize = 10;

/// A day of samples every minute; each series keeps so many numbers two or three times.
const SEASON_MAX: usize = 1440;

pub(in crate::functions) static ANOMALY_HOLT_WINTERS: WindowFunction = blocks::function::<
    HoltWinters,
>(
    "anomaly_holt_winters",
    "Returns by how many spreads the newest sample differs from its forecast by level, trend and \
     season (Holt and Winters).",
    "abs(anomaly_holt_winters(node_load1[2w:1h], \"m=24\")) > 4",
    &HOLT_WINTERS,
);

static HOLT_WINTERS: StateKind = blocks::kind::<HoltWinters>("holt_winters");

#[derive(Clone, Copy, Debug)]
enum HoltWintersOutput {
    Score,
    Residual,
    OneStep,
    Forecast,
}

/// What can be chosen.
#[derive(Clone, Copy, Debug)]
struct HoltWintersOptions {
    /// Weights of a new value: for level, trend, season.
    alpha: f64,
    beta: f64,
    gamma: f64,
    /// How many samples a season has.
    m: usize,
    /// How many samples ahead `output=forecast` looks.
    horizon: usize,
    output: HoltWintersOutput,
    warmup: Warmup,
    since: TimestampMs,
}

impl HoltWintersOptions {
    fn read(text: &str) -> Result<Self, FunctionError> {
        let mut options = Options::parse("anomaly_holt_winters", text)?;
        let outputs = [
            ("score", HoltWintersOutput::Score),
            ("residual", HoltWintersOutput::Residual),
            ("one_step", HoltWintersOutput::OneStep),
            ("forecast", HoltWintersOutput::Forecast),
        ];
        let expected = "a number from 0 to 1";
        let is_weight = |weight: f64| (0.0..=1.0).contains(&weight);
        let m = options.count("m", 24, 1, SEASON_MAX)?;
        let read = HoltWintersOptions {
            alpha: options.number("alpha", 0.2, expected, is_weight)?,
            beta: options.number("beta", 0.05, expected, is_weight)?,
            gamma: options.number("gamma", 0.1, expected, is_weight)?,
            m,
            horizon: options.count("horizon", 1, 1, m)?,
            output: options.choice("output", &outputs)?,
            warmup: Warmup::read(&mut options, MIN_SAMPLES)?,
            since: since(&mut options)?,
        };
        options.end()?;
        Ok(read)
    }
}

/// Level, trend and season.
#[derive(Clone, Debug, PartialEq)]
struct Smoothed {
    level: f64,
    trend: f64,
    /// The next sample's is at `position`.
    season: Box<[f64]>,
    position: usize,
}

impl Smoothed {
    /// Makes them out of two whole seasons.
    fn begin(values: &[f64]) -> Self {
        let m = values.len() / 2;
        let (first, second) = values.split_at(m);
        let mean = |values: &[f64]| values.iter().sum::<f64>() / m as f64;
        let means = [mean(first), mean(second)];
        let trend = (means[1] - means[0]) / m as f64;
        // A season's mean is where the line is in its middle.
        let middle = (m as f64 - 1.0) / 2.0;
        let season = (0..m).map(|i| {
            let on_line = (i as f64 - middle) * trend;
            let distances = [
                first[i] - means[0] - on_line,
                second[i] - means[1] - on_line,
            ];
            (distances[0] + distances[1]) / 2.0
        });
        Smoothed {
            level: means[1] + middle * trend,
            trend,
            season: season.collect(),
            position: 0,
        }
    }

    /// Returns what is forecast for so many samples ahead, up to a season.
    fn forecast(&self, horizon: usize) -> f64 {
        let place = (self.position + horizon - 1) % self.season.len();
        self.level + horizon as f64 * self.trend + self.season[place]
    }

    fn take(&mut self, value: f64, options: &HoltWintersOptions) {
        let (alpha, beta, gamma) = (options.alpha, options.beta, options.gamma);
        let ahead = self.level + self.trend;
        let season = &mut self.season[self.position];
        self.position = (self.position + 1) % options.m;
        if !value.is_finite() {
            self.level = ahead;
            return;
        }
        let level = alpha * (value - *season) + (1.0 - alpha) * ahead;
        *season = gamma * (value - ahead) + (1.0 - gamma) * *season;
        self.trend = beta * (level - self.level) + (1.0 - beta) * self.trend;
        self.level = level;
    }
}

/// The state of the method, and what came of the newest sample.
#[derive(Clone, Debug)]
struct HoltWinters {
    options: HoltWintersOptions,
    /// The first two seasons, until they are whole.
    first: Vec<f64>,
    smoothed: Option<Smoothed>,
    /// The errors of forecasts so far: how many, and the sum of their squares.
    n_errors: usize,
    squares: f64,
    newest: Newest,
}

/// What came of the newest sample.
#[derive(Clone, Copy, Debug)]
struct Newest {
    n_errors_before: usize,
    score: f64,
    residual: f64,
    one_step: f64,
}

impl HoltWinters {
    fn value(&self) -> Option<f64> {
        let (options, newest) = (&self.options, &self.newest);
        let warmup = options.warmup;
        let Some(smoothed) = &self.smoothed else {
            return warmup.answer();
        };
        match options.output {
            HoltWintersOutput::Forecast => Some(smoothed.forecast(options.horizon)),
            // Of the last sample of the first seasons nothing was forecast.
            _ if newest.one_step.is_nan() => warmup.answer(),
            HoltWintersOutput::OneStep => Some(newest.one_step),
            HoltWintersOutput::Residual => Some(newest.residual),
            HoltWintersOutput::Score => warmup.score(newest.n_errors_before, || newest.score),
        }
    }
}

impl DetectorFunction for HoltWinters {
    type Options = HoltWintersOptions;

    fn read(text: &str) -> Result<Self::Options, FunctionError> {
        HoltWintersOptions::read(text)
    }

    fn since(options: &Self::Options) -> TimestampMs {
        options.since
    }

    fn begin(options: HoltWintersOptions, _: DurationMs) -> Self {
        HoltWinters {
            options,
            first: Vec::new(),
            smoothed: None,
            n_errors: 0,
            squares: 0.0,
            newest: Newest {
                n_errors_before: 0,
                score: f64::NAN,
                residual: f64::NAN,
                one_step: f64::NAN,
            },
        }
    }

    fn standing(&self, _: TimestampMs) -> Option<Standing> {
        self.value().map(Standing::lasting)
    }
}

impl Detector for HoltWinters {
    fn take(&mut self, sample: FloatPoint) {
        let value = sample.value;
        let Some(smoothed) = &mut self.smoothed else {
            // What is missing is as it was before.
            match (value.is_finite(), self.first.last()) {
                (true, _) => self.first.push(value),
                (false, Some(last)) => self.first.push(*last),
                (false, None) => {}
            }
            if self.first.len() == 2 * self.options.m {
                self.smoothed = Some(Smoothed::begin(&self.first));
                self.first = Vec::new();
            }
            return;
        };
        let one_step = smoothed.forecast(1);
        let residual = value - one_step;
        let spread = (self.squares / self.n_errors as f64).sqrt();
        self.newest = Newest {
            n_errors_before: self.n_errors,
            score: match self.n_errors {
                0 => f64::NAN,
                _ => distance(value, one_step, spread),
            },
            residual,
            one_step,
        };
        if value.is_finite() {
            self.n_errors += 1;
            self.squares += residual * residual;
        }
        smoothed.take(value, &self.options);
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader};

    use serde_json::Value as Json;

    use super::*;

    const VECTORS: &[u8] = include_bytes!("../../../tests/data/ml/holt_winters.jsonl.gz");

    fn numbers(json: &Json) -> Vec<f64> {
        let numbers = json.as_array().into_iter().flatten();
        numbers.filter_map(Json::as_f64).collect()
    }

    fn check(vector: &Json, got: f64, expected: f64) {
        let tolerance = |which: &str| vector["tolerance"][which].as_f64().unwrap_or(0.0);
        let allowed = tolerance("abs").max(tolerance("rel") * expected.abs());
        let id = &vector["id"];
        assert!((got - expected).abs() <= allowed, "{id}: {got}, {expected}");
    }

    #[test]
    fn forecasts_from_a_given_state_are_those_of_statsmodels() {
        let lines = BufReader::new(flate2::read::GzDecoder::new(VECTORS)).lines();
        let mut n_vectors = 0;
        for line in lines {
            let vector: Json = serde_json::from_str(&line.expect("a line")).expect("a vector");
            let (inputs, args) = (&vector["inputs"], &vector["args"]);
            let text = ["alpha", "beta", "gamma", "m"].map(|name| format!("{name}={}", args[name]));
            let options = HoltWintersOptions::read(&text.join(",")).expect("options");
            let mut smoothed = Smoothed {
                level: inputs["initial_level"].as_f64().expect("a level"),
                trend: inputs["initial_trend"].as_f64().expect("a trend"),
                season: numbers(&inputs["initial_seasonal"]).into(),
                position: 0,
            };
            let one_step = numbers(&vector["expected"]["one_step"]);
            for (value, expected) in numbers(&inputs["values"]).iter().zip(one_step) {
                check(&vector, smoothed.forecast(1), expected);
                smoothed.take(*value, &options);
            }
            for (ahead, expected) in numbers(&vector["expected"]["forecast"]).iter().enumerate() {
                check(&vector, smoothed.forecast(ahead + 1), *expected);
            }
            n_vectors += 1;
        }
        assert_eq!(n_vectors, 20);
    }

    #[test]
    fn two_seasons_of_a_line_with_a_season_are_continued() {
        let value = |i: usize| 3.0 + 0.5 * i as f64 + [1.0, -2.0, 1.0][i % 3];
        let begun = Smoothed::begin(&(0..6).map(value).collect::<Vec<_>>());
        for ahead in 1..=3 {
            assert!((begun.forecast(ahead) - value(5 + ahead)).abs() < 1e-12);
        }
    }
}
