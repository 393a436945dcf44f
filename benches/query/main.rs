//! What queries cost, side by side with Prometheus: the commonest shapes of expressions in rule
//! files, at one instant and over a day, over the same 1,000 series of a day at 15 seconds.
//!
//! `cargo bench --bench query [word]`; with a word, only the queries that contain it. Both servers
//! run as they are installed, in processes of their own, and are asked over HTTP; their answers
//! are compared, and what is counted is their processor time. Without Prometheus (on PATH or
//! fetched by `tests/tools.sh`) burnwatch runs alone.

#[path = "../support/process_time.rs"]
mod process_time;
mod samples;
mod server;

use std::collections::BTreeMap;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use serde_json::Value;

use crate::samples::{Fleet, SCRAPE_MS};
use crate::server::Server;

const DAY_MS: i64 = 24 * 3600 * 1000;
const N_SERIES: usize = 1000;
/// Samples of each series in one request.
const SCRAPES_PER_REQUEST: i64 = 20;
/// A query is asked again until it has used this much processor time, or so often.
const CPU_SECONDS_MIN: f64 = 0.5;
const REPEATS_MAX: usize = 2000;
const REPEATS_MIN: usize = 3;

/// The shapes, commonest first; `W` stands for a window.
const SHAPES: [(&str, &str); 11] = [
    (
        "sum by (rate)",
        "sum by (instance) (rate(http_requests_total[W]))",
    ),
    ("rate", "rate(http_requests_total[W])"),
    ("and on", "memory_bytes > 50000 and on (instance) up == 1"),
    ("comparison", "http_requests_total > 60000"),
    (
        "ratio of summed rates",
        "sum by (instance) (rate(http_requests_total{code=~\"5..\"}[W])) / \
         sum by (instance) (rate(http_requests_total[W]))",
    ),
    (
        "many-to-one join",
        "rate(http_requests_total[W]) * on (instance) group_left (version) build_info",
    ),
    (
        "histogram_quantile",
        "histogram_quantile(0.99, sum by (le) (rate(http_request_duration_seconds_bucket[W])))",
    ),
    ("increase", "increase(http_requests_total[W]) > 100"),
    ("avg_over_time", "avg_over_time(memory_bytes[W])"),
    ("absent", "absent(up{job=\"web\"})"),
    ("topk", "topk(5, rate(http_requests_total[W]))"),
];
const WINDOWS: [&str; 3] = ["5m", "1h", "1d"];

fn main() {
    let filter = std::env::args().skip(1).find(|arg| !arg.starts_with('-'));
    let mut servers = vec![Server::burnwatch()];
    match server::find("prometheus") {
        Some(program) => servers.push(Server::prometheus(&program)),
        None => println!("no prometheus on PATH: run tests/tools.sh first to compare with it"),
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let now_ms = now.expect("after 1970").as_millis() as i64;
    let end_ms = now_ms / 60_000 * 60_000;
    fill(&servers, end_ms - DAY_MS);
    println!("CPU per query, ms of processor time; wall is the median\n");
    println!("| shape | window | asked | burnwatch CPU | Prometheus CPU | ratio | wall | wall |");
    println!("|---|---|---|---:|---:|---:|---:|---:|");
    for (shape, query) in SHAPES {
        let windows = if query.contains("[W]") {
            &WINDOWS[..]
        } else {
            &[""]
        };
        for window in windows {
            let query = query.replace("[W]", &format!("[{window}]"));
            for asked in [Asked::Once, Asked::Day] {
                let row = format!("{shape} {query} {}", asked.name());
                if filter.as_ref().is_none_or(|word| row.contains(word)) {
                    compare(&servers, (shape, window, &query), asked, end_ms);
                }
            }
        }
    }
    println!();
    for server in &servers {
        let (_, most) = server.memory_mib();
        println!("{}: {most:.0} MiB resident at most", server.name);
    }
}

fn fill(servers: &[Server], start_ms: i64) {
    let mut fleet = Fleet::new(N_SERIES);
    let n_series = fleet.len();
    let empty: Vec<f64> = servers.iter().map(|server| server.memory_mib().0).collect();
    let per_request_ms = SCRAPES_PER_REQUEST * SCRAPE_MS;
    for request in 0..DAY_MS / per_request_ms {
        let from_ms = start_ms + request * per_request_ms;
        let request = fleet.write(from_ms, SCRAPES_PER_REQUEST as usize);
        servers.iter().for_each(|server| server.write(&request));
    }
    let n_samples = n_series as i64 * DAY_MS / SCRAPE_MS;
    println!("{n_series} series, {n_samples} samples");
    for (server, empty) in servers.iter().zip(empty) {
        server.rest();
        let (resident, _) = server.memory_mib();
        let cpu = server.cpu_seconds();
        let per_sample = (resident - empty) * f64::from(1 << 20) / n_samples as f64;
        println!(
            "{}: {resident:.0} MiB resident, {per_sample:.1} bytes a sample; {cpu:.1} s of CPU \
             to take them",
            server.name
        );
    }
}

/// How a query is asked.
#[derive(Clone, Copy)]
enum Asked {
    /// At the last instant.
    Once,
    /// Over the day, as a panel would.
    Day,
}

impl Asked {
    fn name(self) -> &'static str {
        match self {
            Asked::Once => "instant",
            Asked::Day => "range",
        }
    }

    fn path(self) -> &'static str {
        match self {
            Asked::Once => "query",
            Asked::Day => "query_range",
        }
    }

    fn parameters(self, query: &str, window: &str, end_ms: i64) -> String {
        let escaped = |byte: u8| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' => char::from(byte).to_string(),
            byte => format!("%{byte:02X}"),
        };
        let query: String = query.bytes().map(escaped).collect();
        let end = end_ms / 1000;
        match self {
            Asked::Once => format!("query={query}&time={end}"),
            Asked::Day => {
                let start = (end_ms - DAY_MS) / 1000;
                let step = if window == "1d" { 600 } else { 60 };
                format!("query={query}&start={start}&end={end}&step={step}")
            }
        }
    }
}

