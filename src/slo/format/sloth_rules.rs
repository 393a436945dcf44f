//! The rules of Sloth: the names, labels and groups that its own generator writes, so that
//! dashboards and routes for them go on working.

use std::collections::BTreeMap;

use crate::model::DurationMs;
use crate::model::float::{format_general, format_plain};
use crate::model::labels::quote;
use crate::slo::SpecNote;
use crate::slo::burn_rate::{Tier, Urgency, workbook};
use crate::slo::format::sloth_plugins::Plugins;
use crate::slo::history::{Recorded, short_history, time_to_exhaustion};
use crate::slo::objective::{Conventions, Sli, Slo, merged, pairs};
use crate::slo::query::with_window;
use crate::slo::rule_text::{AlertText, RuleGroupText, RuleText};
use crate::slo::signal::{base_records, error_ratio, windows};
use crate::slo::standard::detail;
use crate::slo::windows::AlertWindows;

/// What Sloth makes.
#[derive(Debug)]
pub(crate) struct SlothConventions {
    /// The header of the specification, for the info series.
    pub spec: &'static str,
    pub plugins: Plugins,
}

/// The share of the numerator that denominator-corrected rules take.
const CORRECTION: &str = "slo:numerator_correction:ratio";
const INFO: &str = "sloth_slo_info";
/// The periods that Sloth has windows for: the workbook's.
const PERIODS: [DurationMs; 2] = [
    DurationMs::from_seconds(28 * 86_400),
    DurationMs::from_seconds(30 * 86_400),
];

impl Conventions for SlothConventions {
    fn tiers(
        &self,
        slo: &Slo,
        period: DurationMs,
        catalog: &[AlertWindows],
        notes: &mut Vec<SpecNote>,
    ) -> Vec<Tier> {
        if let Some(own) = catalog.iter().find(|windows| windows.period == period) {
            return own.tiers.clone();
        }
        if !PERIODS.contains(&period) {
            notes.push(SpecNote {
                place: slo.place,
                message: format!(
                    "{}/{}: Sloth has no windows for a period of {period}, and no AlertWindows are given; \
                     the SRE workbook's are taken, recomputed",
                    slo.service, slo.name
                ),
            });
        }
        workbook(period)
    }

    fn groups(&self, slo: &Slo, period: DurationMs, tiers: &[Tier]) -> Vec<RuleGroupText> {
        let sloth = Sloth {
            slo,
            period,
            tiers,
            plugins: &self.plugins,
        };
        let group = |kind: &str, interval, rules: Vec<RuleText>| RuleGroupText {
            name: format!("sloth-slo-{kind}-{}", sloth.id()),
            interval,
            rules,
        };
        let plugins = &self.plugins;
        let mut groups = vec![
            group("sli-recordings", plugins.sli_interval, sloth.recordings()),
            group(
                "meta-recordings",
                plugins.metadata_interval,
                sloth.metadata(self.spec),
            ),
        ];
        let alerts = sloth.alerts();
        if !alerts.is_empty() {
            groups.push(group("alerts", plugins.alert_interval, alerts));
        }
        groups.push(group("history", plugins.metadata_interval, sloth.history()));
        groups
    }
}

/// An objective as Sloth has it.
struct Sloth<'a> {
    slo: &'a Slo,
    period: DurationMs,
    tiers: &'a [Tier],
    plugins: &'a Plugins,
}

fn ratio_name(window: DurationMs) -> String {
    format!("slo:sli_error:ratio_rate{window}")
}

