//! `burnwatch explain RULE|EXPR`: how it is evaluated: what it reads, how far back, what an
//! arriving sample can change, what it costs, what it waits for, and at a server how warm it is.

mod against;
mod caret;
mod functions;
mod rules;

use std::io::Write;
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use clap::{Args, ValueEnum};
use serde_json::json;

use crate::api::explain::to_json;
use crate::cli::DialectArgs;
use crate::engine::explain::{Assumptions, Explanation, explain};
use crate::engine::{GroupStatus, features};
use crate::functions::Functions;
use crate::model::{DurationMs, EngineSettings, RuleFormat};
use crate::promql;

/// The examples in `--help`; a test runs each of them.
const EXAMPLES: &str = "\
Examples:
  What an expression reads and costs:
    burnwatch explain 'sum by (job) (rate(errors_total[5m])) > 0.1'
  The same if series came every minute:
    burnwatch explain --scrape-interval=1m 'max_over_time(rate(x[5m])[1h:5m])'
  A rule of a file, and which rules feed it:
    burnwatch explain --rules rules/slo.yml SloBurn14_4
  A rule that comes with the binary:
    burnwatch explain SloBurn14_4
  Every rule of several files, for a program to read:
    burnwatch explain --format=json --rules rules/slo.yml rules/meta.yml
  How warm it is at a running server, and how many series there are:
    burnwatch explain --against http://127.0.0.1:9099 'up == 0'
  What a function does; all of them without a name:
    burnwatch explain --functions histogram_quantile
";

/// What to explain, and how.
#[derive(Args, Clone, Debug)]
#[command(after_help = EXAMPLES)]
pub struct ExplainArgs {
    /// An expression; with --rules the name of an alert or a recorded series (all rules without
    /// it). The name of a bundled rule is one as well.
    #[arg(value_name = "RULE|EXPR")]
    what: Option<String>,
    /// Rule files, or names of bundled ones; a name of a rule may stand behind them.
    #[arg(long, value_name = "FILE", num_args = 1..)]
    rules: Vec<String>,
    /// A running burnwatch to ask how warm it is and how many series there are; a Prometheus
    /// tells of series alone.
    #[arg(long, value_name = "URL")]
    against: Option<String>,
    /// How often series are scraped: decides how many samples a window has.
    #[arg(long, value_name = "DURATION", default_value = "15s", value_parser = span)]
    scrape_interval: DurationMs,
    /// How often groups without an interval are evaluated; the step of subqueries without one.
    #[arg(long, value_name = "DURATION", default_value = "1m", value_parser = span)]
    evaluation_interval: DurationMs,
    /// Prometheus' feature flags for PromQL, separated by commas; unknown ones are ignored.
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    enable_feature: Vec<String>,
    #[command(flatten)]
    dialect: DialectArgs,
    /// How to write it.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
    /// List the functions of PromQL, or say what one does.
    #[arg(long, value_name = "NAME", num_args = 0..=1, conflicts_with_all = ["what", "rules", "against"])]
    functions: Option<Option<String>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    Text,
    Json,
}

fn span(text: &str) -> Result<DurationMs, String> {
    match DurationMs::parse(text) {
        Ok(span) if span > DurationMs::ZERO => Ok(span),
        Ok(_) => Err("it must be longer than nothing, such as 15s".to_owned()),
        Err(error) => Err(format!("{error}; write one such as 15s")),
    }
}

/// Writes the explanation.
///
/// # Errors
/// When the text is no expression, no rule has the name, a file does not load or the server
/// does not answer.
pub fn run(args: &ExplainArgs, out: &mut dyn Write) -> anyhow::Result<ExitCode> {
    let text = match &args.functions {
        Some(name) => functions::describe(name.as_deref(), args.format)?,
        None => explained(args)?,
    };
    out.write_all(text.as_bytes())
        .context("write the explanation")?;
    Ok(ExitCode::SUCCESS)
}

fn explained(args: &ExplainArgs) -> anyhow::Result<String> {
    let mut explanations = find(args)?;
    if let Some(server) = &args.against {
        let asked = against::ask(server, &explanations)?;
        for (explanation, live) in explanations.iter_mut().zip(asked) {
            explanation.live = Some(live);
        }
    }
    Ok(match args.format {
        Format::Text => {
            let texts: Vec<String> = explanations.iter().map(ToString::to_string).collect();
            texts.join("\n")
        }
        Format::Json => {
            let data: Vec<_> = explanations.iter().map(to_json).collect();
            format!("{:#}\n", json!({ "explanations": data }))
        }
    })
}

