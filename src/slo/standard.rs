//! Our own conventions, which OpenSLO takes as well: names that Sloth's dashboards know, the
//! labels `service` and `slo`, the workbook's tiers, one alert for each of them.

use std::collections::BTreeMap;

use crate::model::DurationMs;
use crate::model::labels::quote;
use crate::slo::SpecNote;
use crate::slo::burn_rate::{Tier, Urgency, decimal, percent, spoken, workbook};
use crate::slo::history::{Recorded, short_history, time_to_exhaustion};
use crate::slo::objective::{AlertDetail, Conventions, Slo, merged, pairs};
use crate::slo::rule_text::{AlertText, RuleGroupText, RuleText};
use crate::slo::signal::{base_records, error_ratio, windows};
use crate::slo::windows::AlertWindows;

/// The name of alerts that the specification does not name.
pub(crate) const ALERT: &str = "ErrorBudgetBurn";

/// How often what is said about the whole period is worked out: it moves slowly, and a Prometheus
/// reads the whole period's samples each time.
const BUDGET_INTERVAL: DurationMs = DurationMs::from_seconds(120);

/// The labels that tell objectives apart; an indicator may not keep them as its own.
pub(crate) const IDENTITY: [&str; 2] = ["service", "slo"];

/// Our own conventions.
#[derive(Debug)]
pub(crate) struct Standard;

impl Conventions for Standard {
    fn tiers(
        &self,
        _slo: &Slo,
        period: DurationMs,
        _catalog: &[AlertWindows],
        _notes: &mut Vec<SpecNote>,
    ) -> Vec<Tier> {
        workbook(period)
    }

    fn groups(&self, slo: &Slo, period: DurationMs, tiers: &[Tier]) -> Vec<RuleGroupText> {
        let identity = pairs([("service", &slo.service), ("slo", &slo.name)]);
        let labels = merged([&slo.labels, &identity]);
        let select = |name: &str| {
            format!(
                "{name}{{service={}, slo={}}}",
                quote(&slo.service),
                quote(&slo.name)
            )
        };
        let ratio = |window: DurationMs| select(&ratio_name(window));
        let windows = windows(tiers);
        // Without a tier there is still a burn rate to be told.
        let shortest = windows
            .first()
            .copied()
            .unwrap_or(DurationMs::from_seconds(300));
        let mut rules = base_records(slo, &labels);
        let recorded = match windows.is_empty() {
            true => vec![shortest],
            false => windows.clone(),
        };
        for window in &recorded {
            let expr = error_ratio(slo, *window, &select);
            rules.push(RuleText::record(ratio_name(*window), expr, &labels));
        }
        let budget = slo.budget();
        rules.push(RuleText::record(
            "slo:current_burn_rate:ratio",
            format!("{} / {budget}", ratio(shortest)),
            &labels,
        ));
        rules.extend(
            tiers
                .iter()
                .filter_map(|tier| alert(slo, period, tier, &ratio)),
        );
        let id = format!("{}-{}", slo.service, slo.name);
        let indicator = RuleGroupText {
            name: format!("slo-{id}"),
            interval: slo.interval,
            rules,
        };
        let budget = RuleGroupText {
            name: format!("slo-budget-{id}"),
            interval: Some(BUDGET_INTERVAL),
            rules: budget_rules(slo, period, tiers, &recorded, &labels, &select),
        };
        vec![indicator, budget]
    }
}

fn ratio_name(window: DurationMs) -> String {
    format!("slo:sli_error:ratio_rate{window}")
}

