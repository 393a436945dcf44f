//! `burnwatch check config FILE…`

use std::path::{Path, PathBuf};

use anyhow::bail;
use clap::Args;

use crate::cli::check::files::RuleFile;
use crate::cli::check::lints::{self, Lints};
use crate::cli::check::rules::check_files;
use crate::cli::check::{Io, LintArgs, Verdict};
use crate::config::{
    self, Config, ConfigError, FileSdConfig, ScrapeJob, Scraping, Source, TargetGroup,
};
use crate::functions::Functions;
use crate::promql::Features;
use crate::rule::baseline::{Baseline, BaselineReader, is_baseline, missing_baselines};
use crate::rule::lint::{ScrapeIntervals, Settings};
use crate::rule::{RuleGroup, parse_file};
use crate::yaml::Place;

/// The examples in `check config --help`; a test runs each of them.
const EXAMPLES: &str = "\
Examples:
  Does the configuration load, and everything it names? What of it is used here?
    burnwatch check config prometheus.yml
  The file alone, where the files it names are elsewhere:
    burnwatch check config --syntax-only prometheus.yml
  In CI: with advice on the rules, by the configuration's own intervals:
    burnwatch check config --lint=all --lint-fatal prometheus.yml
  With our own settings in a file beside it:
    burnwatch check config --burnwatch.config.file=burnwatch.yml prometheus.yml
";

/// Which configurations to check, and how.
#[derive(Args, Clone, Debug)]
#[command(after_help = format!("{EXAMPLES}\n{}", lints::help()))]
pub(crate) struct CheckConfigArgs {
    /// The config files to check.
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// Only check the config file syntax, not the files it names.
    #[arg(long)]
    syntax_only: bool,
    /// Refused: a Prometheus in agent mode evaluates no rules.
    #[arg(long)]
    agent: bool,
    /// A file with burnwatch's own settings, as for `burnwatch serve`.
    #[arg(long = "burnwatch.config.file", value_name = "FILE")]
    own: Option<PathBuf>,
    #[command(flatten)]
    pub lint: LintArgs,
}

/// Checks configurations and the files they name.
pub(crate) fn check(args: &CheckConfigArgs, io: &mut Io<'_>) -> anyhow::Result<Verdict> {
    if args.agent {
        bail!(
            "--agent: in agent mode nothing is evaluated, so there is nothing here to check; \
             use promtool check config --agent, or leave the flag out"
        );
    }
    let lints = Lints::of_config(&args.lint.lint);
    args.lint.warn(&lints, io)?;
    let mut verdict = Verdict::default();
    for path in &args.files {
        writeln!(io.out, "Checking {}", path.display())?;
        let checked = match check_file(path, args, io)? {
            Ok(checked) => checked,
            Err(error) => {
                writeln!(io.err, "  FAILED: {error}")?;
                writeln!(io.out)?;
                verdict.is_invalid = true;
                continue;
            }
        };
        let n_files = checked.rule_files.len();
        if n_files > 0 {
            writeln!(io.out, "  SUCCESS: {n_files} rule files found")?;
        }
        let shown = path.display();
        writeln!(
            io.out,
            " SUCCESS: {shown} is valid prometheus config file syntax"
        )?;
        write_uses(&checked, io)?;
        writeln!(io.out)?;
        if args.syntax_only {
            continue;
        }
        verdict.has_lint_errors |= lint_jobs(&checked.scraping.jobs, args, &lints, io)?;
        let mut options = args.lint.parse_options();
        options.format.names = checked.config.global.metric_name_validation_scheme;
        let read = |path: &PathBuf| RuleFile::read(&path.display().to_string(), options);
        let files: Vec<RuleFile> = checked.rule_files.iter().map(read).collect();
        let mut settings = settings_of(&checked.config, &checked.scraping, path);
        settings.lookback = args.lint.lookback;
        let of_rules = check_files(&files, (&args.lint, &lints), &settings, &[], io)?;
        verdict.is_invalid |= of_rules.is_invalid;
        verdict.has_lint_errors |= of_rules.has_lint_errors;
    }
    Ok(verdict)
}

/// Returns what advice needs to know of a server with that configuration.
pub(crate) fn lint_settings(path: &Path) -> anyhow::Result<Settings> {
    let config = config::read(path, None)?;
    let text = std::fs::read_to_string(path)?;
    let mut scraping = Scraping::read(Source { path, text: &text })?;
    add_scrape_files(&mut scraping)?;
    Ok(settings_of(&config, &scraping, path))
}

fn settings_of(config: &Config, scraping: &Scraping, path: &Path) -> Settings {
    let jobs = scraping.jobs.iter();
    Settings {
        evaluation_interval: Some(config.global.evaluation_interval),
        scrape: ScrapeIntervals {
            default: scraping.interval,
            jobs: jobs.map(|job| (job.name.clone(), job.interval)).collect(),
            source: path.display().to_string(),
        },
        ..Settings::default()
    }
}

