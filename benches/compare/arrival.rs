//! What it costs to look at rules whenever a target has been scraped, beside looking at ticks
//! only: row 10.
//!
//! Every target has its own instant within the scrape interval, as real ones do, so the rules are
//! due ten thousand times in fifteen seconds. Twice the targets must not cost more a sample.

use crate::load::{Course, Load, Protocol, SCRAPE_MS, Series};
use crate::measure::{self, Lane, Stretch};
use crate::report::{Row, figures};
use crate::rules::{self, EVENT_TIME};
use crate::server;
use crate::settings::Settings;

/// Targets in a request: those of 150 ms.
const TARGETS_PER_REQUEST: usize = 100;

const RULES: [(&str, &str); 2] = [
    (
        "share of targets down",
        "count by (job) (up == 0) / count by (job) (up) > 0.9",
    ),
    (
        "join",
        "up * on (instance) group_left (version) build_info > 1",
    ),
];

/// Series `2 n` and `2 n + 1` are those of target `n`.
fn series(number: usize, n_targets: usize) -> Series {
    let target = number / 2;
    let instance = format!("10.0.{}.{}:9090", target >> 8, target & 255);
    let mut pairs = vec![
        ("__name__", "up".to_owned()),
        ("cluster", "prod-eu-west-1".to_owned()),
        ("instance", instance),
        ("job", "model-server".to_owned()),
    ];
    if number % 2 == 1 {
        "build_info".clone_into(&mut pairs[0].1);
        pairs.push(("version", format!("1.{}", target % 7)));
    }
    Series {
        labels: pairs
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value))
            .collect(),
        course: Course {
            first: 1.0,
            gain: 0.0,
            delay_ms: target as i64 * SCRAPE_MS / n_targets as i64,
        },
    }
}

/// Row 10: arrival evaluation beside evaluation at ticks.
pub fn beside_ticks(settings: &Settings) -> Row {
    let n_targets = settings.series(20_000, 4_000) / 2;
    let sizes = [n_targets / 10, n_targets];
    let mut told = Vec::new();
    let mut costs = Vec::new();
    for n_targets in sizes {
        let of_target = |number| series(number, n_targets);
        let batch = 2 * TARGETS_PER_REQUEST;
        let mut load = Load::of(Protocol::V1, 2 * n_targets, batch, of_target);
        let start = |(rule, evaluation): (&str, &str)| {
            let settings = format!("{EVENT_TIME}evaluation: {evaluation}\n");
            let recipe = server::burnwatch(&rules::group([rule.to_owned()]), &settings);
            Lane::in_order(&recipe, Protocol::V1, 60_000)
        };
        let mut lanes: Vec<Lane> = RULES
            .iter()
            .flat_map(|(_, rule)| [(*rule, "tick"), (*rule, "arrival")])
            .map(start)
            .collect();
        let rounds = settings.rounds(200_000 / n_targets, 40_000 / n_targets);
        measure::run(&mut lanes, &mut load, Stretch { blocks: 2, rounds });
        costs.push(lanes.iter().map(Lane::cpu_us).collect::<Vec<f64>>());
    }
    for (number, (name, _)) in RULES.iter().enumerate() {
        let of_size = |(costs, n_targets): (&Vec<f64>, usize)| {
            let (tick, arrival) = (costs[2 * number], costs[2 * number + 1]);
            format!(
                "{} targets {} µs at ticks, {} µs on arrival",
                figures(n_targets as f64),
                figures(tick),
                figures(arrival)
            )
        };
        let of_sizes: Vec<String> = costs.iter().zip(sizes).map(of_size).collect();
        told.push(format!("{name}: {}", of_sizes.join(", ")));
    }
    Row {
        number: 10,
        what: format!(
            "CPU a sample when each of {} targets is scraped at an instant of its own: `{}` and `{}`",
            figures(n_targets as f64),
            RULES[0].1,
            RULES[1].1
        ),
        reach: "does not grow with the targets",
        burnwatch: told.join("; "),
        peers: String::new(),
        quoted: "they evaluate at ticks",
    }
}
