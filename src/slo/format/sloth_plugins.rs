//! Sloth's SLO plugins, as far as what they do to the rules is known.
//!
//! Plugins are Go code. Those that come with Sloth and change the rules are done here; of any
//! other the rules cannot be known, so it is refused rather than passed over.

use std::collections::BTreeMap;

use crate::model::DurationMs;
use crate::slo::fields::{Reading, SpecReader};
use crate::yaml::Node;

/// What plugins change.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Plugins {
    /// Labels of the info series.
    pub info_labels: BTreeMap<String, String>,
    /// The name of the info series that gets them; empty for Sloth's own.
    pub info_name: String,
    /// The interval of the recordings of the indicator.
    pub sli_interval: Option<DurationMs>,
    /// The interval of what is said about the objective.
    pub metadata_interval: Option<DurationMs>,
    /// The interval of the alerts.
    pub alert_interval: Option<DurationMs>,
    /// Whether hours with little traffic count as little.
    pub is_denominator_corrected: bool,
}

/// The plugins that Sloth runs anyway, and those that only look.
const WITHOUT_EFFECT: [&str; 7] = [
    "sloth.dev/core/alert_rules/v1",
    "sloth.dev/core/debug/v1",
    "sloth.dev/core/metadata_rules/v1",
    "sloth.dev/core/noop/v1",
    "sloth.dev/core/sli_rules/v1",
    "sloth.dev/core/validate/v1",
    "sloth.dev/contrib/validate_victoria_metrics/v1",
];

/// Reads a chain of plugins on top of another.
pub(crate) fn read_plugins(
    reading: &mut Reading<'_>,
    node: Option<&std::rc::Rc<Node>>,
    outer: Option<&Plugins>,
) -> Plugins {
    let mut plugins = outer.cloned().unwrap_or_default();
    let Some(node) = node else {
        return plugins;
    };
    let known = ["overridePrevious", "override_previous", "chain"];
    let Some(fields) = reading.fields(node, "SLO plugins", &known) else {
        return plugins;
    };
    if fields.any(&known[..2]).and_then(|node| node.text()) == Some("true") {
        plugins = Plugins::default();
    }
    for item in fields.list(reading, "chain") {
        read_plugin(reading, item, &mut plugins);
    }
    plugins
}

fn read_plugin(reading: &mut Reading<'_>, node: &Node, plugins: &mut Plugins) {
    let Some(fields) = reading.fields(node, "an SLO plugin", &["id", "config", "priority"]) else {
        return;
    };
    let Some(id) = fields.required_text(reading, "id") else {
        return;
    };
    let config = fields.get("config");
    let about = format!("config of {id}");
    match id.as_str() {
        id if WITHOUT_EFFECT.contains(&id) => {}
        "sloth.dev/contrib/info_labels/v1" => {
            let config =
                config.and_then(|node| reading.fields(node, &about, &["labels", "metricName"]));
            if let Some(config) = config {
                plugins.info_labels.extend(config.labels(reading, "labels"));
                plugins.info_name = config.text(reading, "metricName").unwrap_or_default();
            }
        }
        "sloth.dev/contrib/rule_intervals/v1" => {
            let config = config.and_then(|node| reading.fields(node, &about, &["interval"]));
            let interval = config.and_then(|config| config.get("interval"));
            let known = ["default", "sliError", "metadata", "alert"];
            let Some(interval) = interval.and_then(|node| reading.fields(node, &about, &known))
            else {
                return;
            };
            let default = interval.required_duration(reading, "default");
            let mut of = |name| interval.duration(reading, name).or(default);
            plugins.sli_interval = of("sliError");
            plugins.metadata_interval = of("metadata");
            plugins.alert_interval = of("alert");
        }
        "sloth.dev/contrib/denominator_corrected_rules/v1" => {
            plugins.is_denominator_corrected = true
        }
        id => {
            let message = format!("what the SLO plugin {id:?} does to the rules is not known");
            let hint =
                "plugins are Go code that Sloth runs; take it out, or let Sloth write the rules";
            reading.refuse(node.place, message, hint);
        }
    }
}
