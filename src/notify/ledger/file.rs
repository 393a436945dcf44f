//! The file of the memory: a line for each change, which people can read, too.
//!
//! ```text
//! {"format":"burnwatch-notify","version":1,"written_by":"0.1.0"}
//! 9c0f5a1d2b3e4f60 {"state":{"id":7,"labels":{"alertname":"Up"},…}}
//! 04b1…            {"memory":{"id":7,"receiver":"http://am:9093/api/v2/alerts","knows_firing":true}}
//! ```
//!
//! Every line but the first begins with the checksum (xxh3) of its JSON. Reading ends at the first
//! line that is not whole: nothing behind it can be relied on. A new file is written under another
//! name, forced to disk, and takes the place of the old one.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tracing::warn;
use xxhash_rust::xxh3::xxh3_64;

use crate::model::{AlertMessage, AlertStatus, DurationMs, Labels, TimestampMs};
use crate::notify::ledger::Memory;

/// The version that is written, and the newest that is read.
const VERSION: u32 = 1;
/// What the first line of every such file says.
const FORMAT: &str = "burnwatch-notify";
const FILE_NAME: &str = "ledger.jsonl";
/// Below so many lines a file is not worth writing anew.
const LINES_MIN: usize = 10_000;
/// Hexadecimal digits of a checksum.
const SUM_DIGITS: usize = 16;

/// Why the memory cannot be kept.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// The file system refused.
    #[error("cannot {what} {path}: {source}")]
    Io {
        /// What was tried.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// The file is of another kind.
    #[error(
        "{path} is not a memory of notifying; move it away, and what receivers were told before \
         is told again"
    )]
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// The file is of a later version.
    #[error(
        "{path} was written by burnwatch {written_by} in format {version}, and {VERSION} is the \
         newest that this one reads; run that one, or move the file away, and what receivers were \
         told before is told again"
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its version.
        version: u32,
        /// Who wrote it.
        written_by: String,
    },
}

/// A change of what is known.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Record {
    /// An alert's newest state.
    State {
        id: u64,
        message: AlertMessage,
        /// When it was heard of, by the wall clock.
        since: TimestampMs,
    },
    /// That state is not repeated any more.
    Once { id: u64 },
    /// What a receiver knows.
    Memory {
        id: u64,
        receiver: Arc<str>,
        memory: Memory,
    },
    /// The alert is forgotten.
    Gone { id: u64 },
}

impl Record {
    pub(super) fn id(&self) -> u64 {
        match self {
            Record::State { id, .. }
            | Record::Once { id }
            | Record::Memory { id, .. }
            | Record::Gone { id } => *id,
        }
    }
}

/// The file that is appended to.
#[derive(Debug)]
pub(super) struct Journal {
    folder: PathBuf,
    /// `None` before the first file, and after a failed write until the next file.
    file: Option<File>,
    n_lines: usize,
}

impl Journal {
    /// Reads what there is. The file is not appended to: its [`Journal::successor`] is.
    pub(super) fn open(folder: &Path) -> Result<(Journal, Vec<Record>), LedgerError> {
        std::fs::create_dir_all(folder).map_err(|source| LedgerError::Io {
            what: "make",
            path: folder.to_owned(),
            source,
        })?;
        let path = folder.join(FILE_NAME);
        let records = match std::fs::read(&path) {
            Ok(bytes) => decode(&bytes, &path)?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
            Err(source) => {
                let what = "read";
                return Err(LedgerError::Io { what, path, source });
            }
        };
        let journal = Journal {
            folder: folder.to_owned(),
            file: None,
            n_lines: records.len(),
        };
        Ok((journal, records))
    }

    /// Appends lines; after a failure nothing is appended until the next file, since half a line
    /// may lie at the end.
    pub(super) fn append(&mut self, bytes: &[u8], n_lines: usize) -> Result<(), LedgerError> {
        let Some(file) = &mut self.file else {
            return Ok(());
        };
        self.n_lines += n_lines;
        let written = file.write_all(bytes);
        written.map_err(|source| {
            self.file = None;
            LedgerError::Io {
                what: "append to",
                path: self.folder.join(FILE_NAME),
                source,
            }
        })
    }

    /// Tells whether a new file should take the place of this one, given how many alerts there
    /// are.
    pub(super) fn is_worth_rewriting(&self, n_alerts: usize) -> bool {
        self.file.is_none() || self.n_lines > LINES_MIN.max(10 * n_alerts)
    }

    /// Writes to another file from now on, which may refuse.
    #[cfg(test)]
    pub(super) fn break_with(&mut self, file: File) {
        self.file = Some(file);
    }

    /// Returns the file to come.
    pub(super) fn successor(&self) -> Successor {
        Successor {
            folder: self.folder.clone(),
        }
    }
}

/// A file that is being written to take the place of another.
#[derive(Debug)]
pub(super) struct Successor {
    folder: PathBuf,
}

impl Successor {
    fn path(&self) -> PathBuf {
        self.folder.join(format!("{FILE_NAME}.new"))
    }

    fn error(&self, what: &'static str) -> impl FnOnce(std::io::Error) -> LedgerError {
        let path = self.path();
        move |source| LedgerError::Io { what, path, source }
    }

