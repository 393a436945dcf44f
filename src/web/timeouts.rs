//! How long a peer may take: for a head, for a body, between requests, to take an answer.
//!
//! [`Timed`] lies right on the socket and knows from [`Pulse`] whether a request is under way.
//! While one is, nothing is asked of what comes: its body has a time of its own
//! ([`TimedBody`]), and an answer that is being worked out may take as long as it takes.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use futures::task::AtomicWaker;
use http_body::{Body, Frame, SizeHint};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;

use crate::clock::Stopwatch;
use crate::web::connections::Bounds;

/// As many bytes of an answer must be taken within the time of a stall.
const STALL_BYTES: f64 = 16.0 * 1024.0;

/// Which requests of a connection are under way.
#[derive(Debug, Default)]
pub struct Pulse {
    n_under_way: AtomicUsize,
    n_begun: AtomicUsize,
    ended: AtomicWaker,
}

impl Pulse {
    /// Notes a request, until what is returned is dropped.
    pub fn begin(self: &Arc<Self>) -> UnderWay {
        self.n_under_way.fetch_add(1, Ordering::AcqRel);
        self.n_begun.fetch_add(1, Ordering::AcqRel);
        UnderWay(Arc::clone(self))
    }
}

/// A request that is under way.
#[derive(Debug)]
pub struct UnderWay(Arc<Pulse>);

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.n_under_way.fetch_sub(1, Ordering::AcqRel);
        self.0.ended.wake();
    }
}

/// Wakes once some time has passed since an instant that only moves on.
#[derive(Debug, Default)]
struct Alarm(Option<Pin<Box<Sleep>>>);

impl Alarm {
    fn poll(&mut self, context: &mut Context<'_>, since: &Stopwatch, limit: Duration) -> Poll<()> {
        loop {
            let rest = limit.saturating_sub(since.elapsed());
            if rest.is_zero() {
                return Poll::Ready(());
            }
            let sleep = || Box::pin(tokio::time::sleep(rest));
            ready!(self.0.get_or_insert_with(sleep).as_mut().poll(context));
            self.0 = None;
        }
    }
}

/// What is being waited for on a connection without a request.
#[derive(Debug)]
enum Waiting {
    /// The rest of a head (or handshake), since then.
    Head(Stopwatch),
    /// The next request, since then.
    Request(Stopwatch),
}

/// A connection that ends when its peer takes too long.
pub struct Timed<T> {
    stream: T,
    pulse: Arc<Pulse>,
    head: Duration,
    keep_alive: Duration,
    stall: Duration,
    /// Whether a byte is the beginning of a head; HTTP/2 has frames of its own.
    has_heads: Arc<std::sync::atomic::AtomicBool>,
    waiting: Option<Waiting>,
    /// How many requests had begun when it was looked at last.
    n_begun: usize,
    head_alarm: Alarm,
    request_alarm: Alarm,
    /// Since when the peer takes nothing.
    blocked: Option<Stopwatch>,
    blocked_alarm: Alarm,
    /// How long it has taken too little.
    owed: Duration,
}

impl<T> Timed<T> {
    /// Wraps a connection that has just been accepted.
    pub fn new(stream: T, pulse: Arc<Pulse>, bounds: &Bounds) -> Self {
        Timed {
            stream,
            pulse,
            head: bounds.head,
            keep_alive: bounds.keep_alive,
            stall: bounds.stall,
            has_heads: Arc::new(std::sync::atomic::AtomicBool::new(true)),
            waiting: Some(Waiting::Head(Stopwatch::start())),
            n_begun: 0,
            head_alarm: Alarm::default(),
            request_alarm: Alarm::default(),
            blocked: None,
            blocked_alarm: Alarm::default(),
            owed: Duration::ZERO,
        }
    }

    /// Returns the switch that says whether the connection speaks HTTP/1.
    pub fn has_heads(&self) -> Arc<std::sync::atomic::AtomicBool> {
        Arc::clone(&self.has_heads)
    }

