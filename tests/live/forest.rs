//! `anomaly_forest` through rules: what is kept of groups is what the textbook loop makes of the
//! window, a start from a checkpoint changes nothing, nothing is read from history once it is warm,
//! and labelled data are told apart as well as by the usual batch tools.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::Path;

use burnwatch::engine::{Effect, Engine, RuleHealth};
use burnwatch::functions::Functions;
use burnwatch::model::{
    AlertStatus, DurationMs, EngineSettings, EvaluationMode, Grid, Labels, SampleValue, TimestampMs,
};
use burnwatch::promql::{Features, parse};
use proptest::prelude::*;

use crate::checkpoints::hold_behind_a_checkpoint;
use crate::equal::{Case, cases, hold_live_is_scan};
use crate::expressions::forest;
use crate::rule_sets::{Group, Kind, Rule, RuleSet};
use crate::world::{Door, Sample, labels};

/// Streams under rules that call nothing else.
fn forest_cases() -> impl Strategy<Value = Case> {
    let rule = forest().prop_map(|expr| Rule {
        expr,
        kind: Kind::Record,
    });
    let rules = prop::collection::vec(rule, 1..4);
    (cases(), rules).prop_map(|(case, rules)| {
        let group = Group {
            query_offset: "",
            rules,
        };
        let rule_sets = vec![RuleSet(vec![group])];
        Case { rule_sets, ..case }
    })
}

#[test]
fn groups_that_are_kept_are_worth_what_their_windows_are_worth() {
    let (_, looked) = hold_live_is_scan(&forest_cases());
    let (n_elements, n_without) = (looked.elements, looked.without_scanning);
    say!("{n_elements} scores, {n_without} values without a sample read");
    assert!(
        n_elements > 500,
        "there is something to compare: {n_elements}"
    );
    assert!(n_without > 500, "something is kept: {n_without}");
}

#[test]
fn models_go_on_behind_a_checkpoint_as_they_would_have() {
    hold_behind_a_checkpoint(forest_cases());
}

pub const STEP: i64 = 15_000;
/// On the boundaries of all blocks below, ms.
pub const BEGIN: i64 = 52_500_000 * 30_000;

/// An engine with rules in a group of 15 s.
pub struct World {
    pub engine: Engine,
    mode: EvaluationMode,
    door: Door,
    pub at: i64,
    /// Recorded values, by series' name and instant.
    pub recorded: BTreeMap<String, BTreeMap<i64, f64>>,
    /// Instants at which alerts fired.
    pub fired: Vec<(String, i64)>,
}

impl World {
    pub fn new(rules: &str) -> World {
        World::in_mode(rules, EvaluationMode::Tick)
    }

    pub fn in_mode(rules: &str, mode: EvaluationMode) -> World {
        let mut world = World {
            engine: Engine::new(),
            mode,
            door: Door::new(),
            at: BEGIN,
            recorded: BTreeMap::new(),
            fired: Vec::new(),
        };
        world.load(rules);
        world
    }

    /// Loads rules.
    pub fn load(&mut self, rules: &str) {
        let settings = EngineSettings {
            grid: Grid::UnitTest {
                start: TimestampMs(0),
                interval: DurationMs(STEP),
                group_order: None,
            },
            mode: self.mode,
            ..EngineSettings::default()
        };
        let entry = self.door.rules(rules, &settings);
        let mut effects = Vec::new();
        self.engine.apply(&entry, &|| 0.0, &mut effects);
        let refused = |effect: &Effect| matches!(effect, Effect::RulesRefused { .. });
        assert!(!effects.iter().any(refused), "{effects:?}");
    }

    /// The detectors of all rules begin anew, at an instant or now.
    pub fn reset(&mut self, at: Option<i64>) {
        let rules = self.engine.rules();
        let keys = rules.rules.iter().map(|rule| rules.key_of(rule)).collect();
        let entry = self.door.reset(keys, at.map(TimestampMs));
        self.engine.apply(&entry, &|| 0.0, &mut Vec::new());
    }

