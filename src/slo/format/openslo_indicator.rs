//! OpenSLO's indicators and budgeting methods as expressions.
//!
//! A query there often has no window: what counts events is then turned into a rate over one, and
//! what has ranges of its own is looked at from moment to moment.

use std::rc::Rc;

use crate::model::DurationMs;
use crate::slo::fields::{Fields, Reading, SpecReader, peek};
use crate::slo::format::openslo::Objects;
use crate::slo::objective::{Sli, WINDOW};
use crate::slo::query::{any_query, over_window, template, with_window};
use crate::yaml::Node;

/// How bad events are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Budgeting {
    /// Each event counts.
    Occurrences,
    /// Each slice of time is good or bad.
    Timeslices,
    /// Each slice of time counts by its ratio.
    RatioTimeslices,
}

impl Budgeting {
    /// Reads the method of an SLO.
    pub(crate) fn read(reading: &mut Reading<'_>, fields: &Fields<'_>) -> Self {
        let Some(text) = fields.text(reading, "budgetingMethod") else {
            return Budgeting::Occurrences;
        };
        match text.as_str() {
            "Occurrences" => Budgeting::Occurrences,
            "Timeslices" => Budgeting::Timeslices,
            "RatioTimeslices" => Budgeting::RatioTimeslices,
            other => {
                let message = format!("{}: {other:?} is no budgeting method", fields.about);
                reading.refuse(
                    fields.place,
                    message,
                    "write Occurrences, Timeslices or RatioTimeslices",
                );
                Budgeting::Occurrences
            }
        }
    }
}

/// An indicator, and how often it has to be looked at.
pub(crate) struct Indicator {
    pub sli: Sli,
    pub interval: Option<DurationMs>,
}

/// The slice of time of an objective that says none.
const SLICE: DurationMs = DurationMs::from_seconds(60);

/// Reads an indicator for an objective.
pub(crate) fn read_sli(
    reading: &mut Reading<'_>,
    node: &Node,
    objective: &Fields<'_>,
    budgeting: Budgeting,
    about: &str,
    objects: &Objects,
) -> Option<Indicator> {
    let about = format!("the indicator of {about}");
    reading.fields(node, &about, &["apiVersion", "kind", "metadata", "spec"])?;
    let Some(spec) = peek(node, "spec") else {
        reading.refuse(
            node.place,
            format!("{about} has no spec"),
            "write `spec:` with a ratioMetric or a thresholdMetric",
        );
        return None;
    };
    let fields = reading.fields(
        spec,
        &about,
        &["description", "ratioMetric", "thresholdMetric"],
    )?;
    match (fields.get("ratioMetric"), fields.get("thresholdMetric")) {
        (Some(ratio), None) => {
            let ratio = read_ratio(reading, ratio, &about, objects)?;
            of_ratio(reading, ratio, objective, budgeting)
        }
        (None, Some(threshold)) => {
            let metric = reading.fields(threshold, &about, &["metricSource"])?;
            let query = read_source(reading, &metric, &about, objects)?;
            let (query, _) = any_query(reading, &query, &about)?;
            of_threshold(reading, &query, objective)
        }
        _ => {
            let message = format!("{about} needs a ratioMetric or a thresholdMetric");
            reading.refuse(spec.place, message, "write one of the two");
            None
        }
    }
}

fn of_ratio(
    reading: &mut Reading<'_>,
    ratio: Sli,
    objective: &Fields<'_>,
    budgeting: Budgeting,
) -> Option<Indicator> {
    if budgeting == Budgeting::Occurrences {
        return Some(Indicator {
            sli: ratio,
            interval: None,
        });
    }
    let slice = objective
        .duration(reading, "timeSliceWindow")
        .unwrap_or(SLICE);
    let share = match ratio {
        Sli::Events { errors, total } => {
            format!(
                "({}) / ({})",
                with_window(&errors, slice),
                with_window(&total, slice)
            )
        }
        Sli::Ratio(ratio) => with_window(&ratio, slice),
        Sli::Slices(bad) => bad,
    };
    let sli = match budgeting {
        Budgeting::RatioTimeslices => share,
        _ => {
            let target = objective.number(reading, "timeSliceTarget");
            let Some(target) = target.filter(|target| (0.0..1.0).contains(target)) else {
                let message = format!(
                    "{}: Timeslices need a timeSliceTarget between 0 and 1",
                    objective.about
                );
                reading.refuse(
                    objective.place,
                    message,
                    "write the share of events that makes a slice good, as `timeSliceTarget: 0.95`",
                );
                return None;
            };
            let allowed = crate::slo::burn_rate::decimal(1.0 - target);
            format!("({share}) > bool {allowed}")
        }
    };
    Some(Indicator {
        sli: Sli::Slices(sli),
        interval: Some(slice),
    })
}

