//! What every objective says beside its tool's own series: how long the budget lasts, and which
//! windows are longer than the history there is.
//!
//! `rate()` extrapolates only over the samples there are. So after a start a window of three days
//! answers from minutes, and a blip may look like a burnt budget. The alerts stay what they are;
//! a series says which of them look at less than they claim.

use std::collections::BTreeMap;

use crate::model::DurationMs;
use crate::slo::objective::Slo;
use crate::slo::rule_text::RuleText;

/// How long the budget lasts at the present burn rate, in seconds.
pub(crate) const TIME_TO_EXHAUSTION: &str = "slo:time_to_exhaustion:seconds";
/// 1 where there is less history than the window of the label `window`, else 0.
pub(crate) const SHORT_HISTORY: &str = "slo:history_shorter_than_window:bool";

/// How far back from its beginning a window is looked for samples: gaps of scrapes are shorter.
const GAP: DurationMs = DurationMs::from_seconds(3600);

/// The recorded series that the rules here read, each as a selector.
pub(crate) struct Recorded<'a> {
    /// The share of the budget that is left.
    pub remaining: String,
    /// The error ratio that tells the present burn rate.
    pub error_ratio: String,
    /// The error ratio over the shortest window, which tells since when there is history.
    pub shortest: String,
    /// Labels in which these differ.
    pub ignoring: &'a str,
    /// A label of the shortest one to be left out.
    pub without: &'a str,
}

/// Returns how long the budget lasts: what is left · period / burn rate.
pub(crate) fn time_to_exhaustion(
    slo: &Slo,
    period: DurationMs,
    recorded: &Recorded<'_>,
    labels: &BTreeMap<String, String>,
) -> RuleText {
    let ignoring = match recorded.ignoring {
        "" => String::new(),
        label => format!(" ignoring ({label})"),
    };
    let expr = format!(
        "clamp_min({}, 0) * {}\n/{ignoring}\n({} / {} > 0)\n",
        recorded.remaining,
        period.seconds(),
        recorded.error_ratio,
        slo.budget(),
    );
    RuleText::record(TIME_TO_EXHAUSTION, expr, labels)
}

/// Returns which windows are longer than the history.
pub(crate) fn short_history(
    windows: &[DurationMs],
    recorded: &Recorded<'_>,
    labels: &BTreeMap<String, String>,
) -> Vec<RuleText> {
    let selector = &recorded.shortest;
    let now = format!("group without ({}) ({selector})", recorded.without);
    let rules = windows.iter().map(|window| {
        let then = format!(
            "group without ({}) (last_over_time({selector}[{GAP}] offset {window}))",
            recorded.without
        );
        let expr = format!("({now}\nunless\n{then})\nor\n{now} - 1\n");
        let mut labels = labels.clone();
        labels.insert("window".to_owned(), window.to_string());
        RuleText::record(SHORT_HISTORY, expr, &labels)
    });
    rules.collect()
}
