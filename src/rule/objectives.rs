//! Specifications of service level objectives where a rule file may stand: compiled when they are
//! loaded, with the windows of the tool that each was written for.
//!
//! Rules and errors have the place of the objective that they are made of, for the text between
//! is nobody's file.

use crate::promql::SignatureTable;
use crate::rule::file::parse_file;
use crate::rule::{ParseOptions, ParsedFile, RuleError, RuleNote};
use crate::slo::{self, Language, Layout, Options};
use crate::yaml::Place;

/// Compiles the objectives of a file to groups of rules.
///
/// # Errors
/// Returns everything that is wrong with the specification.
pub(crate) fn parse_objectives(
    path: &str,
    text: &str,
    functions: &dyn SignatureTable,
    options: ParseOptions,
) -> Result<ParsedFile, Vec<RuleError>> {
    let language = Language {
        functions,
        features: options.features,
    };
    let spec = slo::read(text, language).map_err(|errors| {
        let errors = errors.into_iter();
        let of_file =
            |error: slo::SpecError| RuleError::at(path, error.place, error.message, error.hint);
        errors.map(of_file).collect::<Vec<_>>()
    })?;
    let compiled = slo::compile(&spec, &Options::default());
    let mut groups = Vec::new();
    let mut places: Vec<Place> = Vec::new();
    for (slo, compiled) in spec.slos.iter().zip(compiled.slos) {
        places.extend(compiled.groups.iter().map(|_| slo.place));
        groups.extend(compiled.groups);
    }
    let (rules, begins) = slo::to_yaml(&groups, Layout::RuleFile, "", "");
    let place_of_line = |line: usize| {
        let idx = begins.partition_point(|begin| *begin <= line);
        places
            .get(idx.saturating_sub(1))
            .copied()
            .unwrap_or_default()
    };
    let mut parsed = parse_file(path, &rules, functions, options).map_err(|errors| {
        let errors = errors.into_iter();
        let of_objective = |error: RuleError| {
            let place = place_of_line(error.line);
            RuleError::at(path, place, error.message, error.hint)
        };
        errors.map(of_objective).collect::<Vec<_>>()
    })?;
    for (group, place) in parsed.groups.iter_mut().zip(&places) {
        for rule in &mut group.rules {
            (rule.line, rule.column) = (place.line, place.column);
        }
    }
    let notes = compiled.notes.into_iter().map(|note| RuleNote {
        file: path.to_owned(),
        line: note.place.line,
        column: note.place.column,
        message: note.message,
    });
    parsed.notes.extend(notes);
    Ok(parsed)
}
