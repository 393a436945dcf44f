//! What Grafana, a scraper, a browser and a supervisor ask of the whole server.

use std::io::{Read, Write};
use std::net::TcpStream;

use serde_json::Value;

use crate::process::{Server, Setup, now_ms, wait_for};
use crate::receiver::{Answer, Receiver};
use crate::sender::{Protocol, Series};

const RULES: &str = "
groups:
- name: g
  interval: 1s
  rules:
  - {alert: High, expr: level > 5, annotations: {summary: 'at {{ $value }}'}}
  - {record: 'job:level:sum', expr: sum by (job) (level)}
";

/// A server with a firing alert, a recorded series and an Alertmanager that is not there; and
/// the instant of its newest sample, ms.
fn server() -> (Server, i64) {
    let config = "alerting: {alertmanagers: [{static_configs: [{targets: ['127.0.0.1:1']}]}]}";
    let server = Setup::with_config(config, RULES).start();
    let at = now_ms() - 30_000;
    let level = |at| {
        Series::new("level")
            .label("job", "a")
            .label("instance", "a:1")
            .help("How high.")
            .float(at, 9.0)
    };
    for n in 0..4 {
        server.write(Protocol::V2, &[level(at + n * 1_000)]);
    }
    (server, at + 3_000)
}

/// Opening the data source, its query editor, a panel and the alert list, as Grafana sends them.
#[test]
fn grafana_finds_what_it_reads() {
    let (server, at) = server();
    let (start, end) = (at / 1000 - 60, at / 1000 + 1);
    let span = format!("start={start}&end={end}");
    let level = "match%5B%5D=level%7Bjob%3D%22a%22%7D";
    let range = format!("query=sum+by+%28job%29+%28level%29&step=1&timeout=30s&{span}");
    let cases: [(&str, &str, String, &str, Value); 16] = [
        (
            "POST",
            "query",
            "query=1%2B1&time=4".into(),
            "/result/1",
            "2".into(),
        ),
        (
            "GET",
            "status/buildinfo",
            String::new(),
            "/burnwatchVersion",
            env!("CARGO_PKG_VERSION").into(),
        ),
        (
            "GET",
            "metadata?limit_per_metric=1",
            String::new(),
            "/level/0/type",
            "gauge".into(),
        ),
        (
            "GET",
            &format!("label/__name__/values?{span}"),
            String::new(),
            "/2",
            "job:level:sum".into(),
        ),
        (
            "GET",
            &format!("labels?{span}"),
            String::new(),
            "/0",
            "__name__".into(),
        ),
        (
            "POST",
            "labels",
            format!("{level}&{span}"),
            "/2",
            "job".into(),
        ),
        (
            "GET",
            &format!("label/instance/values?{level}&{span}"),
            String::new(),
            "/0",
            "a:1".into(),
        ),
        (
            "POST",
            "series",
            format!("{level}&{span}&limit=40000"),
            "/0/instance",
            "a:1".into(),
        ),
        (
            "POST",
            "query_range",
            range,
            "/result/0/values/0/1",
            "9".into(),
        ),
        (
            "GET",
            &format!("query?query=level&time={end}"),
            String::new(),
            "/result/0/value/1",
            "9".into(),
        ),
        (
            "POST",
            "query_exemplars",
            format!("query=level&{span}"),
            "",
            Value::Array(Vec::new()),
        ),
        (
            "GET",
            "rules?type=alert&group_limit=100",
            String::new(),
            "/groups/0/rules/0/state",
            "firing".into(),
        ),
        (
            "GET",
            "rules",
            String::new(),
            "/groups/0/rules/0/alerts/0/annotations/summary",
            "at 9".into(),
        ),
        (
            "GET",
            "rules",
            String::new(),
            "/groups/0/rules/1/health",
            "ok".into(),
        ),
        (
            "GET",
            "alerts",
            String::new(),
            "/alerts/0/labels/alertname",
            "High".into(),
        ),
        (
            "GET",
            "alertmanagers",
            String::new(),
            "/activeAlertmanagers/0/url",
            "http://127.0.0.1:1/api/v2/alerts".into(),
        ),
    ];
    for (method, path, form, pointer, expected) in cases {
        let headers = [
            ("Content-Type", "application/x-www-form-urlencoded"),
            ("Accept-Encoding", "gzip"),
            ("User-Agent", "Grafana/12.2.0"),
        ];
        let reply = server.send(
            method,
            &format!("/api/v1/{path}"),
            &headers,
            form.as_bytes(),
        );
        assert_eq!(reply.status, 200, "{path}: {}", reply.text);
        let body = reply.json();
        assert_eq!(body["status"], "success", "{path}");
        let found = body["data"].pointer(pointer).unwrap_or(&Value::Null);
        assert_eq!(*found, expected, "{path}: {}", reply.text);
    }
}