    /// Tells whether a request is under way; what was waited for before one has come.
    fn is_busy(&mut self) -> bool {
        let n_begun = self.pulse.n_begun.load(Ordering::Acquire);
        if n_begun != self.n_begun {
            self.n_begun = n_begun;
            self.waiting = None;
        }
        self.pulse.n_under_way.load(Ordering::Acquire) > 0
    }

    /// Looks whether what is being waited for may still come.
    fn poll_waiting(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.pulse.ended.register(context.waker());
        if self.is_busy() {
            return Poll::Pending;
        }
        let now = || Waiting::Request(Stopwatch::start());
        match self.waiting.get_or_insert_with(now) {
            Waiting::Head(since) if self.has_heads.load(Ordering::Relaxed) => {
                ready!(self.head_alarm.poll(context, since, self.head));
            }
            Waiting::Head(since) | Waiting::Request(since) => {
                ready!(self.request_alarm.poll(context, since, self.keep_alive));
            }
        }
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }

    fn poll_blocked(&mut self, context: &mut Context<'_>) -> Poll<io::Error> {
        let since = *self.blocked.get_or_insert_with(|| {
            self.blocked_alarm = Alarm::default();
            Stopwatch::start()
        });
        let left = self.stall.saturating_sub(self.owed);
        ready!(self.blocked_alarm.poll(context, &since, left));
        Poll::Ready(io::ErrorKind::TimedOut.into())
    }

    /// Notes bytes that were taken: they pay for the time in which none were.
    fn taken(&mut self, n_bytes: usize) {
        if let Some(since) = self.blocked.take() {
            self.owed += since.elapsed();
        }
        if !self.owed.is_zero() {
            let paid = self.stall.mul_f64(n_bytes as f64 / STALL_BYTES);
            self.owed = self.owed.saturating_sub(paid);
        }
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Timed<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match Pin::new(&mut self.stream).poll_read(context, buffer) {
            Poll::Pending => self.poll_waiting(context),
            came => {
                if !self.is_busy() && !matches!(self.waiting, Some(Waiting::Head(_))) {
                    self.waiting = match self.has_heads.load(Ordering::Relaxed) {
                        true => Some(Waiting::Head(Stopwatch::start())),
                        // What comes without a request buys no time.
                        false => self.waiting.take(),
                    };
                }
                came
            }
        }
    }
}

impl<T: AsyncWrite + Unpin> Timed<T> {
    fn wrote(
        &mut self,
        context: &mut Context<'_>,
        written: Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        match written {
            Poll::Pending => Poll::Ready(Err(ready!(self.poll_blocked(context)))),
            Poll::Ready(Ok(n_bytes)) => {
                self.taken(n_bytes);
                Poll::Ready(Ok(n_bytes))
            }
            failed => failed,
        }
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Timed<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.wrote(context, written)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.wrote(context, written)
    }
}

/// A request's body that must come in time.
pub struct TimedBody<B> {
    body: B,
    limit: Duration,
    began: Stopwatch,
    alarm: Alarm,
}

impl<B> TimedBody<B> {
    /// Wraps the body of a request whose head has just come.
    pub fn new(body: B, limit: Duration) -> Self {
        TimedBody {
            body,
            limit,
            began: Stopwatch::start(),
            alarm: Alarm::default(),
        }
    }
}

type BoxError = Box<dyn std::error::Error + Send + Sync>;

impl<B> Body for TimedBody<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(context) {
            return Poll::Ready(frame.map(|frame| frame.map_err(Into::into)));
        }
        let TimedBody {
            limit,
            began,
            alarm,
            ..
        } = &mut *self;
        ready!(alarm.poll(context, began, *limit));
        let late = io::Error::new(io::ErrorKind::TimedOut, "the body did not come in time");
        Poll::Ready(Some(Err(late.into())))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// An answer's body; the request is under way until it is gone.
pub struct CountedBody<B> {
    /// The body.
    pub body: B,
    /// Dropped with it.
    pub _under_way: UnderWay,
}

impl<B: Body + Unpin> Body for CountedBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
