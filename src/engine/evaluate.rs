//! One rule at one instant: what it yields, as Prometheus would see it or as an arrival would.
//!
//! The two differ in what an instant selector of a recorded series reads: what was appended at
//! the last tick, or the recording rule's expression as it stands now.

use std::borrow::Cow;
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use crate::alert::Found;
use crate::engine::compile::CompiledRules;
use crate::engine::compiled_rule::{CompiledAlert, CompiledRule, RuleIndex, Text};
use crate::eval::live::{Bounds, Scope};
use crate::eval::source::{
    JointCall, LiveLeaf, SubqueryCall, SubqueryPoints, SubqueryWindow, WindowCall,
};
use crate::eval::{
    EvalError, EvalOptions, InstantSample, Live, LiveSource, LiveState, Outcome, Scan, Source,
    evaluate,
};
use crate::functions::{CallMemory, Element, Functions, RangeSeries};
use crate::model::{
    ALERT_NAME, EngineSettings, Labels, METRIC_NAME, NO_START, SampleValue, TimestampMs, Value,
    VectorElement,
};
use crate::promql::ast::{Aggregate, Call, VectorSelector};
use crate::promql::parse;
use crate::series::SeriesStore;
use crate::template::TemplateData;

/// Whose eyes an evaluation has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum View {
    /// Recorded series as they were appended.
    Appended,
    /// Recorded series as they would be appended now.
    Live,
}

/// Where leaves get their values.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Leaves {
    /// From windows that move with the frontier.
    #[default]
    Live,
    /// From history, by the textbook loop: what the other must equal.
    Scan,
}

/// What every evaluation needs.
pub struct Evaluation<'a> {
    /// The series.
    pub store: &'a SeriesStore,
    /// The rules.
    pub rules: &'a CompiledRules,
    /// The settings.
    pub settings: &'a EngineSettings,
    /// The evaluator's options.
    pub options: &'a EvalOptions,
    /// The windows of all series, and where the frontier stands, ms.
    pub live: &'a RefCell<LiveState>,
    /// Where the frontier stands, ms.
    pub frontier: TimestampMs,
    /// How leaves are answered.
    pub leaves: Leaves,
    /// Samples read from history so far.
    pub scanned: Cell<u64>,
    /// The first instant at which time alone may change what was found last, ms; where that was
    /// something, or it is not known, an early one.
    pub stands_until: Cell<TimestampMs>,
    /// Elements and samples looked at so far, read from history or not.
    pub work: Cell<u64>,
    /// What the sums of the expression evaluated last may come to, where that is to be found out.
    pub bounds: Bounds,
}

impl<'a> Evaluation<'a> {
    /// Returns the samples read from history, and all elements and samples looked at.
    pub fn spent(&self) -> (u64, u64) {
        (self.scanned.get(), self.work.get())
    }

    fn count(&self, work: u64) {
        self.work.set(self.work.get().saturating_add(work));
    }

    /// Counts what an expression has cost.
    fn count_outcome<T>(&self, outcome: &Result<Outcome<T>, EvalError>) {
        self.count(match outcome {
            Ok(outcome) => outcome.n_samples as u64,
            // It had come that far.
            Err(EvalError::TooManySamples) => self.options.samples_max as u64,
            Err(_) => 0,
        });
    }

    /// Evaluates a rule's expression, with a scope only what is in it; a scalar is one element
    /// without labels.
    pub fn vector(
        &self,
        rule: &CompiledRule,
        at: TimestampMs,
        view: View,
        scope: Option<&Scope>,
    ) -> Result<Vec<VectorElement>, String> {
        let source = RuleSourceAt::new(self, at, view, self.leaves, scope);
        if rule.stands && self.leaves == Leaves::Live {
            source.live.watch_time();
        }
        if self.bounds.are_gathered() {
            source.live.bounds.gather();
        }
        let elements = source.evaluate_rule(rule);
        self.bounds.set(source.live.bounds.take());
        self.stands_until.set(source.live.stands_until());
        self.scanned.set(self.scanned.get() + source.live.scanned());
        self.count(source.live.touched());
        let mut elements = elements?;
        self.count(elements.len() as u64);
        if let Some(scope) = scope {
            // `a or vector(0)` has an element that comes from no series.
            elements.retain(|element| scope.contains(&element.labels));
        }
        let (found, max) = (elements.len(), self.settings.elements_max);
        if found > max {
            return Err(format!(
                "{found} elements exceed the limit of {max} (rule_elements)"
            ));
        }
        Ok(elements)
    }

