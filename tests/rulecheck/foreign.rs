//! Rule files of other projects, read in place: Prometheus' own test files and a corpus of
//! published rule files. They are not part of this repository; `BURNWATCH_SHARED` names the
//! folder that has them, and without it these tests say so and pass.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use burnwatch::engine::compile;
use burnwatch::functions::Functions;
use burnwatch::model::{Dialect, EngineSettings, NameValidation, RuleFormat, RuleSource};
use burnwatch::rule::{ParseOptions, ParsedFile, RuleError, parse_file};

use crate::recorded::says;

fn shared(folder: &str) -> Option<PathBuf> {
    let found = std::env::var_os("BURNWATCH_SHARED").map(|root| PathBuf::from(root).join(folder));
    if found.is_none() {
        say!("skipped: BURNWATCH_SHARED is not set, so there is no {folder}");
    }
    found.filter(|path| path.is_dir())
}

/// Returns the files below a folder that may be rule files, sorted.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("a readable folder") {
        let path = entry.expect("a readable entry").path();
        let extension = path.extension().and_then(|extension| extension.to_str());
        if path.is_dir() {
            found.extend(files(&path));
        } else if matches!(extension, Some("yml" | "yaml" | "rules" | "j2")) {
            found.push(path);
        }
    }
    found.sort();
    found
}

fn parsed(path: &Path, format: RuleFormat) -> Result<ParsedFile, Vec<RuleError>> {
    let text = fs::read_to_string(path).expect("a text file");
    let options = ParseOptions {
        format,
        ..ParseOptions::default()
    };
    parse_file(&path.display().to_string(), &text, &Functions, options)
}

fn n_rules(file: &ParsedFile) -> usize {
    file.groups.iter().map(|group| group.rules.len()).sum()
}

/// The files of Prometheus' tests that it refuses as rule files, each with promtool's place
/// (`line:column`, a line alone for its decoder, empty where it names none) and words; the others it accepts.
const REFUSED: [(&str, &str, &str); 30] = [
    (
        "cmd/promtool/testdata/at-modifier-test.yml",
        "1",
        "field rule_files not found in rule",
    ),
    (
        "cmd/promtool/testdata/bad-input-series.yml",
        "1",
        "field tests not found in rule",
    ),
    (
        "cmd/promtool/testdata/bad-promql.yml",
        "1",
        "field tests not found in rule",
    ),
    (
        "cmd/promtool/testdata/bad-rules-error-test.yml",
        "1",
        "field rule_files not found in rule",
    ),
    (
        "cmd/promtool/testdata/bad-rules-syntax-test.yml",
        "1",
        "field rule_files not found in rule",
    ),
    (
        "cmd/promtool/testdata/bad-rules-syntax.yml",
        "7:15",
        "parse error: unexpected end of input",
    ),
    (
        "cmd/promtool/testdata/failing.yml",
        "1",
        "field rule_files not found in rule",
    ),
    (
        "cmd/promtool/testdata/long-period.yml",
        "2",
        "field evaluation_interval not found in rule",
    ),
    (
        "cmd/promtool/testdata/negative-offset-test.yml",
        "1",
        "field rule_files not found in rule",
    ),
    (
        "cmd/promtool/testdata/no-test-group-interval.yml",
        "1",
        "field tests not found in rule",
    ),
    (
        "cmd/promtool/testdata/rules-bad.yml",
        "",
        "annotation \"summary\": template: __alert_InstanceDown:1: undefined variable \"$label\"",
    ),
    (
        "cmd/promtool/testdata/rules_extrafields.yml",
        "7",
        "field namespace not found in rule",
    ),
    (
        "cmd/promtool/testdata/rules_run.yml",
        "1",
        "field rule_files not found in rule",
    ),
    (
        "cmd/promtool/testdata/rules_run_extrafields.yml",
        "4",
        "field rule_files not found in rule",
    ),
    (
        "cmd/promtool/testdata/rules_run_fuzzy.yml",
        "5",
        "field evaluation_interval not found in rule",
    ),
    (
        "cmd/promtool/testdata/rules_run_no_fuzzy.yml",
        "4",
        "field evaluation_interval not found in rule",
    ),
    (
        "cmd/promtool/testdata/start-time-test.yml",
        "1",
        "field rule_files not found in rule",
    ),
    (
        "cmd/promtool/testdata/unittest.yml",
        "1",
        "field rule_files not found in rule",
    ),
    (
        "model/rulefmt/testdata/bad_expr.bad.yaml",
        "5:15",
        "parse error: expected type range vector in call to function \"rate\", got instant vector",
    ),
    (
        "model/rulefmt/testdata/bad_field.bad.yaml",
        "8",
        "field annotation not found in rule",
    ),
    (
        "model/rulefmt/testdata/duplicate_grp.bad.yaml",
        "",
        "groupname: \"yolo\" is repeated in the same file",
    ),
    (
        "model/rulefmt/testdata/invalid_label_name.bad.yaml",
        "",
        "invalid label name: __name__",
    ),
    (
        "model/rulefmt/testdata/invalid_record_name.bad.yaml",
        "4:17",
        "braces present in the recording rule name; should it be in expr?: strawberry{flavor=\"sweet\"}",
    ),
    (
        "model/rulefmt/testdata/legacy_validation_annotation.bad.yaml",
        "",
        "invalid annotation name: ",
    ),
    (
        "model/rulefmt/testdata/no_rec_alert.bad.yaml",
        "",
        "one of 'record' or 'alert' must be set",
    ),
    (
        "model/rulefmt/testdata/noexpr.bad.yaml",
        "",
        "field 'expr' must be set in rule",
    ),
    (
        "model/rulefmt/testdata/record_and_alert.bad.yaml",
        "4:17",
        "only one of 'record' and 'alert' must be set",
    ),
    (
        "model/rulefmt/testdata/record_and_for.bad.yaml",
        "4:17",
        "invalid field 'for' in recording rule",
    ),
    (
        "model/rulefmt/testdata/record_and_keep_firing_for.bad.yaml",
        "4:17",
        "invalid field 'keep_firing_for' in recording rule",
    ),
    (
        "rules/fixtures/invalid_rules.yaml",
        "6",
        "field unexpected_field not found in rule",
    ),
];

