//! Unit tests of rules: an engine fed with written series, held against what is expected.
//!
//! The engine is the one that serves; only its grid is that of a unit test, and its groups are
//! evaluated at ticks alone. Verdicts and their wording are promtool's.

use std::collections::HashMap;
use std::sync::Arc;

use crate::engine::alert_difference::difference;
use crate::engine::expectation::{
    Shown, ShownSample, braced, list_of, samples_of, shown_element, shown_expected, texts,
};
use crate::engine::{AlertState, Effect, Engine, RuleHealth, features};
use crate::eval::{EvalOptions, Scan, evaluate};
use crate::functions::Functions;
use crate::model::float::format_plain;
use crate::model::labels::quote;
use crate::model::{
    ALERT_NAME, Batch, DurationMs, EngineSettings, Entry, EvaluationMode, Generation, Grid, Labels,
    RuleFormat, RuleSource, SampleValue, SeriesDefinition, SeriesHandle, Stamp, TimestampMs, Value,
    VectorElement,
};
use crate::promql::parse;
use crate::rule::RuleError;
use crate::rule::test_file::{AlertTest, ExprTest, TestCase, TestFile};
use crate::series::SeriesReader;
use crate::template::duration_text;

/// How to run a test.
#[derive(Clone, Debug, Default)]
pub struct TestOptions {
    /// Names of feature flags that are on.
    pub features: Vec<String>,
    /// How to read the rule files.
    pub rule_format: RuleFormat,
    /// Whether a failed alert test shows only what differs.
    pub diff: bool,
    /// Whether to write out all series at the end.
    pub dump: bool,
}

/// What came of a test.
#[derive(Clone, Debug, Default)]
pub struct TestOutcome {
    /// What failed, in promtool's words; nothing where all is as expected.
    pub failures: Vec<String>,
    /// What is asked for when debugging: the time of the last instant, as Go prints a duration,
    /// and all series with their samples up to it. A test that did not come so far has none.
    pub dump: Option<(String, String)>,
}

/// Nothing is ever forgotten within a test.
const RETENTION: DurationMs = DurationMs(i64::MAX / 8);

/// Runs one test over the rule files, `(path, content)`.
pub fn run_test(
    file: &TestFile,
    case: &TestCase,
    rule_files: &[(String, String)],
    options: &TestOptions,
) -> TestOutcome {
    let mut run = Run::new(file, case, options);
    if let Some(error) = &case.series_error {
        return TestOutcome {
            failures: vec![with_hint(error)],
            dump: None,
        };
    }
    run.failures = run.load(rule_files);
    if let Some(error) = case
        .alert_error
        .as_ref()
        .filter(|_| run.failures.is_empty())
    {
        run.failures.push(with_hint(error));
    }
    let mut dump = None;
    if run.failures.is_empty() && run.tick_through() {
        for test in &case.expr_tests {
            run.check_expr(test);
        }
        dump = options.dump.then(|| run.dump());
    }
    TestOutcome {
        failures: run.failures,
        dump,
    }
}

/// An error as it is shown: its place, what is wrong, and what to do about it.
fn with_hint(error: &RuleError) -> String {
    match &error.hint {
        Some(hint) => format!("{error}\n    hint: {hint}"),
        None => error.to_string(),
    }
}

/// The instant of the last thing that a test asks, from its start.
fn last_eval_time(case: &TestCase) -> DurationMs {
    let alerts = case.alert_tests.iter().map(|test| test.eval_time);
    let exprs = case.expr_tests.iter().map(|test| test.eval_time);
    alerts.chain(exprs).max().unwrap_or_default()
}

struct Run<'a> {
    file: &'a TestFile,
    case: &'a TestCase,
    options: &'a TestOptions,
    engine: Engine,
    effects: Vec<Effect>,
    n_stamps: u64,
    /// What the input series are called, once the engine knows them.
    handles: Vec<Option<SeriesHandle>>,
    n_handles: u32,
    /// How many values of each input series have been sent.
    n_sent: Vec<usize>,
    failures: Vec<String>,
}

