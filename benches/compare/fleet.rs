//! A thousand real rules over the series that they read, live: row 5.
//!
//! The rules and series are recorded data (`BURNWATCH_SHARED`). All evaluators run at the same
//! time and are given the same scrapes: an hour of history as fast as they take it, then live
//! rounds each 15 seconds. What is counted is the processor time of the live part.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::load::{BATCH, LabelPairs, Protocol, SCRAPE_MS, now_ms};
use crate::report::{Row, figures};
use crate::rules::EVENT_TIME;
use crate::sender::Sender;
use crate::server::{self, Recipe, Server};
use crate::settings::Settings;

const INSTANCES: usize = 20;
/// The bounds of a histogram whose selector names none.
const BOUNDS: [&str; 7] = ["0.05", "0.1", "0.25", "0.5", "1", "2.5", "+Inf"];

struct Series {
    labels: LabelPairs,
    is_counter: bool,
    factor: f64,
}

/// A server with its connection, and who evaluates for it.
struct Lane {
    servers: Vec<Server>,
    sender: Sender,
    name: &'static str,
}

fn folder() -> Option<PathBuf> {
    let shared = PathBuf::from(std::env::var_os("BURNWATCH_SHARED")?);
    let folder = shared.join("tools/fleet");
    folder.join("rules.yml").is_file().then_some(folder)
}

/// Row 5, or what is missing for it.
pub fn measure(settings: &Settings) -> Result<Row, String> {
    let folder = folder().ok_or("the fleet is recorded data: set BURNWATCH_SHARED")?;
    let read = |name: &str| {
        let path = folder.join(name);
        std::fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))
    };
    let rules = read("rules.yml")?;
    let fleet: Value = serde_json::from_str(&read("fleet.json")?).map_err(|e| e.to_string())?;
    let series = expand(&fleet);
    let seconds = settings.seconds(120, 45);
    let history_ms = settings.history_ms(3_600_000);
    let mut lanes = start(&rules);
    let origin_ms = now_ms() / 1000 * 1000 - history_ms;
    let mut round = 0;
    while origin_ms + round * SCRAPE_MS < now_ms() - 1000 {
        let bodies = scrape(&series, origin_ms, round);
        lanes.iter_mut().for_each(|lane| lane.sender.push(&bodies));
        round += 1;
    }
    begin_rules(&mut lanes, &rules);
    lanes[0].servers[0].rest();
    let used = |lanes: &[Lane]| {
        let of = |lane: &Lane| {
            lane.servers
                .iter()
                .map(Server::cpu_seconds)
                .collect::<Vec<f64>>()
        };
        lanes.iter().map(of).collect::<Vec<_>>()
    };
    // A first live round wakes what has waited for one.
    round = live(&mut lanes, &series, origin_ms, round, 1);
    let before = used(&lanes);
    let n_live = (seconds * 1000).div_ceil(SCRAPE_MS as u64) as i64;
    live(&mut lanes, &series, origin_ms, round, n_live);
    let after = used(&lanes);
    let mut told = Vec::new();
    let mut whole = Vec::new();
    for (lane, (before, after)) in lanes.iter().zip(before.iter().zip(&after)) {
        let parts: Vec<f64> = after
            .iter()
            .zip(before)
            .map(|(after, before)| after - before)
            .collect();
        let sum: f64 = parts.iter().sum();
        whole.push(sum);
        let split = match &parts[..] {
            [_] => String::new(),
            parts => format!(
                " ({})",
                parts
                    .iter()
                    .map(|&part| figures(part))
                    .collect::<Vec<_>>()
                    .join(" + ")
            ),
        };
        let alerts = lane
            .servers
            .last()
            .and_then(alerts)
            .map_or(String::new(), |n| format!(", {n} alerts"));
        told.push(format!("{} {} s{split}{alerts}", lane.name, figures(sum)));
    }
    let ratio = whole
        .get(1)
        .filter(|_| lanes[1].name.starts_with("Prometheus"));
    let ratio = ratio.map_or(String::new(), |&peer| {
        format!("; 1/{} of Prometheus", figures(peer / whole[0]))
    });
    let scanned = lanes[0].servers[0].metric("burnwatch_scanned_samples_total");
    let scanned = scanned.map_or(String::new(), |n| {
        format!("; {} samples scanned", figures(n))
    });
    Ok(Row {
        number: 5,
        what: format!(
            "CPU in {} s of 1,000 real rules over their fleet of {} series, 15 s groups, arrival evaluation on",
            n_live * SCRAPE_MS / 1000,
            figures(series.len() as f64)
        ),
        reach: "≤ 1/10 of Prometheus",
        burnwatch: format!("{}{ratio}{scanned}", told.remove(0)),
        peers: if told.is_empty() {
            "none is there".to_owned()
        } else {
            told.join("; ")
        },
        quoted: "120 s: Prometheus 3.12 12.6 s; VictoriaMetrics + vmalert 18.2 s",
    })
}

fn start(rules: &str) -> Vec<Lane> {
    let lane = |name, recipe: Recipe| {
        let server = Server::start(&recipe);
        Lane {
            sender: Sender::new(server.address, Protocol::V1, 1),
            servers: vec![server],
            name,
        }
    };
    let mut lanes = vec![lane("burnwatch", server::burnwatch(rules, EVENT_TIME))];
    lanes.extend(server::prometheus().map(|recipe| lane("Prometheus 2.42", recipe)));
    lanes.extend(
        server::victoria_metrics().map(|recipe| lane("VictoriaMetrics + vmalert 1.79", recipe)),
    );
    lanes
}

