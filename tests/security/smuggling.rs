//! Requests that say one thing and do another: lengths that lie, two lengths, bombs, and bodies
//! of those who may not send any.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};

use crate::process::{PATIENCE, Server, Setup};
use crate::sender::compress;

/// Sends all there is and no more: whoever waits for the rest sees the end.
fn send(server: &Server, request: &[u8]) -> String {
    let stream = begin(server, request);
    let _ = stream.shutdown(Shutdown::Write);
    answer_of(stream)
}

/// Sends a request that is whole, and waits for its answer, as long as that takes.
fn send_whole(server: &Server, request: &[u8]) -> String {
    answer_of(begin(server, request))
}

fn begin(server: &Server, request: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(server.address()).expect("connects");
    stream.set_read_timeout(Some(PATIENCE)).expect("can be set");
    // The server may answer and close before it has read all.
    let _ = stream.write_all(request);
    stream
}

fn answer_of(mut stream: TcpStream) -> String {
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

/// A request hidden in another's body must not be answered.
#[test]
fn a_request_that_can_be_read_in_two_ways_is_read_in_neither() {
    let server = Setup::new().start();
    let hidden = "GET /version HTTP/1.1\r\nHost: x\r\n\r\n";
    for framing in [
        "Content-Length: 0\r\nContent-Length: 38\r\n".to_owned(),
        "Content-Length: 0, 38\r\n".to_owned(),
        "Content-Length: -1\r\n".to_owned(),
        "Content-Length: +38\r\n".to_owned(),
        "Content-Length: 0x26\r\n".to_owned(),
        "Transfer-Encoding: xchunked\r\n".to_owned(),
        "Transfer-Encoding: chunked, identity\r\n".to_owned(),
    ] {
        let request = format!("POST /api/v1/query HTTP/1.1\r\nHost: x\r\n{framing}\r\n{hidden}");
        let answer = send(&server, request.as_bytes());
        let head = answer.lines().next().unwrap_or_default();
        assert!(head.starts_with("HTTP/1.1 400"), "{framing:?}: {answer}");
        assert_eq!(
            answer.matches("HTTP/1.1 ").count(),
            1,
            "{framing:?}: {answer}"
        );
    }
    // With both, the chunks count, and nothing behind them is a request of its own.
    let both = format!(
        "POST /api/v1/query HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: \
         chunked\r\n\r\n{:x}\r\n{hidden}\r\n0\r\n\r\n",
        hidden.len()
    );
    let answer = send(&server, both.as_bytes());
    assert!(answer.matches("HTTP/1.1 ").count() <= 1, "{answer}");
    assert!(!answer.contains("\"version\""), "{answer}");
}

#[test]
fn a_length_that_lies_harms_nobody() {
    let server = Setup::new().start();
    let body = compress(b"");
    let request = |length: usize| {
        let head = format!(
            "POST /api/v1/write HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n"
        );
        [head.as_bytes(), &body].concat()
    };
    let answer = send_whole(&server, &request(body.len()));
    assert!(answer.starts_with("HTTP/1.1 204"), "{answer}");
    // More is announced than comes.
    let answer = send(&server, &request(body.len() + 10));
    assert!(!answer.starts_with("HTTP/1.1 2"), "{answer}");
    let answer = send(&server, &request(usize::MAX));
    assert!(!answer.starts_with("HTTP/1.1 2"), "{answer}");
    // More comes than is announced: what is too much is no request.
    let answer = send_whole(
        &server,
        &[&request(body.len())[..], b"more\r\n\r\n"].concat(),
    );
    assert!(answer.starts_with("HTTP/1.1 204"), "{answer}");
    assert_eq!(answer.matches("HTTP/1.1 2").count(), 1, "{answer}");
    assert_eq!(server.get("/-/healthy").status, 200);
}

/// A body of a few bytes that says it becomes gigabytes, or does become too much.
#[test]
fn a_bomb_is_refused_before_it_is_unpacked() {
    let own = "limits: {request_decoded_bytes: 1MB}";
    let server = Setup::new()
        .file("own.yml", own)
        .flag("--burnwatch.config.file=own.yml")
        .start();
    let post = |body: &[u8]| server.send("POST", "/api/v1/write", &[], body).status;
    // Snappy's first number is the length of what it becomes: 4 GiB - 1.
    assert_eq!(post(&[0xff, 0xff, 0xff, 0xff, 0x0f, 0x00]), 413);
    assert_eq!(post(&compress(&vec![0; 2 << 20])), 413);
    let form = vec![("query", "up".to_owned() + &" ".repeat(64 << 20))];
    let long: String = url::form_urlencoded::Serializer::new(String::new())
        .extend_pairs(form)
        .finish();
    let kind = ("Content-Type", "application/x-www-form-urlencoded");
    let refused = server.send("POST", "/api/v1/query", &[kind], long.as_bytes());
    assert!((400..500).contains(&refused.status), "{}", refused.status);
    // Heads have their bound, too.
    let header = ("X-Long", "x".repeat(1 << 20));
    let head = format!(
        "GET /-/healthy HTTP/1.1\r\nHost: x\r\n{}: {}\r\n\r\n",
        header.0, header.1
    );
    let answer = send(&server, head.as_bytes());
    assert!(!answer.starts_with("HTTP/1.1 2"), "{answer}");
    assert_eq!(server.get("/-/healthy").status, 200);
}

/// Nothing is read of the body of somebody who is not let in.
#[test]
fn a_stranger_is_answered_before_the_body_comes() {
    let server = Setup::new()
        .file(
            "own.yml",
            "access: {tokens: [{name: a, token: t, roles: [write]}]}",
        )
        .flag("--burnwatch.config.file=own.yml")
        .start();
    let mut stream = TcpStream::connect(server.address()).expect("connects");
    stream.set_read_timeout(Some(PATIENCE)).expect("can be set");
    let head = "POST /api/v1/write HTTP/1.1\r\nHost: x\r\nContent-Length: 30000000\r\n\r\n";
    stream.write_all(head.as_bytes()).expect("sends");
    // Not a byte of it has been sent.
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).expect("an answer");
    assert_eq!(&answer, b"HTTP/1.1 401");
}
