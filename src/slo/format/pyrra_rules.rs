//! The rules of Pyrra: its burn rates, its tiers with their `for`, its names and labels.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::float::format_plain;
use crate::model::labels::quote;
use crate::model::{DurationMs, MatchOp};
use crate::slo::SpecNote;
use crate::slo::burn_rate::{Tier, Urgency};
use crate::slo::format::pyrra::PyrraAlerting;
use crate::slo::history::{Recorded, short_history, time_to_exhaustion};
use crate::slo::objective::{Conventions, Sli, Slo, WINDOW, merged, pairs};
use crate::slo::query::{Selector, with_window};
use crate::slo::rule_text::{AlertText, RuleGroupText, RuleText};
use crate::slo::signal::{base_records, error_ratio, windows};
use crate::slo::standard::{ALERT, detail};
use crate::slo::windows::AlertWindows;

/// The name of alerts on series that are not there, where none is given.
const ABSENT: &str = "SLOMetricAbsent";
/// How often burn rates and alerts are evaluated.
const INTERVAL: DurationMs = DurationMs::from_seconds(30);
/// The first row of Pyrra's severities.
const CRITICAL: &str = "critical";

/// Pyrra's tiers for 28 days: burn rate, long and short window, `for`; other periods scale them.
const TIERS: [(f64, DurationMs, DurationMs, DurationMs, Urgency, &str); 4] = [
    (
        14.0,
        minutes(60),
        minutes(5),
        minutes(2),
        Urgency::Page,
        CRITICAL,
    ),
    (
        7.0,
        minutes(360),
        minutes(30),
        minutes(15),
        Urgency::Page,
        CRITICAL,
    ),
    (
        2.0,
        minutes(1440),
        minutes(120),
        minutes(60),
        Urgency::Ticket,
        "warning",
    ),
    (
        1.0,
        minutes(5760),
        minutes(360),
        minutes(180),
        Urgency::Ticket,
        "warning",
    ),
];
/// The period of that table.
const TABLE_PERIOD: DurationMs = minutes(28 * 24 * 60);

const fn minutes(n: i64) -> DurationMs {
    DurationMs::from_seconds(n * 60)
}

/// Scales a span of the table to a period, to whole minutes as Pyrra does.
fn scaled(span: DurationMs, period: DurationMs) -> DurationMs {
    const MINUTE: i128 = 60_000;
    let exact = i128::from(span.0) * i128::from(period.0) / i128::from(TABLE_PERIOD.0);
    let rounded = (exact + MINUTE / 2) / MINUTE * MINUTE;
    DurationMs(i64::try_from(rounded).unwrap_or(i64::MAX))
}

/// What Pyrra makes.
#[derive(Debug)]
pub(crate) struct PyrraConventions {
    pub indicator: Indicator,
    pub alerting: PyrraAlerting,
}

/// Pyrra's kinds of indicators.
#[derive(Clone, Debug)]
pub(crate) enum Indicator {
    /// Counters of errors and of everything.
    Ratio {
        errors: Selector,
        total: Selector,
        grouping: Vec<String>,
    },
    /// A bucket of a classic histogram and its count.
    Latency {
        success: Selector,
        total: Selector,
        grouping: Vec<String>,
    },
    /// A native histogram and what is fast enough.
    LatencyNative {
        total: Selector,
        latency: DurationMs,
        grouping: Vec<String>,
    },
    /// A gauge that is 1 where all is well.
    BoolGauge {
        gauge: Selector,
        grouping: Vec<String>,
    },
}

impl Indicator {
    fn total(&self) -> &Selector {
        match self {
            Indicator::Ratio { total, .. }
            | Indicator::Latency { total, .. }
            | Indicator::LatencyNative { total, .. }
            | Indicator::BoolGauge { gauge: total, .. } => total,
        }
    }

    fn grouping(&self) -> &[String] {
        match self {
            Indicator::Ratio { grouping, .. }
            | Indicator::Latency { grouping, .. }
            | Indicator::LatencyNative { grouping, .. }
            | Indicator::BoolGauge { grouping, .. } => grouping,
        }
    }