/// The peers get their rules behind the history: they evaluate by the wall clock, and what they
/// record now would make an hour's history too old for Prometheus to take.
fn begin_rules(lanes: &mut [Lane], rules: &str) {
    for lane in &mut lanes[1..] {
        let server = &lane.servers[0];
        match server.name {
            "Prometheus" => {
                std::fs::write(server.directory.join("rules.yml"), rules).expect("a file");
                let answer = server.ask("POST", "/-/reload");
                assert!(
                    matches!(answer, Some((200, _))),
                    "Prometheus reloads: {answer:?}"
                );
            }
            _ => {
                let recipe = server::vmalert(rules, server.address);
                lane.servers
                    .extend(recipe.map(|recipe| Server::start(&recipe)));
            }
        }
    }
}

/// Pushes `n` scrapes, each when it is due, to all at once; returns the number of the next.
fn live(lanes: &mut [Lane], series: &[Series], origin_ms: i64, from: i64, n: i64) -> i64 {
    for round in from..from + n {
        let due_ms = origin_ms + round * SCRAPE_MS;
        let bodies = scrape(series, origin_ms, round);
        let wait = u64::try_from(due_ms - now_ms()).unwrap_or(0);
        thread::sleep(Duration::from_millis(wait));
        thread::scope(|scope| {
            for lane in &mut *lanes {
                scope.spawn(|| lane.sender.push(&bodies));
            }
        });
    }
    // What the last scrape causes belongs to it: groups tick within their interval.
    let end = Instant::now() + Duration::from_millis(SCRAPE_MS as u64 - 1000);
    thread::sleep(end.saturating_duration_since(Instant::now()));
    from + n
}

/// The series of the fleet: each entry for each instance, and for each bucket where it has none.
fn expand(fleet: &Value) -> Vec<Series> {
    let (mut all, mut seen) = (Vec::new(), BTreeSet::new());
    for entry in fleet.as_array().into_iter().flatten() {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let own: Vec<(String, String)> = entry["labels"]
            .as_object()
            .into_iter()
            .flatten()
            .map(|(name, value)| (name.clone(), text(value)))
            .collect();
        let is_bucket = entry["labels"]["__name__"]
            .as_str()
            .is_some_and(|name| name.ends_with("_bucket"))
            && entry["labels"].get("le").is_none();
        let bounds = if is_bucket { &BOUNDS[..] } else { &[""] };
        for instance in 0..INSTANCES {
            for (place, bound) in bounds.iter().enumerate() {
                let mut labels = own.clone();
                let defaults = [
                    ("job", "fleet".to_owned()),
                    (
                        "instance",
                        format!("10.0.{}.{}:9100", instance >> 8, instance & 255),
                    ),
                    ("pod", format!("pod-{instance}")),
                    ("namespace", "prod".to_owned()),
                    ("cluster", "c1".to_owned()),
                    ("fleet_i", instance.to_string()),
                ];
                for (name, value) in defaults {
                    if own.iter().all(|(of_own, _)| of_own != name) {
                        labels.push((name.to_owned(), value));
                    }
                }
                if !bound.is_empty() {
                    labels.push(("le".to_owned(), (*bound).to_owned()));
                }
                labels.sort();
                if seen.insert(labels.clone()) {
                    all.push(Series {
                        labels,
                        is_counter: entry["counter"].as_bool().unwrap_or(false),
                        factor: ((1 + instance % 7) * (place + 1)) as f64,
                    });
                }
            }
        }
    }
    all
}

/// The requests of one scrape: counters grow evenly, gauges are noise around 70.
fn scrape(series: &[Series], origin_ms: i64, round: i64) -> Vec<Vec<u8>> {
    use burnwatch::wire::v1;
    use prost::Message;
    let timestamp = origin_ms + round * SCRAPE_MS;
    let mut random = fastrand::Rng::with_seed(round as u64);
    let mut one = |series: &Series| {
        let value = if series.is_counter {
            round as f64 * series.factor * 3.0
        } else {
            50.0 + 40.0 * random.f64()
        };
        let label = |(name, value): &(String, String)| v1::Label {
            name: name.clone(),
            value: value.clone(),
        };
        v1::TimeSeries {
            labels: series.labels.iter().map(label).collect(),
            samples: vec![v1::Sample { value, timestamp }],
            ..v1::TimeSeries::default()
        }
    };
    let request = |series: &[Series]| {
        let request = v1::WriteRequest {
            timeseries: series.iter().map(&mut one).collect(),
            ..v1::WriteRequest::default()
        };
        let compressed = snap::raw::Encoder::new().compress_vec(&request.encode_to_vec());
        compressed.expect("a request of 2,000 series is below 4 GiB")
    };
    series.chunks(BATCH).map(request).collect()
}

/// How many alerts an evaluator has, pending or firing: it tells whether all did the same.
fn alerts(server: &Server) -> Option<usize> {
    let (_, body) = server.ask("GET", "/api/v1/alerts")?;
    let answer: Value = serde_json::from_str(&body).ok()?;
    Some(answer["data"]["alerts"].as_array()?.len())
}
