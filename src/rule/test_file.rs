//! Unit tests of rules in promtool's format, read whole: what is wrong is told with its place.
//!
//! Series, labels and histograms are parsed here, so that running a test cannot fail for how it
//! is written; expressions are kept as text, for whether they parse is a test's result.

use crate::model::labels::quote;
use crate::model::{DurationMs, FloatHistogram, Labels, TimestampMs};
use crate::rule::RuleError;
use crate::rule::histogram_notation::parse_histogram;
use crate::rule::series_notation::{NotationError, SequenceValue, parse_metric, parse_series};
use crate::rule::test_fields::Reading;
use crate::yaml::{Node, NodeKind, Place, first_document};

/// A unit test file.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TestFile {
    /// Glob patterns of rule files, relative to the test file.
    pub rule_files: Vec<String>,
    /// How often all groups are evaluated.
    pub evaluation_interval: DurationMs,
    /// Names of groups that are evaluated before the others, in this order.
    pub group_eval_order: Vec<String>,
    /// Whether expected floats may be off by one step.
    pub fuzzy_compare: bool,
    /// The tests.
    pub tests: Vec<TestCase>,
}

/// One item of `tests`: series, and what is expected of the rules over them.
#[derive(Clone, Debug, PartialEq)]
pub struct TestCase {
    /// Its name; empty where it has none.
    pub name: String,
    /// The distance of the values of `input_series`.
    pub interval: DurationMs,
    /// The time of the first value and of the first evaluation.
    pub start: TimestampMs,
    /// The series; of two with equal labels the later holds.
    pub input_series: Vec<InputSeries>,
    /// Why the series cannot be read; then the test fails, and the others of the file still run.
    pub series_error: Option<RuleError>,
    /// What is to fire.
    pub alert_tests: Vec<AlertTest>,
    /// Which of these names no alert; then the test fails.
    pub alert_error: Option<RuleError>,
    /// What expressions are to return.
    pub expr_tests: Vec<ExprTest>,
    /// `$externalLabels`
    pub external_labels: Labels,
    /// `$externalURL`
    pub external_url: String,
}

/// One series and its values, one each `interval`.
#[derive(Clone, Debug, PartialEq)]
pub struct InputSeries {
    /// Its labels.
    pub labels: Labels,
    /// Its values, `None` where nothing was sent.
    pub values: Vec<SequenceValue>,
}

/// Which alerts of a name fire at an instant.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AlertTest {
    /// The instant, from the start.
    pub eval_time: DurationMs,
    /// The alerts' name.
    pub alertname: String,
    /// All that fire; none means that nothing does.
    pub expected: Vec<ExpectedAlert>,
}

/// Names and texts as written, sorted by name; an empty text is kept, for it is no label and so
/// will not be found.
pub type Texts = Vec<(String, String)>;

/// An alert that is to fire.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExpectedAlert {
    /// Its labels but for `alertname`.
    pub labels: Texts,
    /// Its annotations.
    pub annotations: Texts,
}

/// What an expression returns at an instant.
#[derive(Clone, Debug, PartialEq)]
pub struct ExprTest {
    /// The expression as written.
    pub expr: String,
    /// The instant, from the start.
    pub eval_time: DurationMs,
    /// All samples, or why one of them cannot be read.
    pub expected: Result<Vec<ExpectedSample>, String>,
}

/// A sample that an expression is to return.
#[derive(Clone, Debug, PartialEq)]
pub struct ExpectedSample {
    /// Its labels.
    pub labels: Labels,
    /// Its value, where it is no histogram.
    pub value: f64,
    /// Its histogram.
    pub histogram: Option<FloatHistogram>,
}

/// How often groups are evaluated where a test file does not say.
const EVALUATION_INTERVAL: DurationMs = DurationMs::from_seconds(60);

/// Parses a test file; `path` is only written into errors.
///
/// # Errors
/// Returns everything that is wrong with it, by line. Unknown fields are errors.
pub fn parse_test_file(path: &str, text: &str) -> Result<TestFile, Vec<RuleError>> {
    parse_test_file_with(path, text, false)
}

/// As [`parse_test_file`], but passes over fields that it does not know where that is asked for.
///
/// # Errors
/// As [`parse_test_file`].
pub fn parse_test_file_with(
    path: &str,
    text: &str,
    ignore_unknown_fields: bool,
) -> Result<TestFile, Vec<RuleError>> {
    let mut reading = Reading {
        path,
        ignore_unknown_fields,
        errors: Vec::new(),
    };
    let mut file = TestFile::default();
    match first_document(text) {
        Ok(document) => {
            for problem in &document.problems {
                reading.refuse(problem.place, problem.to_string(), None);
            }
            file = reading.file(&document.root);
        }
        Err(e) => reading.refuse(e.place, e.to_string(), None),
    }
    if reading.errors.is_empty() {
        return Ok(file);
    }
    reading.errors.sort_by_key(|e| (e.line, e.column));
    Err(reading.errors)
}

