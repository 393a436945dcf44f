//! Reload: whole or not at all, by signal or by request; what did not change goes on.

use crate::process::{Server, Setup, now_ms, wait_for};

const RULES: &str = "
groups:
- name: g
  interval: 1s
  rules:
  - {alert: Steady, expr: level > 5}
  - {alert: Waiting, expr: level > 5, for: 1h}
";

/// The same rules, and one that reads a series that nothing read before.
const MORE_RULES: &str = "
groups:
- name: g
  interval: 1s
  rules:
  - {alert: Steady, expr: level > 5}
  - {alert: Waiting, expr: level > 5, for: 1h}
  - {alert: New, expr: other > 1}
";

/// A server whose alerts are active since an instant of the past.
fn alerting(setup: Setup) -> (Server, i64) {
    let server = setup.start();
    let at = now_ms() - 30_000;
    server.push("level", at, 9.0);
    assert_eq!(server.alerts(), ["Steady firing", "Waiting pending"]);
    (server, at)
}

fn active_at(server: &Server) -> Vec<String> {
    let data = server.data("alerts");
    let alerts = data["alerts"].as_array().expect("a list");
    let line = |a: &serde_json::Value| format!("{} {}", a["labels"]["alertname"], a["activeAt"]);
    let mut lines: Vec<String> = alerts.iter().map(line).collect();
    lines.sort();
    lines
}

fn lifecycle() -> Setup {
    Setup::with_rules(RULES).flag("--web.enable-lifecycle")
}

#[test]
fn unchanged_rules_keep_their_alerts_and_new_ones_read_from_then_on() {
    let (server, at) = alerting(lifecycle());
    let before = active_at(&server);
    server.push("other", at, 5.0);
    assert_eq!(server.query("other", at), [""; 0], "nothing reads it yet");

    server.write_file("rules.yml", MORE_RULES);
    let reply = server.post("/-/reload");
    assert_eq!((reply.status, reply.text.as_str()), (200, ""));
    assert_eq!(active_at(&server), before, "active since the same instants");
    server.push("other", at + 1_000, 5.0);
    let expected = ["New firing", "Steady firing", "Waiting pending"];
    assert_eq!(server.alerts(), expected);
    assert_eq!(server.query("other", at + 1_000), ["other{} 5"]);

    // A rule that is gone takes its alerts along.
    server.write_file("rules.yml", "groups: []");
    assert_eq!(server.post("/-/reload").status, 200);
    assert_eq!(server.alerts(), [""; 0]);
}

#[test]
fn a_signal_reloads_too() {
    let (server, at) = alerting(Setup::with_rules(RULES));
    server.write_file("rules.yml", MORE_RULES);
    server.signal("HUP");
    wait_for("the new rules", || {
        let groups = server.data("rules");
        let rules = groups["groups"][0]["rules"].as_array().map(Vec::len);
        (rules == Some(3)).then_some(())
    });
    server.push("other", at + 1_000, 5.0);
    let expected = ["New firing", "Steady firing", "Waiting pending"];
    assert_eq!(server.alerts(), expected);
}

/// Catches a reload that takes the part that is well: nothing at all may change.
#[test]
fn a_broken_file_changes_nothing() {
    let config = "
alerting: {alertmanagers: [{static_configs: [{targets: ['127.0.0.1:1']}]}]}
burnwatch: {watch: [watched]}
";
    let setup = Setup::with_config(config, RULES).flag("--web.enable-lifecycle");
    let (server, at) = alerting(setup);
    let (alerts, alertmanagers) = (active_at(&server), server.data("alertmanagers"));
    let successful = "prometheus_config_last_reload_successful";
    assert_eq!(server.metric(successful), Some(1.0));

    server.write_file(
        "prometheus.yml",
        "rule_files: [more.yml, rules.yml]\n\
         alerting: {alertmanagers: [{static_configs: [{targets: ['127.0.0.1:2']}]}]}\n",
    );
    server.write_file("more.yml", MORE_RULES);
    server.write_file(
        "rules.yml",
        "groups: [{name: g, rules: [{alert: A, expr: mean(up)}]}]",
    );
    let reply = server.post("/-/reload");
    assert_eq!(reply.status, 500);
    let said = "failed to reload config: rules.yml:1:45: group \"g\", rule 1, \"A\": could not \
                parse expression: 1:1: parse error: unknown function with name \"mean\" \
                (hint: at 1:45 of this file; did you mean `avg`?)\n";
    assert_eq!(reply.text, said);
    assert_eq!(server.metric(successful), Some(0.0));
    let unchanged = || {
        assert_eq!(active_at(&server), alerts);
        assert_eq!(server.data("alertmanagers"), alertmanagers);
        let groups = server.data("rules");
        assert_eq!(groups["groups"].as_array().map(Vec::len), Some(1));
        let rules = groups["groups"][0]["rules"].as_array().map(Vec::len);
        assert_eq!(rules, Some(2), "the old rules");
    };
    unchanged();
    let runtime = server.data("status/runtimeinfo");
    assert_eq!(runtime["reloadConfigSuccess"], false);
    server.signal("HUP");
    wait_for("the refusal of the signal's reload", || {
        let log = server.log();
        (log.matches("reload refused").count() == 2).then_some(())
    });
    unchanged();
    server.push("watched", at + 1_000, 1.0);
    let found = server.query("watched", at + 1_000);
    assert_eq!(found, ["watched{} 1"], "what was read is read on");

    // Mended, it goes through.
    server.write_file("rules.yml", RULES);
    assert_eq!(server.post("/-/reload").status, 200);
    assert_eq!(server.metric(successful), Some(1.0));
    let groups = server.data("rules");
    assert_eq!(groups["groups"].as_array().map(Vec::len), Some(2));
    let url = &server.data("alertmanagers")["activeAlertmanagers"][0]["url"];
    assert_eq!(url, "http://127.0.0.1:2/api/v2/alerts");
}

#[test]
fn requests_reload_only_where_that_is_allowed() {
    let server = Setup::with_rules(RULES).start();
    for path in ["/-/reload", "/-/quit"] {
        let reply = server.post(path);
        let expected = (403, "Lifecycle API is not enabled.");
        assert_eq!((reply.status, reply.text.as_str()), expected, "{path}");
        assert_eq!(server.get(path).status, 405);
    }
    let open = lifecycle().start();
    assert_eq!(open.post("/-/reload").status, 200);
    assert_eq!(open.send("PUT", "/-/reload", &[], b"").status, 200);
    assert_eq!(open.get("/-/reload").status, 405);
}

#[test]
fn settings_that_need_a_restart_are_not_taken_in_silence() {
    let server = lifecycle().start();
    let config = "rule_files: [rules.yml]\n\
                  burnwatch: {idle_timeout: 50s, limits: {label_value_bytes: 5}}\n";
    server.write_file("prometheus.yml", config);
    assert_eq!(server.post("/-/reload").status, 200);
    let log = server.log();
    let said = log
        .lines()
        .find(|line| line.contains("only with a restart"));
    let said = said.unwrap_or_else(|| panic!("nothing in {log}"));
    let all = "settings=\"limits, idle_timeout, evaluation_interval (of queries)\"";
    assert!(said.contains(all), "{said}");
}
