//! A reload: groups that run stay where they are, with their alerts and their history.

use burnwatch::engine::Effect;
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
- {name: a, rules: [{alert: A, expr: x > 5, for: 1h}, {record: 'r:x', expr: sum(x) + 0 * sum(x + x)}]}
- {name: b, rules: [{alert: B, expr: y > 5}, {alert: B2, expr: y > 6}, {record: 'r:y', expr: y}]}
";

#[test]
fn groups_that_run_stay_and_new_ones_go_where_there_is_room() {
    let settings = EngineSettings::default();
    let mut process = Process::start("1/1", 2, &loaded(TWO, &settings));
    assert_eq!(places(&process), ["0 a", "1 b"]);
    push(&mut process, 30.0);
    let before = alerts(&process);
    assert_eq!(before, ["A pending 30", "B firing 30", "B2 firing 30"]);

    // By cost alone `c`, now the heaviest, would have a shard to itself.
    let more = format!(
        "{TWO}- {{name: c, rules: [{{alert: C, expr: y + y + y + y + y + y + y > 1000}}]}}\n\
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

/// Groups that ran apart and now belong together: one of them begins anew, and what was said of
/// its alerts is taken back before they are raised again.
#[test]
fn groups_that_come_to_belong_together_move_to_one_shard() {
    let settings = EngineSettings::default();
    let mut process = Process::start("1/1", 2, &loaded(TWO, &settings));
    push(&mut process, 30.0);
    let before = ["A pending 30", "B firing 30", "B2 firing 30"];
    assert_eq!(alerts(&process), before);
    let reads_both = "r:x + count(ALERTS{alertname=~\"B.*\"}) > 1000";
    let linked = format!("{TWO}- {{name: c, rules: [{{alert: C, expr: '{reads_both}'}}]}}\n");
    let n_before = process.effects.len();
    process.load(&loaded(&linked, &settings), 31.0);
    assert_eq!(places(&process), ["0 a", "0 b", "0 c"]);
    assert_eq!(alerts(&process), ["A pending 30"]);
    push(&mut process, 45.0);
    assert_eq!(
        alerts(&process),
        ["A pending 30", "B firing 45", "B2 firing 45"]
    );
    let kinds = process.effects[n_before..]
        .iter()
        .filter_map(|effect| match effect {
            Effect::Forget { labels } => Some(format!("forget {}", labels.value("alertname"))),
            Effect::Alert { message, .. } => {
                Some(format!("alert {}", message.labels.value("alertname")))
            }
            _ => None,
        });
    let expected = ["forget B", "forget B2", "alert B", "alert B2"];
    assert_eq!(kinds.collect::<Vec<_>>(), expected);
    // Its series go on, in the other shard: nobody ends them.
    for n in 0..40 {
        push(&mut process, 60.0 + f64::from(n) * 15.0);
    }
    let recorded = process.effects.iter().filter_map(|effect| match effect {
        Effect::Recorded { labels, value, .. } if labels.metric_name() == "r:y" => Some(value),
        _ => None,
    });
    let values: Vec<_> = recorded.collect();
    assert!(values.len() > 5 && values.iter().all(|value| !value.is_stale()));
}
