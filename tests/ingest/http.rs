//! Every kind of bad request over real HTTP: its status, its text, and that the rest was written.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;

use burnwatch::clock::ManualClock;
use burnwatch::ingest::{IngestState, Limits, Node, NodeSettings, router};
use burnwatch::log::RecordingLog;
use burnwatch::wire::{v1, v2};
use prost::Message;

use crate::support::*;

const V2_TYPE: &str = "application/x-protobuf;proto=io.prometheus.write.v2.Request";
const AT: i64 = WALL.0 - 1_000;

struct Server {
    address: SocketAddr,
    node: Arc<Node>,
    log: Arc<RecordingLog>,
    _runtime: tokio::runtime::Runtime,
}

struct Reply {
    status: u16,
    headers: HashMap<String, String>,
    text: String,
}

impl Server {
    fn start() -> Server {
        Server::with(Limits::default())
    }

    fn with(limits: Limits) -> Server {
        let settings = NodeSettings {
            limits,
            ..NodeSettings::default()
        };
        let (node, logs) = node(1, settings);
        adopt(&node, reads(1, &[(0, ".+")]));
        logs[0].take();
        let state = IngestState {
            node: Arc::clone(&node),
            clock: Arc::new(ManualClock::at(WALL)),
            receive: burnwatch::server::pipeline::receive_since,
        };
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        let listener = runtime
            .block_on(tokio::net::TcpListener::bind("127.0.0.1:0"))
            .expect("a port");
        let address = listener.local_addr().expect("bound");
        let app = router(state).into_make_service_with_connect_info::<SocketAddr>();
        runtime.spawn(async move { axum::serve(listener, app).await });
        Server {
            address,
            node,
            log: Arc::clone(&logs[0]),
            _runtime: runtime,
        }
    }

    fn request(&self, method: &str, headers: &[(&str, &str)], body: &[u8]) -> Reply {
        let mut stream = TcpStream::connect(self.address).expect("connects");
        let mut head = format!("{method} /api/v1/write HTTP/1.1\r\nHost: test\r\n");
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str(&format!(
            "Content-Length: {}\r\nConnection: close\r\n\r\n",
            body.len()
        ));
        stream.write_all(head.as_bytes()).expect("sends");
        // The server may answer and close before it has read a body that is too large.
        let _ = stream.write_all(body);
        let mut reply = Vec::new();
        let _ = stream.read_to_end(&mut reply);
        let reply = String::from_utf8(reply).expect("text");
        let (head, text) = reply.split_once("\r\n\r\n").expect("a whole answer");
        let mut lines = head.lines();
        let status = lines.next().and_then(|line| line.split(' ').nth(1));
        let header = |line: &str| {
            let (name, value) = line.split_once(": ")?;
            Some((name.to_ascii_lowercase(), value.to_owned()))
        };
        Reply {
            status: status.and_then(|code| code.parse().ok()).expect("a status"),
            headers: lines.filter_map(header).collect(),
            text: text.to_owned(),
        }
    }

    fn post_v1(&self, body: &[u8]) -> Reply {
        let headers = [
            ("Content-Type", "application/x-protobuf"),
            ("Content-Encoding", "snappy"),
            ("X-Prometheus-Remote-Write-Version", "0.1.0"),
        ];
        self.request("POST", &headers, body)
    }

    fn post_v2(&self, body: &[u8]) -> Reply {
        let headers = [("Content-Type", V2_TYPE), ("Content-Encoding", "snappy")];
        self.request("POST", &headers, body)
    }

    /// What was written, by name of metric.
    fn written(&self) -> Vec<(String, i64, f64)> {
        floats(&self.log.entries())
    }
}

impl Reply {
    fn written(&self) -> [u64; 3] {
        ["samples", "histograms", "exemplars"].map(|what| {
            let name = format!("x-prometheus-remote-write-{what}-written");
            self.headers[&name].parse().expect("a number")
        })
    }
}

