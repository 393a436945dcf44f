//! 10. Effects say "valid for D", not until when, and know nothing of the wall clock's reading.

use burnwatch::engine::Effect;
use burnwatch::model::{AlertMessage, AlertStatus, DurationMs};

use crate::world::World;

const RULES: &str = "
groups:
- name: g
  rules:
  - alert: High
    expr: 'x > 1'
    annotations: {value: '{{ $value }}'}
";

fn messages(world: &World) -> Vec<AlertMessage> {
    let message = |effect: &Effect| match effect {
        Effect::Alert { message, .. } => Some((**message).clone()),
        _ => None,
    };
    world.effects.iter().filter_map(message).collect()
}

#[test]
fn a_firing_alert_is_valid_for_four_resend_delays() {
    let mut world = World::new(RULES);
    world.push(3.0, &[("x", 2.0)]);
    let messages = messages(&world);
    assert_eq!(messages.len(), 1);
    assert_eq!(messages[0].valid_for, DurationMs::from_seconds(240));
    assert_eq!(messages[0].status, AlertStatus::Firing);
    assert!(!messages[0].backlog);
}

#[test]
fn what_is_found_in_a_backlog_says_so() {
    let mut world = World::new(RULES);
    world.push_at_wall(7200.0, 3.0, &[("x", 2.0)]);
    assert!(messages(&world)[0].backlog);
    assert_eq!(messages(&world)[0].fired_at, crate::world::at(3.0));
}

#[test]
fn an_annotation_that_reads_differently_is_told_at_the_tick() {
    let mut world = World::new(RULES);
    world.push(3.0, &[("x", 2.0)]);
    world.push(7.0, &[("x", 5.0)]);
    world.push(10.0, &[("x", 6.0)]);
    world.push(20.0, &[("x", 6.0)]);
    let values: Vec<_> = messages(&world)
        .iter()
        .map(|message| message.annotations[0].1.clone())
        .collect();
    assert_eq!(
        values,
        ["2", "6"],
        "not on every arrival, not when nothing changed"
    );
}

#[test]
fn a_removed_rule_is_forgotten_not_resolved() {
    let mut world = World::new(RULES);
    world.push(3.0, &[("x", 2.0)]);
    world.reload("groups: []");
    let forgotten = |effect: &&Effect| matches!(effect, Effect::Forget { .. });
    assert_eq!(world.effects.iter().filter(forgotten).count(), 1);
    assert_eq!(world.told(), ["3s firing High"]);
}

#[test]
fn an_alert_whose_rule_becomes_a_recording_rule_is_forgotten() {
    let mut world = World::new(RULES);
    world.push(3.0, &[("x", 2.0)]);
    world.reload("groups: [{name: g, rules: [{record: High, expr: x}]}]");
    let forgotten = |effect: &&Effect| matches!(effect, Effect::Forget { .. });
    assert_eq!(world.effects.iter().filter(forgotten).count(), 1);
}

#[test]
fn a_changed_expression_keeps_the_state_and_a_changed_label_loses_it() {
    let reloaded = |rules: &str| {
        let mut world = World::new(RULES);
        world.push(3.0, &[("x", 2.0)]);
        world.reload(rules);
        world.alerts().len()
    };
    let changed = RULES.replace("x > 1", "x > 0.5");
    assert_eq!(reloaded(&changed), 1);
    let labelled = RULES.replace("    expr:", "    labels: {a: b}\n    expr:");
    assert_eq!(reloaded(&labelled), 0);
}
