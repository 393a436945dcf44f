//! When the first byte of a notification leaves.
//!
//! The HTTP client asks a body for its bytes when the connection stands and the request's head
//! lies in its buffer, which is microseconds before both are written to the socket. Looking up
//! the name, connecting and TLS are over by then, so they count as the delay that they are.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use crate::clock::Stopwatch;

/// Tells when a body left, once it has.
#[derive(Clone, Default)]
pub struct Departure {
    left: Arc<OnceLock<Stopwatch>>,
    /// Is told just before it leaves.
    witness: Option<Arc<dyn Fn() + Send + Sync>>,
}

impl Departure {
    /// Tells `witness`, too, just before the first byte leaves.
    pub fn witnessed(witness: impl Fn() + Send + Sync + 'static) -> Self {
        Departure {
            left: Arc::default(),
            witness: Some(Arc::new(witness)),
        }
    }

    /// Returns a body whose departure is noted here.
    pub fn watch(&self, bytes: Bytes) -> DepartingBody {
        DepartingBody {
            bytes: (!bytes.is_empty()).then_some(bytes),
            departure: self.clone(),
        }
    }

    /// Returns when the first byte left; `None` when there never was a connection.
    pub fn at(&self) -> Option<Stopwatch> {
        self.left.get().copied()
    }
}

/// A body in one piece that knows when it is taken.
pub struct DepartingBody {
    bytes: Option<Bytes>,
    departure: Departure,
}

impl Body for DepartingBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let departure = &self.departure;
        departure.left.get_or_init(|| {
            // Measured first: what the witness does is part of the delay.
            let left = Stopwatch::start();
            if let Some(witness) = &departure.witness {
                witness();
            }
            left
        });
        Poll::Ready(self.bytes.take().map(|bytes| Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        self.bytes.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.bytes.as_ref().map_or(0, Bytes::len) as u64)
    }
}
