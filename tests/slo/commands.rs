//! `burnwatch slo` from outside.

use std::process::{Command, Output};

use tempfile::TempDir;

use crate::{example, top};

fn directory() -> TempDir {
    let directory = TempDir::new().unwrap();
    for (name, of) in [
        ("slo.yml", "predictor.yml"),
        ("sloth.yml", "sloth.yml"),
        ("windows.yml", "alert-windows.yml"),
    ] {
        std::fs::write(directory.path().join(name), example(of)).unwrap();
    }
    directory
}

fn burnwatch(directory: &TempDir, words: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_burnwatch"));
    command
        .args(words)
        .current_dir(directory.path())
        .output()
        .unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn every_example_of_the_help_runs() {
    let directory = directory();
    let help = burnwatch(&directory, &["slo", "--help"]);
    let help = text(&help.stdout);
    let mut n_run = 0;
    for line in help
        .lines()
        .filter_map(|line| line.strip_prefix("    burnwatch "))
    {
        let words: Vec<&str> = line.split_whitespace().collect();
        let output = burnwatch(&directory, &words);
        assert!(output.status.success(), "{line}\n{output:#?}");
        n_run += 1;
    }
    assert_eq!(n_run, 6, "{help}");
    // What -o wrote is what a server loads.
    let rules = burnwatch(
        &directory,
        &[
            "check",
            "rules",
            "compiled/slo.rules.yml",
            "compiled/sloth.rules.yml",
        ],
    );
    assert!(rules.status.success(), "{rules:#?}");
}

#[test]
fn the_budget_is_told_in_minutes() {
    let output = burnwatch(&directory(), &["slo", "explain", "slo.yml"]);
    let said = text(&output.stdout);
    for part in [
        "predictor/availability (burnwatch/v1)",
        "objective   99.9 % over 30d",
        "0.1 % of all that happens; as a total outage 43.2 min (43 m 12 s) in 30d, 86.4 s a day",
        "page P1    1h and 5m   14.4  1.44 %       2 %          51.8 s          1 m 44 s  8 m 38 s   4 m 56 s",
        "ticket P4  3d and 6h   1     0.1 %",
        "maintenance time with planned_retraining{service=\"predictor\"} > 0 does not count",
    ] {
        assert!(said.contains(part), "{part}\n{said}");
    }
}

#[test]
fn what_is_wrong_is_told_with_its_place() {
    let directory = directory();
    let path = directory.path().join("bad.yml");
    std::fs::write(
        path,
        example("predictor.yml").replace("objective: 99.9", "objective: 100"),
    )
    .unwrap();
    let output = burnwatch(&directory, &["slo", "compile", "bad.yml"]);
    assert!(!output.status.success());
    let said = text(&output.stderr);
    assert!(
        said.contains(
            "bad.yml:10:16: SLO \"availability\" of service \"predictor\": an objective of 100 %"
        ),
        "{said}"
    );
    assert!(said.contains("hint: say what share may fail"), "{said}");
    let output = burnwatch(
        &directory,
        &["slo", "compile", "--windows=none.yml", "slo.yml"],
    );
    assert!(
        text(&output.stderr).contains("there is no such file"),
        "{output:#?}"
    );
}

#[test]
fn a_specification_is_a_rule_file_to_the_other_commands() {
    let directory = directory();
    let rules = burnwatch(
        &directory,
        &["check", "rules", "--lint=all", "slo.yml", "sloth.yml"],
    );
    assert!(rules.status.success(), "{rules:#?}");
    assert_eq!(
        text(&rules.stdout).matches("SUCCESS: ").count(),
        2,
        "{rules:#?}"
    );
    std::fs::write(
        directory.path().join("prometheus.yml"),
        "rule_files: [slo.yml, sloth.yml]\n",
    )
    .unwrap();
    let config = burnwatch(&directory, &["check", "config", "prometheus.yml"]);
    assert!(config.status.success(), "{config:#?}");
    std::fs::write(
        directory.path().join("slo.yml"),
        example("predictor.yml").replace("sli:", "slie:"),
    )
    .unwrap();
    let config = burnwatch(&directory, &["check", "config", "prometheus.yml"]);
    assert!(!config.status.success(), "{config:#?}");
    assert!(
        text(&config.stderr).contains("slo.yml:11:5: field slie not found"),
        "{config:#?}"
    );
}

#[test]
fn a_resource_of_the_operator_is_a_rule_file_too() {
    let directory = directory();
    let args = [
        "slo",
        "compile",
        "--format=prometheus-rule",
        "-o",
        "r.yml",
        "slo.yml",
    ];
    assert!(burnwatch(&directory, &args).status.success());
    let rules = burnwatch(&directory, &["check", "rules", "r.yml"]);
    assert!(rules.status.success(), "{rules:#?}");
    let written = std::fs::read_to_string(directory.path().join("r.yml")).unwrap();
    assert!(
        written.contains("kind: PrometheusRule\nmetadata:\n  name: slo-slo\n"),
        "{written}"
    );
}

/// The page on objectives shows what the commands say.
#[test]
fn the_commands_of_the_page_run_and_say_what_it_shows() {
    let page = std::fs::read_to_string(top().join("docs/SLO.md")).unwrap();
    let mut n_run = 0;
    for line in page
        .lines()
        .filter_map(|line| line.strip_prefix("burnwatch "))
    {
        let mut command = Command::new(env!("CARGO_BIN_EXE_burnwatch"));
        let output = command
            .args(line.split_whitespace())
            .current_dir(top())
            .output()
            .unwrap();
        assert!(output.status.success(), "{line}\n{output:#?}");
        n_run += 1;
    }
    assert_eq!(n_run, 8);
    let (_, behind) = page
        .split_once("says what that means:\n\n```text\n")
        .expect("a block");
    let (shown, _) = behind.split_once("```").expect("its end");
    let directory = TempDir::new().unwrap();
    let (_, first) = page
        .split_once("## A first one\n\n```yaml\n")
        .expect("a specification");
    let (first, _) = first.split_once("```").expect("its end");
    std::fs::write(directory.path().join("slo.yml"), first).unwrap();
    let output = burnwatch(&directory, &["slo", "explain", "slo.yml"]);
    assert_eq!(text(&output.stdout), shown);
}
