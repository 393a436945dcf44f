//! `burnwatch rules export DIR`: the bundled rules as files.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use clap::Subcommand;

use crate::bundled;
use crate::functions::Functions;
use crate::promql::Features;
use crate::rule::{RuleKind, parse_file};

/// What to do with the bundled rules.
#[derive(Debug, Subcommand)]
pub enum RulesArgs {
    /// Write the bundled rule files into a directory, to be changed and named in `rule_files`.
    Export {
        /// The directory; it is made where there is none.
        dir: PathBuf,
        /// Overwrite files that are there already.
        #[arg(long)]
        force: bool,
    },
    /// List the bundled rule files.
    List,
}

/// Runs the command.
pub fn run(args: &RulesArgs) -> anyhow::Result<ExitCode> {
    match args {
        RulesArgs::List => {
            for (name, text) in bundled::RULES {
                println!("{name}: {}", describe(name, text)?);
            }
        }
        RulesArgs::Export { dir, force } => {
            std::fs::create_dir_all(dir)
                .with_context(|| format!("cannot make {}", dir.display()))?;
            if !force {
                // Nothing is written unless all can be.
                for (name, _) in bundled::RULES {
                    if dir.join(name).exists() {
                        bail!(
                            "{} exists already; --force overwrites it",
                            dir.join(name).display()
                        );
                    }
                }
            }
            for (name, text) in bundled::RULES {
                let path = dir.join(name);
                std::fs::write(&path, text)
                    .with_context(|| format!("cannot write {}", path.display()))?;
                println!("{}", path.display());
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn describe(name: &str, text: &str) -> anyhow::Result<String> {
    let parsed = parse_file(name, text, &Functions, Features::default())
        .map_err(|errors| anyhow::anyhow!("{}", errors[0]))?;
    let rules = parsed.groups.iter().flat_map(|group| &group.rules);
    let (alerts, records): (Vec<_>, Vec<_>) =
        rules.partition(|rule| matches!(rule.kind, RuleKind::Alerting { .. }));
    Ok(format!(
        "{} alerts, {} recording rules",
        alerts.len(),
        records.len()
    ))
}