    /// Returns the indicator as expressions.
    pub(crate) fn sli(&self) -> Sli {
        let by = self.grouping();
        let over = |function: &str, selector: &Selector| {
            summed(by, &format!("{function}({}[{WINDOW}])", selector.text()))
        };
        match self {
            Indicator::Ratio { errors, total, .. } => Sli::Events {
                errors: over("rate", errors),
                total: over("rate", total),
            },
            Indicator::Latency { success, total, .. } => Sli::Events {
                errors: format!("{} - {}", over("rate", total), over("rate", success)),
                total: over("rate", total),
            },
            Indicator::LatencyNative { total, latency, .. } => Sli::Ratio(format!(
                "1 - histogram_fraction(0, {}, {})",
                latency.seconds(),
                over("rate", total)
            )),
            Indicator::BoolGauge { gauge, .. } => Sli::Events {
                errors: format!(
                    "{} - {}",
                    over("count_over_time", gauge),
                    over("sum_over_time", gauge)
                ),
                total: over("count_over_time", gauge),
            },
        }
    }
}

fn summed(by: &[String], inner: &str) -> String {
    match by {
        [] => format!("sum({inner})"),
        by => format!("sum by ({}) ({inner})", by.join(", ")),
    }
}

impl Conventions for PyrraConventions {
    fn tiers(
        &self,
        slo: &Slo,
        period: DurationMs,
        _catalog: &[AlertWindows],
        notes: &mut Vec<SpecNote>,
    ) -> Vec<Tier> {
        let mut tiers = Vec::new();
        for (idx, (burn, long, short, hold, urgency, severity)) in TIERS.iter().enumerate() {
            let (long, short) = (scaled(*long, period), scaled(*short, period));
            let said = self.alerting.severities[idx].as_str();
            if short == DurationMs::ZERO || long == DurationMs::ZERO {
                notes.push(SpecNote {
                    place: slo.place,
                    message: format!(
                        "{}: Pyrra's tier of burn {burn} is left out: over a window of {period} it \
                         rounds to no time at all",
                        slo.name
                    ),
                });
                continue;
            }
            tiers.push(Tier {
                burn: *burn,
                long,
                short: Some(short),
                hold: scaled(*hold, period),
                urgency: *urgency,
                severity: match said {
                    "" => (*severity).to_owned(),
                    said => said.to_owned(),
                },
            });
        }
        tiers
    }

    fn groups(&self, slo: &Slo, period: DurationMs, tiers: &[Tier]) -> Vec<RuleGroupText> {
        let pyrra = Pyrra {
            conventions: self,
            slo,
            period,
            tiers,
        };
        vec![
            RuleGroupText {
                name: format!("{}-increase", slo.name),
                interval: Some(increase_interval(period)),
                rules: pyrra.increases(),
            },
            RuleGroupText {
                name: slo.name.clone(),
                interval: Some(INTERVAL),
                rules: pyrra.burn_rates(),
            },
            RuleGroupText {
                name: format!("{}-history", slo.name),
                interval: Some(increase_interval(period)),
                rules: pyrra.history(),
            },
        ]
    }
}

/// How often the whole window is worked out: half a minute a week.
fn increase_interval(period: DurationMs) -> DurationMs {
    let weeks = period.0 / minutes(7 * 24 * 60).0;
    DurationMs::from_seconds(30 * (weeks + 1).clamp(1, 8))
}

/// An objective as Pyrra has it.
struct Pyrra<'a> {
    conventions: &'a PyrraConventions,
    slo: &'a Slo,
    period: DurationMs,
    tiers: &'a [Tier],
}

/// Leaves the endings of counters away.
fn without_suffix<'n>(name: &'n str, suffixes: &[&str]) -> &'n str {
    suffixes.iter().fold(name, |name, suffix| {
        name.strip_suffix(suffix).unwrap_or(name)
    })
}

