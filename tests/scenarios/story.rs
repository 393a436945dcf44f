//! The generator of the incidents: its exposition text, scrape by scrape, and its truth.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::world::Reading;

/// 0 s of the stories: midnight of a Monday in 2023, as the generator has it.
pub const START_SECONDS: i64 = 1_700_438_400;

/// What the truth says of one alert.
#[derive(Clone, Debug)]
pub struct Truth {
    pub alert: String,
    /// Earliest and latest second after the start at which it must begin to fire; `None`: never.
    pub fires: Option<(i64, i64)>,
    pub why: String,
}

/// One told story.
pub struct Story {
    /// Seconds after the start, and what the target shows then.
    pub scrapes: Vec<(i64, Vec<Reading>)>,
    pub truth: Vec<Truth>,
}

/// Returns the generator, or says why there is none.
pub fn generator_or_skip(what: &str) -> Option<PathBuf> {
    let Some(shared) = std::env::var_os("BURNWATCH_SHARED") else {
        say!("skip  BURNWATCH_SHARED is not set: {what}");
        return None;
    };
    let generator = Path::new(&shared).join("scenarios/scenarios.py");
    if !generator.is_file() {
        say!("skip  no {}: {what}", generator.display());
        return None;
    }
    let python = Command::new("python3").arg("--version").output();
    if !python.is_ok_and(|output| output.status.success()) {
        say!("skip  no python3 here: {what}");
        return None;
    }
    Some(generator)
}

fn tell(generator: &Path, words: &[&str]) -> String {
    let output = Command::new("python3")
        .arg(generator)
        .args(words)
        .output()
        .expect("python3 starts");
    let complained = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{words:?}: {complained}");
    String::from_utf8(output.stdout).expect("UTF-8")
}

impl Story {
    /// Has a story told.
    pub fn tell(generator: &Path, scenario: &str, variant: &str, seed: &str) -> Self {
        let words = [scenario, "--seed", seed, "--variant", variant];
        let mut scrapes: Vec<(i64, Vec<Reading>)> = Vec::new();
        for line in tell(generator, &words).lines() {
            let (seconds, reading) = sample(line);
            match scrapes.last_mut() {
                Some((at, readings)) if *at == seconds => readings.push(reading),
                _ => scrapes.push((seconds, vec![reading])),
            }
        }
        let truth = tell(generator, &[words.as_slice(), &["--truth"]].concat());
        let truth: Vec<Value> = serde_json::from_str(&truth).expect("the truth is JSON");
        assert!(scrapes.len() > 900 && truth.len() > 4, "a whole story");
        Story {
            scrapes,
            truth: truth.iter().map(one_truth).collect(),
        }
    }
}

fn one_truth(json: &Value) -> Truth {
    let text = |key: &str| json[key].as_str().expect(key).to_owned();
    let second = |at: usize| json["fire"][at].as_i64().expect("seconds");
    let never = json["fire"].is_null();
    Truth {
        alert: text("alert"),
        fires: (!never).then(|| (second(0), second(1))),
        why: text("why"),
    }
}

/// Reads `name{label="text"} value milliseconds`.
fn sample(line: &str) -> (i64, Reading) {
    let mut from_behind = line.rsplitn(3, ' ');
    let mut part = || from_behind.next().expect("three parts");
    let (at, value, series) = (part(), part(), part());
    let at: i64 = at.parse().expect("milliseconds");
    let (name, labels) = series.split_once('{').unwrap_or((series, ""));
    let labels = labels.trim_end_matches('}').split(',');
    let pair = |pair: &str| {
        let (name, text) = pair.split_once('=')?;
        Some((name.to_owned(), text.trim_matches('"').to_owned()))
    };
    let reading = Reading {
        name: name.to_owned(),
        labels: labels.filter_map(pair).collect(),
        value: value.parse().expect("a number"),
    };
    (at / 1000 - START_SECONDS, reading)
}
