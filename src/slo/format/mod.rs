//! The formats that objectives are written in, told apart by their own headers.
//!
//! To add one: a file here, and a line in [`ALL`].

mod burnwatch;
mod openslo;
mod openslo_alerts;
mod openslo_indicator;
mod pyrra;
mod pyrra_rules;
mod sloth;
mod sloth_plugins;
mod sloth_rules;

use std::fmt;
use std::rc::Rc;

use crate::slo::fields::{Fields, Reading, SpecReader, peek, peek_text};
use crate::slo::objective::{PERIOD, Slo};
use crate::slo::query::Selector;
use crate::slo::{Language, Spec, SpecError, windows};
use crate::yaml::{Node, NodeKind, Place, YamlErrorKind, all_documents};

/// A format of specifications.
pub(crate) trait Format: fmt::Debug + Sync {
    /// Its name, as a person says it.
    fn name(&self) -> &'static str;
    /// The header that tells it from others.
    fn header(&self) -> &'static str;
    /// Tells whether a document is of this format.
    fn is_mine(&self, root: &Node) -> bool;
    /// Reads the documents of a file that are; they may name each other.
    fn read(&self, documents: &[Rc<Node>], reading: &mut Reading<'_>);
}

/// All formats, sorted by name.
pub(crate) const ALL: &[&dyn Format] = &[
    &burnwatch::Burnwatch,
    &openslo::OpenSlo,
    &pyrra::Pyrra,
    &sloth::Sloth,
];

/// Sloth's header of resources; its windows have it too.
pub(crate) const SLOTH_API: &str = "sloth.slok.dev/v1";

fn format_of(root: &Node) -> Option<&'static dyn Format> {
    ALL.iter().copied().find(|format| format.is_mine(root))
}

fn is_alert_windows(root: &Node) -> bool {
    peek_text(root, "kind") == Some("AlertWindows")
}

/// Tells whether a document is a specification of objectives, rather than a rule file.
pub fn is_spec(root: &Node) -> bool {
    match &root.kind {
        // OpenSLO's own tools write several objects as a list.
        NodeKind::Sequence(items) => items.first().is_some_and(|item| format_of(item).is_some()),
        _ => is_alert_windows(root) || format_of(root).is_some(),
    }
}

/// Reads all specifications of a file.
///
/// # Errors
/// Returns everything that is wrong with it, by line.
pub fn read(text: &str, language: Language<'_>) -> Result<Spec, Vec<SpecError>> {
    let documents = all_documents(text).map_err(|e| {
        vec![SpecError {
            place: e.place,
            message: e.to_string(),
            hint: Some("look at the indentation of this line and the one before".to_owned()),
        }]
    })?;
    let mut reading = Reading {
        language,
        spec: Spec::default(),
        errors: Vec::new(),
    };
    let mut roots: Vec<Rc<Node>> = Vec::new();
    for document in &documents {
        for problem in &document.problems {
            let hint = match &problem.kind {
                YamlErrorKind::RepeatedKey { .. } => "leave one of the two",
                _ => "look at the line",
            };
            reading.refuse(problem.place, problem.to_string(), hint);
        }
        match &document.root.kind {
            NodeKind::Sequence(items) => roots.extend(items.iter().cloned()),
            NodeKind::Null => {}
            _ => roots.push(Rc::clone(&document.root)),
        }
    }
    let mut is_known = vec![false; roots.len()];
    for (root, is_known) in roots.iter().zip(&mut is_known) {
        if is_alert_windows(root) {
            *is_known = true;
            let found = windows::read(&mut reading, root);
            reading.spec.windows.extend(found);
        }
    }
    for format in ALL {
        let mut mine = Vec::new();
        for (root, is_known) in roots.iter().zip(&mut is_known) {
            if !*is_known && format.is_mine(root) {
                *is_known = true;
                mine.push(Rc::clone(root));
            }
        }
        if !mine.is_empty() {
            format.read(&mine, &mut reading);
        }
    }
    for (root, _) in roots.iter().zip(is_known).filter(|(_, is_known)| !is_known) {
        let headers: Vec<String> = ALL
            .iter()
            .map(|format| format!("{} ({})", format.header(), format.name()))
            .collect();
        let message = format!(
            "{} here is no specification of objectives",
            root.described()
        );
        reading.refuse(
            root.place,
            message,
            format!("begin with one of: {}", headers.join("; ")),
        );
    }
    if reading.errors.is_empty() {
        reading.spec.slos.sort_by_key(|slo| slo.place);
        return Ok(reading.spec);
    }
    reading.errors.sort_by_key(|e| e.place);
    Err(reading.errors)
}

/// The fields that any format may have beside its own.
pub(crate) const OWN_FIELDS: [&str; 3] = ["maintenance", "period", "windows"];
/// The beginning of annotations that say the same in resources whose fields are guarded.
const OWN_ANNOTATION: &str = "burnwatch.dev/";

/// What a specification says beyond its own format.
#[derive(Clone, Debug, Default)]
pub(crate) struct Beyond {
    /// The selector of planned maintenance.
    pub maintenance: Option<String>,
    /// The period.
    pub period: Option<crate::model::DurationMs>,
    /// Whether the workbook's windows are asked for.
    pub is_workbook: Option<bool>,
}

