//! OpenSLO: `apiVersion: openslo/v1`, several objects in a file that name each other; of
//! `openslo/v1alpha` the objectives with ratios.

use std::collections::BTreeMap;
use std::rc::Rc;

use crate::model::{DurationMs, labels};
use crate::slo::burn_rate::{Tier, decimal};
use crate::slo::fields::{Fields, Reading, SpecReader, mapping, peek, peek_text};
use crate::slo::format::openslo_alerts::tiers_of_policies;
use crate::slo::format::openslo_indicator::{Budgeting, read_alpha_sli, read_sli};
use crate::slo::format::{
    Beyond, Format, OWN_FIELDS, apply, checked_name, checked_percent, checked_period,
};
use crate::slo::objective::{Alerting, Slo};
use crate::slo::standard::Standard;
use crate::yaml::{Node, NodeKind};

/// OpenSLO's specifications.
#[derive(Debug)]
pub(crate) struct OpenSlo;

const V1: &str = "openslo/v1";
const V1_ALPHA: &str = "openslo/v1alpha";

impl Format for OpenSlo {
    fn name(&self) -> &'static str {
        "OpenSLO"
    }

    fn header(&self) -> &'static str {
        "apiVersion: openslo/v1"
    }

    fn is_mine(&self, root: &Node) -> bool {
        peek_text(root, "apiVersion").is_some_and(|api| api.starts_with("openslo"))
    }

    fn read(&self, documents: &[Rc<Node>], reading: &mut Reading<'_>) {
        let mut objects = Objects::default();
        for document in documents {
            objects.add(reading, document);
        }
        for condition in objects.all("AlertCondition") {
            crate::slo::format::openslo_alerts::read_condition(reading, condition);
        }
        for slo in objects.all("SLO") {
            match peek_text(slo, "apiVersion") {
                Some(V1_ALPHA) => read_alpha_slo(reading, slo),
                _ => read_slo(reading, slo, &objects),
            }
        }
    }
}

/// The kinds of objects of a specification.
const KINDS: [&str; 7] = [
    "AlertCondition",
    "AlertNotificationTarget",
    "AlertPolicy",
    "DataSource",
    "SLI",
    "SLO",
    "Service",
];

/// The objects of a file, by kind and name.
#[derive(Debug, Default)]
pub(crate) struct Objects {
    all: Vec<(String, String, Rc<Node>)>,
}

impl Objects {
    fn add(&mut self, reading: &mut Reading<'_>, document: &Rc<Node>) {
        let kind = peek_text(document, "kind").unwrap_or_default();
        let about = format!(
            "an OpenSLO {}",
            if kind.is_empty() { "object" } else { kind }
        );
        let known = ["apiVersion", "kind", "metadata", "spec"];
        let Some(fields) = reading.fields(document, &about, &known) else {
            return;
        };
        let api = fields.text(reading, "apiVersion").unwrap_or_default();
        let is_known = api == V1 || (api == V1_ALPHA && kind == "SLO");
        if !is_known {
            let place = fields
                .get("apiVersion")
                .map_or(fields.place, |node| node.place);
            let message = format!("{about} of {api} is not known");
            reading.refuse(place, message, format!("write it as `apiVersion: {V1}`"));
            return;
        }
        if !KINDS.contains(&kind) {
            let message = format!("OpenSLO has no kind {kind:?}");
            reading.refuse(
                fields.place,
                message,
                format!("its kinds are {}", KINDS.join(", ")),
            );
            return;
        }
        let Some(metadata) = fields.required(reading, "metadata") else {
            return;
        };
        let known = ["name", "displayName", "labels", "annotations"];
        let metadata_about = format!("metadata of {about}");
        let Some(metadata) = reading.fields(metadata, &metadata_about, &known) else {
            return;
        };
        if let Some(name) = metadata.required_text(reading, "name") {
            self.all.push((kind.to_owned(), name, Rc::clone(document)));
        }
    }

    fn all(&self, kind: &str) -> impl Iterator<Item = &Rc<Node>> {
        let of_kind = self.all.iter().filter(move |(of, _, _)| of == kind);
        of_kind.map(|(_, _, node)| node)
    }

