//! Pyrra's tiers, names and labels.

use burnwatch::model::DurationMs;
use burnwatch::slo::{Options, Windows};

use crate::{compiled, corpora, example, read, rules};

fn spec(window: &str) -> String {
    format!(
        "apiVersion: pyrra.dev/v1alpha1\nkind: ServiceLevelObjective\nmetadata: {{name: a, namespace: b}}\n\
         spec:\n  target: '99'\n  window: {window}\n  indicator:\n    ratio:\n      \
         errors: {{metric: 'x_errors_total{{job=\"j\"}}'}}\n      total: {{metric: 'x_total{{job=\"j\"}}'}}\n"
    )
}

/// Burn rate, long and short window, `for`, severity and exhaustion, as Pyrra's generator has them
/// for a window.
fn check(window: &str, expected: [(f64, &str, &str, &str, &str, &str); 4]) {
    let compiled = compiled(&spec(window), &Options::default());
    let slo = &compiled.slos[0];
    let tiers: Vec<_> = slo
        .tiers
        .iter()
        .map(|tier| {
            let alert = slo
                .groups
                .iter()
                .flat_map(|group| &group.rules)
                .find(|rule| {
                    rule.alert.is_some() && rule.labels.get("long") == Some(&tier.long.to_string())
                });
            let labels = alert.expect("an alert").labels.clone();
            (
                tier.burn,
                tier.long.to_string(),
                tier.short.expect("a short window").to_string(),
                tier.hold.to_string(),
                labels["severity"].clone(),
                labels["exhaustion"].clone(),
            )
        })
        .collect();
    let expected = expected.map(|(burn, long, short, hold, severity, exhaustion)| {
        let owned = |text: &str| text.to_owned();
        (
            burn,
            owned(long),
            owned(short),
            owned(hold),
            owned(severity),
            owned(exhaustion),
        )
    });
    assert_eq!(tiers, expected, "{window}");
}

#[test]
fn tiers_by_window() {
    check(
        "4w",
        [
            (14.0, "1h", "5m", "2m", "critical", "2d"),
            (7.0, "6h", "30m", "15m", "critical", "4d"),
            (2.0, "1d", "2h", "1h", "warning", "2w"),
            (1.0, "4d", "6h", "3h", "warning", "4w"),
        ],
    );
    check(
        "30d",
        [
            (14.0, "1h4m", "5m", "2m", "critical", "2d3h25m42s"),
            (7.0, "6h26m", "32m", "16m", "critical", "4d6h51m25s"),
            (2.0, "1d1h43m", "2h9m", "1h4m", "warning", "15d"),
            (1.0, "4d6h51m", "6h26m", "3h13m", "warning", "30d"),
        ],
    );
    check(
        "7d",
        [
            (14.0, "15m", "1m", "1m", "critical", "12h"),
            (7.0, "1h30m", "8m", "4m", "critical", "1d"),
            (2.0, "6h", "30m", "15m", "warning", "3d12h"),
            (1.0, "1d", "1h30m", "45m", "warning", "1w"),
        ],
    );
}

#[test]
fn names_and_labels_are_pyrras() {
    let text = rules(&example("pyrra.yml"), &Options::default());
    for part in [
        "- name: gateway-errors-increase\n  interval: 2m30s\n",
        "- name: gateway-errors\n  interval: 30s\n",
        "record: gateway_requests:burnrate5m\n",
        "record: gateway_requests:increase4w\n",
        "record: gateway_request_duration_seconds:burnrate1h4m\n",
        "record: probe_success:burnrate5m\n",
        "record: 'probe_success:count30d'\n",
        "alert: ErrorBudgetBurn\n",
        "alert: SLOMetricAbsent\n",
        "gateway_requests:burnrate5m{job=\"gateway\",slo=\"gateway-errors\"} > (14 * (1-0.995)) and \
         gateway_requests:burnrate1h{job=\"gateway\",slo=\"gateway-errors\"} > (14 * (1-0.995))",
        "team: edge\n",
    ] {
        let unquoted = part.replace('\'', "");
        assert!(
            text.contains(part) || text.contains(&unquoted),
            "{part}\n{text}"
        );
    }
}

#[test]
fn the_workbooks_tiers_are_taken_on_demand() {
    let options = Options {
        windows: Windows::Workbook,
        ..Options::default()
    };
    let tiers = compiled(&spec("30d"), &options).slos.remove(0).tiers;
    let burns: Vec<f64> = tiers.iter().map(|tier| tier.burn).collect();
    assert_eq!(burns, [14.4, 6.0, 3.0, 1.0]);
    assert!(tiers.iter().all(|tier| tier.hold == DurationMs::ZERO));
}

#[test]
fn all_of_pyrras_examples_compile() {
    let Some(corpora) = corpora("Pyrra's examples") else {
        return;
    };
    let mut n_specs = 0;
    for entry in std::fs::read_dir(corpora.join("pyrra")).unwrap() {
        let path = entry.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        match read(&text) {
            Ok(spec) => n_specs += spec.slos.len(),
            Err(errors) => panic!("{}: {errors:#?}", path.display()),
        }
    }
    say!("{n_specs} of Pyrra's objectives compile");
    assert!(n_specs >= 29, "{n_specs}");
}