    /// Writes all that is known and forces it to disk; returns the file and its lines.
    pub(super) fn write(&self, records: &[Record]) -> Result<(File, usize), LedgerError> {
        let mut file = File::create(self.path()).map_err(self.error("make"))?;
        let mut bytes = header();
        bytes.extend(encode(records));
        file.write_all(&bytes).map_err(self.error("write"))?;
        file.sync_data().map_err(self.error("force to disk"))?;
        Ok((file, records.len()))
    }

    /// Appends what came meanwhile and puts the file in the place of the old one.
    pub(super) fn replace(
        self,
        mut file: File,
        meanwhile: &[u8],
        n_lines: usize,
    ) -> Result<Journal, LedgerError> {
        file.write_all(meanwhile).map_err(self.error("write"))?;
        let place = self.folder.join(FILE_NAME);
        std::fs::rename(self.path(), place).map_err(self.error("rename"))?;
        Ok(Journal {
            file: Some(file),
            n_lines: n_lines + meanwhile.iter().filter(|byte| **byte == b'\n').count(),
            folder: self.folder,
        })
    }
}

#[derive(Serialize, Deserialize)]
struct Header {
    format: String,
    version: u32,
    written_by: String,
}

fn header() -> Vec<u8> {
    let header = Header {
        format: FORMAT.to_owned(),
        version: VERSION,
        written_by: env!("CARGO_PKG_VERSION").to_owned(),
    };
    let mut line = json(&header);
    line.push(b'\n');
    line
}

fn json(value: &impl Serialize) -> Vec<u8> {
    // Numbers and texts under fixed names always have a JSON form.
    serde_json::to_vec(value).unwrap_or_default()
}

/// Returns the lines of records.
pub(super) fn encode(records: &[Record]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for record in records {
        let json = json(&Line::from(record));
        bytes.extend_from_slice(format!("{:0SUM_DIGITS$x} ", xxh3_64(&json)).as_bytes());
        bytes.extend_from_slice(&json);
        bytes.push(b'\n');
    }
    bytes
}

/// Reads a file as far as it is whole.
fn decode(bytes: &[u8], path: &Path) -> Result<Vec<Record>, LedgerError> {
    let mut lines = bytes.split_inclusive(|byte| *byte == b'\n');
    let Some(first) = lines.next() else {
        return Ok(Vec::new());
    };
    let Ok(header) = serde_json::from_slice::<Header>(first) else {
        let path = path.to_owned();
        return Err(LedgerError::Foreign { path });
    };
    let path = path.to_owned();
    if header.format != FORMAT || header.version == 0 {
        return Err(LedgerError::Foreign { path });
    }
    if header.version > VERSION {
        return Err(LedgerError::Newer {
            path,
            version: header.version,
            written_by: header.written_by,
        });
    }
    let mut records = Vec::new();
    let mut n_read = first.len();
    for line in lines {
        let Some(record) = record(line) else {
            warn!(
                file = %path.display(),
                offset = n_read,
                bytes = bytes.len() - n_read,
                "the memory of notifying is torn here, the rest is dropped: receivers may be told \
                 again what they were told last"
            );
            break;
        };
        n_read += line.len();
        records.push(record);
    }
    Ok(records)
}

fn record(line: &[u8]) -> Option<Record> {
    let line = line.strip_suffix(b"\n")?;
    let (sum, json) = line.split_at_checked(SUM_DIGITS)?;
    let json = json.strip_prefix(b" ")?;
    let sum = u64::from_str_radix(std::str::from_utf8(sum).ok()?, 16).ok()?;
    if sum != xxh3_64(json) {
        return None;
    }
    Some(serde_json::from_slice::<Line>(json).ok()?.into())
}

/// A record as it is written.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Line {
    State(StateLine),
    Once(IdLine),
    Memory(MemoryLine),
    Gone(IdLine),
}

#[derive(Serialize, Deserialize)]
struct IdLine {
    id: u64,
}

