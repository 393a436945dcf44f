//! `anomaly_seasonal`: the z-score of the newest sample among those of the same hour of the week.
//!
//! The hours are those since the Unix epoch, `floor(t / 3600) mod 168`, in UTC, so that "Monday at
//! nine" is compared with Mondays at nine; `season=hour_of_day` takes `mod 24`. The hour that the
//! newest sample lies in is left out, so the first score comes after a week. Conventions are those
//! of `anomaly_zscore`.

use crate::functions::FunctionError;
use crate::functions::anomaly::score::{Warmup, after, since};
use crate::functions::anomaly::zscore::zscore;
use crate::functions::formula::{MATRIX_WITH_OPTIONS, WindowFunction};
use crate::functions::options::Options;
use crate::model::{FloatPoint, SampleValue, TimestampMs};

/// So many samples are compared with at least, where nothing else is said.
const MIN_SAMPLES: usize = 10;

const HOUR_MS: i64 = 3_600_000;

pub(in crate::functions) static ANOMALY_SEASONAL: WindowFunction = WindowFunction::new(
    "anomaly_seasonal",
    "Returns by how many standard deviations the newest sample differs from the mean of those of \
     the same hour of the week in the window.",
    "abs(anomaly_seasonal(node_load1[4w])) > 4",
    |window| {
        let options = SeasonalOptions::read(window.options())?;
        window.remark_ignored_histograms();
        let score = options.score(window.floats());
        Ok(score.map(SampleValue::Float))
    },
)
.with_options(MATRIX_WITH_OPTIONS, |text| {
    SeasonalOptions::read(text).map(drop)
});

/// What can be chosen.
#[derive(Clone, Copy, Debug)]
struct SeasonalOptions {
    /// Of so many hours.
    season: i64,
    warmup: Warmup,
    since: TimestampMs,
}

impl SeasonalOptions {
    fn read(text: &str) -> Result<Self, FunctionError> {
        let mut options = Options::parse("anomaly_seasonal", text)?;
        let seasons = [("hour_of_week", 168), ("hour_of_day", 24)];
        let read = SeasonalOptions {
            season: options.choice("season", &seasons)?,
            warmup: Warmup::read(&mut options, MIN_SAMPLES)?,
            since: since(&mut options)?,
        };
        options.end()?;
        Ok(read)
    }

    fn score(&self, points: &[FloatPoint]) -> Option<f64> {
        let (newest, before) = after(points, self.since).split_last()?;
        let now = hour(newest.at);
        let is_alike = |point: &&FloatPoint| {
            let hour = hour(point.at);
            hour != now && (now - hour) % self.season == 0
        };
        let alike = before.iter().filter(is_alike).map(|point| point.value);
        let alike: Vec<f64> = alike.filter(|value| !value.is_nan()).collect();
        if alike.len() < 2 {
            return self.warmup.answer();
        }
        self.warmup
            .score(alike.len(), || zscore(newest.value, &alike, 0))
    }
}

/// Returns the hour since the Unix epoch.
fn hour(at: TimestampMs) -> i64 {
    at.0.div_euclid(HOUR_MS)
}
