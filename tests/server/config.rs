//! What a user writes: files as they have them, mistakes they make, flags.

use std::process::Command;

use crate::process::{Server, Setup, now_ms};

const RULES: &str = "groups: [{name: g, rules: [{alert: Down, expr: up == 0}]}]";

/// Starts with a broken rule file; the server must say this, word for word.
fn check_rules(rules: &str, said: &str) {
    let text = Setup::with_rules(rules).refused();
    assert_eq!(text, format!("burnwatch: {said}\n"), "{rules}");
}

/// Starts with a broken configuration; the server must say this, word for word.
fn check_config(config: &str, said: &str) {
    let setup = Setup::new()
        .file("prometheus.yml", config)
        .flag("--config.file=prometheus.yml");
    assert_eq!(setup.refused(), format!("burnwatch: {said}\n"), "{config}");
}

#[test]
fn a_mistake_in_the_configuration_is_named_with_its_place_and_remedy() {
    check_config(
        "global:\n  evaluation_interval: 1s\nrule_file: [rules.yml]\n",
        "prometheus.yml:3:1: unknown key \"rule_file\" in the file (did you mean \"rule_files\"?)",
    );
    check_config(
        "burnwatch:\n  limits:\n    serie: 5\n",
        "prometheus.yml:3:5: unknown key \"serie\" in burnwatch.limits (did you mean \"series\"?)",
    );
    check_config(
        "burnwatch: {idle_timeout: soon}\n",
        "prometheus.yml:1:27: burnwatch.idle_timeout: not a valid duration string: \"soon\" \
         (write a number with a unit: ms, s, m, h, d, w, y)",
    );
    check_config(
        "alerting:\n  alertmanagers: [\n",
        "prometheus.yml:3:1: yaml: line 2: did not find expected node content",
    );
}

#[test]
fn a_mistake_in_a_rule_file_is_named_with_its_place_and_remedy() {
    check_rules(
        "groups:\n- name: g\n  rules:\n  - alert: A\n    expr: up\n   for: 5m\n",
        "rules.yml:6:4: yaml: line 1: did not find expected key (hint: look at the indentation and quotes of this line and those above it: the fields of an item stand in one column, behind its `- `)",
    );
    check_rules(
        "groups:\n- name: g\n  rules:\n  - alert: A\n    expr: mean(up)\n",
        "rules.yml:5:11: group \"g\", rule 1, \"A\": could not parse expression: 1:1: parse error: \
         unknown function with name \"mean\" (hint: at 5:11 of this file; did you mean `avg`?)",
    );
    check_rules(
        "groups:\n- name: g\n  rules:\n  - alert: A\n    expr: up\n    annotations:\n      \
         summary: 'down: {{ $labels.instance '\n",
        "rules.yml:7:16: group \"g\", rule 1, \"A\": annotation \"summary\": template: \
         __alert_A:1: unclosed action (hint: write the `}}` that is missing)",
    );
    check_rules(
        "groups:\n- name: g\n  rules:\n  - alert: A\n    expr: up\n    severity: page\n",
        "rules.yml:6:5: group \"g\", rule 1, \"A\": field severity not found in rule \
         (hint: labels stand under `labels`)",
    );
}

#[test]
fn every_mistake_is_named_at_once() {
    let text = Setup::new()
        .file("prometheus.yml", "rule_files: ['*.rules.yml']\n")
        .file(
            "a.rules.yml",
            "groups: [{name: g, rules: [{alert: A, expr: 'up >'}]}]\n",
        )
        .file("b.rules.yml", RULES)
        .file(
            "c.rules.yml",
            "groups: [{name: g, rules: [{alert: A, expr: 'sum(up'}, {record: 'a{b}', expr: up}]}]\n",
        )
        .flag("--config.file=prometheus.yml")
        .refused();
    let places: Vec<&str> = text
        .trim_start_matches("burnwatch: ")
        .lines()
        .filter_map(|line| line.split(':').next())
        .collect();
    assert_eq!(
        places,
        ["a.rules.yml", "c.rules.yml", "c.rules.yml"],
        "{text}"
    );
}