    /// Goes on with an engine that is loaded from a checkpoint of this one.
    pub fn restart(&mut self) {
        let mut parts = self.engine.begin_checkpoint();
        while self.engine.is_saving() {
            parts.extend(self.engine.checkpoint_slice(1000));
        }
        self.engine = Engine::load(parts.iter().map(Vec::as_slice), None).unwrap();
    }

    /// One scrape of all series.
    pub fn scrape(&mut self, series: &[Labels], values: &[f64]) {
        self.at += STEP;
        let at = TimestampMs(self.at);
        let samples = series.iter().zip(values);
        let samples =
            samples.map(|(labels, value)| (labels.clone(), at, SampleValue::Float(*value)));
        let samples: Vec<Sample> = samples.collect();
        let mut effects = Vec::new();
        let entry = self.door.request(at, &samples);
        self.engine.apply(&entry, &|| 0.0, &mut effects);
        for effect in effects {
            match effect {
                Effect::Recorded { labels, at, value } => {
                    if let Some(value) = value.as_float() {
                        let of_name = self.recorded.entry(labels.metric_name().to_owned());
                        of_name.or_default().insert(at.0, value);
                    }
                }
                Effect::Alert { message, .. } if message.status == AlertStatus::Firing => {
                    let name = message.labels.value("alertname").to_owned();
                    self.fired.push((name, self.at));
                }
                _ => {}
            }
        }
    }
}

/// Rules with all models, and the series that they read.
fn all_models() -> (String, Vec<Labels>) {
    let options = [
        "window_size=50",
        "window_size=20,reference=window,score=mass,output=alarm",
        "model=isolation,output=alarm",
        "model=rcf",
        "model=rcf,output=alarm,contamination=0.2",
    ];
    let rule = |(number, options): (usize, &&str)| {
        format!(
            "  - {{record: m{number}, expr: 'anomaly_forest(x[1h], \"s\", \
             \"{options},trees=8,sample_size=32,min_points=20\")'}}\n"
        )
    };
    let rules: String = options.iter().enumerate().map(rule).collect();
    let series = ["a", "b", "c"].map(|s| labels(&format!("x{{s=\"{s}\"}}")));
    (
        format!("groups:\n- name: g\n  rules:\n{rules}"),
        series.to_vec(),
    )
}

/// Coarse values, so that points are alike now and then, and a wild one.
fn some_values(random: &mut fastrand::Rng) -> [f64; 3] {
    [(); 3].map(|()| match random.u8(0..100) {
        0 => 1e9,
        n => f64::from(n % 7),
    })
}

#[test]
fn a_start_from_a_checkpoint_reads_no_history_for_models() {
    let (rules, series) = all_models();
    let mut world = World::new(&rules);
    let mut random = fastrand::Rng::with_seed(3);
    for _ in 0..400 {
        world.scrape(&series, &some_values(&mut random));
    }
    let mut parts = world.engine.begin_checkpoint();
    let n_scanned = world.engine.stats().samples_scanned;
    let (at, values) = (world.at, (0..400).map(|_| some_values(&mut random)));
    let values: Vec<[f64; 3]> = values.collect();
    world.recorded.clear();
    for (number, values) in values.iter().enumerate() {
        if number == 3 {
            // What the checkpoint has is from before these three.
            while world.engine.is_saving() {
                parts.extend(world.engine.checkpoint_slice(1));
            }
        }
        world.scrape(&series, values);
    }
    let mut loaded = World::new(&rules);
    loaded.engine = Engine::load(parts.iter().map(Vec::as_slice), None).unwrap();
    loaded.at = at;
    for values in &values {
        loaded.scrape(&series, values);
    }
    assert_eq!(loaded.engine.stats().samples_scanned, n_scanned);
    let n_recorded: usize = loaded.recorded.values().map(BTreeMap::len).sum();
    assert!(n_recorded > 1_500, "{n_recorded}");
    assert_eq!(loaded.recorded, world.recorded);
    // A second start saves what has been loaded and not been touched since.
    world.restart();
    world.restart();
    let n_scanned = world.engine.stats().samples_scanned;
    world.scrape(&series, &[1.0, 2.0, 3.0]);
    loaded.scrape(&series, &[1.0, 2.0, 3.0]);
    assert_eq!(world.engine.stats().samples_scanned, n_scanned);
    assert_eq!(loaded.recorded, world.recorded);
}

