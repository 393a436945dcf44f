//! The indicator as expressions: how bad a window is, and what has to be recorded for that.
//!
//! Counters over a window are divided as they are. What is known only from moment to moment, and
//! what must not count while maintenance is planned, is recorded at every evaluation first, and a
//! window is a sum over what was recorded: neither rates nor ranges can leave moments out.

use std::collections::BTreeMap;

use crate::model::DurationMs;
use crate::slo::burn_rate::Tier;
use crate::slo::objective::{Sli, Slo};
use crate::slo::query::with_window;
use crate::slo::rule_text::RuleText;

/// The window of what is recorded from moment to moment: four scrapes at 30 s.
const BASE: DurationMs = DurationMs::from_seconds(120);

/// Bad events a second, outside of maintenance.
const BAD: &str = "slo:sli_bad:rate2m";
/// All events a second, outside of maintenance.
const TOTAL: &str = "slo:sli_total:rate2m";
/// How bad a moment is, from 0 to 1.
const MOMENT: &str = "slo:sli_bad:ratio";

/// Returns what has to be recorded at every evaluation before windows can be told.
pub(crate) fn base_records(slo: &Slo, labels: &BTreeMap<String, String>) -> Vec<RuleText> {
    let outside = |expr: &str, window: Option<DurationMs>| match (&slo.maintenance, window) {
        (None, _) => expr.to_owned(),
        // A rate shows what came during the maintenance for as long as its window.
        (Some(selector), Some(window)) => format!(
            "({})\nunless on ()\n(max_over_time({selector}[{window}]) > 0)\n",
            with_window(expr, window)
        ),
        (Some(selector), None) => format!("({expr})\nunless on ()\n({selector} > 0)\n"),
    };
    let record = |name, expr: String| RuleText::record(name, expr, labels);
    match (&slo.sli, &slo.maintenance) {
        (Sli::Events { .. } | Sli::Ratio(_), None) => Vec::new(),
        (Sli::Events { errors, total }, Some(_)) => vec![
            record(BAD, outside(errors, Some(BASE))),
            record(TOTAL, outside(total, Some(BASE))),
        ],
        (Sli::Ratio(ratio), Some(_)) => vec![record(MOMENT, outside(ratio, Some(BASE)))],
        (Sli::Slices(bad), _) => vec![record(MOMENT, outside(bad, None))],
    }
}

/// Returns the share of bad events over a window. `select` makes a selector of this objective's
/// series of a recorded name.
pub(crate) fn error_ratio(
    slo: &Slo,
    window: DurationMs,
    select: &dyn Fn(&str) -> String,
) -> String {
    match (&slo.sli, &slo.maintenance) {
        (Sli::Events { errors, total }, None) => format!(
            "({})\n/\n({})\n",
            with_window(errors, window),
            with_window(total, window)
        ),
        (Sli::Ratio(ratio), None) => format!("({})", with_window(ratio, window)),
        (Sli::Events { .. }, Some(_)) => format!(
            "sum_over_time({}[{window}])\n/\n(sum_over_time({}[{window}]) > 0)\n",
            select(BAD),
            select(TOTAL)
        ),
        (Sli::Ratio(_), Some(_)) | (Sli::Slices(_), _) => {
            format!("avg_over_time({}[{window}])", select(MOMENT))
        }
    }
}

/// Returns the windows of tiers, each once, the shortest first.
pub(crate) fn windows(tiers: &[Tier]) -> Vec<DurationMs> {
    let mut windows: Vec<DurationMs> = tiers
        .iter()
        .flat_map(|tier| [Some(tier.long), tier.short])
        .flatten()
        .collect();
    windows.sort_unstable();
    windows.dedup();
    windows
}
