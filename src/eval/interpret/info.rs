//! `info(v, {selector})`: labels of info metrics added to the series they describe.
//!
//! A series and an info series belong together when their `instance` and `job` are equal.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::eval::EvalError;
use crate::eval::interpret::Interpreter;
use crate::eval::source::InstantSample;
use crate::functions::call::plain;
use crate::functions::{Argument, Element};
use crate::model::{
    DurationMs, Labels, LabelsBuilder, METRIC_NAME, MatchOp, Matcher, SampleValue, TimestampMs,
};
use crate::promql::Expr;
use crate::promql::ast::{self, At, DurationExpr, ExprKind, RangeMode, VectorSelector};

/// The labels by which series and info series are matched.
const IDENTIFYING_LABELS: [&str; 2] = ["instance", "job"];

impl<'a> Interpreter<'a> {
    /// Evaluates a call of `info`.
    pub(super) fn eval_info(
        &mut self,
        call: &ast::Call,
        at: TimestampMs,
    ) -> Result<Vec<Element>, EvalError> {
        let mut args = call.args.iter().map(plain);
        let infos_at = match call.args.first().map(|expr| self.reference(expr)) {
            Some(Some(reference)) => {
                let (at_modifier, offset) = reference?;
                self.resolve(at_modifier, offset, at)
            }
            _ => at,
        };
        let base = match args.next().map(|expr| self.eval(expr, at)).transpose()? {
            Some(Argument::Vector(elements)) => elements,
            _ => Vec::new(),
        };
        let wanted = match args.next().map(|expr| &expr.kind) {
            Some(ExprKind::Vector(selector)) => Wanted::new(&selector.matchers)?,
            _ => Wanted::new(&[])?,
        };
        let infos = self.info_samples(&base, &wanted, infos_at)?;
        let mut out = Vec::with_capacity(base.len());
        for element in base {
            if wanted.is_info(&element.labels) {
                out.push(element);
                continue;
            }
            if let Some(labels) = wanted.enrich(&element.labels, &infos)? {
                out.push(Element { labels, ..element });
            }
        }
        self.unique(out)
    }

    /// Returns the `@` and the offset of the first selector in an expression: info series are
    /// looked at where it looks. The offsets of subqueries around it add up, until an `@` decides.
    fn reference(&self, expr: &Expr) -> Option<Result<(Option<At>, DurationMs), EvalError>> {
        let of = |selector: &VectorSelector| {
            let offset = self.offset(&selector.offset);
            Some(offset.map(|offset| (selector.at, offset)))
        };
        match &expr.kind {
            ExprKind::Number(_) | ExprKind::String(_) => None,
            ExprKind::Paren(inner) | ExprKind::Unary(_, inner) => self.reference(inner),
            ExprKind::Binary(binary) => self
                .reference(&binary.lhs)
                .or_else(|| self.reference(&binary.rhs)),
            ExprKind::Aggregate(aggregate) => {
                let parameter = || self.reference(aggregate.parameter.as_ref()?);
                self.reference(&aggregate.expr).or_else(parameter)
            }
            ExprKind::Call(call) => call.args.iter().find_map(|arg| self.reference(arg)),
            ExprKind::Vector(selector) => of(selector),
            ExprKind::Matrix(matrix) => of(&matrix.selector),
            ExprKind::Subquery(subquery) => {
                let inner = self.reference(&subquery.expr)?;
                Some(inner.and_then(|(at, offset)| match at {
                    Some(_) => Ok((at, offset)),
                    None => {
                        let outer = self.offset(&subquery.offset)?;
                        Ok((subquery.at, DurationMs(offset.0.saturating_add(outer.0))))
                    }
                }))
            }
        }
    }

    /// Returns the newest info series by name and identifying labels.
    fn info_samples(
        &mut self,
        base: &[Element],
        wanted: &Wanted,
        at: TimestampMs,
    ) -> Result<BTreeMap<String, HashMap<Vec<String>, InstantSample>>, EvalError> {
        let mut matchers = wanted.names.clone();
        let described = base
            .iter()
            .filter(|element| !wanted.is_info(&element.labels));
        let described: Vec<&Labels> = described.map(|element| &element.labels).collect();
        let mut is_identified = false;
        for name in IDENTIFYING_LABELS {
            let values = described.iter().map(|labels| labels.value(name));
            let values: BTreeSet<&str> = values.filter(|value| !value.is_empty()).collect();
            if values.is_empty() {
                continue;
            }
            is_identified = true;
            let any: Vec<String> = values.iter().map(|value| regex::escape(value)).collect();
            let matcher = Matcher::new(MatchOp::Matches, name, any.join("|"));
            matchers.push(matcher.map_err(|error| EvalError::Execution(error.to_string()))?);
        }
        if !is_identified {
            return Ok(BTreeMap::new());
        }
        matchers.extend(wanted.data.values().flatten().cloned());
        let selector = VectorSelector {
            name: None,
            matchers,
            offset: DurationExpr::Literal(DurationMs::ZERO),
            at: None,
            mode: RangeMode::Plain,
        };
        let samples = self
            .source
            .instant(&selector, at - self.options.lookback, at);
        self.count(samples.len(), false);
        by_identity(samples)
    }
}

