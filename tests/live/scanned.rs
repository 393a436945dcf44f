//! What is claimed incremental reads nothing from history once it is warm.
//!
//! Series that satisfy the selectors of a rule file are streamed for some minutes; then every
//! rule is evaluated as its ticks and arrivals do, and `samples_scanned` must not have moved.
//! Catches a function that lost its form, and a leaf that stands where no window is kept.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use burnwatch::engine::{CompiledRules, Engine, Leaves, View};
use burnwatch::model::{
    DurationMs, EngineSettings, Entry, EvaluationMode, Grid, Labels, LabelsBuilder, Matcher,
    SampleValue, TimestampMs,
};
use serde_json::Value as Json;

use crate::world::{Door, Sample};

const STEP_MS: i64 = 15_000;
const BEGIN_MS: i64 = 3_600_000_000;
const BOUNDS: [&str; 4] = ["0.1", "0.5", "1", "+Inf"];

/// A series to be streamed.
struct Streamed {
    labels: Labels,
    is_counter: bool,
    factor: f64,
}

/// What a rule file's rules read from history once they were warm.
struct Scanned {
    n_rules: usize,
    /// Rules that read anything, with what they read in one evaluation.
    reading: Vec<(String, u64)>,
    /// What the engine read by itself, at ticks and on arrival.
    by_engine: u64,
    /// Rules that are worth something.
    n_with_values: usize,
}

fn is_counter(name: &str) -> bool {
    let endings = ["_total", "_count", "_bucket", "_sum"];
    endings.iter().any(|ending| name.ends_with(ending))
}

/// Returns a value that satisfies all matchers of one label.
fn satisfying(matchers: &[&Matcher]) -> Option<String> {
    let mut candidates: Vec<String> = Vec::new();
    for matcher in matchers {
        candidates.push(matcher.value.clone());
        let plain = |c: char| c.is_ascii_alphanumeric() || "_-/:".contains(c);
        let words = matcher.value.split(|c: char| !plain(c));
        candidates.extend(words.filter(|word| !word.is_empty()).map(str::to_owned));
    }
    candidates.extend(["", "500", "200", "x", "node-exporter", "production"].map(str::to_owned));
    let fits = |value: &String| matchers.iter().all(|matcher| matcher.matches(value));
    candidates.into_iter().find(fits)
}

/// Returns labels that satisfy a selector; `None` where that takes more wit than there is here.
fn labels_for(matchers: &[Matcher]) -> Option<Labels> {
    let mut by_name: BTreeMap<&str, Vec<&Matcher>> = BTreeMap::new();
    for matcher in matchers {
        by_name.entry(&matcher.name).or_default().push(matcher);
    }
    let mut labels = LabelsBuilder::from(&Labels::empty());
    for (name, matchers) in by_name {
        labels.set(name, &satisfying(&matchers)?);
    }
    let labels = labels.build();
    (!labels.metric_name().is_empty()).then_some(labels)
}

fn with(labels: &Labels, name: &str, value: &str) -> Labels {
    match labels.value(name) {
        "" => labels.with(name, value),
        _ => labels.clone(),
    }
}

/// Returns series for each of some label sets: of some instances, with buckets where it is one.
fn spread(of: impl Iterator<Item = (Labels, bool)>, n_instances: usize) -> Vec<Streamed> {
    let mut series: BTreeMap<Labels, Streamed> = BTreeMap::new();
    for (labels, is_counter) in of {
        let is_bucket = labels.metric_name().ends_with("_bucket") && labels.value("le").is_empty();
        for instance in 0..n_instances {
            let pod = format!("pod-{instance}");
            let labels = with(&labels, "job", "fleet");
            let labels = with(&labels, "instance", &format!("10.0.0.{instance}:9100"));
            let labels = with(&with(&labels, "pod", &pod), "namespace", "prod");
            let bounds: &[&str] = if is_bucket { &BOUNDS } else { &[""] };
            for (number, bound) in bounds.iter().enumerate() {
                let labels = labels.with("le", if is_bucket { bound } else { labels.value("le") });
                let factor = ((1 + instance) * (1 + number)) as f64;
                let streamed = Streamed {
                    labels: labels.clone(),
                    is_counter,
                    factor,
                };
                series.insert(labels, streamed);
            }
        }
    }
    series.into_values().collect()
}

