//! 11. Cost: an arrival looks only at the rules that read what arrived.
//!
//! (That a window's length costs nothing is the incremental evaluator's part.)

use std::fmt::Write as _;

use crate::world::World;

#[test]
fn a_sample_evaluates_only_the_rules_that_read_its_series() {
    let mut rules = String::from("groups:\n- name: g\n  rules:\n");
    for n in 0..100 {
        let _ = writeln!(rules, "  - {{alert: A{n}, expr: 'metric_{n} > 1'}}");
    }
    let mut world = World::new(&rules);
    world.push(1.0, &[("metric_7", 0.0)]);
    let before = world.engine.groups()[0].evaluations;
    world.push(2.0, &[("metric_7", 5.0)]);
    assert_eq!(world.engine.groups()[0].evaluations - before, 1);
}

#[test]
fn nothing_is_evaluated_when_nothing_moved() {
    let mut world = World::new("groups: [{name: g, rules: [{alert: A, expr: 'x > 1'}]}]");
    world.push(1.0, &[("x", 0.0)]);
    let before = world.engine.groups()[0].evaluations;
    world.push(2.0, &[("clock", 0.0)]);
    assert_eq!(world.engine.groups()[0].evaluations, before);
}
