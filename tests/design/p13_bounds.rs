//! 13. Bounds: what can grow has a limit, and says so. (The door's limits: `tests/server`.)

use burnwatch::engine::RuleHealth;

use crate::world::World;

#[test]
fn a_rule_over_its_limit_fails_alone() {
    let rules = "
groups:
- name: g
  limit: 1
  rules:
  - {alert: Many, expr: 'x > 0'}
  - {alert: One, expr: 'max(x) > 0'}
";
    let mut world = World::new(rules);
    world.push(10.0, &[("x{a=\"1\"}", 1.0), ("x{a=\"2\"}", 1.0)]);
    let rules = &world.engine.groups()[0].rules;
    let expected = RuleHealth::Err("exceeded limit of 1 with 2 alerts".to_owned());
    assert_eq!(
        (&rules[0].health, &rules[1].health),
        (&expected, &RuleHealth::Ok)
    );
    assert_eq!(world.told(), ["10s firing One"]);
}

#[test]
fn history_is_cut_to_what_the_rules_look_back_on() {
    let mut world = World::new("groups: [{name: g, rules: [{alert: A, expr: 'x > 1'}]}]");
    for n in 0..2000 {
        world.push(f64::from(n) * 15.0, &[("x", 0.0)]);
    }
    let kept = world.query("count_over_time(x[1d])", 30_000.0);
    let kept: f64 = kept[0].trim_start_matches("{} ").parse().expect("a number");
    assert!(
        kept < 200.0,
        "{kept} samples are kept for a five-minute look-back"
    );
}

#[test]
fn a_series_that_falls_silent_is_dropped_and_may_come_back() {
    let mut world = World::new("groups: [{name: g, rules: [{alert: A, expr: 'x > 1'}]}]");
    world.push(0.0, &[("x{i=\"1\"}", 0.0), ("x{i=\"2\"}", 0.0)]);
    for n in 1..200 {
        world.push(f64::from(n) * 15.0, &[("x{i=\"1\"}", 0.0)]);
    }
    assert_eq!(world.engine.series().len(), 1);
    world.push(3000.0, &[("x{i=\"1\"}", 0.0), ("x{i=\"2\"}", 7.0)]);
    assert!(
        world.told().contains(&"3000s firing A{i=\"2\"}".to_owned()),
        "{:?}",
        world.told()
    );
}
