//! Windows too short for what they are to measure.

use crate::model::{DurationMs, METRIC_NAME};
use crate::promql::ast::{Expr, ExprKind, MatrixSelector};
use crate::rule::lint::{At, Finding, Subject, equal_value};

/// Functions that compare samples within their window, so that they need some.
const NEED_SAMPLES: [&str; 8] = [
    "rate",
    "increase",
    "delta",
    "irate",
    "idelta",
    "deriv",
    "predict_linear",
    "double_exponential_smoothing",
];
/// With fewer samples in its window a rate is lost by two failed scrapes.
const SAMPLES_MIN: i64 = 4;

/// Finds windows shorter than four samples of their series.
pub(crate) fn short_window(subject: &Subject<'_>, findings: &mut Vec<Finding>) {
    subject.rule.expr.walk(&mut |expr| {
        let ExprKind::Call(call) = &expr.kind else {
            return;
        };
        if !NEED_SAMPLES.contains(&call.function.as_str()) {
            return;
        }
        for arg in &call.args {
            if let Some((matrix, at)) = window(arg) {
                findings.extend(of_window(subject, &call.function, matrix, at));
            }
        }
    });
}

fn window(arg: &Expr) -> Option<(&MatrixSelector, At)> {
    match &arg.kind {
        ExprKind::Paren(inner) => window(inner),
        ExprKind::Matrix(matrix) => Some((matrix, At::Expr(arg.span))),
        _ => None,
    }
}

fn of_window(
    subject: &Subject<'_>,
    function: &str,
    matrix: &MatrixSelector,
    at: At,
) -> Option<Finding> {
    let range = matrix.range.literal()?;
    let (spacing, source) = spacing(subject, matrix)?;
    let wanted = DurationMs(spacing.0.saturating_mul(SAMPLES_MIN));
    if range >= wanted {
        return None;
    }
    let effect = match range.0 < spacing.0.saturating_mul(2) {
        true => "it rarely sees the two samples that it needs",
        false => "one or two samples that do not come leave a gap in it",
    };
    Some(Finding::at(
        at,
        format!(
            "{function}() over {range} is less than four samples, which come every {spacing} \
             ({source}): {effect}"
        ),
        format!("write [{wanted}] or more"),
    ))
}

/// Returns how far apart the samples of a selector are, and how that is known.
fn spacing(subject: &Subject<'_>, matrix: &MatrixSelector) -> Option<(DurationMs, String)> {
    let matchers = &matrix.selector.matchers;
    let settings = subject.context.settings;
    let recorded = subject.context.recorded(matchers);
    if !recorded.is_empty() {
        let intervals = recorded
            .iter()
            .map(|(group, _)| group.interval.or(settings.evaluation_interval));
        let shortest = intervals.collect::<Option<Vec<_>>>()?.into_iter().min()?;
        return Some((
            shortest,
            "the interval of the group that records them".to_owned(),
        ));
    }
    let name = equal_value(matchers, METRIC_NAME)?;
    // A series that other files record comes as often as its group is evaluated.
    if name.contains(':') || name.starts_with("ALERTS") {
        return None;
    }
    let scrape = &settings.scrape;
    let job = equal_value(matchers, "job");
    let of_job = scrape
        .jobs
        .iter()
        .find(|(name, _)| Some(name.as_str()) == job);
    let spacing = match (of_job, job) {
        (Some((_, interval)), _) => *interval,
        (None, Some(_)) => scrape.default,
        // Which job is meant is not written: the fastest is the least that can be.
        (None, None) => {
            let fastest = scrape.jobs.iter().map(|(_, interval)| *interval).min();
            fastest.map_or(scrape.default, |fastest| fastest.min(scrape.default))
        }
    };
    Some((spacing, scrape.source.clone()))
}
