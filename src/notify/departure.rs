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
#[derive(Clone, Debug, Default)]
pub(crate) struct Departure(Arc<OnceLock<Stopwatch>>);

impl Departure {
    /// Returns a body whose departure is noted here.
    pub(crate) fn watch(&self, bytes: Bytes) -> DepartingBody {
        DepartingBody {
            bytes: (!bytes.is_empty()).then_some(bytes),
            departure: self.clone(),
        }
    }

    /// Returns when the first byte left; `None` when there never was a connection.
    pub(crate) fn at(&self) -> Option<Stopwatch> {
        self.0.get().copied()
    }
}

/// A body in one piece that knows when it is taken.
#[derive(Debug)]
pub(crate) struct DepartingBody {
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
        self.departure.0.get_or_init(Stopwatch::start);
        Poll::Ready(self.bytes.take().map(|bytes| Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        self.bytes.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.bytes.as_ref().map_or(0, Bytes::len) as u64)
    }
}
