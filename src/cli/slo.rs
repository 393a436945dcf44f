//! `burnwatch slo compile|explain SPEC…`: objectives as plain rules, and in words.

use std::fmt::Write as _;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use clap::{Args, Subcommand, ValueEnum};

use crate::engine::features;
use crate::functions::Functions;
use crate::model::DurationMs;
use crate::slo::windows::AlertWindows;
use crate::slo::{self, Compiled, Language, Layout, Options, Spec, Windows};

/// The examples in `slo --help`; a test runs each of them.
pub const EXAMPLES: &str = "\
Examples:
  What do these objectives allow, and when do their alerts fire?
    burnwatch slo explain slo.yml
  The rules, to look at or to load into a Prometheus:
    burnwatch slo compile slo.yml
  One rule file for each specification, in a directory:
    burnwatch slo compile slo.yml sloth.yml -o compiled
  The SRE workbook's tiers instead of those of the tool it was written for:
    burnwatch slo compile --windows=workbook sloth.yml
  Sloth's own alert windows, for objectives over 7 days:
    burnwatch slo compile --windows=windows.yml --default-slo-period=7d sloth.yml
  A resource of Prometheus' operator:
    burnwatch slo compile --format=prometheus-rule slo.yml

A server needs none of this: a specification may be named in rule_files as it is. Known are Sloth
(version: prometheus/v1, kind: PrometheusServiceLevel), OpenSLO (apiVersion: openslo/v1), Pyrra
(kind: ServiceLevelObjective) and a short format of our own (version: burnwatch/v1), told apart by
those headers. docs/SLO.md has the arithmetic.
";

/// What to do with specifications.
#[derive(Debug, Subcommand)]
pub enum SloArgs {
    /// Write the rules that specifications of objectives become.
    #[command(after_help = EXAMPLES)]
    Compile(CompileArgs),
    /// Say what objectives allow, and when each of their alerts is raised and ends.
    #[command(after_help = EXAMPLES)]
    Explain(SpecArgs),
}

/// Which specifications, and how they are taken.
#[derive(Args, Debug)]
pub struct SpecArgs {
    /// The files, in any of the formats.
    #[arg(required = true, value_name = "SPEC")]
    files: Vec<PathBuf>,
    /// Whose windows and burn rates: `own`, those of the tool that a specification was written
    /// for; `workbook`, the SRE workbook's; or a file or directory of Sloth's AlertWindows.
    #[arg(long, value_name = "own|workbook|FILE|DIR", default_value = "own")]
    windows: String,
    /// The period of objectives that say none.
    #[arg(long, value_name = "DURATION", default_value = "30d", value_parser = period)]
    default_slo_period: DurationMs,
    /// Prometheus' feature flags for PromQL, separated by commas; unknown ones are ignored.
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    enable_feature: Vec<String>,
}

/// How to write the rules.
#[derive(Args, Debug)]
pub struct CompileArgs {
    #[command(flatten)]
    spec: SpecArgs,
    /// Where to write: a file, or a directory for one file each [default: standard output].
    #[arg(short, long, value_name = "FILE|DIR")]
    output: Option<PathBuf>,
    /// What is to load them.
    #[arg(long, value_enum, default_value_t = Format::Rules)]
    format: Format,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// A rule file of Prometheus.
    Rules,
    /// A PrometheusRule, the resource of Prometheus' operator.
    PrometheusRule,
}

fn period(text: &str) -> Result<DurationMs, String> {
    match DurationMs::parse(text) {
        Ok(period) if period >= DurationMs::from_seconds(3600) => Ok(period),
        Ok(_) => Err("a period is at least an hour; write one such as 30d".to_owned()),
        Err(e) => Err(format!("{e}; write one such as 30d")),
    }
}

/// Runs the command.
///
/// # Errors
/// When a file cannot be read or is no specification, or the rules cannot be written.
pub fn run(args: &SloArgs, out: &mut dyn Write, err: &mut dyn Write) -> anyhow::Result<ExitCode> {
    match args {
        SloArgs::Explain(args) => {
            let loaded = load(args, err)?;
            let texts = loaded
                .iter()
                .map(|file| slo::explain(&file.spec, &file.compiled));
            let text = texts.collect::<Vec<_>>().join("\n");
            out.write_all(text.as_bytes())
                .context("write the explanation")?;
        }
        SloArgs::Compile(args) => compile(args, out, err)?,
    }
    Ok(ExitCode::SUCCESS)
}

/// A specification and what became of it.
struct Loaded {
    path: PathBuf,
    spec: Spec,
    compiled: Compiled,
}

/// Reads and compiles all files; says what is worth saying.
fn load(args: &SpecArgs, err: &mut dyn Write) -> anyhow::Result<Vec<Loaded>> {
    let features = features(&args.enable_feature);
    let language = Language {
        functions: &Functions,
        features,
    };
    let mut options = Options {
        period: Some(args.default_slo_period),
        ..Options::default()
    };
    match args.windows.as_str() {
        "own" => {}
        "workbook" => options.windows = Windows::Workbook,
        path => options.catalog = read_windows(Path::new(path), language)?,
    }
    let specs = args
        .files
        .iter()
        .map(|path| Ok((path, read(path, language)?)));
    let specs = specs.collect::<anyhow::Result<Vec<(&PathBuf, Spec)>>>()?;
    let mut loaded = Vec::new();
    for (path, spec) in specs {
        let compiled = slo::compile(&spec, &options);
        for note in &compiled.notes {
            writeln!(err, "NOTE: {}:{note}", path.display())?;
        }
        loaded.push(Loaded {
            path: path.clone(),
            spec,
            compiled,
        });
    }
    Ok(loaded)
}

