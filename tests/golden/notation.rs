//! The lines of promqltest that name a series: with its points, or with its start timestamps.

use burnwatch::model::{DurationMs, Labels, SampleValue};
use burnwatch::rule::series_notation::{parse_metric, parse_values};

/// One point of a sequence.
#[derive(Clone, Debug)]
pub enum Point {
    Omitted,
    Value {
        value: SampleValue,
        /// Of a histogram: whether its reset hint was written, so counts.
        hint_set: bool,
    },
}

impl Point {
    pub fn value(&self) -> Option<SampleValue> {
        match self {
            Point::Omitted => None,
            Point::Value { value, .. } => Some(value.clone()),
        }
    }
}

/// Reads labels and points of a line.
pub fn read_series(line: &str) -> Result<(Labels, Vec<Point>), String> {
    let (metric, rest) = line.split_at(metric_end(line));
    let labels = parse_metric(metric).map_err(|e| e.to_string())?;
    let mut points = Vec::new();
    for item in items(rest) {
        points.extend(read_item(&item)?);
    }
    Ok((labels, points))
}

/// Returns where the metric with its labels ends.
fn metric_end(line: &str) -> usize {
    let name_end = line
        .find(|c: char| c == '{' || c.is_whitespace())
        .unwrap_or(line.len());
    let rest = &line[name_end..];
    // Two braces begin a histogram, not a label set.
    if !rest.starts_with('{') || rest.starts_with("{{") {
        return name_end;
    }
    let mut quote = None;
    let mut escaped = false;
    for (at, c) in rest.char_indices() {
        match quote {
            Some(_) if escaped => escaped = false,
            Some(open) if c == '\\' && open != '`' => escaped = true,
            Some(open) if c == open => quote = None,
            Some(_) => {}
            None if matches!(c, '"' | '\'' | '`') => quote = Some(c),
            None if c == '}' => return name_end + at + 1,
            None => {}
        }
    }
    line.len()
}

/// Splits at blanks outside of histograms.
fn items(text: &str) -> Vec<String> {
    let mut out: Vec<String> = Vec::new();
    let mut item = String::new();
    let mut depth = 0;
    for c in text.chars() {
        depth += i32::from(c == '{') - i32::from(c == '}');
        if c.is_whitespace() && depth == 0 {
            if !item.is_empty() {
                out.push(std::mem::take(&mut item));
            }
            continue;
        }
        item.push(c);
    }
    if !item.is_empty() {
        out.push(item);
    }
    out
}

/// Reads one item. Of `{{…}}+{{…}}x3` the first histogram says whether the first hint counts,
/// the second whether the others do.
fn read_item(item: &str) -> Result<Vec<Point>, String> {
    let values = parse_values(item).map_err(|e| format!("{item}: {e}"))?;
    let (first, step) = item.split_once("}}").unwrap_or((item, ""));
    let is_set = |text: &str| text.contains("counter_reset_hint");
    let has_step = step.contains("{{");
    let points = values.into_iter().enumerate().map(|(index, value)| {
        let hint_set = if index > 0 && has_step {
            is_set(step)
        } else {
            is_set(first)
        };
        match value {
            Some(value) => Point::Value { value, hint_set },
            None => Point::Omitted,
        }
    });
    Ok(points.collect())
}

/// Tells whether a line gives start timestamps.
pub fn is_start_line(line: &str) -> bool {
    let word = line.split_whitespace().next();
    word.is_some_and(|word| word.ends_with("@st")) && line.contains(char::is_whitespace)
}

/// Reads the labels of a line of start timestamps, and for each sample its start relative to
/// the sample, in ms.
pub fn read_starts(line: &str) -> Result<(Labels, Vec<Option<i64>>), String> {
    let (metric, rest) = line.split_once("@st").ok_or("no @st")?;
    let labels = parse_metric(metric).map_err(|e| e.to_string())?;
    let mut starts = Vec::new();
    for item in rest.split_whitespace() {
        starts.extend(read_start_item(item).ok_or_else(|| format!("start timestamp {item}"))?);
    }
    Ok((labels, starts))
}

/// More start timestamps in one item are a slip, and would fill the memory.
const TIMES_MAX: i64 = 1_000_000;

fn read_times(text: &str) -> Option<i64> {
    text.parse().ok().filter(|times| *times <= TIMES_MAX)
}

fn read_start_item(item: &str) -> Option<Vec<Option<i64>>> {
    if item == "_" {
        return Some(vec![None]);
    }
    if let Some(times) = item.strip_prefix("_x") {
        let times = read_times(times).filter(|times| *times > 0)?;
        return Some(vec![None; usize::try_from(times).ok()?]);
    }
    let pattern = r"^([-+]?\d+[a-wyz]*)(?:([-+]\d+[a-wyz]*)?x(\d+))?$";
    let found = regex::Regex::new(pattern).ok()?.captures(item)?;
    let base = read_signed(&found[1])?;
    let step = match found.get(2) {
        Some(step) => read_signed(step.as_str())?,
        None => 0,
    };
    let times = match found.get(3) {
        Some(times) => read_times(times.as_str())?,
        None => 0,
    };
    Some(
        (0..=times)
            .map(|n| Some(base.saturating_add(n.saturating_mul(step))))
            .collect(),
    )
}

fn read_signed(text: &str) -> Option<i64> {
    match text.strip_prefix('-') {
        Some(rest) => read_duration(rest).map(|ms| -ms),
        None => read_duration(text.strip_prefix('+').unwrap_or(text)),
    }
}

/// Reads a duration as Prometheus has it, in ms.
pub fn read_duration(text: &str) -> Option<i64> {
    DurationMs::parse(text).ok().map(|span| span.0)
}