/// Finds what is to be explained: rules of files, a bundled rule, or an expression.
fn find(args: &ExplainArgs) -> anyhow::Result<Vec<Explanation>> {
    let assumptions = Assumptions {
        scrape_interval: args.scrape_interval,
        default_step: args.evaluation_interval,
        features: features(&args.enable_feature),
    };
    let settings = EngineSettings {
        evaluation_interval: args.evaluation_interval,
        features: args.enable_feature.clone(),
        rule_format: RuleFormat {
            dialect: args.dialect.rules_dialect,
            ..RuleFormat::default()
        },
        ..EngineSettings::default()
    };
    if !args.rules.is_empty() {
        let (files, name) = rules::files_and_name(&args.rules, args.what.as_deref());
        let groups = rules::load(&files, settings)?;
        return rules::explained(name.as_deref(), &groups, assumptions);
    }
    let Some(text) = args.what.as_deref() else {
        bail!(
            "nothing to explain: give an expression, or --rules FILE with the name of a rule; \
             `burnwatch explain --help` has examples"
        );
    };
    let bundled: Vec<GroupStatus> = rules::load_bundled(settings)?;
    if rules::has(&bundled, text) {
        return rules::explained(Some(text), &bundled, assumptions);
    }
    match explain(text, assumptions) {
        Ok(explanation) => Ok(vec![explanation]),
        Err(error) => {
            let remedy = crate::rule::remedy_for_expression(text, &error, &Functions);
            bail!("{}", caret::point(text, &error, Some(&remedy)))
        }
    }
}

/// Returns the name of the function or aggregation that was probably meant.
fn suggested(name: &str) -> String {
    let near = promql::suggest(name, &Functions);
    near.map_or(String::new(), |near| format!("; did you mean {near}?"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: ExplainArgs,
    }

    fn explain(words: &[&str]) -> Result<String, String> {
        let words = ["explain"].iter().chain(words);
        let line = Line::try_parse_from(words).map_err(|error| error.to_string())?;
        let mut out = Vec::new();
        run(&line.args, &mut out).map_err(|error| format!("{error:#}"))?;
        Ok(String::from_utf8(out).expect("text"))
    }

    fn check_error(words: &[&str], expected: &str) {
        let error = explain(words).expect_err("refused");
        assert!(error.contains(expected), "{words:?}: {error}");
    }

    #[test]
    fn an_expression_is_explained() {
        let text = explain(&["sum by (job) (rate(errors_total{env=\"x\"}[5m])) > 0.1"]).unwrap();
        let expected = "\
sum by (job) (rate(errors_total{env=\"x\"}[5m])) > 0.1

  >
  ├─ sum by (job)
  │  └─ rate()
  │     └─ errors_total{env=\"x\"}[5m]                         #1
  └─ 0.1

#1 errors_total{env=\"x\"}[5m]
  reads        the samples in (t - 5m, t]; taken by rate
  how          incremental: the window moves along, however long it is
  cost         0 of 20 samples a series are read at an evaluation, scraped every 15s
  history      5m back

Evaluation
  result       instant vector
  labels       job
  when         as a rule at every tick of its group; as an alert between ticks too, when a sample of #1 arrives
  partitions   by job: a sample changes only elements that have these labels of its series, and between ticks only they are evaluated
  cost         no samples are read from history
  history      5m back

Functions
  rate(range vector) → instant vector
";
        assert!(text.starts_with(expected), "{text}");
    }

    #[test]
    fn what_waits_for_history_says_why() {
        let text = explain(&["absent(up{job=\"api\"})"]).unwrap();
        assert!(
            text.contains("does not fire before its history is full (5m of its own)"),
            "{text}"
        );
        assert!(
            text.contains("absent(up{job=\"api\"}): true while its series are missing"),
            "{text}"
        );
        assert!(
            text.contains("labels       job; always job=\"api\""),
            "{text}"
        );
    }

    #[test]
    fn errors_point_and_name_the_remedy() {
        check_error(
            &["sum(\n  raet(x[5m]))"],
            "2:3: parse error: unknown function with name \"raet\"\n  |\n2 |   raet(x[5m]))\n  |   ^^^^\n  = hint: did you mean `rate`?",
        );
        check_error(&["sum("], "1 | sum(\n  |     ^");
        check_error(
            &["info(x)"],
            "= hint: turn on the feature promql-experimental-functions",
        );
        check_error(&[], "nothing to explain: give an expression");
        check_error(
            &["--rules", "rules/slo.yml", "NoSuchRule"],
            "no rule is called \"NoSuchRule\"",
        );
        check_error(&["--rules", "no/such.yml"], "cannot read no/such.yml");
        check_error(
            &["--functions", "raet"],
            "no function is called \"raet\"; did you mean rate?",
        );
        check_error(
            &["--scrape-interval=0s", "up"],
            "it must be longer than nothing",
        );
        check_error(&["--against", "nowhere", "up"], "\"nowhere\" is no URL");
    }
}