impl Reading<'_> {
    fn file(&mut self, node: &Node) -> TestFile {
        const KNOWN: [&str; 5] = [
            "rule_files",
            "evaluation_interval",
            "group_eval_order",
            "tests",
            "fuzzy_compare",
        ];
        let fields = self.fields(node, &KNOWN, "unit test file");
        let or_default = |interval| match interval {
            DurationMs::ZERO => EVALUATION_INTERVAL,
            interval => interval,
        };
        let evaluation_interval = or_default(self.duration(&fields, "evaluation_interval"));
        let file = TestFile {
            rule_files: self.texts(&fields, "rule_files"),
            evaluation_interval,
            group_eval_order: self.texts(&fields, "group_eval_order"),
            fuzzy_compare: self.boolean(&fields, "fuzzy_compare"),
            tests: self.items(&fields, "tests", |reading, node| {
                reading.test(node, evaluation_interval)
            }),
        };
        for (idx, name) in file.group_eval_order.iter().enumerate() {
            if file.group_eval_order[..idx].contains(name) {
                let place = fields.get("group_eval_order").map(|node| node.place);
                let message = format!("group name repeated in evaluation order: {name}");
                self.refuse(place.unwrap_or_default(), message, None);
            }
        }
        file
    }

    fn test(&mut self, node: &Node, evaluation_interval: DurationMs) -> TestCase {
        const KNOWN: [&str; 8] = [
            "name",
            "interval",
            "start_timestamp",
            "input_series",
            "alert_rule_test",
            "promql_expr_test",
            "external_labels",
            "external_url",
        ];
        let fields = self.fields(node, &KNOWN, "test");
        let interval = match self.duration(&fields, "interval") {
            DurationMs::ZERO => evaluation_interval,
            interval => interval,
        };
        let name = self.text(&fields, "name");
        let written = self.items(&fields, "input_series", Reading::series);
        let mut input_series: Vec<InputSeries> = Vec::new();
        let mut series_error = None;
        for lines in written {
            match lines.read(self.path) {
                Ok(Some(series)) => {
                    // promtool keeps the later of two with equal labels.
                    match input_series.iter_mut().find(|s| s.labels == series.labels) {
                        Some(known) => *known = series,
                        None => input_series.push(series),
                    }
                }
                Ok(None) => break,
                Err(error) => {
                    series_error = Some(error);
                    break;
                }
            }
        }
        let alert_tests = self.items(&fields, "alert_rule_test", |reading, node| {
            (reading.alert_test(node), node.place)
        });
        let nameless = alert_tests.iter().find(|(t, _)| t.alertname.is_empty());
        let alert_error = nameless.map(|(test, place)| self.nameless(test, *place, &name));
        TestCase {
            interval,
            start: self.start(&fields),
            input_series,
            series_error,
            alert_tests: alert_tests.into_iter().map(|(test, _)| test).collect(),
            alert_error,
            name,
            expr_tests: self.items(&fields, "promql_expr_test", Reading::expr_test),
            external_labels: Labels::from_pairs(self.map(&fields, "external_labels")),
            external_url: self.text(&fields, "external_url"),
        }
    }

    fn series(&mut self, node: &Node) -> WrittenSeries {
        let fields = self.fields(node, &["series", "values"], "series");
        let written = |field: &str| fields.get(field).map_or(node.place, |node| begin_of(node));
        let (series_at, values_at) = (written("series"), written("values"));
        WrittenSeries {
            series: self.text(&fields, "series"),
            values: self.text(&fields, "values"),
            series_at,
            values_at,
        }
    }

    fn nameless(&self, test: &AlertTest, place: Place, name: &str) -> RuleError {
        let group = match name {
            "" => String::new(),
            name => format!(" (in TestGroup {name})"),
        };
        let message = format!(
            "an item under alert_rule_test misses required attribute alertname at eval_time \
             {}{group}",
            test.eval_time
        );
        let hint = "name the alert that is to fire, or not, as `alertname`".to_owned();
        RuleError::at(self.path, place, message, Some(hint))
    }

    fn alert_test(&mut self, node: &Node) -> AlertTest {
        let known = ["eval_time", "alertname", "exp_alerts"];
        let fields = self.fields(node, &known, "alert test");
        AlertTest {
            eval_time: self.duration(&fields, "eval_time"),
            alertname: self.text(&fields, "alertname"),
            expected: self.items(&fields, "exp_alerts", |reading, node| {
                let known = ["exp_labels", "exp_annotations"];
                let fields = reading.fields(node, &known, "expected alert");
                ExpectedAlert {
                    labels: reading.map(&fields, "exp_labels"),
                    annotations: reading.map(&fields, "exp_annotations"),
                }
            }),
        }
    }

    fn expr_test(&mut self, node: &Node) -> ExprTest {
        let fields = self.fields(
            node,
            &["expr", "eval_time", "exp_samples"],
            "expression test",
        );
        ExprTest {
            expr: self.text(&fields, "expr"),
            eval_time: self.duration(&fields, "eval_time"),
            expected: self
                .items(&fields, "exp_samples", Reading::sample)
                .into_iter()
                .collect(),
        }
    }

    fn sample(&mut self, node: &Node) -> Result<ExpectedSample, String> {
        let known = ["labels", "value", "histogram"];
        let fields = self.fields(node, &known, "expected sample");
        let (labels, histogram) = (
            self.text(&fields, "labels"),
            self.text(&fields, "histogram"),
        );
        let value = self.number(&fields, "value");
        let place = |field: &str| fields.get(field).map_or(node.place, |node| begin_of(node));
        let refused = |e: &NotationError, place: Place, cause: String| {
            let place = behind(place, e.at);
            let (file, line, column) = (self.path, place.line, place.column);
            format!(
                "labels {}: {cause} ({file}:{line}:{column})",
                quote(&labels)
            )
        };
        let parsed = parse_metric(&labels).map_err(|e| {
            let cause = format!("1:{}: {e}", e.at + 1);
            refused(&e, place("labels"), cause)
        })?;
        let histogram = match histogram.as_str() {
            "" => None,
            text => Some(parse_histogram(text).map_err(|e| {
                // promtool reads it behind `{} `.
                let cause = match e.message.starts_with("expected ") {
                    true => e.message.clone(),
                    false => format!("1:{}: {e}", e.at + 4),
                };
                refused(&e, place("histogram"), cause)
            })?),
        };
        Ok(ExpectedSample {
            labels: parsed,
            value,
            histogram,
        })
    }
}

