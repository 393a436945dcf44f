//! Baselines: series frozen into a file, with which distributions and embeddings of later are
//! compared.
//!
//! What lives here: the file's format, read and printed, and which baselines rules ask for that
//! nobody has. What may not: capturing one (`cli`), serving one (`engine`).
//!
//! ```yaml
//! baseline:
//!   captured_at: 2026-11-01T00:00:00Z
//!   from: 7d
//! series:
//!   - 'model_score_bucket:baseline{le="0.5",model="a"} 1200'
//! ```
//!
//! A series stands in one line as in promtool's unit tests, so that a review shows what changes. By
//! custom the name ends in `:baseline`; a rule that reads such a name which no file and no rule
//! gives is told of.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::fmt::Write as _;
use std::sync::Arc;

use crate::model::labels::{is_legacy_metric_name, quote};
use crate::model::{Labels, METRIC_NAME, Matcher, SampleValue, is_stale_nan};
use crate::promql::selectors;
use crate::rule::histogram_notation::print_histogram;
use crate::rule::series_notation::parse_series;
use crate::rule::{RuleError, RuleGroup, RuleKind};
use crate::yaml::{Node, NodeKind, Place, first_document};

/// What names of frozen series end in.
pub const BASELINE_SUFFIX: &str = ":baseline";
/// The series that says which baseline a rule lacks.
pub const BASELINE_MISSING: &str = "burnwatch_baseline_missing";

/// What may be said of a baseline, in the order printed.
pub const ABOUT: [&str; 7] = [
    "captured_at",
    "from",
    "server",
    "selector",
    "expression",
    "versions",
    "note",
];

/// Series that are worth the same whenever they are asked.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Baseline {
    /// What is said of it, as in [`ABOUT`].
    pub about: Vec<(String, String)>,
    /// The series, in the order of the file.
    pub series: Vec<(Labels, SampleValue)>,
}

/// A baseline that a rule reads and nobody gives.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct MissingBaseline {
    /// The metric's name.
    pub name: String,
    /// The rule's file.
    pub file: String,
    /// The rule's group.
    pub group: String,
    /// The rule.
    pub rule: String,
}

impl std::fmt::Display for MissingBaseline {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let MissingBaseline {
            name,
            file,
            group,
            rule,
        } = self;
        write!(
            f,
            "{file}: group {group:?}, rule {rule:?} reads {name}, which no baseline has: capture it \
             with `burnwatch baseline capture` and name the file in baseline_files"
        )
    }
}

impl MissingBaseline {
    /// Returns the series that says so.
    pub fn series(&self) -> (Labels, SampleValue) {
        let pairs = [
            (METRIC_NAME, BASELINE_MISSING),
            ("baseline", &self.name),
            ("file", &self.file),
            ("group", &self.group),
            ("rule", &self.rule),
        ];
        (Labels::from_pairs(pairs), SampleValue::Float(1.0))
    }
}

/// Tells whether a text is a baseline, by its first key.
pub fn is_baseline(text: &str) -> bool {
    let mut lines = text.lines().filter(|line| {
        let line = line.trim();
        !(line.is_empty() || line.starts_with('#') || line == "---")
    });
    lines.next().is_some_and(|line| {
        let rest = line.strip_prefix("baseline:");
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', '\t', '\r', '#']))
    })
}

/// Reads a baseline; returns all errors, not only the first.
///
/// # Errors
/// Says where in the file what is wrong, and what to write there.
pub fn parse_baseline(path: &str, text: &str) -> Result<Baseline, Vec<RuleError>> {
    BaselineReader::default().read(path, text)
}

/// Reads the baselines that are loaded together. A series stands in one of them: of two values
/// nobody could say which is compared with.
#[derive(Debug, Default)]
pub struct BaselineReader {
    /// The series so far, each with the file and the line in which it stands.
    listed: HashMap<Labels, (Arc<str>, usize)>,
}

impl BaselineReader {
    /// Reads one more; returns all errors, not only the first.
    ///
    /// # Errors
    /// Says where in the file what is wrong, and what to write there; of a series that another
    /// file has, where that is.
    pub fn read(&mut self, path: &str, text: &str) -> Result<Baseline, Vec<RuleError>> {
        let mut reading = Reading {
            path: Arc::from(path),
            listed: &mut self.listed,
            baseline: Baseline::default(),
            errors: Vec::new(),
        };
        match first_document(text) {
            Ok(document) => reading.document(&document.root),
            Err(error) => reading.refuse(error.place, error.to_string(), None),
        }
        match reading.errors.is_empty() {
            true => Ok(reading.baseline),
            false => Err(reading.errors),
        }
    }
}

struct Reading<'a> {
    path: Arc<str>,
    listed: &'a mut HashMap<Labels, (Arc<str>, usize)>,
    baseline: Baseline,
    errors: Vec<RuleError>,
}

