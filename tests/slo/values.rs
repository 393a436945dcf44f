//! What specifications compile to, before a real promtool: it loads, and has the same values.

use std::fmt::Write as _;
use std::process::Command;

use burnwatch::slo::{Options, Windows};
use tempfile::TempDir;

use crate::{Recorded, example, promtool, rules, run};

/// Three hours of everything the examples look at, with an hour of trouble in it and twenty
/// minutes of planned maintenance.
const SERIES: &str = "
  - {series: 'prediction_errors_total{job=\"p\"}', values: '0+0x60 0+30x60 1800+0x60'}
  - {series: 'predictions_total{job=\"p\"}', values: '0+600x180'}
  - {series: 'prediction_latency_seconds_count{job=\"p\",model=\"a\"}', values: '0+600x180'}
  - {series: 'prediction_latency_seconds_bucket{job=\"p\",model=\"a\",le=\"0.5\"}', values: '0+600x60 36000+400x60 60000+600x60'}
  - {series: 'prediction_latency_seconds_count{job=\"p\",model=\"b\"}', values: '0+60x180'}
  - {series: 'prediction_latency_seconds_bucket{job=\"p\",model=\"b\",le=\"0.5\"}', values: '0+60x180'}
  - {series: 'psi_score{model=\"a\"}', values: '0.1x60 0.3x60 0.1x60'}
  - {series: 'psi_score{model=\"b\"}', values: '0.1x180'}
  - {series: 'planned_retraining{service=\"predictor\"}', values: '0x80 1x20 0x80'}
  - {series: 'model_accuracy{model=\"a\"}', values: '0.95x90 0.85x90'}
  - {series: 'orders_total{code=\"200\"}', values: '0+600x180'}
  - {series: 'orders_total{code=\"500\"}', values: '0+0x60 0+60x120'}
  - {series: 'searches_total{code=\"200\"}', values: '0+600x180'}
  - {series: 'searches_total{code=\"500\"}', values: '0+1x180'}
  - {series: 'search_queue_length{queue=\"a\"}', values: '10x100 200x80'}
  - {series: 'gateway_requests_total{job=\"gateway\",route=\"/\",code=\"200\"}', values: '0+600x180'}
  - {series: 'gateway_requests_total{job=\"gateway\",route=\"/\",code=\"500\"}', values: '0+0x60 0+100x120'}
  - {series: 'gateway_request_duration_seconds_bucket{job=\"gateway\",le=\"0.5\"}', values: '0+590x180'}
  - {series: 'gateway_request_duration_seconds_count{job=\"gateway\"}', values: '0+600x180'}
  - {series: 'probe_success{job=\"gateway\"}', values: '1x60 0x5 1x115'}
";
const HEAD: &str =
    "rule_files: [rules.yml]\nevaluation_interval: 1m\ntests:\n- interval: 1m\n  input_series:";
/// The same, evaluated so that no window begins where there is a sample: there Prometheus 2 and 3
/// differ.
const ODD_HEAD: &str =
    "rule_files: [rules.yml]\nevaluation_interval: 47s\ntests:\n- interval: 1m\n  input_series:";
/// The end of that, 230 evaluations later.
const END_MS: i64 = 230 * 47_000;

/// The series that rules made and that have a sample at the end, with its value.
fn at_the_end(recorded: &Recorded) -> Vec<(String, f64)> {
    let made = recorded.iter().filter(|(labels, _)| {
        [
            "__name__=\"slo:",
            "__name__=\"ALERTS\"",
            ":burnrate",
            ":increase",
            ":count",
            ":sum",
        ]
        .iter()
        .any(|part| labels.contains(part))
    });
    let last = made.filter_map(|(labels, samples)| {
        let value = samples.last()?.strip_suffix(&format!(" @[{END_MS}]"))?;
        Some((labels.clone(), value.parse().expect("a number")))
    });
    last.collect()
}