impl<'a> Run<'a> {
    fn new(file: &'a TestFile, case: &'a TestCase, options: &'a TestOptions) -> Self {
        Run {
            file,
            case,
            options,
            engine: Engine::new(),
            effects: Vec::new(),
            n_stamps: 0,
            handles: vec![None; case.input_series.len()],
            n_handles: 0,
            n_sent: vec![0; case.input_series.len()],
            failures: Vec::new(),
        }
    }

    fn stamp(&mut self, at: TimestampMs) -> Stamp {
        self.n_stamps += 1;
        Stamp {
            sequence: self.n_stamps,
            wall: at,
            clock: Some(at),
        }
    }

    fn apply(&mut self, entry: Entry) {
        self.effects.clear();
        self.engine.apply(&entry, &|| 0.0, &mut self.effects);
    }

    /// Loads the rules and puts the clock just before the start; returns why they do not load.
    fn load(&mut self, rule_files: &[(String, String)]) -> Vec<String> {
        let before = self.case.start - DurationMs(1);
        let settings = EngineSettings {
            evaluation_interval: self.file.evaluation_interval,
            external_labels: self.case.external_labels.clone(),
            external_url: self.case.external_url.clone(),
            mode: EvaluationMode::Tick,
            grid: Grid::UnitTest {
                start: self.case.start,
                interval: self.file.evaluation_interval,
                group_order: Some(self.file.group_eval_order.clone()),
            },
            retention: RETENTION,
            scrape_settle: DurationMs::ZERO,
            backlog_settle: DurationMs::ZERO,
            out_of_order_window: RETENTION,
            ticks_per_leap_max: usize::MAX,
            features: self.options.features.clone(),
            rule_format: self.options.rule_format,
            ..EngineSettings::default()
        };
        let stamp = self.stamp(before);
        self.apply(Entry::Rules {
            stamp,
            generation: Generation(1),
            rules: Arc::new(RuleSource {
                files: rule_files.to_vec(),
                settings,
            }),
        });
        let refused = self.effects.iter().find_map(|effect| match effect {
            Effect::RulesRefused { reasons, .. } => Some(reasons.clone()),
            _ => None,
        });
        refused.unwrap_or_default()
    }

    /// Makes all ticks and checks alerts between them; `false` where a rule failed, which ends
    /// the test.
    fn tick_through(&mut self) -> bool {
        let interval = self.file.evaluation_interval;
        let end = self.case.start + last_eval_time(self.case);
        let mut at = self.case.start;
        while at <= end {
            self.send_until(at);
            let failed = self.failed_rules(at);
            if !failed.is_empty() {
                self.failures.extend(failed);
                return false;
            }
            self.check_alerts(at - self.case.start, interval);
            at = at + interval;
        }
        // Expressions may look at samples behind the last evaluation.
        self.send_until(end);
        true
    }

    /// Sends what the series have up to an instant, and moves the clock there.
    fn send_until(&mut self, until: TimestampMs) {
        let mut batch = Batch::default();
        for (idx, series) in self.case.input_series.iter().enumerate() {
            let n_sent = &mut self.n_sent[idx];
            while let Some(value) = series.values.get(*n_sent) {
                let step = i64::try_from(*n_sent).unwrap_or(i64::MAX);
                let at = self.case.start + DurationMs(self.case.interval.0.saturating_mul(step));
                if at > until {
                    break;
                }
                *n_sent += 1;
                let Some(value) = value else {
                    continue;
                };
                // With its first sample, as the door does it: an engine forgets who never speaks.
                let handle = *self.handles[idx].get_or_insert_with(|| {
                    let handle = SeriesHandle(self.n_handles);
                    self.n_handles += 1;
                    let labels = series.labels.clone();
                    batch.definitions.push(SeriesDefinition { handle, labels });
                    handle
                });
                match value {
                    SampleValue::Float(value) => batch.floats.push((handle, at, *value)),
                    SampleValue::Histogram(histogram) => {
                        batch.histograms.push((handle, at, Arc::clone(histogram)));
                    }
                }
            }
        }
        let stamp = self.stamp(until);
        self.apply(Entry::Samples {
            stamp,
            generation: Generation(1),
            batch,
        });
    }