/// A value that has to be on one side of a bound, from moment to moment.
fn of_threshold(
    reading: &mut Reading<'_>,
    query: &str,
    objective: &Fields<'_>,
) -> Option<Indicator> {
    let slice = objective.duration(reading, "timeSliceWindow");
    let value = objective.required_number(reading, "value")?;
    let op = objective.required_text(reading, "op")?;
    // What is told is when it is bad.
    let bad = match op.as_str() {
        "lt" => ">=",
        "lte" => ">",
        "gt" => "<=",
        "gte" => "<",
        other => {
            let message = format!("{}: {other:?} is no operator", objective.about);
            reading.refuse(
                objective.place,
                message,
                "good values are lt, lte, gt or gte the `value`",
            );
            return None;
        }
    };
    let query = with_window(query, slice.unwrap_or(SLICE));
    let sli = Sli::Slices(format!("({query}) {bad} bool {value}"));
    Some(Indicator {
        sli,
        interval: slice,
    })
}

fn read_ratio(
    reading: &mut Reading<'_>,
    node: &Node,
    about: &str,
    objects: &Objects,
) -> Option<Sli> {
    let about = format!("ratioMetric of {about}");
    let known = ["counter", "good", "bad", "total", "rawType", "raw"];
    let fields = reading.fields(node, &about, &known)?;
    let is_counter = fields.flag(reading, "counter").unwrap_or(true);
    // The outer tells whether it is written, the inner whether it can be read.
    let mut metric = |name: &str| {
        let about = format!("{name} of {about}");
        fields.get(name).map(|node| {
            let metric = reading.fields(node, &about, &["metricSource"])?;
            let query = read_source(reading, &metric, &about, objects)?;
            windowed(reading, &query, &about, is_counter)
        })
    };
    let (good, bad, total, raw) = (
        metric("good"),
        metric("bad"),
        metric("total"),
        metric("raw"),
    );
    let raw_type = fields.text(reading, "rawType");
    match (good, bad, total, raw) {
        (Some(good), None, Some(total), None) => Some(match (good?, total?) {
            (Query::Window(good), Query::Window(total)) => Sli::Events {
                errors: format!("({total}) - ({good})"),
                total: format!("({total}) > 0"),
            },
            (good, total) => Sli::Slices(format!("1 - ({}) / ({})", good.now(), total.now())),
        }),
        (None, Some(bad), Some(total), None) => Some(match (bad?, total?) {
            (Query::Window(bad), Query::Window(total)) => Sli::Events {
                errors: format!("({bad}) or 0 * ({total})"),
                total: format!("({total}) > 0"),
            },
            (bad, total) => Sli::Slices(format!("({}) / ({})", bad.now(), total.now())),
        }),
        (None, None, None, Some(raw)) => {
            let is_failure = match raw_type.as_deref() {
                Some("failure") => true,
                Some("success") => false,
                other => {
                    let message = format!("{about}: {} is no rawType", other.unwrap_or("nothing"));
                    reading.refuse(
                        node.place,
                        message,
                        "write `rawType: success` or `rawType: failure`",
                    );
                    return None;
                }
            };
            let share = |query: &str| match is_failure {
                true => format!("({query})"),
                false => format!("1 - ({query})"),
            };
            Some(match raw? {
                Query::Window(raw) => Sli::Ratio(share(&raw)),
                Query::Now(raw) => Sli::Slices(share(&raw)),
            })
        }
        _ => {
            let message = format!("{about} needs good or bad, and total; or raw with a rawType");
            reading.refuse(
                node.place,
                message,
                "write two of them, each with a metricSource",
            );
            None
        }
    }
}