#[test]
fn a_good_request_is_answered_204_with_counts_in_both_protocols() {
    let server = Server::start();
    let up = series(&[("__name__", "up"), ("job", "a")], &[(AT, 1.0)]);
    let reply = server.post_v1(&compress(&plain_v1(vec![up])));
    assert_eq!((reply.status, reply.text.as_str()), (204, ""));
    assert_eq!(reply.written(), [1, 0, 0]);

    let mut symbols = Symbols::new();
    // The same series, labels in another order, and a new one with everything.
    let again = symbols.series(&[("job", "a"), ("__name__", "up")], &[(AT + 1, 0.0)]);
    let mut rich = symbols.series(&[("__name__", "rich")], &[(AT, 2.0), (AT + 1, 3.0)]);
    rich.exemplars.push(v2::Exemplar {
        labels_refs: symbols.refs(&[("trace_id", "x")]),
        value: 1.0,
        timestamp: AT,
    });
    rich.metadata = Some(v2::Metadata {
        r#type: v2::metadata::MetricType::Counter as i32,
        help_ref: symbols.add("What it is."),
        unit_ref: symbols.add("seconds"),
    });
    let reply = server.post_v2(&compress(&symbols.plain(vec![again, rich])));
    assert_eq!((reply.status, reply.text.as_str()), (204, ""));
    assert_eq!(reply.written(), [3, 0, 1]);
    let up = r#"up{job="a"}"#.to_owned();
    let rich = "rich".to_owned();
    let expected = [
        (up.clone(), AT, 1.0),
        (up, AT + 1, 0.0),
        (rich.clone(), AT, 2.0),
        (rich, AT + 1, 3.0),
    ];
    assert_eq!(server.written(), expected);
    let metadata = server.node.metadata().get("rich").expect("kept");
    assert_eq!((metadata.kind, &*metadata.help), ("counter", "What it is."));
}

#[test]
fn metadata_of_1_0_comes_alone() {
    let server = Server::start();
    let request = v1::WriteRequest {
        metadata: vec![v1::MetricMetadata {
            r#type: v1::metric_metadata::MetricType::Gauge as i32,
            metric_family_name: "up".to_owned(),
            help: "Whether it is.".to_owned(),
            unit: String::new(),
        }],
        ..v1::WriteRequest::default()
    };
    let reply = server.post_v1(&compress(&request.encode_to_vec()));
    assert_eq!(reply.status, 204);
    let all = server.node.metadata().all();
    assert_eq!((all.len(), &*all[0].0, all[0].1.kind), (1, "up", "gauge"));
    assert!(server.log.entries().is_empty());
}

#[test]
fn headers_choose_the_message_or_are_refused_with_415() {
    let server = Server::start();
    let body = |n: i64| {
        let name = format!("m{n}");
        compress(&plain_v1(vec![series(
            &[("__name__", &name)],
            &[(AT, 1.0)],
        )]))
    };
    let mut n = 0;
    let mut check = |headers: &[(&str, &str)], status: u16, text: &str| {
        n += 1;
        let reply = server.request("POST", headers, &body(n));
        assert_eq!(reply.status, status, "{headers:?}: {}", reply.text);
        assert!(reply.text.contains(text), "{headers:?}: {}", reply.text);
    };
    let snappy = ("Content-Encoding", "snappy");
    let content_type = |value| ("Content-Type", value);
    check(&[], 204, "");
    check(&[snappy], 204, "");
    check(&[content_type("application/x-protobuf")], 204, "");
    check(
        &[content_type(
            "application/x-protobuf;proto=prometheus.WriteRequest",
        )],
        204,
        "",
    );
    check(
        &[content_type(
            "application/x-protobuf; proto=\"prometheus.WriteRequest\"",
        )],
        204,
        "",
    );
    // A 1.0 body read as 2.0 is an empty message.
    check(&[content_type(V2_TYPE), snappy], 204, "");
    check(
        &[content_type("application/json")],
        415,
        "application/x-protobuf",
    );
    check(
        &[content_type("application/x-protobuf;proto=x.Y")],
        415,
        "x.Y",
    );
    check(&[("Content-Encoding", "gzip")], 415, "gzip");
    check(
        &[
            ("Content-Encoding", "zstd"),
            content_type("application/x-protobuf"),
        ],
        415,
        "zstd",
    );
    assert_eq!(server.written().len(), 5);
    let reply = server.request("GET", &[], b"");
    assert_eq!(
        (reply.status, reply.headers["allow"].as_str()),
        (405, "POST")
    );
}

