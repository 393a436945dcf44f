//! 5. Ticks: on Prometheus' grid, each of them, whatever the clock does.

use burnwatch::model::DurationMs;

use crate::world::World;

const RULES: &str = "
groups:
- name: g
  rules:
  - {record: now, expr: 'time()'}
  - {record: doubled, expr: 'now * 2'}
  - {alert: High, expr: 'x > 1', for: 20s, keep_firing_for: 15s}
";

fn ticks(world: &World) -> Vec<String> {
    use burnwatch::engine::Effect;
    let of_now = |effect: &Effect| match effect {
        Effect::Recorded { labels, at, value } if labels.metric_name() == "now" => {
            Some(format!("{}={}", at.seconds(), value.as_float()?))
        }
        _ => None,
    };
    world.effects.iter().filter_map(of_now).collect()
}

#[test]
fn every_tick_in_between_is_made_at_its_own_time() {
    let mut world = World::ticking(RULES);
    world.push(0.0, &[("x", 0.0)]);
    world.push(34.0, &[("x", 0.0)]);
    assert_eq!(ticks(&world), ["0=0", "10=10", "20=20", "30=30"]);
    assert_eq!(
        world.query("doubled", 30.0),
        ["doubled 60"],
        "a later rule sees an earlier one"
    );
}

#[test]
fn a_leap_makes_the_last_ticks_and_counts_the_others_as_missed() {
    let mut world = World::with(RULES, |settings| settings.ticks_per_leap_max = 3);
    world.push_at_wall(2000.0, 0.0, &[("x", 0.0)]);
    world.push_at_wall(2000.0, 55.0, &[("x", 0.0)]);
    assert_eq!(ticks(&world), ["0=0", "30=30", "40=40", "50=50"]);
    let group = &world.engine.groups()[0];
    assert_eq!((group.iterations, group.iterations_missed), (6, 2));
}

#[test]
fn for_and_keep_firing_for_are_counted_in_ticks() {
    let mut world = World::ticking(RULES);
    for n in 0..=9 {
        let value = if n < 5 { 2.0 } else { 0.0 };
        world.push(f64::from(n) * 10.0, &[("x", value)]);
    }
    // False at 50, 60: kept; at 70 it has been kept for 15 s.
    assert_eq!(
        world.told(),
        ["0s pending High", "20s firing High", "70s resolved High"]
    );
}

#[test]
fn an_offset_group_looks_back_and_stamps_there() {
    let rules = "groups: [{name: g, query_offset: 7s, rules: [{record: r, expr: 'x'}]}]";
    let mut world = World::new(rules);
    for n in 0..=40 {
        world.push(f64::from(n), &[("x", f64::from(n))]);
    }
    assert_eq!(world.query("r", 33.0), ["r 33"]);
    assert_eq!(world.query("timestamp(r)", 40.0), ["{} 33"]);
}

#[test]
fn an_offset_group_finds_its_whole_window() {
    let window = "count_over_time(x[20m])";
    let rules = format!(
        "groups: [{{name: g, query_offset: 10m, rules: [{{record: r, expr: '{window}'}}]}}]"
    );
    let mut world = World::ticking(&rules);
    for n in 0..=360 {
        world.push(f64::from(n) * 10.0, &[("x", f64::from(n))]);
    }
    assert_eq!(world.query("r", 3000.0), ["r 120"]);
}

#[test]
fn a_group_keeps_its_grid_over_a_reload() {
    let mut world = World::ticking(RULES);
    world.push(0.0, &[("x", 0.0)]);
    world.push(15.0, &[("x", 0.0)]);
    world.reload(&format!("{RULES}  - {{alert: Another, expr: 'x > 5'}}\n"));
    world.push(21.0, &[("x", 0.0)]);
    assert_eq!(ticks(&world), ["0=0", "10=10", "20=20"]);
}

#[test]
fn the_grid_spreads_groups_by_name_and_file() {
    let grid = |file: &str, name: &str| {
        let interval = DurationMs::from_seconds(60);
        burnwatch::engine::grid::TickGrid::hashed(file, name, interval)
            .next_after(crate::world::at(0.0))
    };
    assert_eq!(grid("rules.yml", "a"), grid("rules.yml", "a"));
    assert_ne!(grid("rules.yml", "a"), grid("rules.yml", "b"));
}
