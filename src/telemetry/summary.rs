//! A summary: quantiles of what was observed of late, which stock dashboards read.
//!
//! The metrics library has none. Prometheus' summaries look back ten minutes; this one looks
//! back over a fixed number of observations, which needs no clock and bounds the memory.
//!
//! Cost: O(1) per observation; a scrape sorts the observations kept.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::model::float::format_general;
use crate::telemetry::exposition::{write_family, write_sample};

/// How many observations the quantiles are taken over, for each label set.
const OBSERVATIONS_MAX: usize = 1024;

/// A summary metric; clones share their observations.
#[derive(Clone, Debug)]
pub struct Summary {
    name: &'static str,
    help: &'static str,
    quantiles: &'static [f64],
    label_names: &'static [&'static str],
    by_labels: Arc<Mutex<BTreeMap<Vec<String>, Observations>>>,
}

#[derive(Debug, Default)]
struct Observations {
    newest: Vec<f64>,
    next: usize,
    sum: f64,
    count: u64,
}

impl Summary {
    /// Builds a summary. Without labels it is exposed before anything was observed.
    pub fn new(
        name: &'static str,
        help: &'static str,
        quantiles: &'static [f64],
        label_names: &'static [&'static str],
    ) -> Self {
        let mut by_labels = BTreeMap::new();
        if label_names.is_empty() {
            by_labels.insert(Vec::new(), Observations::default());
        }
        Summary {
            name,
            help,
            quantiles,
            label_names,
            by_labels: Arc::new(Mutex::new(by_labels)),
        }
    }

    /// Adds an observation; `labels` are the values of the label names, in their order.
    pub fn observe(&self, labels: &[&str], value: f64) {
        debug_assert_eq!(labels.len(), self.label_names.len(), "{}", self.name);
        let key: Vec<String> = labels.iter().map(|label| (*label).to_owned()).collect();
        let mut by_labels = self.by_labels.lock();
        let observations = by_labels.entry(key).or_default();
        if observations.newest.len() < OBSERVATIONS_MAX {
            observations.newest.push(value);
        } else {
            observations.newest[observations.next] = value;
        }
        observations.next = (observations.next + 1) % OBSERVATIONS_MAX;
        observations.sum += value;
        observations.count += 1;
    }

    fn write(&self, text: &mut String) {
        write_family(text, self.name, "summary", self.help);
        for (values, observations) in &*self.by_labels.lock() {
            let values = values.iter().map(String::as_str);
            let labels: Vec<_> = self.label_names.iter().copied().zip(values).collect();
            let mut sorted = observations.newest.clone();
            sorted.sort_unstable_by(f64::total_cmp);
            for quantile in self.quantiles {
                let mut labels = labels.clone();
                let level = format_general(*quantile);
                labels.push(("quantile", &level));
                write_sample(text, self.name, &labels, quantile_of(&sorted, *quantile));
            }
            let (sum, count) = (observations.sum, observations.count as f64);
            write_sample(text, &format!("{}_sum", self.name), &labels, sum);
            write_sample(text, &format!("{}_count", self.name), &labels, count);
        }
    }
}

/// Writes summaries one after the other.
pub fn write_summaries(text: &mut String, summaries: &[Summary]) {
    summaries.iter().for_each(|summary| summary.write(text));
}

/// Returns the smallest observation that `quantile` of all do not exceed; NaN where there are
/// none.
fn quantile_of(sorted: &[f64], quantile: f64) -> f64 {
    let rank = (quantile * sorted.len() as f64).ceil() as usize;
    sorted
        .get(rank.saturating_sub(1))
        .copied()
        .unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_observed_values() {
        let sorted: Vec<f64> = (1..=100).map(f64::from).collect();
        for (quantile, expected) in [
            (0.5, 50.0),
            (0.9, 90.0),
            (0.99, 99.0),
            (0.01, 1.0),
            (1.0, 100.0),
        ] {
            assert_eq!(quantile_of(&sorted, quantile), expected);
        }
        assert!(quantile_of(&[], 0.5).is_nan());
    }

    #[test]
    fn old_observations_leave_the_quantiles_but_not_the_sum() {
        let summary = Summary::new("x_seconds", "An x.", &[0.5], &[]);
        let mut text = String::new();
        summary.write(&mut text);
        assert!(text.contains("x_seconds{quantile=\"0.5\"} NaN\n"), "{text}");
        summary.observe(&[], 1.0);
        (0..OBSERVATIONS_MAX).for_each(|_| summary.observe(&[], 3.0));
        text.clear();
        summary.write(&mut text);
        assert!(text.contains("x_seconds{quantile=\"0.5\"} 3\n"), "{text}");
        assert!(
            text.contains("x_seconds_sum 3073\nx_seconds_count 1025\n"),
            "{text}"
        );
    }
}
