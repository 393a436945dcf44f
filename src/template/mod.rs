//! Go's text/template with Prometheus' functions, for labels and annotations.
//!
//! What lives here: parsing and expanding a text. What may not: rules, series, clocks; `query`
//! is answered by whoever expands. Called by the rule loader (parse) and the engine (expand).

use crate::model::{Labels, SampleValue, TimestampMs, VectorElement};

/// A parsed template.
#[derive(Clone, Debug)]
pub struct Template;

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
    pub fn parse(_name: &str, _text: &str) -> Result<Template, TemplateError> {
        unimplemented!("the template's own change")
    }

    /// Expands the template.
    pub fn expand(
        &self,
        _data: &TemplateData<'_>,
        _query: &mut QueryFn<'_>,
    ) -> Result<String, TemplateError> {
        unimplemented!("the template's own change")
    }

    /// Expands the template as Prometheus does for an alert: a failure becomes the text
    /// `<error expanding template: …>`.
    pub fn expand_or_error(&self, data: &TemplateData<'_>, query: &mut QueryFn<'_>) -> String {
        self.expand(data, query)
            .unwrap_or_else(|e| format!("<error expanding template: {e}>"))
    }

    /// Returns the texts of all `query` calls with a constant argument: the series they read.
    pub fn constant_queries(&self) -> Vec<String> {
        unimplemented!("the template's own change")
    }
}
