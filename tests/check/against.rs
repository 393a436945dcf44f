//! `--against`: which selectors a server has series for.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};

use crate::{Files, Run};

const RULES: &str = "\
groups:
- name: g
  rules:
  - {record: 'job:errors:rate5m', expr: 'sum by (job) (rate(errors_total[5m]))'}
  - {alert: A, expr: 'job:errors:rate5m > 1'}
  - {alert: B, expr: 'up == 0 or uq == 0'}
  - {alert: C, expr: 'up{job=\"none\"} == 0'}
";

/// Answers every request by `answer`, which is given its first line; returns the base URL and
/// all that was received.
fn server(answer: fn(&str) -> (u16, &'static str)) -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let received = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&received);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let (mut head, mut buffer) = (Vec::new(), [0; 4096]);
            while !head.windows(4).any(|end| end == b"\r\n\r\n") {
                match stream.read(&mut buffer) {
                    Ok(0) | Err(_) => break,
                    Ok(n) => head.extend_from_slice(&buffer[..n]),
                }
            }
            let head = String::from_utf8_lossy(&head).into_owned();
            let (status, body) = answer(head.lines().next().unwrap_or(""));
            log.lock().expect("no panic").push(head);
            let length = body.len();
            let _ = write!(
                stream,
                "HTTP/1.1 {status} X\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
            );
        }
    });
    (url, received)
}

fn prometheus(line: &str) -> (u16, &'static str) {
    const NOTHING: &str = r#"{"status":"success","data":[]}"#;
    const ONE: &str = r#"{"status":"success","data":[{"__name__":"x"}]}"#;
    match line {
        line if line.contains("/label/__name__/values") => {
            (200, r#"{"status":"success","data":["errors_total","up"]}"#)
        }
        line if line.contains("uq") || line.contains("none") => (200, NOTHING),
        _ => (200, ONE),
    }
}

fn check_against(url: &str, flags: &str) -> Run {
    let files = Files::of(&[("r.yml", RULES)]);
    files.burnwatch(&format!("rules {flags} --against={url} r.yml"))
}

#[test]
fn selectors_without_series_are_found_with_the_nearest_name() {
    let (url, received) = server(prometheus);
    let run = check_against(&url, "");
    run.check(
        0,
        "Checking r.yml\n  SUCCESS: 4 rules found\n\n",
        &[
            "  ADVICE: r.yml:6:34: group \"g\", rule 3, \"B\": no series of the last hour at ",
            "fits {__name__=\"uq\"} (unseen-selector)\n    hint: did you mean up?",
            "  ADVICE: r.yml:7:23: ",
            "hint: there are series of up: look at the other matchers",
        ],
    );
    assert_eq!(run.err.matches("ADVICE").count(), 2, "{run:#?}");
    let requests = received.lock().expect("no panic");
    assert!(
        requests.iter().all(|r| !r.contains("job%3Aerrors")),
        "{requests:#?}"
    );
    let n_series = requests
        .iter()
        .filter(|r| r.contains("/api/v1/series?"))
        .count();
    assert_eq!(n_series, 4, "each selector once: {requests:#?}");
    drop(requests);
    assert_eq!(check_against(&url, "--lint-fatal").code, 3);
}

#[test]
fn user_and_password_come_from_the_url() {
    let (url, received) = server(prometheus);
    let url = url.replace("http://", "http://user:p%40ss@");
    let run = check_against(&url, "");
    assert!(
        !run.err.contains("p@ss") && !run.err.contains("p%40ss"),
        "{run:#?}"
    );
    let requests = received.lock().expect("no panic");
    // user:p@ss
    let has = |request: &String| {
        request
            .to_lowercase()
            .contains("authorization: basic dxnlcjpwqhnz")
    };
    assert!(requests.iter().all(has), "{requests:#?}");
}

#[test]
fn servers_that_cannot_answer_are_named_with_a_remedy() {
    let check = |answer: fn(&str) -> (u16, &'static str), said: &str| {
        let (url, _) = server(answer);
        let run = check_against(&url, "");
        assert_eq!(run.code, 1, "{run:#?}");
        run.check_said(&[&url, said]);
    };
    check(|_| (401, ""), "401");
    check(|_| (401, ""), "http://user:password@host");
    check(
        |_| (200, "<html>"),
        "not as Prometheus' API does; write the URL",
    );
    check(
        |_| {
            (
                422,
                r#"{"status":"error","errorType":"execution","error":"too much"}"#,
            )
        },
        "answered: too much",
    );
    let unused = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let url = format!("http://{}", unused.local_addr().expect("an address"));
    drop(unused);
    let run = check_against(&url, "");
    assert_eq!(run.code, 1, "{run:#?}");
    run.check_said(&["no connection; is it running there?"]);
    let run = check_against("localhost:9090", "");
    run.check_said(&["is no URL; write one such as http://127.0.0.1:9090"]);
}
