//! A start is a checkpoint and the rest of the log: an engine that is loaded from what was saved
//! at any place has from there on the effects of one that goes on, byte for byte.
//!
//! Saving goes in slices while further entries are applied, so the same streams also show that what
//! is saved is the state at the beginning. Late samples, series that end and come back, rules that
//! are loaded while a checkpoint is being made: whatever the streams of this folder do.

use std::fmt::Write as _;

use burnwatch::engine::checkpoint::{LoadError, Loading};
use burnwatch::engine::{Effect, Engine, Leaves, View};
use burnwatch::model::Entry;
use proptest::prelude::*;

use crate::equal::{Case, cases, hold, texts_with_thresholds};
use crate::streams::{Played, play};

/// Where to save, and how.
#[derive(Clone, Debug)]
struct Cut {
    /// After which share of the entries, of 256.
    of_256: u8,
    /// So many series a slice; between two slices an entry is applied.
    slice: usize,
}

fn cuts() -> impl Strategy<Value = Cut> {
    let slice = prop::sample::select(&[1usize, 2, 5, 1000][..]);
    (any::<u8>(), slice).prop_map(|(of_256, slice)| Cut { of_256, slice })
}

fn apply(engine: &mut Engine, entry: &Entry) -> Vec<Effect> {
    let mut effects = Vec::new();
    engine.apply(entry, &|| 0.0, &mut effects);
    effects
}

/// Returns all that an engine says of itself: groups, rules, alerts, series, and what every rule is
/// worth by windows.
fn told(engine: &mut Engine) -> String {
    let mut text = String::new();
    let _ = writeln!(text, "{:?} {:?}", engine.frontier(), engine.clock());
    for group in engine.groups() {
        let _ = writeln!(text, "{group:?}");
    }
    for (_, labels, series) in engine.series().iter() {
        let (all, history) = (burnwatch::model::TimestampMs::MIN, &series.history);
        let points: Vec<_> = history
            .range(all, burnwatch::model::TimestampMs::MAX)
            .collect();
        let _ = writeln!(text, "{labels} {points:?}");
    }
    for rule in 0..engine.rules().rules.len() {
        for view in [View::Appended, View::Live] {
            let value = engine.rule_value(rule, Leaves::Live, view);
            let _ = writeln!(text, "{:?}", value.map(|value| value.elements));
        }
    }
    text
}

/// Plays a stream and saves at a place; the error says what differs.
fn check(played: &Played, cut: &Cut) -> Result<usize, String> {
    let n = played.entries.len();
    let at = usize::from(cut.of_256) * n / 256;
    let (before, behind) = played.entries.split_at(at);
    let mut engine = Engine::new();
    for (entry, _) in before {
        apply(&mut engine, entry);
    }
    let mut parts = engine.begin_checkpoint();
    let mut wanted = Vec::new();
    for (entry, _) in behind {
        parts.extend(engine.checkpoint_slice(cut.slice));
        wanted.push(apply(&mut engine, entry));
    }
    while engine.is_saving() {
        parts.extend(engine.checkpoint_slice(cut.slice));
    }
    let loaded = Engine::load(parts.iter().map(Vec::as_slice), None);
    let mut loaded = loaded.map_err(|error| format!("{error}"))?;
    for (number, ((entry, _), wanted)) in behind.iter().zip(&wanted).enumerate() {
        let effects = apply(&mut loaded, entry);
        // NaN differs from itself, its text does not.
        if format!("{effects:?}") != format!("{wanted:?}") {
            return Err(format!(
                "saved after {at} of {n} entries, entry {number} behind:\n  loaded {effects:?}\n  \
                 wanted {wanted:?}"
            ));
        }
    }
    let (ours, theirs) = (told(&mut loaded), told(&mut engine));
    let differing = ours.lines().zip(theirs.lines()).find(|(a, b)| a != b);
    match differing {
        None if ours.len() == theirs.len() => Ok(wanted.iter().map(Vec::len).sum()),
        _ => Err(format!("saved after {at} of {n}: at the end {differing:?}")),
    }
}

