//! A stand-in for an Alertmanager: notes when the first byte of a notification comes, and answers.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Instant;

use jiff::Timestamp;
use serde_json::Value;

use crate::crossings::{Crossings, Line};
use crate::http::{body_length, end_of_head};

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";

/// Starts one on a free port of the loopback interface; it ends with the process.
pub fn start(crossings: &Arc<Crossings>) -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    let address = listener.local_addr().expect("an address");
    let crossings = Arc::clone(crossings);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let crossings = Arc::clone(&crossings);
            std::thread::spawn(move || take_all(stream, &crossings));
        }
    });
    address
}

fn take_all(mut stream: TcpStream, crossings: &Crossings) {
    stream.set_nodelay(true).expect("a TCP socket");
    let (mut came, mut buffer) = (Vec::new(), vec![0; 64 << 10]);
    let mut first_byte = None;
    loop {
        let n_bytes = match stream.read(&mut buffer) {
            Ok(0) | Err(_) => return,
            Ok(n_bytes) => n_bytes,
        };
        let then = *first_byte.get_or_insert_with(Instant::now);
        came.extend_from_slice(&buffer[..n_bytes]);
        let Some(head) = end_of_head(&came) else {
            continue;
        };
        let end = head + body_length(&came[..head]);
        if came.len() < end {
            continue;
        }
        if stream.write_all(ANSWER).is_err() {
            return;
        }
        read_alerts(&came[head..end], then, crossings);
        came.drain(..end);
        first_byte = None;
    }
}

fn read_alerts(body: &[u8], then: Instant, crossings: &Crossings) {
    let now = Timestamp::now();
    let alerts: Value = serde_json::from_slice(body).expect("JSON");
    for alert in alerts.as_array().expect("a list") {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let labels = &alert["labels"];
        let line = match alert["labels"]["alertname"].as_str() {
            Some("QueueFull") => Line::Queue {
                instance: text(&labels["instance"]),
                queue: text(&labels["queue"])[1..].parse().expect("a number"),
            },
            _ => Line::Budget {
                model: text(&labels["model"]),
            },
        };
        let ends_at: Timestamp = text(&alert["endsAt"]).parse().expect("a time");
        crossings.told(line, ends_at > now, then);
    }
}
