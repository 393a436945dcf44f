//! Detectors that are told over HTTP to learn anew, in a server of several shards that is killed.

use serde_json::Value;

use crate::process::{Server, Setup, now_ms, wait_for};
use crate::sender::{Protocol, Series};

const RULES: &str = "
groups:
- name: models
  interval: 1s
  rules:
  - record: score
    expr: anomaly_zscore(level[10m], 'min_samples=5')
  - record: forest
    expr: anomaly_forest(level[10m], 'job', 'min_points=5,window_size=5,trees=3')
  - record: plain
    expr: max(level)
- name: others
  interval: 1s
  rules:
  - alert: Odd
    expr: abs(anomaly_mad(level[10m], 'min_samples=5')) > 1e9
";

fn scrape(server: &Server, at: i64, value: f64) {
    let of = |job: &str| Series::new("level").label("job", job).float(at, value);
    server.write(Protocol::V2, &[of("a"), of("b")]);
}

/// Waits until the rules have been evaluated in the second up to an instant, and returns how many
/// series of scores they have recorded in it.
fn scores(server: &Server, at: i64) -> [usize; 2] {
    let n_recorded = |name: &str| {
        server
            .query(&format!("count_over_time({name}[1s])"), at)
            .len()
    };
    wait_for("the rules to be evaluated", || {
        (n_recorded("plain") > 0).then_some(())
    });
    ["score", "forest"].map(n_recorded)
}

fn since(server: &Server) -> Vec<(String, Option<String>)> {
    let data = server.data("rules");
    let groups = data["groups"].as_array().expect("groups").iter();
    let rules = groups.flat_map(|group| group["rules"].as_array().expect("rules"));
    rules
        .map(|rule| {
            let name = rule["name"].as_str().expect("a name").to_owned();
            (name, rule["learnsSince"].as_str().map(str::to_owned))
        })
        .collect()
}

fn reset(server: &Server, parameters: &str) -> Value {
    let reply = server.post(&format!("/api/v1/detectors/reset?{parameters}"));
    assert_eq!(reply.status, 200, "{}", reply.text);
    reply.json()["data"].clone()
}

#[test]
fn a_reset_begins_warm_up_anew_and_survives_reloads_and_a_crash() {
    let setup = Setup::with_rules(RULES).flag("--web.enable-lifecycle");
    let server = setup.start();
    // Long enough ago for all scrapes below to be of the past.
    let begin = (now_ms() - 120_000) / 1000 * 1000;
    let at = |second: i64| begin + second * 1000;
    for second in 0..20 {
        scrape(&server, at(second), (second % 3) as f64);
    }
    assert_eq!(scores(&server, at(18)), [2, 1], "they have learned");
    let told = reset(&server, "group=models");
    let names = |told: &Value| -> Vec<String> {
        let rules = told["rules"].as_array().expect("rules").iter();
        rules
            .map(|rule| rule["name"].as_str().expect("a name").to_owned())
            .collect()
    };
    assert_eq!(names(&told), ["forest", "score"]);
    let reset_at = told["at"].as_str().expect("an instant").to_owned();
    let expected = [
        ("score".to_owned(), Some(reset_at.clone())),
        ("forest".to_owned(), Some(reset_at.clone())),
        ("plain".to_owned(), None),
        ("Odd".to_owned(), None),
    ];
    assert_eq!(since(&server), expected);
    for second in 20..25 {
        scrape(&server, at(second), (second % 3) as f64);
    }
    assert_eq!(scores(&server, at(23)), [0, 0], "warm-up has begun anew");

    // The same rules again, and after a crash: it is as it was.
    assert_eq!(server.post("/-/reload").status, 200);
    let server = server.killed().start();
    wait_for("the server to be ready", || {
        (server.get("/-/ready").status == 200).then_some(())
    });
    assert_eq!(since(&server), expected);
    for second in 25..45 {
        scrape(&server, at(second), (second % 3) as f64);
    }
    assert_eq!(scores(&server, at(43)), [2, 1], "they have learned anew");
    let explained = server.get("/api/v1/explain?rule=score&format=text").text;
    assert!(explained.contains("learn anew since"), "{explained}");

    // Labels that are others are a reset; and one is taken back.
    let labelled = RULES.replace(
        "- record: score",
        "- labels: {version: v2}\n    record: score",
    );
    server.write_file("rules.yml", &labelled);
    assert_eq!(server.post("/-/reload").status, 200);
    let (name, of_labels) = since(&server).remove(0);
    assert_eq!(name, "score");
    assert!(of_labels > Some(reset_at), "{of_labels:?}");
    reset(&server, "rule=score&rule=forest&at=0");
    assert!(since(&server).iter().all(|(_, since)| since.is_none()));
}
