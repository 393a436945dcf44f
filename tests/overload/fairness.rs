//! A sender that floods is told to come again; others hardly notice.

use crate::world::{Sender, World};

const RULES: &str = "
groups:
- name: g
  interval: 15s
  rules:
  - {alert: High, expr: small > 5}
";
const LOG_SAMPLES: usize = 600;
const ROUNDS: i64 = 100;
/// Samples that the engine takes in a round.
const TAKES: i64 = 60;

/// Senders, each with the series that it sends every second, twenty a request, in the order in
/// which they send, the first always first. Returns how often each was refused, and which part of
/// what the engine took in the second half was whose: by then all series are known.
fn play(senders: &[(&'static str, usize)]) -> (Vec<usize>, Vec<f64>) {
    let mut world = World::new(RULES, LOG_SAMPLES);
    let mut senders: Vec<Sender> = senders
        .iter()
        .map(|(name, n_series)| Sender::new(name, *n_series, 20))
        .collect();
    let mut before = Vec::new();
    for second in 0..ROUNDS {
        if second == ROUNDS / 2 {
            before = senders.iter().map(|sender| sender.accepted).collect();
        }
        for sender in &mut senders {
            sender.scrape(second, 1.0);
        }
        for sender in &mut senders {
            sender.send(&world);
        }
        assert!(world.waiting() <= LOG_SAMPLES);
        world.round(TAKES);
    }
    let all = (ROUNDS / 2 * TAKES) as f64;
    let accepted = senders.iter().zip(&before);
    let parts = accepted.map(|(sender, before)| (sender.accepted - before) as f64 / all);
    let parts = parts.collect();
    (senders.iter().map(|sender| sender.refused).collect(), parts)
}

#[test]
fn one_flood_does_not_starve_a_small_sender() {
    let (refused, parts) = play(&[("flood", 120), ("small", 2)]);
    assert!(
        refused[0] > 90,
        "the flood is told to come again: {refused:?}"
    );
    assert_eq!(refused[1], 0, "the small sender is always heard");
    // What the small one does not need the flood gets.
    assert!(parts[0] > 0.9, "{parts:?}");
}

#[test]
fn senders_that_all_want_too_much_get_as_much() {
    let (_, parts) = play(&[("a", 40), ("b", 40), ("c", 40)]);
    for part in &parts {
        assert!((0.9..1.1).contains(&(part * 3.0)), "{parts:?}");
    }
}
