//! How rule files are to be read: whose dialect, which names are valid, what to pass over.

use std::fmt;
use std::str::FromStr;

use crate::model::labels::{is_legacy_label_name, is_legacy_metric_name};

/// How rule files are to be read; the default is Prometheus' own way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RuleFormat {
    /// Whose fields are known beside Prometheus' own.
    pub dialect: Dialect,
    /// Which names rules may give to labels, annotations and series.
    pub names: NameValidation,
    /// Whether unknown fields are passed over, as `promtool --ignore-unknown-fields` does.
    pub ignore_unknown_fields: bool,
}

/// The evaluator that rule files were written for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Dialect {
    /// Prometheus.
    #[default]
    Prometheus,
    /// Thanos' ruler.
    Thanos,
    /// Mimir's and Cortex' rulers.
    Mimir,
    /// vmalert.
    Vmalert,
}

impl Dialect {
    /// All of them.
    pub const ALL: [Dialect; 4] = [
        Dialect::Prometheus,
        Dialect::Thanos,
        Dialect::Mimir,
        Dialect::Vmalert,
    ];

    /// Returns its name as `--rules.dialect` takes it.
    pub fn name(self) -> &'static str {
        match self {
            Dialect::Prometheus => "prometheus",
            Dialect::Thanos => "thanos",
            Dialect::Mimir => "mimir",
            Dialect::Vmalert => "vmalert",
        }
    }
}

impl fmt::Display for Dialect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A name that is no dialect's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no dialect of rule files; there are prometheus, thanos, mimir and vmalert")]
pub struct UnknownDialect(pub String);

impl FromStr for Dialect {
    type Err = UnknownDialect;

    fn from_str(text: &str) -> Result<Self, UnknownDialect> {
        let found = Dialect::ALL
            .into_iter()
            .find(|dialect| dialect.name() == text);
        found.ok_or_else(|| UnknownDialect(text.to_owned()))
    }
}

/// Which names are valid: Prometheus' `metric_name_validation_scheme`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum NameValidation {
    /// Any text that is not empty.
    #[default]
    Utf8,
    /// `[a-zA-Z_][a-zA-Z0-9_]*`, in names of metrics `:` too.
    Legacy,
}

impl NameValidation {
    /// Tells whether `name` is a valid label name.
    pub fn is_label_name(self, name: &str) -> bool {
        match self {
            NameValidation::Utf8 => !name.is_empty(),
            NameValidation::Legacy => is_legacy_label_name(name),
        }
    }

    /// Tells whether `name` is a valid metric name.
    pub fn is_metric_name(self, name: &str) -> bool {
        match self {
            NameValidation::Utf8 => !name.is_empty(),
            NameValidation::Legacy => is_legacy_metric_name(name),
        }
    }
}

impl fmt::Display for NameValidation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            NameValidation::Utf8 => "utf8",
            NameValidation::Legacy => "legacy",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_dialect_is_found_by_its_name() {
        for dialect in Dialect::ALL {
            assert_eq!(dialect.to_string().parse(), Ok(dialect));
        }
        let error = "Thanos".parse::<Dialect>().unwrap_err().to_string();
        assert!(
            error.contains("\"Thanos\"") && error.contains("vmalert"),
            "{error}"
        );
    }

    #[test]
    fn legacy_names_are_ascii_words() {
        let check = |name: &str, label: bool, metric: bool| {
            assert_eq!(NameValidation::Legacy.is_label_name(name), label, "{name}");
            assert_eq!(
                NameValidation::Legacy.is_metric_name(name),
                metric,
                "{name}"
            );
            assert_eq!(NameValidation::Utf8.is_label_name(name), !name.is_empty());
            assert_eq!(NameValidation::Utf8.is_metric_name(name), !name.is_empty());
        };
        check("a_1", true, true);
        check("job:up:sum", false, true);
        check("a-b", false, false);
        check("1a", false, false);
        check("é", false, false);
        check("", false, false);
    }
}