/// A series as it is written, with where metric and values begin.
struct WrittenSeries {
    series: String,
    values: String,
    series_at: Place,
    values_at: Place,
}

impl WrittenSeries {
    /// Reads it as promtool does, which puts all series of a test under each other, a line each,
    /// and reads up to the first empty line or comment; `None` where that is met.
    fn read(&self, path: &str) -> Result<Option<InputSeries>, RuleError> {
        let text = format!("{} {}", self.series, self.values);
        let refuse = |at: usize, e: &NotationError| {
            let indent = self.series.len() - self.series.trim_start().len();
            let at = at + e.at + indent;
            let place = match at.checked_sub(self.series.len() + 1) {
                Some(in_values) => behind(self.values_at, in_values),
                None => behind(self.series_at, at),
            };
            let hint = "write a series as `name{label=\"value\"}`, its values as `1 2+3x4 _ stale`";
            RuleError::at(path, place, e.to_string(), Some(hint.to_owned()))
        };
        let mut lines = text.split('\n').map(str::trim);
        let first = lines.next().unwrap_or("");
        if first.is_empty() || first.starts_with('#') {
            return Ok(None);
        }
        let (labels, values) = parse_series(first).map_err(|e| refuse(0, &e))?;
        match lines.next() {
            None | Some("") => {}
            // What a line break in the values begins is a series of its own.
            Some(line) => drop(parse_series(line).map_err(|e| refuse(first.len() + 1, &e))?),
        }
        Ok(Some(InputSeries { labels, values }))
    }
}

/// Where a scalar's text begins, behind its quote.
fn begin_of(node: &Node) -> Place {
    match &node.kind {
        NodeKind::Scalar { is_text: true, .. } => behind(node.place, 1),
        _ => node.place,
    }
}

