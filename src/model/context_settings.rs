//! What an alert says about its surroundings, and within which bounds: part of the log with the
//! other settings of an engine, so that replay decides alike.

use std::fmt;
use std::str::FromStr;

use crate::model::DurationMs;
use crate::model::bytes::{ByteReader, ByteWriter, Read};

/// A part of the context of an alert.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ContextPart {
    /// The value now, a day and a week before, and over 24 hours.
    Metrics,
    /// The comparisons of the expression, with how far the value is from the threshold.
    Threshold,
    /// The version of the model or program, and the last deployment.
    System,
    /// Recent changes.
    Changes,
    /// Dashboard, logs, runbook.
    Links,
    /// What to do.
    Actions,
    /// Other alerts of the last 24 hours.
    Alerts,
}

impl ContextPart {
    /// All parts, in the order in which they are shown.
    pub const ALL: [ContextPart; 7] = [
        ContextPart::Metrics,
        ContextPart::Threshold,
        ContextPart::System,
        ContextPart::Changes,
        ContextPart::Links,
        ContextPart::Actions,
        ContextPart::Alerts,
    ];

    /// Returns the word for it in annotations and settings.
    pub fn name(self) -> &'static str {
        match self {
            ContextPart::Metrics => "metrics",
            ContextPart::Threshold => "threshold",
            ContextPart::System => "system",
            ContextPart::Changes => "changes",
            ContextPart::Links => "links",
            ContextPart::Actions => "actions",
            ContextPart::Alerts => "alerts",
        }
    }
}

/// Some parts of a context.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ContextParts(u8);

impl ContextParts {
    /// No part: nothing is built.
    pub const NONE: ContextParts = ContextParts(0);
    /// Every part.
    pub const ALL: ContextParts = ContextParts(0x7f);

    /// Tells whether a part is among them.
    pub fn has(self, part: ContextPart) -> bool {
        self.0 & (1 << part as u8) != 0
    }

    /// Tells whether there is none.
    pub fn is_none(self) -> bool {
        self == ContextParts::NONE
    }

    /// Returns those that need no samples.
    pub fn without_reading(self) -> Self {
        let cheap = [
            ContextPart::Links,
            ContextPart::Actions,
            ContextPart::Alerts,
        ];
        let cheap = cheap.into_iter().filter(|part| self.has(*part));
        cheap.fold(ContextParts::NONE, ContextParts::with)
    }

    fn with(self, part: ContextPart) -> Self {
        ContextParts(self.0 | (1 << part as u8))
    }
}

/// A text that names no parts.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is no part of a context: write \"true\", \"false\", or some of metrics, threshold, \
     system, changes, links, actions, alerts with commas in between"
)]
pub struct UnknownPart(pub String);

impl FromStr for ContextParts {
    type Err = UnknownPart;

    fn from_str(text: &str) -> Result<Self, UnknownPart> {
        match text.trim() {
            "true" | "all" => return Ok(ContextParts::ALL),
            "false" | "none" => return Ok(ContextParts::NONE),
            _ => {}
        }
        let mut parts = ContextParts::NONE;
        for name in text.split(',').map(str::trim) {
            let part = ContextPart::ALL.iter().find(|part| part.name() == name);
            parts = parts.with(*part.ok_or_else(|| UnknownPart(name.to_owned()))?);
        }
        Ok(parts)
    }
}

impl fmt::Display for ContextParts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            ContextParts::NONE => f.write_str("false"),
            ContextParts::ALL => f.write_str("true"),
            some => {
                let names = ContextPart::ALL.iter().filter(|part| some.has(**part));
                let names: Vec<&str> = names.map(|part| part.name()).collect();
                f.write_str(&names.join(","))
            }
        }
    }
}

/// A metric whose label says which version runs: `model_info{version="v3"} 1`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InfoMetric {
    /// Selects its series.
    pub selector: String,
    /// The label whose value is the version.
    pub label: String,
    /// The kind of change that another version is.
    pub kind: String,
}

impl InfoMetric {
    /// The kind whose version is the model's.
    pub const MODEL: &str = "model";
}

