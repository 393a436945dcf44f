//! Three detectors of BASELINES.md as plain loops: what their rows say is what the scorer must say
//! of them, or it is not the benchmark's.

use crate::nab_score::probation;
use crate::recorded::NabSeries;

/// Mean and population standard deviation.
fn moments(values: &[f64]) -> (f64, f64) {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    (mean, (squares / n).sqrt())
}

/// More than three standard deviations off the mean of the probation.
pub fn static_three_sigma(series: &NabSeries) -> Vec<bool> {
    let known = &series.rows[..probation(series.rows.len())];
    let known: Vec<f64> = known.iter().map(|row| row.1).collect();
    let (mean, deviation) = moments(&known);
    let deviation = if deviation > 0.0 { deviation } else { 1e-9 };
    let rows = series.rows.iter();
    rows.map(|row| ((row.1 - mean) / deviation).abs() > 3.0)
        .collect()
}

/// More than three standard deviations off the mean of the rows of a day before.
pub fn rolling_three_sigma(series: &NabSeries) -> Vec<bool> {
    let values: Vec<f64> = series.rows.iter().map(|row| row.1).collect();
    let day = (86_400 / series.step) as usize;
    let is_off = |row: usize| {
        let window = &values[row.saturating_sub(day)..row];
        if window.len() < 2 {
            return false;
        }
        let (mean, deviation) = moments(window);
        let (off, nothing) = ((values[row] - mean).abs(), 1e-12 * mean.abs());
        match deviation > nothing {
            true => off / deviation > 3.0,
            false => off > nothing,
        }
    };
    (0..values.len()).map(is_off).collect()
}

/// More than three standard deviations off exponentially weighted moments, α = 0.05.
pub fn weighted_three_sigma(series: &NabSeries) -> Vec<bool> {
    const ALPHA: f64 = 0.05;
    let (mut mean, mut variance) = (series.rows[0].1, 0.0_f64);
    let mut step = |(_, value): &(i64, f64)| {
        let off = value - mean;
        let z = match variance > 0.0 {
            true => off.abs() / variance.sqrt(),
            false if off == 0.0 => 0.0,
            false => f64::INFINITY,
        };
        mean += ALPHA * off;
        variance = (1.0 - ALPHA) * (variance + ALPHA * off * off);
        z > 3.0
    };
    series.rows.iter().map(&mut step).collect()
}
