//! `POST /api/v1/write`: content negotiation, sizes, status codes.
//!
//! The message is chosen by `Content-Type` alone; none means 1.0, and no `Content-Encoding` means
//! snappy, as in Prometheus. Statuses are those of the specification: 204 when all is written,
//! 400 with the reasons when some is not, 413, 415, and 503 with `Retry-After` when nothing is
//! and the sender should come again; 429 with it when the sender has sent more than its quota.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use axum::routing::post;
use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use http_body_util::BodyExt as _;

use crate::clock::{Clock, Stopwatch};
use crate::ingest::answer::{Promised, Refusal, WriteAnswer};
use crate::ingest::fair_share::InFlight;
use crate::ingest::node::Node;
use crate::ingest::received::Protocol;
use crate::ingest::sender::{SenderShare, name_of};
use crate::ingest::series_owners::SenderNumber;
use crate::model::TimestampMs;

/// A body from this size on is decoded away from the threads that serve connections.
const BLOCKING_BYTES_MIN: usize = 256 << 10;

/// What a request takes in memory for each byte of its plain body: that, and what it is decoded
/// to, which is about twice as much.
const DECODED_FACTOR: usize = 3;

const SAMPLES_WRITTEN: &str = "x-prometheus-remote-write-samples-written";
const HISTOGRAMS_WRITTEN: &str = "x-prometheus-remote-write-histograms-written";
const EXEMPLARS_WRITTEN: &str = "x-prometheus-remote-write-exemplars-written";

/// What the handler works with.
#[derive(Clone)]
pub struct IngestState {
    /// The node that takes the samples.
    pub node: Arc<Node>,
    /// The wall clock.
    pub clock: Arc<dyn Clock>,
    /// Takes a body the whole way from the wire to the logs.
    pub receive: Receive,
}

/// What takes a body from the wire to the logs; see `server::pipeline`.
pub type Receive = fn(&Node, &[u8], Protocol, TimestampMs, Origin) -> Promised;

/// Where a request comes from.
#[derive(Clone, Copy, Debug)]
pub struct Origin {
    /// When its first byte was seen.
    pub began: Stopwatch,
    /// Whose it is.
    pub sender: SenderShare,
    /// Who brings the series in it that are new.
    pub brought_by: SenderNumber,
}

/// Returns the route `POST /api/v1/write`.
pub fn router(state: IngestState) -> Router {
    Router::new()
        .route("/api/v1/write", post(write))
        .with_state(state)
}

/// Handles one request; any path may lead here.
pub async fn write(State(state): State<IngestState>, request: Request) -> Response {
    // The head has just been read, the body has not.
    let began = Stopwatch::start();
    let node = &state.node;
    let sender = name_of(&request, node.limits().per_sender.header.as_ref());
    let origin = Origin {
        began,
        sender: node.share_of(&sender),
        brought_by: node.number_of(&sender),
    };
    let (parts, body) = request.into_parts();
    let (protocol, answer) = match negotiate(&parts.headers) {
        Ok(protocol) => (
            protocol,
            match node.begin(&sender) {
                Ok(in_flight) => read_and_write(&state, protocol, body, origin, in_flight).await,
                Err(refusal) => refusal,
            },
        ),
        Err(text) => (
            Protocol::V1,
            refused(StatusCode::UNSUPPORTED_MEDIA_TYPE, text),
        ),
    };
    node.charge(&sender, answer.n_received);
    let metrics = node.metrics();
    if let Some(refusal) = answer.refusal {
        metrics.add_refused(refusal, &sender);
    }
    let now = state.clock.now();
    let n_samples = answer.written.samples + answer.written.histograms;
    metrics.add_request(protocol.name(), answer.status.as_u16());
    metrics.add_request_of(&sender, now, n_samples, answer.text.trim_end());
    if let Some(n_series) = node.n_series_of(origin.brought_by) {
        metrics.set_series_of(&sender, n_series);
    }
    if let Some(newest) = answer.newest {
        metrics.set_clock_lag(&sender, (now - newest).seconds());
    }
    response(&answer)
}

async fn read_and_write(
    state: &IngestState,
    protocol: Protocol,
    body: Body,
    origin: Origin,
    mut in_flight: InFlight,
) -> WriteAnswer {
    let limits = state.node.limits();
    let body = match read(body, limits.request_bytes, &mut in_flight).await {
        Ok(body) => body,
        Err(answer) => return answer,
    };
    // What a body says of itself is believed below the limit alone; above it nothing is decoded.
    let declared = snap::raw::decompress_len(&body).unwrap_or(0);
    let decoded = declared.min(limits.request_decoded_bytes) * DECODED_FACTOR;
    if !in_flight.take_bytes(decoded) {
        return no_memory();
    }
    let state = state.clone();
    let is_large = body.len() >= BLOCKING_BYTES_MIN;
    let write = move || {
        let now = state.clock.now();
        let answer = (state.receive)(&state.node, &body, protocol, now, origin);
        // Held until here, though the sender may have gone meanwhile.
        drop(in_flight);
        answer
    };
    if !is_large {
        return write().kept().await;
    }
    let written = tokio::task::spawn_blocking(write).await;
    match written {
        Ok(promised) => promised.kept().await,
        Err(error) => refused(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()),
    }
}

