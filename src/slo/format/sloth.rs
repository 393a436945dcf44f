//! Sloth: `version: prometheus/v1`, and the resource `PrometheusServiceLevel`, which says the same
//! in other spellings.

use std::collections::BTreeMap;
use std::rc::Rc;

use crate::slo::fields::{Fields, Reading, SpecReader, peek_text};
use crate::slo::format::sloth_plugins::{Plugins, read_plugins};
use crate::slo::format::sloth_rules::SlothConventions;
use crate::slo::format::{
    Beyond, Format, SLOTH_API, apply, checked_name, checked_percent, checked_period,
};
use crate::slo::objective::{AlertDetail, Alerting, Sli, Slo, merged};
use crate::slo::query::template;
use crate::yaml::Node;

/// Sloth's specifications.
#[derive(Debug)]
pub(crate) struct Sloth;

const VERSION: &str = "prometheus/v1";
const KIND: &str = "PrometheusServiceLevel";

impl Format for Sloth {
    fn name(&self) -> &'static str {
        "Sloth"
    }

    fn header(&self) -> &'static str {
        "version: prometheus/v1, or kind: PrometheusServiceLevel"
    }

    fn is_mine(&self, root: &Node) -> bool {
        peek_text(root, "kind") == Some(KIND) || peek_text(root, "version") == Some(VERSION)
    }

    fn read(&self, documents: &[Rc<Node>], reading: &mut Reading<'_>) {
        for document in documents {
            match peek_text(document, "kind") {
                Some(KIND) => read_resource(reading, document),
                _ => {
                    let known = [
                        "version",
                        "service",
                        "labels",
                        "slo_plugins",
                        "sloPlugins",
                        "slos",
                        "maintenance",
                        "period",
                        "windows",
                    ];
                    if let Some(fields) = reading.fields(document, "a Sloth specification", &known)
                    {
                        read_service(reading, &fields, VERSION, &Beyond::default());
                    }
                }
            }
        }
    }
}

fn read_resource(reading: &mut Reading<'_>, root: &Node) {
    let about = "a PrometheusServiceLevel";
    let known = ["apiVersion", "kind", "metadata", "spec", "status"];
    let Some(top) = reading.fields(root, about, &known) else {
        return;
    };
    if top.text(reading, "apiVersion").as_deref() != Some(SLOTH_API) {
        let message = format!("{about} has apiVersion {SLOTH_API}");
        reading.refuse(
            top.place,
            message,
            format!("write `apiVersion: {SLOTH_API}`"),
        );
    }
    let beyond = match top.get("metadata") {
        Some(metadata) => Beyond::of_annotations(metadata, reading),
        None => Beyond::default(),
    };
    let Some(spec) = top.required(reading, "spec") else {
        return;
    };
    let known = [
        "service",
        "labels",
        "sloPlugins",
        "slo_plugins",
        "slos",
        "maintenance",
        "period",
        "windows",
    ];
    if let Some(fields) = reading.fields(spec, "the spec of a PrometheusServiceLevel", &known) {
        read_service(reading, &fields, SLOTH_API, &beyond);
    }
}

/// Reads a service; `outer` is what its resource says beyond the format.
fn read_service(
    reading: &mut Reading<'_>,
    fields: &Fields<'_>,
    spec: &'static str,
    outer: &Beyond,
) {
    let beyond = Beyond::read(fields, reading).or(outer);
    let labels = fields.labels(reading, "labels");
    let plugins = read_plugins(reading, fields.any(&["slo_plugins", "sloPlugins"]), None);
    let Some(service) = fields.required_text(reading, "service") else {
        return;
    };
    let slos = fields.list(reading, "slos");
    if slos.is_empty() {
        reading.refuse(
            fields.place,
            format!("service {service:?} has no slos"),
            "list its objectives under `slos:`",
        );
    }
    for node in slos {
        let service = Service {
            name: &service,
            labels: &labels,
            plugins: &plugins,
            spec,
            beyond: &beyond,
        };
        read_slo(reading, node, &service);
    }
}

struct Service<'a> {
    name: &'a str,
    labels: &'a BTreeMap<String, String>,
    plugins: &'a Plugins,
    spec: &'static str,
    beyond: &'a Beyond,
}

