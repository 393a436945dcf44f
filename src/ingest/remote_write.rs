//! `POST /api/v1/write`: content negotiation, sizes, status codes.
//!
//! The message is chosen by `Content-Type` alone; none means 1.0, and no `Content-Encoding` means
//! snappy, as in Prometheus. Statuses are those of the specification: 204 when all is written,
//! 400 with the reasons when some is not, 413, 415, and 503 with `Retry-After` when nothing is
//! and the sender should come again.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{ConnectInfo, Request, State};
use axum::response::Response;
use axum::routing::post;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, header};

use crate::clock::{Clock, Stopwatch};
use crate::ingest::answer::{WriteAnswer, Written};
use crate::ingest::node::{Node, Protocol};
use crate::model::{Caller, TimestampMs};

/// A body from this size on is decoded away from the threads that serve connections.
const BLOCKING_BYTES_MIN: usize = 256 << 10;

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
pub type Receive = fn(&Node, &[u8], Protocol, TimestampMs, Stopwatch) -> WriteAnswer;

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
    let sender = sender_of(&request);
    let (parts, body) = request.into_parts();
    let (protocol, answer) = match negotiate(&parts.headers) {
        Ok(protocol) => (
            protocol,
            read_and_write(&state, protocol, body, began).await,
        ),
        Err(text) => (
            Protocol::V1,
            refused(StatusCode::UNSUPPORTED_MEDIA_TYPE, text),
        ),
    };
    let metrics = state.node.metrics();
    let now = state.clock.now();
    let n_samples = answer.written.samples + answer.written.histograms;
    metrics.add_request(protocol.name(), answer.status.as_u16());
    metrics.add_request_of(&sender, now, n_samples, answer.text.trim_end());
    if let Some(newest) = answer.newest {
        metrics.set_clock_lag(&sender, (now - newest).seconds());
    }
    response(&answer)
}

async fn read_and_write(
    state: &IngestState,
    protocol: Protocol,
    body: Body,
    began: Stopwatch,
) -> WriteAnswer {
    let Some(_in_flight) = state.node.begin() else {
        return WriteAnswer::unavailable("too many requests are under way; come again\n");
    };
    let limit = state.node.limits().request_bytes;
    let body = match axum::body::to_bytes(body, limit).await {
        Ok(body) => body,
        Err(error) => return unread_body(&error, limit),
    };
    if body.len() < BLOCKING_BYTES_MIN {
        return (state.receive)(&state.node, &body, protocol, state.clock.now(), began);
    }
    let state = state.clone();
    let write = move || write_large(&state, protocol, &body, began);
    let written = tokio::task::spawn_blocking(write).await;
    written.unwrap_or_else(|error| refused(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()))
}

fn write_large(
    state: &IngestState,
    protocol: Protocol,
    body: &Bytes,
    began: Stopwatch,
) -> WriteAnswer {
    (state.receive)(&state.node, body, protocol, state.clock.now(), began)
}

fn unread_body(error: &axum::Error, limit: usize) -> WriteAnswer {
    let mut cause: Option<&dyn std::error::Error> = Some(error);
    while let Some(error) = cause {
        if error.is::<http_body_util::LengthLimitError>() {
            let text = format!("body exceeds the limit of {limit} bytes");
            return refused(StatusCode::PAYLOAD_TOO_LARGE, text);
        }
        let late = error.downcast_ref::<std::io::Error>();
        if late.is_some_and(|error| error.kind() == std::io::ErrorKind::TimedOut) {
            // Not 408: Prometheus drops what it is answered 4xx for.
            return WriteAnswer::unavailable("the body did not come in time\n");
        }
        cause = error.source();
    }
    refused(
        StatusCode::BAD_REQUEST,
        format!("cannot read body: {error}"),
    )
}

fn refused(status: StatusCode, text: String) -> WriteAnswer {
    WriteAnswer {
        status,
        written: Written::default(),
        text: Arc::from(format!("{text}\n")),
        retry_after_seconds: None,
        newest: None,
    }
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

/// Names a sender: as it signed in, or by its address where nobody is asked.
fn sender_of(request: &Request) -> String {
    if let Some(Caller(name)) = request.extensions().get::<Caller>() {
        return name.to_string();
    }
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>();
    peer.map_or_else(|| "unknown".to_owned(), |peer| peer.0.ip().to_string())
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