/// `--rules.dialect` and the naming scheme of the configuration reach the rule files; what is
/// passed over is logged.
#[test]
fn rule_files_are_read_as_flags_and_configuration_say() {
    let thanos = "groups:\n- name: g\n  partial_response_strategy: warn\n  rules: []\n";
    let refused = Setup::with_rules(thanos).refused();
    assert!(refused.contains("--rules.dialect=thanos"), "{refused}");
    let server = Setup::with_rules(thanos)
        .flag("--rules.dialect=thanos")
        .start();
    let log = server.log();
    let is_note = |line: &str| line.contains("rules.yml:3:3") && line.contains("is passed over");
    assert!(log.lines().any(is_note), "{log}");

    let dashed = "groups: [{name: g, rules: [{record: a-b, expr: up}]}]\n";
    let scheme = "global: {metric_name_validation_scheme: legacy}\nrule_files: [rules.yml]\n";
    let refused = Setup::with_rules(dashed)
        .file("prometheus.yml", scheme)
        .refused();
    assert!(
        refused.contains("invalid recording rule name: a-b"),
        "{refused}"
    );
    Setup::with_rules(dashed).start();
}

/// Prometheus starts with a pattern that matches nothing; we too, but not in silence.
#[test]
fn a_rule_file_that_is_not_there_is_said() {
    let server = Setup::new()
        .file(
            "prometheus.yml",
            "rule_files: [rules.yml, missing.yml, 'none/*.yml']\n",
        )
        .file("rules.yml", RULES)
        .flag("--config.file=prometheus.yml")
        .start();
    let log = server.log();
    let warned: Vec<&str> = log.lines().filter(|l| l.contains("level=WARN")).collect();
    assert_eq!(warned.len(), 2, "{log}");
    assert!(warned[0].contains("missing.yml"), "{log}");
    assert!(warned[1].contains("none/*.yml"), "{log}");
    assert_eq!(server.data("rules")["groups"][0]["name"], "g");
}

#[test]
fn own_settings_may_not_stand_in_two_places() {
    let both = |config: &str| {
        Setup::with_config(config, RULES)
            .file("own.yml", "watch: [up]\n")
            .flag("--burnwatch.config.file=own.yml")
    };
    assert_eq!(
        both("burnwatch:\n  log: all\n").refused(),
        "burnwatch: prometheus.yml:4:3: burnwatch: is also set in own.yml (keep one of the two)\n"
    );
    let server = both("").start();
    let config = server.data("status/config");
    let yaml = config["yaml"].as_str().expect("text");
    assert!(yaml.contains("watch:"), "{yaml}");
    let wrong = both("").file("own.yml", "wach: [up]\n").refused();
    assert_eq!(
        wrong.lines().next(),
        Some("burnwatch: own.yml:1:1: unknown key \"wach\" in the file (did you mean \"watch\"?)")
    );
}

/// A file as Prometheus has it, with everything that is none of our business.
#[test]
fn prometheus_own_file_is_taken_as_it_is() {
    let config = "
global:
  scrape_interval: 15s
  scrape_timeout: 10s
  evaluation_interval: 30s
  external_labels: {cluster: eu, replica: a}
rule_files: [rules.yml]
alerting:
  alert_relabel_configs: [{action: labeldrop, regex: replica}]
  alertmanagers: [{static_configs: [{targets: ['127.0.0.1:1']}]}]
remote_write:
- url: http://127.0.0.1:9099/api/v1/write
  queue_config: {batch_send_deadline: 100ms}
  write_relabel_configs: [{source_labels: [__name__], regex: 'ALERTS.*', action: drop}]
scrape_configs:
- job_name: node
  kubernetes_sd_configs: [{role: pod}]
  relabel_configs: [{action: keep, source_labels: [a], regex: b}]
storage: {tsdb: {out_of_order_time_window: 10m}}
tracing: {endpoint: localhost:4317}
";
    let server = Setup::new()
        .file("prometheus.yml", config)
        .file("rules.yml", RULES)
        .flag("--config.file=prometheus.yml")
        .start();
    let log = server.log();
    let said: Vec<&str> = log.lines().filter(|l| l.contains("ignored")).collect();
    assert_eq!(said.len(), 1, "{log}");
    for section in ["scrape_configs", "remote_write", "storage", "tracing"] {
        assert!(said[0].contains(section), "{section}: {log}");
    }
    assert!(!log.contains("level=WARN"), "{log}");
    assert_eq!(server.data("rules")["groups"][0]["interval"], 30.0);
    let url = &server.data("alertmanagers")["activeAlertmanagers"][0]["url"];
    assert_eq!(url, "http://127.0.0.1:1/api/v2/alerts");
}

#[test]
fn without_a_file_the_bundled_rules_are_served_and_it_says_so() {
    let server = Setup::new().start();
    assert!(server.log().contains("serving the bundled rules"));
    let data = server.data("rules");
    let groups = data["groups"].as_array().expect("a list");
    assert!(groups.len() > 10, "{}", groups.len());
    server.push("up", now_ms() - 1_000, 1.0);
    assert_eq!(server.alerts(), [""; 0]);
}