/// Engines go on behind a checkpoint as they would have, in all cases and at any place.
pub fn hold_behind_a_checkpoint(cases: impl Strategy<Value = Case>) {
    let n_effects = std::cell::Cell::new(0);
    hold(&(cases, cuts()), |(case, cut): (Case, Cut)| {
        let texts = texts_with_thresholds(&case);
        let played = play(&case.stream, &texts, &case.settings.engine());
        let n = check(&played, &cut).map_err(|difference| {
            let (rules, story) = (texts.join("---\n"), played.told.join("\n  "));
            TestCaseError::fail(format!("{difference}\nthe rules:\n{rules}\n  {story}"))
        })?;
        n_effects.set(n_effects.get() + n);
        Ok(())
    });
    assert!(n_effects.get() > 100, "there is something to compare");
}

#[test]
fn an_engine_that_was_saved_and_loaded_goes_on_as_if_nothing_had_been() {
    hold_behind_a_checkpoint(cases());
}

/// Returns the parts of a checkpoint of an engine with something of everything.
fn some_parts() -> Vec<Vec<u8>> {
    let rules = r#"
groups:
  - name: g
    interval: 15s
    rules:
      - record: r:c
        expr: rate(c[1m])
      - alert: A
        expr: max_over_time(rate(d[1m])[2m:15s]) >= 0
        for: 1m
        annotations: { summary: "{{ $value }}" }
      - alert: B
        expr: absent(nothing) or h > 1
      - record: r:f
        expr: anomaly_forest(c[5m], "status", "window_size=5,min_points=5,trees=2")
      - record: r:i
        expr: anomaly_forest(c[5m], "status", "model=rcf,min_points=5,trees=2")
"#;
    let step = crate::streams::Step::Regular {
        n: 40,
        gap: 0,
        add: 1,
    };
    let stream = crate::streams::Stream {
        alive: u32::MAX,
        wild: false,
        steps: vec![step],
    };
    let settings = burnwatch::model::EngineSettings::default();
    let played = play(&stream, &[rules.to_owned()], &settings);
    let mut engine = Engine::new();
    for (entry, _) in &played.entries {
        apply(&mut engine, entry);
    }
    let mut parts = engine.begin_checkpoint();
    while engine.is_saving() {
        parts.extend(engine.checkpoint_slice(3));
    }
    assert!(parts.len() > 5, "several slices");
    parts
}

fn load(parts: &[Vec<u8>]) -> Result<Engine, LoadError> {
    Engine::load(parts.iter().map(Vec::as_slice), None)
}

#[test]
fn bytes_that_are_no_checkpoint_give_an_error_and_nothing_worse() {
    let parts = some_parts();
    assert!(load(&parts).is_ok());
    for missing in 0..parts.len() {
        let mut fewer = parts.clone();
        fewer.remove(missing);
        assert!(load(&fewer).is_err(), "without part {missing}");
        let mut twice = parts.clone();
        twice.push(parts[missing].clone());
        assert!(load(&twice).is_err(), "part {missing} twice");
    }
    assert!(Loading::new(None).finish().is_err());
    // What is cut is refused; what is changed is refused or is another state, and does not panic.
    let mut random = fastrand::Rng::with_seed(7);
    for _ in 0..2000 {
        let mut changed = parts.clone();
        let part = random.usize(0..changed.len());
        let at = random.usize(0..changed[part].len());
        match random.u8(0..3) {
            0 => {
                changed[part].truncate(at);
                assert!(load(&changed).is_err(), "part {part} ends at {at}");
            }
            1 => {
                changed[part][at] ^= 1 << random.u8(0..8);
                drop(load(&changed));
            }
            _ => {
                changed[part][at] = random.u8(..);
                drop(load(&changed));
            }
        }
    }
}

#[test]
fn a_newer_format_is_refused_with_what_to_do() {
    let mut parts = some_parts();
    parts[0][1] = 0x7f;
    let refused = load(&parts).map(|_| ()).map_err(|error| error.to_string());
    let text = "the checkpoint has format 127, and this burnwatch reads up to 5: start the newer \
                burnwatch that wrote it";
    assert_eq!(refused, Err(text.to_owned()));
}
