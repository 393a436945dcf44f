//! 2 and 7 together, as stories: clocks that are wrong, senders that were away.

use crate::world::World;

const RULES: &str = "
groups:
- name: g
  rules:
  - {alert: High, expr: 'x > 5', for: 20s}
  - {alert: Gone, expr: 'absent(x{job=\"a\"})', for: 20s}
";

const A: &str = "x{job=\"a\",instance=\"a\"}";
const B: &str = "x{job=\"b\",instance=\"b\"}";

/// Seven minutes in which both senders send every 15 seconds, so that nothing warms any more.
/// Returns the second of the last scrape.
fn warmed() -> (World, f64) {
    let mut world = World::new(RULES);
    let mut last = 0.0;
    for n in 0..=28 {
        last = f64::from(n) * 15.0;
        world.push(last, &[(A, 1.0), (B, 1.0)]);
    }
    assert_eq!(world.told(), [""; 0]);
    (world, last)
}

/// A sender whose clock is behind by a minute and a half is evaluated with what it has; the other
/// one is as punctual as ever.
#[test]
fn a_sender_whose_clock_is_behind_delays_itself_alone() {
    let (mut world, last) = warmed();
    for n in 1..=20 {
        let now = last + f64::from(n) * 15.0;
        let value = if n > 8 { 9.0 } else { 1.0 };
        world.push_at_wall(now, now, &[(A, value)]);
        world.push_at_wall(now, now - 90.0, &[(B, value)]);
        assert_eq!(world.frontier(), now, "it holds nothing up");
    }
    // Both go over at 555 s. Its samples are of 90 s earlier, and are found when they come.
    assert_eq!(
        world.told(),
        [
            "555s pending High{instance=\"a\", job=\"a\"}",
            "555s pending High{instance=\"b\", job=\"b\"}",
            "575s firing High{instance=\"a\", job=\"a\"}",
            "575s firing High{instance=\"b\", job=\"b\"}",
        ]
    );
    assert!(world.engine.stats().samples_late >= 14);
}

/// The machine's clock is set while samples go on: nobody is told anything that is not so, and what
/// is so is told when it is.
#[test]
fn a_wall_clock_that_leaps_forward_tells_nothing_false() {
    let play = |leap: f64| {
        let (mut world, last) = warmed();
        let mut wall = last;
        for second in 1..=300 {
            let now = last + f64::from(second);
            if second == 20 {
                world.set_wall(leap);
            }
            wall = now + if second >= 20 { leap } else { 0.0 };
            world.idle(wall);
            if second % 15 == 0 {
                let value = if second >= 150 { 9.0 } else { 1.0 };
                world.push_at_wall(wall, now, &[(A, value), (B, 1.0)]);
            }
        }
        assert!(wall > last);
        world.told()
    };
    let undisturbed = play(0.0);
    assert_eq!(
        undisturbed,
        [
            "570s pending High{instance=\"a\", job=\"a\"}",
            "590s firing High{instance=\"a\", job=\"a\"}",
        ]
    );
    for leap in [45.0, 3_600.0, 86_400.0] {
        assert_eq!(play(leap), undisturbed, "{leap}");
    }
}

/// Set back by an hour, what senders say is ahead of it and not believed; nothing false is told.
/// Once it is right again, what came meanwhile is evaluated as if live.
#[test]
fn a_wall_clock_that_is_set_back_tells_nothing_false_and_catches_up() {
    let (mut world, last) = warmed();
    for second in 1..=300 {
        let now = last + f64::from(second);
        let offset = if (20..200).contains(&second) {
            -3_600.0
        } else {
            0.0
        };
        match second {
            20 => world.set_wall(-3_600.0),
            200 => world.set_wall(3_600.0),
            _ => {}
        }
        world.idle(now + offset);
        if second % 15 == 0 {
            let value = if second >= 150 { 9.0 } else { 1.0 };
            world.push_at_wall(now + offset, now, &[(A, value), (B, 1.0)]);
        }
        if second == 199 {
            assert_eq!(world.told(), [""; 0], "event time stands still");
        }
    }
    assert_eq!(
        world.told(),
        [
            "570s pending High{instance=\"a\", job=\"a\"}",
            "590s firing High{instance=\"a\", job=\"a\"}",
        ]
    );
}

/// The clock was wrong, an hour ahead, and is set right just when samples stop: that they are gone
/// is noticed after the usual time, not an hour later.
#[test]
fn absence_is_noticed_in_time_though_the_clock_was_set_back() {
    let (mut world, last) = warmed();
    world.set_wall(3_600.0);
    world.push_at_wall(last + 3_615.0, last + 15.0, &[(A, 1.0), (B, 1.0)]);
    world.set_wall(-3_600.0);
    for second in 16..=900 {
        world.idle(last + f64::from(second));
    }
    // The last sample is of 435 s and counts for five minutes; event time is a minute behind.
    assert_eq!(
        world.told(),
        [
            "740s pending Gone{job=\"a\"}",
            "760s firing Gone{job=\"a\"}"
        ]
    );
}

/// One sender was cut off for five minutes while the other went on, and then sends what it kept:
/// it counts from then on, and what fires is what holds then.
#[test]
fn a_sender_that_returns_is_heard_though_another_went_on() {
    let (mut world, last) = warmed();
    let kept: Vec<f64> = (1..=20).map(|n| last + f64::from(n) * 15.0).collect();
    for now in &kept {
        world.push(*now, &[(A, 1.0)]);
    }
    let back = last + 310.0;
    let told = world.told().len();
    for at in &kept {
        // High in the middle of the time that nobody saw, and high again at its end.
        let n = (at - last) / 15.0;
        let value = if (5.0..10.0).contains(&n) || n > 16.0 {
            9.0
        } else {
            1.0
        };
        world.push_at_wall(back, *at, &[(B, value)]);
    }
    for n in 21..=24 {
        let now = last + f64::from(n) * 15.0;
        world.push(now, &[(A, 1.0), (B, 9.0)]);
    }
    let since: Vec<String> = world.told().split_off(told);
    assert_eq!(
        since,
        [
            "720s pending High{instance=\"b\", job=\"b\"}",
            "740s firing High{instance=\"b\", job=\"b\"}",
        ]
    );
    // All of it is in the windows.
    let found = world.query("sum by (job) (count_over_time(x[400s]))", last + 360.0);
    assert_eq!(found, ["{job=\"a\"} 27", "{job=\"b\"} 27"]);
}

/// Away for hours: all senders' backlog comes at once, and is evaluated tick by tick, also where a
/// beat finds nothing new for a while.
#[test]
fn a_backlog_of_hours_with_pauses_is_as_if_live() {
    let play = |is_backlog: bool| {
        let mut world = World::new(RULES);
        let wall = |at: f64| if is_backlog { 3.0 * 3_600.0 } else { at };
        for n in 0..=480 {
            let at = f64::from(n) * 15.0;
            let value = if (200..210).contains(&n) { 9.0 } else { 1.0 };
            world.push_at_wall(wall(at), at, &[(A, value), (B, 1.0)]);
            if is_backlog && n % 50 == 0 {
                // The sender takes a breath; four minutes are within `backlog_timeout`.
                world.idle(wall(at) + 240.0);
            }
        }
        world.told()
    };
    let live = play(false);
    assert_eq!(live.len(), 3, "{live:?}");
    assert_eq!(play(true), live);
}
