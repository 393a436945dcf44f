//! What Prometheus answered, through windows: every recorded expression is a rule, its series are
//! streamed in time order, and its value at each recorded instant is compared.
//!
//! Catches: windows that are right among themselves and differ from Prometheus. Expressions that
//! look ahead of the frontier (`@`, negative offsets, `smoothed`) are asked in an engine that has
//! been given everything before its clock begins to go.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use burnwatch::engine::{Engine, Leaves, View};
use burnwatch::functions::Functions;
use burnwatch::model::{
    Batch, DurationMs, EngineSettings, Entry, Generation, Grid, Labels, RuleSource, SampleValue,
    SeriesDefinition, SeriesHandle, Stamp, TimestampMs, Value,
};
use burnwatch::promql::{Expr, Features, parse, selectors};
use serde_json::{Value as Json, json};

use crate::answer::{
    Agreement, Sample, compare_samples, read_float, read_labels, read_matrix, read_vector,
    shown_vector,
};
use crate::compare::{Tally, is_ordered, same_order, same_vector};
use crate::recorded::{lines, milliseconds, read_value};
use crate::same::{Allowed, same};

/// Sums over windows are exact here and compensated in Prometheus; series are added in the order
/// of their labels, where the recorded server had another.
const ROUNDING: [&str; 5] = ["avg", "stddev", "stdvar", "deriv", "predict_linear"];

/// Expressions whose answer follows from the order in which series are stored, which the recorded
/// server had otherwise (equal elements, sums of histograms with unequal buckets), or from how
/// subnormal numbers are rounded: what differs from the recorded answer has to be what scanning
/// gives.
const OPEN: [&str; 9] = [
    "avg(nh_odd)",
    "bottomk(3, g_mix)",
    "deriv(g_mix[20m])",
    "limitk(2, g_mix)",
    "limitk(2, g_temp)",
    "limitk(2, nh_exp)",
    "sort_by_label(opt, \"b\", \"a\")",
    "sum(nh_odd)",
    "topk(1, g_mix)",
];

/// What Prometheus answered to one expression at one instant.
enum Answer {
    Scalar(f64),
    Vector(Vec<(Labels, Sample)>),
    Error(String),
}

/// An expression and its answers, by instant in ms.
struct Question {
    query: String,
    expr: Expr,
    answers: BTreeMap<i64, Answer>,
}

impl Question {
    fn new(query: &str) -> Self {
        Question {
            query: query.to_owned(),
            expr: parse(query, &Functions, Features::ALL).unwrap(),
            answers: BTreeMap::new(),
        }
    }

    /// Tells whether it may read what lies ahead of its instant.
    fn looks_ahead(&self) -> bool {
        let used = selectors(&self.expr);
        let ahead = |used: &burnwatch::promql::SelectorUse| {
            used.at.is_some() || used.forward > DurationMs::ZERO
        };
        used.iter().any(ahead)
    }
}

/// Reads the answers at sixteen instants. Texts, ranges and what does not parse are no rules.
fn single_instants() -> Vec<Question> {
    let mut questions: BTreeMap<String, Question> = BTreeMap::new();
    for json in lines("expected.jsonl.gz") {
        let kind = json["errorType"].as_str().or(json["resultType"].as_str());
        let answer = match kind.unwrap() {
            "vector" => Answer::Vector(read_vector(&json["result"])),
            "scalar" => Answer::Scalar(read_float(&json["result"][1])),
            "execution" => Answer::Error(json["error"].as_str().unwrap().to_owned()),
            _ => continue,
        };
        let query = json["query"].as_str().unwrap();
        let question = questions.entry(query.to_owned());
        let question = question.or_insert_with(|| Question::new(query));
        question.answers.insert(milliseconds(&json["time"]), answer);
    }
    questions.into_values().collect()
}

/// Reads the answers over dense grids: of every tenth step, of all in a deep run.
fn dense_grids() -> Vec<Question> {
    let each = match std::env::var_os("BURNWATCH_DEEP") {
        Some(_) => 1,
        None => 10,
    };
    let mut questions: BTreeMap<String, Question> = BTreeMap::new();
    for json in lines("dense.jsonl.gz") {
        let query = json["query"].as_str().unwrap();
        let question = questions.entry(query.to_owned());
        let question = question.or_insert_with(|| Question::new(query));
        let [start, end, step] = ["start", "end", "step"].map(|key| milliseconds(&json[key]));
        let mut by_instant: BTreeMap<i64, Vec<(Labels, Sample)>> = BTreeMap::new();
        for (labels, points) in read_matrix(&json["result"]) {
            for (at, sample) in points {
                by_instant
                    .entry(at)
                    .or_default()
                    .push((labels.clone(), sample));
            }
        }
        for at in (start..=end).step_by(usize::try_from(each * step).unwrap()) {
            let elements = by_instant.remove(&at).unwrap_or_default();
            question.answers.insert(at, Answer::Vector(elements));
        }
    }
    questions.into_values().collect()
}

