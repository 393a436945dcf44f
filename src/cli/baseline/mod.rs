//! `burnwatch baseline capture|show|check`: what distributions and embeddings are compared with,
//! frozen into a file that can be reviewed.

mod capture;
mod native;

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, anyhow};
use clap::{Args, Subcommand};

use crate::model::SampleValue;
use crate::rule::RuleError;
use crate::rule::baseline::{Baseline, BaselineReader};

/// The examples in `baseline --help`.
pub const EXAMPLES: &str = "\
Examples:
  What a model's scores were in the last week, all replicas together:
    burnwatch baseline capture --from=7d --selector='model_score_bucket{job=\"api\"}' \\
        --without=instance,pod -o baselines/score.yml
  What an embedding was on average, asked of a Prometheus:
    burnwatch baseline capture --server=http://prometheus:9090 --selector=embedding_mean \\
        -o baselines/embedding.yml
  What is in a file, and can it be loaded?
    burnwatch baseline show baselines/score.yml
    burnwatch baseline check baselines/*.yml

Name the files in burnwatch's part of the configuration, `baseline_files: [baselines/*.yml]`, and
compare with them in rules: drift_psi(rate(model_score_bucket[1h]), model_score_bucket:baseline)
";

/// What to do with baselines.
#[derive(Args, Clone, Debug)]
#[command(after_help = EXAMPLES)]
pub struct BaselineArgs {
    #[command(subcommand)]
    command: BaselineCommand,
}

#[derive(Clone, Debug, Subcommand)]
enum BaselineCommand {
    /// Ask burnwatch or a Prometheus what series were worth over some time, and write it down.
    Capture(Box<capture::CaptureArgs>),
    /// Say what a file holds.
    Show {
        /// The file.
        file: PathBuf,
    },
    /// Say whether files can be loaded together.
    Check {
        /// The files.
        #[arg(required = true)]
        files: Vec<PathBuf>,
    },
}

/// Runs the command.
pub fn run(args: &BaselineArgs, out: &mut dyn Write) -> anyhow::Result<ExitCode> {
    match &args.command {
        BaselineCommand::Capture(args) => capture::capture(args, out)?,
        BaselineCommand::Show { file } => {
            let baseline = read(file, &mut BaselineReader::default())?;
            out.write_all(shown(&baseline).as_bytes())?;
        }
        BaselineCommand::Check { files } => {
            let (mut is_well, mut reader) = (true, BaselineReader::default());
            for file in files {
                match read(file, &mut reader) {
                    Ok(baseline) => {
                        let n_series = baseline.series.len();
                        writeln!(out, "{}: {n_series} series", file.display())?;
                    }
                    Err(error) => {
                        is_well = false;
                        eprintln!("{error:#}");
                    }
                }
            }
            if !is_well {
                return Ok(ExitCode::FAILURE);
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn read(file: &Path, reader: &mut BaselineReader) -> anyhow::Result<Baseline> {
    let text = std::fs::read_to_string(file)
        .with_context(|| format!("cannot read the baseline {}", file.display()))?;
    let parsed = reader.read(&file.display().to_string(), &text);
    parsed.map_err(|errors| anyhow!(RuleError::lines(&errors)))
}

/// Says what is known of a baseline, and of each metric how many series and observations it has.
fn shown(baseline: &Baseline) -> String {
    let mut text = String::new();
    for (name, value) in &baseline.about {
        text += &format!("{:<12} {value}\n", name.replace('_', " "));
    }
    let mut metrics: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
    for (labels, value) in &baseline.series {
        let found = metrics.entry(labels.metric_name()).or_default();
        found.0 += 1;
        found.1 += usize::from(matches!(value, SampleValue::Histogram(_)));
    }
    for (name, (n_series, n_native)) in metrics {
        let native = match n_native {
            0 => String::new(),
            n => format!(", {n} of them native histograms"),
        };
        text += &format!("{name}: {n_series} series{native}\n");
    }
    text
}
