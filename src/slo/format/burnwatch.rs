//! Our own format, `version: burnwatch/v1`: metrics rather than queries, so that sums, windows and
//! requests that never failed are the compiler's business.
//!
//! ```yaml
//! version: burnwatch/v1
//! service: predictor
//! slos:
//!   - name: availability
//!     objective: 99.9
//!     sli:
//!       ratio: {errors: prediction_errors_total, total: predictions_total}
//! ```

use std::collections::BTreeMap;
use std::rc::Rc;

use crate::model::{DurationMs, labels};
use crate::promql::ValueType;
use crate::slo::burn_rate::{SEVERITIES, Tier, Urgency, burn_of_share};
use crate::slo::fields::{Fields, Reading, SpecReader, peek_text};
use crate::slo::format::sloth::read_alerting;
use crate::slo::format::{
    Beyond, Format, OWN_FIELDS, apply, checked_name, checked_percent, checked_period,
};
use crate::slo::objective::{PERIOD, Sli, Slo, WINDOW, merged};
use crate::slo::query::{Selector, any_query, template};
use crate::slo::standard::{IDENTITY, Standard};
use crate::yaml::{Node, NodeKind};

/// Our own specifications.
#[derive(Debug)]
pub(crate) struct Burnwatch;

const VERSION: &str = "burnwatch/v1";

impl Format for Burnwatch {
    fn name(&self) -> &'static str {
        "burnwatch"
    }

    fn header(&self) -> &'static str {
        "version: burnwatch/v1"
    }

    fn is_mine(&self, root: &Node) -> bool {
        peek_text(root, "version") == Some(VERSION)
    }

    fn read(&self, documents: &[Rc<Node>], reading: &mut Reading<'_>) {
        for document in documents {
            read_service(reading, document);
        }
    }
}

fn read_service(reading: &mut Reading<'_>, root: &Node) {
    let mut known = vec![
        "version", "service", "labels", "interval", "alerting", "slos",
    ];
    known.extend(OWN_FIELDS);
    let Some(fields) = reading.fields(root, "a burnwatch specification", &known) else {
        return;
    };
    let tiers = list_of_tiers(reading, &fields);
    let beyond = beyond(reading, &fields);
    let labels = fields.labels(reading, "labels");
    let interval = fields.duration(reading, "interval");
    let Some(service) = fields.required_text(reading, "service") else {
        return;
    };
    let slos = fields.list(reading, "slos");
    if slos.is_empty() {
        let message = format!("service {service:?} has no slos");
        reading.refuse(fields.place, message, "list its objectives under `slos:`");
    }
    let outer = Service {
        name: &service,
        labels: &labels,
        interval,
        beyond: &beyond,
        tiers,
        fields: &fields,
    };
    for node in slos {
        read_slo(reading, node, &outer);
    }
}

/// What a service says of all its objectives.
struct Service<'a> {
    name: &'a str,
    labels: &'a BTreeMap<String, String>,
    interval: Option<DurationMs>,
    beyond: &'a Beyond,
    tiers: Option<&'a [Rc<Node>]>,
    fields: &'a Fields<'a>,
}

/// Returns `windows:` where it is a list of tiers rather than a word.
fn list_of_tiers<'n>(_reading: &mut Reading<'_>, fields: &Fields<'n>) -> Option<&'n [Rc<Node>]> {
    match &fields.get("windows")?.kind {
        NodeKind::Sequence(items) => Some(items),
        _ => None,
    }
}

/// Reads what any format may say; a list of windows is read elsewhere.
fn beyond(reading: &mut Reading<'_>, fields: &Fields<'_>) -> Beyond {
    match list_of_tiers(reading, fields) {
        Some(_) => Beyond::read(&fields.without("windows"), reading),
        None => Beyond::read(fields, reading),
    }
}

