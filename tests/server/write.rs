//! A sender of our own, remote write 1.0 and 2.0: what is taken, what is kept, what is counted.

use crate::process::{Server, Setup, now_ms};
use crate::sender::{BOTH, Protocol, Series};

const RULES: &str = "
groups:
- name: g
  interval: 1s
  rules:
  - {alert: High, expr: level > 5}
  - {alert: Slow, expr: histogram_count(latency) > 100}
  - {record: 'job:level:sum', expr: sum by (job) (level)}
";

const WATCH: &str = "burnwatch: {watch: [watched, '{__name__=~\"kept_.+\"}']}";

fn server() -> Server {
    Setup::with_config(WATCH, RULES).start()
}

fn dropped(server: &Server, reason: &str) -> f64 {
    let series = format!("burnwatch_samples_dropped_at_door_total{{reason=\"{reason}\"}}");
    server
        .metric(&series)
        .expect("it is counted from the start")
}

#[test]
fn everything_a_sender_has_is_taken_and_counted_in_both_protocols() {
    for protocol in BOTH {
        let server = server();
        let at = now_ms() - 10_000;
        let reply = server.write(
            protocol,
            &[
                Series::new("level")
                    .label("job", "a")
                    .float(at, 3.0)
                    .float(at + 1, 4.0),
                Series::new("latency")
                    .histogram(at, 7)
                    .help("How long it took."),
                Series::new("watched").float(at, 1.0).exemplar(at, 0.5),
            ],
        );
        assert_eq!(reply.written(), [3, 1, 1], "{protocol:?}");
        assert_eq!(reply.headers.get("content-type"), None, "no body, no type");

        assert_eq!(server.query("level", at), [r#"level{job="a"} 3"#]);
        assert_eq!(server.query("level", at + 1), [r#"level{job="a"} 4"#]);
        assert_eq!(server.query("watched", at), ["watched{} 1"]);
        assert_eq!(server.query("histogram_count(latency)", at), ["{} 7"]);
        let metadata = server.data("metadata?metric=latency");
        let latency = &metadata["latency"][0];
        assert_eq!(latency["type"], "gauge", "{protocol:?}");
        assert_eq!(latency["help"], "How long it took.");
        let version = if protocol == Protocol::V1 {
            "1.0"
        } else {
            "2.0"
        };
        let requests =
            format!("burnwatch_remote_write_requests_total{{protocol=\"{version}\",code=\"204\"}}");
        assert_eq!(server.metric(&requests), Some(1.0));
    }
}

/// Catches a door that keeps everything, and one that calls what it drops invalid.
#[test]
fn what_nothing_reads_is_dropped_at_the_door_and_counts_as_written() {
    for protocol in BOTH {
        let server = server();
        let at = now_ms() - 10_000;
        let reply = server.write(
            protocol,
            &[
                Series::new("level").float(at, 3.0),
                Series::new("unread").float(at, 1.0).float(at + 1, 2.0),
                Series::new("unread_histogram").histogram(at, 7),
                Series::new("kept_by_pattern").float(at, 5.0),
            ],
        );
        assert_eq!(reply.written(), [4, 1, 0], "{protocol:?}");
        assert_eq!(server.query("{__name__=~\"unread.*\"}", at + 1), [""; 0]);
        assert_eq!(server.query("kept_by_pattern", at), ["kept_by_pattern{} 5"]);
        assert_eq!(dropped(&server, "unread"), 3.0);
        assert_eq!(server.metric("burnwatch_samples_accepted_total"), Some(5.0));
        let names = server.data("label/__name__/values");
        let names = names.as_array().expect("a list");
        assert!(!names.iter().any(|name| name == "unread"), "{names:?}");
    }
}

/// People run both evaluators during a change-over: Prometheus sends what its rules record, too.
#[test]
fn recorded_names_from_outside_are_dropped_once_the_rules_tick() {
    for protocol in BOTH {
        let server = server();
        let at = now_ms() - 30_000;
        let level = |at, value| Series::new("level").label("job", "a").float(at, value);
        server.write(protocol, &[level(at, 3.0)]);
        server.write(protocol, &[level(at + 2_000, 4.0)]);
        let recorded = "job:level:sum";
        assert_eq!(server.query(recorded, at + 2_000).len(), 1, "it has ticked");

        let outside = |name: &str| Series::new(name).label("job", "a").float(at + 2_500, 99.0);
        let alerts = Series::new("ALERTS")
            .label("alertname", "Outside")
            .float(at + 2_500, 1.0);
        let reply = server.write(protocol, &[outside(recorded), alerts]);
        assert_eq!(reply.written(), [2, 0, 0], "{protocol:?}");
        assert_eq!(dropped(&server, "recorded"), 2.0);
        server.write(protocol, &[level(at + 4_000, 5.0)]);
        assert_eq!(server.query("ALERTS", at + 4_000), [""; 0]);
        let own = server.query(recorded, at + 4_000);
        assert!(own[0].ends_with(" 4") || own[0].ends_with(" 5"), "{own:?}");
    }
}

#[test]
fn a_stale_marker_ends_a_series_and_a_repetition_changes_nothing() {
    let server = server();
    let at = now_ms() - 10_000;
    for protocol in BOTH {
        let reply = server.write(protocol, &[Series::new("level").float(at, 3.0)]);
        assert_eq!(
            reply.written(),
            [1, 0, 0],
            "{protocol:?}: a duplicate is no error"
        );
    }
    let stale = f64::from_bits(0x7ff0_0000_0000_0002);
    server.write(
        Protocol::V1,
        &[Series::new("level").float(at + 1_000, stale)],
    );
    assert_eq!(server.query("level", at + 999).len(), 1);
    assert_eq!(server.query("level", at + 1_000), [""; 0]);
    let ordinary = Series::new("level").float(at + 2_000, f64::NAN);
    server.write(Protocol::V2, &[ordinary]);
    assert_eq!(server.query("level", at + 2_000), ["level{} NaN"]);
}

#[test]
fn metadata_alone_is_taken() {
    let server = server();
    let reply = server.write(Protocol::V1, &[Series::new("level").help("How high.")]);
    assert_eq!(reply.written(), [0, 0, 0]);
    assert_eq!(server.data("metadata")["level"][0]["help"], "How high.");
}

/// A batch larger than what is decoded on the connection's own thread.
#[test]
fn a_large_batch_is_taken_whole() {
    let server = server();
    let at = now_ms() - 10_000;
    let one = |n: usize| {
        let id = format!("{n:016x}-{:016x}", n.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        Series::new("level").label("id", &id).float(at, 1.0)
    };
    let series: Vec<Series> = (0..15_000).map(one).collect();
    let body = Protocol::V1.body(&series);
    assert!(body.len() > 256 << 10, "{} bytes", body.len());
    let reply = server.write_body(Protocol::V1, &body);
    assert_eq!((reply.status, reply.written()), (204, [15_000, 0, 0]));
    assert_eq!(server.query("count(level)", at), ["{} 15000"]);
}
