//! The property, and what a stream has to go through.

use std::collections::BTreeMap;

use burnwatch::engine::{Effect, Engine, Leaves, View};
use burnwatch::model::{DurationMs, EngineSettings, Entry, EvaluationMode, Grid, TimestampMs};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestError, TestRunner};

use crate::rule_sets::{Kind, RuleSet, rule_sets};
use crate::same::{Allowed, same, same_effects};
use crate::streams::{Played, Stream, play, streams};

/// A stream with the rules that watch it.
#[derive(Clone, Debug)]
pub struct Case {
    pub rule_sets: Vec<RuleSet>,
    pub settings: Settings,
    pub stream: Stream,
}

/// What of the settings varies.
#[derive(Clone, Debug)]
pub struct Settings {
    interval_s: i64,
    out_of_order_s: i64,
    ticks_only: bool,
    delays_name_removal: bool,
}

impl Settings {
    pub fn engine(&self) -> EngineSettings {
        let mut features = vec!["promql-experimental-functions".to_owned()];
        if self.delays_name_removal {
            features.push("promql-delayed-name-removal".to_owned());
        }
        EngineSettings {
            grid: Grid::UnitTest {
                start: TimestampMs(0),
                interval: DurationMs::from_seconds(self.interval_s),
                group_order: None,
            },
            out_of_order_window: DurationMs::from_seconds(self.out_of_order_s),
            mode: match self.ticks_only {
                true => EvaluationMode::Tick,
                false => EvaluationMode::Arrival,
            },
            features,
            ..EngineSettings::default()
        }
    }
}

/// Returns random settings.
pub fn settings() -> impl Strategy<Value = Settings> {
    let settings = (
        prop::sample::select(&[15i64, 60, 10, 600][..]),
        prop::sample::select(&[0i64, 60, 600][..]),
        prop::bool::weighted(0.2),
        prop::bool::weighted(0.1),
    );
    settings.prop_map(
        |(interval_s, out_of_order_s, ticks_only, delays)| Settings {
            interval_s,
            out_of_order_s,
            ticks_only,
            delays_name_removal: delays,
        },
    )
}

/// Returns random cases.
pub fn cases() -> impl Strategy<Value = Case> {
    let sets = prop::collection::vec(rule_sets(), 1..3);
    (sets, settings(), streams(24)).prop_map(|(rule_sets, settings, stream)| Case {
        rule_sets,
        settings,
        stream,
    })
}

/// What becomes of an entry on its way to the engine that scans: in `altered` another one.
pub type Alter<'a> = &'a dyn Fn(usize, &Entry) -> Entry;

/// Finds which values occur by rule, scanning, and picks thresholds out of them.
pub fn texts_with_thresholds(case: &Case) -> Vec<String> {
    let settings = EngineSettings {
        mode: EvaluationMode::Tick,
        ..case.settings.engine()
    };
    let with_threshold = |set: &RuleSet| {
        let played = play(&case.stream, &[set.recorded_text()], &settings);
        let mut engine = Engine::new();
        engine.set_leaves(Leaves::Scan);
        let mut effects = Vec::new();
        for (entry, _) in &played.entries {
            engine.apply(entry, &|| 0.0, &mut effects);
        }
        let mut occurring: BTreeMap<String, Vec<f64>> = BTreeMap::new();
        for effect in &effects {
            if let Effect::Recorded { labels, value, .. } = effect
                && let Some(value) = value.as_float()
            {
                let name = labels.metric_name().to_owned();
                occurring.entry(name).or_default().push(value);
            }
        }
        let kinds: Vec<Kind> = set.rules().map(|rule| rule.kind.clone()).collect();
        set.text(|rule| {
            let Kind::Alert { of_256, .. } = kinds[rule] else {
                return None;
            };
            let occurring = occurring.get(&format!("p{rule}"));
            let values = occurring.map_or(&[][..], Vec::as_slice);
            let index = usize::from(of_256?) * values.len() / 256;
            Some(values.get(index).copied().unwrap_or(1.0))
        })
    };
    case.rule_sets.iter().map(with_threshold).collect()
}

/// How much was looked at.
#[derive(Clone, Copy, Debug, Default)]
pub struct Looked {
    pub values: usize,
    pub elements: usize,
    pub effects: usize,
    /// Values for which nothing was read from history.
    pub without_scanning: usize,
    /// Evaluations at ticks that were left out, because nothing had changed.
    pub spared: u64,
}

/// Plays a case and compares; the error says what differs, and tells the story up to there.
pub fn check(case: &Case, alter: Alter<'_>) -> Result<Looked, String> {
    let texts = texts_with_thresholds(case);
    let played = play(&case.stream, &texts, &case.settings.engine());
    let mut looked = Looked::default();
    let told = |number: usize, text: String| {
        let until = played.entries[..=number].len();
        let rules = texts.join("---\n");
        let story = played.told.join("\n  ");
        format!(
            "after entry {until} of the log:\n{text}\nthe rules:\n{rules}\nall that came:\n  {story}"
        )
    };
    // One engine is looked at, one is left alone, one scans.
    let [mut asked, mut alone, mut scanning] = [(); 3].map(|()| Engine::new());
    scanning.set_leaves(Leaves::Scan);
    for (number, (entry, is_looked_at)) in played.entries.iter().enumerate() {
        let mut effects = [Vec::new(), Vec::new(), Vec::new()];
        asked.apply(entry, &|| 0.0, &mut effects[0]);
        alone.apply(entry, &|| 0.0, &mut effects[1]);
        scanning.apply(&alter(number, entry), &|| 0.0, &mut effects[2]);
        let refused = |effect: &&Effect| matches!(effect, Effect::RulesRefused { .. });
        if let Some(refused) = effects[0].iter().find(refused) {
            return Err(told(number, format!("{refused:?}")));
        }
        let allowed = Allowed::of(played.magnitude, 2);
        for of_live in &effects[..2] {
            same_effects(of_live, &effects[2], allowed).map_err(|text| told(number, text))?;
        }
        looked.effects += effects[2].len();
        if *is_looked_at {
            look((&mut asked, &mut scanning), &played, &mut looked)
                .map_err(|text| told(number, text))?;
        }
    }
    looked.spared += alone.stats().evaluations_spared;
    Ok(looked)
}

