//! Asks a Prometheus for the past of a selector's series, slice by slice.
//!
//! Chunks are asked for as they are stored, which costs the other side least. Where some are of a
//! kind that is not read here (native histograms, start timestamps), that slice is asked for again
//! as samples.

use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use prost::Message as _;
use url::Url;

use crate::backfill::file::{PastWriter, XOR, wire_matcher};
use crate::backfill::stream::{Frames, StreamError};
use crate::config::BackfillConfig;
use crate::model::{DurationMs, Matcher, TimestampMs};
use crate::notify::http_client::{HttpClient, HttpError};
use crate::wire::v1;
use crate::wire::v1::read_request::ResponseType;

/// So much is asked for at once.
const SLICE: DurationMs = DurationMs::from_seconds(24 * 3600);
/// So much where samples are asked for, which the other side holds in memory.
const SLICE_OF_SAMPLES: DurationMs = DurationMs::from_seconds(2 * 3600);
/// Every Prometheus has `up` at all times; where there is none, it did not look yet.
const PROBE: DurationMs = DurationMs::from_seconds(10 * 60);
/// The largest answer with samples, decompressed.
const SAMPLES_BYTES_MAX: usize = 1 << 30;

/// Why there is no past.
#[derive(Debug, thiserror::Error)]
pub enum UpstreamError {
    /// No answer.
    #[error("{0}")]
    Http(#[from] HttpError),
    /// An answer that is no 200.
    #[error("the answer is {status}: {text}{}", remedy(*status))]
    Refused {
        /// The HTTP status.
        status: u16,
        /// The beginning of its body.
        text: String,
    },
    /// An answer that makes no sense.
    #[error(
        "the answer cannot be read: {0}; is the URL that of a remote-read endpoint (…/api/v1/read)?"
    )]
    Malformed(String),
    /// A series that has samples came without any.
    #[error(
        "the other side keeps native histograms and does not send them by remote read; a \
         Prometheus does from version 3 on"
    )]
    Histograms,
    /// The file cannot be written.
    #[error("the file of fetched history cannot be written: {0}")]
    File(#[from] std::io::Error),
}

fn remedy(status: u16) -> &'static str {
    match status {
        401 | 403 => "; set basic_auth or authorization under backfill",
        404 | 405 => {
            "; the URL has to be that of remote read, for example http://prometheus:9090/api/v1/read"
        }
        _ => "",
    }
}

impl From<StreamError> for UpstreamError {
    fn from(error: StreamError) -> Self {
        UpstreamError::Malformed(error.to_string())
    }
}

/// How far a fetch has come.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Slice {
    /// Of the time asked for, 0 to 1.
    pub done: f64,
    /// Bytes of answers so far.
    pub bytes: u64,
}

/// A past as it came.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Fetched {
    /// The samples after this instant are there, ms: later than asked for where the other side
    /// does not go back so far.
    pub since: TimestampMs,
    /// Whether there was any series.
    pub has_series: bool,
}

/// A Prometheus that is asked.
#[derive(Debug)]
pub struct Upstream {
    client: HttpClient,
    url: Url,
    timeout: Duration,
}

/// What is asked for at once.
struct Asked<'a> {
    matchers: &'a [Matcher],
    from: TimestampMs,
    to: TimestampMs,
}

/// What came of it.
#[derive(Default)]
struct Came {
    has_series: bool,
    /// The other side was there at the beginning of the slice.
    has_probe: bool,
    /// There are chunks that are not read here.
    has_other_chunks: bool,
    bytes: u64,
}

/// Is given the content type of an answer and the next of its bytes.
type Take<'a> = &'a mut (dyn FnMut(&str, &[u8]) -> Result<(), UpstreamError> + Send);

impl Upstream {
    /// Returns an upstream; nothing is asked yet.
    pub fn new(config: &BackfillConfig) -> Self {
        Upstream {
            client: HttpClient::new(config.http.clone()),
            url: config.url.clone(),
            timeout: config.timeout.to_std(),
        }
    }

    /// Fetches the series of a selector in `(since, until]` into a file, the oldest first, and
    /// tells `progress` after each slice.
    pub async fn fetch(
        &self,
        matchers: &[Matcher],
        (since, until): (TimestampMs, TimestampMs),
        path: &Path,
        mut progress: impl FnMut(Slice) + Send,
    ) -> Result<Fetched, UpstreamError> {
        let mut writer = PastWriter::create(path)?;
        let mut fetched = Fetched {
            since: until,
            has_series: false,
        };
        let (mut from, mut as_samples, mut bytes) = (since, false, 0);
        while from < until {
            let slice = if as_samples { SLICE_OF_SAMPLES } else { SLICE };
            let to = until.min(from + slice);
            let asked = Asked { matchers, from, to };
            let came = match as_samples {
                false => self.chunks(&asked, &mut writer).await?,
                true => self.samples(&asked, &mut writer).await?,
            };
            bytes += came.bytes;
            if came.has_other_chunks {
                // What was written of the slice comes again, and is taken once.
                as_samples = true;
                continue;
            }
            if fetched.since == until && (came.has_probe || came.has_series) {
                fetched.since = from;
            }
            fetched.has_series |= came.has_series;
            from = to;
            let done = (from - since).0 as f64 / (until - since).0.max(1) as f64;
            progress(Slice { done, bytes });
        }
        writer.finish(matchers, fetched.since, until)?;
        Ok(fetched)
    }