/// The samples of all series by time.
type Samples = BTreeMap<i64, Vec<(SeriesHandle, SampleValue)>>;

fn read_samples() -> (Vec<SeriesDefinition>, Samples) {
    let (mut definitions, mut samples) = (Vec::new(), Samples::new());
    for (number, json) in (0..).zip(lines("series.jsonl.gz")) {
        let handle = SeriesHandle(number);
        let labels = read_labels(&json["labels"]);
        definitions.push(SeriesDefinition { handle, labels });
        for sample in json["samples"].as_array().unwrap() {
            let at = sample[0].as_i64().unwrap();
            let of_instant = samples.entry(at).or_default();
            of_instant.push((handle, read_value(&sample[1])));
        }
    }
    (definitions, samples)
}

/// An engine whose rules never tick, and its log.
struct Stream {
    engine: Engine,
    sequence: u64,
    effects: Vec<burnwatch::engine::Effect>,
    definitions: Vec<SeriesDefinition>,
    /// When each series was heard of.
    heard: BTreeMap<SeriesHandle, i64>,
}

impl Stream {
    fn new(questions: &[&Question], definitions: Vec<SeriesDefinition>) -> Self {
        let rule = |(number, question): (usize, &&Question)| json!({"record": format!("answer:{number}"), "expr": question.query});
        let rules: Vec<Json> = questions.iter().enumerate().map(rule).collect();
        let text = json!({"groups": [{"name": "g", "rules": rules}]}).to_string();
        let flags = [
            "promql-experimental-functions",
            "promql-duration-expr",
            "promql-extended-range-selectors",
            "promql-binop-fill-modifiers",
        ];
        let settings = EngineSettings {
            grid: Grid::UnitTest {
                start: TimestampMs(0),
                interval: DurationMs(10_000_000_000_000),
                group_order: None,
            },
            scrape_settle: DurationMs::ZERO,
            backlog_settle: DurationMs::ZERO,
            features: flags.map(str::to_owned).to_vec(),
            ..EngineSettings::default()
        };
        let rules = RuleSource {
            files: vec![("rules.yml".to_owned(), text)],
            settings,
        };
        let mut stream = Stream {
            engine: Engine::new(),
            sequence: 0,
            effects: Vec::new(),
            definitions,
            heard: BTreeMap::new(),
        };
        let entry = Entry::Rules {
            stamp: stream.stamp(None),
            generation: Generation(1),
            rules: Arc::new(rules),
        };
        stream.apply(&entry);
        assert_eq!(stream.effects, [], "the rules are taken");
        stream
    }

    fn stamp(&mut self, clock: Option<i64>) -> Stamp {
        self.sequence += 1;
        Stamp {
            sequence: self.sequence,
            wall: TimestampMs(clock.unwrap_or(0)),
            clock: clock.map(TimestampMs),
        }
    }

    fn apply(&mut self, entry: &Entry) {
        self.engine.apply(entry, &|| 0.0, &mut self.effects);
    }

    /// Sends samples; a series that has been silent for an hour is defined anew, as the door does.
    fn send(&mut self, samples: &Samples, clock: i64) {
        let mut batch = Batch::default();
        for (at, samples) in samples {
            for (handle, value) in samples {
                let before = self.heard.insert(*handle, clock);
                if before.is_none_or(|before| clock - before > 3_600_000) {
                    let definition = &self.definitions[handle.0 as usize];
                    batch.definitions.push(definition.clone());
                }
                let (handle, at) = (*handle, TimestampMs(*at));
                match value {
                    SampleValue::Float(value) => batch.floats.push((handle, at, *value)),
                    SampleValue::Histogram(h) => batch.histograms.push((handle, at, h.clone())),
                }
            }
        }
        let entry = Entry::Samples {
            stamp: self.stamp(Some(clock)),
            generation: Generation(1),
            batch,
        };
        self.apply(&entry);
    }

