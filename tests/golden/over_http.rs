//! The same queries asked of a running server over HTTP, after its series were pushed to it.
//!
//! Catches: whatever is lost or changed between the door and the answer: a sample, a stale
//! marker, a histogram's reset hint, a remark, the status of an error, a number's spelling.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::sync::mpsc;
use std::time::Duration;

use burnwatch::functions::Functions;
use burnwatch::promql::{Features, parse};
use serde_json::Value as Json;

use crate::answer::{Agreement, Sample, compare_samples, read_float, read_matrix, read_vector};
use crate::compare::{Tally, is_ordered, same_matrix, same_order, same_vector};
use crate::process::{Server, Setup};
use crate::push::Recorded;
use crate::recorded::lines;

/// The flags under which the answers were recorded.
const FEATURES: &str = "--enable-feature=promql-experimental-functions,promql-duration-expr,\
                        promql-extended-range-selectors,promql-binop-fill-modifiers";
/// Everything is kept, though no rule reads it and it is older than any window.
const KEEP_ALL: &str = "log: all\nretention: 100y\nbacklog_timeout: 1d\n";
/// Requests that are under way at a time.
const N_CONNECTIONS: usize = 4;
/// A query that is longer is sent as a form.
const URL_BYTES_MAX: usize = 100;

fn start_with_series() -> Server {
    let server = Setup::with_rules("groups: []\n")
        .file("prometheus.yml", "global: {}\n")
        .file("burnwatch.yml", KEEP_ALL)
        .flag("--burnwatch.config.file=burnwatch.yml")
        .flag(FEATURES)
        .start();
    let recorded = Recorded::read();
    let mut n_bodies = 0;
    for (protocol, body) in recorded.bodies() {
        let reply = server.write_body(protocol, &body);
        assert_eq!((reply.status, reply.text.as_str()), (204, ""));
        n_bodies += 1;
    }
    let (n_series, n_samples) = recorded.len();
    say!("pushed: {n_samples} samples of {n_series} series in {n_bodies} requests");
    server
}

/// A connection that is kept open.
struct Connection(BufReader<TcpStream>);

impl Connection {
    fn open(server: &Server) -> Self {
        let stream = TcpStream::connect(server.address()).expect("the server listens");
        let patience = Some(Duration::from_secs(60));
        stream.set_read_timeout(patience).expect("a timeout");
        stream.set_nodelay(true).expect("an option");
        Connection(BufReader::new(stream))
    }

    /// Asks, and returns the status and the body.
    fn ask(&mut self, path: &str, parameters: &[(&str, &str)]) -> (u64, Json) {
        let pairs = url::form_urlencoded::Serializer::new(String::new())
            .extend_pairs(parameters)
            .finish();
        let request = if pairs.len() > URL_BYTES_MAX {
            format!(
                "POST {path} HTTP/1.1\r\nHost: test\r\nContent-Length: {}\r\n\
                 Content-Type: application/x-www-form-urlencoded\r\n\r\n{pairs}",
                pairs.len()
            )
        } else {
            format!("GET {path}?{pairs} HTTP/1.1\r\nHost: test\r\n\r\n")
        };
        self.0
            .get_mut()
            .write_all(request.as_bytes())
            .expect("sends");
        let mut line = String::new();
        let mut next = || {
            line.clear();
            self.0.read_line(&mut line).expect("an answer");
            line.trim_end().to_ascii_lowercase()
        };
        let status = next();
        let status = status.split(' ').nth(1).and_then(|code| code.parse().ok());
        let mut length = 0;
        loop {
            let header = next();
            if header.is_empty() {
                break;
            }
            if let Some(value) = header.strip_prefix("content-length: ") {
                length = value.parse().expect("a length");
            }
        }
        let mut body = vec![0; length];
        self.0.read_exact(&mut body).expect("a whole body");
        let json = serde_json::from_slice(&body);
        (status.expect("a status"), json.expect("JSON"))
    }
}

/// A recorded query and its answer.
struct Case {
    path: &'static str,
    parameters: Vec<(&'static str, String)>,
    recorded: Json,
}

impl Case {
    fn read(name: &str, path: &'static str, keys: &[&'static str]) -> Vec<Case> {
        let case = |recorded: Json| {
            let value = |key: &&'static str| (*key, recorded[*key].as_str().unwrap().to_owned());
            Case {
                path,
                parameters: keys.iter().map(value).collect(),
                recorded,
            }
        };
        lines(name).map(case).collect()
    }

