//! What senders send: a target split over two connections, one that comes and goes, an irregular
//! one, and one that nothing reads.

use burnwatch::wire::v1 as messages;
use prost::Message;

/// One request: when it arrives, in seconds of the wall clock, and its samples as
/// (series, seconds, value).
#[derive(Clone, Debug)]
pub struct Request {
    pub wall: f64,
    pub samples: Vec<(&'static str, f64, f64)>,
}

impl Request {
    /// Returns the body, from an instant on that is 0 s in the test.
    pub fn body(&self, start_ms: i64) -> Vec<u8> {
        let one = |(series, seconds, value): &(&str, f64, f64)| messages::TimeSeries {
            labels: labels(series),
            samples: vec![messages::Sample {
                value: *value,
                timestamp: start_ms + (seconds * 1000.0).round() as i64,
            }],
            ..messages::TimeSeries::default()
        };
        let request = messages::WriteRequest {
            timeseries: self.samples.iter().map(one).collect(),
            ..messages::WriteRequest::default()
        };
        let compressed = snap::raw::Encoder::new().compress_vec(&request.encode_to_vec());
        compressed.expect("below 4 GB")
    }
}

/// Reads `name{a=b,c=d}`.
fn labels(series: &str) -> Vec<messages::Label> {
    let (name, rest) = series.split_once('{').unwrap_or((series, ""));
    let pairs = rest
        .trim_end_matches('}')
        .split(',')
        .filter(|p| !p.is_empty());
    let pairs = pairs.filter_map(|pair| pair.split_once('='));
    let label = |(name, value): (&str, &str)| messages::Label {
        name: name.to_owned(),
        value: value.to_owned(),
    };
    let mut all: Vec<messages::Label> = [("__name__", name)]
        .into_iter()
        .chain(pairs)
        .map(label)
        .collect();
    all.sort_by(|a, b| a.name.cmp(&b.name));
    all
}

/// Rules whose groups read series of their own, recorded series and `ALERTS` of other groups,
/// and parts of one target.
pub const RULES: &str = "
groups:
- name: errors_alone
  interval: 10s
  rules:
  - {alert: Errors, expr: 'errors > 6', for: 20s, annotations: {value: '{{ $value }}'}}
- name: total_alone
  interval: 7s
  rules:
  - {alert: Total, expr: 'total > 6', keep_firing_for: 20s}
  - {record: 'total:max', expr: 'max_over_time(total[1m])'}
- name: ratio
  interval: 15s
  rules:
  - {record: 'job:ratio', expr: 'sum by (job) (errors) / sum by (job) (total)'}
- name: of_recorded
  interval: 10s
  rules:
  - {alert: Ratio, expr: 'job:ratio > 1', for: 15s}
  - {record: 'job:ratio:avg', expr: 'avg_over_time(job:ratio[1m])'}
- name: of_recorded_of_recorded
  interval: 5s
  rules:
  - {alert: RatioLong, expr: 'job:ratio:avg > 1.2'}
- name: gone
  interval: 5s
  rules:
  - {alert: Gone, expr: 'absent(up{job=\"comes\"})', for: 20s}
  - {alert: Never, expr: 'absent_over_time(never[2m])'}
- name: of_alerts
  interval: 10s
  rules:
  - {alert: Many, expr: 'count(ALERTS{alertname=~\"Irregular.*\",alertstate=\"firing\"}) > 0'}
  - {record: 'since:min', expr: 'min(ALERTS_FOR_STATE{alertname=\"Irregular\"})'}
- name: irregular
  interval: 5s
  rules:
  - {alert: Irregular, expr: 'level{job=\"irregular\"} > 5', for: 10s, labels: {n: '{{ $value }}'}}
  - {alert: IrregularRate, expr: 'rate(level{job=\"irregular\"}[30s]) > 0.2'}
- name: by_pattern
  interval: 15s
  rules:
  - {record: 'levels', expr: 'count({__name__=~\"level|unheard\",kind=\"odd\"})'}
- name: recorded_by_pattern
  interval: 10s
  rules:
  - {alert: RatioByPattern, expr: '{__name__=~\"job:rat.+\",__name__!~\".*avg\"} > 1'}
- name: all_up
  interval: 10s
  rules:
  - {record: 'all:up', expr: 'sum(up)'}
  - {alert: Down, expr: 'up == 0', for: 5s}
";