fn read_slo(reading: &mut Reading<'_>, node: &Node, service: &Service<'_>) {
    let named = peek_text(node, "name").map_or(String::new(), |name| format!(" {name:?}"));
    let about = format!("SLO{named} of service {:?}", service.name);
    let mut known = vec![
        "name",
        "description",
        "objective",
        "labels",
        "sli",
        "by",
        "interval",
        "alerting",
    ];
    known.extend(OWN_FIELDS);
    let Some(fields) = reading.fields(node, &about, &known) else {
        return;
    };
    let name = fields.required_text(reading, "name");
    let percent = fields.required_number(reading, "objective");
    let place = fields
        .get("objective")
        .map_or(node.place, |node| node.place);
    let percent = percent.and_then(|percent| checked_percent(reading, place, &about, percent));
    let labels = fields.labels(reading, "labels");
    let by = read_by(reading, &fields);
    let sli = fields.required(reading, "sli").cloned();
    let sli = sli.and_then(|sli| read_sli(reading, &sli, &about, &by));
    let alerting = fields
        .get("alerting")
        .or_else(|| service.fields.get("alerting"));
    let alerting = match alerting {
        Some(node) => read_alerting(reading, node, &about),
        None => Some(Default::default()),
    };
    let beyond = beyond(reading, &fields).or(service.beyond);
    let period = beyond.period.unwrap_or(PERIOD);
    let tiers = match list_of_tiers(reading, &fields).or(service.tiers) {
        Some(items) => read_tiers(reading, items, &about, period),
        None => Vec::new(),
    };
    let interval = fields.duration(reading, "interval").or(service.interval);
    let description = fields.text(reading, "description").unwrap_or_default();
    let (Some(name), Some(percent), Some(sli), Some(alerting)) = (name, percent, sli, alerting)
    else {
        return;
    };
    if !checked_name(
        reading,
        node.place,
        &about,
        &format!("{}-{name}", service.name),
    ) || !checked_period(reading, node.place, &about, beyond.period)
    {
        return;
    }
    let mut slo = Slo {
        format: "burnwatch/v1",
        service: service.name.to_owned(),
        name,
        description,
        percent,
        period: None,
        sli,
        labels: merged([service.labels, &labels]),
        alerting,
        maintenance: None,
        interval,
        tiers,
        is_workbook: false,
        place: node.place,
        conventions: Box::new(Standard),
    };
    apply(&mut slo, beyond);
    reading.add(slo);
}

/// Reads the labels that the indicator keeps: each set of their values has a budget of its own.
fn read_by(reading: &mut Reading<'_>, fields: &Fields<'_>) -> Vec<String> {
    let mut by = fields.words(reading, "by");
    by.retain(|label| {
        let taken = IDENTITY.contains(&label.as_str());
        let is_label = labels::is_legacy_label_name(label);
        if taken || !is_label {
            let message = match taken {
                true => format!(
                    "by of {}: {label:?} is what the objective's own series have",
                    fields.about
                ),
                false => format!("by of {}: {label:?} is no name of a label", fields.about),
            };
            reading.refuse(
                fields.place,
                message,
                "keep labels that tell its instances apart, such as [model]",
            );
        }
        !taken && is_label
    });
    by
}

fn read_sli(reading: &mut Reading<'_>, node: &Node, about: &str, by: &[String]) -> Option<Sli> {
    let about = format!("the sli of {about}");
    let known = ["ratio", "latency", "quality", "events", "raw"];
    let fields = reading.fields(node, &about, &known)?;
    let given: Vec<&str> = known
        .into_iter()
        .filter(|name| fields.get(name).is_some())
        .collect();
    let [kind] = given[..] else {
        let message = format!("{about} must be of one kind, found {}", given.len());
        reading.refuse(
            node.place,
            message,
            format!("write one of {}", known.join(", ")),
        );
        return None;
    };
    let node = fields.get(kind)?;
    let about = format!("{kind} of {about}");
    match kind {
        "ratio" => read_ratio(reading, node, &about, by),
        "latency" => read_latency(reading, node, &about, by),
        "quality" => read_quality(reading, node, &about),
        "events" => {
            let fields = reading.fields(node, &about, &["errors", "total"])?;
            let errors = fields.required(reading, "errors")?;
            let errors = template(reading, errors, &format!("errors of {about}"));
            let total = fields.required(reading, "total")?;
            let total = template(reading, total, &format!("total of {about}"));
            Some(Sli::Events {
                errors: errors?,
                total: total?,
            })
        }
        _ => template(reading, node, &about).map(Sli::Ratio),
    }
}

