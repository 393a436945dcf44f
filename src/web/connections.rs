//! Connections within bounds: all together, and those of one peer.
//!
//! Beyond the bound of all, connections wait in the system's backlog until one ends; beyond a
//! peer's own they are closed at once, so that no peer can take the places of all.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use parking_lot::Mutex;
use prometheus_client::metrics::gauge::Gauge;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tracing::warn;

use crate::clock::Stopwatch;
use crate::web::metrics::{Refusal, WebMetrics};
use crate::web::request_line::RequestLines;

/// How much is read at once while request lines are looked at.
const READ_BYTES: usize = 4 << 10;
/// How long to wait when the system has no more file descriptors.
const NO_DESCRIPTORS: Duration = Duration::from_secs(1);
/// How often it is said that a peer has too many connections.
const SAY_EVERY: Duration = Duration::from_secs(60);

/// How many connections there may be, and how long anything may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Open at a time.
    pub connections: usize,
    /// Open at a time of one peer.
    pub per_peer: usize,
    /// A TLS handshake, or the head of a request.
    pub head: Duration,
    /// The body of a request.
    pub body: Duration,
    /// A connection without a request.
    pub keep_alive: Duration,
    /// A peer that takes no answer.
    pub stall: Duration,
}

/// Takes connections as long as there is room.
pub struct BoundedListener {
    listener: TcpListener,
    room: Arc<Semaphore>,
    per_peer: usize,
    peers: Arc<Mutex<HashMap<IpAddr, usize>>>,
    metrics: WebMetrics,
    said: Option<Stopwatch>,
}

impl BoundedListener {
    /// Returns a listener that keeps to the bounds.
    pub fn new(listener: TcpListener, bounds: &Bounds, metrics: WebMetrics) -> Self {
        let max = bounds.connections.clamp(1, Semaphore::MAX_PERMITS);
        BoundedListener {
            listener,
            room: Arc::new(Semaphore::new(max)),
            per_peer: bounds.per_peer.max(1),
            peers: Arc::default(),
            metrics,
            said: None,
        }
    }

    /// Waits for the next connection that there is room for.
    pub async fn accept(&mut self) -> (TcpStream, SocketAddr, Held) {
        loop {
            let room = Arc::clone(&self.room).acquire_owned().await;
            let room = room.expect("the semaphore is never closed");
            let (stream, address) = match self.listener.accept().await {
                Ok(accepted) => accepted,
                Err(error) => {
                    // A peer that is gone again says nothing about the next one.
                    let of_peer = [
                        io::ErrorKind::ConnectionAborted,
                        io::ErrorKind::ConnectionReset,
                        io::ErrorKind::ConnectionRefused,
                    ];
                    if !of_peer.contains(&error.kind()) {
                        warn!(%error, "cannot accept connections");
                        tokio::time::sleep(NO_DESCRIPTORS).await;
                    }
                    continue;
                }
            };
            let ip = address.ip().to_canonical();
            let mut peers = self.peers.lock();
            let count = peers.entry(ip).or_insert(0);
            if *count >= self.per_peer {
                drop(peers);
                self.metrics.refused(Refusal::Connections);
                if self.said.is_none_or(|said| said.elapsed() >= SAY_EVERY) {
                    self.said = Some(Stopwatch::start());
                    let max = self.per_peer;
                    warn!(peer = %ip, max, "a peer has as many connections as it may; more are closed");
                }
                continue;
            }
            *count += 1;
            drop(peers);
            let connections = self.metrics.connections().clone();
            connections.inc();
            let held = Held {
                ip,
                peers: Arc::clone(&self.peers),
                connections,
                _room: room,
            };
            return (stream, address, held);
        }
    }
}

/// A connection's place; given back when dropped.
pub struct Held {
    ip: IpAddr,
    peers: Arc<Mutex<HashMap<IpAddr, usize>>>,
    connections: Gauge,
    _room: OwnedSemaphorePermit,
}

impl Drop for Held {
    fn drop(&mut self) {
        self.connections.dec();
        let mut peers = self.peers.lock();
        if let Some(count) = peers.get_mut(&self.ip) {
            *count -= 1;
            if *count == 0 {
                peers.remove(&self.ip);
            }
        }
    }
}

/// A connection of HTTP/1 whose request lines are encoded on their way in.
pub struct Encoded<T> {
    stream: T,
    lines: RequestLines,
    /// What came and is not handed on yet.
    encoded: Vec<u8>,
}

impl<T> Encoded<T> {
    /// Wraps a connection.
    pub fn new(stream: T) -> Self {
        Encoded {
            stream,
            lines: RequestLines::default(),
            encoded: Vec::new(),
        }
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Encoded<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.encoded.is_empty() {
            if self.lines.is_beyond() {
                return Pin::new(&mut self.stream).poll_read(context, buffer);
            }
            let mut came = [0; READ_BYTES];
            let mut came = ReadBuf::new(&mut came);
            ready!(Pin::new(&mut self.stream).poll_read(context, &mut came))?;
            let Encoded { lines, encoded, .. } = &mut *self;
            lines.pass(came.filled(), encoded);
        }
        let n_bytes = self.encoded.len().min(buffer.remaining());
        buffer.put_slice(&self.encoded[..n_bytes]);
        self.encoded.drain(..n_bytes);
        Poll::Ready(Ok(()))
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Encoded<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
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
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }
}
