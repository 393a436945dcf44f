//! `burnwatch check storage DIR`: what a data directory holds, whether it can be read, and with
//! `--repair` what is cut off so that it can.

use std::io;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Args;

use crate::backfill;
use crate::cli::check::{Io, Verdict, checkpoints};
use crate::log::backend::file::{
    FORMAT, Files as _, SegmentReport, ShardReport, StdFiles, check_shard, n_shards_in,
    repair_shard,
};
use crate::model::TimestampMs;
use crate::server::logs::FOLDER;
use crate::storage::StorageLock;

/// What to look at.
#[derive(Args, Clone, Debug)]
pub struct CheckStorageArgs {
    /// The data directory, as `burnwatch serve --storage.path` has it.
    #[arg(value_name = "DIR", default_value = "data")]
    directory: PathBuf,
    /// Cut logs off where they cannot be read any further, and say what is lost; remove
    /// checkpoints that are damaged where a start can do without. No server may run meanwhile.
    #[arg(long)]
    repair: bool,
}

/// Looks at a data directory.
pub(super) fn check(args: &CheckStorageArgs, io: &mut Io<'_>) -> anyhow::Result<Verdict> {
    let directory = &args.directory;
    let is_there = directory.is_dir();
    anyhow::ensure!(is_there, "{} is no directory", directory.display());
    let _lock = match args.repair {
        true => Some(StorageLock::take(
            directory,
            "burnwatch check storage --repair",
        )?),
        false => None,
    };
    writeln!(io.out, "Checking {}", directory.display())?;
    let mut verdict = Verdict::default();
    let logs = directory.join(FOLDER);
    let n_shards = match logs.is_dir() {
        true => n_shards_in(&StdFiles, &logs),
        false => 0,
    };
    for shard in 0..n_shards {
        let folder = logs.join(shard.to_string());
        let is_well = check_log(&folder, shard as u32, args.repair, io)?;
        verdict.is_invalid |= !is_well;
        let is_well = checkpoints::check(directory, shard, args.repair, io)?;
        verdict.is_invalid |= !is_well;
    }
    if n_shards == 0 {
        writeln!(io.out, "  no log")?;
    }
    check_history(&directory.join("history"), io)?;
    check_fetched(&directory.join(backfill::FOLDER), io)?;
    Ok(verdict)
}

/// Looks at the log of a shard; tells whether a server would start with it.
fn check_log(folder: &Path, shard: u32, repair: bool, io: &mut Io<'_>) -> anyhow::Result<bool> {
    let report = match check_shard(&StdFiles, folder, shard) {
        Ok(report) => report,
        Err(error) => {
            writeln!(io.err, "  FAILED: {error}")?;
            return Ok(false);
        }
    };
    write_log(&report, shard, io)?;
    let Some((path, bad, was_on_disk)) = &report.bad else {
        return Ok(true);
    };
    let newer = report.segments.iter().find(|s| s.path == *path);
    if let Some(error) = newer.and_then(|segment| segment.header_error.as_ref()) {
        writeln!(io.err, "  FAILED: {}: {error}", path.display())?;
    }
    let (at, entry, why) = (bad.at, bad.offset.0, bad.why);
    let place = format!("{} at byte {at} (entry {entry}): {why}", path.display());
    if !was_on_disk && !repair {
        writeln!(
            io.out,
            "  torn: {place}; nobody was promised what is missing, and the next start cuts it off"
        )?;
        return Ok(true);
    }
    if !repair {
        writeln!(
            io.err,
            "  FAILED: {place}; what lies behind it was on disk. --repair cuts the log off there"
        )?;
        return Ok(false);
    }
    match repair_shard(&StdFiles, folder, shard) {
        Ok(Some(cut)) => {
            writeln!(
                io.out,
                "  repaired: cut off at {place}; lost: {} bytes, {} entries that could be counted",
                cut.n_bytes, cut.n_entries
            )?;
            Ok(true)
        }
        Ok(None) => {
            writeln!(
                io.err,
                "  FAILED: {place}; this cannot be repaired by cutting"
            )?;
            Ok(false)
        }
        Err(error) => {
            writeln!(io.err, "  FAILED: {error}")?;
            Ok(false)
        }
    }
}

fn write_log(report: &ShardReport, shard: u32, io: &mut Io<'_>) -> io::Result<()> {
    let n_bytes: u64 = report.segments.iter().map(|segment| segment.n_bytes).sum();
    let first = report.segments.first().map_or(0, |s| s.offsets.0.0);
    let end = report.segments.last().map_or(0, |s| s.offsets.1.0);
    writeln!(
        io.out,
        "  log of shard {shard}: {} files, {n_bytes} bytes, entries {first} to {end}",
        report.segments.len()
    )?;
    for segment in &report.segments {
        write_segment(segment, io)?;
    }
    Ok(())
}

/// Returns an instant as people write it.
pub(super) fn time(at: TimestampMs) -> String {
    let instant = jiff::Timestamp::from_millisecond(at.0);
    instant.map_or_else(|_| at.0.to_string(), |instant| instant.to_string())
}

fn write_segment(segment: &SegmentReport, io: &mut Io<'_>) -> io::Result<()> {
    let name = segment.path.file_name().unwrap_or_default();
    let by = match &segment.header {
        Some(header) => format!(
            "format {} of burnwatch {}",
            header.format, header.written_by
        ),
        None => format!("no header that format {FORMAT} knows"),
    };
    let wall = segment.wall.map(|(first, last)| {
        let (first, last) = (time(first), time(last));
        format!(", written from {first} to {last}")
    });
    writeln!(
        io.out,
        "    {}: {} bytes, entries {} to {}, {by}{}",
        name.display(),
        segment.n_bytes,
        segment.offsets.0.0,
        segment.offsets.1.0,
        wall.unwrap_or_default()
    )
}

/// Says how much history was fetched from elsewhere.
fn check_fetched(folder: &Path, io: &mut Io<'_>) -> anyhow::Result<()> {
    if !folder.is_dir() {
        return Ok(());
    }
    let names = StdFiles.names(folder).unwrap_or_default();
    if !names.is_empty() {
        writeln!(
            io.out,
            "  fetched history: {} files, which go when checkpoints hold what is in them",
            names.len()
        )?;
    }
    Ok(())
}

/// Says how much history there is.
fn check_history(folder: &Path, io: &mut Io<'_>) -> anyhow::Result<()> {
    if !folder.is_dir() {
        return Ok(());
    }
    for shard in 0..n_shards_in(&StdFiles, folder) {
        let folder = folder.join(shard.to_string());
        let (mut n_files, mut n_bytes) = (0, 0);
        for name in StdFiles.names(&folder).unwrap_or_default() {
            let path = folder.join(name);
            let metadata = std::fs::metadata(&path);
            n_bytes += metadata
                .with_context(|| format!("cannot read {}", path.display()))?
                .len();
            n_files += 1;
        }
        writeln!(
            io.out,
            "  history of shard {shard}: {n_files} files, {n_bytes} bytes"
        )?;
    }
    Ok(())
}