fn look(
    (engine, scanning): (&mut Engine, &mut Engine),
    played: &Played,
    looked: &mut Looked,
) -> Result<(), String> {
    for rule in 0..engine.rules().rules.len() {
        let name = engine.rules().rules[rule].name.clone();
        let text = engine.rules().rules[rule].expr_text.clone();
        let allowed = match name.starts_with('n') {
            true => Allowed::of(
                played.magnitude,
                if text.contains("stdvar") { 2 } else { 1 },
            ),
            false => Allowed::Nothing,
        };
        for view in [View::Appended, View::Live] {
            let Some(live) = engine.rule_value(rule, Leaves::Live, view) else {
                continue;
            };
            let Some(scan) = scanning.rule_value(rule, Leaves::Scan, view) else {
                continue;
            };
            looked.values += 1;
            looked.elements += scan.elements.as_ref().map_or(0, Vec::len);
            looked.without_scanning += usize::from(live.samples_scanned == 0);
            same(&live, &scan, allowed).map_err(|difference| {
                let at = engine.frontier().map_or(0, |frontier| frontier.0);
                format!("  {name} ({view:?}) at {at} ms: {text}\n{difference}")
            })?;
        }
    }
    Ok(())
}

/// Returns how many random cases to try: what `PROPTEST_CASES` says or 10,000 in a deep run, a
/// hundred else.
pub fn config() -> Config {
    let deep = std::env::var_os("BURNWATCH_DEEP").is_some();
    let n_cases = match deep {
        true if std::env::var_os("PROPTEST_CASES").is_some() => Config::default().cases,
        true => 10_000,
        false => 120,
    };
    Config {
        cases: n_cases,
        max_shrink_iters: 4000,
        failure_persistence: None,
        ..Config::default()
    }
}

/// Tries cases until one fails, and tells of the smallest that does.
pub fn hold<T: std::fmt::Debug>(
    cases: &impl Strategy<Value = T>,
    property: impl Fn(T) -> Result<(), TestCaseError>,
) {
    match TestRunner::new(config()).run(cases, property) {
        Ok(()) => {}
        Err(TestError::Fail(reason, case)) => panic!("{reason}\n{case:?}"),
        Err(error) => panic!("{error}"),
    }
}

/// Windows are worth what history is worth, in all cases; returns how many there were, and what was
/// looked at.
pub fn hold_live_is_scan(cases: &impl Strategy<Value = Case>) -> (usize, Looked) {
    let all = std::cell::Cell::new((0usize, Looked::default()));
    hold(cases, |case| {
        let looked = check(&case, &|_, entry| entry.clone()).map_err(TestCaseError::fail)?;
        let (n, sum) = all.get();
        let sum = Looked {
            values: sum.values + looked.values,
            elements: sum.elements + looked.elements,
            effects: sum.effects + looked.effects,
            without_scanning: sum.without_scanning + looked.without_scanning,
            spared: sum.spared + looked.spared,
        };
        all.set((n + 1, sum));
        Ok(())
    });
    all.get()
}

#[test]
fn windows_are_worth_what_history_is_worth() {
    let (n_streams, looked) = hold_live_is_scan(&cases());
    say!("{n_streams} streams: {looked:?}");
    assert!(
        looked.elements > looked.values / 4,
        "there is something to compare"
    );
    assert!(looked.spared > 0, "some evaluations are spared");
}

/// The windows of the series that was gone moved over the samples of the one that came to its place.
#[test]
fn a_place_that_is_given_to_another_series_at_once_has_no_windows() {
    use crate::rule_sets::{Group, Kind, Rule};
    use crate::streams::{Move, Step, Stream};
    let scrape = || Step::Scrape {
        gap: 0,
        moves: vec![Move::Add(0)],
    };
    let rule = Rule {
        expr: "anomaly_ewma(m[1m], \"alpha=0.3,min_samples=2\")".to_owned(),
        kind: Kind::Alert {
            operator: ">=",
            of_256: Some(0),
            hold: "0s",
        },
    };
    let group = Group {
        query_offset: "",
        rules: vec![rule],
    };
    let case = Case {
        rule_sets: vec![RuleSet(vec![group])],
        settings: Settings {
            interval_s: 15,
            out_of_order_s: 0,
            ticks_only: false,
            delays_name_removal: false,
        },
        stream: Stream {
            alive: 820772864,
            wild: false,
            steps: vec![
                Step::Reset {
                    of_8: 1,
                    back: None,
                },
                scrape(),
                Step::Idle { gap: 11 },
                scrape(),
                scrape(),
            ],
        },
    };
    check(&case, &|_, entry| entry.clone()).expect("windows are worth what history is worth");
}