#[test]
fn recorded_series_and_alerts_can_be_asked_for() {
    let (server, at) = server();
    assert_eq!(
        server.query("job:level:sum", at),
        [r#"job:level:sum{job="a"} 9"#]
    );
    let alerts = server.query("ALERTS", at);
    let expected = r#"ALERTS{alertname="High",alertstate="firing",instance="a:1",job="a"} 1"#;
    assert_eq!(alerts, [expected]);
    let since = server.query("ALERTS_FOR_STATE", at);
    assert!(since[0].starts_with("ALERTS_FOR_STATE{"), "{since:?}");
}

#[test]
fn a_bad_question_is_answered_and_hurts_nobody() {
    let (server, _) = server();
    let deep = format!("{}1{}", "(".repeat(5_000), ")".repeat(5_000));
    let cases = [
        ("query?query=sum%28", 400, "bad_data"),
        ("query?query=mean%28level%29", 400, "bad_data"),
        ("query", 400, "bad_data"),
        ("query?query=level&time=yesterday", 400, "bad_data"),
        (
            "query_range?query=level&start=2&end=1&step=1",
            400,
            "bad_data",
        ),
        (
            "query_range?query=level&start=0&end=1e9&step=1",
            400,
            "bad_data",
        ),
        (
            "query?query=level%2Bon%28job%29+group_left+level%7Ba%3D%22%5C%22",
            400,
            "bad_data",
        ),
        ("series", 400, "bad_data"),
        ("rules?type=all", 400, "bad_data"),
        (&format!("query?query={deep}"), 400, "bad_data"),
    ];
    for (path, status, kind) in cases {
        let reply = server.get(&format!("/api/v1/{path}"));
        let shown = &path[..path.len().min(80)];
        assert_eq!(reply.status, status, "{shown}: {}", reply.text);
        assert_eq!(reply.json()["errorType"], kind, "{shown}");
    }
    assert_eq!(server.get("/api/v1/nothing").status, 404);
    assert_eq!(server.alerts(), ["High firing"]);
}

/// Names that stock dashboards and mixin alerts read, and ours.
const METRICS: &[&str] = &[
    "burnwatch_clock_lag_seconds",
    "burnwatch_frontier_hold_duration_seconds_bucket",
    "burnwatch_frontier_hold_seconds",
    "burnwatch_log_lag_seconds",
    "burnwatch_log_waiting_samples",
    "burnwatch_notification_latency_seconds_bucket",
    "burnwatch_remote_write_requests_total",
    "burnwatch_rule_evaluations_spared_total",
    "burnwatch_samples_accepted_total",
    "burnwatch_samples_dropped_at_door_total",
    "burnwatch_samples_late_total",
    "burnwatch_samples_rejected_total",
    "process_cpu_seconds_total",
    "process_resident_memory_bytes",
    "prometheus_api_remote_write_invalid_labels_samples_total",
    "prometheus_build_info",
    "prometheus_config_last_reload_success_timestamp_seconds",
    "prometheus_config_last_reload_successful",
    "prometheus_engine_queries",
    "prometheus_engine_queries_concurrent_max",
    "prometheus_engine_query_duration_seconds_count",
    "prometheus_engine_query_samples_total",
    "prometheus_http_request_duration_seconds_bucket",
    "prometheus_http_requests_total",
    "prometheus_http_response_size_bytes_bucket",
    "prometheus_notifications_alertmanagers_discovered",
    "prometheus_notifications_dropped_total",
    "prometheus_notifications_errors_total",
    "prometheus_notifications_latency_histogram_seconds_bucket",
    "prometheus_notifications_latency_seconds_count",
    "prometheus_notifications_queue_capacity",
    "prometheus_notifications_queue_length",
    "prometheus_notifications_sent_total",
    "prometheus_ready",
    "prometheus_rule_evaluation_duration_histogram_seconds_bucket",
    "prometheus_rule_evaluation_duration_seconds_count",
    "prometheus_rule_evaluation_failures_total",
    "prometheus_rule_evaluations_total",
    "prometheus_rule_group_duration_histogram_seconds_bucket",
    "prometheus_rule_group_duration_seconds_count",
    "prometheus_rule_group_interval_seconds",
    "prometheus_rule_group_iterations_missed_total",
    "prometheus_rule_group_iterations_total",
    "prometheus_rule_group_last_duration_seconds",
    "prometheus_rule_group_last_evaluation_samples",
    "prometheus_rule_group_last_evaluation_timestamp_seconds",
    "prometheus_rule_group_last_rule_duration_sum_seconds",
    "prometheus_rule_group_rules",
    "prometheus_tsdb_head_samples_appended_total",
    "prometheus_tsdb_head_series",
];

#[test]
fn metrics_can_be_scraped_and_have_the_names_that_dashboards_read() {
    let alertmanager = Receiver::start();
    let config = format!(
        "alerting: {{alertmanagers: [{{static_configs: [{{targets: ['{}']}}]}}]}}",
        alertmanager.address()
    );
    let server = Setup::with_config(&config, RULES).start();
    let at = now_ms() - 30_000;
    server.push("level", at, 9.0);
    server.push("level", at + 2_000, 9.0);
    alertmanager.wait_firing("High");
    assert_eq!(server.query("level", at).len(), 1);
    let reply = server.get("/metrics");
    assert_eq!(reply.status, 200);
    let content_type = &reply.headers["content-type"];
    assert!(
        content_type.starts_with("text/plain")
            || content_type.starts_with("application/openmetrics-text")
    );
    let mut names = std::collections::BTreeSet::new();
    let mut series = std::collections::BTreeSet::new();
    for line in reply.text.lines().filter(|line| !line.starts_with('#')) {
        let (left, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("{line}"));
        let is_number = value.parse::<f64>().is_ok() || ["+Inf", "-Inf", "NaN"].contains(&value);
        assert!(is_number, "{line}");
        // A sample's left side is a vector selector.
        let labels = burnwatch::rule::series_notation::parse_metric(left);
        let labels = labels.unwrap_or_else(|error| panic!("{line}: {error:?}"));
        assert!(series.insert(left.to_owned()), "twice: {left}");
        names.insert(labels.metric_name().to_owned());
    }
    let missing: Vec<&&str> = METRICS.iter().filter(|m| !names.contains(**m)).collect();
    assert!(missing.is_empty(), "missing: {missing:?} of {names:?}");
    let group = "{rule_group=\"rules.yml;g\"}";
    let rules = server.metric(&format!("prometheus_rule_group_rules{group}"));
    assert_eq!(rules, Some(2.0));
}

#[test]
fn pages_are_html() {
    let (server, _) = server();
    for (path, parts) in [
        ("/", ["High", "<html", "level &gt; 5"]),
        ("/graph?g0.expr=level+%3E+5&g0.tab=1", ["<html", "a:1", "9"]),
    ] {
        let reply = server.get(path);
        assert_eq!(reply.status, 200, "{path}");
        let content_type = &reply.headers["content-type"];
        assert!(content_type.starts_with("text/html"), "{content_type}");
        for part in parts {
            assert!(
                reply.text.contains(part),
                "{path}: no {part} in {}",
                reply.text
            );
        }
    }
    let script = "/graph?g0.expr=%3Cscript%3Ealert(1)%3C/script%3E";
    assert!(
        !server.get(script).text.contains("<script>alert"),
        "escaped"
    );
}

#[test]
fn health_and_readiness_are_told_in_prometheus_words() {
    let (server, _) = server();
    for (path, text) in [
        ("/-/healthy", "burnwatch is Healthy.\n"),
        ("/-/ready", "burnwatch is Ready.\n"),
    ] {
        let reply = server.get(path);
        assert_eq!((reply.status, reply.text.as_str()), (200, text));
    }
}

/// What waits for company in a group leaves before the process ends.
#[test]
fn a_signal_stops_in_order_and_notifications_leave() {
    for signal in ["TERM", "INT"] {
        let webhook = Receiver::start();
        let config = format!(
            "burnwatch: {{webhooks: [{{url: 'http://{}/hook', group_wait: 1h}}]}}",
            webhook.address()
        );
        let mut server = Setup::with_config(&config, RULES).start();
        server.push("level", now_ms() - 1_000, 9.0);
        assert_eq!(server.alerts(), ["High firing"]);
        assert!(webhook.seen("High").is_empty(), "it waits for company");
        server.signal(signal);
        let status = server.wait_for_end();
        assert_eq!(status.code(), Some(0), "{}", server.log());
        assert_eq!(webhook.seen("High").len(), 1, "{signal}");
        let last = server.log();
        let last = last.lines().last().unwrap_or_default();
        assert!(last.contains("msg=stopped"), "{last}");
    }
}

/// A receiver that asked to be left alone is tried once more before the process ends.
#[test]
fn what_could_not_be_sent_is_tried_once_more_at_the_end() {
    let alertmanager = Receiver::start();
    alertmanager.answer(Answer::Later);
    let config = format!(
        "alerting: {{alertmanagers: [{{static_configs: [{{targets: ['{}']}}]}}]}}",
        alertmanager.address()
    );
    let mut server = Setup::with_config(&config, RULES).start();
    server.push("level", now_ms() - 1_000, 9.0);
    let errors = format!(
        "prometheus_notifications_errors_total{{alertmanager=\"http://{}/api/v2/alerts\"}}",
        alertmanager.address()
    );
    wait_for("the refusal", || {
        server.metric(&errors).filter(|n| *n == 1.0)
    });
    alertmanager.answer(Answer::Status(200));
    server.signal("TERM");
    assert_eq!(server.wait_for_end().code(), Some(0));
    assert_eq!(alertmanager.seen("High").len(), 1);
}

/// A sender that has gone to sleep in the middle of a request must not keep the server alive.
#[test]
fn a_connection_that_hangs_does_not_hold_up_the_stop() {
    let (mut server, _) = server();
    let mut hanging = TcpStream::connect(server.address()).expect("connects");
    let head = "POST /api/v1/write HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nabc";
    hanging.write_all(head.as_bytes()).expect("sends");
    let idle = TcpStream::connect(server.address()).expect("connects");
    assert_eq!(server.get("/-/ready").status, 200);
    server.signal("TERM");
    assert_eq!(server.wait_for_end().code(), Some(0));
    drop(idle);
    let mut rest = Vec::new();
    let _ = hanging.read_to_end(&mut rest);
}

#[test]
fn a_request_to_quit_is_obeyed_where_allowed() {
    let mut server = Setup::with_rules(RULES)
        .flag("--web.enable-lifecycle")
        .start();
    let reply = server.post("/-/quit");
    assert_eq!(reply.status, 200);
    assert_eq!(server.wait_for_end().code(), Some(0));
}

/// People type targets as they are: `curl -g '…?query=up{job="a"}'`.
#[test]
fn targets_need_not_be_encoded() {
    let (server, at) = server();
    let query = format!("level{{job=\"a\"}}>1<10&time={}", at / 1000);
    let reply = server.get(&format!("/api/v1/query?query={query}"));
    assert_eq!(reply.status, 200, "{}", reply.text);
    assert_eq!(reply.json()["data"]["result"][0]["value"][1], "9");
}
