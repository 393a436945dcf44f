//! From a sample to an Alertmanager and a webhook, and what happens when these fail.

use std::time::Instant;

use crate::process::{Server, Setup, now_ms, wait_for};
use crate::receiver::{Answer, Receiver, Seen};
use crate::sender::{Protocol, Series};

const RULES: &str = "
groups:
- name: g
  interval: 1s
  rules:
  - alert: High
    expr: level > 5
    for: 0s
    labels: {severity: high}
    annotations: {summary: '{{ $labels.job }} is at {{ $value }}'}
  - alert: Half
    expr: first != on (job, instance) last
";

/// `alerting:` with these Alertmanagers, each given half a second to answer.
fn alerting(alertmanagers: &[&Receiver]) -> String {
    let targets = alertmanagers.iter().map(|am| format!("'{}'", am.address()));
    let targets: Vec<String> = targets.collect();
    format!(
        "alerting:\n  alertmanagers:\n  - timeout: 500ms\n    static_configs: [{{targets: [{}]}}]\n",
        targets.join(", ")
    )
}

fn level(at: i64, value: f64) -> Series {
    Series::new("level").label("job", "a").float(at, value)
}

/// Raises `High` at an instant.
fn raise(server: &Server, at: i64) {
    server.write(Protocol::V2, &[level(at, 9.0)]);
}

/// Takes `High` back at an instant and lets a tick pass: one comes every second.
fn lower(server: &Server, at: i64) {
    server.write(Protocol::V2, &[level(at, 1.0)]);
    server.write(Protocol::V2, &[level(at + 1_000, 1.0)]);
}

#[test]
fn a_sample_over_the_threshold_is_at_alertmanager_and_webhook_and_resolves_when_taken_back() {
    let (alertmanager, webhook) = (Receiver::start(), Receiver::start());
    let config = format!(
        "{}burnwatch: {{webhooks: [{{url: 'http://{}/hook'}}]}}\n",
        alerting(&[&alertmanager]),
        webhook.address()
    );
    let server = Setup::with_config(&config, RULES)
        .flag("--web.external-url=http://watch.example.org")
        .start();
    let at = now_ms() - 20_000;
    server.write(Protocol::V2, &[level(at, 1.0)]);
    let (sent_at, sending) = (now_ms(), Instant::now());
    raise(&server, at + 200);
    let (told, hooked) = (
        alertmanager.wait_firing("High"),
        webhook.wait_firing("High"),
    );
    eprintln!(
        "from the request to Alertmanager: {} ms, to the webhook: {} ms",
        told.at - sent_at,
        hooked.at - sent_at
    );

    let at_most = sending.elapsed().as_secs_f64();
    for kind in ["alertmanager", "webhook"] {
        let latency = |tail: &str| {
            let name = format!("burnwatch_notification_latency_seconds_{tail}");
            server.metric(&format!("{name}{{receiver=\"{kind}\",status=\"firing\"}}"))
        };
        // It is counted once the receiver's answer is there.
        let counted = || latency("count").filter(|n| *n > 0.0);
        assert_eq!(wait_for("the latency", counted), 1.0, "{kind}");
        let seconds = latency("sum").expect("a sum");
        assert!(0.0 < seconds && seconds <= at_most, "{kind}: {seconds} s");
    }

    assert_eq!(told.path, "/api/v2/alerts");
    let labels = serde_json::json!({"alertname": "High", "job": "a", "severity": "high"});
    let annotations = serde_json::json!({"summary": "a is at 9"});
    for seen in [&told, &hooked] {
        assert_eq!(seen.alert["labels"], labels);
        assert_eq!(seen.alert["annotations"], annotations);
        assert_eq!(seen.instant("startsAt"), at + 200, "event time");
        let link = "http://watch.example.org/graph?g0.expr=level+%3E+5&g0.tab=1";
        assert_eq!(seen.alert["generatorURL"], link);
    }
    assert!(told.instant("endsAt") > told.at, "{:?}", told.alert);
    assert_eq!(hooked.path, "/hook");
    assert_eq!(hooked.body["version"], "4");
    assert_eq!(hooked.body["status"], "firing");
    assert_eq!(hooked.alert["endsAt"], "0001-01-01T00:00:00Z");

    // Taken back between ticks it is still true that it fired: the next tick lowers it.
    lower(&server, at + 210);
    let told = alertmanager.wait_resolved("High");
    let ended = told.instant("endsAt");
    assert!(at + 200 < ended && ended <= at + 1_210, "{}", ended - at);
    assert_eq!(webhook.wait_resolved("High").instant("endsAt"), ended);
    assert_eq!(server.alerts(), [""; 0]);
}