    /// Asks and compares; returns the kind of the answer, the place, and how well it agrees.
    fn check(&self, on: &mut Connection) -> (String, String, Result<Agreement, String>) {
        let parameters = self.parameters.iter();
        let parameters: Vec<(&str, &str)> = parameters.map(|(k, v)| (*k, v.as_str())).collect();
        let (status, answer) = on.ask(self.path, &parameters);
        let kind = &self.recorded[if self.recorded["error"].is_null() {
            "resultType"
        } else {
            "errorType"
        }];
        let values: Vec<&str> = parameters.iter().map(|(_, value)| *value).collect();
        let verdict = same_answer(status, &answer, &self.recorded);
        (
            kind.as_str().unwrap().to_owned(),
            values.join(" @ "),
            verdict,
        )
    }
}

/// Asks all cases over several connections.
fn ask_all(server: &Server, cases: &[Case]) -> Tally {
    let mut tally = Tally::default();
    std::thread::scope(|scope| {
        let (send, receive) = mpsc::channel();
        for first in 0..N_CONNECTIONS {
            let send = send.clone();
            scope.spawn(move || {
                let mut connection = Connection::open(server);
                for case in cases.iter().skip(first).step_by(N_CONNECTIONS) {
                    send.send(case.check(&mut connection)).expect("is received");
                }
            });
        }
        drop(send);
        for (kind, place, verdict) in receive {
            tally.count(&kind, &place, verdict);
        }
    });
    tally
}

fn same_answer(status: u64, answer: &Json, recorded: &Json) -> Result<Agreement, String> {
    let wanted_status = recorded["status"].as_u64().unwrap_or(200);
    if status != wanted_status {
        return Err(format!("{status} {answer}\n    wanted {wanted_status}"));
    }
    for key in ["errorType", "error"] {
        if answer[key] != recorded[key] {
            return Err(format!("{answer}\n    wanted {}", recorded[key]));
        }
    }
    if recorded["error"].is_string() {
        return Ok(Agreement::Bits);
    }
    // Remarks on range queries are not recorded.
    let keys: &[&str] = if recorded["time"].is_null() {
        &[]
    } else {
        &["warnings", "infos"]
    };
    for key in keys.iter().copied() {
        same_remarks(&answer[key], &recorded[key])?;
    }
    let (ours, theirs) = (&answer["data"]["result"], &recorded["result"]);
    let wanted_type = &recorded["resultType"];
    if answer["data"]["resultType"] != *wanted_type {
        return Err(format!("{answer}\n    wanted a {wanted_type}"));
    }
    match wanted_type.as_str().unwrap() {
        "scalar" => {
            let value = |json: &Json| Sample::Float(read_float(&json[1]));
            let differ = || format!("{ours}, wanted {theirs}");
            compare_samples(&value(ours), &value(theirs)).ok_or_else(differ)
        }
        "string" if ours == theirs => Ok(Agreement::Bits),
        "vector" => {
            let query = recorded["query"].as_str().unwrap();
            let expr = parse(query, &Functions, Features::ALL).map_err(|e| e.to_string())?;
            let (ours, theirs) = (read_vector(ours), read_vector(theirs));
            if is_ordered(&expr) {
                return same_order(&ours, &theirs);
            }
            same_vector(&ours, &theirs)
        }
        "matrix" => same_matrix(&read_matrix(ours), &read_matrix(theirs)),
        _ => Err(format!("{ours}, wanted {theirs}")),
    }
}

/// The same texts. Where some are left out, which these are is not said: then as many, and the
/// same line that counts the others.
fn same_remarks(ours: &Json, theirs: &Json) -> Result<(), String> {
    let texts = |json: &Json| -> Vec<String> {
        let texts = json.as_array().into_iter().flatten();
        let mut texts: Vec<String> = texts.map(|t| t.as_str().unwrap().to_owned()).collect();
        texts.sort();
        texts
    };
    let omission = |texts: &[String]| {
        let found = texts.iter().find(|t| t.ends_with("annotations omitted"));
        found.cloned()
    };
    let (ours, theirs) = (texts(ours), texts(theirs));
    let is_same = match omission(&theirs) {
        Some(omitted) => ours.len() == theirs.len() && omission(&ours) == Some(omitted),
        None => ours == theirs,
    };
    if is_same {
        return Ok(());
    }
    Err(format!("remarks {ours:?}\n    wanted {theirs:?}"))
}

#[test]
fn a_server_answers_what_prometheus_answered() {
    let server = start_with_series();
    let instants = Case::read("expected.jsonl.gz", "/api/v1/query", &["query", "time"]);
    let ranges = Case::read(
        "dense.jsonl.gz",
        "/api/v1/query_range",
        &["query", "start", "end", "step"],
    );
    say!("/api/v1/query: {} recorded answers", instants.len());
    let tally = ask_all(&server, &instants);
    tally.check_changed();
    tally.finish();
    say!("/api/v1/query_range: {} recorded answers", ranges.len());
    ask_all(&server, &ranges).finish();
}
