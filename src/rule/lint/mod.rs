//! What loads but is hardly meant: duplicates as promtool finds them, and advice of our own.
//!
//! Advice is given only where it holds whatever the series are; where it rests on an interval
//! that is not written down it says so and counts as information. To add one: a function in the
//! file of its subject, and a line in [`ALL`].

mod burn_rates;
mod conditions;
mod counters;
mod duplicates;
mod holds;
mod matching;
mod names;
mod never;
mod output;
mod places;
mod templates;
mod values;
mod windows;

use std::collections::HashMap;

use crate::model::{DurationMs, METRIC_NAME, MatchOp, Matcher};
use crate::promql::ast::Span;
use crate::promql::{LOOKBACK_DELTA, SignatureTable};
use crate::rule::lint::places::Places;
use crate::rule::{Rule, RuleGroup, RuleKind};
use crate::yaml::Place;

pub use duplicates::{DuplicateRule, duplicate_rules};

/// How much a finding matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// The rule does not do what it is there for.
    Advice,
    /// A custom, or something that rests on an assumption: it never fails a check.
    Info,
}

/// One kind of advice.
#[derive(Debug)]
pub struct Lint {
    /// Its name for `--lint`.
    pub name: &'static str,
    /// How much it matters.
    pub severity: Severity,
    /// What it finds, in a few words.
    pub about: &'static str,
    find: fn(&Subject<'_>, &mut Vec<Finding>),
}

const fn advice(
    name: &'static str,
    about: &'static str,
    find: fn(&Subject<'_>, &mut Vec<Finding>),
) -> Lint {
    Lint {
        name,
        severity: Severity::Advice,
        about,
        find,
    }
}

const fn info(
    name: &'static str,
    about: &'static str,
    find: fn(&Subject<'_>, &mut Vec<Finding>),
) -> Lint {
    Lint {
        name,
        severity: Severity::Info,
        about,
        find,
    }
}

/// All advice, sorted by name.
pub const ALL: &[Lint] = &[
    info(
        "absent-of-alternatives",
        "absent() of a{x=~\"b|c\"} holds only when all of them are gone",
        names::absent_of_alternatives,
    ),
    advice(
        "bool-comparison",
        "an alert on `a > bool b` fires for 0 as well as for 1",
        conditions::bool_comparison,
    ),
    info(
        "burn-rate",
        "what a threshold on an error ratio means for an error budget",
        burn_rates::burn_rate,
    ),
    advice(
        "contradictory-matchers",
        "a selector that no series can fit",
        matching::contradictory_matchers,
    ),
    advice(
        "interval-over-lookback",
        "a group ticks so rarely that its recorded series vanish in between",
        holds::interval_over_lookback,
    ),
    advice(
        "missing-label",
        "an annotation shows a label that the expression takes away",
        templates::missing_label,
    ),
    advice(
        "never-matches",
        "the sides of an operator can have no labels in common",
        matching::never_matches,
    ),
    advice(
        "never-true",
        "a comparison that no value can satisfy",
        never::never_true,
    ),
    advice(
        "no-condition",
        "an alert without a comparison fires for every series there is",
        conditions::no_condition,
    ),
    advice(
        "quantile-without-le",
        "histogram_quantile() of classic buckets whose `le` is aggregated away",
        counters::quantile_without_le,
    ),
    advice(
        "rate-of-rate",
        "rate() of a series that was recorded as a rate",
        counters::rate_of_rate,
    ),
    advice(
        "rate-of-sum",
        "rate() of a sum takes one member's restart for a restart of all",
        counters::rate_of_sum,
    ),
    info(
        "record-name",
        "a recorded series is not named level:metric:operations",
        names::record_name,
    ),
    advice(
        "short-hold",
        "a `for` or `keep_firing_for` shorter than the evaluation interval",
        holds::short_hold,
    ),
    advice(
        "short-window",
        "the window of a rate is shorter than four scrapes",
        windows::short_window,
    ),
    advice(
        "value-in-label",
        "a label shows the value, so that each value is another alert",
        templates::value_in_label,
    ),
    advice(
        "wrong-type",
        "a rule whose expression is a range vector or a text fails at every evaluation",
        names::wrong_type,
    ),
];

/// How often series are scraped, and how that is known.
#[derive(Clone, Debug, PartialEq)]
pub struct ScrapeIntervals {
    /// Of jobs that are not listed.
    pub default: DurationMs,
    /// Of the jobs that have another one.
    pub jobs: Vec<(String, DurationMs)>,
    /// Where this comes from, in words for a message.
    pub source: String,
}

/// What advice needs to know of the server.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The interval of groups without one, where it is known.
    pub evaluation_interval: Option<DurationMs>,
    /// How often series are scraped.
    pub scrape: ScrapeIntervals,
    /// How far an instant selector looks back.
    pub lookback: DurationMs,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            evaluation_interval: None,
            scrape: ScrapeIntervals {
                default: DurationMs::from_seconds(15),
                jobs: Vec::new(),
                source: "assumed; say otherwise by --scrape-interval or --config".to_owned(),
            },
            lookback: LOOKBACK_DELTA,
        }
    }
}

