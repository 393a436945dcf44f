//! stub until it lands
use std::io::Write;
use std::process::ExitCode;
/// stub
#[derive(Debug, clap::Subcommand)]
pub enum TestArgs {
    /// stub
    Rules {
        /// stub
        files: Vec<std::path::PathBuf>,
    },
}
/// stub
pub fn run(_args: &TestArgs, _out: &mut dyn Write) -> anyhow::Result<ExitCode> {
    Ok(ExitCode::FAILURE)
}