    /// Returns the object that a reference names; says which there are where there is none.
    pub(crate) fn named(
        &self,
        reading: &mut Reading<'_>,
        kind: &str,
        reference: &Node,
    ) -> Option<Rc<Node>> {
        let wanted = reference.text().unwrap_or_default();
        let is_wanted = |(of, name, _): &&(String, String, Rc<Node>)| of == kind && name == wanted;
        if let Some((_, _, node)) = self.all.iter().find(is_wanted) {
            return Some(Rc::clone(node));
        }
        let of_kind = self.all.iter().filter(|(of, _, _)| of == kind);
        let names: Vec<&str> = of_kind.map(|(_, name, _)| name.as_str()).collect();
        let message = format!("there is no {kind} {wanted:?} in this file");
        let hint = match names.as_slice() {
            [] => format!("put it into the same file, as another document: `kind: {kind}`"),
            names => format!("there are: {}", names.join(", ")),
        };
        reading.refuse(reference.place, message, hint);
        None
    }
}

fn read_slo(reading: &mut Reading<'_>, root: &Node, objects: &Objects) {
    let Some((name, about)) = name_of(root) else {
        return;
    };
    let Some(spec) = spec_of(reading, root, &about) else {
        return;
    };
    let mut known = vec![
        "description",
        "service",
        "indicator",
        "indicatorRef",
        "timeWindow",
        "budgetingMethod",
        "objectives",
        "alertPolicies",
    ];
    known.extend(OWN_FIELDS);
    let Some(fields) = reading.fields(&spec, &format!("the spec of {about}"), &known) else {
        return;
    };
    let service = fields.required_text(reading, "service");
    let description = fields.text(reading, "description").unwrap_or_default();
    let period = match fields.list(reading, "timeWindow") {
        [] => None,
        [window] => read_window(reading, window, &about),
        [_, second, ..] => {
            let message = format!("{about} has more than one timeWindow");
            reading.refuse(
                second.place,
                message,
                "leave one; an objective over another period is another SLO",
            );
            None
        }
    };
    let budgeting = Budgeting::read(reading, &fields);
    let policies = fields.list(reading, "alertPolicies");
    let tiers = tiers_of_policies(reading, policies, objects);
    let outer = indicator_node(reading, &fields, objects);
    let objectives = fields.list(reading, "objectives");
    if objectives.is_empty() {
        reading.refuse(
            fields.place,
            format!("{about} has no objectives"),
            "list at least one, with a `target:`",
        );
    }
    let beyond = beyond(reading, root, &fields);
    for (idx, node) in objectives.iter().enumerate() {
        let about = match objectives.len() {
            1 => about.clone(),
            _ => format!("objective {} of {about}", idx + 1),
        };
        let known = [
            "displayName",
            "op",
            "value",
            "target",
            "targetPercent",
            "timeSliceTarget",
            "timeSliceWindow",
            "indicator",
            "indicatorRef",
            "compositeWeight",
        ];
        let Some(objective) = reading.fields(node, &about, &known) else {
            continue;
        };
        let percent = read_target(reading, &objective, &about);
        let own = indicator_node(reading, &objective, objects);
        let Some(indicator) = own.or_else(|| outer.clone()) else {
            reading.refuse(
                node.place,
                format!("{about} has no indicator"),
                "write `indicator:` or `indicatorRef:`",
            );
            continue;
        };
        let sli = read_sli(reading, &indicator, &objective, budgeting, &about, objects);
        let (Some(service), Some(percent), Some(sli)) = (&service, percent, sli) else {
            continue;
        };
        let name = match objectives.len() {
            1 => name.clone(),
            _ => format!("{name}-{idx}"),
        };
        let found = Found {
            format: "OpenSLO v1",
            service,
            name,
            description: &description,
            percent,
            period,
            tiers: tiers.clone(),
            place: node.place,
        };
        add(reading, root, found, sli.sli, sli.interval, beyond.clone());
    }
}

/// What has been read of an objective.
struct Found<'a> {
    format: &'static str,
    service: &'a str,
    name: String,
    description: &'a str,
    percent: f64,
    period: Option<DurationMs>,
    tiers: Vec<Tier>,
    place: crate::yaml::Place,
}

