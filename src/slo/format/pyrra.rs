//! Pyrra: `apiVersion: pyrra.dev/v1alpha1`, `kind: ServiceLevelObjective`.

use std::collections::BTreeMap;
use std::rc::Rc;

use crate::slo::fields::{Reading, SpecReader, mapping, peek, peek_text};
use crate::slo::format::pyrra_rules::{Indicator, PyrraConventions};
use crate::slo::format::{Beyond, Format, OWN_FIELDS, apply, checked_percent, checked_period};
use crate::slo::objective::{Alerting, Slo};
use crate::slo::query::Selector;
use crate::yaml::Node;

/// Pyrra's specifications.
#[derive(Debug)]
pub(crate) struct Pyrra;

const API: &str = "pyrra.dev/v1alpha1";
const KIND: &str = "ServiceLevelObjective";
/// The prefix of labels and annotations that Pyrra takes over into its rules.
const PROPAGATED: &str = "pyrra.dev/";

impl Format for Pyrra {
    fn name(&self) -> &'static str {
        "Pyrra"
    }

    fn header(&self) -> &'static str {
        "apiVersion: pyrra.dev/v1alpha1"
    }

    fn is_mine(&self, root: &Node) -> bool {
        let api = peek_text(root, "apiVersion").unwrap_or_default();
        api.starts_with(PROPAGATED) || peek_text(root, "kind") == Some(KIND)
    }

    fn read(&self, documents: &[Rc<Node>], reading: &mut Reading<'_>) {
        for document in documents {
            read_slo(reading, document);
        }
    }
}

fn read_slo(reading: &mut Reading<'_>, root: &Node) {
    let metadata = peek(root, "metadata");
    let name = metadata
        .and_then(|metadata| peek_text(metadata, "name"))
        .unwrap_or_default();
    let about = match name {
        "" => "a ServiceLevelObjective".to_owned(),
        name => format!("ServiceLevelObjective {name:?}"),
    };
    let known = ["apiVersion", "kind", "metadata", "spec", "status"];
    let Some(top) = reading.fields(root, &about, &known) else {
        return;
    };
    if top.text(reading, "apiVersion").as_deref() != Some(API)
        || top.text(reading, "kind").as_deref() != Some(KIND)
    {
        let hint = format!("write `apiVersion: {API}` and `kind: {KIND}`");
        reading.refuse(
            top.place,
            format!("{about} is of another version or kind"),
            hint,
        );
    }
    let Some(metadata) = top.required(reading, "metadata") else {
        return;
    };
    if name.is_empty() {
        reading.refuse(
            metadata.place,
            format!("{about} has no name"),
            "write `name:` under `metadata:`",
        );
    }
    let Some(spec) = top.required(reading, "spec") else {
        return;
    };
    let mut known = vec![
        "description",
        "target",
        "window",
        "indicator",
        "alerting",
        "partial_response_strategy",
        "performanceOverAccuracy",
        "ruleOutput",
    ];
    // The period is Pyrra's `window`.
    known.extend(OWN_FIELDS.iter().filter(|name| **name != "period"));
    let Some(fields) = reading.fields(spec, &format!("the spec of {about}"), &known) else {
        return;
    };
    for ignored in [
        "partial_response_strategy",
        "performanceOverAccuracy",
        "ruleOutput",
    ] {
        if let Some(node) = fields.get(ignored) {
            reading.note(node.place, format!("{about}: {ignored} makes no difference here: long windows cost what short ones do"));
        }
    }
    let percent = fields.required_number(reading, "target");
    let place = fields.get("target").map_or(spec.place, |node| node.place);
    let percent = percent.and_then(|percent| checked_percent(reading, place, &about, percent));
    let window = fields.required_duration(reading, "window");
    let description = fields.text(reading, "description").unwrap_or_default();
    let indicator = fields.required(reading, "indicator").cloned();
    let indicator = indicator.and_then(|node| read_indicator(reading, &node, &about));
    let mut conventions_alerting = PyrraAlerting::default();
    let mut alerting = Alerting::default();
    if let Some(node) = fields.get("alerting") {
        conventions_alerting = read_alerting(reading, node, &about);
        alerting.name.clone_from(&conventions_alerting.name);
    }
    alerting.page.is_disabled = !conventions_alerting.has_burn_rates;
    alerting.ticket.is_disabled = !conventions_alerting.has_burn_rates;
    let beyond = Beyond::of_annotations(metadata, reading);
    let beyond = Beyond::read(&fields, reading).or(&beyond);
    let (Some(percent), Some(window), Some(indicator)) = (percent, window, indicator) else {
        return;
    };
    if name.is_empty() || !checked_period(reading, spec.place, &about, Some(window)) {
        return;
    }
    let labels = propagated(reading, metadata, "labels");
    let annotations = propagated(reading, metadata, "annotations");
    alerting.annotations = annotations;
    let service = peek_text(metadata, "namespace")
        .unwrap_or("default")
        .to_owned();
    let mut slo = Slo {
        format: "Pyrra ServiceLevelObjective",
        service,
        name: name.to_owned(),
        description,
        percent,
        period: Some(window),
        sli: indicator.sli(),
        labels,
        alerting,
        maintenance: None,
        interval: None,
        tiers: Vec::new(),
        is_workbook: false,
        place: root.place,
        conventions: Box::new(PyrraConventions {
            indicator,
            alerting: conventions_alerting,
        }),
    };
    apply(&mut slo, beyond);
    slo.period = Some(window);
    reading.add(slo);
}

