//! Sloth's `AlertWindows`: other windows and shares of the budget for one period.

use crate::model::DurationMs;
use crate::slo::burn_rate::{SEVERITIES, Tier, Urgency, burn_of_share};
use crate::slo::fields::{Reading, SpecReader};
use crate::yaml::{Node, Place};

/// The windows of one period.
#[derive(Clone, Debug, PartialEq)]
pub struct AlertWindows {
    /// The period of the objectives that they hold for.
    pub period: DurationMs,
    /// The tiers: page quick, page slow, ticket quick, ticket slow.
    pub tiers: Vec<Tier>,
    /// Where they begin in their file.
    pub place: Place,
}

/// The tiers by where they stand.
const TIERS: [(&str, &str, Urgency); 4] = [
    ("page", "quick", Urgency::Page),
    ("page", "slow", Urgency::Page),
    ("ticket", "quick", Urgency::Ticket),
    ("ticket", "slow", Urgency::Ticket),
];

/// Reads a document of `kind: AlertWindows`.
pub(crate) fn read(reading: &mut Reading<'_>, root: &Node) -> Option<AlertWindows> {
    let about = "AlertWindows";
    let top = reading.fields(root, about, &["apiVersion", "kind", "metadata", "spec"])?;
    let spec = top.required(reading, "spec")?;
    let spec = reading.fields(
        spec,
        "the spec of AlertWindows",
        &["sloPeriod", "page", "ticket"],
    )?;
    let period = spec.required_duration(reading, "sloPeriod");
    let mut tiers = Vec::new();
    for (severity, (urgency_name, speed, urgency)) in SEVERITIES.iter().zip(TIERS) {
        let Some(node) = spec.required(reading, urgency_name) else {
            continue;
        };
        let about = format!("{urgency_name} of AlertWindows");
        let Some(speeds) = reading.fields(node, &about, &["quick", "slow"]) else {
            continue;
        };
        let Some(node) = speeds.required(reading, speed) else {
            continue;
        };
        let about = format!("{urgency_name}.{speed} of AlertWindows");
        let known = ["errorBudgetPercent", "shortWindow", "longWindow"];
        let Some(fields) = reading.fields(node, &about, &known) else {
            continue;
        };
        let percent = fields.required_number(reading, "errorBudgetPercent");
        let short = fields.required_duration(reading, "shortWindow");
        let long = fields.required_duration(reading, "longWindow");
        let (Some(period), Some(percent), Some(short), Some(long)) = (period, percent, short, long)
        else {
            continue;
        };
        if !(percent > 0.0 && percent <= 100.0) {
            let message = format!("{about}: {percent} is no share of the budget in %");
            let hint =
                "write the share that may go in the long window, more than 0 and at most 100";
            reading.refuse(node.place, message, hint);
            continue;
        }
        if short >= long {
            let message =
                format!("{about}: shortWindow {short} is not shorter than longWindow {long}");
            reading.refuse(
                node.place,
                message,
                "the workbook's short window is a twelfth of the long one",
            );
            continue;
        }
        tiers.push(Tier {
            burn: burn_of_share(percent, period, long),
            long,
            short: Some(short),
            hold: DurationMs::ZERO,
            urgency,
            severity: (*severity).to_owned(),
        });
    }
    let period = period?;
    (tiers.len() == TIERS.len()).then_some(AlertWindows {
        period,
        tiers,
        place: root.place,
    })
}