/// A query that can be asked over any window, or only as it is.
enum Query {
    Window(String),
    Now(String),
}

impl Query {
    /// Returns what it is worth at a moment.
    fn now(&self) -> String {
        match self {
            Query::Window(template) => with_window(template, SLICE),
            Query::Now(query) => query.clone(),
        }
    }
}

/// Makes a query one over windows, if it is none.
fn windowed(
    reading: &mut Reading<'_>,
    node: &Node,
    about: &str,
    is_counter: bool,
) -> Option<Query> {
    let (query, expr) = any_query(reading, node, about)?;
    if query.contains(WINDOW) {
        return Some(Query::Window(query));
    }
    let function = match is_counter {
        true => "rate",
        false => "sum_over_time",
    };
    match over_window(&query, &expr, function) {
        Some(over) => {
            // A bare selector has many series, of which the objective has one budget.
            let is_bare = matches!(expr.kind, crate::promql::ast::ExprKind::Vector(_));
            Some(Query::Window(if is_bare {
                format!("sum({over})")
            } else {
                over
            }))
        }
        None => {
            reading.note(
                node.place,
                format!("{about} has ranges of its own, so every evaluation counts the same; write {WINDOW} for the range, and every event does"),
            );
            Some(Query::Now(query))
        }
    }
}

/// Returns the node of a metric source's query.
fn read_source(
    reading: &mut Reading<'_>,
    metric: &Fields<'_>,
    about: &str,
    objects: &Objects,
) -> Option<Rc<Node>> {
    let node = metric.required(reading, "metricSource")?;
    let known = ["metricSourceRef", "type", "spec"];
    let source = reading.fields(node, &format!("metricSource of {about}"), &known)?;
    let mut kind = source.text(reading, "type");
    if kind.is_none()
        && let Some(reference) = source.get("metricSourceRef")
    {
        let data_source = objects.named(reading, "DataSource", reference)?;
        let spec = peek(&data_source, "spec")?;
        kind = peek(spec, "type")
            .and_then(|node| node.text())
            .map(str::to_owned);
    }
    const SPEAK_PROMQL: [&str; 5] = ["prometheus", "thanos", "mimir", "cortex", "promql"];
    let kind = kind.unwrap_or_else(|| "Prometheus".to_owned());
    if !SPEAK_PROMQL.contains(&kind.to_ascii_lowercase().as_str()) {
        let message =
            format!("metricSource of {about} is of type {kind}, whose queries are no PromQL");
        reading.refuse(
            node.place,
            message,
            "write `type: Prometheus` and a query in PromQL",
        );
        return None;
    }
    let spec = source.required(reading, "spec")?;
    let spec_about = format!("spec of the metricSource of {about}");
    let spec = reading.fields(spec, &spec_about, &["query", "promql", "dimensions"])?;
    if let Some(dimensions) = spec.get("dimensions") {
        reading.note(
            dimensions.place,
            format!("{spec_about}: dimensions are passed over: the objective has one budget"),
        );
    }
    match spec.any(&["query", "promql"]) {
        Some(query) => Some(Rc::clone(query)),
        None => {
            reading.refuse(
                spec.place,
                format!("{spec_about} has no query"),
                "write `query:`",
            );
            None
        }
    }
}

/// Reads the ratio of an objective of `openslo/v1alpha`.
pub(crate) fn read_alpha_sli(
    reading: &mut Reading<'_>,
    objective: &Fields<'_>,
    about: &str,
) -> Option<Sli> {
    let ratio = objective.required(reading, "ratioMetrics")?;
    let about = format!("ratioMetrics of {about}");
    let fields = reading.fields(
        ratio,
        &about,
        &["good", "bad", "total", "counter", "incremental"],
    )?;
    let mut query = |name: &str| {
        let node = fields.required(reading, name)?;
        let about = format!("{name} of {about}");
        let fields = reading.fields(node, &about, &["source", "queryType", "query", "metadata"])?;
        let node = fields.required(reading, "query")?;
        template(reading, node, &about)
    };
    let (good, total) = (query("good"), query("total"));
    let (good, total) = (good?, total?);
    Some(Sli::Ratio(format!(
        "\n  1 - (\n    (\n      {good}\n    )\n    /\n    (\n      {total}\n    )\n  )\n"
    )))
}
