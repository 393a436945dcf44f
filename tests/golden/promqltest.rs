//! The scripts with which Prometheus tests its own engine, read from `BURNWATCH_SHARED`.
//!
//! Catches: any departure from the semantics that Prometheus' maintainers thought worth a test,
//! native histograms, start timestamps and experimental features included. An instant query is
//! asked again as the original runner does: in the middle of a range, and with `@` at every
//! selector from other instants. The scripts are theirs and are not kept here; without the
//! folder the test says so and passes.

use std::path::Path;

use burnwatch::eval::{EvalError, EvalOptions, Outcome, Scan, evaluate, evaluate_range};
use burnwatch::functions::Functions;
use burnwatch::model::{DurationMs, TimestampMs, Value};
use burnwatch::promql::{Features, parse};
use burnwatch::series::Snapshot;

use crate::at_modifier::with_at;
use crate::expected::{check_remarks, check_value, check_vector};
use crate::script::{Command, Eval, When, read_script};
use crate::stored::Stored;

/// What the engine of the original runner has on.
const FEATURES: Features = Features {
    delayed_name_removal: true,
    start_timestamps_kept: true,
    start_timestamps_used: true,
    ..Features::ALL
};

/// A version's scripts.
struct Version {
    name: &'static str,
    /// The folder in `conformance/promqltest`.
    folder: &'static str,
    /// How many evaluations there are.
    n_evals: usize,
    /// Whether its remarks say where, `(line:column)`.
    has_places: bool,
    /// Where we do not do as the script says: file, line and why.
    exceptions: &'static [(&'static str, usize, &'static str)],
}

const VERSIONS: [Version; 2] = [
    Version {
        name: "3.14",
        folder: ".",
        n_evals: 2214,
        has_places: true,
        exceptions: &[],
    },
    // Where the two differ, the newer decides.
    Version {
        name: "3.12",
        folder: "v3.12.0",
        n_evals: 2117,
        has_places: false,
        exceptions: &[
            ("start_timestamps.test", 8, ZERO_AT_START),
            ("start_timestamps.test", 13, ZERO_AT_START),
            ("start_timestamps.test", 66, UNKNOWN_START),
            ("start_timestamps.test", 74, UNKNOWN_START),
            ("start_timestamps.test", 82, UNKNOWN_START),
            ("start_timestamps.test", 131, HISTOGRAM_STARTS),
            ("start_timestamps.test", 134, HISTOGRAM_STARTS),
            ("start_timestamps.test", 137, HISTOGRAM_STARTS),
            ("start_timestamps.test", 141, HISTOGRAM_STARTS),
            ("start_timestamps.test", 158, HISTOGRAM_STARTS),
            ("start_timestamps.test", 164, HISTOGRAM_STARTS),
            ("start_timestamps.test", 170, HISTOGRAM_STARTS),
        ],
    },
];

const ZERO_AT_START: &str =
    "3.14 takes a counter to be zero at a start timestamp inside the window";
const UNKNOWN_START: &str = "3.14 takes a start at the sample itself for an unknown one";
const HISTOGRAM_STARTS: &str = "3.12 does not keep the start timestamps of histograms";

/// What is said of functions that are not Prometheus', a script for each family.
#[test]
fn our_own_scripts_pass() {
    let ours = Version {
        name: "ours",
        folder: ".",
        n_evals: 38,
        has_places: true,
        exceptions: &[],
    };
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/promqltest");
    assert_eq!(run_version(&ours, &folder), 0, "evaluations fail");
}

#[test]
fn prometheus_own_scripts_pass() {
    let Some(shared) = std::env::var_os("BURNWATCH_SHARED") else {
        say!("skipped: BURNWATCH_SHARED is not set, so there are no scripts of promqltest");
        return;
    };
    let scripts = Path::new(&shared).join("conformance/promqltest");
    let mut n_failures = 0;
    for version in &VERSIONS {
        n_failures += run_version(version, &scripts.join(version.folder));
    }
    assert_eq!(n_failures, 0, "evaluations fail");
}

/// Runs the scripts of a version; returns how many evaluations fail that should not.
fn run_version(version: &Version, folder: &Path) -> usize {
    let files = std::fs::read_dir(folder).unwrap();
    let mut files: Vec<_> = files.map(|file| file.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|ending| ending == "test"));
    files.sort();
    let (mut n_passed, mut n_evals, mut failures) = (0, 0, Vec::new());
    let mut n_exceptions = 0;
    for path in files {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let tally = run_file(&std::fs::read_to_string(&path).unwrap(), version);
        let of_file = tally.n_passed + tally.failures.len();
        say!("{} {name}: {} of {of_file}", version.name, tally.n_passed);
        n_passed += tally.n_passed;
        n_evals += of_file;
        for (line, text) in tally.failures {
            let is_this = |e: &&(&str, usize, &str)| e.0 == name && e.1 == line;
            match version.exceptions.iter().find(is_this) {
                Some((_, _, why)) => {
                    n_exceptions += 1;
                    say!("{} exception: {name}:{line}: {why}", version.name);
                }
                None => failures.push(format!("{} {name}:{line}: {text}", version.name)),
            }
        }
    }
    say!("{}: {n_passed} of {n_evals} evaluations pass", version.name);
    failures.iter().for_each(|failure| say!("{failure}"));
    assert_eq!(n_evals, version.n_evals, "scripts are missing or new");
    let n_listed = version.exceptions.len();
    assert_eq!(n_exceptions, n_listed, "an exception is no longer one");
    failures.len()
}

#[derive(Default)]
struct Tally {
    n_passed: usize,
    failures: Vec<(usize, String)>,
}

