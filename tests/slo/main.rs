//! Service level objectives from outside: what specifications compile to, and what that is worth.
//!
//! Catches a rule that Prometheus would not load, a value or an alert that differs from the one
//! that the tool's own rules give, a tier or a name that its tool does not have, a mistake in a
//! specification that is passed over, and an example in a help text that does not run.

#[macro_use]
#[path = "../support/say.rs"]
mod say;

mod bad_input;
mod commands;
mod pyrra;
mod sloth;
mod values;

use std::path::{Path, PathBuf};

use burnwatch::engine::unit_test::{TestOptions, run_test};
use burnwatch::functions::Functions;
use burnwatch::promql::Features;
use burnwatch::rule::test_file::parse_test_file;
use burnwatch::slo::{self, Compiled, Language, Layout, Options, Spec};

pub fn top() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Reads one of our own examples.
pub fn example(name: &str) -> String {
    std::fs::read_to_string(top().join("tests/data/slo").join(name)).expect("an example")
}

/// The corpora, if they are here.
pub fn corpora(test: &str) -> Option<PathBuf> {
    let shared = std::env::var_os("BURNWATCH_SHARED");
    if shared.is_none() {
        say!("skipped: BURNWATCH_SHARED is not set, so there are no corpora for {test}");
    }
    shared.map(|shared| Path::new(&shared).join("corpora/slo"))
}

pub fn read(text: &str) -> Result<Spec, Vec<slo::SpecError>> {
    let language = Language {
        functions: &Functions,
        features: Features::ALL,
    };
    slo::read(text, language)
}

pub fn compiled(text: &str, options: &Options) -> Compiled {
    let spec = read(text).unwrap_or_else(|errors| panic!("{errors:#?}\n{text}"));
    slo::compile(&spec, options)
}

/// The rules of a specification as a rule file.
pub fn rules(text: &str, options: &Options) -> String {
    let groups: Vec<_> = compiled(text, options)
        .slos
        .into_iter()
        .flat_map(|slo| slo.groups)
        .collect();
    slo::to_yaml(&groups, Layout::RuleFile, "", "").0
}

/// A series that a run has left behind: its labels as text, and its samples as text.
pub type Recorded = Vec<(String, Vec<String>)>;

/// Runs rules over the series of a test in promtool's format; returns all series.
pub fn run(rules: &str, test: &str) -> Recorded {
    let file = parse_test_file("test.yml", test).unwrap_or_else(|e| panic!("{e:?}\n{test}"));
    let options = TestOptions {
        dump: true,
        ..TestOptions::default()
    };
    let files = [("rules.yml".to_owned(), rules.to_owned())];
    let outcome = run_test(&file, &file.tests[0], &files, &options);
    assert_eq!(outcome.failures, Vec::<String>::new(), "{rules}");
    let (_, dump) = outcome.dump.expect("asked for");
    let mut series: Recorded = Vec::new();
    for line in dump.lines() {
        match line.strip_suffix(" =>") {
            Some(labels) => series.push((labels.to_owned(), Vec::new())),
            None => series
                .last_mut()
                .expect("labels first")
                .1
                .push(line.to_owned()),
        }
    }
    series.sort();
    series
}

/// Takes labels away from a set written as `{a="b", …}`.
pub fn without(labels: &str, names: &[&str]) -> String {
    let inner = labels.trim_start_matches('{').trim_end_matches('}');
    let pairs = inner.split("\", ").map(|pair| pair.trim_end_matches('"'));
    let kept = pairs.filter(|pair| {
        let name = pair.split('=').next().unwrap_or_default();
        !names.contains(&name)
    });
    let kept: Vec<String> = kept.map(|pair| format!("{pair}\"")).collect();
    format!("{{{}}}", kept.join(", "))
}

/// promtool, from PATH or as `tests/tools.sh` fetches it.
pub fn promtool() -> Option<PathBuf> {
    let fetched = top().join("target/tools/bin/promtool");
    [PathBuf::from("promtool"), fetched]
        .into_iter()
        .find(|path| {
            std::process::Command::new(path)
                .arg("--version")
                .output()
                .is_ok()
        })
}
