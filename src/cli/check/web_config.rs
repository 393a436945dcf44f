//! `burnwatch check web-config FILE…`

use std::path::PathBuf;

use clap::Args;

use crate::cli::check::{Io, Verdict};
use crate::web::check_web_config;

/// The examples in `check web-config --help`; a test runs each of them.
const EXAMPLES: &str = "\
Examples:
  Does the web configuration load, and can its certificates be used?
    burnwatch check web-config web.yml
";

/// Which web configurations to check.
#[derive(Args, Clone, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct CheckWebConfigArgs {
    /// The files to check, as given with --web.config.file.
    #[arg(required = true)]
    files: Vec<PathBuf>,
}

/// Checks web configurations, in promtool's words.
pub(crate) fn check(args: &CheckWebConfigArgs, io: &mut Io<'_>) -> anyhow::Result<Verdict> {
    let mut verdict = Verdict::default();
    for path in &args.files {
        match check_web_config(path) {
            Ok(()) => writeln!(io.err, "{} SUCCESS", path.display())?,
            Err(error) => {
                writeln!(io.err, "{} FAILED: {error}", path.display())?;
                verdict.is_invalid = true;
            }
        }
    }
    Ok(verdict)
}
