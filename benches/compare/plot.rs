//! Plots as SVG text: panels beside each other, curves over places of equal distance, an axis
//! that begins at zero. Colours follow the reader's light or dark scheme.

use std::fmt::Write;

use crate::report::figures;

/// A picture of one or more panels.
pub struct Plot {
    /// What is seen.
    pub title: &'static str,
    /// From left to right.
    pub panels: Vec<Panel>,
}

/// One set of axes.
pub struct Panel {
    /// What the vertical axis counts, with its unit.
    pub title: &'static str,
    /// What the horizontal axis counts.
    pub axis: &'static str,
    /// The labels of the horizontal axis.
    pub places: Vec<String>,
    /// The curves, each with a value for each place.
    pub curves: Vec<Curve>,
}

/// One line of points.
pub struct Curve {
    /// Its name in the legend.
    pub name: &'static str,
    /// A value for each place.
    pub values: Vec<f64>,
}

const PANEL_WIDTH: f64 = 430.0;
const HEIGHT: f64 = 330.0;
const LEFT: f64 = 62.0;
const RIGHT: f64 = 24.0;
const TOP: f64 = 96.0;
const BOTTOM: f64 = 52.0;

const STYLE: &str = "<style>\n\
    .ground{fill:#fff}.text{fill:#1f2328;font:13px system-ui,sans-serif}.big{font-size:16px;font-weight:600}\n\
    .grid{stroke:#d1d9e0}.axis{stroke:#59636e}.c0{--c:#0969da}.c1{--c:#bc4c00}\n\
    .line{fill:none;stroke:var(--c);stroke-width:2}.point{fill:var(--c)}\n\
    @media (prefers-color-scheme:dark){.ground{fill:#0d1117}.text{fill:#e6edf3}.grid{stroke:#30363d}\n\
    .axis{stroke:#8b949e}.c0{--c:#58a6ff}.c1{--c:#f0883e}}\n</style>\n";

impl Plot {
    /// The picture as a file.
    pub fn svg(&self) -> String {
        let width = PANEL_WIDTH * self.panels.len() as f64;
        let title = self.title;
        let mut out = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {HEIGHT}\" \
             width=\"{width}\" height=\"{HEIGHT}\" role=\"img\" aria-label=\"{title}\">\n{STYLE}\
             <rect class=\"ground\" width=\"{width}\" height=\"{HEIGHT}\" rx=\"8\"/>\n"
        );
        text(&mut out, (20.0, 30.0), "start", "text big", title);
        for (number, panel) in self.panels.iter().enumerate() {
            panel.draw(&mut out, PANEL_WIDTH * number as f64);
        }
        out + "</svg>\n"
    }
}

fn text(out: &mut String, (x, y): (f64, f64), anchor: &str, class: &str, words: &str) {
    let words = words.replace('&', "&amp;").replace('<', "&lt;");
    let _ = writeln!(
        out,
        "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\" class=\"{class}\">{words}</text>"
    );
}

/// The distance of grid lines, 1, 2 or 5 of some power of ten, so that about four are drawn.
fn step_of(most: f64) -> f64 {
    let rough = if most > 0.0 { most / 4.0 } else { 0.25 };
    let power = 10_f64.powf(rough.log10().floor());
    let steps = [1.0, 2.0, 5.0, 10.0].map(|step| step * power);
    steps
        .into_iter()
        .find(|step| *step >= rough)
        .unwrap_or(10.0 * power)
}

impl Panel {
    fn draw(&self, out: &mut String, x0: f64) {
        let values = self.curves.iter().flat_map(|curve| &curve.values);
        let most = values
            .copied()
            .filter(|value| value.is_finite())
            .fold(0.0, f64::max);
        let step = step_of(most);
        let n_steps = (most / step).ceil().max(1.0);
        let (left, right) = (x0 + LEFT, x0 + PANEL_WIDTH - RIGHT);
        let (top, bottom) = (TOP, HEIGHT - BOTTOM);
        let y_of = |value: f64| bottom - (bottom - top) * value / (step * n_steps);
        let gaps = self.places.len().saturating_sub(1).max(1) as f64;
        let x_of = |at: usize| left + 14.0 + (right - left - 28.0) * at as f64 / gaps;
        text(out, (x0 + 20.0, 56.0), "start", "text", self.title);
        for number in 0..=n_steps as usize {
            let value = step * number as f64;
            let y = y_of(value);
            let class = if number == 0 { "axis" } else { "grid" };
            let _ = writeln!(
                out,
                "<path class=\"{class}\" d=\"M{left:.1} {y:.1}H{right:.1}\"/>"
            );
            let label = tick(value, step);
            text(out, (left - 8.0, y + 4.0), "end", "text", &label);
        }
        for (at, place) in self.places.iter().enumerate() {
            text(out, (x_of(at), bottom + 19.0), "middle", "text", place);
        }
        let middle = f64::midpoint(left, right);
        text(out, (middle, bottom + 40.0), "middle", "text", self.axis);
        let mut legend_x = x0 + 20.0;
        for (number, curve) in self.curves.iter().enumerate() {
            let points: Vec<(f64, f64)> = curve
                .values
                .iter()
                .enumerate()
                .filter(|(_, value)| value.is_finite())
                .map(|(at, &value)| (x_of(at), y_of(value.max(0.0))))
                .collect();
            let path: Vec<String> = points
                .iter()
                .map(|(x, y)| format!("{x:.1} {y:.1}"))
                .collect();
            let _ = writeln!(out, "<g class=\"c{}\">", number % 2);
            let _ = writeln!(out, "<path class=\"line\" d=\"M{}\"/>", path.join("L"));
            for ((x, y), value) in points.iter().zip(&curve.values) {
                let _ = writeln!(
                    out,
                    "<circle class=\"point\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3.5\"><title>{}</title></circle>",
                    figures(*value)
                );
            }
            let _ = writeln!(
                out,
                "<circle class=\"point\" cx=\"{:.1}\" cy=\"72\" r=\"4\"/></g>",
                legend_x + 4.0
            );
            text(out, (legend_x + 14.0, 76.0), "start", "text", curve.name);
            legend_x += 40.0 + 7.0 * curve.name.len() as f64;
        }
    }
}

/// A label of the vertical axis, with as many places as its steps need.
fn tick(value: f64, step: f64) -> String {
    let places = (-step.log10().floor()).clamp(0.0, 6.0) as usize;
    if places == 0 {
        figures_whole(value)
    } else {
        format!("{value:.places$}")
    }
}

fn figures_whole(value: f64) -> String {
    if value >= 1000.0 {
        figures(value)
    } else {
        format!("{value:.0}")
    }
}