#[derive(Serialize, Deserialize)]
struct StateLine {
    id: u64,
    since_ms: i64,
    labels: BTreeMap<String, String>,
    annotations: Vec<(String, String)>,
    fired_at_ms: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    resolved_at_ms: Option<i64>,
    valid_for_ms: i64,
    expr: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    context: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct MemoryLine {
    id: u64,
    receiver: String,
    knows_firing: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    told_at_ms: Option<i64>,
}

impl From<&Record> for Line {
    fn from(record: &Record) -> Self {
        let owned = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
        match record {
            Record::State { id, message, since } => Line::State(StateLine {
                id: *id,
                since_ms: since.0,
                labels: message.labels.iter().map(owned).collect(),
                annotations: message.annotations.to_vec(),
                fired_at_ms: message.fired_at.0,
                resolved_at_ms: match message.status {
                    AlertStatus::Firing => None,
                    AlertStatus::Resolved { resolved_at } => Some(resolved_at.0),
                },
                valid_for_ms: message.valid_for.0,
                expr: message.expr.as_ref().to_owned(),
                context: message.context.as_deref().map(str::to_owned),
            }),
            Record::Once { id } => Line::Once(IdLine { id: *id }),
            Record::Memory {
                id,
                receiver,
                memory,
            } => Line::Memory(MemoryLine {
                id: *id,
                receiver: receiver.as_ref().to_owned(),
                knows_firing: memory.knows_firing,
                told_at_ms: memory.told_at.map(|at| at.0),
            }),
            Record::Gone { id } => Line::Gone(IdLine { id: *id }),
        }
    }
}

impl From<Line> for Record {
    fn from(line: Line) -> Self {
        match line {
            Line::State(line) => Record::State {
                id: line.id,
                since: TimestampMs(line.since_ms),
                message: line.into_message(),
            },
            Line::Once(IdLine { id }) => Record::Once { id },
            Line::Memory(line) => Record::Memory {
                id: line.id,
                receiver: Arc::from(line.receiver),
                memory: Memory {
                    knows_firing: line.knows_firing,
                    told_at: line.told_at_ms.map(TimestampMs),
                },
            },
            Line::Gone(IdLine { id }) => Record::Gone { id },
        }
    }
}

impl StateLine {
    fn into_message(self) -> AlertMessage {
        let labels = self.labels.iter();
        let resolved = |at| AlertStatus::Resolved {
            resolved_at: TimestampMs(at),
        };
        AlertMessage {
            labels: Labels::from_pairs(labels.map(|(n, v)| (n.as_str(), v.as_str()))),
            annotations: Arc::from(self.annotations),
            context: self.context.map(Arc::from),
            status: self.resolved_at_ms.map_or(AlertStatus::Firing, resolved),
            fired_at: TimestampMs(self.fired_at_ms),
            valid_for: DurationMs(self.valid_for_ms),
            expr: Arc::from(self.expr),
            // The request that caused it was another process'.
            caused_by: 0,
            caused_at_wall: TimestampMs(self.since_ms),
            backlog: true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn records() -> Vec<Record> {
        let message = |resolved: Option<i64>| AlertMessage {
            labels: Labels::from_pairs([("alertname", "Up \"é\n"), ("job", "a")]),
            annotations: Arc::from([("summary".to_owned(), "down\nfor long".to_owned())]),
            context: resolved.map(|_| Arc::from("{\"alert\":\"Up\"}")),
            status: resolved.map_or(AlertStatus::Firing, |at| AlertStatus::Resolved {
                resolved_at: TimestampMs(at),
            }),
            fired_at: TimestampMs(1_000),
            valid_for: DurationMs(240_000),
            expr: Arc::from("up == 0"),
            caused_by: 0,
            caused_at_wall: TimestampMs(1_500),
            backlog: true,
        };
        let state = |resolved| Record::State {
            id: 1,
            message: message(resolved),
            since: TimestampMs(1_500),
        };
        let memory = |knows_firing, told_at| Record::Memory {
            id: 1,
            receiver: Arc::from("http://am/api/v2/alerts"),
            memory: Memory {
                knows_firing,
                told_at,
            },
        };
        vec![
            state(None),
            memory(true, None),
            memory(true, Some(TimestampMs(1_700))),
            state(Some(1_600)),
            Record::Once { id: 1 },
            Record::Gone { id: 1 },
        ]
    }

    fn read(bytes: &[u8]) -> Result<Vec<Record>, LedgerError> {
        decode(bytes, Path::new("/data/notify/ledger.jsonl"))
    }

    #[test]
    fn what_is_written_is_read() {
        let bytes = [header(), encode(&records())].concat();
        assert_eq!(read(&bytes).expect("readable"), records());
        assert_eq!(read(b"").expect("empty"), []);
    }

    /// Catches half a line, or one with another bit, that is believed; and any panic.
    #[test]
    fn of_a_file_that_is_cut_or_damaged_the_whole_lines_before_are_read() {
        let (head, all) = (header(), records());
        let bytes = [head.clone(), encode(&all)].concat();
        let ends: Vec<usize> = (0..=all.len())
            .map(|n| head.len() + encode(&all[..n]).len())
            .collect();
        for cut in head.len()..=bytes.len() {
            let n_whole = ends.iter().filter(|end| **end <= cut).count() - 1;
            assert_eq!(read(&bytes[..cut]).expect("header"), all[..n_whole]);
        }
        for at in head.len()..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1;
            let n_whole = ends.iter().filter(|end| **end <= at).count() - 1;
            assert_eq!(read(&damaged).expect("header"), all[..n_whole], "byte {at}");
        }
    }

    #[test]
    fn what_is_not_ours_or_of_a_later_version_is_refused_with_the_remedy() {
        let later = br#"{"format":"burnwatch-notify","version":2,"written_by":"9.1.0"}"#;
        let error = read(later).expect_err("later").to_string();
        assert!(
            error.contains("9.1.0") && error.contains("move the file away"),
            "{error}"
        );
        for foreign in [
            &b"nonsense\n"[..],
            b"{\"format\":\"x\",\"version\":1}",
            b"\0",
        ] {
            assert!(matches!(read(foreign), Err(LedgerError::Foreign { .. })));
        }
    }
}
