//! What `burnwatch explain` says: how a rule or an expression is evaluated, by which rules it is
//! fed, what it waits for.
//!
//! An explanation is of what this version does, and nothing is promised in it. It is made of
//! what was asked of an engine ([`GroupStatus`]), so that the command line, which feeds an
//! engine of its own with rule files, and the API say the same.

mod text;

pub use text::call_text;

use crate::engine::{GroupStatus, RuleStatus};
use crate::eval::plan::{Leaf, LeafKind, Plan};
use crate::functions::Functions;
use crate::model::{ALERTS, ALERTS_FOR_STATE, DurationMs, METRIC_NAME, Matcher, TimestampMs};
use crate::promql::{self, Expr, Features, ParseError};
use crate::rule::order;
use crate::rule::warming::{Exposure, exposures};

/// What the explanation has to assume.
#[derive(Clone, Copy, Debug)]
pub struct Assumptions {
    /// How often series are scraped, for the estimate of cost, ms.
    pub scrape_interval: DurationMs,
    /// The step of subqueries that name none, ms.
    pub default_step: DurationMs,
    /// Which language features are on.
    pub features: Features,
}

/// How an expression is evaluated, alone or as a rule.
pub struct Explanation {
    /// What follows from the expression alone.
    pub plan: Plan,
    /// How often series are taken to be scraped, ms.
    pub scrape_interval: DurationMs,
    /// The parts that missing members could make true.
    pub exposures: Vec<Exposure>,
    /// What follows from the rule, if it is one.
    pub rule: Option<RulePart>,
    /// What a running server knows, where one was asked.
    pub live: Option<Live>,
}

/// What follows from a rule and those beside it.
#[derive(Clone, Debug)]
pub struct RulePart {
    /// Its file's path.
    pub file: String,
    /// Its group.
    pub group: String,
    /// Its name.
    pub name: String,
    /// Its labels as written.
    pub labels: Vec<(String, String)>,
    /// How often the group ticks, ms.
    pub interval: DurationMs,
    /// `true` when it is evaluated between ticks as well.
    pub on_arrival: bool,
    /// `for`, of an alerting rule.
    pub hold: Option<DurationMs>,
    /// `true` when it may not fire before it has its full history.
    pub held_while_warming: bool,
    /// The rules that it reads, in the order of the leaves.
    pub reads: Vec<ReadRule>,
    /// The rules that read what it makes.
    pub read_by: Vec<RuleName>,
}

/// A rule by its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleName {
    /// The file's path.
    pub file: String,
    /// The group.
    pub group: String,
    /// The rule.
    pub name: String,
}

/// A rule that a leaf may read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadRule {
    /// The leaf's index in [`Plan::leaves`].
    pub leaf: usize,
    /// Which rule.
    pub rule: RuleName,
    /// `true` when it is an alerting rule, read through `ALERTS` or `ALERTS_FOR_STATE`.
    pub is_alert: bool,
    /// `true` when an evaluation between ticks reads its expression as it stands now, and not
    /// what it appended at its last tick.
    pub looked_through: bool,
}

/// What a running server knows of the rule or expression.
#[derive(Clone, Debug, Default)]
pub struct Live {
    /// The server's address, where it was asked over HTTP.
    pub server: Option<String>,
    /// `true` when it is a Prometheus, which evaluates no rule of ours and does not warm.
    pub is_prometheus: bool,
    /// Up to which event time rules are evaluated, ms.
    pub frontier: Option<TimestampMs>,
    /// What there is for each leaf, in the order of the leaves.
    pub counts: Vec<LeafCount>,
    /// The loaded rules with this expression, and how warm they are.
    pub rules: Vec<LiveRule>,
}

/// What there is for a leaf.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LeafCount {
    /// Series with a sample in the window.
    pub series: Option<u64>,
    /// Their samples in the window.
    pub samples: Option<u64>,
}

/// A loaded rule, and how warm it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LiveRule {
    /// Which rule.
    pub rule: RuleName,
    /// Since when all that it reads is kept, ms; `None` before the first sample.
    pub kept_since: Option<TimestampMs>,
    /// Until when it lacks history, ms; `None` when it has all.
    pub warming_until: Option<TimestampMs>,
    /// From when on its detectors learn anew, where they were reset, ms.
    pub learns_since: Option<TimestampMs>,
    /// Why its last evaluation failed, if it did.
    pub last_error: Option<String>,
}

/// Explains an expression.
///
/// # Errors
/// When the text is no expression.
pub fn explain(text: &str, assumptions: Assumptions) -> Result<Explanation, ParseError> {
    let expr = promql::parse(text, &Functions, assumptions.features)?;
    Ok(explain_expr(&expr, assumptions))
}

fn explain_expr(expr: &Expr, assumptions: Assumptions) -> Explanation {
    Explanation {
        plan: Plan::of(expr, assumptions.default_step),
        scrape_interval: assumptions.scrape_interval,
        exposures: exposures(expr),
        rule: None,
        live: None,
    }
}