    /// Returns what a recording rule writes: name and labels set, no two elements alike.
    pub fn recorded(
        &self,
        rule: &CompiledRule,
        at: TimestampMs,
    ) -> Result<BTreeMap<Labels, SampleValue>, String> {
        as_recorded(rule, self.vector(rule, at, View::Appended, None)?)
    }

    /// Returns the alerts that an alerting rule finds.
    pub fn alerts(
        &self,
        rule: &CompiledRule,
        alert: &CompiledAlert,
        at: TimestampMs,
        view: View,
        scope: Option<&Scope>,
    ) -> Result<BTreeMap<Labels, Found>, String> {
        let elements = self.vector(rule, at, view, scope)?;
        let n_elements = elements.len();
        let found = elements.into_iter().map(|element| {
            let data = TemplateData {
                labels: &element.labels,
                value: &element.value,
                external_labels: &self.settings.external_labels,
                external_url: &self.settings.external_url,
                at,
            };
            let annotations = alert.annotation_texts.iter();
            let annotations = annotations.map(|(name, text)| {
                let text = self.expand(text, &data, at);
                (name.clone(), text.into_owned())
            });
            let annotations = annotations.collect();
            let value = match &element.value {
                SampleValue::Float(value) => *value,
                SampleValue::Histogram(histogram) => histogram.count,
            };
            let partition = rule.partition.as_deref();
            let part = partition.map(|labels| Scope::key(labels, &element.labels));
            let found = Found {
                part,
                value,
                annotations,
            };
            (self.alert_labels(rule, alert, &data, at), found)
        });
        // Elements stand in the order of labels, or nearly: then that takes few comparisons.
        let found: BTreeMap<Labels, Found> = found.collect();
        match found.len() == n_elements {
            true => Ok(found),
            false => Err(
                "vector contains metrics with the same labelset after applying alert labels"
                    .to_owned(),
            ),
        }
    }

    /// Returns the labels of the alert that an element raises.
    fn alert_labels(
        &self,
        rule: &CompiledRule,
        alert: &CompiledAlert,
        data: &TemplateData<'_>,
        at: TimestampMs,
    ) -> Labels {
        let own = alert.labels.iter();
        let own = own.map(|(name, text)| (name.as_str(), self.expand(text, data, at)));
        let mut own: Vec<(&str, Cow<'_, str>)> = own.collect();
        lay(&mut own, METRIC_NAME, Cow::Borrowed(""));
        lay(&mut own, ALERT_NAME, Cow::Borrowed(&rule.name));
        data.labels.overlaid(&own)
    }

    fn expand<'t>(&self, text: &'t Text, data: &TemplateData<'_>, at: TimestampMs) -> Cow<'t, str> {
        match text {
            Text::Plain(text) => Cow::Borrowed(text),
            Text::Template(template) => template
                .expand_or_error(data, &mut |query| self.query(query, at))
                .into(),
        }
    }

    /// Answers a template's `query`.
    fn query(&self, text: &str, at: TimestampMs) -> Result<Vec<VectorElement>, String> {
        let expr = parse(text, &Functions, self.rules.features).map_err(|e| e.to_string())?;
        // A text that is made anew for every alert has no windows of its own.
        let source = RuleSourceAt::new(self, at, View::Appended, Leaves::Scan, None);
        let outcome = evaluate(&expr, &source, at, self.options);
        self.count_outcome(&outcome);
        let outcome = outcome.map_err(|e| e.to_string())?;
        self.scanned
            .set(self.scanned.get() + outcome.n_samples as u64);
        vector_of(outcome.value)
    }
}

fn vector_of(value: Value) -> Result<Vec<VectorElement>, String> {
    match value {
        Value::Vector(elements) => Ok(elements),
        Value::Scalar(value) => Ok(vec![VectorElement {
            labels: Labels::empty(),
            value: SampleValue::Float(value),
        }]),
        Value::String(_) | Value::Matrix(_) => {
            Err("rule result is not a vector or scalar".to_owned())
        }
    }
}

fn as_recorded(
    rule: &CompiledRule,
    elements: Vec<VectorElement>,
) -> Result<BTreeMap<Labels, SampleValue>, String> {
    let n_elements = elements.len();
    let own = rule.labels.iter();
    let mut own: Vec<(&str, &str)> = own.map(|(name, value)| (&**name, &**value)).collect();
    lay(&mut own, METRIC_NAME, &rule.name);
    let recorded = elements.into_iter();
    let recorded = recorded.map(|element| (element.labels.overlaid(&own), element.value));
    let recorded: BTreeMap<Labels, SampleValue> = recorded.collect();
    match recorded.len() == n_elements {
        true => Ok(recorded),
        false => Err(
            "vector contains metrics with the same labelset after applying rule labels".to_owned(),
        ),
    }
}

/// Puts a pair where it belongs among others that are sorted by name, instead of one of that name.
fn lay<'a, V>(pairs: &mut Vec<(&'a str, V)>, name: &'a str, value: V) {
    match pairs.binary_search_by_key(&name, |(name, _)| *name) {
        Ok(at) => pairs[at].1 = value,
        Err(at) => pairs.insert(at, (name, value)),
    }
}

