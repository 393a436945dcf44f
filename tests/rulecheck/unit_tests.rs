//! `burnwatch test rules` over unit tests whose verdict by promtool is known.
//!
//! Catches: a test that passes there and fails here or the other way round, and one that fails
//! for another reason.

use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

/// What came of a run: whether all passed, and all that was said.
fn run(folder: &Path, arguments: &[&str]) -> (bool, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_burnwatch"))
        .args(["test", "rules"])
        .args(arguments)
        .current_dir(folder)
        .output()
        .expect("the binary runs");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let said = text(&output.stdout) + &text(&output.stderr);
    let code = output.status.code();
    assert!(matches!(code, Some(0 | 1)), "{code:?}: {said}");
    (code == Some(0), said)
}

fn shared(path: &str) -> Option<PathBuf> {
    let found = std::env::var_os("BURNWATCH_SHARED").map(|shared| Path::new(&shared).join(path));
    if found.is_none() {
        say!("skipped: unit tests of other projects in {path}, for lack of BURNWATCH_SHARED");
    }
    found
}

/// The test files under a folder.
fn test_files(folder: &Path) -> Vec<PathBuf> {
    let pattern = format!("{}/**/*.y*ml", folder.display());
    let files = glob::glob(&pattern).expect("a pattern").flatten();
    let is_test = |path: &PathBuf| {
        let text = std::fs::read_to_string(path).expect("readable");
        text.lines().any(|line| line.starts_with("tests:"))
    };
    files.filter(is_test).collect()
}

/// Fails with all that differs; says how many agree.
fn finish(what: &str, n: usize, at_least: usize, wrong: &[String]) {
    say!("{what}: {} of {n} verdicts agree", n - wrong.len());
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(n >= at_least, "{n} files");
}

/// What must be said where `line 12: field x not found in type …` was: the place and the field.
fn says(said: &str, reason: &str) -> bool {
    let Some((line, rest)) = reason
        .strip_prefix("line ")
        .and_then(|r| r.split_once(": "))
    else {
        return said.contains(reason);
    };
    let cause = rest.split(" in type ").next().unwrap_or(rest);
    said.lines()
        .any(|said| said.contains(&format!(":{line}:")) && said.contains(cause))
}

#[test]
fn published_unit_tests_have_the_verdict_of_promtool() {
    let Some(folder) = shared("corpora/unit_tests") else {
        return;
    };
    let files = test_files(&folder);
    let mut wrong = Vec::new();
    for path in &files {
        let name = path.file_name().expect("a name").to_str().expect("UTF-8");
        let (passed, said) = run(path.parent().expect("a folder"), &[name]);
        let recorded = std::fs::read_to_string(format!("{}.err", path.display()));
        let reasons = recorded.as_deref().unwrap_or("").lines().map(str::trim);
        let is_reason = |line: &&str| line.starts_with("line ");
        let missing = reasons
            .filter(is_reason)
            .find(|reason| !says(&said, reason));
        if passed == recorded.is_ok() || missing.is_some() {
            wrong.push(format!("{}: {missing:?}: {said}", path.display()));
        }
    }
    finish("published unit tests", files.len(), 26, &wrong);
}

#[test]
fn recorded_unit_tests_pass() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/ruletests");
    let files = test_files(&folder);
    let mut wrong = Vec::new();
    for path in &files {
        let (passed, said) = run(&folder, &[path.to_str().expect("UTF-8")]);
        if !passed {
            wrong.push(said);
        }
    }
    finish("recorded unit tests", files.len(), 29, &wrong);
}

/// The runs that Prometheus' own tests make, and what they expect: `""` to pass, or why not.
const OWN_RUNS: [(&str, &str); 21] = [
    ("unittest.yml", ""),
    ("long-period.yml", ""),
    ("at-modifier-test.yml", ""),
    ("negative-offset-test.yml", ""),
    ("no-test-group-interval.yml", ""),
    ("start-time-test.yml", ""),
    (
        "bad-input-series.yml",
        "parse error: unexpected character inside braces: '0'",
    ),
    (
        "bad-promql.yml",
        "time: 0s, err: found duplicate series for the match group",
    ),
    (
        "bad-rules-syntax-test.yml",
        "could not parse expression: 1:7: parse error: unexpected end of input",
    ),
    (
        "bad-rules-error-test.yml",
        "err: found duplicate series for the match group",
    ),
    ("failing.yml", "exp:"),
    ("rules_run.yml", "exp:"),
    ("--run=correct --run=wrong rules_run.yml", "exp:"),
    ("--run=correct rules_run.yml", ""),
    ("--run=wrong rules_run.yml", "exp:"),
    ("--ignore-unknown-fields rules_run_extrafields.yml", ""),
    ("rules_run_extrafields.yml", "field ownership not found in"),
    ("rules_run_no_fuzzy.yml", "exp:"),
    ("--run=correct rules_run_fuzzy.yml", ""),
    ("--run=wrong rules_run_fuzzy.yml", "exp:"),
    ("no-such-file.yml", "open no-such-file.yml: no such file"),
];

#[test]
fn the_unit_tests_of_prometheus_have_its_verdict() {
    let Some(folder) = shared("conformance/rulefiles/cmd/promtool/testdata") else {
        return;
    };
    let mut wrong = Vec::new();
    for (line, reason) in OWN_RUNS {
        let arguments: Vec<&str> = line.split(' ').collect();
        let (passed, said) = run(&folder, &arguments);
        if passed != reason.is_empty() || !said.contains(reason) {
            wrong.push(format!("{line}: {passed}: {said}"));
        }
    }
    finish("unit tests of Prometheus", OWN_RUNS.len(), 21, &wrong);
}