/// Returns what is said about the whole period.
fn budget_rules(
    slo: &Slo,
    period: DurationMs,
    tiers: &[Tier],
    recorded: &[DurationMs],
    labels: &BTreeMap<String, String>,
    select: &dyn Fn(&str) -> String,
) -> Vec<RuleText> {
    let record = |name: &str, expr: String| RuleText::record(name, expr, labels);
    let ratio = |window: DurationMs| select(&ratio_name(window));
    let budget = slo.budget();
    let mut rules = vec![
        record(
            "slo:objective:ratio",
            format!("vector({})", decimal(1.0 - budget)),
        ),
        record("slo:error_budget:ratio", format!("vector({budget})")),
        record(
            "slo:time_period:days",
            format!("vector({})", decimal(period.seconds() / 86_400.0)),
        ),
    ];
    if !recorded.contains(&period) {
        rules.push(record(
            &ratio_name(period),
            error_ratio(slo, period, select),
        ));
    }
    rules.push(record(
        "slo:period_burn_rate:ratio",
        format!("{} / {budget}", ratio(period)),
    ));
    rules.push(record(
        "slo:period_error_budget_remaining:ratio",
        format!("1 - {}", select("slo:period_burn_rate:ratio")),
    ));
    let shortest = recorded.first().copied().unwrap_or(period);
    let steady = tiers.iter().map(|tier| tier.long).min().unwrap_or(shortest);
    let series = Recorded {
        remaining: select("slo:period_error_budget_remaining:ratio"),
        error_ratio: ratio(steady),
        shortest: ratio(shortest),
        ignoring: "",
        without: "",
    };
    rules.push(time_to_exhaustion(slo, period, &series, labels));
    let mut long: Vec<DurationMs> = tiers.iter().map(|tier| tier.long).collect();
    long.push(period);
    long.sort_unstable();
    long.dedup();
    rules.extend(short_history(&long, &series, labels));
    rules
}

fn alert(
    slo: &Slo,
    period: DurationMs,
    tier: &Tier,
    ratio: &dyn Fn(DurationMs) -> String,
) -> Option<RuleText> {
    let detail = detail(slo, tier.urgency);
    if detail.is_disabled {
        return None;
    }
    let threshold = format!("{} * {}", decimal(tier.burn), slo.budget());
    let mut expr = format!("{} > {threshold}", ratio(tier.long));
    if let Some(short) = tier.short {
        expr += &format!("\nand\n{} > {threshold}", ratio(short));
    }
    // Those of the objective are the series' anyway; here they tell its alerts from others'.
    let mut own = pairs([
        ("service", slo.service.as_str()),
        ("slo", &slo.name),
        ("severity", &tier.severity),
        ("urgency", tier.urgency.name()),
        ("long_window", &tier.long.to_string()),
    ]);
    if let Some(short) = tier.short {
        own.insert("short_window".to_owned(), short.to_string());
    }
    let name = match slo.alerting.name.as_str() {
        "" => ALERT,
        name => name,
    };
    let annotations = merged([
        &annotations(slo, period, tier),
        &slo.alerting.annotations,
        &detail.annotations,
    ]);
    Some(RuleText {
        name: name.to_owned(),
        alert: Some(AlertText {
            hold: tier.hold,
            annotations,
        }),
        expr,
        labels: merged([&own, &slo.alerting.labels, &detail.labels]),
    })
}

/// Returns what holds for alerts of an urgency.
pub(crate) fn detail(slo: &Slo, urgency: Urgency) -> &AlertDetail {
    match urgency {
        Urgency::Page => &slo.alerting.page,
        Urgency::Ticket => &slo.alerting.ticket,
    }
}

fn annotations(slo: &Slo, period: DurationMs, tier: &Tier) -> BTreeMap<String, String> {
    let summary = format!(
        "{}: {{{{ $value | humanizePercentage }}}} of {} was bad in the last {}, the objective allows {}",
        slo.service,
        slo.name,
        tier.long,
        percent(slo.budget()),
    );
    let description = format!(
        "At this rate the error budget of {period} lasts {} at most; {} of it is gone since this \
         alert's window of {} began.",
        spoken(tier.exhaustion_seconds(period)),
        percent(tier.budget_gone(period)),
        tier.long,
    );
    pairs([("summary", &summary), ("description", &description)])
}
