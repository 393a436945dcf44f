//! Answers compressed as the client takes them: gzip or deflate, whichever it names first.

use std::io::Write;

use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use flate2::Compression;
use flate2::write::{GzEncoder, ZlibEncoder};

use crate::api::worker::on_worker;

/// Answers up to this length are compressed on the thread that serves the request.
const INLINE_BYTES_MAX: usize = 64 << 10;

/// How an answer is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// RFC 1952.
    Gzip,
    /// RFC 1950.
    Deflate,
}

impl Encoding {
    /// Returns the first encoding that the client names and we know. As in Prometheus, a weight
    /// behind the name makes it unknown.
    pub fn of(headers: &HeaderMap) -> Option<Self> {
        let accepted = headers.get(header::ACCEPT_ENCODING);
        let accepted = accepted.and_then(|value| value.to_str().ok()).unwrap_or("");
        accepted.split(',').find_map(|name| match name.trim() {
            "gzip" => Some(Encoding::Gzip),
            "deflate" => Some(Encoding::Deflate),
            _ => None,
        })
    }

    fn name(self) -> &'static str {
        match self {
            Encoding::Gzip => "gzip",
            Encoding::Deflate => "deflate",
        }
    }

    fn compressed(self, plain: &[u8]) -> std::io::Result<Vec<u8>> {
        match self {
            Encoding::Gzip => {
                let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
                encoder.write_all(plain)?;
                encoder.finish()
            }
            Encoding::Deflate => {
                let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
                encoder.write_all(plain)?;
                encoder.finish()
            }
        }
    }
}

/// Says in the headers how the body is compressed, and that this depends on the request.
pub fn announce(headers: &mut HeaderMap, encoding: Option<Encoding>) {
    headers.append(header::VARY, HeaderValue::from_static("Accept-Encoding"));
    if let Some(encoding) = encoding {
        let name = HeaderValue::from_static(encoding.name());
        headers.insert(header::CONTENT_ENCODING, name);
    }
}

/// Compresses the answers of what lies below.
pub async fn compress(request: Request, next: Next) -> Response {
    let encoding = Encoding::of(request.headers());
    let (mut parts, body) = next.run(request).await.into_parts();
    // Prometheus announces this before anything else is said of the answer.
    let vary: Vec<HeaderValue> = parts
        .headers
        .get_all(header::VARY)
        .iter()
        .cloned()
        .collect();
    parts.headers.remove(header::VARY);
    announce(&mut parts.headers, encoding);
    for value in vary {
        parts.headers.append(header::VARY, value);
    }
    let Some(encoding) = encoding else {
        return Response::from_parts(parts, body);
    };
    parts.headers.remove(header::CONTENT_LENGTH);
    // The body is one that we made: whole and in memory.
    let Ok(plain) = to_bytes(body, usize::MAX).await else {
        return Response::from_parts(parts, Body::empty());
    };
    let compressed = if plain.len() <= INLINE_BYTES_MAX {
        Ok(encoding.compressed(&plain))
    } else {
        on_worker(move || encoding.compressed(&plain)).await
    };
    match compressed {
        Ok(Ok(bytes)) => Response::from_parts(parts, Body::from(bytes)),
        Ok(Err(error)) => {
            use crate::api::response::{ApiError, ErrorKind};
            ApiError::new(ErrorKind::Internal, error.to_string()).into_response()
        }
        Err(error) => error.into_response(),
    }
}
