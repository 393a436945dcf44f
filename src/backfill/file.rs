//! The file of one selector's past: what was answered, as it was answered, with checksums.
//!
//! ```text
//! "BWPAST", version as two bytes
//! records: kind (1 byte), length (4), CRC-32C of the payload (4), payload
//! ```
//!
//! Numbers are little endian. Payloads are messages of remote read: `ChunkedSeries` (kind 1) or
//! `TimeSeries` (kind 2). The last record (kind 3) says which selector it is the past of, and from
//! when on; a file without it is not whole, and is not used. A series' samples may be in many
//! records; which ones is kept in memory, the samples are read when they are asked for.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufReader, BufWriter, Read, Write};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use prost::Message as _;

use crate::backfill::xor;
use crate::ingest::decode::histogram::RawHistogram;
use crate::model::{
    Labels, MatchOp, Matcher, Past, PastError, PastSeries, Point, SampleValue, TimestampMs,
};
use crate::wire::v1;

/// What a file begins with; the last two bytes are the version.
const BEGINNING: [u8; 8] = *b"BWPAST\x00\x01";
const HEAD_BYTES: usize = 9;
/// A record longer than this is damaged.
const RECORD_BYTES_MAX: u32 = 1 << 30;
/// The type of chunks of floats.
pub(crate) const XOR: i32 = 1;

const KIND_CHUNKS: u8 = 1;
const KIND_SAMPLES: u8 = 2;
const KIND_END: u8 = 3;

/// A file that is being written.
#[derive(Debug)]
pub struct PastWriter {
    path: PathBuf,
    file: BufWriter<File>,
}

impl PastWriter {
    /// Begins a file; it has its name only once it is whole.
    pub fn create(path: &Path) -> std::io::Result<Self> {
        let mut file = BufWriter::new(File::create(unfinished(path))?);
        file.write_all(&BEGINNING)?;
        Ok(PastWriter {
            path: path.to_owned(),
            file,
        })
    }

    /// Adds chunks of a series.
    pub fn chunks(&mut self, series: &v1::ChunkedSeries) -> std::io::Result<()> {
        self.record(KIND_CHUNKS, &series.encode_to_vec())
    }

    /// Adds samples of a series.
    pub fn samples(&mut self, series: &v1::TimeSeries) -> std::io::Result<()> {
        self.record(KIND_SAMPLES, &series.encode_to_vec())
    }

    /// Ends the file: it is the past of a selector's series in `(since, until]`.
    pub fn finish(
        mut self,
        matchers: &[Matcher],
        since: TimestampMs,
        until: TimestampMs,
    ) -> std::io::Result<PathBuf> {
        let query = v1::Query {
            start_timestamp_ms: since.0,
            end_timestamp_ms: until.0,
            matchers: matchers.iter().map(wire_matcher).collect(),
        };
        self.record(KIND_END, &query.encode_to_vec())?;
        let file = self.file.into_inner().map_err(|e| e.into_error())?;
        file.sync_all()?;
        std::fs::rename(unfinished(&self.path), &self.path)?;
        if let Some(folder) = self.path.parent() {
            File::open(folder)?.sync_all()?;
        }
        Ok(self.path)
    }

    fn record(&mut self, kind: u8, payload: &[u8]) -> std::io::Result<()> {
        let too_long = || std::io::Error::other("a record is longer than a gigabyte");
        let length = u32::try_from(payload.len()).map_err(|_| too_long())?;
        if length > RECORD_BYTES_MAX {
            return Err(too_long());
        }
        self.file.write_all(&[kind])?;
        self.file.write_all(&length.to_le_bytes())?;
        self.file
            .write_all(&crc32c::crc32c(payload).to_le_bytes())?;
        self.file.write_all(payload)
    }
}

fn unfinished(path: &Path) -> PathBuf {
    path.with_extension("unfinished")
}

/// Returns a matcher as it is asked for.
pub(crate) fn wire_matcher(matcher: &Matcher) -> v1::LabelMatcher {
    use v1::label_matcher::Type;
    let kind = match matcher.op {
        MatchOp::Equal => Type::Eq,
        MatchOp::NotEqual => Type::Neq,
        MatchOp::Matches => Type::Re,
        MatchOp::NotMatches => Type::Nre,
    };
    v1::LabelMatcher {
        r#type: kind.into(),
        name: matcher.name.clone(),
        value: matcher.value.clone(),
    }
}