    fn go_to(&mut self, clock: i64) {
        let entry = Entry::Clock {
            stamp: self.stamp(Some(clock)),
        };
        self.apply(&entry);
        assert_eq!(self.engine.frontier(), Some(TimestampMs(clock)));
    }
}

fn same_answer(
    question: &Question,
    got: Result<Vec<burnwatch::model::VectorElement>, String>,
    wanted: &Answer,
) -> Result<Agreement, String> {
    match (got, wanted) {
        (Err(error), Answer::Error(wanted)) if error == *wanted => Ok(Agreement::Bits),
        (got, Answer::Error(wanted)) => Err(format!("{got:?}, wanted the error {wanted}")),
        (Err(error), _) => Err(format!("error: {error}")),
        (Ok(elements), Answer::Scalar(wanted)) => {
            let ours = shown_vector(&Value::Vector(elements));
            let [(labels, ours)] = ours.as_slice() else {
                return Err(format!("{ours:?} is no scalar"));
            };
            let same = compare_samples(ours, &Sample::Float(*wanted));
            same.filter(|_| labels.is_empty())
                .ok_or_else(|| format!("{ours:?}, wanted {wanted}"))
        }
        (Ok(elements), Answer::Vector(wanted)) => {
            let ours = shown_vector(&Value::Vector(elements));
            match is_ordered(&question.expr) {
                true => same_order(&ours, wanted),
                false => same_vector(&ours, wanted),
            }
        }
    }
}

/// Streams the series to an engine with these rules and compares at every instant.
fn ask(kind: &str, questions: &[&Question], all_at_first: bool, tally: &mut Tally) {
    let (definitions, mut samples) = read_samples();
    let mut stream = Stream::new(questions, definitions);
    let first = *samples.first_key_value().unwrap().0;
    if all_at_first {
        stream.send(&samples, first);
        samples.clear();
    }
    let instants: BTreeSet<i64> = questions
        .iter()
        .flat_map(|question| question.answers.keys().copied())
        .collect();
    let (mut n_values, mut n_without_scanning, mut n_open) = (0, 0, 0);
    let mut scanned: BTreeMap<&str, u64> = BTreeMap::new();
    for (n_asked, instant) in instants.into_iter().enumerate() {
        while let Some(at) = samples
            .first_key_value()
            .map(|(at, _)| *at)
            .filter(|at| *at <= instant)
        {
            let later = samples.split_off(&(at + 1));
            stream.send(&samples, at);
            samples = later;
        }
        stream.go_to(instant);
        for (number, question) in questions.iter().enumerate() {
            let Some(wanted) = question.answers.get(&instant) else {
                continue;
            };
            let got = stream
                .engine
                .rule_value(number, Leaves::Live, View::Appended);
            let got = got.unwrap();
            n_values += 1;
            n_without_scanning += usize::from(got.samples_scanned == 0);
            if n_asked > 0 && got.samples_scanned > 0 {
                *scanned.entry(&question.query).or_default() += got.samples_scanned;
            }
            let place = format!("{} @ {instant}", question.query);
            let mut verdict = same_answer(question, got.elements.clone(), wanted);
            if verdict.is_err() && OPEN.contains(&question.query.as_str()) {
                let scan = stream
                    .engine
                    .rule_value(number, Leaves::Scan, View::Appended);
                verdict =
                    same(&got, &scan.unwrap(), Allowed::Rounding(1e-300)).map(|()| Agreement::Bits);
                n_open += usize::from(verdict.is_ok());
            }
            tally.count(kind, &place, verdict);
        }
    }
    let n_scanning = scanned.len();
    say!(
        "{kind}: {n_without_scanning} of {n_values} values, and {} of {} expressions after their \
         first, without scanning; {n_open} answers as by scanning, where Prometheus leaves it open",
        questions.len() - n_scanning,
        questions.len(),
    );
}

fn check(kind: &str, questions: &[Question]) {
    let mut tally = Tally::rounding(&ROUNDING);
    let (ahead, behind): (Vec<_>, Vec<_>) = questions.iter().partition(|q| q.looks_ahead());
    ask(&format!("{kind}, as it comes"), &behind, false, &mut tally);
    ask(&format!("{kind}, looking ahead"), &ahead, true, &mut tally);
    tally.finish();
}

#[test]
fn rules_are_worth_what_prometheus_answered() {
    check("instants", &single_instants());
}

#[test]
fn rules_are_worth_what_prometheus_answered_step_by_step() {
    check("grids", &dense_grids());
}
