//! `--against`: what a running server knows, asked by the command line.

use std::process::Command;

use crate::process::{Server, Setup, now_ms, wait_for};
use crate::sender::{Protocol, Series};

const RULES: &str = "
groups:
- name: g
  interval: 1s
  rules:
  - {alert: Missing, expr: absent(level)}
  - {record: 'level:max', expr: 'max_over_time(level[1h])'}
  - {alert: High, expr: 'level:max > 5 unless on () quiet'}
";

fn explain(server: &Server, args: &[&str]) -> (bool, String) {
    let ran = Command::new(env!("CARGO_BIN_EXE_burnwatch"))
        .args([
            "explain",
            "--against",
            &format!("http://{}", server.address()),
        ])
        .args(args)
        .output()
        .expect("the binary runs");
    let text = [ran.stdout, ran.stderr].concat();
    (ran.status.success(), String::from_utf8(text).expect("text"))
}

fn check(server: &Server, args: &[&str], expected: &[&str]) {
    let (success, text) = explain(server, args);
    assert!(success, "{text}");
    for part in expected {
        assert!(text.contains(part), "{part:?} is not in\n{text}");
    }
}

#[test]
fn a_running_server_tells_how_warm_it_is_and_what_there_is() {
    let server = Setup::with_rules(RULES).start();
    let start = now_ms() - 20_000;
    for seconds in 0..20 {
        let at = start + seconds * 1000;
        let series = ["a", "b"].map(|job| Series::new("level").label("job", job).float(at, 1.0));
        server.write(Protocol::V2, &series);
    }
    wait_for("the evaluation", || {
        let text = server.get("/api/v1/explain?query=level&format=text").text;
        text.contains("2 now").then_some(())
    });
    check(
        &server,
        &["max_over_time(level[1h])"],
        &[
            "series       2 now, ",
            "rule         level:max (g, ",
            "kept since   20",
            "warm         not before 20",
        ],
    );
    check(
        &server,
        &["absent(level)"],
        &["series       2 now\n", "rule         Missing (g, "],
    );
    check(
        &server,
        &["nobody_reads_this"],
        &["series       0 now", "no loaded rule has this expression"],
    );
    let text = server.get("/api/v1/explain?rule=High&format=text").text;
    for part in [
        "level:max (g, ",
        "between ticks its expression as it stands now",
        "does not fire before its history is full",
        "level:max > 5 unless on () quiet: its right side may still be missing",
    ] {
        assert!(text.contains(part), "{part:?} is not in\n{text}");
    }
    let (success, text) = explain(
        &server,
        &[
            "info(level)",
            "--enable-feature=promql-experimental-functions",
        ],
    );
    assert!(
        !success && text.contains("function \"info\" is not enabled"),
        "{text}"
    );
}