/// Format 3 had no models, and did not say which detectors were reset; nor by which channels gains are
/// added up, as format 4 did not.
#[test]
fn models_are_made_anew_behind_a_checkpoint_of_an_older_format() {
    let (rules, series) = all_models();
    let mut world = World::new(&rules);
    let mut random = fastrand::Rng::with_seed(8);
    for _ in 0..200 {
        world.scrape(&series, &some_values(&mut random));
    }
    let mut parts = world.engine.begin_checkpoint();
    while world.engine.is_saving() {
        parts.extend(world.engine.checkpoint_slice(1000));
    }
    parts.retain(|part| !is_of_models(part));
    assert_eq!(parts[0][..2], [1, 5], "the rules, and the format");
    parts[0][1] = 3;
    // No channels, and none of the one set of rules that series move.
    let n_bytes = parts[0].len();
    assert_eq!(parts[0].split_off(n_bytes - 3), [0, 1, 0]);
    // No reset, no subquery, a group of each rule.
    let n_bytes = parts[1].len();
    let tail = parts[1].split_off(n_bytes - 3);
    assert_eq!(tail, [0, 0, 5]);
    parts[1].push(0);
    let mut loaded = World::new(&rules);
    loaded.engine = Engine::load(parts.iter().map(Vec::as_slice), None).unwrap();
    loaded.at = world.at;
    let n_scanned = world.engine.stats().samples_scanned;
    world.recorded.clear();
    for _ in 0..200 {
        let values = some_values(&mut random);
        world.scrape(&series, &values);
        loaded.scrape(&series, &values);
    }
    assert!(world.recorded.values().map(BTreeMap::len).sum::<usize>() > 500);
    assert_eq!(loaded.recorded, world.recorded);
    assert_eq!(world.engine.stats().samples_scanned, n_scanned);
    assert!(loaded.engine.stats().samples_scanned > n_scanned + 1_000);
}

fn is_of_models(part: &[u8]) -> bool {
    part[0] == 5
}

#[test]
fn damaged_models_are_refused_or_are_others_and_do_no_harm() {
    let (rules, series) = all_models();
    let mut world = World::new(&rules);
    let mut random = fastrand::Rng::with_seed(5);
    for _ in 0..300 {
        world.scrape(&series, &some_values(&mut random));
    }
    let mut parts = world.engine.begin_checkpoint();
    while world.engine.is_saving() {
        parts.extend(world.engine.checkpoint_slice(1000));
    }
    let models = parts.iter().position(|part| is_of_models(part));
    let models = models.expect("models are put");
    let (mut n_refused, mut n_taken) = (0, 0);
    let n_bytes = parts[models].len();
    for round in 0..1_500 {
        let mut changed = parts.clone();
        // Most of the bytes are floats: what comes first says how much there is.
        let at = match round % 3 {
            0 => random.usize(0..n_bytes.min(400)),
            _ => random.usize(0..n_bytes),
        };
        match random.u8(0..4) {
            0 => changed[models].truncate(at),
            1 => changed[models][at] ^= 1 << random.u8(0..8),
            2 => changed[models][at] = 0xff,
            _ => changed[models][at] = random.u8(..),
        }
        let Ok(engine) = Engine::load(changed.iter().map(Vec::as_slice), None) else {
            n_refused += 1;
            continue;
        };
        n_taken += 1;
        let mut other = World::new(&rules);
        (other.engine, other.at) = (engine, world.at);
        for _ in 0..3 {
            other.scrape(&series, &some_values(&mut random));
        }
    }
    assert!(
        n_refused > 100 && n_taken > 100,
        "{n_refused} refused, {n_taken} taken"
    );
}

