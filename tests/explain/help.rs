//! Every example of `burnwatch explain --help` runs as it is written.

use std::process::{Command, Output};

use crate::process::Setup;

fn burnwatch(args: &[String]) -> Output {
    let ran = Command::new(env!("CARGO_BIN_EXE_burnwatch"))
        .args(args)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output();
    ran.expect("the binary runs")
}

/// Splits a line at blanks outside of single quotes.
fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    for (at, part) in line.split('\'').enumerate() {
        if at % 2 == 1 {
            words.push(part.to_owned());
        } else {
            words.extend(part.split_whitespace().map(str::to_owned));
        }
    }
    words
}

#[test]
fn every_example_of_the_help_runs() {
    let help = burnwatch(&["explain".to_owned(), "--help".to_owned()]);
    let help = String::from_utf8(help.stdout).expect("text");
    let server =
        Setup::with_rules("groups: [{name: g, rules: [{alert: A, expr: up == 0}]}]").start();
    let address = format!("http://{}", server.address());
    let examples = help
        .lines()
        .filter_map(|line| line.strip_prefix("    burnwatch "));
    let mut n_run = 0;
    for example in examples {
        let line = example.replace("http://127.0.0.1:9099", &address);
        let ran = burnwatch(&words(&line));
        let said = String::from_utf8_lossy(&ran.stderr);
        assert!(ran.status.success(), "{example}: {said}");
        assert!(!ran.stdout.is_empty(), "{example}");
        n_run += 1;
    }
    say!("{n_run} of {n_run} examples run");
    assert!(n_run >= 7, "{n_run}");
}