/// Returns the labels or annotations that Pyrra takes over.
fn propagated(reading: &mut Reading<'_>, metadata: &Node, field: &str) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    if let Some(node) = peek(metadata, field)
        && !node.is_null()
    {
        for (key, value) in mapping(reading, node, field).unwrap_or_default() {
            let name = key.text().and_then(|name| name.strip_prefix(PROPAGATED));
            if let (Some(name), Some(value)) = (name, value.text()) {
                found.insert(name.to_owned(), value.to_owned());
            }
        }
    }
    found
}

/// What Pyrra's alerting says.
#[derive(Clone, Debug)]
pub(crate) struct PyrraAlerting {
    pub has_burn_rates: bool,
    pub has_absent: bool,
    pub name: String,
    pub absent_name: String,
    /// By tier: fast, medium, slow, long-term; empty where Pyrra's own hold.
    pub severities: [String; 4],
    pub absent_severity: String,
}

impl Default for PyrraAlerting {
    fn default() -> Self {
        PyrraAlerting {
            has_burn_rates: true,
            has_absent: true,
            name: String::new(),
            absent_name: String::new(),
            severities: Default::default(),
            absent_severity: String::new(),
        }
    }
}

fn read_alerting(reading: &mut Reading<'_>, node: &Node, about: &str) -> PyrraAlerting {
    let about = format!("alerting of {about}");
    let known = [
        "disabled",
        "burnrates",
        "absent",
        "name",
        "absentName",
        "severities",
    ];
    let mut alerting = PyrraAlerting::default();
    let Some(fields) = reading.fields(node, &about, &known) else {
        return alerting;
    };
    alerting.has_burn_rates = fields.flag(reading, "burnrates").unwrap_or(true)
        && !fields.flag(reading, "disabled").unwrap_or(false);
    alerting.has_absent = fields.flag(reading, "absent").unwrap_or(true);
    alerting.name = fields.text(reading, "name").unwrap_or_default();
    alerting.absent_name = fields.text(reading, "absentName").unwrap_or_default();
    let tiers = ["fastBurn", "mediumBurn", "slowBurn", "longTermBurn"];
    let known = ["absent", tiers[0], tiers[1], tiers[2], tiers[3]];
    let severities = fields.get("severities");
    if let Some(fields) =
        severities.and_then(|node| reading.fields(node, &format!("severities of {about}"), &known))
    {
        alerting.severities = tiers.map(|tier| fields.text(reading, tier).unwrap_or_default());
        alerting.absent_severity = fields.text(reading, "absent").unwrap_or_default();
    }
    alerting
}

fn read_indicator(reading: &mut Reading<'_>, node: &Node, about: &str) -> Option<Indicator> {
    let about = format!("the indicator of {about}");
    let known = ["ratio", "latency", "latencyNative", "bool_gauge"];
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
    let known: &[&str] = match kind {
        "ratio" => &["errors", "total", "grouping"],
        "latency" => &["success", "total", "grouping"],
        "latencyNative" => &["latency", "total", "grouping"],
        _ => &["metric", "grouping"],
    };
    let fields = reading.fields(node, &about, known)?;
    let mut grouping = fields.words(reading, "grouping");
    grouping.sort_unstable();
    grouping.dedup();
    let mut metric = |name: &str| {
        let node = fields.required(reading, name)?;
        let about = format!("{name} of {about}");
        let metric = reading
            .fields(node, &about, &["metric"])?
            .required(reading, "metric")?;
        Selector::read(reading, metric, &about)
    };
    match kind {
        "ratio" => {
            let (errors, total) = (metric("errors"), metric("total"));
            Some(Indicator::Ratio {
                errors: errors?,
                total: total?,
                grouping,
            })
        }
        "latency" => {
            let (success, total) = (metric("success"), metric("total"));
            let (success, total) = (success?, total?);
            if success
                .value_of("le")
                .is_none_or(|le| le.parse::<f64>().is_err())
            {
                let message = format!("success of {about} has no bound `le`");
                reading.refuse(
                    node.place,
                    message,
                    "write the bucket of what is fast enough, as x_bucket{le=\"0.5\"}",
                );
                return None;
            }
            Some(Indicator::Latency {
                success,
                total,
                grouping,
            })
        }
        "latencyNative" => {
            let total = metric("total");
            let latency = fields.required_duration(reading, "latency");
            Some(Indicator::LatencyNative {
                total: total?,
                latency: latency?,
                grouping,
            })
        }
        _ => {
            let metric = fields.required(reading, "metric")?;
            let gauge = Selector::read(reading, metric, &format!("metric of {about}"))?;
            Some(Indicator::BoolGauge { gauge, grouping })
        }
    }
}
