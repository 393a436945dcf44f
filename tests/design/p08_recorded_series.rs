//! 8. Recorded series belong to the engine, and chains of rules add no lag.

use crate::world::World;

const CHAIN: &str = "
groups:
- name: records
  rules:
  - {record: 'job:x:sum', expr: 'sum by (job) (x)'}
  - {record: 'all:x:sum', expr: 'sum(job:x:sum)'}
- name: alerts
  rules:
  - {alert: High, expr: 'all:x:sum > 5'}
";

#[test]
fn an_arrival_sees_through_a_chain_of_records() {
    let mut world = World::new(CHAIN);
    world.push(1.0, &[("x{job=\"a\"}", 1.0)]);
    world.push(13.0, &[("x{job=\"a\"}", 9.0)]);
    // Appended samples change at 20 s only.
    assert_eq!(world.told(), ["13s firing High"]);
    assert_eq!(world.query("all:x:sum", 13.0), ["all:x:sum 1"]);
}

#[test]
fn an_alert_is_lowered_only_when_both_views_are_false() {
    let mut world = World::new(CHAIN);
    world.push(0.0, &[("x{job=\"a\"}", 9.0)]);
    world.push(9.0, &[("x{job=\"a\"}", 1.0)]);
    world.push(10.0, &[("x{job=\"a\"}", 1.0)]);
    assert_eq!(world.told(), ["0s firing High", "10s resolved High"]);
}

#[test]
fn outside_samples_of_a_recorded_name_seed_history_and_are_dropped_afterwards() {
    let mut world = World::new(CHAIN);
    world.push(-5.0, &[("all:x:sum", 3.0)]);
    assert_eq!(world.query("all:x:sum", -1.0), ["all:x:sum 3"]);
    world.push(0.0, &[("x{job=\"a\"}", 1.0)]);
    world.push(4.0, &[("all:x:sum", 77.0)]);
    assert_eq!(world.query("all:x:sum", 5.0), ["all:x:sum 1"]);
    assert_eq!(world.engine.stats().samples_recorded_outside, 1);
}

#[test]
fn what_a_rule_no_longer_yields_is_ended() {
    let mut world = World::new(CHAIN);
    world.push(0.0, &[("x{job=\"a\"}", 1.0)]);
    world.push(9.0, &[("x{job=\"a\"}", burnwatch::model::stale_nan())]);
    world.push(10.0, &[("clock", 1.0)]);
    assert_eq!(world.query("all:x:sum", 10.0), Vec::<String>::new());
}

#[test]
fn a_record_that_reads_itself_reads_what_it_appended() {
    let rules = "
groups:
- name: g
  rules:
  - {record: 'ticks', expr: 'ticks + 1 or vector(1)'}
  - {alert: Many, expr: 'ticks > 2'}
";
    let mut world = World::new(rules);
    for second in [0.0, 10.0, 20.0] {
        world.push(second, &[("x", 1.0)]);
    }
    assert_eq!(world.query("ticks", 20.0), ["ticks 3"]);
}
