//! Whatever is sent: a status, a text that says why, the good rest written, and the server goes
//! on.

use std::time::Instant;

use crate::process::{Reply, Server, Setup, now_ms};
use crate::sender::{BOTH, Protocol, Series, compress};

const RULES: &str = "
groups:
- name: g
  interval: 1s
  rules:
  - {alert: High, expr: '{__name__=~\"good|last|bad\"} > 5'}
";

fn server() -> Server {
    Setup::with_rules(RULES).start()
}

/// A sample must be taken and seen after whatever came before.
fn goes_on(server: &Server) {
    let at = now_ms() - 1_000;
    server.push("last", at, 1.0);
    assert_eq!(server.query("last", at), ["last{} 1"]);
}

fn refused(server: &Server, reply: &Reply, status: u16, part: &str) {
    assert_eq!(reply.status, status, "{}", reply.text);
    assert!(reply.text.contains(part), "{part:?} in {}", reply.text);
    assert_eq!(reply.written(), [0, 0, 0]);
    goes_on(server);
}

/// Sends bad series between two good ones in both protocols; the answer names the reason and the
/// first of them, and the good ones are there.
fn check(bad: impl Fn(i64) -> Vec<Series>, answer: impl Fn(i64) -> String) {
    let server = server();
    for (n, protocol) in (0..).zip(BOTH) {
        let at = now_ms() - 10_000 + n;
        let good = |name: &str| Series::new(name).float(at, at as f64);
        let mut series = vec![good("good")];
        series.extend(bad(at));
        series.push(good("last"));
        let reply = server.write_body(protocol, &protocol.body(&series));
        let expected = answer(at);
        assert_eq!((reply.status, reply.text), (400, expected), "{protocol:?}");
        assert_eq!(reply.headers["content-type"], "text/plain; charset=utf-8");
        let names = ["good", "last"];
        for name in names {
            let found = server.query(&format!("{name}{{n=\"\"}}"), at);
            assert_eq!(found, [format!("{name}{{}} {at}")], "{protocol:?}");
        }
        assert_eq!(server.query("bad", at), [""; 0], "{protocol:?}");
    }
}

#[test]
fn bodies_that_cannot_be_read_are_refused_whole() {
    let server = server();
    let good = Protocol::V1.body(&[Series::new("good").float(now_ms(), 1.0)]);
    let mut random = fastrand::Rng::with_seed(7);
    let garbage: Vec<u8> = (0..10_000).map(|_| random.u8(..)).collect();
    for protocol in BOTH {
        refused(&server, &server.write_body(protocol, b""), 400, "snappy");
        let reply = server.write_body(protocol, b"hello, is this snappy?");
        refused(&server, &reply, 400, "snappy");
        let reply = server.write_body(protocol, &good[..good.len() / 2]);
        refused(&server, &reply, 400, "snappy");
        let reply = server.write_body(protocol, &compress(&garbage));
        refused(&server, &reply, 400, "protobuf");
        let framed = b"\xff\x06\x00\x00sNaPpY and so on";
        refused(&server, &server.write_body(protocol, framed), 400, "snappy");
    }
    assert_eq!(server.query("good", now_ms()), [""; 0]);
}

/// Catches room that is made before the size is looked at.
#[test]
fn a_bomb_is_refused_before_room_is_made_for_it() {
    let server = server();
    let memory = || {
        let bytes = server.metric("process_resident_memory_bytes");
        bytes.expect("it is known")
    };
    let before = memory();
    // Four gigabytes, by the body's own word.
    let says_4_gb = [0xff, 0xff, 0xff, 0xff, 0x0f, 0x00, 0x61];
    // 192 MB that fit into 9.
    let bomb = compress(&vec![0; 192 << 20]);
    let begun = Instant::now();
    for protocol in BOTH {
        let reply = server.write_body(protocol, &says_4_gb);
        refused(&server, &reply, 413, "limit of 134217728 bytes");
        let reply = server.write_body(protocol, &bomb);
        refused(&server, &reply, 413, "limit of 134217728 bytes");
    }
    eprintln!("four bombs and what follows them: {:?}", begun.elapsed());
    let grown = memory() - before;
    assert!(grown < 96e6, "grew by {grown} bytes");
    let reply = server.write_body(Protocol::V1, &vec![0; (32 << 20) + 1]);
    refused(&server, &reply, 413, "limit of 33554432 bytes");
}

#[test]
fn a_wrong_type_or_encoding_is_415() {
    let server = server();
    let body = Protocol::V1.body(&[Series::new("good").float(now_ms(), 1.0)]);
    let post = |headers: &[(&str, &str)]| server.send("POST", "/api/v1/write", headers, &body);
    let cases: [(&[(&str, &str)], &str); 4] = [
        (
            &[("Content-Type", "application/json")],
            "use application/x-protobuf",
        ),
        (
            &[(
                "Content-Type",
                "application/x-protobuf;proto=io.prometheus.write.v3.Request",
            )],
            "use prometheus.WriteRequest or io.prometheus.write.v2.Request",
        ),
        (&[("Content-Encoding", "gzip")], "use snappy"),
        (
            &[
                ("Content-Encoding", "zstd"),
                ("Content-Type", "application/x-protobuf"),
            ],
            "use snappy",
        ),
    ];
    for (headers, remedy) in cases {
        refused(&server, &post(headers), 415, remedy);
    }
    let reply = server.get("/api/v1/write");
    assert_eq!(reply.status, 405);
}