/// A configuration that loads.
struct Checked {
    config: Config,
    scraping: Scraping,
    rule_files: Vec<PathBuf>,
}

fn check_file(
    path: &Path,
    args: &CheckConfigArgs,
    io: &mut Io<'_>,
) -> anyhow::Result<Result<Checked, ConfigError>> {
    let load = || {
        let config = config::read(path, args.own.as_deref())?;
        let text = std::fs::read_to_string(path)
            .map_err(|e| error_in(path, Place::default(), format!("cannot be read: {e}")))?;
        let scraping = Scraping::read(Source { path, text: &text })?;
        Ok((config, scraping))
    };
    let (config, mut scraping) = match load() {
        Ok(loaded) => loaded,
        Err(e) => return Ok(Err(e)),
    };
    let mut warnings = Vec::new();
    let checked = match args.syntax_only {
        true => Ok(Vec::new()),
        false => check_named(path, &config, &mut scraping, &mut warnings),
    };
    for warning in warnings {
        writeln!(io.out, "  WARNING: {warning}")?;
    }
    Ok(checked.map(|rule_files| Checked {
        config,
        scraping,
        rule_files,
    }))
}

fn error_in(path: &Path, place: Place, message: impl Into<String>) -> ConfigError {
    ConfigError::at(place, message).in_file(path)
}

/// Looks at the files that a configuration names; returns the rule files.
fn check_named(
    path: &Path,
    config: &Config,
    scraping: &mut Scraping,
    warnings: &mut Vec<String>,
) -> Result<Vec<PathBuf>, ConfigError> {
    for pattern in config.rule_files_without_match()? {
        if !pattern.to_string_lossy().contains('*') {
            let shown = pattern.display().to_string();
            let message = format!("rule_files: {shown:?} does not point to an existing file");
            return Err(error_in(path, Place::default(), message)
                .remedy("paths are relative to the configuration's directory"));
        }
    }
    let rule_files = config.rule_paths()?;
    add_scrape_files(scraping)?;
    for job in &scraping.jobs {
        for (what, file) in &job.files {
            if let Err(e) = std::fs::metadata(file) {
                let message = format!(
                    "job {:?}: error checking {what} {:?}: {e}",
                    job.name,
                    file.display().to_string()
                );
                return Err(error_in(path, job.place, message)
                    .remedy("paths are relative to the configuration's directory"));
            }
        }
        let about = format!("in scrape job {:?}", job.name);
        for groups in read_target_files(path, &job.file_sd_configs, &about, warnings)? {
            check_targets(path, &groups, job.relabels)?;
        }
    }
    for alertmanager in &config.alerting.alertmanagers {
        let files = &alertmanager.discovery.file_sd_configs;
        for groups in read_target_files(path, files, "in alertmanager config", warnings)? {
            check_targets(path, &groups, !alertmanager.relabel_configs.is_empty())?;
        }
    }
    check_baselines(config, &rule_files, warnings)?;
    Ok(rule_files)
}

/// Reads the baselines that a configuration names, together.
pub(crate) fn read_baselines(config: &Config) -> Result<Vec<Baseline>, ConfigError> {
    let (mut baselines, mut reader) = (Vec::new(), BaselineReader::default());
    for path in config.baseline_paths()? {
        let text = std::fs::read_to_string(&path)
            .map_err(|e| error_in(&path, Place::default(), format!("cannot be read: {e}")))?;
        if !is_baseline(&text) {
            let message = "is no baseline: its first key must be `baseline:`";
            return Err(error_in(&path, Place::default(), message));
        }
        let parsed = reader.read(&path.display().to_string(), &text);
        baselines.push(parsed.map_err(|errors| {
            let texts: Vec<String> = errors.iter().map(ToString::to_string).collect();
            error_in(&path, Place::default(), texts.join("; "))
        })?);
    }
    Ok(baselines)
}

/// Looks at the baselines that a configuration names, and at whether rules ask for others.
fn check_baselines(
    config: &Config,
    rule_files: &[PathBuf],
    warnings: &mut Vec<String>,
) -> Result<(), ConfigError> {
    let baselines = read_baselines(config)?;
    // Rule files that do not load are told of elsewhere.
    let groups = rule_files.iter().filter_map(|path| {
        let text = std::fs::read_to_string(path).ok()?;
        let path = path.display().to_string();
        Some(
            parse_file(&path, &text, &Functions, Features::ALL)
                .ok()?
                .groups,
        )
    });
    let groups: Vec<RuleGroup> = groups.flatten().collect();
    let missing = missing_baselines(&groups, baselines.iter());
    warnings.extend(missing.iter().map(ToString::to_string));
    Ok(())
}

