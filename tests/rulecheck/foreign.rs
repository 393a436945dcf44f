//! Rule files of other projects, read in place: Prometheus' own test files and a corpus of
//! published rule files. They are not part of this repository; `BURNWATCH_SHARED` names the
//! folder that has them, and without it these tests say so and pass.

use std::fs;
use std::path::{Path, PathBuf};

use burnwatch::functions::Functions;
use burnwatch::promql::Features;
use burnwatch::rule::{ParsedFile, RuleError, parse_file};

use crate::says;

fn shared(folder: &str) -> Option<PathBuf> {
    let found = std::env::var_os("BURNWATCH_SHARED").map(|root| PathBuf::from(root).join(folder));
    if found.is_none() {
        eprintln!("skipped: BURNWATCH_SHARED is not set, so there is no {folder}");
    }
    found.filter(|path| path.is_dir())
}

/// Returns the files below a folder, sorted.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("a readable folder") {
        let path = entry.expect("a readable entry").path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push(path);
        }
    }
    found.sort();
    found
}

fn parsed(path: &Path) -> Result<ParsedFile, Vec<RuleError>> {
    let text = fs::read_to_string(path).expect("a text file");
    parse_file(
        &path.display().to_string(),
        &text,
        &Functions,
        Features::default(),
    )
}

fn extension(path: &Path) -> &str {
    path.extension()
        .and_then(|extension| extension.to_str())
        .unwrap_or("")
}

/// Files of Prometheus' tests that are no valid rule files, besides `*.bad.yaml`: unit tests,
/// and rule files that are wrong on purpose.
fn is_refused_by_prometheus(path: &Path, text: &str) -> bool {
    let name = path
        .file_name()
        .and_then(|name| name.to_str())
        .unwrap_or("");
    let wrong = [
        "bad-rules-syntax.yml",
        "invalid_rules.yaml",
        "rules-bad.yml",
        "rules_extrafields.yml",
    ];
    // What is wrong depends on the naming scheme of before UTF-8 names, which is not offered.
    let is_legacy_only = name == "legacy_validation_annotation.bad.yaml";
    let is_unit_test = text.lines().any(|line| line.starts_with("tests:"));
    !is_legacy_only && (name.contains(".bad.") || wrong.contains(&name) || is_unit_test)
}

#[test]
fn prometheus_own_files_are_taken_and_refused_alike() {
    let Some(folder) = shared("conformance/rulefiles") else {
        return;
    };
    let mut failures = Vec::new();
    for path in files(&folder) {
        if !matches!(extension(&path), "yml" | "yaml") {
            continue;
        }
        let text = fs::read_to_string(&path).expect("a text file");
        match (parsed(&path), is_refused_by_prometheus(&path, &text)) {
            (Ok(_), true) => failures.push(format!("{} is accepted", path.display())),
            (Err(errors), false) => failures.push(format!("{errors:#?}")),
            _ => {}
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn published_files_load_or_are_refused_as_promtool_refuses_them() {
    let Some(folder) = shared("corpora/rules") else {
        return;
    };
    let (mut failures, mut n_rules, mut n_refused) = (Vec::new(), 0, 0);
    for path in files(&folder) {
        if !matches!(extension(&path), "yml" | "yaml" | "rules" | "j2") {
            continue;
        }
        let name = path.display().to_string();
        let said = fs::read_to_string(format!("{name}.err")).unwrap_or_default();
        // Objects of Kubernetes and files beside which promtool's message lies are refused.
        let is_refused = name.contains("/crd/") || !said.is_empty();
        match parsed(&path) {
            Ok(_) if is_refused => failures.push(format!("{name} is accepted")),
            Err(errors) if !is_refused => failures.push(format!("{errors:#?}")),
            Ok(file) => {
                n_rules += file
                    .groups
                    .iter()
                    .map(|group| group.rules.len())
                    .sum::<usize>()
            }
            Err(errors) => {
                n_refused += 1;
                let lines = said
                    .lines()
                    .map(str::trim)
                    .filter(|line| line.starts_with("line "));
                let missing = lines.filter(|line| !errors.iter().any(|error| says(error, line)));
                failures.extend(missing.map(|line| format!("{name}: {line}: {errors:#?}")));
            }
        }
    }
    println!("{n_rules} rules loaded, {n_refused} files refused as expected");
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}