#[test]
fn undecodable_bodies_are_refused_whole() {
    let server = Server::start();
    let check = |body: &[u8], text: &str| {
        for reply in [server.post_v1(body), server.post_v2(body)] {
            assert_eq!(reply.status, 400, "{}", reply.text);
            assert!(reply.text.contains(text), "{}", reply.text);
            assert_eq!(reply.written(), [0, 0, 0]);
        }
    };
    let good = compress(&plain_v1(vec![series(&[("__name__", "up")], &[(AT, 1.0)])]));
    check(b"", "snappy");
    check(b"no snappy at all, just text", "snappy");
    check(&good[..good.len() - 3], "snappy");
    // A body that says it holds 100 MB, and does not.
    check(&[0x80, 0xc2, 0xd7, 0x2f, 0x00, 0x61], "snappy");
    check(&compress(&[0x2a, 0x05, 0x01]), "malformed protobuf");
    check(&compress(&[0x0b, 0x0c]), "groups");
    check(&compress(&[0xff; 11]), "varint");
    check(&compress(&[0x00, 0x00]), "invalid tag");
    let reply = server.post_v1(&compress(&[0x08, 0x01]));
    assert_eq!(reply.status, 400);
    assert!(reply.text.contains("wire type"), "{}", reply.text);
    let not_empty = v2::Request {
        symbols: vec!["up".to_owned()],
        timeseries: Vec::new(),
    };
    let reply = server.post_v2(&compress(&not_empty.encode_to_vec()));
    assert_eq!(reply.status, 400);
    assert_eq!(reply.text, "symbols must start with an empty string\n");
    assert!(server.log.entries().is_empty());
}

#[test]
fn bodies_beyond_the_limits_are_413_before_room_is_made_for_them() {
    let server = Server::with(Limits {
        request_bytes: 100_000,
        request_decoded_bytes: 200_000,
        request_items: 1_000,
        ..Limits::default()
    });
    let check = |body: &[u8], text: &str| {
        let reply = server.post_v1(body);
        assert_eq!(reply.status, 413, "{}", reply.text);
        assert!(reply.text.contains(text), "{}", reply.text);
    };
    check(&vec![7; 100_001], "body exceeds the limit of 100000 bytes");
    // A bomb: 20 KB that become 400 KB.
    check(
        &compress(&vec![0; 400_000]),
        "exceeds the limit of 200000 bytes",
    );
    let samples: Vec<_> = (0..1_000).map(|n| (AT - n, 0.0)).collect();
    let many = series(&[("__name__", "up")], &samples);
    check(
        &compress(&plain_v1(vec![many])),
        "more than 1000 series, samples",
    );
    assert!(server.log.entries().is_empty());
}

/// Sends a good series, bad ones and another good one: the good ones are written, the answer is
/// 400 and says why.
fn check_v1(bad: Vec<v1::TimeSeries>, text: &str) {
    let server = Server::start();
    let mut all = vec![series(&[("__name__", "first")], &[(AT, 1.0)])];
    all.extend(bad);
    all.push(series(&[("__name__", "last")], &[(AT, 2.0)]));
    let reply = server.post_v1(&compress(&plain_v1(all)));
    assert_eq!((reply.status, reply.text.as_str()), (400, text));
    assert_eq!(reply.headers["content-type"], "text/plain; charset=utf-8");
    assert_eq!(reply.written()[0], 2);
    let written = server.written();
    assert_eq!(written.len(), 2);
    assert_eq!((&*written[0].0, &*written[1].0), ("first", "last"));
}

#[test]
fn bad_labels_are_refused_and_the_rest_is_written() {
    let one = &[(AT, 0.0)];
    check_v1(
        vec![
            series(&[("job", "a")], one),
            series(&[("__name__", "")], one),
        ],
        "missing_name: 2 refused: the label __name__ is missing or empty; first: {job=\"a\"}\n",
    );
    check_v1(
        vec![series(&[("__name__", "x"), ("", "v")], one)],
        "empty_label_name: 1 refused: a label has no name; \
         first: {__name__=\"x\", =\"v\"}\n",
    );
    check_v1(
        vec![series(
            &[("__name__", "x"), ("a", "1"), ("a", "2")],
            &[(AT, 0.0), (AT + 1, 0.0)],
        )],
        "duplicate_label: 2 refused: a label occurs twice; \
         first: {__name__=\"x\", a=\"1\", a=\"2\"} (label a)\n",
    );
    let long = "n".repeat(1025);
    check_v1(
        vec![series(&[("__name__", "x"), (&long, "v")], one)],
        &format!(
            "label_name_too_long: 1 refused: a label name is too long; \
             first: {{__name__=\"x\", {0}… (1025 bytes)=\"v\"}} (label {0}… (1025 bytes))\n",
            "n".repeat(64)
        ),
    );
    let many: Vec<(String, String)> = (0..128).map(|n| (format!("l{n:03}"), "v".into())).collect();
    let mut pairs = vec![("__name__", "x")];
    pairs.extend(many.iter().map(|(name, value)| (&**name, &**value)));
    let server = Server::start();
    let body = compress(&plain_v1(vec![series(&pairs, one)]));
    let reply = server.post_v1(&body);
    assert_eq!(reply.status, 400);
    assert!(
        reply
            .text
            .starts_with("too_many_labels: 1 refused: too many labels; first: {__name")
    );
    assert!(reply.text.contains("113 more}"), "{}", reply.text);
}

