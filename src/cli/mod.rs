//! The commands, one file each.

pub mod baseline;
pub mod check;
pub mod demo;
pub mod explain;
pub mod rules;
pub mod serve;
mod server_api;
pub mod slo;
pub mod test;

use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use crate::model::Dialect;

/// Promtool's features for PromQL; `check` and `test` pass over others with a warning, as it does.
const PROMTOOL_FEATURES: [&str; 5] = [
    "promql-experimental-functions",
    "promql-delayed-name-removal",
    "promql-duration-expr",
    "promql-extended-range-selectors",
    "promql-binop-fill-modifiers",
];

/// Evaluates Prometheus alerting rules on the stream: remote write in, alerts out.
#[derive(Debug, Parser)]
#[command(
    name = "burnwatch",
    version,
    after_help = "Start with `burnwatch demo`: it needs nothing and shows alerts firing.\n\
                  Then `burnwatch serve --config.file=prometheus.yml` with the file you have, and\n\
                  point Prometheus' remote_write at http://127.0.0.1:9099/api/v1/write."
)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Receive samples, evaluate rules, send alerts.
    Serve(Box<serve::ServeArgs>),
    /// Check rule files and configurations as promtool does, with hints and advice.
    Check(check::CheckArgs),
    /// Run unit tests of rules in promtool's format.
    #[command(subcommand, after_help = test::AFTER_HELP)]
    Test(test::TestArgs),
    /// Freeze what series were worth, to compare with later.
    Baseline(baseline::BaselineArgs),
    /// Say how a rule or an expression is evaluated, what it costs, how warm it is.
    Explain(Box<explain::ExplainArgs>),
    /// Write out the rule files that come with the binary.
    #[command(subcommand)]
    Rules(rules::RulesArgs),
    /// Compile service level objectives to rules, and say what they mean.
    #[command(subcommand, after_help = slo::EXAMPLES)]
    Slo(slo::SloArgs),
    /// Watch three incidents of ML services being noticed, in half a minute, with nothing set up.
    Demo(demo::DemoArgs),
}

/// The switch of the commands that read rule files.
#[derive(Args, Clone, Copy, Debug)]
pub struct DialectArgs {
    /// Whose fields rule files may have beside Prometheus' own: those that change nothing here are
    /// passed over with a note, the others are refused still.
    #[arg(
        long = "rules.dialect",
        value_name = "prometheus|thanos|mimir|vmalert",
        default_value = "prometheus"
    )]
    pub rules_dialect: Dialect,
}

/// Runs the command line.
pub fn run() -> ExitCode {
    let outcome = match Cli::parse().command {
        Command::Serve(args) => serve::run(*args),
        Command::Check(args) => check::run(&args, &mut std::io::stdout(), &mut std::io::stderr()),
        Command::Test(args) => test::run(&args, &mut std::io::stdout()),
        Command::Baseline(args) => baseline::run(&args, &mut std::io::stdout()),
        Command::Explain(args) => explain::run(&args, &mut std::io::stdout()),
        Command::Rules(args) => rules::run(&args),
        Command::Slo(args) => slo::run(&args, &mut std::io::stdout(), &mut std::io::stderr()),
        Command::Demo(args) => demo::run(args),
    };
    outcome.unwrap_or_else(|error| {
        eprintln!("burnwatch: {error:#}");
        ExitCode::FAILURE
    })
}