/// Asks promtool whether the rules load, and whether their series have these values.
fn check_with_promtool(name: &str, rules: &str) -> usize {
    let ending = "\n  promql_expr_test:\n  - {expr: vector(1), eval_time: 10810s, exp_samples: [{labels: '{}', value: 1}]}\n";
    let recorded = run(rules, &format!("{ODD_HEAD}{SERIES}{ending}"));
    let values = at_the_end(&recorded);
    assert!(values.len() > 10, "{name}: {values:#?}");
    let Some(promtool) = promtool() else {
        say!("skipped: no promtool here; `make test` fetches one");
        return values.len();
    };
    let directory = TempDir::new().unwrap();
    std::fs::write(directory.path().join("rules.yml"), rules).unwrap();
    let ask = |words: &[&str]| {
        let mut command = Command::new(&promtool);
        command
            .args(words)
            .current_dir(directory.path())
            .output()
            .unwrap()
    };
    let checked = ask(&["check", "rules", "rules.yml"]);
    assert!(checked.status.success(), "{name}: {checked:#?}\n{rules}");
    // Without an order promtool takes any, and a budget may be a tick behind its indicator.
    let groups = rules
        .lines()
        .filter_map(|line| line.strip_prefix("- name: "));
    let groups: Vec<&str> = groups.collect();
    let order = format!("group_eval_order: [{}]\ntests:\n", groups.join(", "));
    let head = ODD_HEAD.replacen("tests:\n", &order, 1);
    let mut test = format!("{head}{SERIES}\n  promql_expr_test:\n");
    for (labels, value) in &values {
        let name = labels
            .split("__name__=\"")
            .nth(1)
            .and_then(|rest| rest.split('"').next());
        let name = name.expect("a name");
        let others = labels.replacen(&format!("__name__=\"{name}\""), "", 1);
        let others = others.replace("{, ", "{").replace(", , ", ", ");
        // Totals and the buckets under a threshold have the same name, and differ by `le` alone.
        let exactly = match others.trim_matches(['{', '}']) {
            labels if labels.contains("le=\"") => format!("{{{labels}}}"),
            labels => format!("{{{labels}, le=\"\"}}").replacen("{, ", "{", 1),
        };
        let selector = format!("{name}{exactly}");
        // Versions of Prometheus add floats up in different orders.
        let expr = match value.is_nan() {
            true => format!("({selector} != {selector}) * 0 + 1"),
            false => format!(
                "abs({selector} - {value}) <= bool {}",
                value.abs() * 1e-9 + 1e-12
            ),
        };
        let _ = writeln!(
            test,
            "  - expr: '{}'\n    eval_time: 10810s\n    exp_samples: [{{labels: '{others}', value: 1}}]",
            expr.replace('\'', "''")
        );
    }
    let n_slo = values
        .iter()
        .filter(|(labels, _)| labels.contains("__name__=\"slo:"))
        .count();
    let _ = writeln!(
        test,
        "  - expr: 'count({{__name__=~\"slo:.+\"}})'\n    eval_time: 10810s\n    exp_samples: [{{labels: '{{}}', value: {n_slo}}}]"
    );
    std::fs::write(directory.path().join("test.yml"), &test).unwrap();
    let tested = ask(&["test", "rules", "test.yml"]);
    let said = String::from_utf8_lossy(&tested.stdout) + String::from_utf8_lossy(&tested.stderr);
    assert!(tested.status.success(), "{name}: {said}\n{test}\n{rules}");
    values.len()
}

#[test]
fn prometheus_loads_the_rules_and_finds_the_same_values() {
    for name in ["predictor.yml", "sloth.yml", "openslo.yml", "pyrra.yml"] {
        for windows in [Windows::Own, Windows::Workbook] {
            let options = Options {
                windows,
                ..Options::default()
            };
            let n = check_with_promtool(name, &rules(&example(name), &options));
            say!("{name}, {windows:?}: {n} series are worth the same to promtool");
        }
    }
}

