//! `burnwatch baseline capture`: series asked of a server, frozen into a file.
//!
//! Counters (by their name, or native histograms) are captured as what they counted over the time,
//! gauges as their mean. `burnwatch baseline capture --help` says how to choose otherwise.

use std::collections::BTreeSet;
use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use clap::{Args, ValueEnum};
use serde_json::Value;

use crate::cli::baseline::native;
use crate::cli::server_api::ServerApi;
use crate::clock::{Clock as _, SystemClock};
use crate::functions::Functions;
use crate::model::{
    DurationMs, Labels, LabelsBuilder, METRIC_NAME, Matcher, SampleValue, TimestampMs,
};
use crate::promql::{Features, parse_selector};
use crate::rule::baseline::{BASELINE_SUFFIX, Baseline, print_baseline};

/// How long an answer may take: windows of weeks are read whole.
const TIMEOUT: Duration = Duration::from_secs(300);

const HEADER: &str = "\
A baseline: what series were worth over some time, frozen. Made by `burnwatch baseline capture`.
Review it, keep it beside the rules that compare with it, and name it in `baseline_files`.";

/// How series become one value each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
pub enum Function {
    /// increase for counters, avg_over_time for gauges, by their names.
    Auto,
    /// What was counted.
    Increase,
    /// What was counted per second.
    Rate,
    /// The mean.
    AvgOverTime,
    /// The newest value.
    LastOverTime,
}

/// What to capture.
#[derive(Args, Clone, Debug)]
pub struct CaptureArgs {
    /// Over how long, up to --at.
    #[arg(long, value_name = "DURATION", default_value = "7d", value_parser = span)]
    from: DurationMs,
    /// The series, such as 'model_score_bucket{job="api"}'.
    #[arg(long, value_name = "SELECTOR")]
    selector: String,
    /// A burnwatch or a Prometheus.
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:9099")]
    server: String,
    /// Until when, in Unix seconds; now, if left out.
    #[arg(long, value_name = "SECONDS")]
    at: Option<f64>,
    /// Labels to leave out: counts are added up over them, means are averaged.
    #[arg(long, value_name = "LABEL,…", value_delimiter = ',')]
    without: Vec<String>,
    /// How series become one value each.
    #[arg(long, value_enum, default_value = "auto")]
    function: Function,
    /// The label that says which version of a model is running; its values are noted.
    #[arg(long, value_name = "LABEL", default_value = "version")]
    version_label: String,
    /// What the names of the frozen series end in.
    #[arg(long, value_name = "TEXT", default_value = BASELINE_SUFFIX)]
    suffix: String,
    /// A remark to keep in the file.
    #[arg(long, value_name = "TEXT")]
    note: Option<String>,
    /// The file to write; standard output, if left out.
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Overwrite a file that is there already.
    #[arg(long)]
    force: bool,
}

/// Reads a time above zero.
fn span(text: &str) -> Result<DurationMs, String> {
    let span = DurationMs::parse(text).map_err(|error| error.to_string())?;
    match span > DurationMs::ZERO {
        true => Ok(span),
        false => Err("it must be above zero".to_owned()),
    }
}

/// Asks a server and writes the file.
pub fn capture(args: &CaptureArgs, out: &mut dyn Write) -> anyhow::Result<()> {
    if let Some(file) = args
        .output
        .as_ref()
        .filter(|file| file.exists() && !args.force)
    {
        bail!("{} exists already; --force overwrites it", file.display());
    }
    let matchers = parse_selector(&args.selector, &Functions, Features::default())
        .map_err(|error| anyhow!("--selector {:?}: {error}", args.selector))?;
    let server = &args.server;
    let api = ServerApi::new(format_args!("--server {server:?}"), server, TIMEOUT)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("start the runtime")?;
    let at = match args.at {
        Some(seconds) => TimestampMs((seconds * 1000.0) as i64),
        None => SystemClock.now(),
    };
    let asked = Asked { api, at };
    let baseline = runtime.block_on(captured(args, &matchers, &asked))?;
    let text = print_baseline(HEADER, &baseline);
    match &args.output {
        Some(file) => {
            std::fs::write(file, text)
                .with_context(|| format!("cannot write {}", file.display()))?;
            writeln!(out, "{}: {} series", file.display(), baseline.series.len())?;
        }
        None => out.write_all(text.as_bytes())?,
    }
    Ok(())
}

async fn captured(
    args: &CaptureArgs,
    matchers: &[Matcher],
    asked: &Asked,
) -> anyhow::Result<Baseline> {
    let newest = format!("last_over_time({}[{}])", braces(None, matchers), args.from);
    let found = asked.vector(&newest).await?;
    if found.is_empty() {
        bail!(
            "{} has no samples of {} in the {} before {}: check --selector, --from and --server",
            asked.api.base(),
            args.selector,
            args.from,
            at_text(asked.at)
        );
    }
    let names: BTreeSet<(String, bool)> = found
        .iter()
        .map(|(labels, value)| {
            let is_native = matches!(value, SampleValue::Histogram(_));
            (labels.metric_name().to_owned(), is_native)
        })
        .collect();
    let versions: BTreeSet<&str> = found
        .iter()
        .filter_map(|(labels, _)| labels.get(&args.version_label))
        .collect();
    let mut baseline = Baseline::default();
    let mut expressions = Vec::new();
    for (name, is_native) in names {
        let expression = expression(args, (&name, is_native), matchers);
        for (labels, value) in asked.vector(&expression).await? {
            let mut labels = LabelsBuilder::from(&labels);
            labels.set(METRIC_NAME, &format!("{name}{}", args.suffix));
            baseline.series.push((labels.build(), value));
        }
        expressions.push(expression);
    }
    baseline.series.sort_by(|a, b| a.0.cmp(&b.0));
    let versions = versions.into_iter().collect::<Vec<_>>().join(", ");
    let about = [
        ("captured_at", at_text(asked.at)),
        ("from", args.from.to_string()),
        ("server", asked.api.base().to_owned()),
        ("selector", args.selector.clone()),
        ("expression", expressions.join("; ")),
        ("versions", versions),
        ("note", args.note.clone().unwrap_or_default()),
    ];
    let said = about.into_iter().filter(|(_, text)| !text.is_empty());
    baseline.about = said.map(|(name, text)| (name.to_owned(), text)).collect();
    Ok(baseline)
}

