//! burnwatch beside its peers: the table and the plots of docs/PERFORMANCE.md by one command.
//!
//! `cargo bench --bench compare`, or `make bench`, which fetches the peers first and writes the
//! page. Every server runs as it is installed, in a process of its own on loopback, and is given
//! the same requests; what is counted is its processor time, user and system, and its resident
//! memory, as Linux counts them. What a machine does in a second differs from hour to hour, so
//! ratios are taken within one run. A peer that is not there is named as such.

mod arrival;
mod fleet;
mod growth;
mod load;
mod measure;
mod other_bench;
mod plot;
#[path = "../support/process_time.rs"]
mod process_time;
mod receive;
mod report;
mod rules;
mod sender;
mod server;
mod settings;
mod sink;
mod windows;

use std::net::SocketAddr;
use std::panic::catch_unwind;
use std::process::ExitCode;
use std::time::Instant;

use crate::growth::Growth;
use crate::load::Protocol;
use crate::report::Row;
use crate::server::Recipe;
use crate::settings::{Settings, USAGE};
use crate::windows::OfWindow;

/// The windows of the plot; the first and the last are row 4.
const WINDOWS: [&str; 6] = ["5m", "1h", "6h", "1d", "3d", "30d"];

fn main() -> ExitCode {
    let settings = match Settings::parse(std::env::args().skip(1)) {
        Ok(settings) => settings,
        Err(wrong) => {
            eprintln!("{wrong}\n\n{USAGE}");
            return ExitCode::FAILURE;
        }
    };
    for peer in ["prometheus", "victoria-metrics", "vmalert"] {
        if server::find(peer).is_none() {
            eprintln!("{peer} is not there: tests/tools.sh {peer} fetches it");
        }
    }
    rows(&settings);
    let measured = windows(&settings);
    if settings.has_growth() {
        let plots = [
            growth::by_series(&settings),
            growth::by_window(&measured),
            growth::by_rules(&settings),
        ];
        plots
            .iter()
            .for_each(|plot| println!("\n{}\n\n{}", plot.title, plot.table));
        if settings.write {
            write_plots(&plots);
        }
    }
    if settings.write {
        report::write_part("machine", &machine(&settings));
        report::write_part("commands", &commands());
    }
    ExitCode::SUCCESS
}

/// Measures the rows that are asked for, but row 4.
fn rows(settings: &Settings) {
    type Measure = fn(&Settings) -> Result<Row, String>;
    let all: [(usize, Measure); 11] = [
        (1, |settings| Ok(receive::unread(settings, Protocol::V1))),
        (2, |settings| Ok(receive::unread(settings, Protocol::V2))),
        (3, |settings| Ok(windows::four_windows(settings))),
        (5, fleet::measure),
        (6, |_| other_bench::latency()),
        (7, |settings| Ok(windows::watched_memory(settings))),
        (8, |settings| Ok(receive::unread_memory(settings))),
        (9, |settings| Ok(receive::throughput(settings))),
        (10, |settings| Ok(arrival::beside_ticks(settings))),
        (11, |_| other_bench::drift()),
        (12, |_| other_bench::forest()),
    ];
    for (number, measure) in all {
        if settings.has_row(number) {
            let started = Instant::now();
            // A server that fails says so and takes its row with it, not the others.
            match catch_unwind(|| measure(settings)) {
                Ok(Ok(row)) => tell(settings, &row, started),
                Ok(Err(missing)) => println!("row {number}: {missing}"),
                Err(_) => println!("row {number}: failed, see above"),
            }
        }
    }
}

/// Measures windows of several lengths: row 4, and the plot.
fn windows(settings: &Settings) -> Vec<OfWindow> {
    let windows = match (settings.has_growth(), settings.has_row(4)) {
        (true, _) => &WINDOWS[..],
        (false, true) => &["5m", "30d"],
        (false, false) => return Vec::new(),
    };
    let started = Instant::now();
    let (n_series, measured) = windows::by_window(settings, windows);
    if let ([short, .., long], true) = (&measured[..], settings.has_row(4)) {
        tell(
            settings,
            &windows::long_and_short(settings, n_series, short, long),
            started,
        );
    }
    measured
}

fn tell(settings: &Settings, row: &Row, started: Instant) {
    println!("{}", row.line());
    eprintln!(
        "row {}: {:.0} s",
        row.number,
        started.elapsed().as_secs_f64()
    );
    if settings.write {
        report::write_rows(std::slice::from_ref(row));
    }
}

fn write_plots(plots: &[Growth]) {
    let mut text = String::new();
    for Growth {
        file,
        title,
        svg,
        table,
    } in plots
    {
        report::write_doc(&format!("docs/{file}"), svg);
        text += &format!("### {title}\n\n![{title}]({file})\n\n{table}\n");
    }
    report::write_part("growth", &text);
}

/// The command line of each server.
fn commands() -> String {
    let address = SocketAddr::from(([127, 0, 0, 1], 8428));
    let recipes = [
        Some(server::burnwatch("", rules::EVENT_TIME)),
        server::prometheus(),
        server::victoria_metrics(),
        server::vmalert("", address),
    ];
    let line = |recipe: Recipe| {
        let program = recipe
            .program
            .file_name()
            .unwrap_or_default()
            .to_string_lossy();
        let arguments = recipe.arguments.join(" ");
        format!("    {program} {arguments}\n")
            .replace("{port}", "PORT")
            .replace("{sink}", "SINK")
    };
    let settings: String = rules::EVENT_TIME
        .lines()
        .map(|line| format!("    {line}\n"))
        .collect();
    let lines: String = recipes.into_iter().flatten().map(line).collect();
    format!("{lines}\nwith this in `burnwatch.yml`:\n\n{settings}")
}

/// What the figures were taken on.
fn machine(settings: &Settings) -> String {
    let cpus = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpus
        .lines()
        .find_map(|line| line.strip_prefix("model name"));
    let model = model.map_or("an unknown processor", |rest| {
        rest.trim_start_matches([' ', '\t', ':'])
    });
    let n_cpus = std::thread::available_parallelism().map_or(0, usize::from);
    let loads = if settings.quick {
        "smaller loads (`--quick`)"
    } else {
        "the full loads"
    };
    let rows: Vec<String> = settings.rows.iter().map(ToString::to_string).collect();
    let rows = match &rows[..] {
        [] => "whole".to_owned(),
        rows => format!("of row {}", rows.join(", ")),
    };
    format!("The last run, {rows}: {n_cpus} cores, {model}, {loads}.\n")
}
