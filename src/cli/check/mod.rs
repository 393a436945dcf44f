//! `burnwatch check rules|config|web-config`: says whether files load, as promtool's commands do;
//! `check storage`: whether a data directory can be read.
//!
//! Exit codes and standard output are promtool's, and so are the words on standard error, so
//! that it can stand in promtool's place in a CI job; there it adds places, hints and advice.

mod against;
mod checkpoints;
mod config;
mod files;
mod lints;
mod rules;
mod storage;
mod web_config;

use std::io::{self, Write};
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Args, Subcommand};

use crate::cli::check::lints::Lints;
use crate::cli::{DialectArgs, PROMTOOL_FEATURES};
use crate::engine::features;
use crate::model::{DurationMs, RuleFormat};
use crate::rule::ParseOptions;

/// The exit code of files that do not load.
const INVALID: u8 = 1;
/// The exit code of lint errors, if asked for.
const LINT_ERRORS: u8 = 3;

/// The examples in `check --help`.
pub const EXAMPLES: &str = "\
Examples:
  Do these rule files load? With advice of our own:
    burnwatch check rules --lint=all rules.yml
  Does this configuration load, and everything it names?
    burnwatch check config prometheus.yml
  Can this data directory be read?
    burnwatch check storage data
  Does this web configuration load, and the certificates it names?
    burnwatch check web-config web.yml

Exit status: 0 all is well; 1 something does not load; 2 wrong usage; 3 with --lint-fatal, a lint
check has found something. `burnwatch check rules --help` lists the lint checks.
";

/// What to check.
#[derive(Args, Clone, Debug)]
#[command(after_help = EXAMPLES)]
pub struct CheckArgs {
    #[command(subcommand)]
    command: CheckCommand,
}

#[derive(Clone, Debug, Subcommand)]
enum CheckCommand {
    /// Check if the rule files are valid or not.
    Rules(Box<rules::CheckRulesArgs>),
    /// Check if the config files are valid or not, and the files they name.
    Config(Box<config::CheckConfigArgs>),
    /// Check if a data directory can be read, and cut off what cannot.
    Storage(storage::CheckStorageArgs),
    /// Check if the web config files are valid or not, and the certificates they name.
    WebConfig(web_config::CheckWebConfigArgs),
}

/// What the commands that read rules take.
#[derive(Args, Clone, Debug)]
struct LintArgs {
    /// Lint checks to apply, separated by commas; `all` for all, `none` to disable linting.
    #[arg(long, value_name = "NAME,…", default_value = "duplicate-rules")]
    lint: String,
    /// Make lint errors exit with exit code 3.
    #[arg(long)]
    lint_fatal: bool,
    /// Pass over unknown fields in the rule files.
    #[arg(long)]
    ignore_unknown_fields: bool,
    /// Prometheus' feature flags for PromQL, separated by commas; unknown ones are passed over.
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    enable_feature: Vec<String>,
    #[command(flatten)]
    dialect: DialectArgs,
    /// How far a query looks back for a sample, as the server is told by the flag of that name.
    #[arg(long = "query.lookback-delta", value_name = "DURATION", default_value = "5m", value_parser = span)]
    lookback: DurationMs,
    /// A Prometheus or burnwatch to ask which selectors find series: its base URL, with
    /// user:password@ for basic auth.
    #[arg(long, value_name = "URL")]
    against: Option<String>,
}

impl LintArgs {
    fn parse_options(&self) -> ParseOptions {
        ParseOptions {
            features: features(&self.enable_feature),
            format: RuleFormat {
                dialect: self.dialect.rules_dialect,
                ignore_unknown_fields: self.ignore_unknown_fields,
                ..RuleFormat::default()
            },
        }
    }

    /// Writes promtool's warnings about names that it does not know.
    fn warn(&self, lints: &Lints, io: &mut Io<'_>) -> io::Result<()> {
        for warning in &lints.warnings {
            writeln!(io.out, "WARNING: {warning}")?;
        }
        let names = self.enable_feature.iter().map(String::as_str);
        for name in names.filter(|name| !name.is_empty() && !PROMTOOL_FEATURES.contains(name)) {
            writeln!(
                io.out,
                "  WARNING: Unknown feature passed to --enable-feature: {name}"
            )?;
        }
        Ok(())
    }
}

fn span(text: &str) -> Result<DurationMs, String> {
    match DurationMs::parse(text) {
        Ok(DurationMs::ZERO) => Err("it must be more than 0".to_owned()),
        Ok(span) => Ok(span),
        Err(e) => Err(format!("{e}; write a number with a unit, such as 15s")),
    }
}

/// Where results go: what promtool writes on standard output, and the rest.
struct Io<'a> {
    out: &'a mut dyn Write,
    err: &'a mut dyn Write,
}

/// What came of the files together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Verdict {
    is_invalid: bool,
    has_lint_errors: bool,
}

impl Verdict {
    fn exit_code(self, lint_fatal: bool) -> u8 {
        match (self.is_invalid, self.has_lint_errors) {
            (true, _) => INVALID,
            (false, true) if lint_fatal => LINT_ERRORS,
            _ => 0,
        }
    }
}

/// Checks the files and writes what it found.
///
/// # Errors
/// Only when the output cannot be written or a flag cannot be used; a file that cannot be read
/// is a finding.
pub fn run(args: &CheckArgs, out: &mut dyn Write, err: &mut dyn Write) -> anyhow::Result<ExitCode> {
    let mut io = Io { out, err };
    let (verdict, lint_fatal) = match &args.command {
        CheckCommand::Rules(args) => (rules::check(args, &mut io)?, args.lint.lint_fatal),
        CheckCommand::Config(args) => (config::check(args, &mut io)?, args.lint.lint_fatal),
        CheckCommand::Storage(args) => (storage::check(args, &mut io)?, false),
        CheckCommand::WebConfig(args) => (web_config::check(args, &mut io)?, false),
    };
    io.out.flush().context("write the result")?;
    Ok(ExitCode::from(verdict.exit_code(lint_fatal)))
}