const RULES: &str = "groups:\n- name: g\n  rules:\n  - alert: High\n    expr: x > 5\n    \
    annotations: {v: '{{ $value }}'}\n  - record: y\n    expr: x * 2\n";

const TEST: &str = "rule_files: [r.yml]
tests:
- name: first
  input_series:
  - series: 'x{a=\"b\"}'
    values: '6 7 8'
  alert_rule_test:
  - eval_time: 1m
    alertname: High
    exp_alerts:
    - exp_labels: {a: b}
      exp_annotations: {v: 7}
  promql_expr_test:
  - expr: y
    eval_time: 1m
    exp_samples:
    - {labels: 'y{a=\"b\"}', value: 14}
";

/// What is changed in [`TEST`], and what is then said with promtool's verdict: nothing where it
/// still passes.
const VARIANTS: [(&str, &str, &str); 24] = [
    ("value: 14", "value: 0xE", ""),
    ("value: 14", "value: 14.0_0", ""),
    (
        "value: 14",
        "value: '14'",
        ":17:35: field 'value' must be a number",
    ),
    (
        "value: 14",
        "value: abc",
        ":17:35: field 'value' must be a number",
    ),
    (
        "value: 14",
        "histogram: '5'",
        "expected histogram, got 5.000000 (t.yml:17:40)",
    ),
    ("[r.yml]", "[r.yml, r.yml, ./r.yml]", ""),
    (
        "[r.yml]",
        "[no.yml]",
        "WARNING: no file match pattern no.yml",
    ),
    ("[r.yml]", "['r[.yml']", "syntax error in pattern"),
    (
        "[r.yml]",
        "r.yml",
        ":1:13: field 'rule_files' must be a list",
    ),
    (
        "name: first",
        "nam: first",
        ":3:3: field nam not found in test",
    ),
    (
        "x{a=\"b\"}",
        "x{a=~\"b\"}",
        ":5:17: parse error: unexpected <op:=~> in label set",
    ),
    (
        "x{a=\"b\"}",
        "x{a=\"b\",a=\"c\"}",
        "label name \"a\" is not unique",
    ),
    (
        "6 7 8",
        "6 7,8",
        ":6:17: parse error: unexpected character in series sequence: ','",
    ),
    (
        "6 7 8",
        "6 7 8x",
        ":6:20: parse error: unexpected end of input in series values",
    ),
    (
        "6 7 8",
        "6+1 8",
        ":6:17: parse error: unexpected \" \" in series values",
    ),
    ("6 7 8", "6+1x2", ""),
    (
        "eval_time: 1m",
        "eval_time: 1",
        ":8:16: field 'eval_time': not a valid duration string: \"1\"",
    ),
    (
        "    alertname: High\n",
        "",
        "misses required attribute alertname at eval_time 1m (in TestGroup first)",
    ),
    (
        "expr: y",
        "expr: y +",
        "expr: \"y +\", time: 1m, err: 1:4: parse error: unexpected end of input",
    ),
    (
        "expr: y",
        "expr: y[5m]",
        "err: rule result is not a vector or scalar",
    ),
    (
        "labels: 'y{a=",
        "labels: 'y{=",
        "1:3: parse error: unexpected \"=\" in label set, expected identifier or \"}\" (t.yml:17:19)",
    ),
    (
        "tests:",
        "group_eval_order: [g, g]\ntests:",
        "group name repeated in evaluation order: g",
    ),
    (
        "tests:",
        "fuzzy_compare: perhaps\ntests:",
        ":2:16: field 'fuzzy_compare' must be true or false",
    ),
    ("{v: 7}", "{v: 8}", "Annotations:{v=\"8\"}"),
];

#[test]
fn what_is_wrong_is_said_with_its_place() {
    let folder = TempDir::new().expect("a folder");
    let write = |name: &str, text: &str| {
        std::fs::write(folder.path().join(name), text).expect("written");
    };
    write("r.yml", RULES);
    let mut wrong = Vec::new();
    for (from, to, reason) in VARIANTS {
        assert!(TEST.contains(from), "{from}");
        write("t.yml", &TEST.replacen(from, to, 1));
        let (passed, said) = run(folder.path(), &["t.yml"]);
        if passed != reason.is_empty() || !said.contains(reason) {
            wrong.push(format!("{to}: {passed}: {said}"));
        }
    }
    finish("variants of a unit test", VARIANTS.len(), 24, &wrong);
}

/// A broken test fails alone: the others of its file still run, and may be chosen.
#[test]
fn a_test_that_cannot_be_read_leaves_the_others_alone() {
    let folder = TempDir::new().expect("a folder");
    let broken = "- name: second\n  input_series:\n  - {series: 'x{', values: '1'}\n";
    std::fs::write(folder.path().join("r.yml"), RULES).expect("written");
    std::fs::write(folder.path().join("t.yml"), format!("{TEST}{broken}")).expect("written");
    assert!(run(folder.path(), &["--run=first", "t.yml"]).0);
    let (passed, said) = run(folder.path(), &["--junit=j.xml", "t.yml"]);
    assert!(!passed, "{said}");
    let junit = std::fs::read_to_string(folder.path().join("j.xml")).expect("written");
    let cases = "<testcase name=\"first\"></testcase><testcase name=\"second\"><failure>t.yml:";
    assert!(junit.contains(cases), "{junit}");
    assert!(
        junit.contains("tests=\"2\" failures=\"1\" errors=\"0\""),
        "{junit}"
    );
}
