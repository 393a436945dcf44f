//! The unit tests of the bundled rules, by our own command.
//!
//! tests/deploy.sh has promtool run those of them whose rules a Prometheus can read. Rules that
//! call functions of our own are tested here alone.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use burnwatch::rule::test_file::parse_test_file;

fn files(pattern: &str) -> Vec<PathBuf> {
    let pattern = format!("{}/{pattern}", env!("CARGO_MANIFEST_DIR"));
    let found: Vec<PathBuf> = glob::glob(&pattern).expect("a pattern").flatten().collect();
    assert!(!found.is_empty(), "{pattern}");
    found
}

fn burnwatch(words: &[&str], files: &[PathBuf]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_burnwatch"))
        .args(words)
        .args(files)
        .output()
        .expect("the binary runs");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let complained = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{words:?}\n{said}\n{complained}");
    said
}

#[test]
fn unit_tests_of_the_bundled_rules_pass() {
    burnwatch(&["test", "rules"], &files("rules/tests/*.test.yml"));
}

#[test]
fn unit_tests_of_the_mixin_pass() {
    burnwatch(&["test", "rules"], &files("deploy/mixin/tests/*.test.yml"));
}

#[test]
fn bundled_rules_have_nothing_to_be_advised_of_that_stops_a_build() {
    burnwatch(&["check", "rules"], &files("rules/*.yml"));
}

/// A file of tests that names no rule file of ours tests nothing.
#[test]
fn every_bundled_file_is_named_by_a_unit_test() {
    let name = |path: &Path| {
        path.file_name()
            .expect("a name")
            .to_string_lossy()
            .into_owned()
    };
    let mut untested: BTreeSet<String> = files("rules/*.yml").iter().map(|p| name(p)).collect();
    for path in files("rules/tests/*.test.yml") {
        let text = std::fs::read_to_string(&path).expect("readable");
        let parsed = parse_test_file(&name(&path), &text);
        let parsed = parsed.unwrap_or_else(|errors| panic!("{}: {errors:?}", path.display()));
        for file in parsed.rule_files {
            untested.remove(file.trim_start_matches("../"));
        }
    }
    assert_eq!(untested, BTreeSet::new());
}
