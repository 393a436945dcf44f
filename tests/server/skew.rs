//! Senders whose clocks are wrong, against the real process and the real wall clock: who is right is
//! served as ever, who is behind counts from when it comes, who is ahead from when its time has come.

use std::time::{Duration, Instant};

use crate::process::{Reply, Server, Setup, now_ms, wait_for};
use crate::receiver::Receiver;
use crate::sender::{Protocol, Series};

const RULES: &str = "
groups:
- name: skew
  interval: 1s
  rules:
  - {alert: Right, expr: right > 5}
  - {alert: Behind, expr: behind > 5}
  - {alert: Ahead, expr: ahead > 5}
";

/// How far two clocks are wrong: less than windows look back, and than what may be ahead.
const BEHIND_MS: i64 = 120_000;
const AHEAD_MS: i64 = 10_000;

fn send(server: &Server, tenant: &str, name: &str, at: i64, value: f64) -> Reply {
    let series = Series::new(name)
        .label("job", tenant)
        .label("instance", "i");
    let headers = [
        ("Content-Type", Protocol::V2.content_type()),
        ("X-Scope-OrgID", tenant),
    ];
    let body = Protocol::V2.body(&[series.float(at, value)]);
    server.send("POST", "/api/v1/write", &headers, &body)
}

#[test]
fn senders_with_wrong_clocks_disturb_nobody_and_are_heard() {
    let alertmanager = Receiver::start();
    let config = format!(
        "alerting:\n  alertmanagers:\n  - static_configs: [{{targets: ['{}']}}]\nburnwatch:\n  \
         limits: {{per_sender: {{header: X-Scope-OrgID}}}}\n",
        alertmanager.address()
    );
    let server = Setup::with_config(&config, RULES).start();
    let all = |value: f64| {
        for (name, skew) in [("right", 0), ("behind", -BEHIND_MS), ("ahead", AHEAD_MS)] {
            let reply = send(&server, name, name, now_ms() + skew, value);
            assert_eq!(reply.status, 204, "{name}: {}", reply.text);
        }
    };
    for _ in 0..5 {
        all(1.0);
        std::thread::sleep(Duration::from_millis(200));
    }
    // Each says so of itself.
    for (sender, expected) in [("right", 0), ("behind", BEHIND_MS), ("ahead", -AHEAD_MS)] {
        let series = format!("burnwatch_clock_lag_seconds{{sender=\"{sender}\"}}");
        let lag = server.metric(&series).expect("a metric");
        assert!((lag - expected as f64 / 1e3).abs() < 1.0, "{sender}: {lag}");
    }
    let crossed = Instant::now();
    while alertmanager.seen("Ahead").is_empty() || alertmanager.seen("Behind").is_empty() {
        assert!(
            crossed.elapsed() < Duration::from_secs(60),
            "two alerts are missing"
        );
        all(9.0);
        // Whatever the others' clocks say, nobody has to wait for who is right.
        if alertmanager.seen("Right").is_empty() {
            let late = crossed.elapsed();
            assert!(
                late < Duration::from_millis(AHEAD_MS as u64),
                "Right after {late:?}"
            );
        }
        // What is ahead says nothing of now.
        if crossed.elapsed() < Duration::from_millis(AHEAD_MS as u64 - 1_000) {
            assert!(
                alertmanager.seen("Ahead").is_empty(),
                "its time has not come"
            );
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    let right = alertmanager.wait_firing("Right").instant("startsAt");
    let behind = alertmanager.wait_firing("Behind").instant("startsAt");
    let ahead = alertmanager.wait_firing("Ahead").instant("startsAt");
    assert!(
        ahead - right >= AHEAD_MS - 2_000,
        "{} ms later",
        ahead - right
    );
    assert!(
        behind - right < 10_000,
        "it counts from when it comes: {}",
        behind - right
    );

    // A clock that is wrong by more than `future` is refused, and moves nothing.
    let far = send(&server, "far", "right", now_ms() + 3_600_000, 9.0);
    assert_eq!(far.status, 400, "{}", far.text);
    assert!(far.text.starts_with("too_far_in_future"), "{}", far.text);
    wait_for("the others to end all the same", || {
        for (name, skew) in [("right", 0), ("behind", -BEHIND_MS)] {
            assert_eq!(send(&server, name, name, now_ms() + skew, 1.0).status, 204);
        }
        let ended = |name: &str| alertmanager.seen(name).iter().any(|seen| !seen.is_firing());
        (ended("Right") && ended("Behind")).then_some(())
    });
}
