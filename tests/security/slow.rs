//! Slow clients, over real sockets: each takes a place for so long and no longer, and the
//! others are answered all the while.
//!
//! The bounds are set to a second or so; that something happens is awaited, not timed.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use crate::process::{PATIENCE, Server, Setup, now_ms, wait_for};
use crate::sender::{Protocol, Series};

fn server(limits: &str) -> Server {
    let own = format!("watch: ['{{__name__=~\".+\"}}']\nlimits: {{{limits}}}");
    Setup::new()
        .file("own.yml", &own)
        .flag("--burnwatch.config.file=own.yml")
        .start()
}

fn connect(server: &Server) -> TcpStream {
    let stream = TcpStream::connect(server.address()).expect("connects");
    stream.set_read_timeout(Some(PATIENCE)).expect("can be set");
    stream
}

/// Reads until the server ends the connection; a reset is an end, too.
fn until_the_end(mut stream: &TcpStream) -> String {
    let mut answer = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => break,
            Ok(n) => answer.extend_from_slice(&buffer[..n]),
            Err(error) => {
                let kind = error.kind();
                assert_eq!(kind, std::io::ErrorKind::ConnectionReset, "{error}");
                break;
            }
        }
    }
    String::from_utf8_lossy(&answer).into_owned()
}

/// Slowloris: a head that never ends, a byte at a time.
#[test]
fn a_head_that_does_not_end_ends_the_connection() {
    let server = server("head_timeout: 1500ms");
    // Without a byte, with a part of a head, and after an answer.
    let silent = connect(&server);
    assert_eq!(until_the_end(&silent), "");

    let mut dripping = connect(&server);
    let head = b"GET /-/healthy HTTP/1.1\r\nHost: x\r\nX-A: "
        .iter()
        .copied();
    let mut endless = head.chain(std::iter::repeat(b'a'));
    let started = std::time::Instant::now();
    // Writing fails once the other side is gone; until then each byte would buy time.
    while endless
        .next()
        .is_some_and(|byte| dripping.write_all(&[byte]).is_ok())
    {
        assert!(started.elapsed() < PATIENCE, "the connection stays open");
        std::thread::sleep(Duration::from_millis(10));
    }

    let mut second = connect(&server);
    let whole = "GET /-/healthy HTTP/1.1\r\nHost: x\r\n\r\n";
    second.write_all(whole.as_bytes()).expect("sends");
    let mut answer = [0; 15];
    second.read_exact(&mut answer).expect("an answer");
    assert_eq!(&answer, b"HTTP/1.1 200 OK");
    second.write_all(b"GET /-/hea").expect("sends");
    until_the_end(&second);
    assert_eq!(server.get("/-/healthy").status, 200);
}

/// What waits between two requests is no slow head: connections are kept for the next one.
#[test]
fn a_connection_is_kept_between_requests_and_not_for_ever() {
    let ask = |stream: &mut TcpStream| {
        let whole = "GET /-/healthy HTTP/1.1\r\nHost: x\r\n\r\n";
        stream.write_all(whole.as_bytes()).expect("still open");
        let mut answer = Vec::new();
        while !answer.ends_with(b"Healthy.\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).expect("an answer");
            answer.push(byte[0]);
        }
    };
    let patient = server("head_timeout: 2s");
    let mut stream = connect(&patient);
    ask(&mut stream);
    // Longer than a head may take.
    std::thread::sleep(Duration::from_millis(2_500));
    ask(&mut stream);

    let impatient = server("keep_alive: 300ms");
    let mut stream = connect(&impatient);
    ask(&mut stream);
    assert_eq!(until_the_end(&stream), "");
}

#[test]
fn a_body_that_does_not_come_is_answered_and_ends() {
    let server = server("body_timeout: 300ms");
    let mut stream = connect(&server);
    let head = "POST /api/v1/write HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n";
    stream.write_all(head.as_bytes()).expect("sends");
    stream.write_all(b"a few bytes").expect("sends");
    let answer = until_the_end(&stream);
    // Not 4xx: Prometheus would drop what it sent.
    assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
    assert!(answer.to_lowercase().contains("retry-after: "), "{answer}");
    assert!(answer.contains("did not come in time"), "{answer}");
}

/// A peer that asks for much and takes nothing.
#[test]
fn an_answer_that_nobody_takes_ends_the_connection() {
    let server = server("answer_stall: 3s");
    let at = now_ms() - 5_000;
    let long = "x".repeat(8_000);
    let many: Vec<Series> = (0..500)
        .map(|n| {
            Series::new("big")
                .label("n", &format!("{n}{long}"))
                .float(at, 1.0)
        })
        .collect();
    server.write(Protocol::V2, &many);
    wait_for("the series", || {
        let found = server.query("count(big)", at);
        (found == ["{} 500"]).then_some(())
    });
    let open = || server.metric("burnwatch_web_connections");
    let mut stream = connect(&server);
    let seconds = at / 1_000 + 1;
    let ask = format!("GET /api/v1/query?query=big&time={seconds} HTTP/1.1\r\nHost: x\r\n\r\n");
    // Several answers: more than the system's buffers hold.
    for _ in 0..4 {
        stream.write_all(ask.as_bytes()).expect("sends");
    }
    // The one that asks is counted itself.
    wait_for("the answer to stall", || {
        (open() == Some(2.0)).then_some(())
    });
    wait_for("the end of it", || (open() == Some(1.0)).then_some(()));
    // One who takes it, and be it in pieces, gets all of it.
    let reply = server.get(&format!("/api/v1/query?query=big&time={seconds}"));
    assert_eq!(reply.status, 200);
    assert!(reply.text.len() > 4_000_000, "{}", reply.text.len());
    drop(stream);
}

/// One peer cannot take the places of all: its own bound is lower.
#[test]
fn a_peer_has_no_more_connections_than_it_may() {
    let server = server("connections_per_peer: 3");
    let held: Vec<TcpStream> = (0..3)
        .map(|_| {
            let mut stream = connect(&server);
            stream
                .write_all(b"GET /-/healthy HTTP/1.1\r\n")
                .expect("sends");
            stream
        })
        .collect();
    let fourth = connect(&server);
    assert_eq!(until_the_end(&fourth), "");
    // Another peer is answered: the loopback has more than one address.
    let other = from_another_address(&server);
    assert!(other.starts_with("HTTP/1.1 200 OK"), "{other}");
    drop(held);
    wait_for("room", || {
        let mut stream = connect(&server);
        let head = "GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
        stream.write_all(head.as_bytes()).ok()?;
        let text = until_the_end(&stream);
        let refused = "burnwatch_web_refused_total{reason=\"connections_per_peer\"} ";
        text.contains(refused).then_some(())
    });
}

fn from_another_address(server: &Server) -> String {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let socket = tokio::net::TcpSocket::new_v4().expect("a socket");
        socket
            .bind(([127, 0, 0, 2], 0).into())
            .expect("loopback is a net");
        let mut stream = socket.connect(server.address()).await.expect("connects");
        let head = "GET /-/healthy HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
        stream.write_all(head.as_bytes()).await.expect("sends");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.expect("an answer");
        answer
    })
}
