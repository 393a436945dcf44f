//! `burnwatch check rules FILE…`

use std::io::{self, Read};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Args;

use crate::cli::check::files::{RuleFile, expand};
use crate::cli::check::lints::{self, Lints};
use crate::cli::check::{Io, LintArgs, Verdict, against, config, span};
use crate::functions::Functions;
use crate::model::DurationMs;
use crate::rule::baseline::{Baseline, missing_baselines};
use crate::rule::lint::{
    Advice, DuplicateRule, LintFile, ScrapeIntervals, Settings, Severity, advise, duplicate_rules,
};
use crate::rule::{ParsedFile, RuleGroup};

/// The examples in `check rules --help`; a test runs each of them.
const EXAMPLES: &str = "\
Examples:
  Do these files load?
    burnwatch check rules rules.yml
  Everything there is to say about them, as for a review:
    burnwatch check rules --lint=all rules.yml
  In CI: fail for duplicates and for rates over too few samples, which come every 30s:
    burnwatch check rules --lint=duplicate-rules,short-window --lint-fatal --scrape-interval=30s rules.yml
  Intervals as a configuration has them:
    burnwatch check rules --lint=all --config=prometheus.yml rules.yml
  From a program:
    cat rules.yml | burnwatch check rules
  Is there a series for every selector?
    burnwatch check rules --against=http://127.0.0.1:9090 rules.yml
";

/// Which rule files to check, and how.
#[derive(Args, Clone, Debug)]
#[command(after_help = format!("{EXAMPLES}\n{}", lints::help()))]
pub(crate) struct CheckRulesArgs {
    /// The rule files to check, patterns among them; standard input is read when there is none.
    files: Vec<String>,
    #[command(flatten)]
    pub lint: LintArgs,
    /// How often series are scraped [default: what --config says, or 15s].
    #[arg(long, value_name = "DURATION", value_parser = span)]
    scrape_interval: Option<DurationMs>,
    /// A Prometheus configuration to take the intervals from, and the baselines.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// A file with burnwatch's own settings, as for `burnwatch serve`, to take the baselines from.
    #[arg(long = "burnwatch.config.file", value_name = "FILE")]
    own: Option<PathBuf>,
}

/// Checks rule files.
pub(crate) fn check(args: &CheckRulesArgs, io: &mut Io<'_>) -> anyhow::Result<Verdict> {
    let lints = Lints::of_rules(&args.lint.lint);
    args.lint.warn(&lints, io)?;
    let options = args.lint.parse_options();
    let mut settings = match &args.config {
        Some(path) => config::lint_settings(path).context("--config")?,
        None => Settings::default(),
    };
    settings.lookback = args.lint.lookback;
    if let Some(interval) = args.scrape_interval {
        settings.scrape = ScrapeIntervals {
            default: interval,
            jobs: Vec::new(),
            source: "--scrape-interval".to_owned(),
        };
    }
    let files = match args.files.as_slice() {
        [] => {
            let mut bytes = Vec::new();
            let read = io::stdin().read_to_end(&mut bytes).map(|_| bytes);
            vec![RuleFile::from_bytes("standard input", read, options)]
        }
        names => names
            .iter()
            .flat_map(|name| expand(name))
            .map(|path| RuleFile::read(&path, options))
            .collect(),
    };
    let baselines = match (&args.config, &args.own) {
        (None, None) => None,
        (Some(path), own) => Some(read(path, own.as_deref())?),
        (None, Some(own)) => Some(config::read_baselines(&crate::config::read_own(own)?)?),
    };
    let remarks = missing(&files, baselines.as_deref());
    check_files(&files, (&args.lint, &lints), &settings, &remarks, io)
}

fn read(path: &Path, own: Option<&Path>) -> anyhow::Result<Vec<Baseline>> {
    let config = crate::config::read(path, own).context("--config")?;
    Ok(config::read_baselines(&config)?)
}

/// What is to be said of a file beside what is known of it alone.
pub(crate) struct FileRemark {
    /// The file's path.
    file: String,
    text: String,
}

/// Says which rules compare with a baseline that nobody gives, in the server's words; without a
/// configuration, which of them may.
fn missing(files: &[RuleFile], baselines: Option<&[Baseline]>) -> Vec<FileRemark> {
    let parsed = files.iter().filter_map(|file| file.parsed.as_ref().ok());
    let groups: Vec<RuleGroup> = parsed.flat_map(|file| file.groups.clone()).collect();
    let missing = missing_baselines(&groups, baselines.unwrap_or_default().iter());
    let said = missing.into_iter().map(|missing| FileRemark {
        text: match baselines {
            Some(_) => format!("WARNING: {missing}"),
            None => format!(
                "NOTE: {}: group {:?}, rule {:?} reads {}: --config or --burnwatch.config.file \
                 tells whether a baseline has it",
                missing.file, missing.group, missing.rule, missing.name
            ),
        },
        file: missing.file,
    });
    said.collect()
}

