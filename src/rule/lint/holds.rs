//! `for`, `keep_firing_for` and `interval` against each other.

use crate::model::DurationMs;
use crate::rule::RuleKind;
use crate::rule::lint::{At, Finding, Subject};

/// What Prometheus takes when nothing says how often groups are evaluated.
const DEFAULT_INTERVAL: DurationMs = DurationMs::from_seconds(60);

/// Finds alerts that are held for less than the time between two evaluations.
pub(crate) fn short_hold(subject: &Subject<'_>, findings: &mut Vec<Finding>) {
    let RuleKind::Alerting {
        hold, keep_firing, ..
    } = &subject.rule.kind
    else {
        return;
    };
    let known = subject
        .group
        .interval
        .or(subject.context.settings.evaluation_interval);
    let interval = known.unwrap_or(DEFAULT_INTERVAL);
    let whose = match known {
        Some(_) => format!("the group is evaluated every {interval}"),
        None => format!(
            "unless the server says otherwise (--config), the group is evaluated every {interval}"
        ),
    };
    for (field, length, means) in [
        (
            "for",
            *hold,
            "the alert fires at the second evaluation in a row, as with",
        ),
        (
            "keep_firing_for",
            *keep_firing,
            "the alert is kept for one evaluation, as with",
        ),
    ] {
        if length == DurationMs::ZERO || length >= interval {
            continue;
        }
        let mut finding = Finding::at(
            At::Field(field),
            format!("`{field}: {length}` is rounded up: {whose}, so {means} `{field}: {interval}`"),
            format!(
                "write `{field}: {interval}`, or give the group an `interval` of {length} or less"
            ),
        );
        finding.is_assumed = known.is_none();
        findings.push(finding);
    }
}

/// Finds groups with recording rules whose series are stale before the next evaluation.
pub(crate) fn interval_over_lookback(subject: &Subject<'_>, findings: &mut Vec<Finding>) {
    let lookback = subject.context.settings.lookback;
    let Some(interval) = subject.group.interval else {
        return;
    };
    // Said once a group, at its first recording rule.
    let is_recording = |rule: &&crate::rule::Rule| matches!(rule.kind, RuleKind::Recording);
    let first = subject.group.rules.iter().find(is_recording);
    let is_first = first.is_some_and(|first| std::ptr::eq(first, subject.rule));
    if interval <= lookback || !is_first {
        return;
    }
    findings.push(Finding::at(
        At::GroupField("interval"),
        format!(
            "the group is evaluated every {interval}, and a query sees a sample for {lookback} \
             only: recorded series come and go"
        ),
        format!(
            "give the group an interval of {lookback} or less, or read its series by \
             last_over_time(…[{interval}])"
        ),
    ));
}