/// A file that loads.
#[derive(Clone, Copy, Debug)]
pub struct LintFile<'a> {
    /// Its path, as it is to be shown.
    pub path: &'a str,
    /// Its text.
    pub text: &'a str,
    /// Its groups.
    pub groups: &'a [RuleGroup],
}

/// Something to say about a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Advice {
    /// The name of what found it.
    pub name: &'static str,
    /// How much it matters.
    pub severity: Severity,
    /// The file's path.
    pub file: String,
    /// 1-based.
    pub line: usize,
    /// 1-based.
    pub column: usize,
    /// The rule and what is the matter with it.
    pub message: String,
    /// What to do about it.
    pub remedy: String,
}

/// Where in a rule a finding lies.
enum At {
    /// In the expression.
    Expr(Span),
    /// At the value of a field of the rule, or at the rule without it.
    Field(&'static str),
    /// At the value of a field of the rule's group.
    GroupField(&'static str),
    /// At an entry of the rule's `labels` or `annotations`.
    Entry(&'static str, String),
}

/// What a check has found.
struct Finding {
    at: At,
    message: String,
    remedy: String,
    is_assumed: bool,
}

impl Finding {
    fn at(at: At, message: impl Into<String>, remedy: impl Into<String>) -> Self {
        Finding {
            at,
            message: message.into(),
            remedy: remedy.into(),
            is_assumed: false,
        }
    }
}

/// A rule and what there is around it.
struct Subject<'a> {
    rule: &'a Rule,
    group: &'a RuleGroup,
    context: &'a Context<'a>,
}

impl Subject<'_> {
    fn is_alert(&self) -> bool {
        matches!(self.rule.kind, RuleKind::Alerting { .. })
    }
}

/// What is known beyond one rule.
struct Context<'a> {
    settings: &'a Settings,
    functions: &'a dyn SignatureTable,
    /// The rules that record a name.
    records: HashMap<&'a str, Vec<(&'a RuleGroup, &'a Rule)>>,
}

impl<'a> Context<'a> {
    fn of(
        files: &[LintFile<'a>],
        settings: &'a Settings,
        functions: &'a dyn SignatureTable,
    ) -> Self {
        let mut records: HashMap<&str, Vec<_>> = HashMap::new();
        for group in files.iter().flat_map(|file| file.groups) {
            for rule in &group.rules {
                if matches!(rule.kind, RuleKind::Recording) {
                    records
                        .entry(rule.name.as_str())
                        .or_default()
                        .push((group, rule));
                }
            }
        }
        Context {
            settings,
            functions,
            records,
        }
    }

    /// Returns the rules that record the name a selector asks for.
    fn recorded(&self, matchers: &[Matcher]) -> &[(&'a RuleGroup, &'a Rule)] {
        let rules = equal_value(matchers, METRIC_NAME).and_then(|name| self.records.get(name));
        rules.map_or(&[], Vec::as_slice)
    }
}

/// Returns the value that `name="value"` asks for.
fn equal_value<'m>(matchers: &'m [Matcher], name: &str) -> Option<&'m str> {
    let found = matchers
        .iter()
        .find(|m| m.op == MatchOp::Equal && m.name == name);
    found.map(|m| m.value.as_str())
}

/// Returns where in its file a part of a rule's expression stands.
pub fn place_in_expression(text: &str, rule: &Rule, span: Span) -> Place {
    Places::of(text).of_finding(rule, &At::Expr(span))
}

/// Looks at the rules of all files together; returns the advice of each file, by place.
/// `wanted` tells which kinds to look for, by name.
pub fn advise(
    files: &[LintFile<'_>],
    settings: &Settings,
    functions: &dyn SignatureTable,
    wanted: &dyn Fn(&str) -> bool,
) -> Vec<Vec<Advice>> {
    let context = Context::of(files, settings, functions);
    let lints: Vec<&Lint> = ALL.iter().filter(|lint| wanted(lint.name)).collect();
    files
        .iter()
        .map(|file| advise_file(file, &context, &lints))
        .collect()
}

fn advise_file(file: &LintFile<'_>, context: &Context<'_>, lints: &[&Lint]) -> Vec<Advice> {
    let places = Places::of(file.text);
    let mut all = Vec::new();
    for group in file.groups {
        for (rule_idx, rule) in group.rules.iter().enumerate() {
            let subject = Subject {
                rule,
                group,
                context,
            };
            for lint in lints {
                let mut findings = Vec::new();
                (lint.find)(&subject, &mut findings);
                for finding in findings {
                    let place = places.of_finding(rule, &finding.at);
                    all.push(Advice {
                        name: lint.name,
                        severity: match finding.is_assumed {
                            true => Severity::Info,
                            false => lint.severity,
                        },
                        file: file.path.to_owned(),
                        line: place.line,
                        column: place.column,
                        message: format!(
                            "group {:?}, rule {}, {:?}: {}",
                            group.name,
                            rule_idx + 1,
                            rule.name,
                            finding.message
                        ),
                        remedy: finding.remedy,
                    });
                }
            }
        }
    }
    all.sort_by_key(|advice| (advice.line, advice.column));
    all
}

#[cfg(test)]
mod tests;
