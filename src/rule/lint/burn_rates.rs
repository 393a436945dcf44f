//! What a threshold on an error ratio says as a burn rate: how much of the budget is gone when it
//! fires, and how long the rest lasts.
//!
//! A number is never wrong by itself, so this is information. Where the rule writes the burn rate
//! and the budget as a product both are known; else an objective of 99.9 % over 30 days is
//! assumed, and said to be.

use crate::model::{DurationMs, METRIC_NAME, Matcher};
use crate::promql::ast::{Binary, BinaryOp, Expr, ExprKind, Span};
use crate::rule::RuleKind;
use crate::rule::lint::values::turned;
use crate::rule::lint::{At, Finding, Subject, equal_value};
use crate::slo::burn_rate::{Tier, Urgency, decimal, percent, spoken};

/// The period of an objective, where nothing is known: 30 days.
const PERIOD: DurationMs = DurationMs::from_seconds(30 * 86_400);
/// The budget of an objective of 99.9 %.
const BUDGET: f64 = 0.001;
/// Above this a burn rate spends a good part of the budget before anybody is told.
const BUDGET_GONE_MAX: f64 = 0.5;

/// What compiled specifications of objectives call their error ratios.
const COMPILED: &str = "slo:sli_error:";

/// An error ratio that has to be above a number.
struct Condition {
    span: Span,
    window: DurationMs,
    burn: f64,
    budget: f64,
    is_assumed: bool,
    is_summed: bool,
}

/// Finds comparisons of error ratios, and says what they imply.
pub(crate) fn burn_rate(subject: &Subject<'_>, findings: &mut Vec<Finding>) {
    let RuleKind::Alerting { hold, .. } = &subject.rule.kind else {
        return;
    };
    for branch in branches(&subject.rule.expr) {
        let mut conditions = Vec::new();
        collect(branch, &mut conditions);
        let longest = conditions.iter().max_by_key(|condition| condition.window);
        let Some(longest) = longest else {
            continue;
        };
        let has_one_window = conditions
            .iter()
            .all(|other| other.window == longest.window);
        findings.push(finding(longest, *hold, has_one_window));
    }
}

/// Returns the alternatives of an alert: the sides of `or`.
fn branches(expr: &Expr) -> Vec<&Expr> {
    match &expr.kind {
        ExprKind::Paren(inner) => branches(inner),
        ExprKind::Binary(binary) if binary.op == BinaryOp::Or => {
            let mut all = branches(&binary.lhs);
            all.extend(branches(&binary.rhs));
            all
        }
        _ => vec![expr],
    }
}

/// Collects the conditions that must hold together.
fn collect(expr: &Expr, found: &mut Vec<Condition>) {
    match &expr.kind {
        ExprKind::Paren(inner) => collect(inner, found),
        ExprKind::Aggregate(aggregate) => collect(&aggregate.expr, found),
        ExprKind::Binary(binary) if binary.op == BinaryOp::And => {
            collect(&binary.lhs, found);
            collect(&binary.rhs, found);
        }
        ExprKind::Binary(binary) if binary.op.is_comparison() => {
            found.extend(condition(binary, expr.span));
        }
        _ => {}
    }
}

fn condition(binary: &Binary, span: Span) -> Option<Condition> {
    let sides = [
        (&binary.lhs, binary.op, &binary.rhs),
        (&binary.rhs, turned(binary.op), &binary.lhs),
    ];
    sides.into_iter().find_map(|(ratio, op, threshold)| {
        if !matches!(op, BinaryOp::Greater | BinaryOp::GreaterEqual) {
            return None;
        }
        let (window, is_summed) = error_ratio(ratio)?;
        let (burn, budget, is_assumed) = threshold_of(threshold)?;
        Some(Condition {
            span,
            window,
            burn,
            budget,
            is_assumed,
            is_summed,
        })
    })
}

/// Returns the burn rate and the budget of a threshold, and whether the budget is assumed.
fn threshold_of(expr: &Expr) -> Option<(f64, f64, bool)> {
    if let ExprKind::Paren(inner) = &expr.kind {
        return threshold_of(inner);
    }
    if let ExprKind::Binary(binary) = &expr.kind
        && binary.op == BinaryOp::Mul
    {
        let (a, b) = (number(&binary.lhs)?, number(&binary.rhs)?);
        // A budget is less than any burn rate that somebody would be told of.
        let (burn, budget) = (a.max(b), a.min(b));
        return (budget > 0.0 && budget < 0.5 && burn >= 0.5).then_some((burn, budget, false));
    }
    let threshold = number(expr)?;
    let is_ratio = threshold > 0.0 && threshold < 1.0;
    is_ratio.then(|| (decimal(threshold / BUDGET), BUDGET, true))
}

