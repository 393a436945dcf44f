//! `anomaly_seasonal`: the z-score of the newest sample among those of the same hour of the week.
//!
//! The hours are those since the Unix epoch, `floor(t / 3600) mod 168`, in UTC, so that "Monday at
//! nine" is compared with Mondays at nine; `season=hour_of_day` takes `mod 24`. The hour that the
//! newest sample lies in is left out, so the first score comes after a week. Conventions are those
//! of `anomaly_zscore`.

use std::any::Any;
use std::collections::BTreeMap;

use crate::functions::FunctionError;
use crate::functions::anomaly::score::{Warmup, after, since};
use crate::functions::anomaly::zscore::{zscore, zscore_of_moments};
use crate::functions::formula::{MATRIX_WITH_OPTIONS, WindowFunction};
use crate::functions::options::Options;
use crate::model::{FloatPoint, SampleValue, TimestampMs};
use crate::windows::{Inside, LiveForm, LiveResult, Moments, NoState, StateKind, WindowState};

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
})
.live(LiveForm::state_of_floats(&SEASONAL, |held, _| {
    held.get::<SeasonalState>()?.score()
}));

static SEASONAL: StateKind = StateKind {
    name: "seasonal",
    make: |args| match SeasonalOptions::read(args.options) {
        Ok(options) => Box::new(SeasonalState {
            options,
            newest: None,
            of_this_hour: Moments::default(),
            of_hours: BTreeMap::new(),
        }),
        Err(_) => Box::new(NoState),
    },
};

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

    /// Returns which hour of the season an instant is in.
    fn place(&self, at: TimestampMs) -> i64 {
        hour(at).rem_euclid(self.season)
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
        match self.warmup.is_over(alike.len()) {
            true => Some(zscore(newest.value, &alike, 0)),
            false => self.warmup.answer(),
        }
    }
}

/// Returns the hour since the Unix epoch.
fn hour(at: TimestampMs) -> i64 {
    at.0.div_euclid(HOUR_MS)
}

/// The newest sample, and exact sums by hour of the season: up to 168 of some 150 bytes.
#[derive(Clone, Debug)]
struct SeasonalState {
    options: SeasonalOptions,
    newest: Option<FloatPoint>,
    /// Of the hour that the newest sample lies in, with it; NaN is left out here and below.
    of_this_hour: Moments,
    /// By hour of the season, without that hour.
    of_hours: BTreeMap<i64, Moments>,
}

impl SeasonalState {
    fn score(&self) -> LiveResult<f64> {
        let Some(newest) = self.newest else {
            return Ok(None);
        };
        let warmup = self.options.warmup;
        let alike = self.of_hours.get(&self.options.place(newest.at));
        match alike.filter(|alike| warmup.is_over(alike.n_values())) {
            Some(alike) => zscore_of_moments(newest.value, alike, 0),
            None => Ok(warmup.answer()),
        }
    }

    /// Returns the sums that a sample at an instant is in.
    fn sums(&mut self, at: TimestampMs) -> &mut Moments {
        if self.newest.is_some_and(|n| hour(n.at) == hour(at)) {
            return &mut self.of_this_hour;
        }
        self.of_hours.entry(self.options.place(at)).or_default()
    }
}

impl WindowState for SeasonalState {
    fn enter(&mut self, sample: FloatPoint, _: &Inside<'_>) {
        if sample.at <= self.options.since {
            return;
        }
        let before = self.newest.replace(sample);
        if let Some(before) = before.filter(|before| hour(before.at) != hour(sample.at)) {
            let passed = std::mem::take(&mut self.of_this_hour);
            if passed.n_values() > 0 {
                let place = self.options.place(before.at);
                self.of_hours.entry(place).or_default().add_all(&passed);
            }
        }
        if !sample.value.is_nan() {
            self.of_this_hour.add(sample.value);
        }
    }

    fn leave(&mut self, sample: FloatPoint, _: &Inside<'_>) {
        if sample.at <= self.options.since {
            return;
        }
        if !sample.value.is_nan() {
            self.sums(sample.at).remove(sample.value);
            let place = self.options.place(sample.at);
            if self.of_hours.get(&place).is_some_and(|s| s.n_values() == 0) {
                self.of_hours.remove(&place);
            }
        }
        if self.newest.is_some_and(|newest| newest.at <= sample.at) {
            self.newest = None;
        }
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