fn read_slo(reading: &mut Reading<'_>, node: &Node, service: &Service<'_>) {
    let named = peek_text(node, "name").map_or(String::new(), |name| format!(" {name:?}"));
    let about = format!("SLO{named} of service {:?}", service.name);
    let known = [
        "name",
        "description",
        "objective",
        "labels",
        "plugins",
        "sli",
        "alerting",
        "maintenance",
        "period",
        "windows",
    ];
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
    let plugins = read_plugins(reading, fields.get("plugins"), Some(service.plugins));
    let sli = fields.required(reading, "sli");
    let sli = sli.and_then(|sli| read_sli(reading, sli, &about));
    let alerting = match fields.get("alerting") {
        Some(alerting) => read_alerting(reading, alerting, &about),
        None => {
            let hint =
                "write `alerting:` with a `name`, or disable page_alert and ticket_alert in it";
            reading.refuse(node.place, format!("{about} has no alerting"), hint);
            None
        }
    };
    let beyond = Beyond::read(&fields, reading).or(service.beyond);
    let (Some(name), Some(percent), Some(sli), Some(alerting)) = (name, percent, sli, alerting)
    else {
        return;
    };
    let description = fields.text(reading, "description").unwrap_or_default();
    let is_named = checked_name(
        reading,
        node.place,
        &about,
        &format!("{}-{name}", service.name),
    );
    if !is_named || !checked_period(reading, node.place, &about, beyond.period) {
        return;
    }
    let is_told = !alerting.page.is_disabled || !alerting.ticket.is_disabled;
    if alerting.name.trim().is_empty() && is_told {
        let hint = "write `name:` under `alerting:`, or disable page_alert and ticket_alert";
        reading.refuse(
            node.place,
            format!("{about}: its alerts have no name"),
            hint,
        );
        return;
    }
    if plugins.is_denominator_corrected && !matches!(sli, Sli::Events { .. }) {
        let message =
            format!("{about}: the plugin denominator_corrected_rules needs an SLI of events");
        reading.refuse(node.place, message, "write error_query and total_query");
        return;
    }
    let mut slo = Slo {
        format: match service.spec {
            VERSION => "Sloth prometheus/v1",
            _ => "Sloth PrometheusServiceLevel",
        },
        service: service.name.to_owned(),
        name,
        description,
        percent,
        period: None,
        sli,
        labels: merged([service.labels, &labels]),
        alerting,
        maintenance: None,
        interval: None,
        tiers: Vec::new(),
        is_workbook: false,
        place: node.place,
        conventions: Box::new(SlothConventions {
            spec: service.spec,
            plugins,
        }),
    };
    apply(&mut slo, beyond);
    reading.add(slo);
}

fn read_sli(reading: &mut Reading<'_>, node: &Node, about: &str) -> Option<Sli> {
    let about = format!("the sli of {about}");
    let fields = reading.fields(node, &about, &["events", "raw", "plugin"])?;
    if let Some(plugin) = fields.get("plugin") {
        let message = format!("{about}: what an SLI plugin makes is not known here");
        let hint =
            "plugins are Go code that Sloth runs; write its queries under `events:` or `raw:`";
        reading.refuse(plugin.place, message, hint);
        return None;
    }
    match (fields.get("events"), fields.get("raw")) {
        (Some(events), None) => {
            let known = ["error_query", "total_query", "errorQuery", "totalQuery"];
            let events_about = format!("events of {about}");
            let events = reading.fields(events, &events_about, &known)?;
            let mut query = |names: [&str; 2]| match events.any(&names) {
                Some(node) => template(reading, node, &format!("{} of {about}", names[0])),
                None => {
                    let message = format!("{events_about} has no {}", names[0]);
                    reading.refuse(events.place, message, format!("write `{}:`", names[0]));
                    None
                }
            };
            let errors = query(["error_query", "errorQuery"]);
            let total = query(["total_query", "totalQuery"]);
            let (errors, total) = (errors?, total?);
            if errors == total {
                let message = format!("{about}: errors and total are the same query");
                reading.refuse(
                    events.place,
                    message,
                    "count the bad events in error_query, all of them in total_query",
                );
                return None;
            }
            Some(Sli::Events { errors, total })
        }
        (None, Some(raw)) => {
            let known = ["error_ratio_query", "errorRatioQuery"];
            let raw = reading.fields(raw, &format!("raw of {about}"), &known)?;
            let Some(node) = raw.any(&known) else {
                let message = format!("raw of {about} has no error_ratio_query");
                reading.refuse(raw.place, message, "write `error_ratio_query:`");
                return None;
            };
            template(reading, node, &format!("error_ratio_query of {about}")).map(Sli::Ratio)
        }
        (found, _) => {
            let message = match found {
                Some(_) => format!("{about} has both events and raw"),
                None => format!("{about} says nothing"),
            };
            reading.refuse(
                node.place,
                message,
                "write `events:` with two queries, or `raw:` with one",
            );
            None
        }
    }
}

/// Reads who is told; our own format has the same fields.
pub(crate) fn read_alerting(
    reading: &mut Reading<'_>,
    node: &Node,
    about: &str,
) -> Option<Alerting> {
    let about = format!("alerting of {about}");
    let known = [
        "name",
        "labels",
        "annotations",
        "page_alert",
        "ticket_alert",
        "pageAlert",
        "ticketAlert",
    ];
    let fields = reading.fields(node, &about, &known)?;
    let mut detail = |names: [&str; 2]| {
        let Some(node) = fields.any(&names) else {
            return AlertDetail::default();
        };
        let about = format!("{} of {about}", names[0]);
        match reading.fields(node, &about, &["disable", "labels", "annotations"]) {
            Some(fields) => AlertDetail {
                is_disabled: fields.flag(reading, "disable").unwrap_or(false),
                labels: fields.labels(reading, "labels"),
                annotations: fields.texts(reading, "annotations"),
            },
            None => AlertDetail::default(),
        }
    };
    let page = detail(["page_alert", "pageAlert"]);
    let ticket = detail(["ticket_alert", "ticketAlert"]);
    let name = fields.text(reading, "name").unwrap_or_default();
    Some(Alerting {
        name,
        labels: fields.labels(reading, "labels"),
        annotations: fields.texts(reading, "annotations"),
        page,
        ticket,
    })
}
