//! What a server measured is frozen by `burnwatch baseline capture` and served by another.
//!
//! Catches: a capture that cannot be loaded, labels that no longer pair, a histogram whose schema
//! is lost on the way through the API, a missing baseline that nobody hears of.

use std::process::Command;

use crate::process::{Server, Setup, now_ms, wait_for};
use crate::sender::{Protocol, Series};

const RULES: &str = r#"
groups:
- name: drift
  rules:
  - record: drift
    expr: 'drift_psi(rate(score_bucket[1m]), score_bucket:baseline)'
  - record: native_drift
    expr: 'drift_js(rate(latency[1m]), latency:baseline)'
"#;

fn score(le: &str, instance: &str) -> Series {
    let series = Series::new("score_bucket").label("instance", instance);
    series
        .label("le", le)
        .label("model", "a")
        .label("version", "v1")
}

/// Sends five scrapes of two replicas.
fn send(server: &Server, end: i64) {
    for step in 0..5 {
        let at = end - 60_000 + step * 15_000;
        let mut series = Vec::new();
        for instance in ["1", "2"] {
            series.push(score("0.5", instance).float(at, (step * 30) as f64));
            series.push(score("+Inf", instance).float(at, (step * 40) as f64));
        }
        let latency = Series::new("latency").label("model", "a");
        series.push(latency.histogram(at, 10 * (step as u64 + 1)));
        server.write(Protocol::V2, &series);
    }
}

/// Runs a command, which must succeed; returns what it wrote.
fn burnwatch(args: &[&str]) -> String {
    let run = Command::new(env!("CARGO_BIN_EXE_burnwatch"))
        .args(args)
        .output();
    let run = run.expect("the program runs");
    let (out, err) = (
        run.stdout,
        String::from_utf8_lossy(&run.stderr).into_owned(),
    );
    assert!(run.status.success(), "{args:?}: {err}");
    String::from_utf8(out).expect("text")
}

fn keep_all() -> Setup {
    Setup::with_rules(RULES)
        .file("burnwatch.yml", "log: all\nretention: 1d\n")
        .flag("--burnwatch.config.file=burnwatch.yml")
}

#[test]
fn what_is_captured_from_one_server_is_compared_with_in_another() {
    let end = now_ms() - 5_000;
    let server = keep_all().start();
    send(&server, end);
    let said = wait_for("the missing baseline in the log", || {
        let log = server.log();
        log.contains("reads score_bucket:baseline, which no baseline has")
            .then_some(log)
    });
    assert!(said.contains("reads latency:baseline"), "{said}");
    let missing = wait_for("the series that says so", || {
        let lines = server.query("count(burnwatch_baseline_missing)", end);
        (!lines.is_empty()).then_some(lines)
    });
    assert_eq!(missing, ["{} 2"]);
    let folder = tempfile::tempdir().expect("a folder");
    let (address, at) = (server.address(), end as f64 / 1000.0);
    let capture = |selector: &str, without: &str, file: &str| {
        let path = folder.path().join(file);
        let (server, at) = (format!("--server=http://{address}"), format!("--at={at}"));
        let selector = format!("--selector={selector}");
        let output = format!("--output={}", path.display());
        let mut args = vec![
            "baseline",
            "capture",
            "--from=1m",
            &server,
            &at,
            &selector,
            &output,
        ];
        args.extend(Some(without).filter(|without| !without.is_empty()));
        burnwatch(&args);
        assert!(burnwatch(&["baseline", "check", &path.display().to_string()]).contains("series"));
        std::fs::read_to_string(path).expect("it is written")
    };
    let scores = capture("score_bucket", "--without=instance,version", "score.yml");
    assert!(scores.contains("versions: 'v1'"), "{scores}");
    let is_series = |line: &&str| line.starts_with("  - ");
    let series: Vec<&str> = scores.lines().filter(is_series).collect();
    assert_eq!(series.len(), 2, "{scores}");
    assert!(
        series[0].contains(r#"score_bucket:baseline{le="+Inf",model="a"} "#),
        "{scores}"
    );
    let latency = capture("latency", "", "latency.yml");
    assert!(
        latency.contains(r#"latency:baseline{model="a"} {{"#),
        "{latency}"
    );

    // Replicas are apart in the first server's series; the second is asked about their sum.
    let rules = RULES.replace(
        "rate(score_bucket[1m])",
        "sum by (model, le) (rate(score_bucket[1m]))",
    );
    let own = "log: all\nretention: 1d\nbaseline_files: [score.yml, latency.yml]\n";
    let other = Setup::with_rules(&rules)
        .file("burnwatch.yml", own)
        .flag("--burnwatch.config.file=burnwatch.yml")
        .file("score.yml", &scores)
        .file("latency.yml", &latency)
        .start();
    send(&other, end);
    let drift = wait_for("both comparisons", || {
        let lines = other.query(r#"{__name__=~"drift|native_drift"}"#, end);
        (lines.len() == 2).then_some(lines)
    });
    for (line, name) in drift.iter().zip(["drift", "native_drift"]) {
        let value = line.strip_prefix(&format!("{name}{{model=\"a\"}} "));
        let value: f64 = value.and_then(|value| value.parse().ok()).expect(line);
        assert!(value.abs() < 1e-12, "{line}");
    }
    assert_eq!(
        other.query("burnwatch_baseline_missing", end),
        Vec::<String>::new()
    );
}

#[test]
fn a_baseline_that_cannot_be_loaded_is_refused_whole() {
    let refused = |own: &str, file: &str| {
        keep_all()
            .file("burnwatch.yml", own)
            .file("b.yml", file)
            .refused()
    };
    let own = "baseline_files: [b.yml]\n";
    let said = refused(own, "baseline:\nseries:\n  - 'x{'\n");
    assert!(said.contains("b.yml:3:5"), "{said}");
    let said = refused(own, "groups: []\n");
    assert!(said.contains("is no baseline"), "{said}");
    let said = refused("baseline_files: [none/*.yml]\n", "");
    assert!(said.contains("no baseline file is found"), "{said}");
}