/// Catches an evaluation of what has arrived so far: `first` counts up with `last`, and a
/// request that carries one without the other must not be seen.
#[test]
fn half_a_scrape_is_never_seen() {
    let server = Setup::with_rules(RULES).start();
    let at = now_ms() - 40_000;
    let one = |name: &str, at, value| {
        Series::new(name)
            .label("job", "a")
            .label("instance", "i")
            .float(at, value)
    };
    server.write(Protocol::V2, &[one("first", at, 0.0), one("last", at, 0.0)]);
    for n in 1..=8_i32 {
        let (at, value) = (at + i64::from(n) * 2_000, f64::from(n));
        server.write(Protocol::V1, &[one("first", at, value)]);
        assert_eq!(server.alerts(), [""; 0], "scrape {n}, half of it");
        let hold = server.metric("burnwatch_frontier_hold_seconds");
        assert!(hold.is_some_and(|hold| hold > 0.0), "{hold:?}");
        server.write(Protocol::V2, &[one("last", at, value)]);
        assert_eq!(server.alerts(), [""; 0], "scrape {n}, whole");
        let hold = server.metric("burnwatch_frontier_hold_seconds");
        assert_eq!(hold, Some(0.0), "scrape {n}");
        let n_holds = server.metric("burnwatch_frontier_hold_duration_seconds_count");
        assert_eq!(n_holds, Some(value), "scrape {n}");
    }
    // The rule is no blind one.
    let whole = [
        one("first", at + 20_000, 1.0),
        one("last", at + 20_000, 2.0),
    ];
    server.write(Protocol::V2, &whole);
    assert_eq!(server.alerts(), ["Half firing"]);
    let n_holds = server.metric("burnwatch_frontier_hold_duration_seconds_count");
    assert_eq!(
        n_holds,
        Some(8.0),
        "a scrape that comes whole holds nothing up"
    );
}

/// One answers 500, one never, one is down: the one that is well is told at once, and they are
/// told when they are well again.
#[test]
fn a_receiver_that_fails_delays_nobody_and_is_told_later() {
    let (well, failing, silent, down) = (
        Receiver::start(),
        Receiver::start(),
        Receiver::start(),
        Receiver::down(),
    );
    failing.answer(Answer::Status(500));
    silent.answer(Answer::Never);
    let config = alerting(&[&silent, &failing, &down, &well]);
    let server = Setup::with_config(&config, RULES).start();
    let at = now_ms() - 20_000;
    raise(&server, at);
    let sent_at = now_ms();
    let told = well.wait_firing("High");
    eprintln!(
        "beside three that fail: {} ms to the one that is well",
        told.at - sent_at
    );
    let broken = [&failing, &silent, &down];
    for receiver in broken {
        let errors = format!(
            "prometheus_notifications_errors_total{{alertmanager=\"http://{}/api/v2/alerts\"}}",
            receiver.address()
        );
        wait_for(&errors, || server.metric(&errors).filter(|n| *n >= 1.0));
        assert!(receiver.seen("High").is_empty());
    }
    // The next change of state is not held up either.
    lower(&server, at + 100);
    well.wait_resolved("High");
    raise(&server, at + 3_000);
    wait_for("High to fire again", || {
        well.seen("High")
            .into_iter()
            .rfind(Seen::is_firing)
            .filter(|seen| seen.instant("startsAt") == at + 3_000)
    });

    failing.answer(Answer::Status(200));
    silent.answer(Answer::Status(200));
    down.listen();
    for receiver in broken {
        let seen = receiver.wait_firing("High");
        assert_eq!(seen.instant("startsAt"), at + 3_000, "the newest state");
    }
}