/// Reads a body, counting what it takes.
async fn read(
    mut body: Body,
    limit: usize,
    in_flight: &mut InFlight,
) -> Result<Bytes, WriteAnswer> {
    let (mut first, mut whole) = (Bytes::new(), BytesMut::new());
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| unread_body(&error))?;
        let Ok(data) = frame.into_data() else {
            continue;
        };
        if first.len().max(whole.len()) + data.len() > limit {
            let text = format!("body exceeds the limit of {limit} bytes");
            return Err(refused(StatusCode::PAYLOAD_TOO_LARGE, text));
        }
        if !in_flight.take_bytes(data.len()) {
            return Err(no_memory());
        }
        // Most bodies come in one piece, which need not be copied.
        if first.is_empty() && whole.is_empty() {
            first = data;
            continue;
        }
        whole.extend_from_slice(&std::mem::take(&mut first));
        whole.extend_from_slice(&data);
    }
    Ok(if whole.is_empty() {
        first
    } else {
        whole.freeze()
    })
}

fn unread_body(error: &axum::Error) -> WriteAnswer {
    let mut cause: Option<&dyn std::error::Error> = Some(error);
    while let Some(error) = cause {
        let late = error.downcast_ref::<std::io::Error>();
        if late.is_some_and(|error| error.kind() == std::io::ErrorKind::TimedOut) {
            // Not 408: Prometheus drops what it is answered 4xx for.
            let text = "the body did not come in time\n";
            return WriteAnswer::unavailable(Refusal::SlowBody, text);
        }
        cause = error.source();
    }
    refused(
        StatusCode::BAD_REQUEST,
        format!("cannot read body: {error}"),
    )
}

fn no_memory() -> WriteAnswer {
    let text = "the requests under way take all the memory they may; come again\n";
    WriteAnswer::unavailable(Refusal::InFlight, text)
}

fn refused(status: StatusCode, text: String) -> WriteAnswer {
    WriteAnswer::refused(status, format!("{text}\n"))
}

/// Chooses the message, or says why there is none.
fn negotiate(headers: &HeaderMap) -> Result<Protocol, String> {
    let text = |name| headers.get(name).map(HeaderValue::to_str);
    match text(header::CONTENT_ENCODING) {
        None | Some(Ok("" | "snappy")) => {}
        Some(found) => {
            let found = found.unwrap_or("?");
            return Err(format!(
                "unsupported content encoding {found:?}; use snappy"
            ));
        }
    }
    let content_type = match text(header::CONTENT_TYPE) {
        None | Some(Ok("")) => return Ok(Protocol::V1),
        Some(found) => found.unwrap_or("?"),
    };
    let mut parts = content_type.split(';').map(str::trim);
    let media_type = parts.next().unwrap_or_default();
    if !media_type.eq_ignore_ascii_case("application/x-protobuf") {
        return Err(format!(
            "unsupported content type {content_type:?}; use application/x-protobuf"
        ));
    }
    let proto = parts.find_map(|part| {
        let (name, value) = part.split_once('=')?;
        name.trim()
            .eq_ignore_ascii_case("proto")
            .then(|| value.trim().trim_matches('"'))
    });
    match proto {
        None | Some("prometheus.WriteRequest") => Ok(Protocol::V1),
        Some("io.prometheus.write.v2.Request") => Ok(Protocol::V2),
        Some(other) => Err(format!(
            "unsupported message {other:?}; use prometheus.WriteRequest or \
             io.prometheus.write.v2.Request"
        )),
    }
}

fn response(answer: &WriteAnswer) -> Response {
    let mut response = Response::new(Body::from(answer.text.as_bytes().to_vec()));
    *response.status_mut() = answer.status;
    let headers = response.headers_mut();
    let written = answer.written;
    for (name, count) in [
        (SAMPLES_WRITTEN, written.samples),
        (HISTOGRAMS_WRITTEN, written.histograms),
        (EXEMPLARS_WRITTEN, written.exemplars),
    ] {
        headers.insert(name, HeaderValue::from(count));
    }
    if !answer.text.is_empty() {
        let plain = HeaderValue::from_static("text/plain; charset=utf-8");
        headers.insert(header::CONTENT_TYPE, plain);
    }
    if let Some(seconds) = answer.retry_after_seconds {
        headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}