fn read(path: &Path, language: Language<'_>) -> anyhow::Result<Spec> {
    let shown = path.display();
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {shown}"))?;
    slo::read(&text, language).map_err(|errors| {
        let mut all = format!("{shown} is no specification that can be compiled:");
        for error in errors {
            let _ = write!(all, "\n{shown}:{error}");
            if let Some(hint) = &error.hint {
                let _ = write!(all, "\n    hint: {hint}");
            }
        }
        anyhow::anyhow!(all)
    })
}

/// Reads alert windows of a file, or of all `.yml` and `.yaml` files of a directory.
fn read_windows(path: &Path, language: Language<'_>) -> anyhow::Result<Vec<AlertWindows>> {
    let shown = path.display();
    let mut files = vec![path.to_owned()];
    if path.is_dir() {
        let entries = std::fs::read_dir(path).with_context(|| format!("cannot read {shown}"))?;
        let paths = entries.map(|entry| entry.map(|entry| entry.path()));
        files = paths
            .collect::<Result<_, _>>()
            .with_context(|| format!("cannot read {shown}"))?;
        let is_yaml = |path: &PathBuf| {
            path.extension()
                .is_some_and(|extension| extension == "yml" || extension == "yaml")
        };
        files.retain(is_yaml);
        files.sort();
    } else if !path.exists() {
        bail!(
            "--windows={shown}: write own or workbook, or the path of Sloth's AlertWindows; there is no such file"
        );
    }
    let mut found = Vec::new();
    for file in files {
        found.extend(read(&file, language).context("--windows")?.windows);
    }
    if found.is_empty() {
        bail!("--windows={shown}: there are no AlertWindows in it");
    }
    Ok(found)
}

fn compile(args: &CompileArgs, out: &mut dyn Write, err: &mut dyn Write) -> anyhow::Result<()> {
    let loaded = load(&args.spec, err)?;
    let Some(output) = &args.output else {
        let all: Vec<&Loaded> = loaded.iter().collect();
        let text = rules_of(&all, args.format)?;
        return out.write_all(text.as_bytes()).context("write the rules");
    };
    let is_directory = output.is_dir() || output.extension().is_none();
    if !is_directory {
        let all: Vec<&Loaded> = loaded.iter().collect();
        return write(output, &rules_of(&all, args.format)?, out);
    }
    std::fs::create_dir_all(output).with_context(|| format!("cannot make {}", output.display()))?;
    let mut written: Vec<PathBuf> = Vec::new();
    for file in &loaded {
        let stem = file.path.file_stem().unwrap_or(file.path.as_os_str());
        let mut name = stem.to_os_string();
        name.push(".rules.yml");
        let path = output.join(name);
        if written.contains(&path) {
            bail!(
                "two specifications would be written to {}; rename one",
                path.display()
            );
        }
        write(&path, &rules_of(&[file], args.format)?, out)?;
        written.push(path);
    }
    Ok(())
}

fn write(path: &Path, text: &str, out: &mut dyn Write) -> anyhow::Result<()> {
    std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))?;
    writeln!(out, "{}", path.display())?;
    Ok(())
}

/// Writes the rules of specifications as one file.
fn rules_of(files: &[&Loaded], format: Format) -> anyhow::Result<String> {
    let slos = files.iter().flat_map(|file| &file.compiled.slos);
    let groups: Vec<_> = slos.flat_map(|slo| slo.groups.iter().cloned()).collect();
    let mut names: Vec<&str> = groups.iter().map(|group| group.name.as_str()).collect();
    names.sort_unstable();
    if let Some(twice) = names.windows(2).find(|pair| pair[0] == pair[1]) {
        bail!(
            "the rule group {} would be there twice; compile the specifications one by one, with -o DIR",
            twice[0]
        );
    }
    let sources: Vec<String> = files
        .iter()
        .map(|file| file.path.display().to_string())
        .collect();
    let comment = format!(
        "Made by `burnwatch slo compile` of {}; change that, not this.",
        sources.join(", ")
    );
    let layout = match format {
        Format::Rules => Layout::RuleFile,
        Format::PrometheusRule => Layout::PrometheusRule,
    };
    let stem = files.first().and_then(|file| file.path.file_stem());
    let name = stem.map_or("slo".to_owned(), |stem| {
        resource_name(&stem.to_string_lossy())
    });
    Ok(slo::to_yaml(&groups, layout, &name, &comment).0)
}

/// Makes a name as Kubernetes has them: lower case letters, digits and dashes.
fn resource_name(stem: &str) -> String {
    let name: String = stem
        .to_ascii_lowercase()
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '-' })
        .collect();
    format!("slo-{}", name.trim_matches('-'))
}