#[test]
fn bundled_rules_can_be_written_out_changed_and_served() {
    let directory = tempfile::TempDir::new().expect("a temporary directory");
    let export = |more: &[&str]| {
        Command::new(env!("CARGO_BIN_EXE_burnwatch"))
            .args(["rules", "export", "rules"])
            .args(more)
            .current_dir(directory.path())
            .output()
            .expect("the binary starts")
    };
    assert!(export(&[]).status.success());
    let again = export(&[]);
    assert_eq!(again.status.code(), Some(1));
    let said = String::from_utf8(again.stderr).expect("text");
    assert!(said.contains("exists already; --force"), "{said}");
    assert!(export(&["--force"]).status.success());

    let pattern = directory.path().join("rules/*.yml");
    let config = format!("rule_files: ['{}']\n", pattern.display());
    let exported = Setup::new()
        .file("prometheus.yml", &config)
        .flag("--config.file=prometheus.yml")
        .start();
    let names = |server: &Server| {
        let data = server.data("rules");
        let groups = data["groups"].as_array().expect("a list").clone();
        let mut names: Vec<String> = groups.iter().map(|g| g["name"].to_string()).collect();
        names.sort();
        names
    };
    assert_eq!(names(&exported), names(&Setup::new().start()));
}

#[test]
fn the_external_url_is_where_pages_live_and_alerts_link_to() {
    let server = Setup::with_rules(RULES)
        .flag("--web.external-url=https://watch.example.org/team/")
        .start();
    assert_eq!(server.get("/team/-/ready").status, 200);
    assert_eq!(server.get("/team/api/v1/rules").status, 200);
    let home = server.get("/");
    let location = home.headers.get("location").map(String::as_str);
    assert_eq!(location, Some("/team"), "{home:?}");
}

#[test]
fn a_feature_is_off_until_its_flag_is_given() {
    let rules = "groups: [{name: g, rules: [{record: a, expr: 'mad_over_time(up[5m])'}]}]";
    let text = Setup::with_rules(rules).refused();
    assert!(text.contains("mad_over_time"), "{text}");
    assert!(text.contains("promql-experimental-functions"), "{text}");
    let server = Setup::with_rules(rules)
        .flag("--enable-feature=promql-experimental-functions,no-such-feature")
        .start();
    let log = server.log();
    assert!(log.contains("unknown feature flag"), "{log}");
    assert!(log.contains("no-such-feature"), "{log}");
}

#[test]
fn listening_openly_is_warned_of() {
    let open = Setup::with_rules(RULES)
        .flag("--web.listen-address=0.0.0.0:0")
        .start();
    let log = open.log();
    let warned = log.lines().any(|line| {
        line.contains("level=WARN") && line.contains("anyone who reaches this address")
    });
    assert!(warned, "{log}");
    let closed = Setup::with_rules(RULES).start();
    assert!(!closed.log().contains("level=WARN"), "{}", closed.log());
}

#[test]
fn what_cannot_work_is_said_in_one_line() {
    let taken = Setup::with_rules(RULES).start();
    let address = taken.address();
    let flag = format!("--web.listen-address={address}");
    let said = Setup::with_rules(RULES).flag(&flag).refused();
    let first = format!("burnwatch: cannot listen on {address}: ");
    assert!(said.starts_with(&first), "{said}");
    assert_eq!(said.lines().count(), 1, "{said}");

    let said = Setup::new().flag("--config.file=missing.yml").refused();
    assert!(
        said.starts_with("burnwatch: missing.yml: cannot be read: "),
        "{said}"
    );
    let said = Setup::new().flag("--log.format=xml").refused();
    assert_eq!(
        said,
        "burnwatch: unrecognized log format \"xml\"; use logfmt or json\n"
    );
}

#[test]
fn the_log_may_be_json_and_flags_are_shown() {
    let server = Setup::with_rules(RULES)
        .flag("--log.format=json")
        .flag("--log.level=debug")
        .start();
    for line in server.log().lines() {
        let line: serde_json::Value = serde_json::from_str(line).expect("JSON");
        assert!(
            line["time"].is_string() && line["level"].is_string(),
            "{line}"
        );
    }
    let flags = server.data("status/flags");
    assert_eq!(flags["log.level"], "debug");
    assert_eq!(flags["config.file"], "prometheus.yml");
    assert_eq!(flags["web.enable-lifecycle"], "false");
}