fn run_file(script: &str, version: &Version) -> Tally {
    let mut tally = Tally::default();
    let commands = match read_script(script) {
        Ok(commands) => commands,
        Err(text) => {
            tally.failures.push((0, text));
            return tally;
        }
    };
    let mut stored = Stored::default();
    let mut snapshot = Snapshot::default();
    for command in commands {
        match command {
            Command::Clear => {
                stored.clear();
                snapshot = stored.snapshot();
            }
            Command::Load(load) => {
                stored.load(&load);
                snapshot = stored.snapshot();
            }
            Command::Eval(eval) => match run_eval(&eval, &snapshot, version) {
                Ok(()) => tally.n_passed += 1,
                Err(text) => {
                    let text = format!("{}\n    {text}", eval.query);
                    tally.failures.push((eval.line, text));
                }
            },
        }
    }
    tally
}

/// A query asked as the engine of the original runner would be.
struct Asked<'a> {
    query: &'a str,
    snapshot: &'a Snapshot,
    version: &'a Version,
}

impl Asked<'_> {
    fn instant(&self, at: i64) -> Result<Outcome<Value>, String> {
        self.evaluate(|expr, scan, options| evaluate(expr, scan, TimestampMs(at), options))
    }

    fn range(&self, start: i64, end: i64, step: i64) -> Result<Outcome<Value>, String> {
        let times = (TimestampMs(start), TimestampMs(end), DurationMs(step));
        self.evaluate(|expr, scan, options| {
            let outcome = evaluate_range(expr, scan, times, options)?;
            Ok(Outcome {
                value: Value::Matrix(outcome.value),
                warnings: outcome.warnings,
                infos: outcome.infos,
                n_samples: outcome.n_samples,
                steps: outcome.steps,
                peak_samples: outcome.peak_samples,
            })
        })
    }

    fn evaluate(
        &self,
        evaluate: impl Fn(
            &burnwatch::promql::Expr,
            &Scan<'_>,
            &EvalOptions,
        ) -> Result<Outcome<Value>, EvalError>,
    ) -> Result<Outcome<Value>, String> {
        let options = EvalOptions {
            features: FEATURES,
            query: self.version.has_places.then(|| self.query.into()),
            ..EvalOptions::default()
        };
        let expr = parse(self.query, &Functions, Features::ALL).map_err(|e| e.to_string())?;
        let scan = Scan::new(self.snapshot);
        evaluate(&expr, &scan, &options).map_err(|error| error.to_string())
    }
}

fn run_eval(eval: &Eval, snapshot: &Snapshot, version: &Version) -> Result<(), String> {
    let ask = |query| Asked {
        query,
        snapshot,
        version,
    };
    let at = match eval.when {
        When::Range { start, end, step } => {
            let asked = ask(&eval.query);
            return check_answer(eval, asked.range(start, end, step)).map(|_| ());
        }
        When::Instant(at) => eval.expect.range_vector.map_or(at, |(_, end, _)| end),
    };
    check_instant(eval, &ask(&eval.query), at)?;
    let (query, times) = with_at(&eval.query, at);
    for at in times {
        check_instant(eval, &ask(&query), at).map_err(|e| format!("{query} at {at} ms: {e}"))?;
    }
    Ok(())
}

/// Compares an answer; `None` where it failed as it was to.
fn check_answer(
    eval: &Eval,
    answer: Result<Outcome<Value>, String>,
) -> Result<Option<Value>, String> {
    let outcome = match (answer, &eval.expect.fail) {
        (Ok(outcome), None) => outcome,
        (Ok(outcome), Some(_)) => return Err(format!("does not fail: {:?}", outcome.value)),
        (Err(error), None) => return Err(format!("fails: {error}")),
        (Err(error), Some(pattern)) if pattern.matches(&error) => return Ok(None),
        (Err(error), Some(pattern)) => return Err(format!("fails with {error}, not {pattern:?}")),
    };
    check_remarks(eval, &outcome)?;
    check_value(eval, &outcome.value)?;
    Ok(Some(outcome.value))
}

/// Asks at one instant, and again in the middle of a range around it.
fn check_instant(eval: &Eval, asked: &Asked<'_>, at: i64) -> Result<(), String> {
    const MINUTE: i64 = 60_000;
    let Some(value) = check_answer(eval, asked.instant(at))? else {
        return Ok(());
    };
    // These depend on the query's times.
    let of_query = ["start()", "end()", "range()", "step()"];
    let has_no_range = eval.expect.range_vector.is_some() || eval.expect.string.is_some();
    if has_no_range || of_query.iter().any(|call| asked.query.contains(call)) {
        return Ok(());
    }
    let of_range = asked.range(at - MINUTE, at + MINUTE, MINUTE);
    let of_range = of_range.map_err(|error| format!("fails in a range: {error}"))?;
    let Value::Matrix(series) = of_range.value else {
        return Err("a range gives no matrix".to_owned());
    };
    if eval.expect.ordered {
        return Ok(());
    }
    let in_middle: Vec<_> = series
        .iter()
        .filter_map(|series| {
            let point = series.points.iter().find(|point| point.at.0 == at)?;
            Some((&series.labels, &point.value))
        })
        .collect();
    let compared = match (value, &in_middle[..]) {
        (Value::Scalar(_), [(_, value)]) => {
            let value = value.as_float().ok_or("a histogram")?;
            check_value(eval, &Value::Scalar(value))
        }
        _ => check_vector(eval, &in_middle, false),
    };
    compared.map_err(|text| format!("in a range: {text}: {series:?}"))
}