/// Where the samples of a series lie.
#[derive(Clone, Copy, Debug)]
struct Record {
    kind: u8,
    at: u64,
    length: u32,
}

/// A file that is whole.
#[derive(Debug)]
pub struct PastFile {
    name: String,
    file: File,
    series: BTreeMap<Labels, Vec<Record>>,
}

impl PastFile {
    /// Opens a file, checks it to its end and returns the past that it is.
    pub fn open(path: &Path) -> Result<Past, PastError> {
        let name = path
            .file_name()
            .map_or_else(String::new, |name| name.to_string_lossy().into_owned());
        let wrong = |reason: String| PastError {
            name: path.display().to_string(),
            reason,
        };
        let unreadable = |e: std::io::Error| wrong(format!("cannot be read: {e}"));
        let file = File::open(path).map_err(unreadable)?;
        let mut reader = BufReader::new(&file);
        let mut beginning = [0; BEGINNING.len()];
        reader.read_exact(&mut beginning).map_err(unreadable)?;
        if beginning[..6] != BEGINNING[..6] {
            return Err(wrong("is not a file of fetched history".to_owned()));
        }
        if beginning != BEGINNING {
            let version = u16::from_be_bytes([beginning[6], beginning[7]]);
            let reason = format!(
                "has version {version}, this burnwatch reads version 1; remove it, and its history is fetched again"
            );
            return Err(wrong(reason));
        }
        let mut series: BTreeMap<Labels, Vec<Record>> = BTreeMap::new();
        let mut at = BEGINNING.len() as u64;
        let mut payload = Vec::new();
        loop {
            let damaged = |what: &str| wrong(format!("is damaged at byte {at}: {what}"));
            let mut head = [0; HEAD_BYTES];
            reader
                .read_exact(&mut head)
                .map_err(|_| damaged("it ends too early"))?;
            let [kind, l0, l1, l2, l3, c0, c1, c2, c3] = head;
            let length = u32::from_le_bytes([l0, l1, l2, l3]);
            if length > RECORD_BYTES_MAX {
                return Err(damaged("a length makes no sense"));
            }
            payload.clear();
            let read = reader
                .by_ref()
                .take(length.into())
                .read_to_end(&mut payload);
            if read.map_err(unreadable)? < length as usize {
                return Err(damaged("it ends too early"));
            }
            if crc32c::crc32c(&payload) != u32::from_le_bytes([c0, c1, c2, c3]) {
                return Err(damaged("a checksum differs"));
            }
            let record = Record {
                kind,
                at: at + HEAD_BYTES as u64,
                length,
            };
            let no_message = |e: prost::DecodeError| damaged(&e.to_string());
            match kind {
                KIND_CHUNKS => {
                    let message = v1::ChunkedSeries::decode(&payload[..]).map_err(no_message)?;
                    series
                        .entry(labels_of(&message.labels))
                        .or_default()
                        .push(record);
                }
                KIND_SAMPLES => {
                    let message = v1::TimeSeries::decode(&payload[..]).map_err(no_message)?;
                    series
                        .entry(labels_of(&message.labels))
                        .or_default()
                        .push(record);
                }
                KIND_END => {
                    let query = v1::Query::decode(&payload[..]).map_err(no_message)?;
                    let matchers = query.matchers.iter().map(matcher_of);
                    let matchers = matchers.collect::<Result<_, _>>();
                    let series = PastFile { name, file, series };
                    return Ok(Past {
                        matchers: matchers.map_err(|e| damaged(&e))?,
                        since: TimestampMs(query.start_timestamp_ms),
                        until: TimestampMs(query.end_timestamp_ms),
                        series: Arc::new(series),
                    });
                }
                _ => return Err(damaged("a kind of record is not known")),
            }
            at = record.at + u64::from(length);
        }
    }

