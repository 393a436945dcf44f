//! Which calls of an expression learn from their windows what is usual, and from when on.
//!
//! Detectors have the option `since`: samples up to then are not looked at. Who wants those of a
//! rule to begin anew evaluates the rule's expression with that option, so that whatever looks at
//! the expression (windows, the textbook loop, subqueries) agrees.

use crate::functions::find;
use crate::model::TimestampMs;
use crate::promql::ast::{Call, ExprKind};
use crate::promql::{Expr, ValueType};

/// The option's name.
const SINCE: &str = "since";

/// Tells whether an expression calls what learns.
pub fn learns(expr: &Expr) -> bool {
    let mut found = false;
    expr.walk(&mut |node| {
        if let ExprKind::Call(call) = &node.kind {
            found |= options_at(call).is_some();
        }
    });
    found
}

/// Has all calls that learn look at samples after an instant alone, or after a later one that they
/// name themselves.
pub fn learn_since(expr: &mut Expr, at: TimestampMs) {
    expr.for_each_mut(&mut |node| {
        let ExprKind::Call(call) = &mut node.kind else {
            return;
        };
        let Some(place) = options_at(call) else {
            return;
        };
        let text = call.args.get(place).map_or("", text_of);
        let kind = ExprKind::String(with_since(text, at));
        match call.args.get_mut(place) {
            Some(options) => options.kind = kind,
            None => call.args.push(Expr {
                kind,
                span: call.name_span,
            }),
        }
    });
}

/// Returns which argument of a call that learns are its options, given or not.
fn options_at(call: &Call) -> Option<usize> {
    let function = find(&call.function).filter(|function| function.learns())?;
    let args = function.signature().args;
    let last = args.len().checked_sub(1)?;
    (args[last] == ValueType::String && call.args.len() >= last).then_some(last)
}

fn text_of(expr: &Expr) -> &str {
    match &expr.kind {
        ExprKind::String(text) => text,
        ExprKind::Paren(inner) => text_of(inner),
        _ => "",
    }
}

/// Returns options with another `since`, or with their own if that is later.
fn with_since(options: &str, at: TimestampMs) -> String {
    let parts = options.split(',').map(str::trim);
    let (said, mut kept): (Vec<&str>, Vec<&str>) =
        parts.filter(|part| !part.is_empty()).partition(|part| {
            part.split_once('=')
                .is_some_and(|(name, _)| name.trim() == SINCE)
        });
    let seconds = at.0 as f64 / 1000.0;
    let is_later = |part: &&str| {
        let (_, value) = part.split_once('=').unwrap_or_default();
        value.trim().parse().is_ok_and(|said: f64| said >= seconds)
    };
    let own = said.into_iter().find(is_later);
    let ours = format!("{SINCE}={seconds}");
    kept.push(own.unwrap_or(&ours));
    kept.join(",")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::functions::{ALL, Functions};
    use crate::promql::{Features, parse};

    fn rewritten(text: &str, at: i64) -> String {
        let mut expr = parse(text, &Functions, Features::ALL).expect(text);
        learn_since(&mut expr, TimestampMs(at));
        let printed = expr.to_string();
        // What is written anew is an expression, and the same one.
        assert_eq!(parse(&printed, &Functions, Features::ALL), Ok(expr));
        printed
    }

    #[test]
    fn calls_that_learn_are_given_the_option_or_keep_a_later_one() {
        let check = |text: &str, expected: &str| {
            assert_eq!(rewritten(text, 1_700_000_000_250), expected, "{text}");
        };
        check(
            "anomaly_zscore(x[1h]) > 3",
            "anomaly_zscore(x[1h], \"since=1700000000.25\") > 3",
        );
        check(
            "sum(forecast_time_to(x[1h], 5, ('steps=cut , since=3')))",
            "sum(forecast_time_to(x[1h], 5, \"steps=cut,since=1700000000.25\"))",
        );
        check(
            "anomaly_forest(x[1h], 'dim', 'since=1800000000,trees=3')",
            "anomaly_forest(x[1h], \"dim\", \"trees=3,since=1800000000\")",
        );
        check(
            "max_over_time(change_cusum(x[1h], 'h=8')[1d:1m]) or rate(x[5m])",
            "max_over_time(change_cusum(x[1h], \"h=8,since=1700000000.25\")[1d:1m]) or rate(x[5m])",
        );
        check(
            "drift_psi(a, b, \"bins=quantile\")",
            "drift_psi(a, b, \"bins=quantile\")",
        );
    }

    #[test]
    fn what_learns_is_what_has_the_option() {
        let mut learning = Vec::new();
        for function in ALL {
            let signature = function.signature();
            let n_texts = signature
                .args
                .iter()
                .filter(|arg| **arg == ValueType::String)
                .count();
            let mut texts = vec!["dim"; n_texts.saturating_sub(1)];
            texts.push("since=5");
            let has_option = function.is_extension() && function.check_texts(&texts).is_ok();
            if function.learns() {
                learning.push(signature.name);
            }
            assert!(
                !function.learns() || has_option,
                "{} does not know since",
                signature.name
            );
        }
        assert_eq!(
            learning,
            [
                "anomaly_ewma",
                "anomaly_forest",
                "anomaly_holt_winters",
                "anomaly_mad",
                "anomaly_seasonal",
                "anomaly_zscore",
                "change_adwin",
                "change_cusum",
                "change_page_hinkley",
                "forecast_error",
                "forecast_time_to",
            ]
        );
        let learns = |text: &str| {
            super::learns(&parse(text, &Functions, Features::ALL).expect("an expression"))
        };
        assert!(learns("x or max(max_over_time(anomaly_mad(y[1h])[1d:1m]))"));
        assert!(!learns("predict_linear(x[1h], 60) > 0"));
    }

    #[test]
    fn an_instant_comes_back_to_the_millisecond() {
        use crate::functions::anomaly::since;
        use crate::functions::options::Options;
        for at in [
            0,
            1,
            1_700_000_000_123,
            1_795_312_345_679,
            4_102_444_800_001,
        ] {
            let text = with_since("", TimestampMs(at));
            let mut options = Options::parse("f", &text).expect("options");
            assert_eq!(since(&mut options), Ok(TimestampMs(at)), "{text}");
        }
    }
}
