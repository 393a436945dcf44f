//! Data directories that earlier versions have left behind.
//!
//! `tests/data/storage/<format>` was made by a burnwatch of that format, killed in the middle of its
//! work: a log, history, checkpoints with a log behind them, and what it answered last. Catches: a
//! format that was changed and not counted, or is no longer read.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::process::{Server, Setup, wait_for};

fn recorded(format: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/storage");
    folder.join(format)
}

/// Returns an answer as what can be compared: alerts come in no order.
fn in_order(mut answer: Value) -> Value {
    for list in ["alerts", "result"] {
        if let Some(list) = answer["data"][list].as_array_mut() {
            list.sort_by_key(Value::to_string);
        }
    }
    answer
}

/// Asks for all that was answered before.
fn assert_answers(server: &Server, answers: &str) {
    wait_for("the log to be applied", || {
        (server.get("/-/ready").status == 200).then_some(())
    });
    for (path, answer) in answers.lines().zip(answers.lines().skip(1)).step_by(2) {
        let wanted = serde_json::from_str(answer).expect("it was an answer");
        let found = server.get(path).json();
        assert_eq!(in_order(found), in_order(wanted), "{path}");
    }
}

#[test]
fn what_a_version_of_the_first_formats_has_left_is_gone_on_from() {
    let folder = recorded("format-1");
    let read = |name: &str| std::fs::read_to_string(folder.join(name)).expect("it is there");
    let answers = read("answers.txt");
    let setup = Setup::with_config("burnwatch: {checkpoint_interval: 1s}\n", &read("rules.yml"));
    let server = setup.copied(&folder.join("data"), "data").start();
    assert_answers(&server, &answers);
    let log = server.log();
    assert!(log.contains("a checkpoint is loaded"), "{log}");
    assert!(!log.contains("WARN"), "{log}");
    // And once more from what it has written itself.
    let written = "burnwatch_checkpoints_written_total";
    wait_for("checkpoints of today's format", || {
        let n: f64 = (0..2)
            .filter_map(|shard| server.metric(&format!("{written}{{shard=\"{shard}\"}}")))
            .sum();
        (n >= 2.0).then_some(())
    });
    let server = server.killed().start();
    assert_answers(&server, &answers);
}