#[test]
fn a_label_of_ten_megabytes_is_refused_in_a_short_answer() {
    let huge = "x".repeat(10 << 20);
    let bad = series(&[("__name__", "x"), ("a", &huge)], &[(AT, 0.0)]);
    let shown = format!("\"{}… (10485760 bytes)\"", "x".repeat(64));
    check_v1(
        vec![bad],
        &format!(
            "label_value_too_long: 1 refused: a label value is too long; \
             first: {{__name__=\"x\", a={shown}}} (label a)\n"
        ),
    );
}

#[test]
fn labels_that_are_not_utf8_are_refused_and_any_utf8_is_taken() {
    let server = Server::start();
    let good = series(&[("__name__", "größe"), ("é t", "ü")], &[(AT, 1.0)]);
    let mut body = plain_v1(vec![good]);
    let bad = plain_v1(vec![series(
        &[("__name__", "bad"), ("a", "QQ")],
        &[(AT, 1.0)],
    )]);
    let at = bad
        .windows(2)
        .position(|two| two == b"QQ")
        .expect("the value");
    let mut bad = bad;
    bad[at..at + 2].copy_from_slice(&[0xff, 0xfe]);
    body.extend(bad);
    let reply = server.post_v1(&compress(&body));
    assert_eq!(
        (reply.status, reply.text.as_str()),
        (
            400,
            "invalid_utf8: 1 refused: a label is not valid UTF-8; \
             first: {__name__=\"bad\", a=\"\u{fffd}\u{fffd}\"} (label a)\n"
        )
    );
    assert_eq!(
        server.written(),
        [(r#"{"größe", "é t"="ü"}"#.to_owned(), AT, 1.0)]
    );
}

#[test]
fn unsorted_labels_are_sorted_and_empty_values_dropped() {
    let server = Server::start();
    let unsorted = series(
        &[("z", "1"), ("a", ""), ("__name__", "x"), ("b", "2")],
        &[(AT, 1.0)],
    );
    let reply = server.post_v1(&compress(&plain_v1(vec![unsorted])));
    assert_eq!(reply.status, 204, "{}", reply.text);
    assert_eq!(
        server.written(),
        [(r#"x{b="2", z="1"}"#.to_owned(), AT, 1.0)]
    );
}

#[test]
fn timestamps_out_of_bounds_and_out_of_order_are_refused_sample_by_sample() {
    let labels: Pairs<'_> = &[("__name__", "x")];
    let future = WALL.0 + 600_001;
    check_v1(
        vec![series(
            &[("__name__", "y")],
            &[(future, 1.0), (i64::MAX, 1.0)],
        )],
        &format!(
            "too_far_in_future: 2 refused: timestamp is too far in the future; \
             first: {{__name__=\"y\"}} at {future}\n"
        ),
    );
    check_v1(
        vec![series(&[("__name__", "y")], &[(-1, 1.0), (i64::MIN, 1.0)])],
        "before_epoch: 2 refused: timestamp is before 1970; first: {__name__=\"y\"} at -1\n",
    );
    let server = Server::start();
    let first = series(labels, &[(AT, 1.0), (AT + 600_000, f64::NAN)]);
    assert_eq!(
        server.post_v1(&compress(&plain_v1(vec![first]))).status,
        204
    );
    let again = series(labels, &[(AT + 600_000, f64::NAN)]);
    let reply = server.post_v1(&compress(&plain_v1(vec![again])));
    assert_eq!(
        (reply.status, reply.written()),
        (204, [1, 0, 0]),
        "the same NaN again"
    );
    let mixed = series(
        labels,
        &[(AT, 1.0), (AT + 600_000, 2.0), (AT + 600_001, 3.0)],
    );
    let reply = server.post_v1(&compress(&plain_v1(vec![mixed])));
    assert_eq!(
        (reply.status, reply.text),
        (
            400,
            format!(
                "out_of_order: 1 refused: out of order sample; \
                 first: {{__name__=\"x\"}} at {AT}\n\
                 duplicate_timestamp: 1 refused: duplicate sample for timestamp with another \
                 value; first: {{__name__=\"x\"}} at {}\n",
                AT + 600_000
            )
        )
    );
    assert_eq!(server.written().len(), 3);
}

#[test]
fn bad_references_refuse_a_series_of_2_0() {
    let server = Server::start();
    let mut symbols = Symbols::new();
    let good = symbols.series(&[("__name__", "good")], &[(AT, 1.0)]);
    let mut out_of_range = symbols.series(&[("__name__", "x")], &[(AT, 1.0)]);
    out_of_range.labels_refs.extend([99, 1]);
    let mut odd = symbols.series(&[("__name__", "x")], &[(AT, 1.0)]);
    odd.labels_refs.push(1);
    let mut bad_exemplar = symbols.series(&[("__name__", "e")], &[(AT, 1.0)]);
    bad_exemplar.exemplars.push(v2::Exemplar {
        labels_refs: vec![1],
        value: 0.0,
        timestamp: AT,
    });
    let all = vec![good, out_of_range, odd, bad_exemplar];
    let reply = server.post_v2(&compress(&symbols.plain(all)));
    assert_eq!(
        (reply.status, reply.text.as_str()),
        (
            400,
            "bad_symbol_ref: 3 refused: a symbol reference is out of range or has no pair; \
             first: {__name__=\"x\", =\"__name__\"}\n"
        )
    );
    assert_eq!(reply.written(), [2, 0, 0]);
    assert_eq!(server.written().len(), 2);
}

#[test]
fn a_series_without_samples_is_refused_in_2_0_and_taken_in_1_0() {
    let server = Server::start();
    let empty = series(&[("__name__", "x")], &[]);
    assert_eq!(
        server.post_v1(&compress(&plain_v1(vec![empty]))).status,
        204
    );
    let mut symbols = Symbols::new();
    let empty = symbols.series(&[("__name__", "x")], &[]);
    let good = symbols.series(&[("__name__", "y")], &[(AT, 1.0)]);
    let reply = server.post_v2(&compress(&symbols.plain(vec![empty, good])));
    assert_eq!(
        (reply.status, reply.text.as_str()),
        (
            400,
            "no_samples: 1 refused: neither samples nor histograms; first: {__name__=\"x\"}\n"
        )
    );
    assert_eq!(server.written().len(), 1);
}

#[test]
fn exemplars_out_of_order_are_refused_in_2_0_and_ignored_in_1_0() {
    let server = Server::start();
    let mut old = series(&[("__name__", "x")], &[(AT, 1.0)]);
    let exemplar = |timestamp| v1::Exemplar {
        labels: vec![label("trace_id", "x")],
        value: 1.0,
        timestamp,
    };
    old.exemplars = vec![exemplar(AT), exemplar(AT - 1)];
    let reply = server.post_v1(&compress(&plain_v1(vec![old])));
    assert_eq!((reply.status, reply.written()), (204, [1, 0, 2]));

    let mut symbols = Symbols::new();
    let mut new = symbols.series(&[("__name__", "x")], &[(AT + 1, 1.0)]);
    let exemplar = |timestamp| v2::Exemplar {
        labels_refs: Vec::new(),
        value: 1.0,
        timestamp,
    };
    new.exemplars = vec![exemplar(AT), exemplar(AT - 1)];
    let reply = server.post_v2(&compress(&symbols.plain(vec![new])));
    assert_eq!((reply.status, reply.written()), (400, [1, 0, 1]));
    assert!(
        reply.text.starts_with("out_of_order_exemplar: 1 refused"),
        "{}",
        reply.text
    );
}

#[test]
fn a_full_log_and_a_stopping_server_say_come_again() {
    let server = Server::start();
    let body = compress(&plain_v1(vec![series(&[("__name__", "x")], &[(AT, 1.0)])]));
    server.log.set_full(true);
    let reply = server.post_v1(&body);
    assert_eq!((reply.status, &*reply.headers["retry-after"]), (503, "5"));
    assert!(server.log.entries().is_empty());
    server.log.set_full(false);
    assert_eq!(
        server.post_v1(&body).status,
        204,
        "nothing of it was kept before"
    );
    assert_eq!(server.written().len(), 1);
    server.node.stop();
    let reply = server.post_v1(&body);
    assert_eq!(
        (reply.status, reply.text.as_str()),
        (503, "the server is stopping\n")
    );
}

#[test]
fn a_repeated_body_gets_the_same_answer_and_is_written_once() {
    let server = Server::start();
    let one = series(&[("__name__", "x")], &[(AT, 1.0), (AT + 1, 2.0)]);
    let bad = series(&[("job", "x")], &[(AT, 1.0)]);
    let body = compress(&plain_v1(vec![one, bad]));
    let (first, second) = (server.post_v1(&body), server.post_v1(&body));
    assert_eq!(first.status, 400);
    assert_eq!((first.status, &first.text), (second.status, &second.text));
    assert_eq!(first.written(), second.written());
    assert_eq!(server.written().len(), 2);
}
