//! As much of HTTP/1.1 as a loopback connection needs.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

/// Returns where the head of a message ends, if it has come.
pub fn end_of_head(came: &[u8]) -> Option<usize> {
    let at = came.windows(4).position(|four| four == b"\r\n\r\n")?;
    Some(at + 4)
}

/// Returns the length of the body that a head announces.
pub fn body_length(head: &[u8]) -> usize {
    let head = String::from_utf8_lossy(head).to_ascii_lowercase();
    let value = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length:"));
    value.map_or(0, |value| value.trim().parse().expect("a number"))
}

/// A connection that is kept.
pub struct Connection {
    stream: TcpStream,
    came: Vec<u8>,
}

impl Connection {
    /// Connects.
    pub fn new(address: SocketAddr) -> std::io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        Ok(Connection {
            stream,
            came: Vec::new(),
        })
    }

    /// Sends a whole request and returns the answer's status and body.
    pub fn ask(&mut self, request: &[u8]) -> std::io::Result<(u16, String)> {
        self.stream.write_all(request)?;
        let mut buffer = vec![0; 64 << 10];
        loop {
            if let Some(head) = end_of_head(&self.came) {
                let end = head + body_length(&self.came[..head]);
                if self.came.len() >= end {
                    let status = String::from_utf8_lossy(&self.came[9..12]).parse();
                    let body = String::from_utf8_lossy(&self.came[head..end]).into_owned();
                    self.came.drain(..end);
                    return Ok((status.unwrap_or(0), body));
                }
            }
            match self.stream.read(&mut buffer)? {
                0 => return Err(std::io::ErrorKind::UnexpectedEof.into()),
                n_bytes => self.came.extend_from_slice(&buffer[..n_bytes]),
            }
        }
    }

    /// Fetches a page.
    pub fn get(&mut self, path: &str) -> std::io::Result<(u16, String)> {
        let request = format!("GET {path} HTTP/1.1\r\nHost: bench\r\nAccept: text/plain\r\n\r\n");
        self.ask(request.as_bytes())
    }
}

/// Returns a request that writes a body.
#[allow(
    dead_code,
    reason = "the soak names its senders, and writes requests of its own"
)]
pub fn write_request(body: &[u8]) -> Vec<u8> {
    let mut request = format!(
        "POST /api/v1/write HTTP/1.1\r\nHost: bench\r\nContent-Encoding: snappy\r\n\
         Content-Type: application/x-protobuf\r\nX-Prometheus-Remote-Write-Version: 0.1.0\r\n\
         Content-Length: {}\r\n\r\n",
        body.len()
    )
    .into_bytes();
    request.extend_from_slice(body);
    request
}