type Memo = HashMap<RuleIndex, Arc<[InstantSample]>>;

/// The leaves of a rule's expression at one instant, recorded series as `view` says.
pub(super) struct RuleSourceAt<'a, 'b> {
    pub(super) evaluation: &'b Evaluation<'a>,
    leaves: Leaves,
    scope: Option<&'b Scope>,
    pub(super) live: Live<'b>,
    scan: Scan<'b>,
    pub(super) at: TimestampMs,
    pub(super) view: View,
    /// Recording rules being evaluated, so that one that reads itself reads what it appended.
    within: RefCell<Vec<RuleIndex>>,
    memo: RefCell<Memo>,
}

impl<'a, 'b> RuleSourceAt<'a, 'b> {
    pub(super) fn new(
        evaluation: &'b Evaluation<'a>,
        at: TimestampMs,
        view: View,
        leaves: Leaves,
        scope: Option<&'b Scope>,
    ) -> Self {
        RuleSourceAt {
            scope,
            evaluation,
            leaves,
            live: Live::new(
                evaluation.store,
                evaluation.live,
                evaluation.frontier,
                scope,
            ),
            scan: Scan::new(evaluation.store),
            at,
            view,
            within: RefCell::default(),
            memo: RefCell::default(),
        }
    }

    fn evaluate_rule(&self, rule: &CompiledRule) -> Result<Vec<VectorElement>, String> {
        let options = self.evaluation.options;
        let outcome = evaluate(&rule.expr, self, self.at, options);
        self.evaluation.count_outcome(&outcome);
        let outcome = outcome.map_err(|e| e.to_string())?;
        if self.leaves == Leaves::Scan {
            let scanned = &self.evaluation.scanned;
            scanned.set(scanned.get() + outcome.n_samples as u64);
        }
        vector_of(outcome.value)
    }

    fn source(&self) -> &dyn Source {
        match self.leaves {
            Leaves::Live => &self.live,
            Leaves::Scan => &self.scan,
        }
    }

    /// Returns what a recording rule would record now; nothing where it fails.
    fn recorded_now(&self, record: RuleIndex) -> Arc<[InstantSample]> {
        if let Some(known) = self.memo.borrow().get(&record) {
            return Arc::clone(known);
        }
        let rule = &self.evaluation.rules.rules[record];
        self.within.borrow_mut().push(record);
        let recorded = self
            .evaluate_rule(rule)
            .and_then(|elements| as_recorded(rule, elements));
        self.within.borrow_mut().pop();
        let sample = |(labels, value)| InstantSample {
            labels,
            at: self.at,
            start: NO_START,
            value,
        };
        let samples: Arc<[InstantSample]> = recorded
            .unwrap_or_default()
            .into_iter()
            .map(sample)
            .collect();
        self.memo.borrow_mut().insert(record, Arc::clone(&samples));
        samples
    }

