//! 12. Warming: what missing members could make true does not fire before its windows are full.

use crate::world::World;

const RULES: &str = "
groups:
- name: g
  rules:
  - {alert: Gone, expr: 'absent(up{job=\"b\"})'}
  - {alert: Few, expr: 'count(up) < 2'}
  - {alert: High, expr: 'up > 5'}
";

#[test]
fn a_young_server_does_not_page_for_what_it_has_not_heard_yet() {
    let mut world = World::new(RULES);
    world.push(1.0, &[("up{job=\"a\"}", 9.0)]);
    world.push(15.0, &[("up{job=\"b\"}", 1.0)]);
    // `High` needs no warming; the others were true for a moment and wait.
    let told = world.told();
    assert!(
        told.contains(&"1s firing High{job=\"a\"}".to_owned()),
        "{told:?}"
    );
    assert!(
        !told.iter().any(|line| line.contains("firing Gone")),
        "{told:?}"
    );
    assert!(
        !told.iter().any(|line| line.contains("firing Few")),
        "{told:?}"
    );
    let groups = world.engine.groups();
    assert!(
        groups[0]
            .rules
            .iter()
            .all(|rule| rule.warming_until.is_some())
    );
}

#[test]
fn it_pages_once_it_is_warm() {
    let mut world = World::new(RULES);
    for n in 0..=31 {
        world.push(f64::from(n) * 10.0, &[("up{job=\"a\"}", 1.0)]);
    }
    let told = world.told();
    assert!(
        told.contains(&"0s pending Gone{job=\"b\"}".to_owned()),
        "{told:?}"
    );
    assert!(
        told.contains(&"300s firing Gone{job=\"b\"}".to_owned()),
        "{told:?}"
    );
}

#[test]
fn ticks_only_is_prometheus_to_the_letter() {
    let mut world = World::ticking(RULES);
    world.push(0.0, &[("up{job=\"a\"}", 1.0)]);
    assert!(
        world
            .told()
            .contains(&"0s firing Gone{job=\"b\"}".to_owned())
    );
}

/// Catches a frontier that goes back to when an alert that is held while its rule warms was due.
#[test]
fn a_reload_looks_at_a_held_alert_now_and_not_when_it_was_due() {
    let rules = "groups: [{name: g, rules: [{alert: Low, expr: 'sum(rate(x[20m])) < 1'}]}]";
    let mut world = World::new(rules);
    for n in 0..5 {
        world.push(f64::from(n) * 12.0, &[("x", 1.0)]);
    }
    assert_eq!(world.told(), ["12s pending Low"]);
    world.reload(rules);
    let groups = world.engine.groups();
    assert_eq!(
        groups[0].rules[0].last_evaluation,
        Some(crate::world::at(48.0))
    );
}
