//! OpenSLO's alert policies: burn rates over one window each, as somebody wrote them.

use std::rc::Rc;

use crate::slo::burn_rate::{Tier, Urgency};
use crate::slo::fields::{Reading, SpecReader, peek, peek_text};
use crate::slo::format::openslo::Objects;
use crate::yaml::Node;

/// Returns the tiers that policies ask for.
pub(crate) fn tiers_of_policies(
    reading: &mut Reading<'_>,
    policies: &[Rc<Node>],
    objects: &Objects,
) -> Vec<Tier> {
    let mut tiers = Vec::new();
    for node in policies {
        let Some(policy) = resolved(reading, node, "alertPolicyRef", "AlertPolicy", objects) else {
            continue;
        };
        let name = peek(&policy, "metadata")
            .and_then(|m| peek_text(m, "name"))
            .unwrap_or_default();
        let about = format!("AlertPolicy {name:?}");
        let Some(spec) = peek(&policy, "spec") else {
            reading.refuse(
                policy.place,
                format!("{about} has no spec"),
                "write `spec:` with conditions",
            );
            continue;
        };
        let known = [
            "description",
            "alertWhenNoData",
            "alertWhenResolved",
            "alertWhenBreaching",
            "conditions",
            "notificationTargets",
        ];
        let Some(fields) = reading.fields(spec, &format!("the spec of {about}"), &known) else {
            continue;
        };
        let is_breach = fields.flag(reading, "alertWhenBreaching").unwrap_or(true);
        if fields.flag(reading, "alertWhenNoData") == Some(true) {
            let message =
                format!("{about}: alertWhenNoData makes no rule; `absent()` of the metric does");
            reading.note(spec.place, message);
        }
        for node in fields.list(reading, "conditions") {
            let condition = resolved(reading, node, "conditionRef", "AlertCondition", objects);
            let tier = condition.and_then(|condition| read_condition(reading, &condition));
            tiers.extend(tier.filter(|_| is_breach));
        }
    }
    // Two policies that ask for the same condition are one alert; who is told is Alertmanager's.
    let mut once: Vec<Tier> = Vec::new();
    for tier in tiers {
        if !once.contains(&tier) {
            once.push(tier);
        }
    }
    once
}

/// Returns an object that is written in place or named.
fn resolved(
    reading: &mut Reading<'_>,
    node: &Rc<Node>,
    reference: &str,
    kind: &str,
    objects: &Objects,
) -> Option<Rc<Node>> {
    if let Some(named) = peek(node, reference) {
        return objects.named(reading, kind, named);
    }
    if peek_text(node, "kind") == Some(kind) {
        return Some(Rc::clone(node));
    }
    let message = format!("this is no {kind}, and names none");
    reading.refuse(
        node.place,
        message,
        format!("write `{reference}:` with its name, or `kind: {kind}` in place"),
    );
    None
}

/// Reads a condition on the burn rate.
pub(crate) fn read_condition(reading: &mut Reading<'_>, node: &Node) -> Option<Tier> {
    let name = peek(node, "metadata")
        .and_then(|m| peek_text(m, "name"))
        .unwrap_or_default();
    let about = format!("AlertCondition {name:?}");
    let Some(spec) = peek(node, "spec") else {
        reading.refuse(
            node.place,
            format!("{about} has no spec"),
            "write `spec:` with a condition",
        );
        return None;
    };
    let known = ["description", "severity", "condition"];
    let fields = reading.fields(spec, &format!("the spec of {about}"), &known)?;
    let severity = fields
        .text(reading, "severity")
        .unwrap_or_else(|| "P2".to_owned());
    let node = fields.required(reading, "condition")?;
    let known = ["kind", "op", "threshold", "lookbackWindow", "alertAfter"];
    let fields = reading.fields(node, &format!("the condition of {about}"), &known)?;
    let kind = fields.text(reading, "kind").unwrap_or_default();
    if !kind.eq_ignore_ascii_case("burnrate") {
        let message = format!("{}: {kind:?} is no kind of condition", fields.about);
        reading.refuse(node.place, message, "write `kind: burnrate`");
        return None;
    }
    let burn = fields.required_number(reading, "threshold");
    let long = fields.required_duration(reading, "lookbackWindow");
    let hold = match fields.get("alertAfter").and_then(|node| node.text()) {
        None | Some("0" | "0m" | "0s") => Some(crate::model::DurationMs::ZERO),
        Some(_) => fields.duration(reading, "alertAfter"),
    };
    match fields.text(reading, "op").as_deref() {
        None | Some("gt" | "gte") => {}
        Some(op @ ("lt" | "lte")) => reading.note(
            node.place,
            format!("{}: op {op} would fire while all is well; it is taken as a burn rate above the threshold", fields.about),
        ),
        Some(other) => {
            let message = format!("{}: {other:?} is no operator", fields.about);
            reading.refuse(node.place, message, "write gt or gte");
        }
    }
    let (burn, long, hold) = (burn?, long?, hold?);
    if burn <= 0.0 {
        let message = format!("{}: a burn rate of {burn} is always exceeded", fields.about);
        reading.refuse(
            node.place,
            message,
            "write how many times as fast as allowed the budget may burn, as 14.4",
        );
        return None;
    }
    let urgency = match severity.to_ascii_lowercase().as_str() {
        "page" | "critical" | "high" | "p1" | "p2" => Urgency::Page,
        _ => Urgency::Ticket,
    };
    Some(Tier {
        burn,
        long,
        short: None,
        hold,
        urgency,
        severity,
    })
}