/// Returns `sum by (…) (inner)`.
fn summed(by: &[String], inner: &str) -> String {
    match by {
        [] => format!("sum({inner})"),
        by => format!("sum by ({}) ({inner})", by.join(", ")),
    }
}

/// Counters of bad (or good) events and of all of them.
fn read_ratio(reading: &mut Reading<'_>, node: &Node, about: &str, by: &[String]) -> Option<Sli> {
    let fields = reading.fields(node, about, &["errors", "good", "total"])?;
    let total = fields.required(reading, "total")?;
    let total = Selector::read(reading, total, &format!("total of {about}"))?;
    let rate = |selector: &Selector| summed(by, &format!("rate({}[{WINDOW}])", selector.text()));
    let all = rate(&total);
    // Without a request there is no answer, rather than one that is no number.
    let total = format!("{all} > 0");
    match (fields.get("errors"), fields.get("good")) {
        (Some(errors), None) => {
            let errors = Selector::read(reading, errors, &format!("errors of {about}"))?;
            // A counter of errors that has never counted one is often not there: that is none.
            let errors = format!("{} or 0 * {all}", rate(&errors));
            Some(Sli::Events { errors, total })
        }
        (None, Some(good)) => {
            let good = Selector::read(reading, good, &format!("good of {about}"))?;
            let errors = format!("{all} - {}", rate(&good));
            Some(Sli::Events { errors, total })
        }
        _ => {
            let message = format!("{about} needs errors or good, one of them");
            reading.refuse(
                node.place,
                message,
                "count the bad events in `errors:`, or the good ones in `good:`",
            );
            None
        }
    }
}

/// A histogram, classic or native, and what is fast enough.
fn read_latency(reading: &mut Reading<'_>, node: &Node, about: &str, by: &[String]) -> Option<Sli> {
    let fields = reading.fields(node, about, &["histogram", "threshold", "native"])?;
    let histogram = fields.required(reading, "histogram")?;
    let histogram = Selector::read(reading, histogram, &format!("histogram of {about}"))?;
    let threshold = fields.required_duration(reading, "threshold")?;
    let is_native = fields.flag(reading, "native").unwrap_or(false);
    let seconds = threshold.seconds();
    if is_native {
        let rate = summed(by, &format!("rate({}[{WINDOW}])", histogram.text()));
        let total = format!("histogram_count({rate})");
        let errors = format!("{total} * (1 - histogram_fraction(0, {seconds}, {rate}))");
        return Some(Sli::Events {
            errors,
            total: format!("{total} > 0"),
        });
    }
    if ["_bucket", "_count", "_sum"]
        .iter()
        .any(|suffix| histogram.name.ends_with(suffix))
    {
        let base = histogram.name.rsplit_once('_').map_or("", |(base, _)| base);
        let message = format!(
            "histogram of {about}: {} is a part of a histogram",
            histogram.name
        );
        reading.refuse(node.place, message, format!("name the histogram: {base}"));
        return None;
    }
    // Clients write whole bounds as 1, Prometheus 3 as 1.0.
    let le = match seconds.fract() == 0.0 {
        true => format!("le=~\"{seconds}([.]0)?\""),
        false => format!("le=\"{seconds}\""),
    };
    let count = histogram.renamed(format!("{}_count", histogram.name), &[]);
    let bucket = histogram.renamed(format!("{}_bucket", histogram.name), &[le]);
    let all = summed(by, &format!("rate({count}[{WINDOW}])"));
    let fast = summed(by, &format!("rate({bucket}[{WINDOW}])"));
    Some(Sli::Events {
        errors: format!("{all} - {fast}"),
        total: format!("{all} > 0"),
    })
}

