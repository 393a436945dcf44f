//! 1. Value: `V(e, t)` is what a Prometheus 3.x instant query returns over the accepted samples.
//!
//! The recorded answers of Prometheus are compared in `tests/golden`; here: rules see the same.

use crate::world::World;

const RULES: &str = "
groups:
- name: g
  rules:
  - {record: 'in_window', expr: 'count_over_time(x[20s])'}
  - {record: 'seen', expr: 'x + 0'}
  - {alert: Ratio, expr: 'rate(errors[1m]) / rate(total[1m]) >= 0.5'}
";

#[test]
fn ranges_are_open_on_the_left_and_lookback_is_five_minutes() {
    let mut world = World::new(RULES);
    for second in [0.0, 10.0, 20.0, 30.0] {
        world.push(second, &[("x", second)]);
    }
    // (10, 30]: a closed range would count three.
    assert_eq!(world.query("in_window", 30.0), ["in_window 2"]);
    world.push(329.0, &[("other", 1.0)]);
    world.push(330.0, &[("other", 1.0)]);
    assert_eq!(world.query("x", 329.999), ["x 30"]);
    assert_eq!(
        world.query("x", 330.0),
        Vec::<String>::new(),
        "exactly five minutes old"
    );
}

#[test]
fn a_stale_marker_ends_a_series_at_once() {
    let mut world = World::new(RULES);
    world.push(10.0, &[("x", 1.0)]);
    world.push(20.0, &[("x", burnwatch::model::stale_nan())]);
    assert_eq!(world.query("seen", 19.0), ["seen 1"]);
    assert_eq!(world.query("seen", 20.0), Vec::<String>::new());
}

#[test]
fn a_threshold_that_is_met_exactly_is_met() {
    let mut world = World::new(RULES);
    for n in 0..8 {
        let n = f64::from(n);
        world.push(n * 10.0, &[("errors", n * 5.0), ("total", n * 10.0)]);
    }
    assert!(
        world.told().contains(&"10s firing Ratio".to_owned()),
        "{:?}",
        world.told()
    );
}
