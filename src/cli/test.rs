//! `burnwatch test rules FILE…`: unit tests of rules, as `promtool test rules` runs them.
//!
//! Output, flags and exit codes are promtool's, so that it can stand in its place in a CI job.
//! What is wrong with a test file comes with its line and column.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use clap::{Args, Subcommand};

use crate::cli::{DialectArgs, PROMTOOL_FEATURES};
use crate::clock::{Clock as _, Stopwatch, SystemClock};
use crate::engine::unit_test::{TestOptions, run_test};
use crate::model::RuleFormat;
use crate::rule::test_file::{TestFile, parse_test_file_with};

/// What `burnwatch test --help` ends with.
pub const AFTER_HELP: &str = "\
Examples:
  burnwatch test rules tests/*.test.yml          all tests of these files
  burnwatch test rules --run burn t.yml          only those whose name matches `burn`
  burnwatch test rules --junit results.xml t.yml for a CI job that shows JUnit XML
  burnwatch test rules --help                    how a test is written

Files, flags, output and exit codes are those of `promtool test rules`.";

/// What `burnwatch test rules --help` ends with.
const RULES_AFTER_HELP: &str = "\
A test file:
  rule_files: [rules/*.yml]        # globs, relative to this file
  evaluation_interval: 1m          # how often all groups are evaluated
  tests:
  - name: a pod restarts again and again
    interval: 1m                   # the distance of the values below
    input_series:
    - series: 'restarts_total{pod=\"a\"}'
      values: '0+1x10 _ stale'     # 0 1 2 … 10, a gap, a stale marker
    alert_rule_test:
    - eval_time: 10m
      alertname: PodRestarts
      exp_alerts:                  # none: nothing may fire
      - exp_labels: {pod: a, severity: page}
        exp_annotations: {summary: pod a restarts}
    promql_expr_test:
    - expr: increase(restarts_total[5m])
      eval_time: 10m
      exp_samples:
      - {labels: '{pod=\"a\"}', value: 5}

Values: `a+bxn` is n+1 values from a by b, `axn` the same value n+1 times, `_` and `_xn` are gaps,
`{{schema:0 sum:5 count:4 buckets:[1 2 1]}}` is a native histogram.
Further fields: group_eval_order, fuzzy_compare (floats may differ in the last bit); of a test
start_timestamp, external_labels, external_url.

Examples:
  burnwatch test rules t.yml                       exit code 0: all passed, 1: something failed
  burnwatch test rules --run '^api' --diff t.yml   some tests, differences in colour
  burnwatch test rules --debug t.yml               with all series, recorded ones among them
  burnwatch test rules --enable-feature=promql-experimental-functions t.yml";

/// What to test.
#[derive(Clone, Debug, Subcommand)]
pub enum TestArgs {
    /// Unit tests for rules, as `promtool test rules` runs them.
    #[command(after_help = RULES_AFTER_HELP)]
    Rules(TestRulesArgs),
}

/// Which unit tests to run, and how.
#[derive(Args, Clone, Debug)]
pub struct TestRulesArgs {
    /// The unit test files.
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// Run only tests whose names match the regular expression; several are alternatives.
    #[arg(long)]
    run: Vec<String>,
    /// Show failed alert tests as one JSON document in colours: red is only expected, green only
    /// fires, yellow is another text.
    #[arg(long)]
    diff: bool,
    /// Say on standard error which test runs, and write out all its series.
    #[arg(long)]
    debug: bool,
    /// Pass over unknown fields in the test files.
    #[arg(long)]
    ignore_unknown_fields: bool,
    /// Write the results as JUnit XML into a file.
    #[arg(long)]
    junit: Option<PathBuf>,
    /// Language features to enable, separated by commas: promql-experimental-functions,
    /// promql-delayed-name-removal, promql-duration-expr, promql-extended-range-selectors,
    /// promql-binop-fill-modifiers.
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    enable_feature: Vec<String>,
    #[command(flatten)]
    dialect: DialectArgs,
}

/// What came of one test file.
#[derive(Default)]
struct Suite {
    name: String,
    /// When its tests began, `2026-01-02T03:04:05` in UTC; empty where they did not.
    timestamp: String,
    /// Why the file could not be run.
    aborted: Vec<String>,
    /// The tests that were run, by name, and what failed in each.
    cases: Vec<(String, Vec<String>)>,
}

impl Suite {
    fn failures(&self) -> impl Iterator<Item = &String> {
        let failed = self.cases.iter().flat_map(|(_, failures)| failures);
        self.aborted.iter().chain(failed)
    }
}

/// Runs the test files and writes what came of them; failures go to standard error, as
/// promtool's do.
///
/// # Errors
/// Only when a pattern of `--run` is none or the output cannot be written; a file that cannot
/// be read is a failed test.
pub fn run(args: &TestArgs, out: &mut dyn Write) -> anyhow::Result<ExitCode> {
    let TestArgs::Rules(args) = args;
    let all_passed = test_rules(args, out, &mut io::stderr())?;
    Ok(match all_passed {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    })
}

fn test_rules(
    args: &TestRulesArgs,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> anyhow::Result<bool> {
    let only = match args.run.as_slice() {
        [] => None,
        patterns => Some(regex::Regex::new(&patterns.join("|")).context("--run")?),
    };
    let is_unknown =
        |name: &&String| !name.is_empty() && !PROMTOOL_FEATURES.contains(&name.as_str());
    for name in args.enable_feature.iter().filter(is_unknown) {
        writeln!(
            err,
            "  WARNING: Unknown feature passed to --enable-feature: {name}"
        )?;
    }
    let mut suites = Vec::new();
    for path in &args.files {
        let suite = test_file(path, args, only.as_ref(), err)?;
        if suite.failures().next().is_none() {
            writeln!(out, "  SUCCESS")?;
        } else {
            writeln!(err, "  FAILED:")?;
            for failure in suite.failures() {
                writeln!(err, "{failure}")?;
                writeln!(out)?;
            }
        }
        writeln!(out)?;
        suites.push(suite);
    }
    if let Some(path) = &args.junit {
        let about = || format!("write {}", path.display());
        fs::write(path, junit(&suites)).with_context(about)?;
    }
    Ok(suites.iter().all(|suite| suite.failures().next().is_none()))
}

fn test_file(
    path: &Path,
    args: &TestRulesArgs,
    only: Option<&regex::Regex>,
    err: &mut dyn Write,
) -> io::Result<Suite> {
    let mut suite = Suite {
        name: path.display().to_string(),
        ..Suite::default()
    };
    let (file, rule_files) = match read(path, args, err)? {
        Ok(read) => read,
        Err(reasons) => {
            suite.aborted = reasons;
            return Ok(suite);
        }
    };
    suite.timestamp = now();
    let options = TestOptions {
        features: args.enable_feature.clone(),
        rule_format: RuleFormat {
            dialect: args.dialect.rules_dialect,
            ignore_unknown_fields: args.ignore_unknown_fields,
            ..RuleFormat::default()
        },
        diff: args.diff,
        dump: args.debug,
    };
    for (idx, case) in file.tests.iter().enumerate() {
        if only.is_some_and(|only| !only.is_match(&case.name)) {
            continue;
        }
        let name = match case.name.as_str() {
            "" => format!("unnamed#{idx}"),
            name => name.to_owned(),
        };
        if args.debug {
            writeln!(err, "DEBUG: Starting test {name}")?;
        }
        let started = Stopwatch::start();
        let outcome = run_test(&file, case, &rule_files, &options);
        if let Some((time, dump)) = &outcome.dump {
            writeln!(
                err,
                "DEBUG: Dump of all data (input_series and rules) at {time}:"
            )?;
            writeln!(err, "{dump}")?;
        }
        if args.debug {
            let took = started.elapsed();
            writeln!(err, "DEBUG: Test {name} finished, took {took:?}")?;
        }
        suite.cases.push((name, outcome.failures));
    }
    Ok(suite)
}

type RuleFiles = Vec<(String, String)>;

/// Reads a test file and the rule files that it names.
fn read(
    path: &Path,
    args: &TestRulesArgs,
    err: &mut dyn Write,
) -> io::Result<Result<(TestFile, RuleFiles), Vec<String>>> {
    let name = path.display().to_string();
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(e) => return Ok(Err(vec![unreadable(&name, &e)])),
    };
    let file = match parse_test_file_with(&name, &text, args.ignore_unknown_fields) {
        Ok(file) => file,
        Err(errors) => {
            let with_hint = |e: &crate::rule::RuleError| match &e.hint {
                Some(hint) => format!("{e}\n    hint: {hint}"),
                None => e.to_string(),
            };
            // promtool has one error for all that YAML's decoder finds.
            let lines: Vec<String> = errors.iter().map(with_hint).collect();
            return Ok(Err(vec![lines.join("\n")]));
        }
    };
    let folder = path.parent().unwrap_or(Path::new(""));
    let mut rule_files = RuleFiles::new();
    for pattern in &file.rule_files {
        let pattern = folder.join(pattern).display().to_string();
        let paths = match glob::glob(&pattern) {
            Ok(paths) => paths,
            Err(e) => {
                let message =
                    format!("{name}: rule_files: {pattern}: syntax error in pattern: {e}");
                return Ok(Err(vec![message]));
            }
        };
        let mut is_matched = false;
        for path in paths.flatten() {
            // A group is known by its file and name: a file named twice is loaded once.
            let shown = path.display().to_string();
            is_matched = true;
            if rule_files.iter().any(|(known, _)| *known == shown) {
                continue;
            }
            match fs::read_to_string(&path) {
                Ok(text) => rule_files.push((shown, text)),
                Err(e) => return Ok(Err(vec![unreadable(&path.display().to_string(), &e)])),
            }
        }
        if !is_matched {
            writeln!(err, "  WARNING: no file match pattern {pattern}")?;
        }
    }
    Ok(Ok((file, rule_files)))
}

fn now() -> String {
    let now = jiff::Timestamp::from_millisecond(SystemClock.now().0).unwrap_or_default();
    let text = now.to_string();
    text.get(.."2026-01-02T03:04:05".len())
        .unwrap_or("")
        .to_owned()
}

fn unreadable(path: &str, cause: &io::Error) -> String {
    match cause.kind() {
        io::ErrorKind::NotFound => format!("open {path}: no such file or directory"),
        io::ErrorKind::PermissionDenied => format!("open {path}: permission denied"),
        io::ErrorKind::IsADirectory => format!("read {path}: is a directory"),
        _ => format!("{path}: {cause}"),
    }
}

/// The results as promtool's JUnit XML.
fn junit(suites: &[Suite]) -> String {
    let mut xml = String::from("<testsuites>");
    for suite in suites {
        let n_failures: usize = suite.cases.iter().map(|(_, failed)| failed.len()).sum();
        let (n_cases, n_errors) = (suite.cases.len(), usize::from(!suite.aborted.is_empty()));
        let name = escaped(&suite.name);
        xml.push_str(&format!(
            "<testsuite name=\"{name}\" tests=\"{}\" failures=\"{n_failures}\" \
             errors=\"{n_errors}\" skipped=\"0\" timestamp=\"{}\">",
            n_cases + n_errors,
            suite.timestamp
        ));
        if !suite.aborted.is_empty() {
            let reasons = escaped(&suite.aborted.join("\n"));
            xml.push_str(&format!(
                "<testcase name=\"unknown\"><error>{reasons}</error></testcase>"
            ));
        }
        for (name, failures) in &suite.cases {
            xml.push_str(&format!("<testcase name=\"{}\">", escaped(name)));
            for failure in failures {
                xml.push_str(&format!("<failure>{}</failure>", escaped(failure)));
            }
            xml.push_str("</testcase>");
        }
        xml.push_str("</testsuite>");
    }
    xml.push_str("</testsuites>");
    xml
}

/// Escapes as Go's XML encoder; what XML cannot hold becomes the replacement character.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&#34;"),
            '\'' => out.push_str("&#39;"),
            '\n' => out.push_str("&#xA;"),
            '\t' => out.push_str("&#x9;"),
            '\r' => out.push_str("&#xD;"),
            c if c < ' ' => out.push('\u{FFFD}'),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Command {
        #[command(subcommand)]
        args: TestArgs,
    }

    const RULES: &str = "groups:\n- name: g\n  rules:\n  - alert: High\n    expr: x > 5\n    \
        annotations: {v: '{{ $value }}'}\n  - record: y\n    expr: x * 2\n";

    const TEST: &str = "rule_files: [r.yml, none.yml]\ntests:\n- name: first\n  input_series:\n  \
        - {series: 'x{a=\"b\"}', values: 6 7}\n  alert_rule_test:\n  - eval_time: 1m\n    \
        alertname: High\n    exp_alerts:\n    - exp_labels: {a: b}\n      \
        exp_annotations: {v: 7}\n  promql_expr_test:\n  - expr: y\n    eval_time: 1m\n    \
        exp_samples:\n    - {labels: 'y{a=\"b\"}', value: 14}\n";

    /// Runs `test rules` over one file; returns whether it passed, and both outputs.
    fn test(test: &str, flags: &[&str]) -> (bool, String, String) {
        let folder = tempfile::tempdir().expect("temporary folder");
        fs::write(folder.path().join("r.yml"), RULES).expect("written");
        let path = folder.path().join("t.yml");
        fs::write(&path, test).expect("written");
        let mut line = vec!["burnwatch", "rules"];
        line.extend(flags);
        let path_text = path.display().to_string();
        line.push(&path_text);
        let TestArgs::Rules(args) = Command::parse_from(line).args;
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let passed = test_rules(&args, &mut out, &mut err).expect("runs");
        let text = |bytes: Vec<u8>| {
            let text = String::from_utf8(bytes).expect("text");
            text.replace(&folder.path().display().to_string(), "DIR")
        };
        (passed, text(out), text(err))
    }

    #[test]
    fn what_is_as_expected_passes() {
        let (passed, out, err) = test(TEST, &[]);
        assert_eq!((passed, out.as_str()), (true, "  SUCCESS\n\n"), "{err}");
        assert_eq!(err, "  WARNING: no file match pattern DIR/none.yml\n");
    }

    #[test]
    fn a_series_that_begins_hours_later_is_there() {
        let test_file = "rule_files: [r.yml]\ntests:\n- input_series:\n  - {series: 'x{a=\"now\"}', \
            values: '1x1600'}\n  - {series: 'x{a=\"late\"}', values: '_x1500 3x100'}\n  \
            promql_expr_test:\n  - expr: sum by (a) (y)\n    eval_time: 1560m\n    exp_samples:\n    \
            - {labels: '{a=\"late\"}', value: 6}\n    - {labels: '{a=\"now\"}', value: 2}\n";
        let (passed, _, err) = test(test_file, &[]);
        assert!(passed, "{err}");
    }

    #[test]
    fn what_is_not_is_told_as_promtool_tells_it() {
        let wrong = TEST.replace("{v: 7}", "{v: 8}").replace("14", "15");
        let (passed, out, err) = test(&wrong, &[]);
        assert_eq!((passed, out.as_str()), (false, "\n\n\n"));
        let expected = "  FAILED:\n    name: first,\n    alertname: High, time: 1m, \n        \
            exp:[\n            0:\n              Labels:{a=\"b\", alertname=\"High\"}\n              \
            Annotations:{v=\"8\"}\n            ], \n        got:[\n            0:\n              \
            Labels:{a=\"b\", alertname=\"High\"}\n              Annotations:{v=\"7\"}\n            \
            ]\n    expr: \"y\", time: 1m,\n        exp: {__name__=\"y\", a=\"b\"} 1.5E+01\n        \
            got: {__name__=\"y\", a=\"b\"} 1.4E+01\n";
        assert_eq!(
            err.split_once("none.yml\n").map(|(_, rest)| rest),
            Some(expected)
        );
        let (_, _, err) = test(&wrong, &["--diff"]);
        assert!(
            err.contains("\"v\": \u{1b}[0;33m\"8\" => \"7\"\u{1b}[0m"),
            "{err}"
        );
    }

    #[test]
    fn debugging_writes_out_all_series() {
        let (_, _, err) = test(TEST, &["--debug"]);
        let begin = "DEBUG: Dump of all data (input_series and rules) at 1m1s:\n\
            {__name__=\"ALERTS\",";
        assert!(err.contains(begin), "{err}");
        let end = "{__name__=\"y\", a=\"b\"} =>\n14 @[60000]\nDEBUG: Test first finished";
        assert!(err.contains(end), "{err}");
    }

    #[test]
    fn help_teaches_the_format_by_examples() {
        use clap::CommandFactory as _;
        let mut command = Command::command();
        let rules = command.find_subcommand_mut("rules").expect("there");
        let help = rules.render_help().to_string();
        for part in ["input_series:", "promql_expr_test:", "Examples:"] {
            assert!(help.contains(part), "{help}");
        }
        assert!(AFTER_HELP.contains("burnwatch test rules"));
    }

    #[test]
    fn an_unknown_feature_is_warned_of() {
        let (passed, _, err) = test(TEST, &["--enable-feature=promql-duration-expr,nope"]);
        assert!(passed);
        let warning = "  WARNING: Unknown feature passed to --enable-feature: nope\n";
        assert!(err.starts_with(warning), "{err}");
    }

    #[test]
    fn only_named_tests_run() {
        let wrong = TEST.replace("14", "15");
        assert!(!test(&wrong, &["--run", "fir"]).0);
        assert!(test(&wrong, &["--run", "second", "--run=third"]).0);
    }

    #[test]
    fn a_file_that_does_not_load_fails_with_its_place() {
        let (passed, _, err) = test("test: []\n", &[]);
        assert!(!passed);
        assert!(err.contains("DIR/t.yml:1:1: field test not found"), "{err}");
        assert!(test("test: []\n", &["--ignore-unknown-fields"]).0);
    }

    #[test]
    fn results_are_written_as_junit() {
        let suites = [Suite {
            name: "t.yml".to_owned(),
            timestamp: "2026-01-02T03:04:05".to_owned(),
            aborted: Vec::new(),
            cases: vec![("a".to_owned(), vec!["x < 1\n".to_owned()])],
        }];
        assert_eq!(
            junit(&suites),
            "<testsuites><testsuite name=\"t.yml\" tests=\"1\" failures=\"1\" errors=\"0\" \
             skipped=\"0\" timestamp=\"2026-01-02T03:04:05\"><testcase name=\"a\"><failure>x &lt; 1&#xA;</failure>\
             </testcase></testsuite></testsuites>"
        );
    }
}
