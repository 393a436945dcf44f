//! A sink on a raw socket that breaks HTTP in every way a network or a dying server does.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use crate::support::PATIENCE;

/// What happens to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It is answered with a status.
    Status(u16),
    /// It is read, and the connection is reset.
    Reset,
    /// The connection is reset before anything is read.
    ResetUnread,
    /// The connection is closed without an answer.
    Close,
    /// Half of the status line comes, then the end.
    HalfHead,
    /// The head of a 200 comes, and half of its body, then the end.
    HalfBody,
    /// A 500 comes, byte after byte.
    Dribble,
    /// An answer comes later than anybody waits.
    TooLate,
    /// What comes is no HTTP.
    Nonsense,
}

impl Fault {
    /// Tells whether the sink has taken the request all the same.
    fn takes(self) -> bool {
        matches!(self, Fault::Status(200..300) | Fault::HalfBody)
    }
}

struct Shared {
    faults: Mutex<VecDeque<Fault>>,
    otherwise: Mutex<Fault>,
    /// Every request that was read, and what happened to it.
    bodies: Mutex<Vec<(Fault, Bytes)>>,
    n_bodies: watch::Sender<usize>,
}

/// The sink, on a free port of the loopback interface.
pub struct FaultySink {
    pub address: SocketAddr,
    shared: Arc<Shared>,
}

impl FaultySink {
    /// Starts a sink at which `faults` happen in turn, then `otherwise`.
    pub async fn start(faults: impl IntoIterator<Item = Fault>, otherwise: Fault) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let shared = Arc::new(Shared {
            faults: Mutex::new(faults.into_iter().collect()),
            otherwise: Mutex::new(otherwise),
            bodies: Mutex::new(Vec::new()),
            n_bodies: watch::Sender::new(0),
        });
        let accepting = Arc::clone(&shared);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, Arc::clone(&accepting)));
            }
        });
        FaultySink { address, shared }
    }

    /// Changes what happens from now on.
    pub fn set(&self, otherwise: Fault) {
        *self.shared.otherwise.lock() = otherwise;
    }

    /// Waits until `n` requests have been taken and returns their bodies.
    pub async fn taken(&self, n: usize) -> Vec<Bytes> {
        let mut count = self.shared.n_bodies.subscribe();
        let enough = count.wait_for(|_| self.now_taken().len() >= n);
        let waited = tokio::time::timeout(PATIENCE, enough).await.is_ok();
        assert!(
            waited,
            "{} of {n} requests were taken",
            self.now_taken().len()
        );
        self.now_taken()
    }

    /// Waits until `n` requests have been read, whatever became of them.
    pub async fn read(&self, n: usize) {
        let mut count = self.shared.n_bodies.subscribe();
        let waited = tokio::time::timeout(PATIENCE, count.wait_for(|count| *count >= n)).await;
        assert!(waited.is_ok(), "not {n} requests were read");
    }

    /// Returns the bodies of the requests that were taken so far.
    pub fn now_taken(&self) -> Vec<Bytes> {
        let bodies = self.shared.bodies.lock();
        let taken = bodies.iter().filter(|(fault, _)| fault.takes());
        taken.map(|(_, body)| body.clone()).collect()
    }
}

async fn serve(mut stream: TcpStream, shared: Arc<Shared>) {
    loop {
        // A connection that is only kept open must not use a fault up.
        if !matches!(stream.peek(&mut [0]).await, Ok(1)) {
            return;
        }
        let next = shared.faults.lock().pop_front();
        let fault = next.unwrap_or_else(|| *shared.otherwise.lock());
        if fault == Fault::ResetUnread {
            return reset(stream);
        }
        let Some(body) = request(&mut stream).await else {
            return;
        };
        shared.bodies.lock().push((fault, body));
        shared.n_bodies.send_modify(|count| *count += 1);
        let answer = |text: &str| text.as_bytes().to_vec();
        let (bytes, goes_on) = match fault {
            Fault::Status(status) => {
                let text = format!("HTTP/1.1 {status} Said\r\ncontent-length: 2\r\n\r\nok");
                (answer(&text), true)
            }
            Fault::Reset => return reset(stream),
            Fault::Close | Fault::ResetUnread => return,
            Fault::HalfHead => (answer("HTTP/1.1 20"), false),
            Fault::HalfBody => (
                answer("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf"),
                false,
            ),
            Fault::Nonsense => (answer("220 smtp ready\r\n\r\n"), false),
            Fault::Dribble => {
                let text = "HTTP/1.1 500 No\r\ncontent-length: 3\r\n\r\nend";
                for byte in text.as_bytes() {
                    let _ = stream.write_all(&[*byte]).await;
                    tokio::task::yield_now().await;
                }
                (Vec::new(), true)
            }
            Fault::TooLate => {
                // Until the sender gives up.
                let _ = tokio::time::timeout(PATIENCE, stream.read_u8()).await;
                return;
            }
        };
        if stream.write_all(&bytes).await.is_err() || !goes_on {
            return;
        }
    }
}

/// Closes with a reset instead of an orderly end.
fn reset(stream: TcpStream) {
    let _ = stream.set_zero_linger();
}

/// Reads one request; `None` when there is no more.
async fn request(stream: &mut TcpStream) -> Option<Bytes> {
    let mut bytes = Vec::new();
    loop {
        let head = bytes.windows(4).position(|four| four == b"\r\n\r\n");
        if let Some(at) = head {
            let head = String::from_utf8_lossy(&bytes[..at]).to_lowercase();
            let length = head
                .lines()
                .find_map(|l| l.strip_prefix("content-length: "));
            let n_bytes: usize = length.and_then(|n| n.trim().parse().ok()).unwrap_or(0);
            let body = &bytes[at + 4..];
            if body.len() >= n_bytes {
                return Some(Bytes::copy_from_slice(&body[..n_bytes]));
            }
        }
        let read = stream.read_buf(&mut bytes);
        match tokio::time::timeout(Duration::from_secs(60), read).await {
            Ok(Ok(n)) if n > 0 => {}
            _ => return None,
        }
    }
}