#[test]
fn a_refusal_for_good_is_not_repeated_before_the_resend() {
    let refusing = Receiver::start();
    refusing.answer(Answer::Status(400));
    let server = Setup::with_config(&alerting(&[&refusing]), RULES).start();
    let at = now_ms() - 20_000;
    raise(&server, at);
    let errors = format!(
        "prometheus_notifications_errors_total{{alertmanager=\"http://{}/api/v2/alerts\"}}",
        refusing.address()
    );
    wait_for("the refusal", || {
        server.metric(&errors).filter(|n| *n == 1.0)
    });
    refusing.answer(Answer::Status(200));
    lower(&server, at + 100);
    refusing.wait_resolved("High");
    assert_eq!(refusing.n_requests(), 2, "the refused one and the resolve");
}

/// More alerts than may wait: the oldest go, it is counted, and the resend brings them back.
#[test]
fn a_full_queue_drops_the_oldest_and_all_come_in_the_end() {
    let down = Receiver::down();
    let config = format!(
        "{}burnwatch: {{limits: {{notification_queue: 3}}}}\n",
        alerting(&[&down])
    );
    let server = Setup::with_config(&config, RULES)
        .flag("--rules.alert.resend-delay=300ms")
        .start();
    let at = now_ms() - 20_000;
    let one = |n: i32| {
        Series::new("level")
            .label("job", &n.to_string())
            .float(at, 9.0)
    };
    let all: Vec<Series> = (0..10).map(one).collect();
    server.write(Protocol::V2, &all);
    let of = |name: &str| {
        format!(
            "prometheus_notifications_{name}{{alertmanager=\"http://{}/api/v2/alerts\"}}",
            down.address()
        )
    };
    wait_for("seven to be dropped", || {
        server.metric(&of("dropped_total")).filter(|n| *n >= 7.0)
    });
    let waiting = server.metric(&of("queue_length"));
    assert!(waiting.is_some_and(|n| n <= 3.0), "{waiting:?}");
    assert_eq!(server.alerts().len(), 10, "the engine has lost nothing");
    down.listen();
    wait_for("all ten", || {
        let seen = down.seen("High");
        let mut jobs: Vec<String> = seen
            .iter()
            .map(|seen| seen.alert["labels"]["job"].to_string())
            .collect();
        jobs.sort();
        jobs.dedup();
        (jobs.len() == 10).then_some(())
    });
}

#[test]
fn a_firing_alert_is_sent_again_and_its_end_moves_on() {
    let alertmanager = Receiver::start();
    let server = Setup::with_config(&alerting(&[&alertmanager]), RULES)
        .flag("--rules.alert.resend-delay=100ms")
        .start();
    raise(&server, now_ms() - 20_000);
    let seen = wait_for("three sends", || {
        let seen = alertmanager.seen("High");
        (seen.len() >= 3).then_some(seen)
    });
    for two in seen.windows(2) {
        let (first, second) = (&two[0], &two[1]);
        assert!(second.instant("endsAt") > first.instant("endsAt"));
        assert_eq!(second.alert["startsAt"], first.alert["startsAt"]);
        // Four times the interval, by the wall clock at sending.
        let ahead = second.instant("endsAt") - second.at;
        assert!((2_000..=4_000).contains(&ahead), "{ahead} ms ahead");
    }
}