    /// Returns the recording rules that stand in for a selector's recorded series.
    pub(super) fn viewed(&self, selector: &VectorSelector, at: TimestampMs) -> Vec<RuleIndex> {
        if self.view == View::Appended || at != self.at {
            return Vec::new();
        }
        let rules = self.evaluation.rules;
        let within = self.within.borrow();
        let viewed = rules.reads.viewable(&rules.rules, &selector.matchers);
        if viewed.iter().any(|record| within.contains(record)) {
            return Vec::new();
        }
        viewed
    }
}

impl Source for RuleSourceAt<'_, '_> {
    fn instant(
        &self,
        selector: &VectorSelector,
        after: TimestampMs,
        at: TimestampMs,
    ) -> Vec<InstantSample> {
        let viewed = self.viewed(selector, at);
        let mut samples = self.source().instant(selector, after, at);
        if let (Some(scope), Leaves::Scan) = (self.scope, self.leaves) {
            samples.retain(|sample| scope.contains(&sample.labels));
        }
        if viewed.is_empty() {
            return samples;
        }
        let rules = &self.evaluation.rules.rules;
        let is_viewed = |labels: &Labels| {
            viewed.iter().any(|record| {
                let rule = &rules[*record];
                let written = |(name, value): &(String, String)| labels.value(name) == value;
                labels.metric_name() == rule.name && rule.labels.iter().all(written)
            })
        };
        samples.retain(|sample| !is_viewed(&sample.labels));
        for record in viewed {
            let now = self.recorded_now(record);
            let selected = |sample: &&InstantSample| {
                selector
                    .matchers
                    .iter()
                    .all(|matcher| matcher.matches_labels(&sample.labels))
            };
            samples.extend(now.iter().filter(selected).cloned());
        }
        samples.sort_by(|a, b| a.labels.cmp(&b.labels));
        samples.dedup_by(|a, b| a.labels == b.labels);
        samples
    }

    fn range(
        &self,
        selector: &VectorSelector,
        after: TimestampMs,
        until: TimestampMs,
    ) -> Vec<RangeSeries<'_>> {
        let mut series = self.source().range(selector, after, until);
        if let (Some(scope), Leaves::Scan) = (self.scope, self.leaves) {
            series.retain(|series| scope.contains(&series.labels));
        }
        series
    }

    fn live(&self) -> Option<&dyn LiveSource> {
        (self.leaves == Leaves::Live).then_some(self)
    }
}

impl LiveSource for RuleSourceAt<'_, '_> {
    fn windows(&self, call: &WindowCall<'_>) -> Option<Vec<Element>> {
        self.live.windows(call)
    }

    fn aggregate(
        &self,
        aggregate: &Aggregate,
        leaf: &LiveLeaf<'_>,
        at: TimestampMs,
    ) -> Option<Vec<Element>> {
        if let LiveLeaf::Instant {
            selector, until, ..
        } = leaf
            && !self.viewed(selector, *until).is_empty()
        {
            return None;
        }
        self.live.aggregate(aggregate, leaf, at)
    }

    fn subquery_windows(&self, call: &SubqueryCall<'_>) -> Option<Vec<Element>> {
        self.windows_of_subquery(call)
    }

    fn subquery_points(
        &self,
        window: &SubqueryWindow<'_>,
    ) -> Option<Result<SubqueryPoints, EvalError>> {
        self.points_of_subquery(window)
    }

    fn joint_windows(&self, call: &JointCall<'_>) -> Option<Vec<Element>> {
        self.live.joint_windows(call)
    }

    fn take_memory(&self, call: &Call) -> CallMemory {
        self.live.take_memory(call)
    }

    fn put_memory(&self, call: &Call, memory: CallMemory) {
        self.live.put_memory(call, memory);
    }

    fn unsettle(&self) {
        self.live.unsettle();
    }

    fn differ_without_name(&self, selector: &VectorSelector) -> bool {
        self.live.differ_without_name(selector)
    }
}
