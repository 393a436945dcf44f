//! `check config`

use crate::{BAD, Files, GOOD, SHORT};

const CONFIG: &str = "\
global: {scrape_interval: 15s, evaluation_interval: 1m, external_labels: {cluster: a}}
rule_files: [rules/*.yml]
alerting: {alertmanagers: [{static_configs: [{targets: ['am:9093']}]}]}
scrape_configs:
- job_name: node
  static_configs: [{targets: ['a:9100']}]
- job_name: pods
  kubernetes_sd_configs: [{role: pod}]
  relabel_configs: [{source_labels: [__meta_kubernetes_pod_name], target_label: pod}]
remote_write: [{url: 'http://b:9099/api/v1/write'}]
";

#[test]
fn a_configuration_and_its_rules_are_checked() {
    let files = Files::of(&[("p.yml", CONFIG), ("rules/a.yml", GOOD)]);
    let run = files.burnwatch("config p.yml");
    run.check(
        0,
        "Checking p.yml\n  SUCCESS: 1 rule files found\n SUCCESS: p.yml is valid prometheus config \
         file syntax\n\nChecking rules/a.yml\n  SUCCESS: 2 rules found\n\n",
        &[
            "burnwatch uses evaluation_interval 1m, 1 external label",
            "burnwatch passes over scrape_configs, remote_write",
            "burnwatch does not scrape",
        ],
    );
    let files = Files::of(&[("p.yml", CONFIG), ("rules/a.yml", BAD)]);
    let run = files.burnwatch("config p.yml");
    assert_eq!(run.code, 1, "{run:#?}");
    run.check_said(&["rules/a.yml:4:36: "]);
    let run = files.burnwatch("config --syntax-only p.yml");
    run.check(
        0,
        "Checking p.yml\n SUCCESS: p.yml is valid prometheus config file syntax\n\n",
        &[],
    );
}

#[test]
fn baselines_are_looked_at_and_missed() {
    let rules = "groups:\n- name: g\n  rules:\n  - {record: r, expr: 'drift_psi(x, x:baseline)'}\n";
    let config = "rule_files: [a.yml]\nburnwatch: {baseline_files: [b.yml]}\n";
    let run = |baseline: &str| {
        let files = Files::of(&[("p.yml", config), ("a.yml", rules), ("b.yml", baseline)]);
        files.burnwatch("config p.yml")
    };
    let found = run("baseline:\nseries: ['x:baseline{le=\"1\"} 5']\n");
    assert_eq!(
        (found.code, found.out.contains("WARNING")),
        (0, false),
        "{found:#?}"
    );
    let missing = run("baseline:\nseries: ['y:baseline{le=\"1\"} 5']\n");
    assert!(
        missing
            .out
            .contains("reads x:baseline, which no baseline has"),
        "{missing:#?}"
    );
    let broken = run("baseline:\nseries: [y]\n");
    assert_eq!(broken.code, 1, "{broken:#?}");
    assert!(broken.err.contains("b.yml:2:10"), "{broken:#?}");
    let other = run("groups: []\n");
    assert!(other.err.contains("b.yml: is no baseline"), "{other:#?}");
}

#[test]
fn a_series_in_two_baselines_is_refused_with_both_places() {
    let config = "burnwatch: {baseline_files: [b.yml, c.yml]}\n";
    let one = "baseline:\nseries:\n- 'x:baseline{le=\"1\"} 5'\n";
    let two = "baseline:\nseries:\n- 'y:baseline{} 1'\n- 'x:baseline{le=\"1\"} 6'\n";
    let files = Files::of(&[("p.yml", config), ("b.yml", one), ("c.yml", two)]);
    let run = files.burnwatch("config p.yml");
    assert_eq!(run.code, 1, "{run:#?}");
    let said = "c.yml:4:3: x:baseline{le=\"1\"} is listed twice: also at ";
    assert!(run.err.contains(said), "{run:#?}");
    assert!(run.err.contains("b.yml:3"), "{run:#?}");
}

/// Checks that a text is refused at a place, with words and a remedy.
fn refused(text: &str, said: &str) {
    let run = Files::of(&[("p.yml", text)]).burnwatch("config p.yml");
    assert_eq!(run.code, 1, "{text}\n{run:#?}");
    assert_eq!(run.out, "Checking p.yml\n\n", "{text}");
    assert!(run.err.contains(said), "{text}\n{said}\n{run:#?}");
}

#[test]
fn what_prometheus_refuses_is_refused() {
    let job = |rest: &str| format!("scrape_configs:\n- job_name: a\n{rest}");
    refused("globl: {}\n", "p.yml:1:1: unknown key \"globl\"");
    refused("global: {scrape_interval: 5}\n", "p.yml:1:27: ");
    refused(
        "global: {scrape_interval: 5s, scrape_timeout: 10s}\n",
        "scrape timeout greater than scrape interval (write a scrape_timeout of 5s or less)",
    );
    refused(
        "scrape_configs: [{job_name: a}, {job_name: a}]\n",
        "p.yml:1:33: found multiple scrape configs with job name \"a\" (rename one of them)",
    );
    refused(
        "scrape_configs: [{honor_labels: true}]\n",
        "job_name is empty",
    );
    refused(
        "scrape_configs: [null]\n",
        "empty or null scrape config section",
    );
    refused(
        &job("  scrap_interval: 5s\n"),
        "p.yml:3:3: unknown key \"scrap_interval\"",
    );
    refused(
        &job("  static_configs: [{targets: ['http://a']}]\n"),
        "\"http://a\" is not a valid hostname",
    );
    refused(
        &job("  relabel_configs: [{action: nope}]\n"),
        "unknown relabel action",
    );
    refused(
        &job("  foo_sd_configs: []\n"),
        "unknown key \"foo_sd_configs\"",
    );
    refused(
        &job("  scrape_protocols: [x]\n"),
        "unknown scrape protocol x",
    );
    refused(
        &job("  bearer_token: a\n  bearer_token_file: b\n"),
        "at most one of bearer_token & bearer_token_file must be configured",
    );
    refused(
        &job("  tls_config: {cert_file: c.pem}\n"),
        "specified without client key file",
    );
    refused(
        &job("  kubernetes_sd_configs: [{role: pods}]\n"),
        "\"pods\" is not known (write one of pod, service",
    );
    refused(
        "remote_write: [{name: a}]\n",
        "url for remote_write is empty",
    );
    refused(
        "remote_write: [{url: 'http://a', queue_config: {max_shards: 0}}]\n",
        "max_shards must be positive",
    );
    refused(
        "tracing: {insecure: true}\n",
        "tracing endpoint must be set",
    );
    refused(
        "storage: {tsdb: {retention: {percentage: 101}}}\n",
        "must be in the range [0, 100], got 101",
    );
}

#[test]
fn files_that_are_named_must_be_there() {
    refused(
        "rule_files: [none.yml]\n",
        "\"none.yml\" does not point to an existing file",
    );
    refused(
        "scrape_configs:\n- job_name: a\n  authorization: {credentials_file: none}\n",
        "p.yml:2:3: job \"a\": error checking authorization credentials or bearer token file \"none\"",
    );
    refused(
        "scrape_configs:\n- job_name: a\n  tls_config: {cert_file: c, key_file: k}\n",
        "error checking client cert file \"c\"",
    );
    let text = "scrape_configs: [{job_name: a, file_sd_configs: [{files: ['t*.yml']}]}]\n";
    let check = |files: &[(&str, &str)], code: i32| {
        let mut all = vec![("p.yml", text)];
        all.extend(files);
        let run = Files::of(&all).burnwatch("config p.yml");
        assert_eq!(run.code, code, "{run:#?}");
        run
    };
    check(&[("t1.yml", "- targets: ['a:1']\n")], 0);
    check(&[("t1.yml", "- target: ['a:1']\n")], 1)
        .check_said(&["t1.yml:1:3: unknown key \"target\""]);
    let missing = check(&[], 0);
    let warning = "  WARNING: file \"t*.yml\" for file_sd in scrape job \"a\" does not exist\n";
    assert!(missing.out.contains(warning), "{missing:#?}");
}

#[test]
fn scrape_files_are_read() {
    let text = "scrape_config_files: ['s*.yml']\nscrape_configs: [{job_name: a}]\n";
    let check = |scrape: &str, code: i32, said: &str| {
        let run = Files::of(&[("p.yml", text), ("s.yml", scrape)]).burnwatch("config p.yml");
        assert_eq!(run.code, code, "{run:#?}");
        run.check_said(&[said]);
    };
    check("scrape_configs: [{job_name: b}]\n", 0, "");
    check(
        "scrape_configs: [{job_name: a}]\n",
        1,
        "s.yml:1:18: found multiple scrape configs",
    );
}

#[test]
fn long_scrape_intervals_are_found_as_promtool_does() {
    let text = "scrape_configs: [{job_name: a, scrape_interval: 5m}]\n";
    let files = Files::of(&[("p.yml", text)]);
    let said = "  FAILED: too long scrape interval found, data point will be marked as stale - job: \
                a, interval: 5m\n";
    let check = |flags: &str, code: i32, is_found: bool| {
        let run = files.burnwatch(&format!("config {flags} p.yml"));
        assert_eq!(
            (run.code, run.err.contains(said)),
            (code, is_found),
            "{run:#?}"
        );
    };
    check("", 0, false);
    check("--lint=too-long-scrape-interval", 0, true);
    check("--lint=all --lint-fatal", 3, true);
    check("--lint=all,none --lint-fatal", 0, false);
    check(
        "--lint=all --query.lookback-delta=10m --lint-fatal",
        0,
        false,
    );
}

#[test]
fn advice_knows_the_intervals_of_the_configuration() {
    let text = "global: {evaluation_interval: 20s}\nrule_files: [r.yml]\n";
    let rules = SHORT.replace("  interval: 1m\n", "");
    let files = Files::of(&[("p.yml", text), ("r.yml", &rules)]);
    let run = files.burnwatch("config --lint=all --lint-fatal p.yml");
    assert_eq!(run.code, 0, "{run:#?}");
    let files = Files::of(&[("p.yml", "rule_files: [r.yml]\n"), ("r.yml", &rules)]);
    let run = files.burnwatch("config --lint=all --lint-fatal p.yml");
    assert_eq!(run.code, 3, "{run:#?}");
    run.check_said(&["r.yml:6:10: ", "(short-hold)"]);
}

#[test]
fn what_burnwatch_cannot_do_is_said() {
    let alertmanagers = "alerting: {alertmanagers: [{kubernetes_sd_configs: [{role: pod}]}]}\n";
    refused(
        alertmanagers,
        "kubernetes_sd_configs is not supported (use static_configs",
    );
    let files = Files::of(&[("p.yml", "global: {}\n"), ("b.yml", "log: everything\n")]);
    let run = files.burnwatch("config --agent p.yml");
    assert_eq!(run.code, 1, "{run:#?}");
    run.check_said(&[
        "--agent: in agent mode nothing is evaluated",
        "promtool check config --agent",
    ]);
    let run = files.burnwatch("config --burnwatch.config.file=b.yml p.yml");
    assert_eq!(run.code, 1, "{run:#?}");
    run.check_said(&["b.yml:1:6: "]);
    files.burnwatch("config none.yml").check(
        1,
        "Checking none.yml\n\n",
        &["  FAILED: none.yml: cannot be read"],
    );
}