#[test]
fn absurd_timestamps_are_refused_sample_by_sample() {
    const YEAR_2100: i64 = 4_102_444_800_000;
    check(
        |at| {
            vec![
                Series::new("bad")
                    .float(YEAR_2100, 1.0)
                    .float(i64::MAX, 1.0),
                Series::new("bad").float(-1, 1.0).float(i64::MIN, 1.0),
                // The neighbours of a sample do not decide over it.
                Series::new("good")
                    .label("n", "1")
                    .float(at, 7.0)
                    .float(YEAR_2100, 1.0),
            ]
        },
        |_| {
            format!(
                "too_far_in_future: 3 refused: timestamp is too far in the future; \
                 first: {{__name__=\"bad\"}} at {YEAR_2100}\n\
                 before_epoch: 2 refused: timestamp is before 1970; \
                 first: {{__name__=\"bad\"}} at -1\n"
            )
        },
    );
}

#[test]
fn nan_and_infinity_are_values_like_others() {
    let server = server();
    let at = now_ms() - 10_000;
    for (n, value) in [
        f64::NAN,
        f64::INFINITY,
        f64::NEG_INFINITY,
        f64::MIN_POSITIVE,
    ]
    .into_iter()
    .enumerate()
    {
        let at = at + i64::try_from(n).expect("small");
        server.push("good", at, value);
        let shown = server.query("good", at);
        assert_eq!(shown.len(), 1, "{value}: {shown:?}");
    }
    assert_eq!(server.query("good", at + 1), ["good{} +Inf"]);
}

#[test]
fn bad_labels_are_named() {
    check(
        |at| {
            vec![
                Series::new("bad")
                    .label("a", "1")
                    .label("a", "2")
                    .float(at, 1.0)
                    .float(at + 1, 1.0),
            ]
        },
        |_| {
            "duplicate_label: 2 refused: a label occurs twice; \
             first: {__name__=\"bad\", a=\"1\", a=\"2\"} (label a)\n"
                .to_owned()
        },
    );
    check(
        |at| {
            vec![
                Series::without_name().label("job", "a").float(at, 1.0),
                Series::new("").label("job", "b").float(at, 1.0),
                Series::new("bad").label("", "x").float(at, 1.0),
            ]
        },
        |_| {
            "missing_name: 2 refused: the label __name__ is missing or empty; \
             first: {job=\"a\"}\n\
             empty_label_name: 1 refused: a label has no name; \
             first: {__name__=\"bad\", =\"x\"}\n"
                .to_owned()
        },
    );
}

#[test]
fn a_label_of_ten_megabytes_is_refused_in_a_short_answer() {
    let huge = "x".repeat(10 << 20);
    check(
        |at| vec![Series::new("bad").label("a", &huge).float(at, 1.0)],
        |_| {
            let shown = format!("\"{}… (10485760 bytes)\"", "x".repeat(64));
            format!(
                "label_value_too_long: 1 refused: a label value is too long; \
                 first: {{__name__=\"bad\", a={shown}}} (label a)\n"
            )
        },
    );
}

#[test]
fn labels_that_are_not_utf8_are_refused() {
    let server = server();
    for (n, protocol) in (0..).zip(BOTH) {
        let at = now_ms() - 10_000 + n;
        let series = [
            Series::new("good").float(at, 1.0),
            Series::new("bad").label("a", "QQQ").float(at, 1.0),
        ];
        let mut message = protocol.message(&series);
        let value = message.windows(3).position(|three| three == b"QQQ");
        let value = value.expect("the value is in there");
        message[value..value + 3].copy_from_slice(b"\xff\xfe\x80");
        let reply = server.write_body(protocol, &compress(&message));
        let text = "invalid_utf8: 1 refused: a label is not valid UTF-8; \
                    first: {__name__=\"bad\", a=\"\u{fffd}\u{fffd}\u{fffd}\"} (label a)\n";
        assert_eq!(
            (reply.status, reply.text.as_str()),
            (400, text),
            "{protocol:?}"
        );
        assert_eq!(server.query("good", at), ["good{} 1"]);
    }
}

#[test]
fn labels_may_come_in_any_order() {
    let server = server();
    for (n, protocol) in (0..).zip(BOTH) {
        let at = now_ms() - 10_000 + n;
        let unsorted = Series::without_name()
            .label("z", "1")
            .label("empty", "")
            .label("a", "2")
            .label("__name__", "good")
            .float(at, 1.0);
        server.write(protocol, &[unsorted]);
        assert_eq!(
            server.query("good", at),
            [r#"good{a="2",z="1"} 1"#],
            "{protocol:?}"
        );
    }
}

#[test]
fn what_is_refused_is_counted_by_reason() {
    let server = server();
    let at = now_ms() - 10_000;
    server.push("good", at, 1.0);
    let old = Series::new("good").float(at - 1, 2.0).float(at, 2.0);
    let reply = server.write_body(Protocol::V2, &Protocol::V2.body(&[old]));
    assert_eq!(
        (reply.status, reply.text),
        (
            400,
            format!(
                "out_of_order: 1 refused: out of order sample; first: {{__name__=\"good\"}} at {}\n\
                 duplicate_timestamp: 1 refused: duplicate sample for timestamp with another \
                 value; first: {{__name__=\"good\"}} at {at}\n",
                at - 1
            )
        )
    );
    for reason in ["out_of_order", "duplicate_timestamp"] {
        let series = format!("burnwatch_samples_rejected_total{{reason=\"{reason}\"}}");
        assert_eq!(server.metric(&series), Some(1.0), "{reason}");
    }
    goes_on(&server);
}