/// A measure that is good or bad from moment to moment: drift, accuracy, calibration.
fn read_quality(reading: &mut Reading<'_>, node: &Node, about: &str) -> Option<Sli> {
    let fields = reading.fields(node, about, &["measure", "above", "below"])?;
    let measure = fields.required(reading, "measure")?;
    let measure_about = format!("measure of {about}");
    let (measure, expr) = any_query(reading, measure, &measure_about)?;
    let language = reading.language;
    if measure.contains(WINDOW)
        || crate::promql::type_of(&expr, language.functions) != ValueType::Vector
    {
        let message = format!(
            "{measure_about} must be a vector without {WINDOW}: it is looked at from moment to moment"
        );
        reading.refuse(
            node.place,
            message,
            "write the ranges that the measure itself needs, as in rate(x[1h])",
        );
        return None;
    }
    let above = fields.number(reading, "above");
    let below = fields.number(reading, "below");
    match (above, below) {
        (Some(bound), None) => Some(Sli::Slices(format!("({measure}) > bool {bound}"))),
        (None, Some(bound)) => Some(Sli::Slices(format!("({measure}) < bool {bound}"))),
        _ => {
            let message = format!("{about} needs above or below, one of them");
            reading.refuse(node.place, message, "a moment is bad where the measure is `above:` (drift) or `below:` (accuracy) its bound");
            None
        }
    }
}

/// Reads tiers as somebody has them in mind: a burn rate or a share of the budget over windows.
fn read_tiers(
    reading: &mut Reading<'_>,
    items: &[Rc<Node>],
    about: &str,
    period: DurationMs,
) -> Vec<Tier> {
    let about = format!("windows of {about}");
    let known = [
        "burn", "budget", "window", "long", "short", "for", "urgency", "severity",
    ];
    let mut tiers = Vec::new();
    for (idx, node) in items.iter().enumerate() {
        let Some(fields) = reading.fields(node, &about, &known) else {
            continue;
        };
        let long = match fields.get("window") {
            Some(_) => fields.duration(reading, "window"),
            None => fields.required_duration(reading, "long"),
        };
        let short = fields.duration(reading, "short");
        let hold = fields.duration(reading, "for").unwrap_or_default();
        let (burn, share) = (
            fields.number(reading, "burn"),
            fields.number(reading, "budget"),
        );
        let urgency = match fields.text(reading, "urgency").as_deref() {
            Some("page") => Urgency::Page,
            Some("ticket") => Urgency::Ticket,
            None if idx < 2 => Urgency::Page,
            None => Urgency::Ticket,
            Some(other) => {
                let message = format!("{about}: {other:?} is no urgency");
                reading.refuse(node.place, message, "write page or ticket");
                continue;
            }
        };
        let default = SEVERITIES
            .get(idx)
            .copied()
            .unwrap_or(SEVERITIES[SEVERITIES.len() - 1]);
        let severity = fields
            .text(reading, "severity")
            .unwrap_or_else(|| default.to_owned());
        let Some(long) = long else {
            continue;
        };
        let burn = match (burn, share) {
            (Some(burn), None) => burn,
            (None, Some(percent)) => burn_of_share(percent, period, long),
            _ => {
                let message = format!("{about}: a tier needs burn or budget, one of them");
                reading.refuse(
                    node.place,
                    message,
                    "`burn: 14.4`, or `budget: 2` for 2 % of the budget within the long window",
                );
                continue;
            }
        };
        if burn <= 0.0 || short.is_some_and(|short| short >= long) {
            let message = format!(
                "{about}: a burn rate is above 0, and a short window shorter than its long one"
            );
            reading.refuse(
                node.place,
                message,
                "as in {burn: 14.4, long: 1h, short: 5m}",
            );
            continue;
        }
        tiers.push(Tier {
            burn,
            long,
            short,
            hold,
            urgency,
            severity,
        });
    }
    tiers
}
