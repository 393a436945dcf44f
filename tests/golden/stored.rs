//! What scripts of promqltest load, as a Prometheus that stored it gives it back.

use std::collections::BTreeMap;
use std::sync::Arc;

use burnwatch::history::SeriesHistory;
use burnwatch::model::{BucketSpan, FloatHistogram, Labels, NO_START, SampleValue, TimestampMs};
use burnwatch::series::Snapshot;

use crate::script::Load;

/// A sample: when, since when, what.
type StoredSample = (i64, TimestampMs, SampleValue);

#[derive(Default)]
pub struct Stored {
    series: BTreeMap<Labels, Vec<StoredSample>>,
}

impl Stored {
    pub fn clear(&mut self) {
        self.series.clear();
    }

    pub fn load(&mut self, load: &Load) {
        let mut loaded: BTreeMap<Labels, Vec<StoredSample>> = BTreeMap::new();
        for series in &load.series {
            let timed = series.points.iter().enumerate();
            let samples = timed.filter_map(|(index, point)| {
                let at = index as i64 * load.step_ms;
                let start = series.starts.get(index).copied().flatten();
                let start = start.map_or(NO_START, |start| TimestampMs(at + start));
                Some((at, start, point.value()?))
            });
            // Of two lines for one series the later counts.
            loaded.insert(series.labels.clone(), samples.collect());
        }
        if load.with_nhcb {
            for (labels, samples) in custom_histograms(&loaded) {
                self.series.entry(labels).or_default().extend(samples);
            }
        }
        for (labels, samples) in loaded {
            self.series.entry(labels).or_default().extend(samples);
        }
    }

    /// Returns the series as they are read from storage.
    pub fn snapshot(&self) -> Snapshot {
        let mut snapshot = Snapshot::default();
        for (labels, samples) in &self.series {
            let mut history = SeriesHistory::default();
            for (at, start, value) in samples {
                let value = value.clone();
                history.append_started(TimestampMs(*at), *start, value, TimestampMs::MIN);
            }
            snapshot.insert(labels.clone(), history);
        }
        snapshot
    }
}

/// Makes native histograms with custom buckets out of classic ones.
fn custom_histograms(
    loaded: &BTreeMap<Labels, Vec<StoredSample>>,
) -> BTreeMap<Labels, Vec<StoredSample>> {
    #[derive(Default)]
    struct Classic {
        buckets: Vec<(f64, f64)>,
        count: Option<f64>,
        sum: f64,
    }
    let mut classic: BTreeMap<Labels, BTreeMap<i64, Classic>> = BTreeMap::new();
    for (labels, samples) in loaded {
        let name = labels.metric_name();
        let Some((base, suffix)) = name.rsplit_once('_') else {
            continue;
        };
        if !["bucket", "count", "sum"].contains(&suffix) {
            continue;
        }
        let upper = labels.value("le").parse::<f64>();
        if suffix == "bucket" && !upper.as_ref().is_ok_and(|upper| !upper.is_nan()) {
            continue;
        }
        let base = labels.with("le", "").with("__name__", base);
        let of_base = classic.entry(base).or_default();
        for (at, _, value) in samples {
            let Some(value) = value.as_float() else {
                continue;
            };
            let histogram = of_base.entry(*at).or_default();
            match (suffix, &upper) {
                ("bucket", Ok(upper)) => histogram.buckets.push((*upper, value)),
                ("count", _) => histogram.count = Some(value),
                _ => histogram.sum = value,
            }
        }
    }
    let convert = |mut classic: Classic| {
        classic.buckets.sort_by(|a, b| a.0.total_cmp(&b.0));
        classic.buckets.dedup_by_key(|bucket| bucket.0);
        let last = classic.buckets.last().map_or(0.0, |bucket| bucket.1);
        let count = classic.count.unwrap_or(last);
        if classic
            .buckets
            .last()
            .is_none_or(|bucket| bucket.0 != f64::INFINITY)
        {
            classic.buckets.push((f64::INFINITY, count));
        }
        let mut histogram = FloatHistogram {
            schema: burnwatch::model::histogram::CUSTOM_BUCKETS_SCHEMA,
            count,
            sum: classic.sum,
            ..FloatHistogram::default()
        };
        let mut previous = 0.0;
        for (upper, count) in &classic.buckets {
            histogram.positive_buckets.push(count - previous);
            previous = *count;
            if upper.is_finite() {
                histogram.custom_values.push(*upper);
            }
        }
        histogram.positive_spans = vec![BucketSpan {
            offset: 0,
            length: histogram.positive_buckets.len() as u32,
        }];
        SampleValue::Histogram(Arc::new(histogram))
    };
    let convert_all = |histograms: BTreeMap<i64, Classic>| {
        histograms
            .into_iter()
            .map(|(at, classic)| (at, NO_START, convert(classic)))
            .collect()
    };
    classic
        .into_iter()
        .map(|(labels, histograms)| (labels, convert_all(histograms)))
        .collect()
}