/// Explains every rule of a name (a record or an alert), in the order of the groups.
///
/// # Errors
/// When an expression needs a language feature that is off; a loaded rule's does not.
pub fn explain_rules(
    name: &str,
    groups: &[GroupStatus],
    assumptions: Assumptions,
) -> Result<Vec<Explanation>, ParseError> {
    let named = all_rules(groups).filter(|(_, rule)| rule.name == name);
    let explained = named.map(|(group, rule)| {
        let expr = promql::parse(&rule.query, &Functions, assumptions.features)?;
        let mut explanation = explain_expr(&expr, assumptions);
        explanation.rule = Some(rule_part(
            group,
            rule,
            &explanation.plan.leaves,
            groups,
            assumptions,
        ));
        Ok(explanation)
    });
    explained.collect()
}

fn all_rules(groups: &[GroupStatus]) -> impl Iterator<Item = (&GroupStatus, &RuleStatus)> {
    let of_group = |group| std::iter::repeat(group);
    groups
        .iter()
        .flat_map(move |group| of_group(group).zip(&group.rules))
}

fn rule_name(group: &GroupStatus, rule: &RuleStatus) -> RuleName {
    RuleName {
        file: group.file.clone(),
        group: group.name.clone(),
        name: rule.name.clone(),
    }
}

fn rule_part(
    group: &GroupStatus,
    rule: &RuleStatus,
    leaves: &[Leaf],
    groups: &[GroupStatus],
    assumptions: Assumptions,
) -> RulePart {
    let reads_of = |(index, leaf): (usize, &Leaf)| {
        let read = all_rules(groups).filter(|(_, made)| may_read(&leaf.matchers, made));
        let read = read.map(|(of, made)| ReadRule {
            leaf: index,
            rule: rule_name(of, made),
            is_alert: made.alerting.is_some(),
            looked_through: group.on_arrival
                && rule.alerting.is_some()
                && of.on_arrival
                && made.alerting.is_none()
                && is_of_the_instant(leaf),
        });
        read.collect::<Vec<_>>()
    };
    let reads_this = |other: &RuleStatus| {
        // A loaded rule's expression was parsed when it was loaded.
        let parsed = promql::parse(&other.query, &Functions, assumptions.features);
        parsed.is_ok_and(|expr| {
            let selectors = promql::selectors(&expr);
            selectors.iter().any(|used| may_read(&used.matchers, rule))
        })
    };
    let readers = all_rules(groups).filter(|(_, other)| reads_this(other));
    RulePart {
        file: group.file.clone(),
        group: group.name.clone(),
        name: rule.name.clone(),
        labels: rule.labels.clone(),
        interval: group.interval,
        on_arrival: group.on_arrival && rule.alerting.is_some(),
        hold: rule.alerting.as_ref().map(|alerting| alerting.hold),
        held_while_warming: rule.held_while_warming,
        reads: leaves.iter().enumerate().flat_map(reads_of).collect(),
        read_by: readers.map(|(of, other)| rule_name(of, other)).collect(),
    }
}

/// Tells whether a selector may read what a rule makes.
fn may_read(matchers: &[Matcher], rule: &RuleStatus) -> bool {
    if rule.alerting.is_none() {
        return order::may_read(matchers, &rule.name, &rule.labels);
    }
    let is_named = matchers.iter().any(|matcher| matcher.name == METRIC_NAME);
    let names_alert = |name: &str| {
        let mut matchers = matchers.iter();
        matchers.all(|matcher| match matcher.name.as_str() {
            METRIC_NAME => matcher.matches(name),
            crate::model::ALERT_NAME => matcher.matches(&rule.name),
            _ => true,
        })
    };
    is_named && (names_alert(ALERTS) || names_alert(ALERTS_FOR_STATE))
}

/// Tells whether a leaf reads the newest sample at the evaluation's own instant.
fn is_of_the_instant(leaf: &Leaf) -> bool {
    leaf.kind == LeafKind::Instant
        && leaf.offset == Some(DurationMs::ZERO)
        && leaf.pinned.is_none()
        && leaf.subqueries.is_empty()
}

/// Returns the loaded rules with an expression, and how warm they are.
pub fn live_rules(canonical: &str, groups: &[GroupStatus]) -> Vec<LiveRule> {
    let alike = all_rules(groups).filter(|(_, rule)| rule.query == canonical);
    alike.map(|(group, rule)| live_rule(group, rule)).collect()
}

fn live_rule(group: &GroupStatus, rule: &RuleStatus) -> LiveRule {
    LiveRule {
        rule: rule_name(group, rule),
        kept_since: rule.kept_since,
        warming_until: rule.warming_until,
        learns_since: rule.learns_since,
        last_error: match &rule.health {
            crate::engine::RuleHealth::Err(reason) => Some(reason.clone()),
            _ => None,
        },
    }
}

impl Explanation {
    /// Keeps of the loaded rules the one that is explained.
    pub fn keep_own_rule(&mut self) {
        let (Some(rule), Some(live)) = (&self.rule, &mut self.live) else {
            return;
        };
        let is_own = |live: &LiveRule| {
            (&live.rule.file, &live.rule.group, &live.rule.name)
                == (&rule.file, &rule.group, &rule.name)
        };
        live.rules.retain(is_own);
    }
}