    fn failed_rules(&self, at: TimestampMs) -> Vec<String> {
        let time = duration_text(at.0.saturating_mul(1_000_000));
        let mut failed = Vec::new();
        for rule in self.engine.groups().iter().flat_map(|group| &group.rules) {
            if let RuleHealth::Err(message) = &rule.health {
                let name = &rule.name;
                failed.push(format!("    rule: {name}, time: {time}, err: {message}"));
            }
        }
        failed
    }

    /// Checks the alert tests of `[since, since + interval)` from the start.
    fn check_alerts(&mut self, since: DurationMs, interval: DurationMs) {
        let mut due: Vec<&AlertTest> = self.case.alert_tests.iter().collect();
        due.retain(|test| (since.0..since.0 + interval.0).contains(&test.eval_time.0));
        due.sort_by_key(|test| test.eval_time);
        if due.is_empty() {
            return;
        }
        let firing = self.firing();
        for test in due {
            let got = firing.get(&test.alertname).cloned().unwrap_or_default();
            self.check_alert(test, got);
        }
    }

    /// All firing alerts by name, of all groups.
    fn firing(&self) -> HashMap<String, Vec<Shown>> {
        let mut firing: HashMap<String, Vec<Shown>> = HashMap::new();
        for rule in self.engine.groups().iter().flat_map(|group| &group.rules) {
            let alerts = rule.alerting.iter().flat_map(|alerting| &alerting.alerts);
            for alert in alerts.filter(|alert| alert.state == AlertState::Firing) {
                firing.entry(rule.name.clone()).or_default().push(Shown {
                    labels: texts(&alert.labels),
                    annotations: alert.annotations.clone(),
                });
            }
        }
        firing
    }

    fn check_alert(&mut self, test: &AlertTest, mut got: Vec<Shown>) {
        let expected = test.expected.iter().map(|alert| {
            let mut labels = alert.labels.clone();
            labels.retain(|(name, _)| name != ALERT_NAME);
            labels.push((ALERT_NAME.to_owned(), test.alertname.clone()));
            labels.sort();
            Shown {
                labels,
                annotations: alert.annotations.clone(),
            }
        });
        let mut expected: Vec<Shown> = expected.collect();
        expected.sort();
        got.sort();
        if expected == got {
            return;
        }
        let name = match self.case.name.as_str() {
            "" => String::new(),
            name => format!("    name: {name},\n"),
        };
        let head = format!(
            "{name}    alertname: {}, time: {}, \n",
            test.alertname, test.eval_time
        );
        let indented = |text: String| text.replace('\n', "\n            ");
        self.failures.push(if self.options.diff {
            let diff = indented(difference(&expected, &got));
            format!("{head}        diff: {diff}")
        } else {
            let (expected, got) = (indented(list_of(&expected)), indented(list_of(&got)));
            format!("{head}        exp:{expected}, \n        got:{got}")
        });
    }

    fn check_expr(&mut self, test: &ExprTest) {
        let (expr, time) = (quote(&test.expr), test.eval_time);
        let got = match self.query(&test.expr, self.case.start + time) {
            Ok(got) => got,
            Err(message) => {
                let failure = format!("    expr: {expr}, time: {time}, err: {message}");
                return self.failures.push(failure);
            }
        };
        let expected = match &test.expected {
            Ok(expected) => expected,
            Err(message) => {
                let failure = format!("    expr: {expr}, time: {time}, err: {message}");
                return self.failures.push(failure);
            }
        };
        let mut expected: Vec<ShownSample> = expected.iter().map(shown_expected).collect();
        let mut got: Vec<ShownSample> = got.iter().map(shown_element).collect();
        expected.sort_by(|a, b| a.labels.cmp(&b.labels));
        got.sort_by(|a, b| a.labels.cmp(&b.labels));
        let fuzzy = self.file.fuzzy_compare;
        let equal = |(a, b): (&ShownSample, &ShownSample)| a.equals(b, fuzzy);
        if expected.len() == got.len() && expected.iter().zip(&got).all(equal) {
            return;
        }
        let (expected, got) = (samples_of(&expected), samples_of(&got));
        self.failures.push(format!(
            "    expr: {expr}, time: {time},\n        exp: {expected}\n        got: {got}"
        ));
    }