impl Beyond {
    /// Reads the fields of a mapping.
    pub(crate) fn read(fields: &Fields<'_>, reading: &mut Reading<'_>) -> Self {
        let maintenance = fields.get("maintenance").and_then(|node| {
            Selector::read(reading, node, &format!("maintenance of {}", fields.about))
        });
        let windows = fields.get("windows");
        let is_workbook = windows.and_then(|node| match node.text() {
            Some("workbook") => Some(true),
            Some("own") => Some(false),
            _ => {
                let message = format!(
                    "{}: windows must be own or workbook, found {}",
                    fields.about,
                    node.described()
                );
                reading.refuse(
                    node.place,
                    message,
                    "own: the tool's windows; workbook: the SRE workbook's",
                );
                None
            }
        });
        Beyond {
            maintenance: maintenance.map(|selector| selector.text()),
            period: fields.duration(reading, "period"),
            is_workbook,
        }
    }

    /// Reads the annotations of a resource.
    pub(crate) fn of_annotations(metadata: &Node, reading: &mut Reading<'_>) -> Self {
        let Some(annotations) = peek(metadata, "annotations") else {
            return Beyond::default();
        };
        let NodeKind::Mapping(pairs) = &annotations.kind else {
            return Beyond::default();
        };
        let own = pairs.iter().filter_map(|(key, value)| {
            let name = key.text()?.strip_prefix(OWN_ANNOTATION)?;
            Some((Rc::new(renamed(key, name)), Rc::clone(value)))
        });
        let own: Vec<_> = own.collect();
        if own.is_empty() {
            return Beyond::default();
        }
        let mapping = Node {
            kind: NodeKind::Mapping(own),
            place: annotations.place,
            n_nodes: annotations.n_nodes,
        };
        match reading.fields(&mapping, "annotations of burnwatch.dev", &OWN_FIELDS) {
            Some(fields) => Beyond::read(&fields, reading),
            None => Beyond::default(),
        }
    }

    /// Returns what is said here, and else there.
    pub(crate) fn or(self, other: &Beyond) -> Beyond {
        Beyond {
            maintenance: self.maintenance.or_else(|| other.maintenance.clone()),
            period: self.period.or(other.period),
            is_workbook: self.is_workbook.or(other.is_workbook),
        }
    }
}

fn renamed(key: &Node, name: &str) -> Node {
    Node {
        kind: NodeKind::Scalar {
            text: name.to_owned(),
            is_text: true,
            begins: 0,
        },
        place: key.place,
        n_nodes: 1,
    }
}

/// Checks an objective in %; says why none of 100 or 0 can be.
pub(crate) fn checked_percent(
    reading: &mut Reading<'_>,
    place: Place,
    about: &str,
    percent: f64,
) -> Option<f64> {
    let wrong = if percent == 100.0 {
        Some((
            "an objective of 100 % leaves no error budget, and burn rates are errors over the budget",
            "say what share may fail, as 99.99; an alert on any error at all is a plain rule",
        ))
    } else if percent == 0.0 {
        Some((
            "an objective of 0 % is met whatever happens: everything may fail",
            "say what share has to be good, as 99.9",
        ))
    } else if !(percent > 0.0 && percent < 100.0) {
        Some((
            "an objective is a share of events in %",
            "write a number between 0 and 100, as 99.9",
        ))
    } else {
        None
    };
    if let Some((why, hint)) = wrong {
        reading.refuse(place, format!("{about}: {why} (found {percent})"), hint);
        return None;
    }
    if percent <= 1.0 {
        reading.note(
            place,
            format!("{about}: an objective of {percent} % is hardly meant: 0.999 is 99.9 in %"),
        );
    }
    Some(percent)
}

/// Checks a period: windows of minutes and hours have to fit into it.
pub(crate) fn checked_period(
    reading: &mut Reading<'_>,
    place: Place,
    about: &str,
    period: Option<crate::model::DurationMs>,
) -> bool {
    const HOUR: crate::model::DurationMs = crate::model::DurationMs::from_seconds(3600);
    let wrong = period.filter(|period| *period < HOUR);
    if let Some(period) = wrong {
        let message =
            format!("{about}: a period of {period} is shorter than any window of an alert");
        reading.refuse(
            place,
            message,
            format!("periods are days: {PERIOD} is usual; `m` is minutes"),
        );
    }
    wrong.is_none()
}

/// Checks a name that becomes a label's value and a part of a group's name.
pub(crate) fn checked_name(
    reading: &mut Reading<'_>,
    place: Place,
    about: &str,
    name: &str,
) -> bool {
    let is_inner = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    let is_edge = |c: char| c.is_ascii_alphanumeric();
    let is_name =
        name.chars().all(is_inner) && name.starts_with(is_edge) && name.ends_with(is_edge);
    if !is_name {
        let message = format!("{about}: {name:?} is no name of a service or an objective");
        let hint = "letters, digits, `-`, `_` and `.`, with a letter or digit at both ends";
        reading.refuse(place, message, hint);
    }
    is_name
}

/// Takes over what is said beyond the format.
pub(crate) fn apply(slo: &mut Slo, beyond: Beyond) {
    slo.maintenance = beyond.maintenance;
    slo.period = beyond.period.or(slo.period);
    slo.is_workbook = beyond.is_workbook.unwrap_or(false);
}
