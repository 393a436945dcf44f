//! A rule ready to be evaluated: its expression, its texts, what it reads.

use std::sync::Arc;

use crate::eval::plan::LabelSet;
use crate::model::{ContextPart, ContextParts, ContextSettings, DurationMs, Matcher};
use crate::promql::{Expr, SelectorUse};
use crate::rule::order;
use crate::template::Template;

/// The position of a rule in `CompiledRules::rules`.
pub type RuleIndex = usize;
/// The position of a group in `CompiledRules::groups`.
pub type GroupIndex = usize;

/// A text with or without template actions.
#[derive(Clone, Debug)]
pub enum Text {
    /// Nothing to expand.
    Plain(String),
    /// To be expanded for each alert.
    Template(Box<Template>),
}

/// A rule ready to be evaluated.
#[derive(Clone, Debug)]
pub struct CompiledRule {
    /// The record or alert name.
    pub name: String,
    /// The group it belongs to.
    pub group: GroupIndex,
    /// The expression as it is evaluated.
    pub expr: Expr,
    /// The expression as it was loaded, canonical.
    pub expr_text: Arc<str>,
    /// Labels as written, sorted by name.
    pub labels: Vec<(String, String)>,
    /// What only one kind has.
    pub kind: CompiledKind,
    /// What the expression and the templates' constant queries read.
    pub selectors: Vec<SelectorUse>,
    /// Recording rules whose series an instant selector of it may read, views allowed.
    pub views: Vec<RuleIndex>,
    /// The labels that take it apart, so that an arrival evaluates only what it can have changed;
    /// `None` where the whole has to be evaluated.
    pub partition: Option<Arc<LabelSet>>,
    /// `true` when what it found, if that was nothing, stands by itself until something happens to
    /// one of its leaves.
    pub stands: bool,
    /// `true` when missing members could make it true (DESIGN 2.12).
    pub missing_makes_true: bool,
    /// `true` when it calls detectors, which can be told to learn anew.
    pub learns: bool,
}

/// What only one kind of rule has.
#[derive(Clone, Debug)]
pub enum CompiledKind {
    /// `record:`
    Recording,
    /// `alert:`
    Alerting(Box<CompiledAlert>),
}

/// What only an alerting rule has.
#[derive(Clone, Debug)]
pub struct CompiledAlert {
    /// `for`
    pub hold: DurationMs,
    /// `keep_firing_for`
    pub keep_firing: DurationMs,
    /// Labels to expand.
    pub labels: Vec<(String, Text)>,
    /// Annotations as written.
    pub annotations: Vec<(String, String)>,
    /// Annotations to expand.
    pub annotation_texts: Vec<(String, Text)>,
    /// What is said about the surroundings of its alerts.
    pub context: ContextParts,
}

impl CompiledRule {
    /// Returns the alerting part, if it is an alerting rule.
    pub fn alerting(&self) -> Option<&CompiledAlert> {
        match &self.kind {
            CompiledKind::Recording => None,
            CompiledKind::Alerting(alert) => Some(alert),
        }
    }

    /// Returns for how long the samples of a selector of this rule are wanted, ms: as long as it
    /// looks back, and a day longer where the context of an alert says what was before.
    pub fn wants(&self, used: &SelectorUse) -> DurationMs {
        let context = self.alerting().map(|alert| alert.context);
        let more = match context.is_some_and(|parts| parts.has(ContextPart::Metrics)) {
            true => ContextSettings::HISTORY.0,
            false => 0,
        };
        DurationMs(used.reach().0.saturating_add(more))
    }

    /// Tells whether a selector may select what this rule records.
    pub fn may_be_read_by(&self, matchers: &[Matcher]) -> bool {
        order::may_read(matchers, &self.name, &self.labels)
    }
}