/// Returns series for the selectors of a rule set, but for what its rules record.
fn series_of(rules: &CompiledRules) -> Vec<Streamed> {
    let used = rules.rules.iter().flat_map(|rule| &rule.selectors);
    let labels = used.filter_map(|used| labels_for(&used.matchers));
    let labels = labels.filter(|labels| !rules.is_recorded(labels.metric_name()));
    spread(
        labels.map(|labels| (labels.clone(), is_counter(labels.metric_name()))),
        2,
    )
}

fn new_engine(text: &str, mode: EvaluationMode) -> Result<(Engine, Door), String> {
    let settings = EngineSettings {
        grid: Grid::UnitTest {
            start: TimestampMs(0),
            interval: DurationMs(STEP_MS),
            group_order: None,
        },
        mode,
        ..EngineSettings::default()
    };
    let (mut engine, mut door, mut effects) = (Engine::new(), Door::new(), Vec::new());
    engine.apply(&door.rules(text, &settings), &|| 0.0, &mut effects);
    match effects.is_empty() {
        true => Ok((engine, door)),
        false => Err(format!("{effects:?}")),
    }
}

/// Streams series for so many scrapes, and then some more, at which it is looked.
fn measure((mut engine, mut door): (Engine, Door), series: &[Streamed], n_warm: i64) -> Scanned {
    let mut reading: BTreeMap<usize, u64> = BTreeMap::new();
    let mut with_values = vec![false; engine.rules().rules.len()];
    let mut before = 0;
    for scrape in 0..n_warm + 3 {
        let at = TimestampMs(BEGIN_MS + scrape * STEP_MS);
        let value = |series: &Streamed| match series.is_counter {
            true => scrape as f64 * series.factor * 3.0,
            false => 50.0 + ((scrape * 31) % 17) as f64 * series.factor,
        };
        let sample = |series: &Streamed| -> Sample {
            (series.labels.clone(), at, SampleValue::Float(value(series)))
        };
        let samples: Vec<Sample> = series.iter().map(sample).collect();
        let entry: Entry = door.request(at, &samples);
        engine.apply(&entry, &|| 0.0, &mut Vec::new());
        if scrape < n_warm {
            before = engine.stats().samples_scanned;
            continue;
        }
        for (rule, has_value) in with_values.iter_mut().enumerate() {
            // An arrival stands where the group's queries do not look from: then only ticks count.
            let value = engine.rule_value(rule, Leaves::Live, View::Appended);
            let value = value.expect("there is a frontier");
            *has_value |= value.elements.is_ok_and(|elements| !elements.is_empty());
            if value.samples_scanned > 0 {
                reading.insert(rule, value.samples_scanned);
            }
        }
    }
    let text = |rule: usize| engine.rules().rules[rule].expr_text.to_string();
    Scanned {
        n_rules: with_values.len(),
        reading: reading
            .into_iter()
            .map(|(rule, n)| (text(rule), n))
            .collect(),
        by_engine: engine.stats().samples_scanned - before,
        n_with_values: with_values.iter().filter(|has| **has).count(),
    }
}

fn nothing_is_scanned(name: &str, text: &str) -> usize {
    let scanned = scanned_by(name, text);
    assert_eq!(scanned.reading, [], "{name}");
    assert_eq!(scanned.by_engine, 0, "{name}");
    scanned.n_rules
}

fn scanned_by(name: &str, text: &str) -> Scanned {
    let (engine, door) = new_engine(text, EvaluationMode::Arrival).unwrap();
    let series = series_of(engine.rules());
    let scanned = measure((engine, door), &series, 20);
    let (n_rules, n_with_values) = (scanned.n_rules, scanned.n_with_values);
    say!(
        "{name}: {n_rules} rules over {} series, {n_with_values} of them worth something, \
         {} read history, {} samples by ticks and arrivals",
        series.len(),
        scanned.reading.len(),
        scanned.by_engine,
    );
    scanned
}

