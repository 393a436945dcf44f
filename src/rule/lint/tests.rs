//! Advice by a table of rules: what is found, and what looks like it and is meant.

use super::*;
use crate::functions::Functions;
use crate::promql::Features;
use crate::rule::parse_file;

/// Returns what is found in a file, as `line:column name`, info in parentheses.
fn found(text: &str, settings: &Settings) -> Vec<String> {
    let parsed = parse_file("f.yml", text, &Functions, Features::ALL).expect(text);
    let file = LintFile {
        path: "f.yml",
        text,
        groups: &parsed.groups,
    };
    let advice = advise(&[file], settings, &Functions, &|_| true).remove(0);
    let shown = |one: &Advice| match one.severity {
        Severity::Advice => format!("{}:{} {}", one.line, one.column, one.name),
        Severity::Info => format!("{}:{} ({})", one.line, one.column, one.name),
    };
    advice.iter().map(shown).collect()
}

/// Checks an alert's expression; columns count from its first character.
fn check(expr: &str, expected: &[&str]) {
    let text =
        format!("groups:\n- name: g\n  rules:\n  - alert: A\n    expr: >-\n\n      {expr}\n");
    let found = found(&text, &Settings::default());
    let shown: Vec<String> = found
        .iter()
        .map(|one| {
            let (place, name) = one.split_once(' ').expect("a place");
            let column = place.split_once(':').expect("a column").1;
            let column: usize = column.parse().expect("a number");
            format!("{} {name}", column - 6)
        })
        .collect();
    assert_eq!(shown, expected, "{expr}");
}

fn check_file(text: &str, expected: &[&str]) {
    assert_eq!(found(text, &Settings::default()), expected, "{text}");
}

#[test]
fn conditions() {
    check("up", &["1 no-condition"]);
    check("sum by (job) (rate(x_total[5m]))", &["1 no-condition"]);
    check("a / b", &["1 no-condition"]);
    check("up == bool 0", &["1 bool-comparison"]);
    check("up == 0", &[]);
    check("vector(1)", &[]);
    check("absent(up)", &[]);
    check("a unless b", &[]);
    check("x_info{ready!=\"True\"}", &[]);
    check("ALERTS{alertstate=\"firing\"}", &[]);
    check("job:errors:burning", &[]);
    check("sum(up == bool 0) > 2", &[]);
    check("a * on (pod) group_left b", &[]);
}

#[test]
fn comparisons_that_never_hold() {
    check("count(up == 1) == 0", &["1 never-true"]);
    check("count by (job) (x) < 1", &["1 never-true"]);
    check("0 == count(x)", &["1 never-true"]);
    check("up > 1", &["1 never-true"]);
    check("absent(x) == 0", &["1 never-true"]);
    check("rate(x_total[5m]) < 0", &["1 never-true"]);
    check("hour() > 23", &["1 never-true"]);
    check("x == NaN", &["1 never-true"]);
    check("x > 5 < 3", &["1 never-true"]);
    check("x > 5 and x < 3", &["1 never-true"]);
    check("(count(x) == 0) or y > 1", &["2 never-true"]);
    check("count(x) == 1", &[]);
    check("(count(x) or vector(0)) == 0", &[]);
    check("x > 3 and x < 5", &[]);
    check("x < 3 or x > 5", &[]);
    check("delta(x[5m]) < 0", &[]);
    check("sum(up) > 1", &[]);
    check("-rate(x_total[5m]) < 0", &[]);
    check("x != NaN", &[]);
    check("sum(x) - count(x) < 0", &[]);
    check("hour() > 22", &[]);
}

#[test]
fn selectors_and_matching() {
    check("x{a=\"b\", a!~\"b|c\"} > 0", &["1 contradictory-matchers"]);
    check(
        "rate(x{a=\"b\", a=\"c\"}[5m]) > 0",
        &["6 contradictory-matchers"],
    );
    check("x{a=\"b\", a=~\"b|c\"} > 0", &[]);
    check("x{s=\"1\"} + x{s=\"2\"} > 0", &["12 never-matches"]);
    check("sum(x) > on (job) y{job=\"a\"}", &["19 never-matches"]);
    check("x{s=\"1\"} + ignoring (s) x{s=\"2\"} > 0", &[]);
    check("x{s=\"1\"} / on (job) x{s=\"2\"} > 0", &[]);
    check("x{s=\"1\"} > 0 or x{s=\"2\"} > 0", &[]);
    check("x{s=\"1\"} > 0 unless x{s=\"2\"}", &[]);
    check(
        "label_replace(x{s=\"1\"}, \"s\", \"2\", \"\", \"\") + x{s=\"2\"} > 0",
        &[],
    );
}