/// Returns the area under the ROC curve and the average precision of scores with their truth.
fn areas(scored: &mut [(f64, bool)]) -> (f64, f64) {
    scored.sort_by(|a, b| b.0.total_cmp(&a.0));
    let n_odd = scored.iter().filter(|(_, is_odd)| *is_odd).count() as f64;
    let n_usual = scored.len() as f64 - n_odd;
    let (mut area, mut precision) = (0.0, 0.0);
    let (mut odd_before, mut usual_before) = (0.0, 0.0);
    for tied in scored.chunk_by(|a, b| a.0 == b.0) {
        let odd = tied.iter().filter(|(_, is_odd)| *is_odd).count() as f64;
        let usual = tied.len() as f64 - odd;
        area += usual * (odd_before + odd / 2.0);
        (odd_before, usual_before) = (odd_before + odd, usual_before + usual);
        precision += odd / n_odd * (odd_before / (odd_before + usual_before));
    }
    (area / (n_odd * n_usual), precision)
}

#[test]
fn areas_are_those_of_known_rankings() {
    let area = |scored: &[(f64, bool)]| areas(&mut scored.to_vec());
    assert_eq!(area(&[(3.0, true), (2.0, false), (1.0, false)]), (1.0, 1.0));
    assert_eq!(area(&[(1.0, true), (2.0, false)]), (0.0, 0.5));
    assert_eq!(area(&[(1.0, true), (1.0, false)]), (0.5, 0.5));
}

/// Rows of the Statlog Shuttle set: nine readings, and whether they are anomalous.
fn shuttle() -> Option<Vec<(Vec<f64>, bool)>> {
    let shared = std::env::var_os("BURNWATCH_SHARED")?;
    let path = Path::new(&shared).join("conformance/ml/streams/tabular/shuttle.csv.gz");
    let mut text = String::new();
    let mut unpacked = flate2::read::GzDecoder::new(std::fs::File::open(path).unwrap());
    unpacked.read_to_string(&mut text).unwrap();
    let row = |line: &str| {
        let cells: Vec<f64> = line.split(',').map(|cell| cell.parse().unwrap()).collect();
        (cells[..9].to_vec(), cells[9] > 0.5)
    };
    Some(text.lines().skip(1).map(row).collect())
}

/// The first quarter is learned from, and not scored.
const TRAINED: usize = 3_500;

/// Name, options with the window, and the least area and average precision. Blocks of the isolation
/// forest are a quarter of the rows long.
const MODELS: [(&str, &str, &str, f64, f64); 4] = [
    ("half_space_trees", "7d", "", 0.99, 0.95),
    (
        "half_space_trees_as_published",
        "7d",
        "reference=window,score=mass",
        0.97,
        0.7,
    ),
    ("isolation", "105000s", "model=isolation", 0.977, 0.953),
    ("rcf", "7d", "model=rcf", 0.9, 0.2),
];

#[test]
fn the_anomalies_of_the_shuttle_are_told_from_the_rest() {
    let Some(rows) = shuttle() else {
        say!("skipped: BURNWATCH_SHARED is not set, so there is no labelled set");
        return;
    };
    // Unoptimised, all rows take a minute for each model.
    let is_deep = std::env::var_os("BURNWATCH_DEEP").is_some();
    let models = if is_deep { &MODELS[..] } else { &MODELS[..1] };
    let rules = models.iter().map(|(name, window, options, ..)| {
        format!(
            "  - {{record: {name}, expr: 'anomaly_forest(shuttle[{window}], \"sensor\", \
             \"{options}\")'}}\n"
        )
    });
    let rules: String = rules.collect();
    let mut world = World::new(&format!("groups:\n- name: g\n  rules:\n{rules}"));
    let series: Vec<Labels> = (1..=9)
        .map(|n| labels(&format!("shuttle{{sensor=\"f{n}\"}}")))
        .collect();
    for (values, _) in &rows {
        world.scrape(&series, values);
    }
    for (name, window, options, area_min, precision_min) in models {
        let recorded = &world.recorded[*name];
        let mut scored = Vec::new();
        for (number, (_, is_odd)) in rows.iter().enumerate().skip(TRAINED) {
            let at = BEGIN + (number as i64 + 1) * STEP;
            // The first row behind a boundary is the first that is scored by a new forest.
            if let Some(score) = recorded.get(&at) {
                scored.push((*score, *is_odd));
            }
        }
        let n_scored = scored.len();
        let (area, precision) = areas(&mut scored);
        say!(
            "{name} [{window}] {options:?}: {n_scored} rows scored, ROC AUC {area:.4}, \
             average precision {precision:.3}"
        );
        assert!(n_scored >= rows.len() - TRAINED - 10, "{name}: {n_scored}");
        assert!(area >= *area_min, "{name}: {area}");
        assert!(precision >= *precision_min, "{name}: {precision}");
    }
    // The models begin with the first scrape, and then no sample is read twice.
    let n_scanned = world.engine.stats().samples_scanned;
    assert!(
        n_scanned <= 9 * models.len() as u64,
        "{n_scanned} samples read from history"
    );
}