impl Sloth<'_> {
    fn id(&self) -> String {
        format!("{}-{}", self.slo.service, self.slo.name)
    }

    fn identity(&self) -> BTreeMap<String, String> {
        pairs([
            ("sloth_id", &self.id()),
            ("sloth_service", &self.slo.service),
            ("sloth_slo", &self.slo.name),
        ])
    }

    fn labels(&self) -> BTreeMap<String, String> {
        merged([&self.identity(), &self.slo.labels])
    }

    fn select(&self, name: &str) -> String {
        format!(
            "{name}{{sloth_id={}, sloth_service={}, sloth_slo={}}}",
            quote(&self.id()),
            quote(&self.slo.service),
            quote(&self.slo.name)
        )
    }

    /// Returns the windows of the tiers; an objective without any still has a burn rate.
    fn windows(&self) -> Vec<DurationMs> {
        match windows(self.tiers) {
            windows if windows.is_empty() => vec![DurationMs::from_seconds(300)],
            windows => windows,
        }
    }

    fn shortest(&self) -> DurationMs {
        self.windows().first().copied().unwrap_or(self.period)
    }

    /// Returns the recordings of the indicator.
    fn recordings(&self) -> Vec<RuleText> {
        let labels = self.labels();
        let mut rules = base_records(self.slo, &labels);
        let windowed = |window: DurationMs, expr: String| {
            let own = pairs([("sloth_window", &window.to_string())]);
            RuleText::record(ratio_name(window), expr, &merged([&labels, &own]))
        };
        for window in self.windows() {
            let expr = match (&self.slo.sli, self.plugins.is_denominator_corrected) {
                (Sli::Events { errors, total }, true) if self.slo.maintenance.is_none() => format!(
                    "(\n{}\n* on()\n{}\n)\n/\n({})\n",
                    self.select(&format!("{CORRECTION}{window}")),
                    with_window(errors, window),
                    with_window(total, window)
                ),
                _ => error_ratio(self.slo, window, &|name| self.select(name)),
            };
            rules.push(windowed(window, expr));
        }
        if !self.windows().contains(&self.period) {
            let (period, short) = (self.period, self.select(&ratio_name(self.shortest())));
            let expr = format!(
                "sum_over_time({short}[{period}])\n/ ignoring (sloth_window)\ncount_over_time({short}[{period}])\n"
            );
            rules.push(windowed(period, expr));
        }
        rules
    }

    /// Returns what is said about the objective.
    fn metadata(&self, spec: &str) -> Vec<RuleText> {
        let labels = self.labels();
        let objective = format_general(self.slo.percent / 100.0);
        let burn_rate = |window: DurationMs| {
            format!(
                "{}\n/ on(sloth_id, sloth_slo, sloth_service) group_left\n{}\n",
                self.select(&ratio_name(window)),
                self.select("slo:error_budget:ratio")
            )
        };
        let record = |name: &str, expr: String| RuleText::record(name, expr, &labels);
        let mut rules = vec![
            record("slo:objective:ratio", format!("vector({objective})")),
            record("slo:error_budget:ratio", format!("vector(1-{objective})")),
            record(
                "slo:time_period:days",
                format!(
                    "vector({})",
                    format_general(self.period.seconds() / 86_400.0)
                ),
            ),
            record("slo:current_burn_rate:ratio", burn_rate(self.shortest())),
            record("slo:period_burn_rate:ratio", burn_rate(self.period)),
            record(
                "slo:period_error_budget_remaining:ratio",
                format!("1 - {}", self.select("slo:period_burn_rate:ratio")),
            ),
        ];
        let info = pairs([
            (
                "sloth_version",
                concat!("burnwatch-", env!("CARGO_PKG_VERSION")),
            ),
            ("sloth_mode", "burnwatch"),
            ("sloth_spec", spec),
            ("sloth_objective", &format_plain(self.slo.percent)),
        ]);
        let mut info = merged([&labels, &info]);
        if self.plugins.info_name.is_empty() || self.plugins.info_name == INFO {
            info = merged([&info, &self.plugins.info_labels]);
        }
        rules.push(RuleText::record(INFO, "vector(1)", &info));
        if let (Sli::Events { total, .. }, true) =
            (&self.slo.sli, self.plugins.is_denominator_corrected)
        {
            for window in self.windows() {
                let expr = format!(
                    "({})/({})",
                    with_window(total, window),
                    with_window(total, self.period)
                );
                rules.push(record(&format!("{CORRECTION}{window}"), expr));
            }
        }
        rules
    }

    /// Returns the alerts: one for pages and one for tickets, each with its tiers.
    fn alerts(&self) -> Vec<RuleText> {
        let urgencies = [Urgency::Page, Urgency::Ticket];
        urgencies
            .iter()
            .filter_map(|urgency| self.alert(*urgency))
            .collect()
    }

    fn alert(&self, urgency: Urgency) -> Option<RuleText> {
        let detail = detail(self.slo, urgency);
        let tiers: Vec<&Tier> = self
            .tiers
            .iter()
            .filter(|tier| tier.urgency == urgency)
            .collect();
        let first = tiers.first().filter(|_| !detail.is_disabled)?;
        // As Sloth computes it, which leaves 0.0009999999999999432 of 99.9.
        let budget = (100.0 - self.slo.percent) / 100.0;
        let condition = |window: DurationMs, burn: f64| {
            format!(
                "    max({} > ({} * {})) without (sloth_window)\n",
                self.select(&ratio_name(window)),
                format_plain(burn),
                format_plain(budget)
            )
        };
        let parts: Vec<String> = tiers
            .iter()
            .map(|tier| {
                let long = condition(tier.long, tier.burn);
                match tier.short {
                    Some(short) => format!("(\n{}    and\n{long})\n", condition(short, tier.burn)),
                    None => format!("(\n{long})\n"),
                }
            })
            .collect();
        let name = urgency.name();
        let own = pairs([("severity", &first.severity), ("sloth_severity", name)]);
        let about = "{{$labels.sloth_service}} {{$labels.sloth_slo}} SLO error budget burn rate is";
        let said = pairs([
            ("title", &format!("({name}) {about} too fast.")),
            ("summary", &format!("{about} over expected.")),
        ]);
        let alerting = &self.slo.alerting;
        Some(RuleText {
            name: match alerting.name.as_str() {
                "" => crate::slo::standard::ALERT.to_owned(),
                name => name.to_owned(),
            },
            alert: Some(AlertText {
                hold: DurationMs::ZERO,
                annotations: merged([&said, &alerting.annotations, &detail.annotations]),
            }),
            expr: parts.join("or\n"),
            labels: merged([&own, &alerting.labels, &detail.labels]),
        })
    }

    /// Returns what Sloth does not say: how long the budget lasts, and whether there is history.
    fn history(&self) -> Vec<RuleText> {
        let labels = self.labels();
        let steady = self.tiers.iter().map(|tier| tier.long).min();
        let recorded = Recorded {
            remaining: self.select("slo:period_error_budget_remaining:ratio"),
            error_ratio: self.select(&ratio_name(steady.unwrap_or(self.shortest()))),
            shortest: self.select(&ratio_name(self.shortest())),
            ignoring: "sloth_window",
            without: "sloth_window",
        };
        let mut long: Vec<DurationMs> = self.tiers.iter().map(|tier| tier.long).collect();
        long.push(self.period);
        long.sort_unstable();
        long.dedup();
        let mut rules = vec![time_to_exhaustion(
            self.slo,
            self.period,
            &recorded,
            &labels,
        )];
        rules.extend(short_history(&long, &recorded, &labels));
        rules
    }
}
