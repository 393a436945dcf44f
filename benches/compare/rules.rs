//! The rules that receivers are given: burn-rate alerts as in the SRE workbook, none of which
//! fires over the load.

use std::fmt::Write;

/// What evaluation in event time needs of burnwatch: it must not take the pause between two blocks
/// for silence of the senders, and what waits for the engine must not count as memory of series.
pub const EVENT_TIME: &str =
    "idle_timeout: 1h\nbacklog_timeout: 1h\nlimits: {log_samples: 200000}\n";

/// A group of rules, evaluated each 15 seconds.
pub fn group(expressions: impl IntoIterator<Item = String>) -> String {
    let mut text = "groups:\n- name: compare\n  interval: 15s\n  rules:\n".to_owned();
    for (number, expression) in expressions.into_iter().enumerate() {
        let _ = writeln!(text, "  - alert: Compare{number}\n    expr: '{expression}'");
    }
    text
}

/// The share of errors of each model over a window, above a threshold.
pub fn burn_rate(window: &str, threshold: f64) -> String {
    format!(
        "sum by (model) (rate(ml_prediction_errors_total[{window}])) / \
         sum by (model) (rate(ml_predictions_total[{window}])) > {threshold}"
    )
}

/// One burn-rate rule for each window.
pub fn burn_rates(windows: &[&str]) -> String {
    group(windows.iter().map(|window| burn_rate(window, 0.9)))
}
