//! `GET /graph`: an expression and what it is worth now. The generator URL of every alert
//! points here.

use std::fmt::Write;
use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;

use crate::api::ApiState;
use crate::api::execute::{Evaluated, Query, execute};
use crate::api::instant::parse_time;
use crate::api::json::TimeJson;
use crate::api::params::Params;
use crate::api::response::ApiError;
use crate::api::selections::QueryTimes;
use crate::functions::Functions;
use crate::model::float::format_general;
use crate::model::{DurationMs, Labels, Point, SampleValue, TimestampMs, Value};
use crate::promql;
use crate::ui::html::{Text, grouped};
use crate::ui::layout;
use crate::ui::overview::write_alerts_of;

/// How many elements are shown; of more, the page says how many.
const SHOWN_MAX: usize = 1_000;
/// How many points of one series are shown, the newest.
const POINTS_MAX: usize = 100;

/// Answers `GET /graph?g0.expr=…` and `GET /query?…`.
pub async fn page(State(state): State<Arc<ApiState>>, params: Params) -> Response {
    let expr = params.value("g0.expr");
    let root = &state.settings.external_path;
    let mut body = format!(
        "<h2>Query</h2><form action=\"{root}/graph\" method=\"get\">\
         <input name=\"g0.expr\" value=\"{expr}\" placeholder=\"Expression\" \
         aria-label=\"Expression\" autocomplete=\"off\" spellcheck=\"false\" autofocus>\
         <input type=\"hidden\" name=\"g0.tab\" value=\"1\"><button>Execute</button></form>",
        root = Text(root),
        expr = Text(expr),
    );
    if !expr.trim().is_empty() {
        match result(&state, &params, expr).await {
            Ok(table) => body.push_str(&table),
            Err(error) => {
                let error = Text(&error.message);
                append(
                    &mut body,
                    format_args!("<div class=\"card\"><p class=\"note error\">{error}</p></div>"),
                );
            }
        }
    }
    layout::page(&state, "Query", None, &body)
}

async fn result(state: &ApiState, params: &Params, text: &str) -> Result<String, ApiError> {
    if !state.backend.is_ready() {
        return Err(ApiError::bad_data("the server is not ready"));
    }
    let settings = &state.settings.query;
    let expr = promql::parse(text, &Functions, settings.features)
        .map_err(|cause| ApiError::bad_data(cause.to_string()))?;
    // Prometheus' pages write "2026-11-21 03:00:00" into links, which is no RFC 3339.
    let moment = params.value("g0.moment_input").replacen(' ', "T", 1);
    let moment = parse_time(&moment).or_else(|_| parse_time(&format!("{moment}Z")));
    let at = match moment {
        Ok(moment) => moment.of_query(),
        Err(_) => state.settings.clock.now(),
    };
    let query = Query {
        text: text.into(),
        expr,
        times: QueryTimes {
            start: at,
            end: at,
            step: DurationMs::ZERO,
            lookback: settings.lookback,
        },
        limit: None,
        timeout: settings.timeout,
        stats: String::new(),
    };
    let canonical = query.expr.to_string();
    let mut body = execute(state, query, |evaluated| table_of(&evaluated)).await?;
    // Whoever follows a link from a page wants to know of the alert as well.
    let groups = state.backend.groups().await?;
    write_alerts_of(&mut body, state, &groups, &canonical);
    Ok(body)
}

fn append(body: &mut String, arguments: std::fmt::Arguments<'_>) {
    body.write_fmt(arguments)
        .expect("a String takes every text");
}

fn table_of(evaluated: &Evaluated) -> String {
    let outcome = &evaluated.outcome;
    let at = evaluated.query.times.start;
    let mut body = format!(
        "<p class=\"dim\">{} at {}",
        outcome.value.type_name(),
        time(at)
    );
    append(
        &mut body,
        format_args!(
            " · {} samples read in {:.1}ms</p>",
            grouped(outcome.n_samples as u64),
            evaluated.timings.evaluation * 1000.0
        ),
    );
    for note in outcome.warnings.iter().chain(&outcome.infos) {
        append(
            &mut body,
            format_args!("<p class=\"dim\">{}</p>", Text(note)),
        );
    }
    let n_elements = write_value(&mut body, &outcome.value);
    if n_elements > SHOWN_MAX {
        let more = grouped((n_elements - SHOWN_MAX) as u64);
        append(
            &mut body,
            format_args!("<p class=\"dim\">and {more} more</p>"),
        );
    }
    body
}

/// Writes a table of the value; returns how many elements it has.
fn write_value(body: &mut String, value: &Value) -> usize {
    let rows: Vec<(String, String)> = match value {
        Value::Scalar(value) => vec![(String::new(), format_general(*value))],
        Value::String(text) => vec![(String::new(), Text(text).to_string())],
        Value::Vector(elements) => {
            let shown = elements.iter().take(SHOWN_MAX);
            let row = shown.map(|element| (labels(&element.labels), text_of(&element.value)));
            row.collect()
        }
        Value::Matrix(series) => {
            let shown = series.iter().take(SHOWN_MAX);
            let row = shown.map(|series| (labels(&series.labels), points_of(&series.points)));
            row.collect()
        }
    };
    if rows.is_empty() {
        body.push_str("<div class=\"card\"><p class=\"note\">The result is empty.</p></div>");
    } else {
        body.push_str("<div class=\"card\"><table>");
        for (labels, value) in rows {
            append(
                body,
                format_args!("<tr><td><code>{labels}</code></td><td class=\"n\">{value}</td></tr>"),
            );
        }
        body.push_str("</table></div>");
    }
    match value {
        Value::Scalar(_) | Value::String(_) => 1,
        Value::Vector(elements) => elements.len(),
        Value::Matrix(series) => series.len(),
    }
}

fn labels(labels: &Labels) -> String {
    Text(&labels.to_string()).to_string()
}

fn text_of(value: &SampleValue) -> String {
    match value {
        SampleValue::Float(value) => format_general(*value),
        SampleValue::Histogram(histogram) => format!(
            "count {}, sum {}",
            format_general(histogram.count),
            format_general(histogram.sum)
        ),
    }
}

fn points_of(points: &[Point]) -> String {
    let newest = &points[points.len().saturating_sub(POINTS_MAX)..];
    let lines = newest.iter().rev();
    let lines = lines.map(|point| format!("{} @{}", text_of(&point.value), point.at.seconds()));
    lines.collect::<Vec<_>>().join("<br>")
}

fn time(at: TimestampMs) -> TimeJson {
    TimeJson(Some(at))
}
