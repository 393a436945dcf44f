//! 6. Raise on arrival, lower on the tick, with both starts.

use crate::world::World;

const AT_ONCE: &str = "groups: [{name: g, rules: [{alert: High, expr: 'x > 1'}]}]";
const FOR_20S: &str = "groups: [{name: g, rules: [{alert: High, expr: 'x > 1', for: 20s}]}]";

#[test]
fn an_alert_fires_with_its_sample_and_resolves_at_the_next_tick() {
    let mut world = World::new(AT_ONCE);
    world.push(1.0, &[("x", 0.0)]);
    world.push(3.0, &[("x", 2.0)]);
    // A polling evaluator would wait for the tick at 10 s.
    assert_eq!(world.told(), ["3s firing High"]);
    world.push(5.0, &[("x", 0.0)]);
    assert_eq!(
        world.told(),
        ["3s firing High"],
        "an arrival takes nothing back"
    );
    world.push(10.0, &[("x", 0.0)]);
    assert_eq!(world.told(), ["3s firing High", "10s resolved High"]);
}

#[test]
fn a_timer_looks_when_for_is_over() {
    let mut world = World::new(FOR_20S);
    for n in 0..=9 {
        world.push(1.0 + f64::from(n) * 3.0, &[("x", 2.0)]);
    }
    assert_eq!(world.told(), ["1s pending High", "21s firing High"]);
}

#[test]
fn a_dip_between_ticks_stops_the_early_start_but_not_the_one_prometheus_sees() {
    let mut world = World::new(FOR_20S);
    world.push(0.0, &[("x", 2.0)]);
    world.push(5.0, &[("x", 0.0)]);
    world.push(9.0, &[("x", 2.0)]);
    for second in [10.0, 20.0, 30.0] {
        world.push(second, &[("x", 2.0)]);
    }
    // Prometheus never sees the dip: ticks at 0, 10, 20 are true.
    assert_eq!(world.told(), ["0s pending High", "20s firing High"]);
}

#[test]
fn a_dip_between_ticks_makes_the_early_count_begin_anew() {
    let mut world = World::new(FOR_20S);
    world.push(3.0, &[("x", 2.0)]);
    world.push(5.0, &[("x", 0.0)]);
    for second in [9.0, 10.0, 20.0, 23.0, 26.0, 29.0] {
        world.push(second, &[("x", 2.0)]);
    }
    // 23 would be 20 s after the first sight; Prometheus, which first looks at 10, fires at 30.
    assert_eq!(world.told(), ["3s pending High", "29s firing High"]);
}

#[test]
fn ticks_only_is_prometheus() {
    let mut world = World::ticking(AT_ONCE);
    world.push(1.0, &[("x", 0.0)]);
    world.push(3.0, &[("x", 2.0)]);
    world.push(5.0, &[("x", 0.0)]);
    world.push(10.0, &[("x", 0.0)]);
    assert_eq!(world.told(), Vec::<String>::new());
}

#[test]
fn every_alert_of_ticks_alone_is_also_fired_on_arrival_and_never_later() {
    use proptest::prelude::*;
    let config = crate::world::cases(128);
    proptest!(config, |(values in prop::collection::vec(0u8..4, 1..60))| {
        let first_firing = |mut world: World| {
            for (n, value) in values.iter().enumerate() {
                world.push(n as f64 * 4.0, &[("x", f64::from(*value))]);
            }
            let firing = |line: &String| line.contains("firing");
            let second = |line: String| line.split('s').next().map(str::to_owned);
            let first = world.told().into_iter().find(firing).and_then(second);
            first.and_then(|second| second.parse::<f64>().ok())
        };
        let ticking = first_firing(World::ticking(FOR_20S));
        let arriving = first_firing(World::new(FOR_20S));
        if let Some(ticking) = ticking {
            prop_assert!(arriving.is_some_and(|arriving| arriving <= ticking));
        }
    });
}
