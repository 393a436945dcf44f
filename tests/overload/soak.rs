//! Twice the sustainable rate for minutes: memory stays within its bound, every accepted sample is
//! in history, and the alerts of others are in time.

use crate::world::{BEGIN, Sender, World};
use burnwatch::eval::{EvalOptions, Scan, evaluate};
use burnwatch::functions::Functions;
use burnwatch::model::{SampleValue, TimestampMs, Value};
use burnwatch::promql::{Features, parse};

const RULES: &str = "
groups:
- name: flood
  interval: 15s
  rules:
  - {record: flood:sum, expr: sum(flood)}
  - {alert: FloodHigh, expr: flood > 5}
- name: others
  interval: 15s
  rules:
  - {alert: OthersHigh, expr: others > 5}
  - {alert: OthersHighFor, expr: 'max_over_time(others[30s]) > 5', for: 20s}
";

/// What may wait is what the engine takes in three seconds.
const LOG_SAMPLES: usize = 600;
const TAKES: i64 = 200;
/// Three minutes.
const ROUNDS: i64 = 180;
/// When a value of the others goes over its threshold.
const CROSSES: i64 = 100;

fn count(world: &World, query: &str, second: i64) -> f64 {
    let expr = parse(query, &Functions, Features::ALL).expect(query);
    let at = TimestampMs(BEGIN.0 + second * 1_000);
    let scan = Scan::new(world.engine.series());
    let outcome = evaluate(&expr, &scan, at, &EvalOptions::default()).expect(query);
    match outcome.value {
        Value::Vector(elements) => match elements.first().map(|element| &element.value) {
            Some(SampleValue::Float(count)) => *count,
            _ => 0.0,
        },
        _ => panic!("{query} is no vector"),
    }
}

#[test]
fn twice_the_sustainable_rate_loses_nothing_and_delays_nobody() {
    let mut world = World::new(RULES, LOG_SAMPLES);
    let mut flood = Sender::new("flood", 400, 40);
    let mut others = Sender::new("others", 4, 4);
    let mut fired: Vec<(String, i64, i64)> = Vec::new();
    for second in 0..ROUNDS {
        flood.scrape(second, 1.0);
        others.scrape(second, if second < CROSSES { 1.0 } else { 9.0 });
        // The flood is quicker.
        flood.send(&world);
        others.send(&world);
        assert!(world.waiting() <= LOG_SAMPLES, "at {second} s");
        world.round(TAKES);
        let new = world.fired().into_iter();
        fired.extend(new.map(|(name, at)| (name, at, second)));
    }
    assert!(flood.refused > 100, "it was too much: {}", flood.refused);
    assert_eq!(others.refused, 0);
    // The log holds three seconds' worth, so nothing is told later than that.
    assert_eq!(fired.len(), 2 * 4, "both alerts of every series: {fired:?}");
    for (name, at, told) in &fired {
        let due = match name.as_str() {
            "OthersHigh" => CROSSES,
            "OthersHighFor" => CROSSES + 20,
            other => panic!("{other} has no reason to fire"),
        };
        assert_eq!(*at, due, "{name}");
        assert!(told - at <= 4, "{name} of {at} s was told at {told} s");
    }

    // The flood ends, and what it still has goes through in time.
    let mut second = ROUNDS;
    while !flood.is_done() || world.waiting() > 0 {
        assert!(second < 3 * ROUNDS, "it never ends");
        flood.send(&world);
        world.round(TAKES);
        second += 1;
    }
    for (sender, name) in [(&flood, "flood"), (&others, "others")] {
        let query = format!("sum(count_over_time({name}[1h]))");
        let found = count(&world, &query, second);
        assert_eq!(
            found, sender.accepted as f64,
            "{name}: every accepted sample"
        );
    }
    assert_eq!(
        flood.accepted,
        400 * usize::try_from(ROUNDS).expect("small")
    );
    // What was sent, one sum, and for each alert `ALERTS_FOR_STATE` and an `ALERTS` for each state.
    assert!(world.engine.series().len() <= 404 + 1 + 4 * (2 + 3));
}