/// What an alert says about its surroundings, and within which bounds.
#[derive(Clone, Debug, PartialEq)]
pub struct ContextSettings {
    /// What is built for alerts whose rule has no annotation [`ContextSettings::ANNOTATION`].
    pub default: ContextParts,
    /// Where versions are read.
    pub info: Vec<InfoMetric>,
    /// Links by their name, as templates.
    pub links: Vec<(String, String)>,
    /// The most changes that are remembered; beyond it the oldest are forgotten.
    pub changes_max: usize,
    /// How long a change is remembered, ms of event time.
    pub changes_age: DurationMs,
    /// The most alerts of one rule whose values are read when they begin to fire at one instant.
    pub alerts_max: usize,
    /// The most samples that are read for one alert; beyond it its history is shorter.
    pub samples_max: usize,
    /// The most alerts of the last 24 hours that are remembered.
    pub recent_max: usize,
}

impl ContextSettings {
    /// The annotation by which a rule asks for a context.
    pub const ANNOTATION: &str = "burnwatch_context";
    /// How far back the values of an alert are shown, ms.
    pub const HISTORY: DurationMs = DurationMs::from_seconds(24 * 3600);

    /// Puts the settings.
    pub(in crate::model) fn save(&self, out: &mut ByteWriter) {
        let ContextSettings {
            default,
            info,
            links,
            changes_max,
            changes_age,
            alerts_max,
            samples_max,
            recent_max,
        } = self;
        out.byte(default.0);
        out.list(info.iter(), |out, metric| {
            out.text(&metric.selector);
            out.text(&metric.label);
            out.text(&metric.kind);
        });
        out.list(links.iter(), |out, (name, template)| {
            out.text(name);
            out.text(template);
        });
        out.span(*changes_age);
        for count in [changes_max, alerts_max, samples_max, recent_max] {
            out.count(*count);
        }
    }

    /// Takes what [`ContextSettings::save`] has put.
    pub(in crate::model) fn load(read: &mut ByteReader<'_>) -> Read<ContextSettings> {
        // In the order in which they were put.
        let default = match read.byte()? {
            parts if parts <= ContextParts::ALL.0 => ContextParts(parts),
            _ => return Err(read.malformed("parts of a context")),
        };
        Ok(ContextSettings {
            default,
            info: read.list(3, |read| {
                Ok(InfoMetric {
                    selector: read.string()?,
                    label: read.string()?,
                    kind: read.string()?,
                })
            })?,
            links: read.list(2, |read| Ok((read.string()?, read.string()?)))?,
            changes_age: read.span()?,
            changes_max: read.place()?,
            alerts_max: read.place()?,
            samples_max: read.place()?,
            recent_max: read.place()?,
        })
    }
}

impl Default for ContextSettings {
    fn default() -> Self {
        let metric = |selector: &str, kind: &str| InfoMetric {
            selector: selector.to_owned(),
            label: "version".to_owned(),
            kind: kind.to_owned(),
        };
        ContextSettings {
            default: ContextParts::NONE,
            info: vec![
                metric("model_info", InfoMetric::MODEL),
                metric("build_info", crate::model::change::DEPLOYMENT),
            ],
            links: Vec::new(),
            changes_max: 1_000,
            changes_age: DurationMs::from_seconds(7 * 24 * 3600),
            alerts_max: 100,
            samples_max: 1_000_000,
            recent_max: 1_000,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_named() {
        let check = |text: &str, expected: Result<&str, &str>| {
            let parts = text.parse::<ContextParts>().map(|parts| parts.to_string());
            let expected = expected.map(str::to_owned);
            assert_eq!(
                parts.map_err(|unknown| unknown.0),
                expected.map_err(str::to_owned),
                "{text}"
            );
        };
        check("true", Ok("true"));
        check("none", Ok("false"));
        check(" links , metrics", Ok("metrics,links"));
        check(
            "metrics,threshold,system,changes,links,actions,alerts",
            Ok("true"),
        );
        check("metrics,graph", Err("graph"));
        check("", Err(""));
        for part in ContextPart::ALL {
            assert!(ContextParts::ALL.has(part));
            assert!(!ContextParts::NONE.has(part));
        }
    }
}
