//! What watched series cost under windows of any length: rows 3, 4 and 7.

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use crate::load::{Load, Protocol, Shape};
use crate::measure::{self, Lane, Stretch};
use crate::report::{Row, figures};
use crate::rules::{self, EVENT_TIME};
use crate::server::{self, Recipe, Server};
use crate::settings::{Settings, span_ms};

/// The windows of the burn-rate rules that stand together.
pub const FOUR: [&str; 4] = ["5m", "1h", "6h", "3d"];

/// The length of a window, and somewhat more, so that samples leave it when it is measured.
pub fn filled_ms(settings: &Settings, window: &str) -> i64 {
    let window_ms = span_ms(window).expect("a window of this bench");
    settings.history_ms(window_ms + window_ms / 50)
}

/// How a span is told.
fn hours(span_ms: i64) -> String {
    format!("{} h", figures(span_ms as f64 / 3_600_000.0))
}

/// Row 3: processor time a sample with four windows over every series.
pub fn four_windows(settings: &Settings) -> Row {
    let n_series = settings.series(6_000, 1_000);
    let mut load = Load::fleet(Shape::Pairs, Protocol::V1, n_series);
    let recipe = server::burnwatch(&rules::burn_rates(&FOUR), EVENT_TIME);
    let history_ms = filled_ms(settings, "3d");
    let mut lanes = [Lane::start(&recipe, Protocol::V1, history_ms)];
    let stretch = Stretch {
        blocks: 4,
        rounds: settings.rounds(200, 200),
    };
    let floor_us = measure::run(&mut lanes, &mut load, stretch);
    let cpu_us = lanes[0].cpu_us();
    let scanned = lanes[0].server.metric("burnwatch_scanned_samples_total");
    let scanned = scanned.map_or(String::new(), |n| {
        format!("; {} samples scanned", figures(n))
    });
    let memory = lanes[0].memory_per_series(n_series);
    Row {
        number: 3,
        what: format!(
            "CPU a sample, `sum by (model) (rate(errors[w])) / sum by (model) (rate(total[w]))` for \
             w = 5m, 1h, 6h, 3d over every one of {} series, after {} of history",
            figures(n_series as f64),
            hours(history_ms),
        ),
        reach: "≤ 0.5 µs, ≤ 21 × snappy",
        burnwatch: format!(
            "{} µs, {} × (snappy alone {} µs); then {} B anonymous and {} B mapped a series{scanned}",
            figures(cpu_us),
            figures(cpu_us / floor_us),
            figures(floor_us),
            figures(memory.anonymous),
            figures(memory.file),
        ),
        peers: String::new(),
        quoted: "vmagent stream aggregation, one 15 s tumbling window: 1.36–1.40 µs",
    }
}

/// What one window costs, above the same samples unread.
pub struct OfWindow {
    /// The window.
    pub window: &'static str,
    /// Processor time of a sample, µs.
    pub cpu_us: f64,
    /// The part of it that the rule takes, µs.
    pub rule_us: f64,
    /// Anonymous memory a series, bytes.
    pub bytes: f64,
}