fn value(recorded: &Recorded, parts: &[&str], at_ms: i64) -> Option<f64> {
    let is_meant =
        |labels: &&(String, Vec<String>)| parts.iter().all(|part| labels.0.contains(part));
    let mut fitting = recorded.iter().filter(is_meant);
    let (_, samples) = fitting.next()?;
    assert!(
        fitting.next().is_none(),
        "{parts:?} fit more than one series"
    );
    let sample = samples
        .iter()
        .find_map(|sample| sample.strip_suffix(&format!(" @[{at_ms}]")));
    sample.map(|value| value.parse().expect("a number"))
}

#[test]
fn maintenance_and_missing_errors_and_short_history() {
    let ending = "\n  promql_expr_test:\n  - {expr: vector(1), eval_time: 3h, exp_samples: [{labels: '{}', value: 1}]}\n";
    let recorded = run(
        &rules(&example("predictor.yml"), &Options::default()),
        &format!("{HEAD}{SERIES}{ending}"),
    );
    let drift = |at| {
        value(
            &recorded,
            &[
                "slo:sli_error:ratio_rate1h\"",
                "slo=\"drift\"",
                "model=\"a\"",
            ],
            at,
        )
    };
    // From minute 61 to 120 it drifts, and 80 to 99 are maintenance: 40 of the 41 moments between
    // are bad at minute 120, and the others before the maintenance are counted with them.
    let at_2h = drift(2 * 3_600_000).expect("a value");
    assert!((0.9..=1.0).contains(&at_2h), "{at_2h}");
    let moments = recorded.iter().find(|(labels, _)| {
        labels.contains("slo:sli_bad:ratio\"")
            && labels.contains("slo=\"drift\"")
            && labels.contains("model=\"a\"")
    });
    let (_, moments) = moments.expect("recorded");
    let during = |minute: i64| {
        moments
            .iter()
            .any(|sample| sample.ends_with(&format!("@[{}]", minute * 60_000)))
    };
    assert!(during(79) && !during(85) && during(110), "{moments:?}");
    // An hour of history is there after an hour, three days are not.
    let short = |window: &str, at| {
        let window = format!("window=\"{window}\"");
        value(
            &recorded,
            &[
                "slo:history_shorter_than_window",
                "slo=\"availability\"",
                &window,
            ],
            at,
        )
    };
    assert_eq!(short("1h", 1_800_000), Some(1.0));
    assert_eq!(short("1h", 7_200_000), Some(0.0));
    assert_eq!(short("3d", 7_200_000), Some(1.0));
    // 30 of 600 fail: 5 %, 50 times the budget, which then lasts less than 30 days / 50.
    let burn = value(
        &recorded,
        &["slo:current_burn_rate:ratio", "slo=\"availability\""],
        5_400_000,
    );
    assert!((burn.expect("a value") - 50.0).abs() < 1e-9, "{burn:?}");
    let fired = |severity: &str, at| {
        let severity = format!("severity=\"{severity}\"");
        value(
            &recorded,
            &["__name__=\"ALERTS\"", "slo=\"availability\"", &severity],
            at,
        )
    };
    assert_eq!(fired("P1", 3_600_000), None);
    assert_eq!(fired("P1", 7_200_000), Some(1.0));
    // The five-minute window ends it soon after the trouble does.
    assert_eq!(fired("P1", 7_200_000 + 360_000), None);
}

#[test]
fn a_service_without_an_error_has_its_whole_budget() {
    let series = "\n  - {series: 'predictions_total{job=\"p\"}', values: '0+600x60'}\n";
    let ending = "\n  promql_expr_test:\n  - {expr: vector(1), eval_time: 1h, exp_samples: [{labels: '{}', value: 1}]}\n";
    let recorded = run(
        &rules(&example("predictor.yml"), &Options::default()),
        &format!("{HEAD}{series}{ending}"),
    );
    let remaining = value(
        &recorded,
        &[
            "slo:period_error_budget_remaining:ratio",
            "slo=\"availability\"",
        ],
        3_600_000,
    );
    assert_eq!(remaining, Some(1.0));
}