fn behind(place: Place, bytes: usize) -> Place {
    Place {
        column: place.column + bytes,
        ..place
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &[&str]) {
        let found = match parse_test_file("t.yml", text) {
            Ok(_) => Vec::new(),
            Err(errors) => errors.iter().map(ToString::to_string).collect(),
        };
        assert_eq!(found, expected, "{text}");
    }

    #[test]
    fn a_file_is_read_with_its_defaults() {
        let text = "rule_files: [a.yml]\nevaluation_interval: 30s\ntests:\n\
            - input_series:\n  - {series: 'up{job=\"a\"}', values: 1x2}\n  start_timestamp: \
            2026-01-02T03:04:05Z\n  alert_rule_test:\n  - eval_time: 1h\n    alertname: A\n    \
            exp_alerts:\n    - exp_labels: {b: 1, a: }\n  promql_expr_test:\n  - expr: up\n    \
            exp_samples:\n    - {labels: 'up', value: .nan}\n    - {histogram: '{{sum:1}}'}\n";
        let file = parse_test_file("t.yml", text).expect("parses");
        let test = &file.tests[0];
        assert_eq!(test.interval, DurationMs::from_seconds(30));
        assert_eq!(test.start, TimestampMs(1_767_323_045_000));
        assert_eq!(test.input_series[0].values.len(), 3);
        let alert = &test.alert_tests[0];
        assert_eq!(alert.eval_time, DurationMs::from_seconds(3600));
        let pair = |a: &str, b: &str| (a.to_owned(), b.to_owned());
        assert_eq!(alert.expected[0].labels, [pair("a", ""), pair("b", "1")]);
        let samples = test.expr_tests[0].expected.as_ref().expect("valid");
        assert!(samples[0].value.is_nan());
        assert_eq!(samples[1].histogram.as_ref().map(|h| h.sum), Some(1.0));
        let empty = parse_test_file("t.yml", "").expect("parses");
        assert_eq!(empty.evaluation_interval, DurationMs::from_seconds(60));
    }

    #[test]
    fn what_is_wrong_has_its_place() {
        check(
            "rule_file: []\n",
            &["t.yml:1:1: field rule_file not found in unit test file"],
        );
        check(
            "tests:\n- interval: 5\n",
            &["t.yml:2:13: field 'interval': not a valid duration string: \"5\""],
        );
        check(
            "group_eval_order: [a, a]\n",
            &["t.yml:1:19: group name repeated in evaluation order: a"],
        );
        check(
            "tests: 5\n",
            &["t.yml:1:8: field 'tests' must be a list, found `5`"],
        );
        check(
            "tests:\n- promql_expr_test:\n  - exp_samples: [{value: x}]\n",
            &["t.yml:3:27: field 'value' must be a number, found `x`"],
        );
    }

    /// One test that cannot be run hides no other of its file.
    #[test]
    fn what_is_wrong_with_one_test_is_its_own() {
        let text = "tests:\n- input_series:\n  - series: 'x{'\n    values: '1'\n- input_series:\n  \
            - series: x\n    values: '1 a'\n- name: n\n  alert_rule_test:\n  - eval_time: 1m\n  \
            promql_expr_test:\n  - exp_samples: [{labels: 'x{'}, {histogram: '5'}]\n- {}\n";
        let tests = parse_test_file("t.yml", text).expect("parses").tests;
        let shown = |error: &Option<RuleError>| error.as_ref().map(ToString::to_string);
        let expected = |text: &str| Some(text.to_owned());
        assert_eq!(
            shown(&tests[0].series_error),
            expected("t.yml:4:14: parse error: unexpected character inside braces: '1'")
        );
        assert_eq!(
            shown(&tests[1].series_error),
            expected(
                "t.yml:7:16: parse error: unexpected identifier \"a\" in series values, \
                 expected number or \"stale\""
            )
        );
        assert_eq!(
            shown(&tests[2].alert_error),
            expected(
                "t.yml:10:5: an item under alert_rule_test misses required attribute alertname \
                 at eval_time 1m (in TestGroup n)"
            )
        );
        assert_eq!(
            tests[2].expr_tests[0]
                .expected
                .as_ref()
                .err()
                .map(String::as_str),
            Some(
                "labels \"x{\": 1:3: parse error: unexpected end of input inside braces \
                 (t.yml:12:31)"
            )
        );
        assert_eq!(shown(&tests[3].series_error), None);
    }

    /// Would catch a field, a notation or a value that promtool's users write and we refuse.
    #[test]
    fn recorded_and_published_tests_parse() {
        let Ok(shared) = std::env::var("BURNWATCH_SHARED") else {
            say!("BURNWATCH_SHARED is not set: tests of other projects are not read");
            return;
        };
        let mut n_files = 0;
        for folder in [
            "conformance/ruletests",
            "seeds/corrected/tests",
            "corpora/unit_tests",
        ] {
            let pattern = format!("{shared}/{folder}/**/*.y*ml");
            for path in glob::glob(&pattern).expect("pattern").flatten() {
                let text = std::fs::read_to_string(&path).expect("readable");
                let is_test = text.lines().any(|line| line.starts_with("tests:"));
                if !is_test {
                    continue;
                }
                n_files += 1;
                // What promtool refuses has its message beside it.
                let refused = err_of(&path).exists();
                let parsed = parse_test_file(&path.display().to_string(), &text);
                assert_eq!(parsed.is_err(), refused, "{parsed:?}");
            }
        }
        assert!(n_files >= 57, "{n_files} files");
    }

    fn err_of(path: &std::path::Path) -> std::path::PathBuf {
        let mut name = path.as_os_str().to_owned();
        name.push(".err");
        name.into()
    }
}