/// Returns the first block of rules of a page.
fn rules_of(page: &str) -> String {
    let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(page)).unwrap();
    let (_, block) = text.split_once("```yaml\n").unwrap();
    block.split_once("```").unwrap().0.to_owned()
}

#[test]
fn the_example_of_the_page_fires_when_sensors_do_not_go_together() {
    let mut world = World::new(&rules_of("docs/FOREST.md"));
    let series = ["pressure", "temperature"].map(|sensor| {
        labels(&format!(
            "machine_sensor{{machine=\"a\",sensor=\"{sensor}\"}}"
        ))
    });
    let mut random = fastrand::Rng::with_seed(11);
    // Both rise and fall with the load; each of the last values alone is an ordinary one.
    for round in 0..1_400 {
        let load = random.f64();
        let temperature = if round < 1_360 {
            load
        } else {
            1.0 - load.round()
        };
        let pressure = if round < 1_360 { load } else { load.round() };
        let noise = 0.02 * random.f64();
        world.scrape(
            &series,
            &[40.0 + 20.0 * pressure, 60.0 + 30.0 * (temperature + noise)],
        );
    }
    let broke = BEGIN + 1_360 * STEP;
    let first = world.fired.first().map(|(name, at)| (name.as_str(), *at));
    let (name, at) = first.expect("an alert");
    assert_eq!(name, "MachineUnusual");
    assert!(
        at > broke && at <= broke + 10 * 60_000,
        "{} s later",
        (at - broke) / 1000
    );
    assert!(world.recorded["machine:forest_score"].len() > 800);
}

#[test]
fn what_cannot_be_one_point_is_an_error_that_says_why() {
    let error = |expr: &str, series: &[&str]| {
        let rule = format!("groups:\n- name: g\n  rules:\n  - {{record: r, expr: '{expr}'}}\n");
        let mut world = World::new(&rule);
        let series: Vec<Labels> = series.iter().map(|series| labels(series)).collect();
        world.scrape(&series, &vec![1.0; series.len()]);
        let groups = world.engine.groups();
        let rules = groups.iter().flat_map(|group| &group.rules);
        let errors = rules.filter_map(|rule| match &rule.health {
            RuleHealth::Err(error) => Some(error.clone()),
            _ => None,
        });
        errors.collect::<Vec<String>>().join("\n")
    };
    let alike = ["a{s=\"1\",job=\"j\"}", "b{s=\"1\",job=\"j\"}"];
    let found = error(r#"anomaly_forest({__name__=~"a|b"}[1h], "s")"#, &alike);
    assert!(
        found.contains("several series of {job=\"j\"} have s=\"1\""),
        "{found}"
    );
    let found = error(
        r#"anomaly_forest({__name__=~"a|b"}[1h], "__name__")"#,
        &alike,
    );
    assert_eq!(found, "");
    let many: Vec<String> = (0..257).map(|n| format!("a{{s=\"{n}\"}}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let found = error(r#"anomaly_forest(a[1h], "s")"#, &many);
    assert!(found.contains("more than 256 series"), "{found}");
    // What is wrong in the rule itself is found before it is loaded.
    let expr = r#"anomaly_forest(a[1h], "s", "tree=5")"#;
    let found = parse(expr, &Functions, Features::ALL).map_err(|error| error.to_string());
    let found = found.expect_err("there is no such option");
    assert!(found.contains("Did you mean \"trees\"?"), "{found}");
}