fn add(
    reading: &mut Reading<'_>,
    root: &Node,
    found: Found<'_>,
    sli: crate::slo::objective::Sli,
    interval: Option<DurationMs>,
    beyond: Beyond,
) {
    let about = format!("SLO {:?}", found.name);
    let full = format!("{}-{}", found.service, found.name);
    let period = beyond.period.or(found.period);
    if !checked_name(reading, found.place, &about, &full)
        || !checked_period(reading, found.place, &about, period)
    {
        return;
    }
    let labels = read_labels(reading, root, &about);
    let mut slo = Slo {
        format: found.format,
        service: found.service.to_owned(),
        name: found.name,
        description: found.description.to_owned(),
        percent: found.percent,
        period: found.period,
        sli,
        labels,
        alerting: Alerting::default(),
        maintenance: None,
        interval,
        tiers: found.tiers,
        is_workbook: false,
        place: found.place,
        conventions: Box::new(Standard),
    };
    apply(&mut slo, beyond);
    reading.add(slo);
}

fn name_of(root: &Node) -> Option<(String, String)> {
    let name = peek(root, "metadata").and_then(|metadata| peek_text(metadata, "name"))?;
    Some((name.to_owned(), format!("SLO {name:?}")))
}

fn spec_of(reading: &mut Reading<'_>, root: &Node, about: &str) -> Option<Rc<Node>> {
    let spec = peek(root, "spec").filter(|spec| !spec.is_null());
    if spec.is_none() {
        reading.refuse(root.place, format!("{about} has no spec"), "write `spec:`");
    }
    spec.cloned()
}

fn beyond(reading: &mut Reading<'_>, root: &Node, fields: &Fields<'_>) -> Beyond {
    let outer = match peek(root, "metadata") {
        Some(metadata) => Beyond::of_annotations(metadata, reading),
        None => Beyond::default(),
    };
    Beyond::read(fields, reading).or(&outer)
}

/// Returns the object of an indicator, written in place or named.
fn indicator_node(
    reading: &mut Reading<'_>,
    fields: &Fields<'_>,
    objects: &Objects,
) -> Option<Rc<Node>> {
    match (fields.get("indicator"), fields.get("indicatorRef")) {
        (Some(node), _) => Some(Rc::clone(node)),
        (None, Some(reference)) => objects.named(reading, "SLI", reference),
        (None, None) => None,
    }
}

fn read_target(reading: &mut Reading<'_>, fields: &Fields<'_>, about: &str) -> Option<f64> {
    let place = fields
        .any(&["target", "targetPercent", "budgetTarget"])
        .map(|node| node.place);
    let percent = match (
        fields.number(reading, "target"),
        fields.number(reading, "targetPercent"),
    ) {
        (Some(target), None) => decimal(target * 100.0),
        (None, Some(percent)) => percent,
        (Some(_), Some(_)) => {
            let message = format!("{about} has both target and targetPercent");
            reading.refuse(fields.place, message, "leave one");
            return None;
        }
        (None, None) => {
            if place.is_none() {
                let message = format!("{about} has no target");
                reading.refuse(
                    fields.place,
                    message,
                    "write `target: 0.999`, or `targetPercent: 99.9`",
                );
            }
            return None;
        }
    };
    checked_percent(reading, place.unwrap_or(fields.place), about, percent)
}

/// Reads a time window: OpenSLO's durations have months, quarters and years as well.
fn read_window(reading: &mut Reading<'_>, node: &Node, about: &str) -> Option<DurationMs> {
    let about = format!("timeWindow of {about}");
    let fields = reading.fields(node, &about, &["duration", "isRolling", "calendar"])?;
    let duration = fields.required(reading, "duration")?;
    let text = duration.text().unwrap_or_default();
    let months = [("M", 30), ("Q", 90), ("Y", 365)]
        .into_iter()
        .find_map(|(unit, days)| {
            let n: i64 = text.strip_suffix(unit)?.parse().ok()?;
            Some(DurationMs::from_seconds(
                n.checked_mul(days)?.checked_mul(86_400)?,
            ))
        });
    if fields.get("calendar").is_some() || fields.flag(reading, "isRolling") == Some(false) {
        reading.note(
            node.place,
            format!("{about} follows the calendar; it is evaluated as a rolling window of {text}"),
        );
    }
    months.or_else(|| fields.duration(reading, "duration"))
}

