//! 2. Clock: `C` is the newest valid timestamp received, never past the wall clock, never back.

use crate::world::World;

const ABSENT: &str = "
groups:
- name: g
  rules:
  - {alert: Gone, expr: 'absent(up{job=\"a\"})', for: 20s}
";

fn clock(world: &World) -> f64 {
    world
        .engine
        .clock()
        .map_or(f64::NAN, |clock| clock.seconds())
}

#[test]
fn the_clock_follows_samples_and_never_goes_back() {
    let mut world = World::new(ABSENT);
    world.push_at_wall(101.0, 100.0, &[("up{job=\"a\"}", 1.0)]);
    assert_eq!(clock(&world), 100.0);
    world.push_at_wall(102.0, 90.0, &[("up{job=\"b\"}", 1.0)]);
    assert_eq!(clock(&world), 100.0);
}

#[test]
fn a_sample_ahead_of_the_wall_clock_is_kept_but_does_not_move_it() {
    let mut world = World::new(ABSENT);
    world.push(100.0, &[("up{job=\"a\"}", 1.0)]);
    world.push_at_wall(115.0, 400.0, &[("up{job=\"a\"}", 7.0)]);
    assert_eq!(clock(&world), 100.0);
    assert_eq!(world.query("up", 400.0), ["up{job=\"a\"} 7"]);
}

#[test]
fn a_sender_whose_clock_is_ahead_is_followed_at_the_pace_of_ours() {
    let mut world = World::new(ABSENT);
    world.push(100.0, &[("up{job=\"a\"}", 1.0)]);
    world.push_at_wall(113.0, 115.0, &[("up{job=\"a\"}", 1.0)]);
    assert_eq!(clock(&world), 100.0);
    world.idle(114.9);
    assert_eq!(clock(&world), 100.0);
    world.idle(115.0);
    assert_eq!(
        clock(&world),
        115.0,
        "its time has come, though nothing else came"
    );
}

#[test]
fn one_bad_sample_does_not_leap_the_clock() {
    let mut world = World::new(ABSENT);
    world.push_at_wall(5000.0, 100.0, &[("up{job=\"a\"}", 1.0)]);
    world.push_at_wall(5001.0, 4000.0, &[("up{job=\"bad\"}", 1.0)]);
    assert_eq!(clock(&world), 100.0, "nobody else says so");
    world.push_at_wall(5002.0, 115.0, &[("up{job=\"a\"}", 1.0)]);
    assert_eq!(clock(&world), 115.0);
    world.push_at_wall(5003.0, 3990.0, &[("up{job=\"b\"}", 1.0)]);
    assert_eq!(
        clock(&world),
        4000.0,
        "a second target leaps too, the first is within reach"
    );
}

#[test]
fn when_nothing_comes_the_clock_follows_the_wall_so_that_absence_is_noticed() {
    let mut world = World::new(ABSENT);
    // Six minutes of life, so that the selector has warmed.
    for n in 0..=24 {
        world.push(f64::from(n) * 15.0, &[("up{job=\"a\"}", 1.0)]);
    }
    for second in 361..1000 {
        world.idle(f64::from(second));
    }
    // A polling evaluator without a clock of its own would never look again.
    assert_eq!(
        world.told(),
        [
            "660s pending Gone{job=\"a\"}",
            "680s firing Gone{job=\"a\"}"
        ]
    );
}

#[test]
fn in_a_backlog_the_clock_waits_longer() {
    let mut world = World::new(ABSENT);
    // Two hours behind.
    world.push_at_wall(7200.0, 0.0, &[("up{job=\"a\"}", 1.0)]);
    world.idle(7290.0);
    assert_eq!(clock(&world), 0.0, "the rest of the backlog may come");
    world.idle(7501.0);
    assert_eq!(clock(&world), 7441.0, "five minutes without a sample");
}

#[test]
fn a_server_that_never_hears_anything_wakes_after_the_backlog_timeout() {
    let mut world = World::new(ABSENT);
    world.idle(0.0);
    world.idle(299.0);
    assert!(clock(&world).is_nan());
    world.idle(301.0);
    assert_eq!(clock(&world), 241.0);
}
