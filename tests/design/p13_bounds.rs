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

/// One group looks at a thousand series every ten seconds, which is more than it may; the other at
/// one. The first misses ticks, as in Prometheus when an evaluation takes longer than the interval;
/// the second is as punctual as ever.
#[test]
fn a_group_that_costs_too_much_delays_nobody_but_itself() {
    let rules = "
groups:
- name: heavy
  interval: 10s
  rules:
  - {record: heavy:sum, expr: sum(x)}
  - {alert: Heavy, expr: 'x{n=\"0\"} > 5 and on () sum(x) > 5'}
- name: light
  interval: 10s
  rules:
  - {alert: Light, expr: light > 5, for: 20s}
";
    // Within its means: 2 × 1,000 members, and a few more for what is found.
    let play = |work_max: usize| {
        let mut world = World::with(rules, |settings| settings.group_work_max = work_max);
        let names: Vec<String> = (0..1_000).map(|n| format!("x{{n=\"{n}\"}}")).collect();
        for n in 0..=12 {
            let mut samples: Vec<_> = names.iter().map(|name| (name.as_str(), 0.0)).collect();
            samples.push(("light", 9.0));
            world.push(f64::from(n) * 10.0, &samples);
        }
        world
    };
    let world = play(250);
    let groups = world.engine.groups();
    assert_eq!(world.told(), ["0s pending Light", "20s firing Light"]);
    assert_eq!(groups[0].iterations_missed, 0, "{:?}", groups[0].cost);
    assert_eq!(groups[0].cost.max, Some(2_500));

    let world = play(80);
    let groups = world.engine.groups();
    assert_eq!(world.told(), ["0s pending Light", "20s firing Light"]);
    let [heavy, light] = &groups[..] else {
        panic!("two groups: {groups:?}");
    };
    // Each tick costs 2.5 intervals' worth: of three, one is made.
    assert_eq!((heavy.iterations, heavy.iterations_missed), (13, 8));
    assert_eq!(heavy.cost.overruns, 5);
    assert_eq!((light.iterations, light.iterations_missed), (13, 0));
    let RuleHealth::Err(said) = &heavy.rules[0].health else {
        panic!("{:?}", heavy.rules[0].health);
    };
    assert!(said.contains("limit is 800 (group_work)"), "{said}");
    assert_eq!(light.rules[0].health, RuleHealth::Ok);
    // The same log, the same ticks.
    assert_eq!(crate::world::replay(&world.log), world.effects);
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