impl Reading<'_> {
    fn refuse(&mut self, place: Place, message: impl Into<String>, hint: Option<&str>) {
        let hint = hint.map(str::to_owned);
        let error = RuleError::at(&self.path, place, message, hint);
        self.errors.push(error);
    }

    fn document(&mut self, root: &Node) {
        let NodeKind::Mapping(pairs) = &root.kind else {
            let hint = "write `baseline:` and `series:` as its two keys";
            return self.refuse(root.place, "a baseline must be a mapping", Some(hint));
        };
        for (key, value) in pairs {
            match key.text() {
                Some("baseline") => self.about(value),
                Some("series") => self.series(value),
                _ => {
                    let message = format!("field {} is not known", key.described());
                    let hint = "a baseline has `baseline:` and `series:` alone";
                    self.refuse(key.place, message, Some(hint));
                }
            }
        }
        if self.errors.is_empty() && self.baseline.series.is_empty() {
            let hint = "list them under `series:`, or take the file away";
            self.refuse(root.place, "a baseline without series", Some(hint));
        }
    }

    fn about(&mut self, node: &Node) {
        let pairs = match &node.kind {
            NodeKind::Null => return,
            NodeKind::Mapping(pairs) => pairs,
            _ => {
                let message = format!("baseline must be a mapping, found {}", node.described());
                return self.refuse(node.place, message, None);
            }
        };
        for (key, value) in pairs {
            let known = key.text().filter(|name| ABOUT.contains(name));
            match (known, value.text()) {
                (Some(name), Some(text)) => {
                    let pair = (name.to_owned(), text.to_owned());
                    self.baseline.about.push(pair);
                }
                (None, _) => {
                    let message = format!("baseline: field {} is not known", key.described());
                    let hint = format!("known are {}", ABOUT.join(", "));
                    self.refuse(key.place, message, Some(&hint));
                }
                (Some(name), None) => {
                    let message = format!("baseline: {name} must be text");
                    self.refuse(value.place, message, None);
                }
            }
        }
    }

    fn series(&mut self, node: &Node) {
        let items = match &node.kind {
            NodeKind::Null => return,
            NodeKind::Sequence(items) => items,
            _ => {
                let message = format!("series must be a list, found {}", node.described());
                return self.refuse(node.place, message, Some(EXAMPLE));
            }
        };
        self.listed.reserve(items.len());
        for item in items {
            let Some(line) = item.text() else {
                self.refuse(item.place, "a series must be text", Some(EXAMPLE));
                continue;
            };
            match one_series(line) {
                Ok((labels, value)) => match self.listed.entry(labels.clone()) {
                    Entry::Vacant(entry) => {
                        entry.insert((Arc::clone(&self.path), item.place.line));
                        self.baseline.series.push((labels, value));
                    }
                    Entry::Occupied(entry) => {
                        let (path, line) = entry.get();
                        let message = format!("{labels} is listed twice: also at {path}:{line}");
                        self.refuse(item.place, message, Some("leave one of the two out"));
                    }
                },
                Err(message) => self.refuse(item.place, message, Some(EXAMPLE)),
            }
        }
    }
}

const EXAMPLE: &str = "write a series and its value, such as 'x_bucket:baseline{le=\"1\"} 12'";

fn one_series(line: &str) -> Result<(Labels, SampleValue), String> {
    let (labels, values) =
        parse_series(line).map_err(|error| format!("{line:?} is no series: {error}"))?;
    if labels.metric_name().is_empty() {
        return Err(format!("{line:?} has no metric name"));
    }
    match values.as_slice() {
        [Some(SampleValue::Float(value))] if is_stale_nan(*value) => {
            Err(format!("{line:?} has no value"))
        }
        [Some(value)] => Ok((labels, value.clone())),
        values => Err(format!("{line:?} has {} values, not one", values.len())),
    }
}

/// Prints a baseline as it is read, one series a line; `header` becomes the comment on top.
pub fn print_baseline(header: &str, baseline: &Baseline) -> String {
    let mut text = String::new();
    for line in header.lines() {
        let _ = writeln!(text, "# {line}");
    }
    text.push_str("baseline:\n");
    for (name, value) in &baseline.about {
        let _ = writeln!(text, "  {name}: {}", quoted(value));
    }
    text.push_str("series:\n");
    for (labels, value) in &baseline.series {
        let value = match value {
            SampleValue::Float(value) => crate::model::float::format_general(*value),
            SampleValue::Histogram(histogram) => print_histogram(histogram),
        };
        let _ = writeln!(
            text,
            "  - {}",
            quoted(&format!("{} {value}", printed(labels)))
        );
    }
    text
}