/// Returns the value of a number, or of `1 - 0.999`.
fn number(expr: &Expr) -> Option<f64> {
    match &expr.kind {
        ExprKind::Number(number) => Some(number.value),
        ExprKind::Paren(inner) => number(inner),
        ExprKind::Binary(binary) if binary.op == BinaryOp::Sub => {
            Some(decimal(number(&binary.lhs)? - number(&binary.rhs)?))
        }
        _ => None,
    }
}

/// Returns the window of an error ratio, and whether it is one of sums.
fn error_ratio(expr: &Expr) -> Option<(DurationMs, bool)> {
    match &expr.kind {
        ExprKind::Paren(inner) => error_ratio(inner),
        ExprKind::Binary(binary) if binary.op == BinaryOp::Div => {
            let (errors, total) = (rate_of(&binary.lhs)?, rate_of(&binary.rhs)?);
            let are_errors = errors.window == total.window && counts_errors(&errors, &total);
            are_errors.then_some((errors.window, errors.is_summed && total.is_summed))
        }
        // A recorded ratio is named for its window: …:ratio_rate1h.
        ExprKind::Vector(selector) => {
            let name = equal_value(&selector.matchers, METRIC_NAME)?;
            let (head, window) = name.rsplit_once("ratio_rate")?;
            // What a compiler of objectives records has thresholds as they were asked for.
            if head == COMPILED {
                return None;
            }
            let is_error = ["err", "slo", "sli", "bad", "fail", "slow"];
            let is_error = is_error.iter().any(|word| head.contains(word));
            let window = DurationMs::parse(window).ok()?;
            is_error.then_some((window, true))
        }
        _ => None,
    }
}

/// A rate of a counter, summed or not.
struct Rate<'a> {
    window: DurationMs,
    matchers: &'a [Matcher],
    is_summed: bool,
}

fn rate_of(expr: &Expr) -> Option<Rate<'_>> {
    match &expr.kind {
        ExprKind::Paren(inner) => rate_of(inner),
        ExprKind::Aggregate(aggregate) => rate_of(&aggregate.expr).map(|rate| Rate {
            is_summed: true,
            ..rate
        }),
        ExprKind::Call(call) if ["rate", "increase"].contains(&call.function.as_str()) => {
            match &call.args.first()?.kind {
                ExprKind::Matrix(matrix) => Some(Rate {
                    window: matrix.range.literal()?,
                    matchers: &matrix.selector.matchers,
                    is_summed: false,
                }),
                _ => None,
            }
        }
        _ => None,
    }
}

/// Tells whether one counter counts errors of what the other counts: by its name, or as the same
/// counter with more conditions.
fn counts_errors(errors: &Rate<'_>, total: &Rate<'_>) -> bool {
    let name = |rate: &Rate<'_>| equal_value(rate.matchers, METRIC_NAME).map(str::to_owned);
    let (Some(of_errors), Some(of_total)) = (name(errors), name(total)) else {
        return false;
    };
    let words = ["error", "fail", "5xx", "exception", "bad", "timeout"];
    words.iter().any(|word| of_errors.contains(word))
        || (of_errors == of_total && errors.matchers.len() > total.matchers.len())
}

fn finding(condition: &Condition, hold: DurationMs, has_one_window: bool) -> Finding {
    let Condition {
        window,
        burn,
        budget,
        ..
    } = condition;
    let tier = Tier {
        burn: *burn,
        long: *window,
        short: None,
        hold,
        urgency: Urgency::Page,
        severity: String::new(),
    };
    let gone = tier.budget_gone(PERIOD);
    let objective = percent(decimal(1.0 - budget));
    let whose = match condition.is_assumed {
        true => format!("for an objective of {objective} over 30 days (assumed)"),
        false => format!("for an objective of {objective} over 30 days"),
    };
    let mut message = format!(
        "{} over {window} is a burn rate of {} {whose}: it fires when {} of the budget is gone, \
         and at that rate the budget lasts {}",
        percent(tier.threshold(*budget)),
        decimal(*burn),
        percent(gone),
        spoken(tier.exhaustion_seconds(PERIOD)),
    );
    let mut remedies = Vec::new();
    if gone > BUDGET_GONE_MAX {
        message += "; that is too late to save it";
        remedies.push(format!(
            "burn {} over {window} fires when 2 % is gone",
            decimal(0.02 * PERIOD.seconds() / window.seconds())
        ));
    }
    if has_one_window {
        message += "; with one window it is early or it ends late";
        remedies.push("ask for a short window too, `and` the same over a twelfth of it".to_owned());
    }
    if !condition.is_summed {
        message += "; without sum() each series is judged alone, and where one has little traffic a single error fires it";
        remedies.push("divide sums: sum by (job) (rate(…)) / sum by (job) (rate(…))".to_owned());
    }
    if remedies.is_empty() {
        remedies.push("`burnwatch slo explain` has the arithmetic of a whole objective".to_owned());
    }
    Finding {
        at: At::Expr(condition.span),
        message,
        remedy: remedies.join("; "),
        is_assumed: condition.is_assumed,
    }
}
