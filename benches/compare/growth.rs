//! How cost grows: with series, with the length of windows, with rules. Each is drawn as a plot.

use crate::load::{Load, Protocol, Shape};
use crate::measure::{self, Lane, Stretch};
use crate::plot::{Curve, Panel, Plot};
use crate::report::figures;
use crate::rules::{self, EVENT_TIME};
use crate::server;
use crate::settings::Settings;
use crate::windows::{FOUR, OfWindow};

/// A plot with the table of its points.
pub struct Growth {
    /// The file in docs/.
    pub file: &'static str,
    /// What is seen, for those who do not see it.
    pub title: &'static str,
    /// The picture.
    pub svg: String,
    /// The points as Markdown.
    pub table: String,
}

/// Two curves of points that were measured at the same places.
struct Points {
    names: Vec<&'static str>,
    places: Vec<String>,
    /// For each name the values at all places.
    cpu_us: Vec<Vec<f64>>,
    bytes: Vec<Vec<f64>>,
}

impl Points {
    fn draw(&self, file: &'static str, title: &'static str, axis: &'static str) -> Growth {
        let curves = |values: &[Vec<f64>]| {
            let named = self.names.iter().zip(values);
            named
                .map(|(&name, values)| Curve {
                    name,
                    values: values.clone(),
                })
                .collect()
        };
        let panel = |title, values: &[Vec<f64>]| Panel {
            title,
            axis,
            places: self.places.clone(),
            curves: curves(values),
        };
        let plot = Plot {
            title,
            panels: vec![
                panel("µs of processor time a sample", &self.cpu_us),
                panel("anonymous bytes a series", &self.bytes),
            ],
        };
        Growth {
            file,
            title,
            svg: plot.svg(),
            table: self.table(axis),
        }
    }

    fn table(&self, axis: &str) -> String {
        let mut text = format!("| {axis} |");
        for name in &self.names {
            text += &format!(" {name}, µs a sample | {name}, B a series |");
        }
        text += "\n|---|";
        text += &"---:|---:|".repeat(self.names.len());
        for (at, place) in self.places.iter().enumerate() {
            text += &format!("\n| {place} |");
            for of in 0..self.names.len() {
                let (cpu_us, bytes) = (self.cpu_us[of][at], self.bytes[of][at]);
                text += &format!(" {} | {} |", figures(cpu_us), figures(bytes));
            }
        }
        text + "\n"
    }
}

/// Cost against the number of series, unwatched and under four windows.
pub fn by_series(settings: &Settings) -> Growth {
    let full = [10_000, 30_000, 100_000, 300_000, 1_000_000];
    let places = if settings.quick {
        &full[..3]
    } else {
        &full[..]
    };
    let mut points = Points {
        names: vec!["no rule reads them", "four windows"],
        places: places.iter().map(|&n| short(n)).collect(),
        cpu_us: vec![Vec::new(); 2],
        bytes: vec![Vec::new(); 2],
    };
    for &n_series in places {
        eprintln!("cost by series: {n_series}");
        for (of, rules) in ["groups: []\n", &rules::burn_rates(&FOUR)]
            .iter()
            .enumerate()
        {
            let mut load = Load::fleet(Shape::Pairs, Protocol::V1, n_series);
            let recipe = server::burnwatch(rules, EVENT_TIME);
            // The shortest of the windows is filled.
            let mut lanes = [Lane::start(&recipe, Protocol::V1, 330_000)];
            let rounds = (1_000_000 / n_series).clamp(2, 50);
            measure::run(&mut lanes, &mut load, Stretch { blocks: 2, rounds });
            points.cpu_us[of].push(lanes[0].cpu_us());
            points.bytes[of].push(lanes[0].memory_per_series(n_series).anonymous);
        }
    }
    points.draw(
        "cost-by-series.svg",
        "Cost against the number of series",
        "series",
    )
}

/// Cost against the length of a rule's window, from what was measured for row 4.
pub fn by_window(measured: &[OfWindow]) -> Growth {
    let points = Points {
        names: vec!["burn-rate rule"],
        places: measured.iter().map(|of| of.window.to_owned()).collect(),
        cpu_us: vec![measured.iter().map(|of| of.cpu_us).collect()],
        bytes: vec![measured.iter().map(|of| of.bytes).collect()],
    };
    points.draw(
        "cost-by-window.svg",
        "Cost against the length of the window",
        "window",
    )
}

/// Cost against the number of rules, all of which read every series.
pub fn by_rules(settings: &Settings) -> Growth {
    let n_series = settings.series(10_000, 2_000);
    let places = [1, 10, 100, 1000];
    let mut load = Load::fleet(Shape::Pairs, Protocol::V1, n_series);
    let start = |&n_rules: &usize| {
        let rule = |n: usize| {
            let window = ["5m", "10m", "20m", "30m"][n % 4];
            rules::burn_rate(window, 0.9 + n as f64 / 1e6)
        };
        let recipe = server::burnwatch(&rules::group((0..n_rules).map(rule)), EVENT_TIME);
        Lane::start(&recipe, Protocol::V1, 1_900_000)
    };
    let mut lanes: Vec<Lane> = places.iter().map(start).collect();
    let rounds = settings.rounds(25, 10);
    measure::run(&mut lanes, &mut load, Stretch { blocks: 2, rounds });
    let points = Points {
        names: vec!["burn-rate rules"],
        places: places.iter().map(|&n| short(n)).collect(),
        cpu_us: vec![lanes.iter().map(Lane::cpu_us).collect()],
        bytes: vec![
            lanes
                .iter()
                .map(|lane| lane.memory_per_series(n_series).anonymous)
                .collect(),
        ],
    };
    points.draw(
        "cost-by-rules.svg",
        "Cost against the number of rules over the same series",
        "rules",
    )
}

fn short(number: usize) -> String {
    match number {
        1_000_000.. => format!("{} M", number / 1_000_000),
        10_000.. => format!("{}k", number / 1000),
        _ => figures(number as f64)
            .trim_end_matches(".00")
            .trim_end_matches(".0")
            .to_owned(),
    }
}
