//! A reload: groups that run stay where they are, with their alerts and their history.

use burnwatch::model::EngineSettings;

use crate::load::Request;
use crate::processes::{Process, loaded};

/// Returns which shard evaluates each group, as `shard group`.
fn places(process: &Process) -> Vec<String> {
    let mut found = Vec::new();
    for (at, engine) in process.engines.iter().enumerate() {
        found.extend(
            engine
                .groups()
                .iter()
                .map(|group| format!("{at} {}", group.name)),
        );
    }
    found.sort();
    found
}

fn push(process: &mut Process, seconds: f64) {
    let samples = vec![("x{job=j}", seconds, 9.0), ("y{job=j}", seconds, 9.0)];
    process.take(&Request {
        wall: seconds,
        samples,
    });
}

/// Returns the pending and firing alerts, with the second since when they are active.
fn alerts(process: &Process) -> Vec<String> {
    let engines = process.engines.iter();
    let groups = engines.flat_map(|engine| engine.groups());
    let rules = groups.flat_map(|group| group.rules);
    let alerts = rules
        .filter_map(|rule| rule.alerting)
        .flat_map(|alerting| alerting.alerts);
    let line = |alert: burnwatch::engine::AlertView| {
        let since = alert.active_at.0 - crate::processes::START;
        let name = alert.labels.value("alertname").to_owned();
        format!("{name} {} {}", alert.state.name(), since as f64 / 1000.0)
    };
    let mut lines: Vec<String> = alerts.map(line).collect();
    lines.sort();
    lines
}

const TWO: &str = "
groups:
- {name: a, rules: [{alert: A, expr: x > 5, for: 1h}, {record: 'r:x', expr: sum(x)}]}
- {name: b, rules: [{alert: B, expr: y > 5}, {alert: B2, expr: y > 6}]}
";

#[test]
fn groups_that_run_stay_and_new_ones_go_where_there_is_room() {
    let settings = EngineSettings::default();
    let mut process = Process::start("1/1", 2, &loaded(TWO, &settings));
    assert_eq!(places(&process), ["0 a", "1 b"]);
    push(&mut process, 30.0);
    let before = alerts(&process);
    assert_eq!(before, ["A pending 30", "B firing 30", "B2 firing 30"]);

    // By their cost alone `b`, now the heavier, would come first.
    let more = format!(
        "{TWO}- {{name: c, rules: [{{alert: C, expr: y + y + y + y > 1000}}]}}\n\
         - {{name: d, rules: [{{alert: D, expr: x > 1000}}]}}\n"
    );
    process.load(&loaded(&more, &settings), 31.0);
    assert_eq!(places(&process), ["0 a", "0 c", "1 b", "1 d"]);
    assert_eq!(alerts(&process), before);
    push(&mut process, 45.0);
    assert_eq!(alerts(&process), before);

    process.load(&loaded(TWO, &settings), 46.0);
    assert_eq!(places(&process), ["0 a", "1 b"]);
    assert_eq!(alerts(&process), before);
}
