//! The labelled streams as they lie in the shared folder, and what is true of them.

use std::io::Read;
use std::path::PathBuf;

use serde_json::Value as Json;

/// The half of the streams that thresholds were chosen on, or the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Half {
    /// The first, third, fifth … of the names in order: looked at while thresholds were chosen.
    Tuned,
    /// The others: for them nothing was chosen.
    Kept,
}

/// A series of the Numenta Anomaly Benchmark.
pub struct NabSeries {
    pub name: String,
    pub half: Half,
    /// Rows in the order of the file: Unix seconds, value.
    pub rows: Vec<(i64, f64)>,
    /// Usual distance of rows in seconds.
    pub step: i64,
    /// First and last second in which an alarm counts, in order.
    pub windows: Vec<(i64, i64)>,
}

/// One model's fortnight: predictions, confidences, answers and embeddings by quarters of an hour.
pub struct DriftStream {
    pub name: String,
    pub half: Half,
    pub truth: DriftTruth,
    pub columns: Vec<String>,
    /// Unix seconds and the columns behind the first.
    pub rows: Vec<(i64, Vec<f64>)>,
    pub step: i64,
}

/// What is true of a drift stream.
pub struct DriftTruth {
    /// Begin and end of the change, Unix seconds.
    pub change: Option<(i64, i64)>,
    pub reference_until: i64,
    /// Signals that can show the change.
    pub visible_in: Vec<String>,
    pub is_seasonal: bool,
}

/// Returns the folder of the streams, if this machine has it.
pub fn folder() -> Option<PathBuf> {
    let shared = PathBuf::from(std::env::var_os("BURNWATCH_SHARED")?);
    let folder = shared.join("conformance/ml/streams");
    folder.join("truth.json").is_file().then_some(folder)
}

/// Returns the names of a kind ("nab", "drift") in order, with what is true of them and the half
/// they are of.
fn listed(kind: &str) -> Vec<(String, Json, Half)> {
    let folder = folder().unwrap();
    let truth = std::fs::read_to_string(folder.join("truth.json")).unwrap();
    let truth: Json = serde_json::from_str(&truth).unwrap();
    let of_kind = |name: &&String| name.starts_with(&format!("{kind}/"));
    let all = truth.as_object().unwrap();
    let mut names: Vec<&String> = all.keys().filter(of_kind).collect();
    names.sort();
    let halves = [Half::Tuned, Half::Kept].into_iter().cycle();
    let named = names.into_iter().zip(halves);
    named
        .map(|(name, half)| (name.clone(), all[name].clone(), half))
        .collect()
}

/// Returns the header and the rows of a file: Unix seconds, the other columns.
fn table(file: &str) -> (Vec<String>, Vec<(i64, Vec<f64>)>) {
    let bytes = std::fs::read(folder().unwrap().join(file)).unwrap();
    let mut text = String::new();
    let mut decoder = flate2::read::GzDecoder::new(bytes.as_slice());
    decoder.read_to_string(&mut text).unwrap();
    let mut lines = text.lines();
    let header = lines.next().unwrap().split(',').skip(1);
    let header = header.map(str::to_owned).collect();
    let row = |line: &str| {
        let (at, values) = line.split_once(',').unwrap();
        let values = values.split(',').map(|value| value.parse().unwrap());
        (at.parse::<f64>().unwrap() as i64, values.collect())
    };
    (header, lines.map(row).collect())
}

fn short(file: &str) -> String {
    let name = file.rsplit('/').next().unwrap();
    name.trim_end_matches(".csv.gz").to_owned()
}

/// Reads the series of the benchmark.
pub fn nab() -> Vec<NabSeries> {
    let read = |(file, truth, half): (String, Json, Half)| {
        let windows = truth["windows"].as_array().unwrap().iter();
        let edge = |window: &Json, at: usize| window[at].as_f64().unwrap() as i64;
        NabSeries {
            name: short(&file),
            half,
            rows: table(&file)
                .1
                .into_iter()
                .map(|(at, values)| (at, values[0]))
                .collect(),
            step: truth["step_s"].as_i64().unwrap(),
            windows: windows
                .map(|window| (edge(window, 0), edge(window, 1)))
                .collect(),
        }
    };
    listed("nab").into_iter().map(read).collect()
}

/// Reads the drift streams.
pub fn drift() -> Vec<DriftStream> {
    let read = |(file, truth, half): (String, Json, Half)| {
        let seconds = |key: &str| truth[key].as_i64();
        let visible_in = truth["visible_in"].as_array().unwrap().iter();
        let (columns, rows) = table(&file);
        DriftStream {
            name: short(&file),
            half,
            truth: DriftTruth {
                change: seconds("change_at").zip(seconds("change_done")),
                reference_until: seconds("reference_until").unwrap(),
                visible_in: visible_in
                    .map(|signal| signal.as_str().unwrap().to_owned())
                    .collect(),
                is_seasonal: truth["kind"].as_str().unwrap().contains("seasonal"),
            },
            columns,
            rows,
            step: truth["step_s"].as_i64().unwrap(),
        }
    };
    listed("drift").into_iter().map(read).collect()
}
