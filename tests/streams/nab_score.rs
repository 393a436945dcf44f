//! The score of the Numenta Anomaly Benchmark, standard profile.
//!
//! Source: the benchmark's `sweeper.py` and `scorer.py`; the words are its own. A window is worth
//! `σ(position)/σ(-1)` at the first alarm inside, with `position` from -1 (left edge) to 0 (right
//! edge) and `σ(y) = 2/(1+e^{5y}) - 1`; one that is missed costs 1. An alarm outside costs 0.11, and
//! less shortly behind a window: `0.11 σ(distance from its right edge / its width)`. The first 15 %
//! of the rows, at most 750, are probation: nothing is scored there. The sum is then put on a scale
//! on which no detector at all has 0 and a perfect one 100.

use crate::recorded::NabSeries;

/// Alarms that follow each other no farther than this are one episode, s.
const EPISODE_GAP: i64 = 3600;
const FALSE_POSITIVE: f64 = 0.11;

/// What a detector did to some series, summed up.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    pub windows: usize,
    /// Windows with an alarm inside.
    pub hit: usize,
    /// Hours from the left edge to the first alarm inside.
    pub delays: Vec<f64>,
    /// Episodes that began outside windows.
    pub false_alarms: usize,
    pub weeks: f64,
    /// Raw score of episode starts.
    pub episodes: f64,
    /// Raw score where every alarming row counts.
    pub points: f64,
}

impl Outcome {
    /// Adds what was made of another series.
    pub fn add(&mut self, other: &Outcome) {
        self.windows += other.windows;
        self.hit += other.hit;
        self.delays.extend_from_slice(&other.delays);
        self.false_alarms += other.false_alarms;
        self.weeks += other.weeks;
        self.episodes += other.episodes;
        self.points += other.points;
    }

    fn scaled(&self, raw: f64) -> f64 {
        let n = self.windows as f64;
        100.0 * (raw + n) / (2.0 * n)
    }

    /// Returns the score of episode starts.
    pub fn episodes_score(&self) -> f64 {
        self.scaled(self.episodes)
    }

    /// Returns the score where every alarming row counts.
    pub fn points_score(&self) -> f64 {
        self.scaled(self.points)
    }

    pub fn false_alarms_per_week(&self) -> f64 {
        self.false_alarms as f64 / self.weeks
    }

    pub fn median_delay(&self) -> Option<f64> {
        median(&self.delays)
    }
}

/// Returns the median, of an even number the mean of the middle two.
pub fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let n = sorted.len();
    (n > 0).then(|| f64::midpoint(sorted[(n - 1) / 2], sorted[n / 2]))
}

fn sigmoid(position: f64) -> f64 {
    if position > 3.0 {
        return -1.0;
    }
    2.0 / (1.0 + (5.0 * position).exp()) - 1.0
}

/// Returns how many rows are probation.
pub fn probation(n_rows: usize) -> usize {
    (n_rows * 15 / 100).min(750)
}

/// Scores a detector that alarms at these rows of a series.
pub fn score(series: &NabSeries, alarms: &[bool]) -> Outcome {
    let skipped = probation(series.rows.len());
    let at = |row: usize| series.rows[row].0;
    let is_alarm = |row: &usize| *row >= skipped && alarms[*row];
    let points: Vec<usize> = (0..alarms.len()).filter(is_alarm).collect();
    let mut episodes = Vec::new();
    let mut last: Option<i64> = None;
    for &row in &points {
        if last.is_none_or(|last| at(row) - last > EPISODE_GAP) {
            episodes.push(row);
        }
        last = Some(at(row));
    }
    let windows = windows_by_row(series);
    let outside = |row: &&usize| !windows.iter().any(|window| holds(*window, **row));
    let firsts = windows.iter().map(|&window| {
        let mut inside = points.iter().filter(|row| holds(window, **row));
        inside.next().copied().map(|row| (window, row))
    });
    let firsts: Vec<_> = firsts.flatten().collect();
    let delay = |((left, _), row): &((usize, usize), usize)| (at(*row) - at(*left)) as f64 / 3600.0;
    Outcome {
        windows: windows.len(),
        hit: firsts.len(),
        delays: firsts.iter().map(delay).collect(),
        false_alarms: episodes.iter().filter(outside).count(),
        weeks: (at(alarms.len() - 1) - at(skipped)) as f64 / (7.0 * 86_400.0),
        episodes: raw(&windows, &episodes),
        points: raw(&windows, &points),
    }
}

/// Returns the windows as first and last row.
fn windows_by_row(series: &NabSeries) -> Vec<(usize, usize)> {
    let row_of = |at: i64| series.rows.iter().position(|row| row.0 == at).unwrap();
    let windows = series.windows.iter();
    windows
        .map(|&(from, to)| (row_of(from), row_of(to)))
        .collect()
}

fn holds((left, right): (usize, usize), row: usize) -> bool {
    (left..=right).contains(&row)
}

fn raw(windows: &[(usize, usize)], alarms: &[usize]) -> f64 {
    let mut sum = 0.0;
    for &(left, right) in windows {
        let width = (right - left + 1) as f64;
        let worth = |row: &usize| {
            let position = -((right - row + 1) as f64) / width;
            sigmoid(position) / sigmoid(-1.0)
        };
        let inside = alarms.iter().filter(|row| holds((left, right), **row));
        sum += inside.map(worth).reduce(f64::max).unwrap_or(-1.0);
    }
    for row in alarms {
        if windows.iter().any(|window| holds(*window, *row)) {
            continue;
        }
        let before = windows.iter().rfind(|(_, right)| right < row);
        sum += FALSE_POSITIVE
            * before.map_or(-1.0, |(left, right)| {
                sigmoid((row - right) as f64 / (right - left) as f64)
            });
    }
    sum
}