fn identity(labels: &Labels) -> Vec<String> {
    IDENTIFYING_LABELS
        .iter()
        .map(|name| labels.value(name).to_owned())
        .collect()
}

fn by_identity(
    samples: Vec<InstantSample>,
) -> Result<BTreeMap<String, HashMap<Vec<String>, InstantSample>>, EvalError> {
    let mut found: BTreeMap<String, HashMap<Vec<String>, InstantSample>> = BTreeMap::new();
    for sample in samples {
        if let SampleValue::Histogram(_) = sample.value {
            let labels = braces(&sample.labels);
            return Err(EvalError::Execution(format!(
                "this should be an info metric, with float samples: {labels}"
            )));
        }
        let of_name = found
            .entry(sample.labels.metric_name().to_owned())
            .or_default();
        let key = identity(&sample.labels);
        match of_name.get(&key) {
            Some(existing) if existing.at > sample.at => {}
            Some(existing) if existing.at == sample.at => {
                return Err(EvalError::Execution(format!(
                    "found duplicate series for info metric: existing {} @ {}, new {} @ {}",
                    braces(&existing.labels),
                    existing.at.0,
                    braces(&sample.labels),
                    sample.at.0
                )));
            }
            _ => {
                of_name.insert(key, sample);
            }
        }
    }
    Ok(found)
}

/// What the second argument asks for.
struct Wanted {
    /// Which info metrics.
    names: Vec<Matcher>,
    /// Which of their labels, and with which values; all where there is none.
    data: BTreeMap<String, Vec<Matcher>>,
}

impl Wanted {
    fn new(matchers: &[Matcher]) -> Result<Wanted, EvalError> {
        let mut data: BTreeMap<String, Vec<Matcher>> = BTreeMap::new();
        let mut names = Vec::new();
        for matcher in matchers {
            if matcher.name == METRIC_NAME {
                names.push(matcher.clone());
            } else {
                data.entry(matcher.name.clone())
                    .or_default()
                    .push(matcher.clone());
            }
        }
        let says_which = |m: &Matcher| matches!(m.op, MatchOp::Equal | MatchOp::Matches);
        if names.is_empty() {
            names.push(Matcher::equal(METRIC_NAME, "target_info"));
        } else if !names.iter().any(says_which) {
            let any = Matcher::new(MatchOp::Matches, METRIC_NAME, ".+_info");
            names.insert(
                0,
                any.map_err(|error| EvalError::Execution(error.to_string()))?,
            );
        }
        Ok(Wanted { names, data })
    }

    fn is_info(&self, labels: &Labels) -> bool {
        self.names
            .iter()
            .all(|matcher| matcher.matches(labels.metric_name()))
    }

    /// Returns the labels with those of the info series; `None` where the selector asks for
    /// labels that no info series has.
    fn enrich(
        &self,
        labels: &Labels,
        infos: &BTreeMap<String, HashMap<Vec<String>, InstantSample>>,
    ) -> Result<Option<Labels>, EvalError> {
        let key = identity(labels);
        let mut added = LabelsBuilder::default();
        let mut has_match = false;
        for sample in infos.values().filter_map(|of_name| of_name.get(&key)) {
            has_match = true;
            for (name, value) in sample
                .labels
                .iter()
                .filter(|(name, _)| *name != METRIC_NAME)
            {
                if !self.data.is_empty() && !self.data.contains_key(name) {
                    continue;
                }
                if added.get(name).is_some_and(|other| other != value) {
                    return Err(EvalError::Execution(format!("conflicting label: {name}")));
                }
                if labels.get(name).is_none() {
                    added.set(name, value);
                }
            }
        }
        let demands_some = || {
            self.data
                .values()
                .flatten()
                .any(|matcher| !matcher.matches(""))
        };
        if !has_match && demands_some() {
            return Ok(None);
        }
        let mut out = LabelsBuilder::from(labels);
        for (name, value) in added.build().iter() {
            out.set(name, value);
        }
        Ok(Some(out.build()))
    }
}

/// Prints labels with the name inside the braces, as Prometheus' errors do.
pub(super) fn braces(labels: &Labels) -> String {
    use crate::model::labels::{is_legacy_label_name, quote};
    let pairs = labels.iter().map(|(name, value)| {
        let name = if is_legacy_label_name(name) {
            name.to_owned()
        } else {
            quote(name)
        };
        format!("{name}={}", quote(value))
    });
    format!("{{{}}}", pairs.collect::<Vec<_>>().join(", "))
}
