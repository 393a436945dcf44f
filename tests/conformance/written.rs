//! Samples that rules wrote: `ALERTS`, `ALERTS_FOR_STATE`, recorded series.

use std::collections::BTreeMap;

use burnwatch::engine::Effect;
use burnwatch::model::{Labels, TimestampMs};

use crate::recording::{Recording, all};
use crate::replay::Replay;

type Series = BTreeMap<Labels, Vec<(TimestampMs, f64)>>;

fn written(recording: &Recording) -> Series {
    let mut written = Series::new();
    // A Prometheus that has just started writes its alerts once the second evaluation is over,
    // because it first looks for those of the one before it.
    let restored_after = recording.evaluations()[1];
    for effect in Replay::new(recording).go_on(recording.end()) {
        let Effect::Recorded { labels, at, value } = effect else {
            continue;
        };
        let is_alert = labels.metric_name().starts_with("ALERTS");
        if value.is_stale() || (is_alert && at <= restored_after) {
            continue;
        }
        let value = value.as_float().expect("no rule records a histogram");
        written.entry(labels).or_default().push((at, value));
    }
    written
}

#[test]
fn rules_write_the_samples_that_prometheus_wrote() {
    for recording in all() {
        let mut written = written(&recording);
        let n_series = written.len();
        let names = recording.json["rule_outputs"].as_object().expect("names");
        for (labels, points) in names.keys().flat_map(|name| recording.outputs(name)) {
            let ours = written.remove(&labels);
            assert_eq!(ours, Some(points), "{} {labels}", recording.name);
        }
        assert_eq!(written, Series::new(), "{}", recording.name);
        let name = &recording.name;
        say!("{name}: {n_series} of {n_series} series that rules wrote are the same");
    }
}
