//! A listener that holds no more connections than it may.
//!
//! Beyond the bound connections wait in the system's backlog until one ends.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use axum::extract::connect_info::Connected;
use axum::serve::{IncomingStream, Listener};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::server::request_line::RequestLines;

/// How much is read at once while request lines are looked at.
const READ_BYTES: usize = 4 << 10;

/// The listener.
pub struct BoundedListener {
    listener: TcpListener,
    room: Arc<Semaphore>,
}

impl BoundedListener {
    /// Returns a listener that holds at most `connections_max` at a time.
    pub fn new(listener: TcpListener, connections_max: usize) -> Self {
        let max = connections_max.clamp(1, Semaphore::MAX_PERMITS);
        BoundedListener {
            listener,
            room: Arc::new(Semaphore::new(max)),
        }
    }
}

impl Listener for BoundedListener {
    type Io = HeldConnection;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (HeldConnection, SocketAddr) {
        let room = Arc::clone(&self.room).acquire_owned().await;
        let room = room.expect("the semaphore is never closed");
        let (stream, peer) = Listener::accept(&mut self.listener).await;
        let connection = HeldConnection {
            stream,
            lines: RequestLines::default(),
            encoded: Vec::new(),
            _room: room,
        };
        (connection, peer)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// A connection that counts until it is dropped.
pub struct HeldConnection {
    stream: TcpStream,
    lines: RequestLines,
    /// What came and is not handed on yet.
    encoded: Vec<u8>,
    _room: OwnedSemaphorePermit,
}

impl AsyncRead for HeldConnection {
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
            let HeldConnection { lines, encoded, .. } = &mut *self;
            lines.pass(came.filled(), encoded);
        }
        let n_bytes = self.encoded.len().min(buffer.remaining());
        buffer.put_slice(&self.encoded[..n_bytes]);
        self.encoded.drain(..n_bytes);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for HeldConnection {
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

/// Who sent a request.
#[derive(Clone, Copy, Debug)]
pub struct Peer(pub SocketAddr);

impl Connected<IncomingStream<'_, BoundedListener>> for Peer {
    fn connect_info(stream: IncomingStream<'_, BoundedListener>) -> Self {
        Peer(*stream.remote_addr())
    }
}
