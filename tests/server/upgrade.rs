//! Data directories that earlier versions have left behind.
//!
//! `tests/data/storage/<format>` was made by a burnwatch of that format, killed in the middle of its
//! work: a log, history, checkpoints with a log behind them, and what it answered last. Catches: a
//! format that was changed and not counted, or is no longer read.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::process::{Server, Setup, wait_for};

/// A file of history takes its room when it is begun; what lies behind its records is not recorded.
const CHUNKS_BYTES: usize = 16 << 20;

/// Nothing happens by the clock: it is years later.
const CONFIG: &str = "\
rule_files: [rules.yml]
burnwatch: {checkpoint_interval: 1s, idle_timeout: 1h, backlog_timeout: 1h}
";

/// Puts what was recorded into a directory.
fn put(mut setup: Setup, from: &Path, name: &str) -> Setup {
    for entry in std::fs::read_dir(from).expect("the folder is there") {
        let path = entry.expect("it is readable").path();
        let file = path.file_name().expect("it has one").to_string_lossy();
        let name = format!("{name}/{file}");
        if path.is_dir() {
            setup = put(setup, &path, &name);
            continue;
        }
        let mut bytes = std::fs::read(&path).expect("it is readable");
        if name.ends_with(".chunks") {
            bytes.resize(CHUNKS_BYTES, 0);
        }
        setup = setup.bytes(&name, &bytes);
    }
    setup
}

/// Tells whether an answer holds all that another did; lists in any order, and more may have come.
fn holds(found: &Value, wanted: &Value) -> bool {
    match (found, wanted) {
        (Value::Object(found), Value::Object(wanted)) => wanted.iter().all(|(name, wanted)| {
            let found = found.get(name);
            found.is_some_and(|found| holds(found, wanted))
        }),
        (Value::Array(found), Value::Array(wanted)) => {
            let is_there = |wanted| found.iter().any(|found| holds(found, wanted));
            found.len() == wanted.len() && wanted.iter().all(is_there)
        }
        _ => found == wanted,
    }
}

/// Asks for all that was answered before.
fn assert_answers(server: &Server, answers: &str) {
    wait_for("the log to be applied", || {
        (server.get("/-/ready").status == 200).then_some(())
    });
    for (path, answer) in answers.lines().zip(answers.lines().skip(1)).step_by(2) {
        let wanted = serde_json::from_str(answer).expect("it was an answer");
        let found = server.get(path).json();
        assert!(holds(&found, &wanted), "{path}: {found} for {wanted}");
    }
}

/// Starts with what a format has left, without the newest checkpoint or with it, and once more with
/// what it has then written itself.
fn check(format: &str, is_newest_gone: bool) {
    let folder: PathBuf = [env!("CARGO_MANIFEST_DIR"), "tests/data/storage", format]
        .iter()
        .collect();
    let read = |name: &str| std::fs::read_to_string(folder.join(name)).expect("it is there");
    let answers = read("answers.txt");
    let setup = Setup::new()
        .file("prometheus.yml", CONFIG)
        .file("rules.yml", &read("rules.yml"))
        .flag("--config.file=prometheus.yml");
    let mut setup = put(setup, &folder.join("data"), "data");
    if is_newest_gone {
        for shard in 0..2 {
            let folder = folder.join(format!("data/checkpoints/{shard}"));
            let files = std::fs::read_dir(folder).expect("it is there");
            let newest = files.map(|file| file.expect("it is readable").file_name());
            let newest = newest.max().expect("there are two");
            let name = format!("data/checkpoints/{shard}/{}", newest.to_string_lossy());
            setup = setup.bytes(&name, b"torn");
        }
    }
    let server = setup.start();
    assert_answers(&server, &answers);
    let log = server.log();
    assert!(log.contains("a checkpoint is loaded"), "{log}");
    assert_eq!(log.contains("WARN"), is_newest_gone, "{log}");
    wait_for("checkpoints of today's format", || {
        let written = server.metric("burnwatch_checkpoints_written_total");
        written.filter(|written| *written >= 2.0)
    });
    let server = server.killed().start();
    assert_answers(&server, &answers);
}

#[test]
fn what_a_version_of_the_first_formats_has_left_is_gone_on_from() {
    check("format-1", false);
    check("format-1", true);
}