fn compare(
    servers: &[Server],
    (shape, window, query): (&str, &str, &str),
    asked: Asked,
    end_ms: i64,
) {
    let parameters = asked.parameters(query, window, end_ms);
    let ask = |server: &Server| server.ask(asked.path(), &parameters);
    let answers: Vec<_> = servers
        .iter()
        .map(|server| Server::result(&ask(server)))
        .collect();
    if let [ours, theirs] = &answers[..] {
        same(ours, theirs).unwrap_or_else(|difference| panic!("{query}: {difference}"));
    }
    let costs: Vec<Cost> = servers.iter().map(|server| measure(server, ask)).collect();
    let (cpu, wall) = (costs[0].cpu_ms, costs[0].wall_ms);
    let row = format!("| {shape} | {window} | {} | {cpu:.2} |", asked.name());
    match costs.get(1) {
        Some(theirs) => println!(
            "{row} {:.2} | {:.2} | {wall:.1} | {:.1} |",
            theirs.cpu_ms,
            cpu / theirs.cpu_ms,
            theirs.wall_ms
        ),
        None => println!("{row} | | {wall:.1} | |"),
    }
}

/// What a query costs.
struct Cost {
    cpu_ms: f64,
    wall_ms: f64,
}

fn measure(server: &Server, ask: impl Fn(&Server) -> Vec<u8>) -> Cost {
    let before = server.cpu_seconds();
    let mut walls = Vec::new();
    loop {
        let started = Instant::now();
        ask(server);
        walls.push(started.elapsed().as_secs_f64());
        let used = server.cpu_seconds() - before;
        let is_enough = used >= CPU_SECONDS_MIN || walls.len() >= REPEATS_MAX;
        if is_enough && walls.len() >= REPEATS_MIN {
            walls.sort_by(f64::total_cmp);
            return Cost {
                cpu_ms: used * 1e3 / walls.len() as f64,
                wall_ms: walls[walls.len() / 2] * 1e3,
            };
        }
    }
}

/// Compares two results: the same series, the same instants, values to 1e-9.
fn same(ours: &Value, theirs: &Value) -> Result<(), String> {
    let (ours, theirs) = (by_labels(ours), by_labels(theirs));
    if !ours.keys().eq(theirs.keys()) {
        return Err(format!(
            "{} series, Prometheus {}",
            ours.len(),
            theirs.len()
        ));
    }
    for (labels, points) in &ours {
        let expected = &theirs[labels];
        if points.len() != expected.len() {
            return Err(format!(
                "{labels}: {} points, Prometheus {}",
                points.len(),
                expected.len()
            ));
        }
        for (point, expected) in points.iter().zip(expected) {
            let is_close = point.1 == expected.1
                || (point.1.is_nan() && expected.1.is_nan())
                || (point.1 - expected.1).abs() <= 1e-9 * expected.1.abs();
            if point.0 != expected.0 || !is_close {
                return Err(format!("{labels}: {point:?}, Prometheus {expected:?}"));
            }
        }
    }
    Ok(())
}

fn by_labels(result: &Value) -> BTreeMap<String, Vec<(f64, f64)>> {
    let point = |pair: &Value| {
        let value = pair[1].as_str().and_then(|text| text.parse().ok());
        (
            pair[0].as_f64().unwrap_or(f64::NAN),
            value.unwrap_or(f64::NAN),
        )
    };
    let series = |series: &Value| {
        let points = match series["values"].as_array() {
            Some(points) => points.iter().map(point).collect(),
            None => vec![point(&series["value"])],
        };
        (series["metric"].to_string(), points)
    };
    let all = result.as_array();
    all.into_iter().flatten().map(series).collect()
}