/// Reads the labels of an object: of several values of one name, all.
fn read_labels(reading: &mut Reading<'_>, root: &Node, about: &str) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let metadata = peek(root, "metadata");
    let Some(node) = metadata.and_then(|metadata| peek(metadata, "labels")) else {
        return found;
    };
    if node.is_null() {
        return found;
    }
    for (key, value) in mapping(reading, node, &format!("labels of {about}")).unwrap_or_default() {
        let Some(name) = key.text() else {
            continue;
        };
        if !labels::is_legacy_label_name(name) || name.starts_with("__") {
            reading.note(
                key.place,
                format!(
                    "labels of {about}: {name:?} is no label's name in Prometheus and is left out"
                ),
            );
            continue;
        }
        let values: Vec<&str> = match &value.kind {
            NodeKind::Sequence(items) => items.iter().filter_map(|item| item.text()).collect(),
            _ => value.text().into_iter().collect(),
        };
        found.insert(name.to_owned(), values.join(","));
    }
    found
}

/// Reads an objective of `openslo/v1alpha`.
fn read_alpha_slo(reading: &mut Reading<'_>, root: &Node) {
    let Some((name, about)) = name_of(root) else {
        return;
    };
    let Some(spec) = spec_of(reading, root, &about) else {
        return;
    };
    let mut known = vec![
        "service",
        "description",
        "budgetingMethod",
        "indicator",
        "objectives",
        "timeWindows",
    ];
    known.extend(OWN_FIELDS);
    let Some(fields) = reading.fields(&spec, &format!("the spec of {about}"), &known) else {
        return;
    };
    let service = fields.required_text(reading, "service");
    let description = fields.text(reading, "description").unwrap_or_default();
    let mut period = None;
    for window in fields.list(reading, "timeWindows") {
        let window_about = format!("timeWindows of {about}");
        let known = ["count", "unit", "isRolling", "calendar"];
        if let Some(window) = reading.fields(window, &window_about, &known) {
            period = read_alpha_window(reading, &window);
        }
    }
    let beyond = beyond(reading, root, &fields);
    let objectives = fields.list(reading, "objectives");
    if objectives.is_empty() {
        reading.refuse(
            fields.place,
            format!("{about} has no objectives"),
            "list at least one, with a `target:`",
        );
    }
    for (idx, node) in objectives.iter().enumerate() {
        let about = format!("objective {} of {about}", idx + 1);
        let known = [
            "displayName",
            "op",
            "value",
            "target",
            "ratioMetrics",
            "timeSliceTarget",
        ];
        let Some(objective) = reading.fields(node, &about, &known) else {
            continue;
        };
        let percent = read_target(reading, &objective, &about);
        let sli = read_alpha_sli(reading, &objective, &about);
        let (Some(service), Some(percent), Some(sli)) = (&service, percent, sli) else {
            continue;
        };
        let found = Found {
            format: "OpenSLO v1alpha",
            service,
            name: format!("{name}-{idx}"),
            description: &description,
            percent,
            period,
            tiers: Vec::new(),
            place: node.place,
        };
        add(reading, root, found, sli, None, beyond.clone());
    }
}

fn read_alpha_window(reading: &mut Reading<'_>, fields: &Fields<'_>) -> Option<DurationMs> {
    let count = fields.required_number(reading, "count")?;
    let unit = fields.required_text(reading, "unit")?;
    let days = match unit.to_ascii_lowercase().as_str() {
        "day" => 1.0,
        "week" => 7.0,
        "month" => 30.0,
        "quarter" => 90.0,
        "year" => 365.0,
        _ => {
            let message = format!("{}: {unit:?} is no unit of time windows", fields.about);
            reading.refuse(
                fields.place,
                message,
                "write Day, Week, Month, Quarter or Year",
            );
            return None;
        }
    };
    let days = count * days;
    if !(1.0..=36_500.0).contains(&days) {
        let message = format!("{}: {count} {unit} is no time window", fields.about);
        reading.refuse(
            fields.place,
            message,
            "write a number of days, such as `count: 30`",
        );
        return None;
    }
    Some(DurationMs::from_seconds((days * 86_400.0) as i64))
}
