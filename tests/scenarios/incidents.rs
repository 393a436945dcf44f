//! Three incidents and their controls: a model that is wrong, a feature that is NaN, a GPU that
//! runs out of memory.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use burnwatch::model::TimestampMs;

use crate::is_deep;
use crate::story::{START_SECONDS, Story, generator_or_skip};
use crate::world::{Reading, World};

const JOB: &str = "model-server";
const INSTANCE: &str = "10.0.0.7:8080";

/// Alerts that the truth does not name and that fire nevertheless: each with its reason, as
/// docs/runbooks/README.md tells it to people.
const BESIDES: [(&str, &str, &str); 9] = [
    (
        "silent",
        "LastingPredictionShiftKS",
        "what PredictionShiftKS saw, an hour later",
    ),
    (
        "nan",
        "LastingPredictionShiftKS",
        "what PredictionShiftKS saw, an hour later",
    ),
    (
        "oom",
        "GPUMemoryExhaustion",
        "95 % for 5 minutes, ten before the crash",
    ),
    ("oom", "HighErrorRate", "all requests fail"),
    (
        "oom",
        "HighErrorRateSlowBurn",
        "all requests fail for longer than its 10 minutes",
    ),
    (
        "oom",
        "ModelServerCrash",
        "it crashed and all requests failed",
    ),
    (
        "oom",
        "SloBurn6",
        "15 minutes without an answer are 5 % of five hours",
    ),
    (
        "oom",
        "SloBurn3",
        "with five hours of history its day is five hours long",
    ),
    (
        "oom",
        "SloBurn1",
        "with five hours of history its three days are five hours long",
    ),
];

/// The reference of drift is the first hour, before anything happens.
const BASELINE_SECONDS: i64 = 3600;

/// The predictions' scores in the first hour, as a histogram that is loaded from then on.
#[derive(Default)]
struct Baseline {
    first: Vec<Reading>,
    last: Vec<Reading>,
}

impl Baseline {
    fn look(&mut self, seconds: i64, readings: &[Reading]) {
        let buckets = readings
            .iter()
            .filter(|r| r.name == "prediction_score_bucket");
        self.last = buckets.cloned().collect();
        if seconds == 0 {
            self.first.clone_from(&self.last);
        }
    }

    fn readings(&self) -> impl Iterator<Item = Reading> {
        let buckets = self.first.iter().zip(&self.last);
        buckets.map(|(first, last)| Reading {
            name: "prediction_score_bucket:baseline".to_owned(),
            labels: last.labels.clone(),
            value: last.value - first.value,
        })
    }
}

fn seeds() -> &'static [&'static str] {
    if is_deep() { &["1", "2", "11"] } else { &["1"] }
}

fn play(scenario: &str, variant: &str) {
    let what = format!("the {variant} of {scenario}");
    let Some(generator) = generator_or_skip(&what) else {
        return;
    };
    let wrong: Vec<String> = seeds()
        .iter()
        .flat_map(|seed| play_one(&generator, scenario, variant, seed))
        .collect();
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
}

/// Returns what is wrong, one line each.
fn play_one(generator: &Path, scenario: &str, variant: &str, seed: &str) -> Vec<String> {
    let story = Story::tell(generator, scenario, variant, seed);
    let mut world = World::start(TimestampMs(START_SECONDS * 1000));
    let mut baseline = Baseline::default();
    for (seconds, readings) in &story.scrapes {
        let mut readings = readings.clone();
        if *seconds <= BASELINE_SECONDS {
            baseline.look(*seconds, &readings);
        } else {
            readings.extend(baseline.readings());
        }
        readings.push(Reading::plain("up", 1.0));
        world.scrape(*seconds, JOB, INSTANCE, &readings);
    }
    let mut fired: BTreeMap<String, Vec<i64>> = BTreeMap::new();
    for firing in world.firings() {
        assert_eq!(firing.labels.get("job"), Some(JOB), "{firing:?}");
        fired.entry(firing.alert).or_default().push(firing.from);
    }
    let told = format!("{scenario}, {variant}, seed {seed}");
    say!("      {told}: {fired:?}");
    let mut wrong = Vec::new();
    for truth in &story.truth {
        let (name, at) = (&truth.alert, fired.remove(&truth.alert));
        let at = at.unwrap_or_default();
        match truth.fires {
            Some((from, to)) if !at.first().is_some_and(|at| (from..=to).contains(at)) => {
                let why = &truth.why;
                wrong.push(format!(
                    "{told}: {name} at {at:?}, not in {from}..={to}: {why}"
                ));
            }
            None if !at.is_empty() => {
                wrong.push(format!(
                    "{told}: {name} at {at:?}, and never must: {}",
                    truth.why
                ));
            }
            _ => {}
        }
    }
    let of_story = |(of, ..): &&(&str, &str, &str)| *of == scenario && variant == "incident";
    let besides: BTreeSet<&str> = BESIDES
        .iter()
        .filter(of_story)
        .map(|(_, a, _)| *a)
        .collect();
    let seen: BTreeSet<&str> = fired.keys().map(String::as_str).collect();
    for name in seen.difference(&besides) {
        wrong.push(format!(
            "{told}: {name} at {:?}, and nobody expects it",
            fired[*name]
        ));
    }
    for name in besides.difference(&seen) {
        wrong.push(format!(
            "{told}: {name} is said to fire besides, and does not"
        ));
    }
    wrong
}

#[test]
fn a_model_that_is_up_and_fast_and_wrong() {
    play("silent", "incident");
}

#[test]
fn a_feature_of_which_one_value_in_a_hundred_thousand_is_nan() {
    play("nan", "incident");
}

#[test]
fn a_gpu_whose_memory_fills_up_until_the_process_dies() {
    play("oom", "incident");
}

#[test]
fn nothing_fires_without_the_incident_of_silent() {
    if is_deep() {
        play("silent", "control");
    } else {
        say!("skip  BURNWATCH_DEEP is not set: the control of silent");
    }
}

#[test]
fn nothing_fires_without_the_incident_of_nan() {
    play("nan", "control");
}

#[test]
fn nothing_fires_without_the_incident_of_oom() {
    if is_deep() {
        play("oom", "control");
    } else {
        say!("skip  BURNWATCH_DEEP is not set: the control of oom");
    }
}
