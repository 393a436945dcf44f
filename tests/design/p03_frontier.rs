//! 3. Frontier: no rule sees half a scrape, though requests split it.

use crate::world::World;

const RATIO: &str = "
groups:
- name: g
  rules:
  - {alert: ErrorsAboveHalf, expr: 'errors / total > 0.5'}
";
const ERRORS: &str = "errors{job=\"a\",instance=\"1\"}";
const TOTAL: &str = "total{job=\"a\",instance=\"1\"}";

#[test]
fn a_scrape_split_over_two_requests_never_shows_its_half() {
    let mut world = World::new(RATIO);
    world.push(1.0, &[(ERRORS, 10.0), (TOTAL, 100.0)]);
    // Half of the scrape alone would read 60 / 100.
    world.push(16.0, &[(ERRORS, 60.0)]);
    assert!(world.frontier() < 16.0);
    world.push(16.0, &[(TOTAL, 200.0)]);
    assert_eq!(world.frontier(), 16.0);
    assert_eq!(world.told(), Vec::<String>::new());
}

#[test]
fn a_stale_marker_makes_a_scrape_whole() {
    let mut world = World::new(RATIO);
    world.push(1.0, &[(ERRORS, 10.0), (TOTAL, 100.0)]);
    world.push(16.0, &[(ERRORS, 60.0)]);
    world.push(16.0, &[(TOTAL, burnwatch::model::stale_nan())]);
    assert_eq!(world.frontier(), 16.0);
}

#[test]
fn the_rest_is_waited_for_no_longer_than_scrape_settle() {
    let mut world = World::new(RATIO);
    world.push(1.0, &[(ERRORS, 10.0), (TOTAL, 100.0)]);
    world.push(16.0, &[(ERRORS, 60.0)]);
    world.push(20.9, &[("total{job=\"b\"}", 1.0)]);
    assert!(world.frontier() < 16.0);
    world.push(21.0, &[("total{job=\"c\"}", 1.0)]);
    assert!(world.frontier() >= 16.0, "five seconds are over");
    assert_eq!(world.engine.stats().scrapes_late, 1);
}

#[test]
fn a_cohort_that_was_late_twice_is_not_waited_for_until_it_was_whole_three_times() {
    let mut world = World::new(RATIO);
    let mut held = Vec::new();
    world.push(0.0, &[(ERRORS, 1.0), (TOTAL, 100.0)]);
    for n in 1..=7 {
        let (second, late) = (f64::from(n) * 15.0, n <= 2);
        world.push(second, &[(ERRORS, 1.0)]);
        held.push(world.frontier() < second);
        if late {
            world.push(second + 6.0, &[("total{job=\"other\"}", 1.0)]);
        }
        world.push(second, &[(TOTAL, 100.0)]);
    }
    assert_eq!(held, [true, true, false, false, false, true, true]);
}

#[test]
fn series_that_no_rule_reads_hold_nothing() {
    // The door drops what nothing reads, so the engine hears of the clock only; here: a target
    // that is read elsewhere does not wait for a series it never had.
    let mut world = World::new(RATIO);
    world.push(1.0, &[(ERRORS, 1.0)]);
    world.push(16.0, &[(ERRORS, 1.0)]);
    assert_eq!(world.frontier(), 16.0);
}