/// Measures the same rule with several windows in step, beside the same samples without a rule.
pub fn by_window(settings: &Settings, windows: &[&'static str]) -> (usize, Vec<OfWindow>) {
    let n_series = settings.series(500, 100);
    let mut load = Load::fleet(Shape::Pairs, Protocol::V1, n_series);
    let unread = server::burnwatch("groups: []\n", EVENT_TIME);
    let mut lanes = vec![Lane::start(&unread, Protocol::V1, 0)];
    lanes.extend(windows.iter().map(|window| {
        let recipe = server::burnwatch(&rules::burn_rates(&[window]), EVENT_TIME);
        Lane::start(&recipe, Protocol::V1, filled_ms(settings, window))
    }));
    let stretch = Stretch {
        blocks: 5,
        rounds: settings.rounds(4_000, 1_000),
    };
    measure::run(&mut lanes, &mut load, stretch);
    let base_us = lanes[0].cpu_us();
    let of = |(&window, lane): (&&'static str, &Lane)| OfWindow {
        window,
        cpu_us: lane.cpu_us(),
        rule_us: lane.cpu_us() - base_us,
        bytes: lane.memory_per_series(n_series).anonymous,
    };
    (n_series, windows.iter().zip(&lanes[1..]).map(of).collect())
}

/// Row 4: the same rule over thirty days and over five minutes.
pub fn long_and_short(
    settings: &Settings,
    n_series: usize,
    short: &OfWindow,
    long: &OfWindow,
) -> Row {
    Row {
        number: 4,
        what: format!(
            "rule cost {} against {}, {} series, after {} of history",
            long.window,
            short.window,
            figures(n_series as f64),
            hours(filled_ms(settings, long.window)),
        ),
        reach: "≤ 1.2 ×",
        burnwatch: format!(
            "{} × ({} against {} µs a sample, each less what the sample costs unread)",
            figures(long.rule_us / short.rule_us),
            figures(long.rule_us),
            figures(short.rule_us),
        ),
        peers: asked(settings, n_series),
        quoted: "3d against 5m: Prometheus 3.12 210 ×, VictoriaMetrics 14 ×",
    }
}

/// What peers use to evaluate the same rule once over three days and over five minutes, by asking
/// for it: to evaluate a rule is nothing else for them.
fn asked(settings: &Settings, n_series: usize) -> String {
    let peers = [
        ("Prometheus 2.42", server::prometheus()),
        ("VictoriaMetrics 1.79", server::victoria_metrics()),
    ];
    let history_ms = filled_ms(settings, "3d");
    let lane = |(name, recipe): (&'static str, Option<Recipe>)| {
        Some((name, Lane::start(&recipe?, Protocol::V1, history_ms)))
    };
    let (names, mut lanes): (Vec<_>, Vec<_>) = peers.into_iter().filter_map(lane).unzip();
    if lanes.is_empty() {
        return "none is there".to_owned();
    }
    let mut load = Load::fleet(Shape::Pairs, Protocol::V1, n_series);
    let few = Stretch {
        blocks: 1,
        rounds: 2,
    };
    measure::run(&mut lanes, &mut load, few);
    let told = names.iter().zip(&lanes).map(|(name, lane)| {
        let [short, long] =
            ["5m", "3d"].map(|window| query_ms(&lane.server, &rules::burn_rate(window, 0.9)));
        let ratio = figures(long / short);
        let (long, short) = (figures(long), figures(short));
        format!("{name} {ratio} × ({long} against {short} ms an evaluation)")
    });
    format!("3d against 5m: {}", told.collect::<Vec<_>>().join("; "))
}

/// Milliseconds of processor time that a query takes.
fn query_ms(server: &Server, query: &str) -> f64 {
    /// So much is told exactly enough by a clock of hundredths.
    const CPU_SECONDS_MIN: f64 = 0.5;
    let query = utf8_percent_encode(query, NON_ALPHANUMERIC);
    let path = format!("/api/v1/query?query={query}");
    let before = server.cpu_seconds();
    for n_times in 1..=5_000 {
        let answer = server.ask("GET", &path);
        let is_answered = matches!(answer, Some((200, _)));
        assert!(is_answered, "{}: {answer:?}", server.name);
        let used = server.cpu_seconds() - before;
        if used > CPU_SECONDS_MIN {
            return used * 1e3 / f64::from(n_times);
        }
    }
    (server.cpu_seconds() - before) / 5.0
}

/// Row 7: memory for a watched series, four windows.
pub fn watched_memory(settings: &Settings) -> Row {
    let n_series = settings.series(100_000, 20_000);
    let history_ms = settings.history_ms(if settings.quick { 600_000 } else { 7_200_000 });
    let mut load = Load::fleet(Shape::Pairs, Protocol::V1, n_series);
    let recipe = server::burnwatch(&rules::burn_rates(&FOUR), EVENT_TIME);
    let mut lanes = [Lane::start(&recipe, Protocol::V1, history_ms)];
    let stretch = Stretch {
        blocks: 1,
        rounds: settings.rounds(10, 5),
    };
    let floor_us = measure::run(&mut lanes, &mut load, stretch);
    let memory = lanes[0].memory_per_series(n_series);
    let cpu_us = lanes[0].cpu_us();
    Row {
        number: 7,
        what: format!(
            "anonymous memory a watched series, four windows, {} series, after {} of history",
            figures(n_series as f64),
            hours(history_ms),
        ),
        reach: "≤ 1 KB",
        burnwatch: format!(
            "{} B (and {} B mapped); {} µs, {} × snappy a sample",
            figures(memory.anonymous),
            figures(memory.file),
            figures(cpu_us),
            figures(cpu_us / floor_us),
        ),
        peers: "storing them, without a rule: row 1".to_owned(),
        quoted: "Prometheus 3,089–5,457 B; vmagent, one window, 564–607 B",
    }
}
