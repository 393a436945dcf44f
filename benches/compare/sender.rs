//! Connections that are kept open, over which requests are pushed side by side.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::load::Protocol;

/// A receiver that says 503 for so long takes nothing any more.
const PATIENCE: Duration = Duration::from_secs(600);

struct Connection {
    reader: BufReader<TcpStream>,
    address: SocketAddr,
    head: String,
}

/// Pushes requests to one receiver.
pub struct Sender {
    connections: Vec<Connection>,
}

impl Sender {
    /// Opens `n_connections` connections.
    pub fn new(address: SocketAddr, protocol: Protocol, n_connections: usize) -> Self {
        let connections = (0..n_connections).map(|_| Connection::open(address, protocol));
        Sender {
            connections: connections.collect(),
        }
    }

    /// Pushes the requests of one scrape, and returns when each has been answered 2xx. A receiver
    /// that says 503 is asked again.
    pub fn push(&mut self, bodies: &[Vec<u8>]) {
        if let [body] = bodies {
            self.connections[0].post(body);
            return;
        }
        let next = AtomicUsize::new(0);
        thread::scope(|scope| {
            for connection in &mut self.connections {
                scope.spawn(|| {
                    while let Some(body) = bodies.get(next.fetch_add(1, Ordering::Relaxed)) {
                        connection.post(body);
                    }
                });
            }
        });
    }
}

impl Connection {
    fn open(address: SocketAddr, protocol: Protocol) -> Self {
        let (content, version) = match protocol {
            Protocol::V1 => ("application/x-protobuf", "0.1.0"),
            Protocol::V2 => (
                "application/x-protobuf;proto=io.prometheus.write.v2.Request",
                "2.0.0",
            ),
        };
        Connection {
            reader: connect(address),
            address,
            head: format!(
                "POST /api/v1/write HTTP/1.1\r\nHost: {address}\r\nContent-Type: {content}\r\n\
                 Content-Encoding: snappy\r\nX-Prometheus-Remote-Write-Version: {version}\r\n\
                 User-Agent: burnwatch-bench\r\n"
            ),
        }
    }

    fn post(&mut self, body: &[u8]) {
        let started = Instant::now();
        let length = body.len();
        let mut request = format!("{}Content-Length: {length}\r\n\r\n", self.head).into_bytes();
        request.extend_from_slice(body);
        let mut n_broken = 0;
        loop {
            match self.ask(&request) {
                Ok((status, _)) if status / 100 == 2 => return,
                Ok((status, text)) => {
                    assert!(
                        status == 503 && started.elapsed() < PATIENCE,
                        "remote write is answered {status}: {text}"
                    );
                    thread::sleep(Duration::from_millis(50));
                }
                // A server may close a connection that was idle; one that is gone refuses the next.
                Err(error) => {
                    n_broken += 1;
                    assert!(n_broken < 3, "remote write to {}: {error}", self.address);
                    self.reader = connect(self.address);
                }
            }
        }
    }

    fn ask(&mut self, request: &[u8]) -> std::io::Result<(u16, String)> {
        self.reader.get_mut().write_all(request)?;
        self.answer()
    }

    /// Reads an answer with a length, which those of all receivers have.
    fn answer(&mut self) -> std::io::Result<(u16, String)> {
        let (mut status, mut length) = (0, 0);
        let mut line = String::new();
        for number in 0.. {
            line.clear();
            if self.reader.read_line(&mut line)? == 0 {
                return Err(std::io::ErrorKind::UnexpectedEof.into());
            }
            let line = line.trim_end();
            if number == 0 {
                let word = line.split(' ').nth(1);
                status = word.and_then(|word| word.parse().ok()).unwrap_or(0);
            } else if line.is_empty() {
                break;
            } else if let Some((name, value)) = line.split_once(':')
                && name.eq_ignore_ascii_case("content-length")
            {
                length = value.trim().parse().unwrap_or(0);
            }
        }
        let mut text = vec![0; length];
        self.reader.read_exact(&mut text)?;
        Ok((status, String::from_utf8_lossy(&text).into_owned()))
    }
}

fn connect(address: SocketAddr) -> BufReader<TcpStream> {
    let stream = TcpStream::connect(address).expect("the receiver still listens");
    stream.set_nodelay(true).expect("a TCP option");
    BufReader::new(stream)
}