/// The naming scheme that Prometheus' own test of a file sets.
fn scheme(name: &str) -> RuleFormat {
    let names = match name.contains("/legacy_validation") {
        true => NameValidation::Legacy,
        false => NameValidation::Utf8,
    };
    RuleFormat {
        names,
        ..RuleFormat::default()
    }
}

#[test]
fn prometheus_own_files_are_taken_and_refused_alike() {
    let Some(folder) = shared("conformance/rulefiles") else {
        return;
    };
    let (mut failures, mut n_files, mut n_refused) = (Vec::new(), 0, 0);
    for path in files(&folder) {
        let name = path
            .strip_prefix(&folder)
            .expect("below it")
            .display()
            .to_string();
        let refused = REFUSED.iter().find(|(file, ..)| *file == name);
        n_files += 1;
        n_refused += usize::from(refused.is_some());
        let at = |error: &RuleError, place: &str| {
            let both = format!("{}:{}", error.line, error.column);
            place.is_empty() || place == both || place == error.line.to_string()
        };
        match (parsed(&path, scheme(&name)), refused) {
            (Ok(_), Some(_)) => failures.push(format!("{name} is accepted")),
            (Err(errors), None) => failures.push(format!("{name}: {errors:#?}")),
            (Err(errors), Some((_, place, words))) => {
                let is_meant = |e: &RuleError| at(e, place) && e.message.contains(words);
                if !errors.iter().any(is_meant) {
                    failures.push(format!("{name}: no {words:?} at {place}: {errors:#?}"));
                }
            }
            (Ok(_), None) => {}
        }
    }
    let n_right = n_files - failures.len();
    say!("{n_right} of {n_files} files of Prometheus' tests: {n_refused} are refused alike");
    assert_eq!(n_refused, REFUSED.len());
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// Returns the number of rules that the list of sources states for each repository.
fn stated(sources: &str) -> BTreeMap<String, usize> {
    let rows = sources
        .lines()
        .filter(|line| line.starts_with("| ") && line.contains('/'));
    rows.filter_map(|row| {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        Some((cells[1].replace('/', "__"), cells.get(7)?.parse().ok()?))
    })
    .collect()
}

/// What came of the corpus.
#[derive(Default)]
struct Tally {
    /// Rules of each repository, those of invalid files under their dialect included.
    rules: BTreeMap<String, usize>,
    n_accepted: usize,
    n_refused: usize,
    n_resources: usize,
    n_trimmed: usize,
    by_dialect: BTreeMap<String, usize>,
    failures: Vec<String>,
}

/// The repository with the one published file that has expressions of another language, and the
/// number of that file's rules.
const METRICSQL: (&str, usize) = ("VictoriaMetrics__VictoriaMetrics", 13);

#[test]
fn published_files_load_or_are_refused_as_promtool_refuses_them() {
    let Some(folder) = shared("corpora/rules") else {
        return;
    };
    let mut tally = Tally::default();
    for path in files(&folder) {
        let name = path
            .strip_prefix(&folder)
            .expect("below it")
            .display()
            .to_string();
        tally.take(&path, &name);
    }
    let sources = fs::read_to_string(folder.join("SOURCES.md")).expect("the list of sources");
    let mut stated = stated(&sources);
    *stated.get_mut(METRICSQL.0).expect("listed") -= METRICSQL.1;
    say!(
        "{} published files load and compile, {} refused as promtool refuses them, {} of these \
         accepted in their dialect ({:?}); {} of {} rules of them; {} resources of Kubernetes and \
         {} files without Thanos' field load",
        tally.n_accepted,
        tally.n_refused,
        tally.by_dialect.values().sum::<usize>(),
        tally.by_dialect,
        tally.rules.values().sum::<usize>(),
        stated.values().sum::<usize>() + METRICSQL.1,
        tally.n_resources,
        tally.n_trimmed,
    );
    assert!(tally.failures.is_empty(), "{}", tally.failures.join("\n"));
    assert_eq!(tally.rules, stated);
    assert_eq!((tally.n_accepted, tally.n_refused), (406, 69));
    assert_eq!((tally.n_resources, tally.n_trimmed), (7, 65));
}

impl Tally {
    fn take(&mut self, path: &Path, name: &str) {
        if name.contains("/invalid/") {
            return self.take_invalid(path, name);
        }
        match parsed(path, RuleFormat::default()) {
            Err(errors) => self.failures.push(format!("{name}: {errors:#?}")),
            Ok(file) => {
                self.compile(path, name);
                if name.contains("/crd/") {
                    self.n_resources += 1;
                } else if name.contains("/without-thanos-fields/") {
                    self.n_trimmed += 1;
                } else {
                    self.n_accepted += 1;
                    self.count(name, &file);
                }
            }
        }
    }

    fn count(&mut self, name: &str, file: &ParsedFile) {
        let repository = name.split('/').next().unwrap_or_default().to_owned();
        *self.rules.entry(repository).or_default() += n_rules(file);
    }

    fn compile(&mut self, path: &Path, name: &str) {
        let text = fs::read_to_string(path).expect("a text file");
        let source = RuleSource {
            files: vec![(name.to_owned(), text)],
            settings: EngineSettings::default(),
        };
        if let Err(errors) = compile(&source) {
            self.failures
                .push(format!("{name} does not compile: {errors:#?}"));
        }
    }

    fn take_invalid(&mut self, path: &Path, name: &str) {
        let said = fs::read_to_string(format!("{}.err", path.display())).expect("a message");
        match parsed(path, RuleFormat::default()) {
            Ok(_) => self.failures.push(format!("{name} is accepted")),
            Err(errors) => {
                self.n_refused += 1;
                for line in messages(&said) {
                    if !errors.iter().any(|error| says(error, line)) {
                        self.failures.push(format!("{name}: {line}: {errors:#?}"));
                    }
                }
            }
        }
        let dialect = match name.starts_with(METRICSQL.0) {
            true => Dialect::Vmalert,
            false => Dialect::Thanos,
        };
        let format = RuleFormat {
            dialect,
            ..RuleFormat::default()
        };
        let is_metricsql = said.contains("could not parse expression");
        match (parsed(path, format), is_metricsql) {
            (Ok(file), false) => {
                *self.by_dialect.entry(dialect.to_string()).or_default() += 1;
                self.count(name, &file);
            }
            (Err(errors), true) => {
                let hints = errors.iter().filter_map(|error| error.hint.as_deref());
                if !hints.into_iter().any(|hint| hint.contains("MetricsQL")) {
                    self.failures.push(format!("{name}: no hint: {errors:#?}"));
                }
            }
            (outcome, _) => self
                .failures
                .push(format!("{name} as {dialect}: {outcome:#?}")),
        }
    }
}

/// Returns the messages of what promtool printed, without the file's name.
fn messages(said: &str) -> Vec<&str> {
    let lines = said
        .lines()
        .map(str::trim)
        .filter(|line| *line != "FAILED:");
    let text = |line: &'_ str| -> usize { line.find(": ").map_or(0, |at| at + 2) };
    lines
        .filter(|line| !line.is_empty())
        .map(|line| match line.starts_with("line ") {
            true => line,
            false => &line[text(line)..],
        })
        .collect()
}