    fn request(asked: &Asked<'_>, kind: ResponseType) -> Bytes {
        let start = asked.from.0 + 1;
        let query = |matchers: &[Matcher], end: TimestampMs| v1::Query {
            start_timestamp_ms: start,
            end_timestamp_ms: end.0,
            matchers: matchers.iter().map(wire_matcher).collect(),
        };
        let probe = [Matcher::equal("__name__", "up")];
        let probe = query(&probe, asked.to.min(asked.from + PROBE));
        let request = v1::ReadRequest {
            queries: vec![query(asked.matchers, asked.to), probe],
            accepted_response_types: vec![kind.into()],
        };
        let plain = request.encode_to_vec();
        // Fails only for more than four gigabytes.
        let packed = snap::raw::Encoder::new().compress_vec(&plain);
        Bytes::from(packed.unwrap_or_default())
    }

    async fn ask(
        &self,
        asked: &Asked<'_>,
        kind: ResponseType,
        take: Take<'_>,
    ) -> Result<(), UpstreamError> {
        let headers = [
            ("content-type", "application/x-protobuf"),
            ("content-encoding", "snappy"),
            ("x-prometheus-remote-read-version", "0.1.0"),
        ];
        let body = Self::request(asked, kind);
        let mut answer = self
            .client
            .post_streaming(&self.url, &headers, body, self.timeout)
            .await?;
        let status = answer.status().as_u16();
        let content = answer.headers().get(CONTENT_TYPE);
        let content = content.and_then(|value| value.to_str().ok());
        let content = content.unwrap_or_default().to_owned();
        let mut text = Vec::new();
        loop {
            let bytes = answer.chunk().await.map_err(HttpError::from)?;
            let Some(bytes) = bytes else { break };
            match status {
                200 => take(&content, &bytes)?,
                _ if text.len() < 512 => text.extend_from_slice(&bytes[..bytes.len().min(512)]),
                _ => break,
            }
        }
        if status != 200 {
            let text = String::from_utf8_lossy(&text).trim().to_owned();
            return Err(UpstreamError::Refused { status, text });
        }
        Ok(())
    }

    async fn chunks(
        &self,
        asked: &Asked<'_>,
        writer: &mut PastWriter,
    ) -> Result<Came, UpstreamError> {
        let (mut came, mut frames) = (Came::default(), Frames::default());
        self.ask(
            asked,
            ResponseType::StreamedXorChunks,
            &mut |content, bytes| {
                if !content.starts_with("application/x-streamed-protobuf") {
                    let reason = format!("its content type is {content:?}");
                    return Err(UpstreamError::Malformed(reason));
                }
                came.bytes += bytes.len() as u64;
                frames.push(bytes, |frame| take_chunks(frame, &mut came, writer))
            },
        )
        .await?;
        frames.finish()?;
        Ok(came)
    }

    async fn samples(
        &self,
        asked: &Asked<'_>,
        writer: &mut PastWriter,
    ) -> Result<Came, UpstreamError> {
        let (mut came, mut packed) = (Came::default(), Vec::new());
        self.ask(asked, ResponseType::Samples, &mut |_, bytes| {
            packed.extend_from_slice(bytes);
            match packed.len() > SAMPLES_BYTES_MAX {
                true => Err(UpstreamError::Malformed(
                    "it is larger than 1 GiB".to_owned(),
                )),
                false => Ok(()),
            }
        })
        .await?;
        came.bytes = packed.len() as u64;
        let malformed = |reason: String| UpstreamError::Malformed(reason);
        let length = snap::raw::decompress_len(&packed).map_err(|e| malformed(e.to_string()))?;
        if length > SAMPLES_BYTES_MAX {
            return Err(malformed("it is larger than 1 GiB".to_owned()));
        }
        let plain = snap::raw::Decoder::new().decompress_vec(&packed);
        let plain = plain.map_err(|e| malformed(e.to_string()))?;
        let answer = v1::ReadResponse::decode(&plain[..]).map_err(|e| malformed(e.to_string()))?;
        let [series, probe] = &answer.results[..] else {
            let n = answer.results.len();
            return Err(malformed(format!("it answers {n} queries and not 2")));
        };
        came.has_probe = !probe.timeseries.is_empty();
        for series in &series.timeseries {
            if series.samples.is_empty() && series.histograms.is_empty() {
                return Err(UpstreamError::Histograms);
            }
            came.has_series = true;
            writer.samples(series)?;
        }
        Ok(came)
    }
}

fn take_chunks(
    frame: &[u8],
    came: &mut Came,
    writer: &mut PastWriter,
) -> Result<(), UpstreamError> {
    let message = v1::ChunkedReadResponse::decode(frame);
    let message = message.map_err(|e| UpstreamError::Malformed(e.to_string()))?;
    if message.query_index != 0 {
        came.has_probe |= !message.chunked_series.is_empty();
        return Ok(());
    }
    for series in &message.chunked_series {
        came.has_series = true;
        if series.chunks.iter().any(|chunk| chunk.r#type != XOR) {
            came.has_other_chunks = true;
        } else {
            writer.chunks(series)?;
        }
    }
    Ok(())
}
