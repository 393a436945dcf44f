//! Changes that are told, and what alerts say about their surroundings, over real HTTP.

use serde_json::{Value, json};

use crate::process::{Reply, Server, Setup, now_ms, wait_for};
use crate::receiver::Receiver;
use crate::sender::{Protocol, Series};

const RULES: &str = "
groups:
- name: g
  interval: 1s
  rules:
  - alert: High
    expr: level > 5
    labels: {severity: high}
    annotations:
      runbook: https://wiki.example.org/High
      action: look
      burnwatch_context: 'true'
  - alert: Other
    expr: level > 7
";

const CONTEXT: &str = "
  context:
    links:
      logs: 'https://logs.example.org/?job={{ $labels.job }}'
";

fn level(at: i64, value: f64) -> Series {
    Series::new("level").label("job", "a").float(at, value)
}

fn tell(server: &Server, body: &Value) -> Reply {
    let headers = [("Content-Type", "application/json")];
    let body = body.to_string();
    server.send("POST", "/api/v1/changes", &headers, body.as_bytes())
}

fn fingerprint(server: &Server, name: &str) -> String {
    let alerts = server.data("alerts");
    let alerts = alerts["alerts"].as_array().expect("a list").clone();
    let found = alerts
        .iter()
        .find(|alert| alert["labels"]["alertname"] == name);
    let labels = found.expect("it is on")["labels"].clone();
    let labels = labels.as_object().expect("labels").iter();
    let pairs = labels.map(|(name, value)| (name.as_str(), value.as_str().expect("a text")));
    let labels = burnwatch::model::Labels::from_pairs(pairs);
    format!("{:016x}", labels.fingerprint())
}

#[test]
fn an_alert_says_what_changed_and_what_else_fires() {
    let (alertmanager, webhook) = (Receiver::start(), Receiver::start());
    let config = format!(
        "alerting:\n  alertmanagers:\n  - static_configs: [{{targets: ['{}']}}]\n\
         burnwatch:\n  webhooks: [{{url: 'http://{}/hook'}}]{}",
        alertmanager.address(),
        webhook.address(),
        CONTEXT
    );
    let server = Setup::with_config(&config, RULES).start();
    let at = now_ms() - 30_000;
    let told = tell(
        &server,
        &json!({"kind": "deployment", "labels": {"job": "a"}, "version": "v7",
                "time": at as f64 / 1000.0 - 60.0, "text": "cache", "link": "https://ci.example.org/7"}),
    );
    assert_eq!(told.status, 200, "{}", told.text);
    assert_eq!(told.json()["data"]["version"], "v7");
    let elsewhere = json!({"kind": "config", "labels": {"job": "b"}});
    assert_eq!(tell(&server, &elsewhere).status, 200);

    for second in 0..10 {
        server.write(Protocol::V2, &[level(at + second * 1_000, 1.0)]);
    }
    server.write(Protocol::V2, &[level(at + 10_000, 9.0)]);

    // Alertmanager and the webhook are told.
    let seen = alertmanager.wait_firing("High");
    let annotations = &seen.alert["annotations"];
    assert_eq!(annotations["burnwatch_context_current"], "9");
    assert_eq!(
        annotations["burnwatch_context_threshold"],
        "9 > 5, 4 above (80 %)"
    );
    let changes = annotations["burnwatch_context_changes"]
        .as_str()
        .expect("changes");
    assert!(
        changes.ends_with("deployment v7 cache https://ci.example.org/7"),
        "{changes}"
    );
    assert_eq!(
        annotations["burnwatch_context_logs"],
        "https://logs.example.org/?job=a"
    );
    let hooked = webhook.wait_firing("High");
    let context = &hooked.alert["context"];
    assert_eq!(context["metrics"]["current"], 9.0);
    assert_eq!(context["system"]["model_version"], "v7");
    assert_eq!(context["fingerprint"], hooked.alert["fingerprint"]);
    let other = webhook.wait_firing("Other");
    assert_eq!(other.alert.get("context"), None, "it does not ask");

    // Whoever asks is told of any alert, by the fingerprint that receivers show.
    let check = |server: &Server| {
        let path = format!("alerts/{}/context", fingerprint(server, "Other"));
        let context = server.data(&path);
        assert_eq!(context["alert"], "Other");
        assert_eq!(context["state"], "firing");
        assert_eq!(context["metrics"]["current"], 9.0);
        assert_eq!(context["criteria"][0]["distance"], 2.0);
        assert_eq!(context["system"]["last_deployment"]["version"], "v7");
        assert_eq!(context["recent_alerts"][0]["alert"], "High");
        assert_eq!(context["recent_alerts"].as_array().map(Vec::len), Some(1));
        let some = server.data(&format!("{path}?parts=alerts,actions"));
        assert_eq!(some.get("metrics"), None);
        let listed = server.data("changes");
        let kinds: Vec<&str> = listed
            .as_array()
            .expect("a list")
            .iter()
            .filter_map(|change| change["kind"].as_str())
            .collect();
        assert_eq!(kinds, ["config", "deployment"], "the newest first");
        let listed = server.data("changes?kind=deployment&limit=5");
        assert_eq!(listed.as_array().map(Vec::len), Some(1));
        assert_eq!(listed[0]["source"], "told");
    };
    check(&server);
    let total = r#"burnwatch_changes_total{job="a",kind="deployment"}"#;
    assert_eq!(server.query(total, at + 10_000).len(), 1);

    // All of it is there after a crash.
    let server = server.killed().start();
    wait_for("the log to be replayed", || {
        (server.get("/-/ready").status == 200).then_some(())
    });
    wait_for("the alerts to be back", || {
        (server.alerts().len() == 2).then_some(())
    });
    check(&server);
    assert_eq!(server.metric("burnwatch_changes_remembered"), Some(2.0));
    assert_eq!(server.metric("burnwatch_contexts_built_total"), Some(1.0));
}

