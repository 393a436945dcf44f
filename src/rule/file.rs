//! A rule file, read whole: its groups, or everything that is wrong with it.
//!
//! What is accepted and what is refused is Prometheus' (recorded verdicts in
//! `tests/data/rulecheck.jsonl` decide), and so are the words for it. What Prometheus leaves
//! out is added: the place where it only says `0:0`, all errors where it stops at the first,
//! and a hint where we know the remedy.

use std::collections::HashMap;

use crate::promql::SignatureTable;
use crate::rule::group::read_group;
use crate::rule::hint::{self, Level};
use crate::rule::objectives::parse_objectives;
use crate::rule::{ParseOptions, ParsedFile, RuleError, RuleNote};
use crate::rule::{dialect, kubernetes};
use crate::slo;
use crate::yaml::{Document, Node, NodeKind, Place, YamlError, all_documents, first_document};

/// Parses one rule file; returns all errors, not only the first, by line.
///
/// `path` is only written into groups and errors. Of several YAML documents the first is read
/// and a warning says so; a text without any is a file without groups. A specification of service
/// level objectives is compiled to rules first.
///
/// # Errors
/// Returns everything that keeps Prometheus from loading the file.
pub fn parse_file(
    path: &str,
    text: &str,
    functions: &dyn SignatureTable,
    options: impl Into<ParseOptions>,
) -> Result<ParsedFile, Vec<RuleError>> {
    let options: ParseOptions = options.into();
    let documents = read_documents(text).map_err(|e| {
        let hint = hint::for_yaml(text, e.place);
        vec![RuleError::at(path, e.place, e.to_string(), Some(hint))]
    })?;
    if slo::is_spec(&documents[0].root) {
        return parse_objectives(path, text, functions, options);
    }
    let mut reading = Reading {
        path,
        group_file: path.to_owned(),
        is_resource: false,
        document: &documents[0],
        functions,
        options,
        errors: Vec::new(),
        warnings: Vec::new(),
        notes: Vec::new(),
    };
    let mut parsed = ParsedFile::default();
    if kubernetes::is_resource(&documents[0].root) {
        kubernetes::read_resources(&mut reading, &documents, &mut parsed);
    } else {
        read_document(&mut reading, &mut parsed);
    }
    if reading.errors.is_empty() {
        parsed.warnings = reading.warnings;
        parsed.notes = reading.notes;
        return Ok(parsed);
    }
    reading.errors.sort_by_key(|e| (e.line, e.column));
    Err(reading.errors)
}

/// Reads the first document, or all where the first is a resource of Kubernetes.
fn read_documents(text: &str) -> Result<Vec<Document>, YamlError> {
    let first = first_document(text)?;
    match first.more && kubernetes::is_resource(&first.root) {
        true => all_documents(text),
        false => Ok(vec![first]),
    }
}

/// The file being read and what has been found wrong with it.
pub(crate) struct Reading<'a> {
    pub path: &'a str,
    /// What the groups call their file: the path, or a resource in it.
    pub group_file: String,
    /// Whether the groups are those of a resource of Kubernetes.
    pub is_resource: bool,
    pub document: &'a Document,
    pub functions: &'a dyn SignatureTable,
    pub options: ParseOptions,
    pub errors: Vec<RuleError>,
    pub warnings: Vec<String>,
    pub notes: Vec<RuleNote>,
}

impl Reading<'_> {
    /// Notes an error and goes on.
    pub(crate) fn refuse(
        &mut self,
        place: Place,
        message: impl Into<String>,
        hint: Option<String>,
    ) {
        let error = RuleError::at(self.path, place, message, hint);
        self.errors.push(error);
    }

    /// Notes repeated keys and wrong merges of the document.
    pub(crate) fn refuse_problems(&mut self) {
        for problem in &self.document.problems {
            let hint = hint::for_problem(&problem.kind);
            self.refuse(problem.place, problem.to_string(), Some(hint));
        }
    }
}

fn read_document(reading: &mut Reading<'_>, parsed: &mut ParsedFile) {
    let document = reading.document;
    if document.more {
        reading.warnings.push(
            "Multiple document yaml rules files are not supported, only the first document is \
             processed"
                .to_owned(),
        );
    }
    let root = &document.root;
    let pairs = match &root.kind {
        NodeKind::Null => return,
        NodeKind::Mapping(pairs) => pairs,
        _ => {
            let message = format!("a rule file is a mapping, found {}", root.described());
            let hint = "write `groups:` with a list of rule groups below it".to_owned();
            return reading.refuse(root.place, message, Some(hint));
        }
    };
    reading.refuse_problems();
    for (key, value) in pairs {
        match key.text() {
            Some("groups") => read_groups(reading, value, parsed),
            Some(_) if dialect::take(reading, Level::File, key, value, "") => {}
            Some(_) if reading.options.format.ignore_unknown_fields => {}
            Some(name) => {
                let message = format!("field {name} not found in rule file");
                let hint = hint::unknown_field(Level::File, name, value);
                reading.refuse(key.place, message, Some(hint));
            }
            None if key.is_null() => {}
            None => {
                let message = format!("a field name must be text, found {}", key.described());
                reading.refuse(key.place, message, hint::for_no_text(key));
            }
        }
    }
}

pub(crate) fn read_groups(reading: &mut Reading<'_>, node: &Node, parsed: &mut ParsedFile) {
    let items = match &node.kind {
        NodeKind::Null => return,
        NodeKind::Sequence(items) => items,
        _ => {
            let message = format!("field 'groups' must be a list, found {}", node.described());
            let hint = "each group is an item: `- name: …` with `rules:`".to_owned();
            return reading.refuse(node.place, message, Some(hint));
        }
    };
    let mut names = HashMap::new();
    for item in items {
        // A null item is skipped, as Prometheus' decoder does.
        if !item.is_null()
            && let Some(group) = read_group(reading, item, &mut names)
        {
            parsed.groups.push(group);
        }
    }
}