#[test]
fn windows_and_rates() {
    check("rate(x_total[30s]) > 0", &["6 short-window"]);
    check("rate(x_total[1m]) > 0", &[]);
    check("rate(a:b:sum[1s]) > 0", &[]);
    check("max_over_time(x[15s]) > 0", &[]);
    check("rate(sum(x)[10m:1m]) > 0", &["6 rate-of-sum"]);
    check("rate(rate(x[5m])[10m:1m]) > 0", &["6 rate-of-rate"]);
    check("rate(max by (a) (x)[10m:1m]) > 0", &[]);
    check("deriv(sum(x)[10m:1m]) > 0", &[]);
    check(
        "histogram_quantile(0.9, sum by (job) (rate(x_bucket[5m]))) > 1",
        &["25 quantile-without-le"],
    );
    check(
        "histogram_quantile(0.9, sum by (le) (rate(x_bucket[5m]))) > 1",
        &[],
    );
    check(
        "histogram_quantile(0.9, sum by (job) (rate(x[5m]))) > 1",
        &[],
    );
    check("absent(up{job=~\"a|b\"})", &["1 (absent-of-alternatives)"]);
    check("absent(up{job=~\"a.*\"})", &[]);
}

#[test]
fn types_that_no_rule_can_have() {
    check("x[5m]", &["1 wrong-type"]);
    check("\"x\"", &["1 wrong-type"]);
    check("1", &[]);
}

#[test]
fn recorded_series_are_known_by_their_rules() {
    check_file(
        "groups:\n- name: g\n  interval: 1m\n  rules:\n  \
         - {record: 'a:b:sum', expr: sum(b_total)}\n  \
         - {record: 'a:b:rate', expr: 'sum(rate(b_total[5m]))'}\n  \
         - {record: 'x:y:z', expr: 'rate(a:b:sum[2m])'}\n  \
         - {record: plain, expr: 'rate(a:b:rate[5m])'}\n",
        &[
            "7:35 rate-of-sum",
            "7:35 short-window",
            "8:14 (record-name)",
            "8:33 rate-of-rate",
        ],
    );
}

#[test]
fn holds_and_intervals() {
    let rules =
        "  rules:\n  - alert: A\n    expr: up == 0\n    for: 30s\n    keep_firing_for: 20s\n";
    let with = |interval: &str| format!("groups:\n- name: g\n{interval}{rules}");
    check_file(
        &with("  interval: 1m\n"),
        &["7:10 short-hold", "8:22 short-hold"],
    );
    check_file(&with("  interval: 20s\n"), &[]);
    check_file(&with(""), &["6:10 (short-hold)", "7:22 (short-hold)"]);
    let settings = Settings {
        evaluation_interval: Some(DurationMs::from_seconds(15)),
        ..Settings::default()
    };
    assert!(found(&with(""), &settings).is_empty());
    let recorded = |interval: &str| {
        format!(
            "groups:\n- name: g\n  interval: {interval}\n  rules:\n  \
                 - {{record: 'a:b:c', expr: up}}\n  - {{record: 'a:b:d', expr: up}}\n"
        )
    };
    check_file(&recorded("10m"), &["3:13 interval-over-lookback"]);
    check_file(&recorded("5m"), &[]);
}

#[test]
fn scrape_intervals_are_those_of_the_job() {
    let mut settings = Settings::default();
    settings.scrape.jobs = vec![("slow".to_owned(), DurationMs::from_seconds(60))];
    let of = |selector: &str| {
        let text = format!(
            "groups: [{{name: g, rules: [{{record: 'a:b:c', expr: 'rate({selector}[2m])'}}]}}]"
        );
        found(&text, &settings).len()
    };
    assert_eq!(of("x_total{job=\"slow\"}"), 1);
    assert_eq!(of("x_total{job=\"fast\"}"), 0);
    assert_eq!(of("x_total"), 0);
}

#[test]
fn templates_show_what_is_there() {
    let with = |expr: &str, annotation: &str| {
        let text = format!(
            "groups:\n- name: g\n  rules:\n  - alert: A\n    expr: '{expr}'\n    \
             labels: {{severity: page}}\n    annotations:\n      a: '{annotation}'\n"
        );
        found(&text, &Settings::default())
    };
    let missing = ["8:10 missing-label"];
    assert_eq!(
        with("sum by (job) (up) < 1", "{{ $labels.instance }}"),
        missing
    );
    assert_eq!(with("sum(up) < 1", "{{ .Labels.job | toUpper }}"), missing);
    assert_eq!(
        with("absent(up{job=\"a\"})", "{{ $labels.instance }}"),
        missing
    );
    assert_eq!(with("sum(up) < 1", "{{ index $labels \"job\" }}"), missing);
    assert_eq!(with("sum(up) < 1", "{{ $labels.severity }}"), missing);
    let none: [&str; 0] = [];
    assert_eq!(with("sum by (job) (up) < 1", "{{ $labels.job }}"), none);
    assert_eq!(with("absent(up{job=\"a\"})", "{{ $labels.job }}"), none);
    assert_eq!(with("up == 0", "{{ $labels.anything }}"), none);
    assert_eq!(
        with(
            "sum(up) < 1",
            "{{ if $labels.job }}{{ $labels.job }}{{ end }}"
        ),
        none
    );
    assert_eq!(
        with(
            "sum(up) < 1",
            "{{ range query \"up\" }}{{ .Labels.job }}{{ end }}"
        ),
        none
    );
    assert_eq!(
        with("sum(a) > on () group_right b", "{{ $labels.instance }}"),
        none
    );
    assert_eq!(with("count_values(\"v\", a) > 1", "{{ $labels.v }}"), none);
}

