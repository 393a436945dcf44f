//! The fields of a specification's mappings: which are known, and how each kind of value is read.
//!
//! What is wrong is noted with its place and a remedy, and reading goes on.

use std::collections::BTreeMap;
use std::rc::Rc;

use crate::model::DurationMs;
use crate::model::spelling::nearest;
use crate::slo::objective::Slo;
use crate::slo::{Language, Spec, SpecError, SpecNote};
use crate::yaml::{Node, NodeKind, Place};

/// A file being read, and what has been found so far.
pub(crate) struct Reading<'a> {
    pub language: Language<'a>,
    pub spec: Spec,
    pub errors: Vec<SpecError>,
}

/// The fields of one mapping.
pub(crate) struct Fields<'n> {
    /// What the mapping is, in words.
    pub about: String,
    pub place: Place,
    pairs: Vec<(&'n str, &'n Rc<Node>)>,
}

/// How a reader of a format asks for fields.
pub(crate) trait SpecReader {
    /// Notes an error and goes on.
    fn refuse(&mut self, place: Place, message: impl Into<String>, hint: impl Into<String>);
    /// Notes something worth knowing.
    fn note(&mut self, place: Place, message: impl Into<String>);
    /// Returns the fields of a mapping; notes those that are not known.
    fn fields<'n>(&mut self, node: &'n Node, about: &str, known: &[&str]) -> Option<Fields<'n>>;
    /// Adds an objective.
    fn add(&mut self, slo: Slo);
}

impl SpecReader for Reading<'_> {
    fn refuse(&mut self, place: Place, message: impl Into<String>, hint: impl Into<String>) {
        self.errors.push(SpecError {
            place,
            message: message.into(),
            hint: Some(hint.into()),
        });
    }

    fn note(&mut self, place: Place, message: impl Into<String>) {
        let message = message.into();
        self.spec.notes.push(SpecNote { place, message });
    }

    fn fields<'n>(&mut self, node: &'n Node, about: &str, known: &[&str]) -> Option<Fields<'n>> {
        let found = mapping(self, node, about)?;
        let mut pairs = Vec::with_capacity(found.len());
        for (key, value) in found {
            match key.text() {
                Some(name) if known.contains(&name) => pairs.push((name, value)),
                Some(name) => {
                    let hint = match nearest(name, known.iter().copied()) {
                        Some(near) => format!("did you mean `{near}`?"),
                        None => format!("its fields are {}", known.join(", ")),
                    };
                    self.refuse(
                        key.place,
                        format!("field {name} not found in {about}"),
                        hint,
                    );
                }
                None if key.is_null() => {}
                None => {
                    let message = format!(
                        "{about}: a field name must be text, found {}",
                        key.described()
                    );
                    self.refuse(key.place, message, "write `name: value`");
                }
            }
        }
        Some(Fields {
            about: about.to_owned(),
            place: node.place,
            pairs,
        })
    }

    fn add(&mut self, slo: Slo) {
        let twin = self
            .spec
            .slos
            .iter()
            .find(|other| other.service == slo.service && other.name == slo.name);
        if let Some(twin) = twin {
            let (line, place) = (twin.place.line, slo.place);
            let message = format!(
                "service {:?} has two objectives named {:?}, the first at line {line}",
                slo.service, slo.name
            );
            return self.refuse(
                place,
                message,
                "their rules would be the same series; give one another name",
            );
        }
        self.spec.slos.push(slo);
    }
}

/// Returns the pairs of a mapping; notes what is none.
pub(crate) fn mapping<'n>(
    reading: &mut Reading<'_>,
    node: &'n Node,
    about: &str,
) -> Option<&'n [(Rc<Node>, Rc<Node>)]> {
    match &node.kind {
        NodeKind::Mapping(pairs) => Some(pairs),
        _ => {
            let message = format!("{about} must be a mapping, found {}", node.described());
            reading.refuse(
                node.place,
                message,
                "write its fields below each other, as `name: value`",
            );
            None
        }
    }
}

/// Returns a field of a node that has not been checked.
pub(crate) fn peek<'n>(node: &'n Node, field: &str) -> Option<&'n Rc<Node>> {
    let NodeKind::Mapping(pairs) = &node.kind else {
        return None;
    };
    let found = pairs.iter().find(|(key, _)| key.text() == Some(field));
    found.map(|(_, value)| value)
}

/// Returns the text of a field of a node that has not been checked.
pub(crate) fn peek_text<'n>(node: &'n Node, field: &str) -> Option<&'n str> {
    peek(node, field).and_then(|node| node.text())
}