/// An alert found in a backlog is news now: its end is counted from the wall clock.
#[test]
fn an_alert_of_a_backlog_still_fires() {
    let alertmanager = Receiver::start();
    let server = Setup::with_config(&alerting(&[&alertmanager]), RULES).start();
    let at = now_ms() - 20 * 60_000;
    for n in 0..4 {
        raise(&server, at + n * 15_000);
    }
    let seen = alertmanager.wait_firing("High");
    assert_eq!(seen.instant("startsAt"), at);
    assert!(seen.instant("endsAt") > seen.at);
}

#[test]
fn external_labels_and_relabelling_make_the_outgoing_labels() {
    let alertmanager = Receiver::start();
    let config = format!(
        "alerting:\n  alert_relabel_configs:\n  - {{action: labeldrop, regex: replica}}\n  - \
         {{source_labels: [job], regex: secret, action: drop}}\n  alertmanagers:\n  - \
         {{static_configs: [{{targets: ['{}']}}], path_prefix: /am}}\n",
        alertmanager.address()
    );
    let server = Setup::new()
        .file(
            "prometheus.yml",
            &format!(
                "global: {{external_labels: {{cluster: eu, replica: a, job: outside}}}}\n\
                 rule_files: [rules.yml]\n{config}"
            ),
        )
        .file("rules.yml", RULES)
        .flag("--config.file=prometheus.yml")
        .start();
    let at = now_ms() - 20_000;
    let secret = Series::new("level").label("job", "secret").float(at, 9.0);
    server.write(Protocol::V2, &[secret]);
    raise(&server, at + 10);
    let seen = alertmanager.wait_firing("High");
    assert_eq!(seen.path, "/am/api/v2/alerts");
    assert_eq!(
        seen.alert["labels"],
        serde_json::json!({"alertname": "High", "cluster": "eu", "job": "a", "severity": "high"})
    );
    assert_eq!(alertmanager.seen("High").len(), 1, "the secret one stays");
    assert_eq!(server.alerts().len(), 2);
}

/// A template that cannot be expanded spoils its text, not the alert.
#[test]
fn a_template_that_fails_gives_the_text_that_prometheus_gives() {
    let alertmanager = Receiver::start();
    let rules = "
groups:
- name: g
  interval: 1s
  rules:
  - alert: High
    expr: level > 5
    annotations:
      summary: '{{ template \"missing\" }}'
      value: '{{ $value }}'
";
    let server = Setup::with_config(&alerting(&[&alertmanager]), rules).start();
    raise(&server, now_ms() - 20_000);
    let seen = alertmanager.wait_firing("High");
    let summary = seen.alert["annotations"]["summary"].as_str();
    let summary = summary.expect("a text");
    assert!(
        summary.starts_with("<error expanding template: error executing template __alert_High: "),
        "{summary}"
    );
    assert_eq!(seen.alert["annotations"]["value"], "9");
}

/// What a server's rules record is written to another one, which watches it.
#[test]
fn recorded_series_are_written_back() {
    let reader = Setup::with_config("burnwatch: {watch: ['job:level:sum']}", RULES).start();
    let config = format!(
        "burnwatch: {{write_back: [{{url: 'http://{}/api/v1/write', \
         queue_config: {{batch_send_deadline: 50ms}}}}]}}",
        reader.address()
    );
    let rules = "groups: [{name: g, interval: 1s, rules: \
                 [{record: 'job:level:sum', expr: sum by (job) (level)}]}]";
    let writer = Setup::with_config(&config, rules).start();
    let at = now_ms() - 30_000;
    for n in 0..3 {
        writer.write(Protocol::V2, &[level(at + n * 1_000, 4.0)]);
    }
    let found = wait_for("the recorded series to arrive", || {
        let found = reader.query("job:level:sum", at + 2_000);
        (!found.is_empty()).then_some(found)
    });
    assert_eq!(found, [r#"job:level:sum{job="a"} 4"#]);
}
