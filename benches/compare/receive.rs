//! What receiving costs: rows 1, 2, 8 and 9.

use crate::load::{Load, Protocol, Shape};
use crate::measure::{self, Lane, Stretch};
use crate::report::{Row, figures};
use crate::rules::{self, EVENT_TIME};
use crate::server::{self, Recipe};
use crate::settings::Settings;

/// How a figure of processor time is told.
fn cost(lane: &Lane, floor_us: f64) -> String {
    let cpu_us = lane.cpu_us();
    format!("{} µs, {} ×", figures(cpu_us), figures(cpu_us / floor_us))
}

/// Rows 1 and 2: processor time a sample that no rule reads, beside decompressing it.
pub fn unread(settings: &Settings, protocol: Protocol) -> Row {
    let n_series = settings.series(100_000, 20_000);
    let mut load = Load::fleet(Shape::Counter, protocol, n_series);
    let stretch = Stretch {
        blocks: 2,
        rounds: settings.rounds(25, 25),
    };
    let mut measure = |recipe: &Recipe| {
        let mut lanes = [Lane::start(recipe, protocol, 0)];
        let floor_us = measure::run(&mut lanes, &mut load, stretch);
        let memory = lanes[0].memory_per_series(n_series).anonymous;
        let told = cost(&lanes[0], floor_us);
        (told, floor_us, memory)
    };
    let (burnwatch, floor_us, _) = measure(&server::burnwatch("groups: []\n", EVENT_TIME));
    let floor = format!("snappy alone {} µs", figures(floor_us));
    let burnwatch = format!("{burnwatch} ({floor})");
    if protocol == Protocol::V2 {
        return Row {
            number: 2,
            what: format!(
                "the same, remote write 2.0, {} series",
                figures(n_series as f64)
            ),
            reach: "≤ 0.10 µs, ≤ 11 × snappy",
            burnwatch,
            peers: "neither knows remote write 2.0".to_owned(),
            quoted: "Prometheus 3.12 3.2–3.6 µs",
        };
    }
    let mut peer = |name: &str, recipe: Option<Recipe>| match recipe {
        Some(recipe) => {
            let (told, _, memory) = measure(&recipe);
            format!("{name} {told}, {} B a series", figures(memory))
        }
        None => format!("{name} is not there"),
    };
    let prometheus = peer("Prometheus 2.42", server::prometheus());
    let victoria_metrics = peer("VictoriaMetrics 1.79", server::victoria_metrics());
    Row {
        number: 1,
        what: format!(
            "CPU a sample, remote write 1.0, {} series, 12 labels, 2,000 a request, no rule reads them",
            figures(n_series as f64)
        ),
        reach: "≤ 0.15 µs, ≤ 6.3 × snappy",
        burnwatch,
        peers: format!("{prometheus}; {victoria_metrics}"),
        quoted: "Prometheus 3.12 5.1–6.0 µs; VictoriaMetrics 1.0–1.6 µs",
    }
}

/// Row 8: memory for a series that no rule reads.
pub fn unread_memory(settings: &Settings) -> Row {
    let n_series = settings.series(1_000_000, 200_000);
    let mut load = Load::fleet(Shape::Counter, Protocol::V1, n_series);
    let recipe = server::burnwatch("groups: []\n", EVENT_TIME);
    let mut lanes = [Lane::start(&recipe, Protocol::V1, 0)];
    let stretch = Stretch {
        blocks: 1,
        rounds: settings.rounds(3, 2),
    };
    measure::run(&mut lanes, &mut load, stretch);
    let memory = lanes[0].memory_per_series(n_series);
    Row {
        number: 8,
        what: format!(
            "anonymous memory an unwatched series, {} of them",
            figures(n_series as f64)
        ),
        reach: "≤ 64 B",
        burnwatch: format!("{} B", figures(memory.anonymous)),
        peers: "they store every series: row 1".to_owned(),
        quoted: "",
    }
}

/// Row 9: samples a second on two cores.
pub fn throughput(settings: &Settings) -> Row {
    let n_series = settings.series(1_000_000, 200_000);
    let mut load = Load::fleet(Shape::TenthErrors, Protocol::V1, n_series);
    let rule = "sum by (model) (rate(ml_prediction_errors_total[5m])) > 1e9".to_owned();
    let recipe = server::burnwatch(&rules::group([rule]), EVENT_TIME);
    let history_ms = 300_000;
    let mut lanes = [Lane::start(&recipe, Protocol::V1, history_ms)];
    let stretch = Stretch {
        blocks: 2,
        rounds: settings.rounds(4, 2),
    };
    let floor_us = measure::run(&mut lanes, &mut load, stretch);
    let cpu_us = lanes[0].cpu_us();
    let pushed = lanes[0].samples_per_second();
    Row {
        number: 9,
        what: format!(
            "samples a second, two cores, {} active series, 10 % watched",
            figures(n_series as f64)
        ),
        reach: "≥ 2 M/s",
        burnwatch: format!(
            "{} M/s (2 cores ÷ {} µs a sample, {} × snappy); pushed over loopback from the same two cores {} M/s",
            figures(2.0 / cpu_us),
            figures(cpu_us),
            figures(cpu_us / floor_us),
            figures(pushed / 1e6),
        ),
        peers: String::new(),
        quoted: "",
    }
}