    /// All series as Prometheus prints a matrix: those that a selector finds over the whole time
    /// of the test, rounded up to seconds. Its first instant is not in the range.
    fn dump(&self) -> (String, String) {
        let seconds = last_eval_time(self.case).0.div_euclid(1000) + 1;
        let end = self.case.start + DurationMs::from_seconds(seconds);
        let mut series: Vec<String> = Vec::new();
        self.engine.series().select(&[], &mut |labels, history| {
            let mut lines = Vec::new();
            for point in history.range(self.case.start, end) {
                let value = match &point.value {
                    value if value.is_stale() => continue,
                    SampleValue::Float(value) => format_plain(*value),
                    SampleValue::Histogram(histogram) => histogram.to_string(),
                };
                lines.push(format!("{value} @[{}]", point.at.0));
            }
            if !lines.is_empty() {
                series.push(format!(
                    "{} =>\n{}",
                    braced(&texts(labels)),
                    lines.join("\n")
                ));
            }
        });
        let time = duration_text(seconds.saturating_mul(1_000_000_000));
        (time, series.join("\n"))
    }

    fn query(&self, text: &str, at: TimestampMs) -> Result<Vec<VectorElement>, String> {
        let features = features(&self.options.features);
        let expr = parse(text, &Functions, features).map_err(|e| e.to_string())?;
        let options = EvalOptions {
            default_step: self.file.evaluation_interval,
            features,
            ..EvalOptions::default()
        };
        let source = Scan::new(self.engine.series());
        let outcome = evaluate(&expr, &source, at, &options).map_err(|e| e.to_string())?;
        match outcome.value {
            Value::Vector(elements) => Ok(elements),
            Value::Scalar(value) => Ok(vec![VectorElement {
                labels: Labels::empty(),
                value: SampleValue::Float(value),
            }]),
            Value::String(_) | Value::Matrix(_) => {
                Err("rule result is not a vector or scalar".to_owned())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use super::*;
    use crate::rule::test_file::parse_test_file;

    /// Runs a test file with the rule files beside it; `None` where it is none.
    fn failures_of(path: &Path) -> Option<Vec<String>> {
        let text = std::fs::read_to_string(path).expect("readable");
        if !text.lines().any(|line| line.starts_with("tests:")) {
            return None;
        }
        let file = parse_test_file(&path.display().to_string(), &text).expect("parses");
        let folder = path.parent().expect("has a folder");
        let mut rule_files = Vec::new();
        for pattern in &file.rule_files {
            let pattern = folder.join(pattern).display().to_string();
            for path in glob::glob(&pattern).expect("pattern").flatten() {
                let text = std::fs::read_to_string(&path).expect("readable");
                rule_files.push((path.display().to_string(), text));
            }
        }
        let options = TestOptions::default();
        let run = |case| run_test(&file, case, &rule_files, &options).failures;
        Some(file.tests.iter().flat_map(run).collect())
    }

    fn all_pass(pattern: &str, at_least: usize) {
        let paths: Vec<PathBuf> = glob::glob(pattern).expect("pattern").flatten().collect();
        let mut n_run = 0;
        let mut failed = String::new();
        for path in paths {
            if let Some(failures) = failures_of(&path) {
                n_run += 1;
                for failure in failures {
                    failed.push_str(&format!("{}:\n{failure}\n", path.display()));
                }
            }
        }
        assert!(failed.is_empty(), "{failed}");
        assert!(n_run >= at_least, "{n_run} files in {pattern}");
    }

    /// Recorded with promtool: would catch an alert, a template's text, a recorded sample or a
    /// stale marker that is not Prometheus'.
    #[test]
    fn recorded_rule_tests_pass() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/ruletests");
        all_pass(&format!("{folder}/*.test.yml"), 29);
    }

    #[test]
    fn seeds_and_published_rule_tests_pass() {
        let Ok(shared) = std::env::var("BURNWATCH_SHARED") else {
            say!("BURNWATCH_SHARED is not set: tests of other projects are not run");
            return;
        };
        all_pass(&format!("{shared}/seeds/corrected/tests/*.yml"), 2);
        for project in [
            "alphagov__govuk-helm-charts",
            "grafana__loki",
            "thanos-io__thanos",
        ] {
            all_pass(
                &format!("{shared}/corpora/unit_tests/{project}/**/*.y*ml"),
                1,
            );
        }
    }
}