/// Prints a series as PromQL has it.
fn printed(labels: &Labels) -> String {
    let name = labels.metric_name();
    let is_plain = is_legacy_metric_name(name);
    let own = labels.iter().filter(|(label, _)| *label != METRIC_NAME);
    let own = own.map(|(label, value)| {
        let is_plain = crate::model::labels::is_legacy_label_name(label);
        let label = if is_plain {
            label.to_owned()
        } else {
            quote(label)
        };
        format!("{label}={}", quote(value))
    });
    let quoted_name = (!is_plain).then(|| quote(name));
    let inside: Vec<String> = quoted_name.into_iter().chain(own).collect();
    match is_plain {
        true => format!("{name}{{{}}}", inside.join(",")),
        false => format!("{{{}}}", inside.join(",")),
    }
}

/// Quotes a text as YAML takes it whatever is in it.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// Finds the baselines that rules ask for by name and neither a file nor a rule gives.
pub fn missing_baselines<'a>(
    groups: &[RuleGroup],
    given: impl Iterator<Item = &'a Baseline>,
) -> Vec<MissingBaseline> {
    let mut known: HashSet<&str> = given
        .flat_map(|baseline| &baseline.series)
        .map(|(labels, _)| labels.metric_name())
        .collect();
    let rules = || {
        groups
            .iter()
            .flat_map(|group| group.rules.iter().map(move |rule| (group, rule)))
    };
    let recording = rules().filter(|(_, rule)| matches!(rule.kind, RuleKind::Recording));
    known.extend(recording.map(|(_, rule)| rule.name.as_str()));
    let mut missing: Vec<MissingBaseline> = Vec::new();
    for (group, rule) in rules() {
        for used in selectors(&rule.expr) {
            let name = Matcher::exact_name(&used.matchers);
            let name = name.filter(|name| name.ends_with(BASELINE_SUFFIX) && !known.contains(name));
            missing.extend(name.map(|name| MissingBaseline {
                name: name.to_owned(),
                file: group.file.clone(),
                group: group.name.clone(),
                rule: rule.name.clone(),
            }));
        }
    }
    missing.sort();
    missing.dedup();
    missing
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r#"# Frozen.
baseline:
  captured_at: '2026-11-01T00:00:00Z'
  note: 'it''s reviewed'
series:
  - 'score_bucket:baseline{le="+Inf",model="a b"} 12.5'
  - '{"a name:baseline","its label"="x"} 1e+20'
  - 'latency:baseline{} {{count:4 sum:5 buckets:[1 2 1]}}'
"#;

    #[test]
    fn what_is_printed_is_read_again() {
        assert!(is_baseline(TEXT));
        assert!(!is_baseline("groups: []\n"));
        assert!(!is_baseline("baseline_files: []\n"));
        let read = parse_baseline("b.yml", TEXT).expect("a baseline");
        assert_eq!(read.series.len(), 3);
        assert_eq!(print_baseline("Frozen.", &read), TEXT);
    }

    #[test]
    fn a_series_stands_in_one_of_the_files() {
        let mut reader = BaselineReader::default();
        let first =
            "baseline:\nseries:\n- 'x:baseline{model=\"a\"} 1'\n- 'x:baseline{model=\"b\"} 1'\n";
        reader.read("a.yml", first).expect("a baseline");
        let other = "baseline:\nseries: ['x:baseline{model=\"c\"} 1']\n";
        reader.read("c.yml", other).expect("another model's");
        // The same value or another: no two files may say it.
        let again = "baseline:\nseries:\n- 'x:baseline{model=\"b\"} 1'\n";
        let errors = reader.read("b.yml", again).expect_err("it is there");
        let told: Vec<String> = errors.iter().map(ToString::to_string).collect();
        assert_eq!(
            told,
            ["b.yml:3:3: x:baseline{model=\"b\"} is listed twice: also at a.yml:4"]
        );
    }

    #[test]
    fn what_is_wrong_is_told_with_its_place() {
        let check = |text: &str, expected: &[&str]| {
            let errors = parse_baseline("b.yml", text).expect_err(text);
            let told: Vec<String> = errors
                .iter()
                .map(|error| format!("{}:{} {}", error.line, error.column, error.message))
                .collect();
            assert_eq!(told, expected, "{text}");
        };
        check("baseline:\nseries:\n", &["1:1 a baseline without series"]);
        check(
            "baseline: {auther: me}\nseries: [x 1, x 1]\n",
            &[
                "1:12 baseline: field `auther` is not known",
                "2:15 x is listed twice: also at b.yml:2",
            ],
        );
        let text = "baseline:\nseries: ['x{', '{a=\"b\"} 1', x 1 2, x stale]\n";
        assert_eq!(parse_baseline("b.yml", text).expect_err(text).len(), 4);
    }
}
