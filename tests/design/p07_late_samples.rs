//! 7. Late samples change the windows they fall into from then on; a backlog is as if live.

use burnwatch::model::DurationMs;

use crate::world::World;

const RULES: &str = "
groups:
- name: g
  rules:
  - {record: 'sum', expr: 'sum_over_time(x[1m])'}
  - {alert: High, expr: 'x > 1', for: 20s}
";

#[test]
fn a_late_sample_counts_from_then_on_and_ticks_made_stay_made() {
    let mut world = World::new(RULES);
    world.push(5.0, &[("x", 1.0), ("clock{job=\"c\"}", 1.0)]);
    world.push(25.0, &[("clock{job=\"c\"}", 1.0)]);
    assert_eq!(world.query("sum", 20.0), ["sum 1"]);
    // In its series' order, but behind the frontier.
    world.push_at_wall(26.0, 15.0, &[("x", 1.0)]);
    assert_eq!(world.engine.stats().samples_late, 1);
    assert_eq!(
        world.query("sum", 20.0),
        ["sum 1"],
        "the tick at 20 s is not made again"
    );
    world.push(30.0, &[("clock{job=\"c\"}", 1.0)]);
    assert_eq!(world.query("sum", 30.0), ["sum 2"]);
}

#[test]
fn out_of_order_samples_are_taken_within_the_window_only() {
    let play = |window: i64| {
        let mut world = World::with(RULES, |settings| {
            settings.out_of_order_window = DurationMs::from_seconds(window);
        });
        world.push(10.0, &[("x", 1.0)]);
        world.push(5.0, &[("x", 1.0)]);
        world.query("count_over_time(x[1m])", 10.0)
    };
    assert_eq!(play(0), ["{} 1"]);
    assert_eq!(play(30), ["{} 2"]);
}

#[test]
fn a_backlog_gives_the_alerts_that_live_samples_would_have_given() {
    let play = |wall: fn(f64) -> f64| {
        let mut world = World::new(RULES);
        for n in 0..60 {
            let value = if (20..40).contains(&n) { 2.0 } else { 0.0 };
            let second = f64::from(n) * 5.0;
            world.push_at_wall(wall(second), second, &[("x", value)]);
        }
        world.told()
    };
    let live = play(|second| second);
    assert_eq!(
        live,
        [
            "100s pending High",
            "120s firing High",
            "200s resolved High"
        ]
    );
    assert_eq!(play(|_| 7200.0), live);
}