fn add_scrape_files(scraping: &mut Scraping) -> Result<(), ConfigError> {
    let mut files = Vec::new();
    // One file found by two patterns holds its jobs twice.
    for pattern in &scraping.files {
        files.extend(config::expand_patterns(std::slice::from_ref(pattern))?);
    }
    for file in files {
        let text = std::fs::read_to_string(&file)
            .map_err(|e| error_in(&file, Place::default(), format!("cannot be read: {e}")))?;
        scraping.add_file(Source {
            path: &file,
            text: &text,
        })?;
    }
    Ok(())
}

/// Reads the files of a discovery; one that is not there is only worth a warning.
fn read_target_files(
    path: &Path,
    discoveries: &[FileSdConfig],
    about: &str,
    warnings: &mut Vec<String>,
) -> Result<Vec<Vec<TargetGroup>>, ConfigError> {
    let mut found = Vec::new();
    for pattern in discoveries.iter().flat_map(|sd| &sd.files) {
        let files = config::expand_patterns(std::slice::from_ref(pattern))?;
        if files.is_empty() {
            let shown = pattern.display().to_string();
            warnings.push(format!("file {shown:?} for file_sd {about} does not exist"));
        }
        for file in files {
            let text = std::fs::read_to_string(&file)
                .map_err(|e| error_in(&file, Place::default(), format!("cannot be read: {e}")))?;
            let groups = config::read_target_groups(&text).map_err(|e| {
                let mut error = e.in_file(&file);
                error.message = format!(
                    "{} (a file_sd file {about} of {})",
                    error.message,
                    path.display()
                );
                error
            })?;
            found.push(groups);
        }
    }
    Ok(found)
}

fn check_targets(path: &Path, groups: &[TargetGroup], relabels: bool) -> Result<(), ConfigError> {
    let mut targets = groups.iter().flat_map(|group| &group.targets);
    // With relabelling the address may still change.
    match targets.find(|target| !relabels && target.contains('/')) {
        Some(url) => Err(error_in(
            path,
            Place::default(),
            format!("{url:?} is not a valid hostname"),
        )
        .remedy("targets are host:port; scheme and path have keys of their own")),
        None => Ok(()),
    }
}

/// Says what burnwatch makes of the sections.
fn write_uses(checked: &Checked, io: &mut Io<'_>) -> std::io::Result<()> {
    let config = &checked.config;
    let counted = |n: usize, what: &str| match n {
        1 => format!("1 {what}"),
        n => format!("{n} {what}s"),
    };
    let global = &config.global;
    let used = [
        format!("evaluation_interval {}", global.evaluation_interval),
        counted(global.external_labels.len(), "external label"),
        counted(config.rule_files.len(), "entry of rule_files")
            .replace("entry of rule_filess", "entries of rule_files"),
        counted(
            config.alerting.alertmanagers.len(),
            "block of alertmanagers",
        )
        .replace("block of alertmanagerss", "blocks of alertmanagers"),
    ];
    writeln!(io.err, "  NOTE: burnwatch uses {}", used.join(", "))?;
    if !config.ignored.is_empty() {
        writeln!(
            io.err,
            "  NOTE: burnwatch passes over {}, which are Prometheus' own",
            config.ignored.join(", ")
        )?;
    }
    if !checked.scraping.jobs.is_empty() || !checked.scraping.files.is_empty() {
        writeln!(
            io.err,
            "  NOTE: burnwatch does not scrape: let Prometheus send it the samples, with a \
             remote_write to http://HOST:9099/api/v1/write"
        )?;
    }
    if config.rule_files.is_empty() {
        writeln!(
            io.err,
            "  NOTE: no rule_files: burnwatch would have nothing to evaluate"
        )?;
    }
    Ok(())
}

/// Finds jobs that are scraped more rarely than a query looks back; the first is enough, as for
/// promtool.
fn lint_jobs(
    jobs: &[ScrapeJob],
    args: &CheckConfigArgs,
    lints: &Lints,
    io: &mut Io<'_>,
) -> std::io::Result<bool> {
    let too_long = |job: &&ScrapeJob| job.interval >= args.lint.lookback;
    let Some(job) = jobs
        .iter()
        .find(too_long)
        .filter(|_| lints.too_long_scrape_interval)
    else {
        return Ok(false);
    };
    writeln!(
        io.err,
        "  FAILED: too long scrape interval found, data point will be marked as stale - job: {}, \
         interval: {}",
        job.name, job.interval
    )?;
    writeln!(
        io.err,
        "    hint: line {}: scrape it every {} at most, or raise --query.lookback-delta of the \
         servers and of this check",
        job.place.line,
        crate::model::DurationMs(args.lint.lookback.0 / 2)
    )?;
    Ok(true)
}