    fn samples(&self, record: Record, points: &mut Vec<Point>) -> Result<(), String> {
        let mut payload = vec![0; record.length as usize];
        self.file
            .read_exact_at(&mut payload, record.at)
            .map_err(|e| format!("cannot be read: {e}"))?;
        let said = |e: &dyn std::fmt::Display| format!("byte {}: {e}", record.at);
        if record.kind == KIND_CHUNKS {
            let message = v1::ChunkedSeries::decode(&payload[..]).map_err(|e| said(&e))?;
            for chunk in message.chunks {
                xor::read(&chunk.data, |at, value| {
                    let value = SampleValue::Float(value);
                    points.push(Point { at, value });
                })
                .map_err(|e| said(&e))?;
            }
            return Ok(());
        }
        let message = v1::TimeSeries::decode(&payload[..]).map_err(|e| said(&e))?;
        points.extend(message.samples.iter().map(|sample| Point {
            at: TimestampMs(sample.timestamp),
            value: SampleValue::Float(sample.value),
        }));
        let mut raw = RawHistogram::default();
        for histogram in &message.histograms {
            let at = raw.read(&histogram.encode_to_vec()).map_err(|e| said(&e))?;
            raw.check().map_err(|e| said(&e))?;
            let value = SampleValue::Histogram(Arc::new(raw.build()));
            points.push(Point { at, value });
        }
        Ok(())
    }
}

impl PastSeries for PastFile {
    fn name(&self) -> &str {
        &self.name
    }

    fn visit(&self, visit: &mut dyn FnMut(Labels, Vec<Point>)) -> Result<(), PastError> {
        for (labels, records) in &self.series {
            let mut points = Vec::new();
            for record in records {
                self.samples(*record, &mut points)
                    .map_err(|reason| PastError {
                        name: self.name.clone(),
                        reason,
                    })?;
            }
            // Chunks may overlap where two answers meet.
            points.sort_by_key(|point| point.at);
            points.dedup_by_key(|point| point.at);
            visit(labels.clone(), points);
        }
        Ok(())
    }
}

fn labels_of(labels: &[v1::Label]) -> Labels {
    Labels::from_pairs(labels.iter().map(|label| (&label.name, &label.value)))
}

fn matcher_of(matcher: &v1::LabelMatcher) -> Result<Matcher, String> {
    use v1::label_matcher::Type;
    let op = match Type::try_from(matcher.r#type) {
        Ok(Type::Eq) => MatchOp::Equal,
        Ok(Type::Neq) => MatchOp::NotEqual,
        Ok(Type::Re) => MatchOp::Matches,
        Ok(Type::Nre) => MatchOp::NotMatches,
        Err(_) => return Err(format!("matcher type {} is not known", matcher.r#type)),
    };
    let matcher = Matcher::new(op, &matcher.name, &matcher.value);
    matcher.map_err(|e| e.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn label(name: &str, value: &str) -> v1::Label {
        v1::Label {
            name: name.to_owned(),
            value: value.to_owned(),
        }
    }

    fn series(times: std::ops::Range<i64>) -> v1::TimeSeries {
        let sample = |n: i64| v1::Sample {
            timestamp: n * 1_000,
            value: n as f64,
        };
        v1::TimeSeries {
            labels: vec![label("__name__", "x"), label("job", "a")],
            samples: times.map(sample).collect(),
            ..v1::TimeSeries::default()
        }
    }

    fn write(path: &Path) -> Vec<u8> {
        let mut writer = PastWriter::create(path).unwrap();
        writer.samples(&series(0..5)).unwrap();
        writer.samples(&series(3..8)).unwrap();
        let matchers = [Matcher::equal("__name__", "x")];
        let finished = writer.finish(&matchers, TimestampMs(-1), TimestampMs(9_000));
        std::fs::read(finished.unwrap()).unwrap()
    }

    #[test]
    fn what_is_written_is_read_and_samples_come_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("1.past");
        write(&path);
        let past = PastFile::open(&path).unwrap();
        assert_eq!(past.matchers, [Matcher::equal("__name__", "x")]);
        assert_eq!((past.since.0, past.until.0), (-1, 9_000));
        let mut found = Vec::new();
        past.series
            .visit(&mut |labels, points| found.push((labels.to_string(), points.len())))
            .unwrap();
        assert_eq!(found, [(r#"x{job="a"}"#.to_owned(), 8)]);
    }

    /// Catches a file that is taken although a byte of it is not what was written.
    #[test]
    fn a_byte_that_changed_or_is_missing_is_an_error_that_names_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("1.past");
        let whole = write(&path);
        let mut tried = Vec::new();
        for at in 0..whole.len() {
            let mut changed = whole.clone();
            changed[at] ^= 0x10;
            tried.push(changed);
            tried.push(whole[..at].to_vec());
        }
        for bytes in tried {
            std::fs::write(&path, &bytes).unwrap();
            let error = PastFile::open(&path).unwrap_err();
            assert!(error.to_string().contains("1.past"), "{error}");
        }
    }
}
