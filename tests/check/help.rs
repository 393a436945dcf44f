//! Help texts teach by examples; each of them runs.

use std::process::Command;

use crate::{Files, GOOD};

fn help(words: &str) -> String {
    let run = Files::of(&[]).burnwatch(&format!("{words} --help"));
    assert_eq!(run.code, 0, "{run:#?}");
    run.out
}

#[test]
fn every_example_runs() {
    let config = "rule_files: [rules.yml]\n";
    let files = Files::of(&[
        ("rules.yml", GOOD),
        ("prometheus.yml", config),
        ("burnwatch.yml", "log: all\n"),
        ("web.yml", "http_server_config: {http2: false}\n"),
    ]);
    std::fs::create_dir(files.path().join("data")).expect("its place is free");
    let binary = env!("CARGO_BIN_EXE_burnwatch");
    let mut n_run = 0;
    for words in ["", "rules", "config", "web-config"] {
        for line in help(words).lines().filter_map(|l| l.strip_prefix("    ")) {
            // Asking a server has tests of its own.
            if !line.contains("burnwatch check") || line.contains("--against") {
                continue;
            }
            let line = line.replace("burnwatch check", &format!("{binary} check"));
            let output = Command::new("sh")
                .args(["-c", &line])
                .current_dir(files.path())
                .output()
                .expect("sh runs");
            assert!(output.status.success(), "{line}\n{output:#?}");
            n_run += 1;
        }
    }
    assert!(n_run >= 13, "only {n_run} examples were found");
}

#[test]
fn the_checks_are_listed() {
    let text = help("rules");
    for name in [
        "duplicate-rules",
        "short-window",
        "unseen-selector",
        "never-true",
    ] {
        assert!(text.contains(name), "{name}\n{text}");
    }
}
