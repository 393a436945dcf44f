//! One recording: reading it, and short words for what is in it.

use std::io::Read as _;

use burnwatch::model::{Labels, TimestampMs};
use flate2::read::GzDecoder;
use serde_json::Value;

/// What was recorded, as JSON.
pub struct Recording {
    /// Its name, for messages.
    pub name: &'static str,
    /// The path under which its rule file is loaded. Prometheus puts a group's ticks where the
    /// hash of path and group falls; the path then is not recorded, and this one falls alike.
    pub rules_path: &'static str,
    /// The recording.
    pub json: Value,
}

/// Returns all recordings.
pub fn all() -> [Recording; 2] {
    [
        Recording {
            name: "trace",
            rules_path: "rules-1492130.yml",
            json: unpacked(include_bytes!("../data/notify/trace.json.gz")),
        },
        Recording {
            name: "trace2",
            rules_path: "rules-5665543.yml",
            json: unpacked(include_bytes!("../data/notify/trace2.json.gz")),
        },
    ]
}

fn unpacked(packed: &[u8]) -> Value {
    let mut text = String::new();
    let read = GzDecoder::new(packed).read_to_string(&mut text);
    read.expect("a gzip file");
    serde_json::from_str(&text).expect("JSON")
}

impl Recording {
    /// Returns a text of the configuration.
    pub fn text(&self, key: &str) -> &str {
        self.json[key].as_str().expect(key)
    }

    /// Returns the external labels.
    pub fn external_labels(&self) -> Labels {
        labels(&self.json["external_labels"])
    }

    /// Returns the series that rules wrote under a name, each with its samples.
    pub fn outputs(&self, name: &str) -> Vec<(Labels, Vec<(TimestampMs, f64)>)> {
        let series = self.json["rule_outputs"][name].as_array().expect(name);
        let points = |series: &Value| {
            let values = series["values"].as_array().expect("samples").iter();
            values
                .map(|pair| (seconds(&pair[0]), number(&pair[1])))
                .collect()
        };
        series
            .iter()
            .map(|series| (labels(&series["metric"]), points(series)))
            .collect()
    }

    /// Returns when the group that holds the alerts was evaluated.
    pub fn evaluations(&self) -> Vec<TimestampMs> {
        let series = self.outputs("eval_ts_alerts").remove(0);
        series.1.into_iter().map(|(at, _)| at).collect()
    }

    /// Returns the last instant at which any group was evaluated.
    pub fn end(&self) -> TimestampMs {
        let all = ["eval_ts", "eval_ts_alerts"].map(|name| self.outputs(name));
        let times = all.iter().flatten().flat_map(|(_, points)| points);
        times.map(|(at, _)| *at).max().expect("evaluations")
    }
}

/// Returns an instant that is recorded in seconds.
pub fn seconds(value: &Value) -> TimestampMs {
    TimestampMs((value.as_f64().expect("seconds") * 1000.0).round() as i64)
}

/// Returns a sample's value.
pub fn number(value: &Value) -> f64 {
    value
        .as_str()
        .and_then(|text| text.parse().ok())
        .expect("a number")
}

/// Returns labels.
pub fn labels(value: &Value) -> Labels {
    let pairs = value.as_object().expect("labels").iter();
    Labels::from_pairs(pairs.map(|(name, value)| (name, value.as_str().expect("a text"))))
}