#[test]
fn labels_do_not_change_with_the_value() {
    let with = |expr: &str, label: &str| {
        let text = format!(
            "groups:\n- name: g\n  rules:\n  - alert: A\n    expr: '{expr}'\n    \
             labels:\n      a: '{label}'\n"
        );
        found(&text, &Settings::default()).len()
    };
    assert_eq!(with("x > 5", "{{ $value }}"), 1);
    assert_eq!(with("x > 5", "{{ $value | humanize }}"), 1);
    assert_eq!(with("x == 5", "{{ $value }}"), 0);
    assert_eq!(
        with("x > 5", "{{ if gt $value 9.0 }}b{{ else }}c{{ end }}"),
        0
    );
    assert_eq!(with("x > 5", "plain"), 0);
}

/// What is said of a burn rate, in words.
fn said(expr: &str, more: &str) -> Vec<(String, String, Severity)> {
    let text = format!("groups:\n- name: g\n  rules:\n  - alert: A\n    expr: {expr}\n{more}");
    let parsed = parse_file("f.yml", &text, &Functions, Features::ALL).expect(&text);
    let file = LintFile {
        path: "f.yml",
        text: &text,
        groups: &parsed.groups,
    };
    let advice = advise(&[file], &Settings::default(), &Functions, &|name| {
        name == "burn-rate"
    });
    let advice = advice.into_iter().flatten();
    advice
        .map(|one| (one.message, one.remedy, one.severity))
        .collect()
}

#[track_caller]
fn check_said(expr: &str, more: &str, parts: &[&str]) {
    let found = said(expr, more);
    let [(message, remedy, severity)] = found.as_slice() else {
        panic!("{expr}: {found:#?}");
    };
    assert_eq!(*severity, Severity::Info);
    for part in parts {
        assert!(
            message.contains(part) || remedy.contains(part),
            "{part}: {message} ({remedy})"
        );
    }
}

#[test]
fn thresholds_as_burn_rates() {
    // As the rules of an often copied article have them.
    check_said(
        "(rate(prediction_errors_total[1m]) / rate(predictions_total[1m])) > 0.004",
        "    for: 1m\n",
        &[
            "0.4 % over 1m is a burn rate of 4 for an objective of 99.9 % over 30 days (assumed)",
            "fires when 0.01852 % of the budget is gone, and at that rate the budget lasts 7 d 12 h",
            "with one window",
            "without sum()",
        ],
    );
    check_said(
        "(rate(prediction_errors_total[6m]) / rate(predictions_total[6m])) > 0.002",
        "    for: 10m\n",
        &[
            "a burn rate of 2",
            "fires when 0.07407 % of the budget",
            "lasts 15 d",
        ],
    );
    let over = |burn: &str, window: &str| {
        format!(
            "sum(rate(errors_total[{window}])) / sum(rate(requests_total[{window}])) > {burn} * 0.001"
        )
    };
    check_said(
        &over("720", "1h"),
        "",
        &[
            "72 % over 1h is a burn rate of 720 for an objective of 99.9 % over 30 days:",
            "when 100 % of the budget is gone",
            "too late",
            "burn 14.4 over 1h",
        ],
    );
    check_said(
        &over("120", "6h"),
        "",
        &[
            "12 % over 6h is a burn rate of 120",
            "when 100 % of the budget is gone",
            "burn 2.4 over 6h",
        ],
    );
    // Two windows, and sums: nothing but the arithmetic is left to be said.
    let both = format!("{} and {}", over("14.4", "1h"), over("14.4", "5m"));
    check_said(
        &both,
        "",
        &[
            "1.44 % over 1h is a burn rate of 14.4",
            "when 2 % of the budget is gone",
            "lasts 2 d 2 h",
        ],
    );
    assert!(!said(&both, "")[0].0.contains("one window"));
    assert!(!said(&both, "")[0].0.contains("sum()"));
    check_said(
        "job:slo_errors:ratio_rate1h > 6 * 0.01",
        "",
        &["6 % over 1h is a burn rate of 6 for an objective of 99 %"],
    );
    check_said(
        "0.01 < sum(rate(x_total{code=~\"5..\"}[5m])) / sum(rate(x_total[5m]))",
        "",
        &["a burn rate of 10"],
    );
    for other in [
        "rate(hits_total[5m]) / rate(requests_total[5m]) > 0.5",
        "sum(rate(errors_total[5m])) > 0.1",
        "rate(errors_total[5m]) / rate(requests_total[5m]) > 3",
        "rate(errors_total[5m]) / rate(requests_total[5m]) < 0.1",
        "slo:sli_error:ratio_rate1h > 13.44 * 0.001",
    ] {
        assert_eq!(said(other, ""), [], "{other}");
    }
}
