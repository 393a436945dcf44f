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
        let stream = TcpStream::connect(address).expect("the receiver listens");
        stream.set_nodelay(true).expect("a TCP option");
        let (content, version) = match protocol {
            Protocol::V1 => ("application/x-protobuf", "0.1.0"),
            Protocol::V2 => (
                "application/x-protobuf;proto=io.prometheus.write.v2.Request",
                "2.0.0",
            ),
        };
        Connection {
            reader: BufReader::new(stream),
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
        loop {
            let stream = self.reader.get_mut();
            stream.write_all(&request).expect("the receiver reads");
            let (status, text) = self.answer();
            if status / 100 == 2 {
                return;
            }
            assert!(
                status == 503 && started.elapsed() < PATIENCE,
                "remote write is answered {status}: {text}"
            );
            thread::sleep(Duration::from_millis(50));
        }
    }

    /// Reads an answer with a length, which those of all receivers have.
    fn answer(&mut self) -> (u16, String) {
        let (mut status, mut length) = (0, 0);
        let mut line = String::new();
        for number in 0.. {
            line.clear();
            let n_bytes = self.reader.read_line(&mut line).expect("an answer");
            assert!(n_bytes > 0, "the receiver closed the connection");
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
        self.reader.read_exact(&mut text).expect("an answer");
        (status, String::from_utf8_lossy(&text).into_owned())
    }
}
