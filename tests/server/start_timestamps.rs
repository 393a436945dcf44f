//! Start timestamps of remote write 2.0: from the wire into what functions over counters answer.

use burnwatch::wire::v2;
use prost::Message as _;

use crate::process::{Server, Setup, now_ms};
use crate::sender::{Protocol, compress};

const RULES: &str = "
groups:
- name: g
  interval: 1s
  rules:
  - {alert: Many, expr: 'increase(requests_total[5m]) > 1000'}
";

/// Sends samples as (instant, start timestamp, value).
fn push(server: &Server, samples: &[(i64, i64, f64)]) {
    let sample = |(timestamp, start_timestamp, value): &(i64, i64, f64)| v2::Sample {
        value: *value,
        timestamp: *timestamp,
        start_timestamp: *start_timestamp,
    };
    let series = v2::TimeSeries {
        labels_refs: vec![1, 2],
        samples: samples.iter().map(sample).collect(),
        ..v2::TimeSeries::default()
    };
    let request = v2::Request {
        symbols: ["", "__name__", "requests_total"].map(str::to_owned).into(),
        timeseries: vec![series],
    };
    let body = compress(&request.encode_to_vec());
    let reply = server.write_body(Protocol::V2, &body);
    assert_eq!((reply.status, reply.text.as_str()), (204, ""));
}

/// A counter that started anew between two samples without falling, then goes on.
#[test]
fn a_reset_that_only_its_start_tells_counts_where_both_features_are_on() {
    let both = "--enable-feature=st-storage,use-start-timestamps";
    let cases = [
        ("--enable-feature=", "{} 0"),
        ("--enable-feature=st-storage", "{} 0"),
        ("--enable-feature=use-start-timestamps", "{} 0"),
        (both, "{} 1"),
    ];
    for (flag, resets) in cases {
        let server = Setup::with_rules(RULES).flag(flag).start();
        let at = now_ms() - 40_000;
        let first = at - 100_000;
        push(&server, &[(at, first, 5.0), (at + 10_000, first, 6.0)]);
        let anew = at + 15_000;
        push(
            &server,
            &[(at + 20_000, anew, 7.0), (at + 30_000, anew, 8.0)],
        );
        let query = "resets(requests_total[1m])";
        assert_eq!(server.query(query, at + 30_000), [resets], "{flag}");
    }
}