impl<'n> Fields<'n> {
    /// Returns a field that is there and not null.
    pub(crate) fn get(&self, name: &str) -> Option<&'n Rc<Node>> {
        let found = self.pairs.iter().find(|(known, _)| *known == name);
        found.map(|(_, node)| *node).filter(|node| !node.is_null())
    }

    /// Returns the fields but for one.
    pub(crate) fn without(&self, name: &str) -> Fields<'n> {
        let pairs = self.pairs.iter().filter(|(known, _)| *known != name);
        Fields {
            about: self.about.clone(),
            place: self.place,
            pairs: pairs.copied().collect(),
        }
    }

    /// Returns the first of several spellings of a field.
    pub(crate) fn any(&self, names: &[&str]) -> Option<&'n Rc<Node>> {
        names.iter().find_map(|name| self.get(name))
    }

    /// Returns a field that must be there.
    pub(crate) fn required(&self, reading: &mut Reading<'_>, name: &str) -> Option<&'n Rc<Node>> {
        let found = self.get(name);
        if found.is_none() {
            let message = format!("{} has no {name}", self.about);
            reading.refuse(self.place, message, format!("write `{name}:`"));
        }
        found
    }

    /// Returns the text of a scalar.
    pub(crate) fn text(&self, reading: &mut Reading<'_>, name: &str) -> Option<String> {
        self.get(name)
            .and_then(|node| text_of(reading, node, name, &self.about))
    }

    /// Returns a text that must be there and not empty.
    pub(crate) fn required_text(&self, reading: &mut Reading<'_>, name: &str) -> Option<String> {
        let node = self.required(reading, name)?;
        let text = text_of(reading, node, name, &self.about)?;
        if text.trim().is_empty() {
            let message = format!("{}: {name} is empty", self.about);
            reading.refuse(node.place, message, format!("say the {name}"));
            return None;
        }
        Some(text)
    }

    /// Returns a number that must be there.
    pub(crate) fn required_number(&self, reading: &mut Reading<'_>, name: &str) -> Option<f64> {
        self.required(reading, name)?;
        self.number(reading, name)
    }

    /// Returns a number.
    pub(crate) fn number(&self, reading: &mut Reading<'_>, name: &str) -> Option<f64> {
        let node = self.get(name)?;
        let number = node.text().and_then(|text| text.trim().parse::<f64>().ok());
        let number = number.filter(|number| number.is_finite());
        if number.is_none() {
            let message = format!(
                "{}: {name} must be a number, found {}",
                self.about,
                node.described()
            );
            reading.refuse(
                node.place,
                message,
                format!("write `{name}: 99.9`, without a unit"),
            );
        }
        number
    }

    /// Returns a duration that must be there.
    pub(crate) fn required_duration(
        &self,
        reading: &mut Reading<'_>,
        name: &str,
    ) -> Option<DurationMs> {
        self.required(reading, name)?;
        self.duration(reading, name)
    }

    /// Returns a duration of more than nothing.
    pub(crate) fn duration(&self, reading: &mut Reading<'_>, name: &str) -> Option<DurationMs> {
        let node = self.get(name)?;
        let why = match node.text().map(|text| DurationMs::parse(text.trim())) {
            Some(Ok(duration)) if duration > DurationMs::ZERO => return Some(duration),
            Some(Ok(_)) => "must be more than nothing".to_owned(),
            Some(Err(e)) => format!("is no duration: {e}"),
            None => format!("must be a duration, found {}", node.described()),
        };
        let message = format!("{}: {name} {why}", self.about);
        reading.refuse(
            node.place,
            message,
            "write a number with a unit, such as 30d, 6h or 5m",
        );
        None
    }

    /// Tells whether a switch is on.
    pub(crate) fn flag(&self, reading: &mut Reading<'_>, name: &str) -> Option<bool> {
        let node = self.get(name)?;
        match node.text() {
            Some("true") => Some(true),
            Some("false") => Some(false),
            _ => {
                let message = format!(
                    "{}: {name} must be true or false, found {}",
                    self.about,
                    node.described()
                );
                reading.refuse(node.place, message, format!("write `{name}: true`"));
                None
            }
        }
    }

    /// Returns a mapping of texts; numbers and truth values are texts as written.
    pub(crate) fn texts(&self, reading: &mut Reading<'_>, name: &str) -> BTreeMap<String, String> {
        let mut texts = BTreeMap::new();
        let Some(node) = self.get(name) else {
            return texts;
        };
        let about = format!("{name} of {}", self.about);
        for (key, value) in mapping(reading, node, &about).unwrap_or_default() {
            if let Some(name) = text_of(reading, key, "a name", &about) {
                let value = match value.is_null() {
                    true => Some(String::new()),
                    false => text_of(reading, value, &name, &about),
                };
                texts.extend(value.map(|value| (name, value)));
            }
        }
        texts
    }

    /// Returns the items of a list.
    pub(crate) fn list(&self, reading: &mut Reading<'_>, name: &str) -> &'n [Rc<Node>] {
        let Some(node) = self.get(name) else {
            return &[];
        };
        match &node.kind {
            NodeKind::Sequence(items) => items,
            _ => {
                let message = format!(
                    "{}: {name} must be a list, found {}",
                    self.about,
                    node.described()
                );
                reading.refuse(
                    node.place,
                    message,
                    "write one item a line, with `- ` before it",
                );
                &[]
            }
        }
    }

    /// Returns the texts of a list.
    pub(crate) fn words(&self, reading: &mut Reading<'_>, name: &str) -> Vec<String> {
        let about = format!("{name} of {}", self.about);
        let items = self.list(reading, name).iter();
        items
            .filter_map(|item| text_of(reading, item, "an item", &about))
            .collect()
    }

    /// Returns labels; notes names that no label can have.
    pub(crate) fn labels(&self, reading: &mut Reading<'_>, name: &str) -> BTreeMap<String, String> {
        let labels = self.texts(reading, name);
        for label in labels.keys() {
            // Whether others than Prometheus 2 knows are valid is told when the rules are loaded.
            if label.is_empty() || label.starts_with("__") {
                let place = self.get(name).map_or(self.place, |node| node.place);
                let message = format!("{name} of {}: {label:?} is no name of a label", self.about);
                let hint = "names that begin with __ are Prometheus' own; write another";
                reading.refuse(place, message, hint);
            }
        }
        labels
    }
}

fn text_of(reading: &mut Reading<'_>, node: &Node, name: &str, about: &str) -> Option<String> {
    if let Some(text) = node.text() {
        return Some(text.to_owned());
    }
    let message = format!("{about}: {name} must be text, found {}", node.described());
    reading.refuse(
        node.place,
        message,
        "write it on one line, in quotes if it has a colon",
    );
    None
}