/// Prints matchers as a selector, of one metric where a name is given.
fn braces(name: Option<&str>, matchers: &[Matcher]) -> String {
    let of_name = |matcher: &&Matcher| name.is_none() || matcher.name != METRIC_NAME;
    let texts = matchers.iter().filter(of_name).map(ToString::to_string);
    let named = name.map(|name| format!("{METRIC_NAME}={}", crate::model::labels::quote(name)));
    format!(
        "{{{}}}",
        named.into_iter().chain(texts).collect::<Vec<_>>().join(",")
    )
}

/// Returns the query for what a metric was worth.
fn expression(args: &CaptureArgs, (name, is_native): (&str, bool), matchers: &[Matcher]) -> String {
    let counts = ["_bucket", "_count", "_sum", "_total"];
    let is_counter = is_native || counts.iter().any(|suffix| name.ends_with(suffix));
    let function = match args.function {
        Function::Auto if is_counter => Function::Increase,
        Function::Auto => Function::AvgOverTime,
        chosen => chosen,
    };
    let (word, aggregation) = match function {
        Function::Increase => ("increase", "sum"),
        Function::Rate => ("rate", "sum"),
        Function::LastOverTime => ("last_over_time", "avg"),
        _ => ("avg_over_time", "avg"),
    };
    let inner = format!("{word}({}[{}])", braces(Some(name), matchers), args.from);
    match args.without.is_empty() {
        true => inner,
        false => format!(
            "{aggregation} without ({}) ({inner})",
            args.without.join(", ")
        ),
    }
}

fn at_text(at: TimestampMs) -> String {
    jiff::Timestamp::from_millisecond(at.0).map_or_else(|_| at.0.to_string(), |at| at.to_string())
}

/// Who is asked, about which instant.
struct Asked {
    api: ServerApi,
    at: TimestampMs,
}

impl Asked {
    /// Asks an instant query.
    async fn vector(&self, query: &str) -> anyhow::Result<Vec<(Labels, SampleValue)>> {
        let at = self.at.seconds().to_string();
        let params = [("query", query), ("time", at.as_str())];
        let answer = self.api.post("query", &params).await?;
        let data = self.api.data(answer, Some(query))?;
        let elements = data["result"].as_array().into_iter().flatten();
        elements
            .map(|element| {
                value_of(element)
                    .ok_or_else(|| anyhow!("{}: {element} is no series", self.api.base()))
            })
            .collect()
    }
}

fn value_of(element: &Value) -> Option<(Labels, SampleValue)> {
    let metric = element["metric"].as_object()?;
    let pairs: Option<Vec<(&str, &str)>> = metric
        .iter()
        .map(|(name, value)| Some((name.as_str(), value.as_str()?)))
        .collect();
    let labels = Labels::from_pairs(pairs?);
    if let Some(text) = element["value"][1].as_str() {
        return Some((labels, SampleValue::Float(text.parse().ok()?)));
    }
    let histogram = native::read(&element["histogram"][1])?;
    Some((labels, SampleValue::Histogram(histogram.into())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: CaptureArgs,
    }

    fn args(words: &[&str]) -> CaptureArgs {
        Line::try_parse_from(["capture"].iter().chain(words))
            .expect("a command")
            .args
    }

    #[test]
    fn counters_are_counted_and_gauges_averaged() {
        let check = |words: &[&str], name: &str, is_native: bool, expected: &str| {
            let args = args(words);
            let matchers = parse_selector(&args.selector, &Functions, Features::default());
            let found = expression(&args, (name, is_native), &matchers.expect("a selector"));
            assert_eq!(found, expected);
        };
        check(
            &["--selector=x_bucket{job=\"a\"}", "--without=pod,instance"],
            "x_bucket",
            false,
            "sum without (pod, instance) (increase({__name__=\"x_bucket\",job=\"a\"}[1w]))",
        );
        check(
            &["--selector=x", "--from=1h"],
            "x",
            false,
            "avg_over_time({__name__=\"x\"}[1h])",
        );
        check(
            &["--selector=x"],
            "x",
            true,
            "increase({__name__=\"x\"}[1w])",
        );
        check(
            &["--selector=x_total", "--function=rate"],
            "x_total",
            false,
            "rate({__name__=\"x_total\"}[1w])",
        );
    }

    #[test]
    fn what_cannot_be_asked_is_told() {
        let check = |words: &[&str], expected: &str| {
            let error = capture(&args(words), &mut Vec::new()).expect_err(expected);
            let error = format!("{error:#}");
            assert!(error.contains(expected), "{error}");
        };
        check(&["--selector=x{"], "--selector \"x{\"");
        check(&["--selector=x", "--server=here"], "is no URL");
        check(
            &["--selector=x", "--server=http://127.0.0.1:1"],
            "is it running?",
        );
    }
}
