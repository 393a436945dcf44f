//! The checkpoints of a data directory, as `burnwatch check storage` tells and repairs them.

use std::path::Path;

use crate::cli::check::Io;
use crate::cli::check::storage::time;
use crate::engine::checkpoint::Loading;
use crate::log::Offset;
use crate::log::backend::file::{Files as _, StdFiles, check_shard};
use crate::server::checkpoints::checkpoints_of;
use crate::server::logs::FOLDER;
use crate::storage::checkpoint_files::{CheckpointFolder, CheckpointHeader, CheckpointReader};

/// Looks at the checkpoints of a shard; tells whether all are of use.
pub(super) fn check(
    directory: &Path,
    shard: usize,
    repair: bool,
    io: &mut Io<'_>,
) -> anyhow::Result<bool> {
    let folder = checkpoints_of(directory, shard);
    let paths = CheckpointFolder::list(&StdFiles, &folder)?;
    if paths.is_empty() {
        return Ok(true);
    }
    let log = directory.join(FOLDER).join(shard.to_string());
    let reach = check_shard(&StdFiles, &log, shard as u32).ok().map(|log| {
        let first = log
            .segments
            .first()
            .map_or(Offset(0), |segment| segment.offsets.0);
        (
            first.0,
            log.segments.last().map_or(0, |segment| segment.offsets.1.0),
        )
    });
    let is_reached =
        |offset: u64| reach.is_some_and(|(first, end)| (first..=end).contains(&offset));
    writeln!(io.out, "  checkpoints of shard {shard}: {}", paths.len())?;
    let (mut bad, mut has_good) = (Vec::new(), is_reached(0));
    for path in paths {
        let name = path.file_name().unwrap_or_default().display();
        match read(&path) {
            Ok((header, n_series)) => {
                let (offset, wall) = (header.offset, time(header.wall));
                writeln!(
                    io.out,
                    "    {name}: {} bytes, {n_series} series as of entry {offset}, begun at {wall}",
                    std::fs::metadata(&path)?.len(),
                )?;
                match is_reached(offset) {
                    true => has_good = true,
                    false => writeln!(
                        io.out,
                        "    {name}: the log has no entry {offset} to go on with, so it is of no use"
                    )?,
                }
            }
            Err(cause) => bad.push((path, cause)),
        }
    }
    for (path, cause) in &bad {
        let name = path.file_name().unwrap_or_default().display();
        match (has_good, repair) {
            (true, true) => {
                StdFiles.remove(path)?;
                writeln!(
                    io.out,
                    "    {name}: removed: {cause:#}; a start goes on without it"
                )?;
            }
            (true, false) => writeln!(
                io.err,
                "    FAILED: {cause:#}. A start goes on without it; --repair removes it"
            )?,
            (false, _) => writeln!(
                io.err,
                "    FAILED: {cause:#}. There is no other to go on from, and the log does not reach \
                 back to its beginning: a start would know nothing of what came before it"
            )?,
        }
    }
    Ok(bad.is_empty() || repair && has_good)
}

/// Reads a checkpoint as a start does, but for the history that lies in other files.
fn read(path: &Path) -> anyhow::Result<(CheckpointHeader, usize)> {
    let mut reader = CheckpointReader::open(path)?;
    let mut loading = Loading::new(None);
    while let Some(part) = reader.part()? {
        loading.part(&part)?;
    }
    let engine = loading.finish()?;
    Ok((reader.header, engine.series().len()))
}
