//! The same files before promtool and before us: exit code and standard output are equal, but
//! for empty lines, of which promtool 2 and 3 write different numbers.

use std::path::PathBuf;
use std::process::Command;

use crate::{BAD, Files, GOOD, Run, SHORT, TWICE};

/// Returns a promtool, from PATH or as `tests/tools.sh` fetches it.
fn promtool() -> Option<PathBuf> {
    let fetched = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("target/tools/bin/promtool");
    [PathBuf::from("promtool"), fetched]
        .into_iter()
        .find(|path| Command::new(path).arg("--version").output().is_ok())
}

fn lines(run: &Run) -> Vec<&str> {
    run.out.lines().filter(|line| !line.is_empty()).collect()
}

#[test]
fn exit_codes_and_output_are_promtools() {
    let Some(promtool) = promtool() else {
        say!("skipped: no promtool here; `make test` fetches one");
        return;
    };
    let config = "rule_files: [good.yml]\nscrape_configs: [{job_name: a, scrape_interval: 10m}]\n";
    let files = Files::of(&[
        ("good.yml", GOOD),
        ("short.yml", SHORT),
        ("twice.yml", TWICE),
        ("bad.yml", BAD),
        ("empty.yml", ""),
        ("config.yml", config),
        ("missing.yml", "rule_files: [none.yml]\n"),
        ("twice-config.yml", "rule_files: [twice.yml, good.yml]\n"),
        ("bad-config.yml", "rule_files: [bad.yml]\n"),
        (
            "jobs.yml",
            "scrape_configs: [{job_name: a}, {job_name: a}]\n",
        ),
    ]);
    let mut n_equal = 0;
    for words in [
        "rules good.yml",
        "rules good.yml short.yml empty.yml",
        "rules twice.yml",
        "rules --lint-fatal twice.yml good.yml",
        "rules --lint=none --lint-fatal twice.yml",
        "rules bad.yml",
        "rules bad.yml twice.yml --lint-fatal",
        "config config.yml",
        "config config.yml good.yml",
        "config --syntax-only config.yml",
        "config missing.yml",
        "config --syntax-only missing.yml",
        "config twice-config.yml",
        "config --lint-fatal twice-config.yml",
        "config --lint=none --lint-fatal twice-config.yml",
        "config bad-config.yml",
        "config jobs.yml",
    ] {
        let output = Command::new(&promtool)
            .arg("check")
            .args(words.split_whitespace())
            .current_dir(files.path())
            .output()
            .expect("promtool runs");
        let (theirs, ours) = (Run::of(&output), files.burnwatch(words));
        assert_eq!(
            (ours.code, lines(&ours)),
            (theirs.code, lines(&theirs)),
            "{words}\n{theirs:#?}\n{ours:#?}"
        );
        n_equal += 1;
    }
    say!("{n_equal} of {n_equal} runs of check as promtool's");
}
