//! Go's text/template with Prometheus' functions, for labels and annotations.
//!
//! What lives here: parsing and expanding a text. What may not: rules, series, clocks; `query`
//! is answered by whoever expands. Called by the rule loader (parse) and the engine (expand).

mod ast;
mod expand;
mod functions;
mod lex;
mod literal;
mod parse;
mod print;
mod queries;
mod token;
mod uses;
mod value;

pub use functions::names as function_names;
pub use functions::time::duration_text;

use std::rc::Rc;

use crate::model::{Labels, SampleValue, TimestampMs, VectorElement};
use crate::template::functions::Context;
use crate::template::parse::Trees;
use crate::template::value::{Data, GoValue};

/// The longest text that an expansion, or one value within it, may come to; a longer one is an
/// error. Labels hold twice as much at most.
pub const TEXT_BYTES_MAX: usize = 1 << 20;

/// What Prometheus puts before each text, so that positions in errors count from there.
const PRELUDE: &str = "{{$labels := .Labels}}{{$externalLabels := .ExternalLabels}}\
    {{$externalURL := .ExternalURL}}{{$value := .Value}}";

/// A parsed template.
#[derive(Clone, Debug)]
pub struct Template {
    name: String,
    /// The prelude and the text as written.
    text: String,
    trees: Trees,
}

/// What a template may look at.
pub struct TemplateData<'a> {
    /// `$labels`: of the query's result, metric name included where it has one.
    pub labels: &'a Labels,
    /// `$value`.
    pub value: &'a SampleValue,
    /// `$externalLabels`.
    pub external_labels: &'a Labels,
    /// `$externalURL`.
    pub external_url: &'a str,
    /// `now`: the evaluation time, ms.
    pub at: TimestampMs,
}

/// Answers `query "…"`: evaluates the text at the alert's instant, or says why not.
pub type QueryFn<'a> = dyn FnMut(&str) -> Result<Vec<VectorElement>, String> + 'a;

/// Why a template does not parse or expand; the text is Go's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct TemplateError(pub String);

impl Template {
    /// Parses a text; `name` is the template's name in errors (`__alert_<alertname>`).
    pub fn parse(name: &str, text: &str) -> Result<Template, TemplateError> {
        let text = format!("{PRELUDE}{text}");
        let trees = parse::parse(name, &text, &|name| functions::find(name).is_some())?;
        Ok(Template {
            name: name.to_owned(),
            text,
            trees,
        })
    }

    /// Expands the template.
    pub fn expand(
        &self,
        data: &TemplateData<'_>,
        query: &mut QueryFn<'_>,
    ) -> Result<String, TemplateError> {
        let dot = Data {
            labels: data.labels.clone(),
            external_labels: data.external_labels.clone(),
            external_url: data.external_url.into(),
            value: GoValue::from(data.value),
        };
        let context = Context {
            data,
            query,
            n_queries: 0,
        };
        expand::expand(&self.name, &self.text, &self.trees, Rc::new(dot), context).map_err(|e| {
            let name = &self.name;
            TemplateError(format!("error executing template {name}: {e}"))
        })
    }

    /// Expands the template as Prometheus does for an alert: a failure becomes the text
    /// `<error expanding template: …>`.
    pub fn expand_or_error(&self, data: &TemplateData<'_>, query: &mut QueryFn<'_>) -> String {
        self.expand(data, query)
            .unwrap_or_else(|e| format!("<error expanding template: {e}>"))
    }

    /// Returns the texts of all `query` calls with a constant argument: the series they read.
    pub fn constant_queries(&self) -> Vec<String> {
        queries::constant_queries(&self.trees).into_iter().collect()
    }

    /// Returns the names of the labels in `$labels` that the text shows without asking for them
    /// first.
    pub fn shown_labels(&self) -> Vec<String> {
        self.uses().labels.into_iter().collect()
    }

    /// Tells whether the text shows `$value`.
    pub fn shows_value(&self) -> bool {
        self.uses().value
    }

    fn uses(&self) -> uses::Uses {
        let main = self.trees.get(&self.name);
        main.map(uses::uses).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests;