#[test]
fn what_is_wrong_is_refused_and_named() {
    let server = Setup::with_rules(RULES).start();
    let refused = |body: &str, status: u16, expected: &str| {
        let reply = server.send("POST", "/api/v1/changes", &[], body.as_bytes());
        assert_eq!(reply.status, status, "{body}: {}", reply.text);
        assert!(reply.text.contains(expected), "{body}: {}", reply.text);
    };
    refused("{", 400, "the body is no JSON");
    refused(r#"{"kind": ""}"#, 400, "must be a word");
    refused(r#"{"kind": "x", "when": 1}"#, 400, "unknown field");
    refused(
        r#"{"kind": "x", "time": 99999999999}"#,
        400,
        "ahead of the server",
    );
    let long = format!(r#"{{"kind": "x", "text": "{}"}}"#, "y".repeat(70_000));
    refused(&long, 400, "longer than 65536 bytes");
    let asked = |path: &str, status: u16, expected: &str| {
        let reply = server.get(&format!("/api/v1/{path}"));
        assert_eq!(reply.status, status, "{path}: {}", reply.text);
        assert!(reply.text.contains(expected), "{path}: {}", reply.text);
    };
    asked("alerts/xyz/context", 400, "16 hexadecimal digits");
    asked(
        "alerts/0123456789abcdef/context",
        404,
        "no alert with the fingerprint",
    );
    asked(
        "alerts/0123456789abcdef/context?parts=x",
        400,
        "is no part of a context",
    );
    asked("changes?limit=-1", 400, "limit must be non-negative");
    assert_eq!(server.data("changes"), json!([]));
}

#[test]
fn changes_are_bounded_by_number_and_age() {
    let config = "burnwatch: {limits: {changes: 2, changes_age: 1h, recent_alerts: 1}}";
    let server = Setup::with_config(config, RULES).start();
    for version in ["v1", "v2", "v3"] {
        let change = json!({"kind": "deployment", "version": version});
        assert_eq!(tell(&server, &change).status, 200);
    }
    let old = json!({"kind": "config", "time": now_ms() as f64 / 1000.0 - 7200.0});
    assert_eq!(
        tell(&server, &old).status,
        200,
        "taken, and forgotten at once"
    );
    let listed = server.data("changes");
    let versions: Vec<&str> = listed
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(|change| change["version"].as_str())
        .collect();
    assert_eq!(versions, ["v3", "v2"]);
    // Of two alerts that fire at once only the last is remembered for the context of others.
    let at = now_ms() - 20_000;
    server.write(Protocol::V2, &[level(at, 1.0)]);
    server.write(Protocol::V2, &[level(at + 1_000, 9.0)]);
    wait_for("both to fire", || {
        (server
            .alerts()
            .iter()
            .filter(|line| line.contains("firing"))
            .count()
            >= 2)
            .then_some(())
    });
    let path = format!("alerts/{}/context", fingerprint(&server, "High"));
    let recent = server.data(&path)["recent_alerts"].clone();
    let n_recent = recent.as_array().map_or(0, Vec::len);
    assert!(n_recent <= 1, "{recent}");
}