fn is_rule_file(text: &str) -> bool {
    text.contains("groups:") && text.contains("expr:")
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap();
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "yml"));
    files.sort();
    files
}

#[test]
fn rules_of_service_levels_read_nothing_from_history() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let workbook = std::fs::read_to_string(root.join("tests/data/slo/workbook.yml")).unwrap();
    nothing_is_scanned("the four tiers of the SRE workbook", &workbook);
    for path in files(&root.join("rules")) {
        let text = std::fs::read_to_string(&path).unwrap();
        let name = path.file_name().unwrap().to_str().unwrap();
        if name != "forecasts.yml" {
            nothing_is_scanned(name, &text);
            continue;
        }
        // Medians of slopes, and lines from the last step on, have no incremental form, and say so
        // (docs/ANOMALY.md).
        let reading = scanned_by(name, &text).reading;
        assert!(!reading.is_empty(), "the exception is not needed any more");
        for (expr, _) in reading {
            let is_robust = expr.contains("steps=cut") || expr.contains("method=theil_sen");
            assert!(is_robust, "{expr}");
        }
    }
}

#[test]
fn compiled_objectives_read_nothing_from_history() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/slo");
    for name in ["predictor.yml", "sloth.yml", "openslo.yml", "pyrra.yml"] {
        let text = std::fs::read_to_string(folder.join(name)).unwrap();
        nothing_is_scanned(name, &text);
    }
}

#[test]
fn rules_of_the_seed_documents_read_nothing_from_history() {
    let Some(shared) = std::env::var_os("BURNWATCH_SHARED") else {
        say!("skipped: BURNWATCH_SHARED is not set, so there are no seed documents");
        return;
    };
    let mut n_rules = 0;
    for folder in ["literal", "reindented", "corrected"] {
        for path in files(&Path::new(&shared).join("seeds").join(folder)) {
            let text = std::fs::read_to_string(&path).unwrap();
            if !is_rule_file(&text) {
                continue;
            }
            let name = format!("{folder}/{}", path.file_name().unwrap().to_str().unwrap());
            match new_engine(&text, EvaluationMode::Arrival) {
                Ok(_) => n_rules += nothing_is_scanned(&name, &text),
                Err(_) => say!("{name} is no rule file that Prometheus would load"),
            }
        }
    }
    assert!(n_rules >= 40, "{n_rules} rules");
}

#[test]
fn nearly_all_rules_of_a_fleet_read_nothing_from_history() {
    let Some(shared) = std::env::var_os("BURNWATCH_SHARED") else {
        say!("skipped: BURNWATCH_SHARED is not set, so there is no fleet");
        return;
    };
    let fleet = Path::new(&shared).join("tools/fleet");
    let text = std::fs::read_to_string(fleet.join("rules.yml")).unwrap();
    let listed = std::fs::read_to_string(fleet.join("fleet.json")).unwrap();
    let listed: Vec<Json> = serde_json::from_str(&listed).unwrap();
    let of_json = |json: &Json| {
        let pairs = json["labels"].as_object().unwrap().iter();
        let pairs = pairs.map(|(name, value)| (name.as_str(), value.as_str().unwrap()));
        (
            Labels::from_pairs(pairs),
            json["counter"].as_bool().unwrap(),
        )
    };
    let (engine, door) = new_engine(&text, EvaluationMode::Tick).unwrap();
    let series = spread(listed.iter().map(of_json), 2);
    let scanned = measure((engine, door), &series, 6);
    let n_without = scanned.n_rules - scanned.reading.len();
    for (expr, n_samples) in &scanned.reading {
        say!("{n_samples} samples an evaluation: {expr}");
    }
    say!(
        "{n_without} of {} rules of the fleet read nothing from history ({} of all worth something)",
        scanned.n_rules,
        scanned.n_with_values
    );
    assert!(n_without * 100 >= scanned.n_rules * 95, "{n_without}");
    assert!(
        scanned.n_with_values * 4 > scanned.n_rules,
        "{}",
        scanned.n_with_values
    );
}