fn increase_name(metric: &str, period: DurationMs) -> String {
    format!(
        "{}:increase{period}",
        without_suffix(metric, &["_total", "_count", "_bucket"])
    )
}

impl Pyrra<'_> {
    fn indicator(&self) -> &Indicator {
        &self.conventions.indicator
    }

    /// Returns the labels of all rules of the objective.
    fn labels(&self) -> BTreeMap<String, String> {
        merged([&pairs([("slo", self.slo.name.as_str())]), &self.slo.labels])
    }

    /// Returns them with what the selector of everything demands, but for labels that are kept.
    fn labels_but(&self, kept: &BTreeSet<String>) -> BTreeMap<String, String> {
        let mut labels = self.labels();
        let matchers = &self.indicator().total().matchers;
        for matcher in matchers.iter().filter(|m| m.op == MatchOp::Equal) {
            labels.insert(matcher.name.clone(), matcher.value.clone());
        }
        labels.retain(|name, _| !kept.contains(name));
        labels
    }

    fn grouping(&self) -> BTreeSet<String> {
        self.indicator().grouping().iter().cloned().collect()
    }

    fn burn_rate_name(&self, window: DurationMs) -> String {
        let metric = without_suffix(&self.indicator().total().name, &["_total", "_count"]);
        format!("{metric}:burnrate{window}")
    }

    /// Returns the matchers by which alerts find their burn rates.
    fn matchers(&self) -> String {
        let grouping = self.grouping();
        let matchers = self.indicator().total().matchers.iter().filter(|matcher| {
            let is_regex = matches!(matcher.op, MatchOp::Matches | MatchOp::NotMatches);
            grouping.contains(&matcher.name) || !is_regex
        });
        let mut all: Vec<String> = matchers.map(ToString::to_string).collect();
        all.push(format!("slo={}", quote(&self.slo.name)));
        all.sort_unstable();
        all.join(",")
    }

    /// Returns the burn rates and the alerts on them.
    fn burn_rates(&self) -> Vec<RuleText> {
        let labels = self.labels_but(&self.grouping());
        let select = |name: &str| format!("{name}{{{}}}", self.matchers());
        let mut rules = base_records(self.slo, &labels);
        for window in self.windows() {
            let expr = error_ratio(self.slo, window, &select);
            rules.push(RuleText::record(self.burn_rate_name(window), expr, &labels));
        }
        // As Pyrra writes it: the share that has to be good.
        let target = format_plain(self.slo.percent / 100.0);
        for tier in self.tiers {
            if detail(self.slo, tier.urgency).is_disabled {
                continue;
            }
            let condition = |window: DurationMs| {
                let threshold = format!("({} * (1-{target}))", format_plain(tier.burn));
                format!("{} > {threshold}", select(&self.burn_rate_name(window)))
            };
            let mut own = pairs([
                ("long", tier.long.to_string().as_str()),
                ("severity", &tier.severity),
                ("exhaustion", &self.exhaustion(tier)),
            ]);
            let mut conditions = Vec::new();
            if let Some(short) = tier.short {
                own.insert("short".to_owned(), short.to_string());
                conditions.push(condition(short));
            }
            conditions.push(condition(tier.long));
            rules.push(RuleText {
                name: match self.slo.alerting.name.as_str() {
                    "" => ALERT.to_owned(),
                    name => name.to_owned(),
                },
                alert: Some(AlertText {
                    hold: tier.hold,
                    annotations: self.slo.alerting.annotations.clone(),
                }),
                expr: conditions.join(" and "),
                labels: merged([&labels, &own]),
            });
        }
        rules
    }

    /// Returns the windows of the tiers; an objective without any still has a burn rate.
    fn windows(&self) -> Vec<DurationMs> {
        match windows(self.tiers) {
            windows if windows.is_empty() => vec![minutes(5)],
            windows => windows,
        }
    }

    /// Returns how long the budget lasts at a tier's burn rate, to the second.
    fn exhaustion(&self, tier: &Tier) -> String {
        DurationMs::from_seconds(tier.exhaustion_seconds(self.period) as i64).to_string()
    }

    /// Returns how much there was over the whole window, and alerts on series that are not there.
    fn increases(&self) -> Vec<RuleText> {
        let (total, part, le) = match self.indicator() {
            Indicator::Ratio { errors, total, .. } => (total, Some(errors), None),
            Indicator::Latency { success, total, .. } => {
                (total, Some(success), success.value_of("le"))
            }
            Indicator::LatencyNative { total, .. } => (total, None, None),
            Indicator::BoolGauge { gauge, .. } => (gauge, None, None),
        };
        let mut kept = self.grouping();
        let is_gauge = matches!(self.indicator(), Indicator::BoolGauge { .. });
        let is_native = matches!(self.indicator(), Indicator::LatencyNative { .. });
        if !is_native {
            let names = part
                .iter()
                .flat_map(|part| &part.matchers)
                .map(|m| m.name.as_str());
            let of_total = |name: &&str| total.matchers.iter().any(|m| m.name == **name);
            kept.extend(
                names
                    .filter(|name| *name != "le" && !of_total(name))
                    .map(str::to_owned),
            );
            let by_regex = |op| matches!(op, MatchOp::Matches | MatchOp::NotMatches);
            let regexes = total.matchers.iter().filter(|m| is_gauge || by_regex(m.op));
            kept.extend(regexes.map(|m| m.name.clone()));
        }
        let labels = match is_native {
            true => self.labels_but(&BTreeSet::new()),
            false => self.labels_but(&kept),
        };
        let by: Vec<String> = kept.iter().cloned().collect();
        let period = self.period;
        let over = |function: &str, selector: &Selector| {
            summed(
                &by,
                &with_window(
                    &format!("{function}({}[{WINDOW}])", selector.text()),
                    period,
                ),
            )
        };
        let with_le = |le: &str| {
            let le = pairs([("le", le)]);
            merged([&labels, &le])
        };
        let mut rules = Vec::new();
        match self.indicator() {
            Indicator::BoolGauge { gauge, .. } => {
                let record = |kind: &str| {
                    let expr = over(&format!("{kind}_over_time"), gauge);
                    RuleText::record(format!("{}:{kind}{period}", gauge.name), expr, &labels)
                };
                rules.extend([record("count"), record("sum")]);
            }
            Indicator::LatencyNative { total, latency, .. } => {
                let (name, all) = (increase_name(&total.name, period), over("increase", total));
                let count = format!("histogram_count({all})");
                let seconds = latency.seconds();
                let fast = format!("histogram_fraction(0, {seconds}, {all}) * {count}");
                rules.push(RuleText::record(name.clone(), count, &labels));
                rules.push(RuleText::record(
                    name,
                    fast,
                    &with_le(&format_plain(seconds)),
                ));
            }
            Indicator::Ratio { .. } | Indicator::Latency { .. } => {
                let name = |selector: &Selector| increase_name(&selector.name, period);
                rules.push(RuleText::record(
                    name(total),
                    over("increase", total),
                    &labels,
                ));
                if let Some(part) = part.filter(|part| part.name != total.name) {
                    let of_part = le.map_or_else(|| labels.clone(), with_le);
                    rules.push(RuleText::record(
                        name(part),
                        over("increase", part),
                        &of_part,
                    ));
                }
            }
        }
        if self.conventions.alerting.has_absent && !is_native {
            rules.push(self.absent(total, &labels));
            if let Some(part) = part.filter(|part| part.name != total.name) {
                let of_part = le.map_or_else(|| labels.clone(), with_le);
                rules.push(self.absent(part, &of_part));
            }
        }
        rules
    }

    /// Returns the alert on series that are not there: as if all of them were errors.
    fn absent(&self, selector: &Selector, labels: &BTreeMap<String, String>) -> RuleText {
        let alerting = &self.conventions.alerting;
        let or = |text: &str, default: &str| match text {
            "" => default.to_owned(),
            text => text.to_owned(),
        };
        let own = pairs([("severity", &or(&alerting.absent_severity, CRITICAL))]);
        // The time until the most urgent tier would fire if everything failed, in whole minutes.
        let (burn, long, _, hold, _, _) = TIERS[0];
        let budget = 1.0 - self.slo.percent / 100.0;
        let seconds = (burn * budget * scaled(long, self.period).seconds()).trunc();
        let wait = seconds + scaled(hold, self.period).seconds();
        RuleText {
            name: or(&alerting.absent_name, ABSENT),
            alert: Some(AlertText {
                hold: minutes((wait / 60.0).round() as i64),
                annotations: self.slo.alerting.annotations.clone(),
            }),
            expr: format!("absent({}) == 1", selector.text()),
            labels: merged([labels, &own]),
        }
    }

    /// Returns what Pyrra shows on its page: what is left, how long it lasts, how much is known.
    fn history(&self) -> Vec<RuleText> {
        let labels = self.labels_but(&self.grouping());
        let select = |name: &str| format!("{name}{{{}}}", self.matchers());
        let shortest = self.windows().first().copied().unwrap_or(self.period);
        let steady = self
            .tiers
            .iter()
            .map(|tier| tier.long)
            .min()
            .unwrap_or(shortest);
        let budget = self.slo.budget();
        let remaining = "slo:period_error_budget_remaining:ratio";
        let period = error_ratio(self.slo, self.period, &select);
        let current = format!("{} / {budget}", select(&self.burn_rate_name(shortest)));
        let recorded = Recorded {
            remaining: select(remaining),
            error_ratio: select(&self.burn_rate_name(steady)),
            shortest: select(&self.burn_rate_name(shortest)),
            ignoring: "",
            without: "",
        };
        let mut long: Vec<DurationMs> = self.tiers.iter().map(|tier| tier.long).collect();
        long.push(self.period);
        long.sort_unstable();
        long.dedup();
        let mut rules = vec![
            RuleText::record("slo:current_burn_rate:ratio", current, &labels),
            RuleText::record(remaining, format!("1 - ({period}) / {budget}"), &labels),
            time_to_exhaustion(self.slo, self.period, &recorded, &labels),
        ];
        rules.extend(short_history(&long, &recorded, &labels));
        rules
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(days: i64) -> Vec<(f64, String, String, String)> {
        let period = DurationMs::from_seconds(days * 86_400);
        let shown = |span: DurationMs| scaled(span, period).to_string();
        let tiers = TIERS.iter();
        tiers
            .map(|(burn, long, short, hold, ..)| (*burn, shown(*long), shown(*short), shown(*hold)))
            .collect()
    }

    fn check(days: i64, expected: [(f64, &str, &str, &str); 4]) {
        let expected = expected.map(|(burn, long, short, hold)| {
            (burn, long.to_owned(), short.to_owned(), hold.to_owned())
        });
        assert_eq!(table(days), expected, "{days}d");
    }

    #[test]
    fn the_tiers_of_other_periods() {
        check(
            28,
            [
                (14.0, "1h", "5m", "2m"),
                (7.0, "6h", "30m", "15m"),
                (2.0, "1d", "2h", "1h"),
                (1.0, "4d", "6h", "3h"),
            ],
        );
        check(
            30,
            [
                (14.0, "1h4m", "5m", "2m"),
                (7.0, "6h26m", "32m", "16m"),
                (2.0, "1d1h43m", "2h9m", "1h4m"),
                (1.0, "4d6h51m", "6h26m", "3h13m"),
            ],
        );
        check(
            7,
            [
                (14.0, "15m", "1m", "1m"),
                (7.0, "1h30m", "8m", "4m"),
                (2.0, "6h", "30m", "15m"),
                (1.0, "1d", "1h30m", "45m"),
            ],
        );
    }
}