/// Says what there is to say about each file, and looks at their rules together; `remarks` are
/// told beside.
pub(crate) fn check_files(
    files: &[RuleFile],
    (args, lints): (&LintArgs, &Lints),
    settings: &Settings,
    remarks: &[FileRemark],
    io: &mut Io<'_>,
) -> anyhow::Result<Verdict> {
    let valid: Vec<LintFile<'_>> = files
        .iter()
        .filter_map(|file| {
            let parsed = file.parsed.as_ref().ok()?;
            Some(LintFile {
                path: &file.path,
                text: &file.text,
                groups: &parsed.groups,
            })
        })
        .collect();
    let mut advice = advise(&valid, settings, &Functions, &|name| lints.wants(name));
    if let Some(url) = &args.against {
        let unseen = against::unseen_selectors(url, &valid, io.err)?;
        for (of_file, unseen) in advice.iter_mut().zip(unseen) {
            of_file.extend(unseen);
        }
    }
    let mut verdict = Verdict::default();
    let mut advice = advice.into_iter();
    for file in files {
        writeln!(io.out, "Checking {}", file.path)?;
        match &file.parsed {
            Err(errors) => {
                verdict.is_invalid = true;
                writeln!(io.err, "  FAILED:")?;
                for error in errors {
                    writeln!(io.err, "{error}")?;
                    if let Some(hint) = &error.hint {
                        writeln!(io.err, "    hint: {hint}")?;
                    }
                }
            }
            Ok(parsed) => {
                for remark in remarks.iter().filter(|remark| remark.file == file.path) {
                    writeln!(io.err, "  {}", remark.text)?;
                }
                let advice = advice.next().unwrap_or_default();
                verdict.has_lint_errors |= write_valid(parsed, lints, &advice, io)?;
                writeln!(io.out)?;
            }
        }
    }
    Ok(verdict)
}

/// Writes what there is to say about a file that loads; tells whether lint has found something.
fn write_valid(
    parsed: &ParsedFile,
    lints: &Lints,
    advice: &[Advice],
    io: &mut Io<'_>,
) -> io::Result<bool> {
    for warning in &parsed.warnings {
        writeln!(io.err, "  WARNING: {warning}")?;
    }
    for note in &parsed.notes {
        writeln!(io.err, "  NOTE: {note}")?;
    }
    let duplicates = match lints.duplicate_rules {
        true => duplicate_rules(&parsed.groups),
        false => Vec::new(),
    };
    match duplicates.as_slice() {
        [] => {
            let n_rules: usize = parsed.groups.iter().map(|group| group.rules.len()).sum();
            writeln!(io.out, "  SUCCESS: {n_rules} rules found")?;
        }
        duplicates => write_duplicates(duplicates, io)?,
    }
    for one in advice {
        let kind = match one.severity {
            Severity::Advice => "ADVICE",
            Severity::Info => "INFO",
        };
        let Advice {
            file,
            line,
            column,
            message,
            name,
            remedy,
            ..
        } = one;
        writeln!(
            io.err,
            "  {kind}: {file}:{line}:{column}: {message} ({name})"
        )?;
        writeln!(io.err, "    hint: {remedy}")?;
    }
    let is_advised = advice.iter().any(|one| one.severity == Severity::Advice);
    Ok(!duplicates.is_empty() || is_advised)
}

fn write_duplicates(duplicates: &[DuplicateRule], io: &mut Io<'_>) -> io::Result<()> {
    writeln!(io.err, "  FAILED:")?;
    writeln!(
        io.err,
        "lint error {} duplicate rule(s) found.",
        duplicates.len()
    )?;
    for rule in duplicates {
        writeln!(io.err, "Metric: {}", rule.name)?;
        writeln!(io.err, "Label(s):")?;
        for (label, value) in &rule.labels {
            writeln!(io.err, "\t{label}: {value}")?;
        }
        let lines: Vec<String> = rule
            .places
            .iter()
            .map(|(_, line)| line.to_string())
            .collect();
        writeln!(io.err, "    hint: at lines {}", lines.join(", "))?;
    }
    writeln!(
        io.err,
        "Might cause inconsistency while recording expressions"
    )
}
