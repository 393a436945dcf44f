//! Twice what can be evaluated, for minutes, against the real process: its memory stays flat, what
//! it accepted it has, and alerts of another sender are in time.
//!
//! `cargo bench --bench soak -- [--seconds N] [--series N] [--senders N] [--factor X]`. For ten
//! seconds it is found out how many samples a second the engine takes; then as many senders as
//! wanted offer together `--factor` times that. What is answered 503 is sent again until it is
//! taken; a sender that falls behind leaves out scrapes. One more sender, with ten series, goes
//! over a threshold every ten seconds, and the bench, being its Alertmanager too, measures how
//! long after. The short form, on one thread and without a clock, is `tests/overload`.

#[path = "latency/http.rs"]
mod http;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use burnwatch::wire::v1;
use prost::Message;

use crate::http::{Connection, body_length, end_of_head};

const RULES: &str = "
groups:
- name: flood
  interval: 15s
  rules:
  - {record: 'flood:rate5m', expr: 'sum(rate(flood[5m]))'}
  - {alert: FloodHigh, expr: 'avg_over_time(flood[10m]) > 1e9'}
- name: others
  interval: 5s
  rules:
  - {alert: OthersHigh, expr: others > 5}
";
const LOG_SAMPLES: usize = 2_000_000;
const SERIES_A_REQUEST: usize = 2_000;
const SATURATE: Duration = Duration::from_secs(10);
/// How long a refused sender waits before it comes again; less than it is asked to.
const RETRY: Duration = Duration::from_millis(50);
/// Longer than the interval of the others' group: between two crossings there is a tick, and only
/// a tick takes an alert back.
const CROSSING: Duration = Duration::from_secs(10);
const PATIENCE: Duration = Duration::from_secs(120);

struct Arguments {
    seconds: u64,
    series: usize,
    senders: usize,
    factor: f64,
}

impl Arguments {
    fn read() -> Self {
        let words: Vec<String> = std::env::args().skip(1).collect();
        let number = |name: &str, default: f64| {
            let at = words.iter().position(|word| word == name);
            let value = at.and_then(|at| words.get(at + 1)?.parse::<f64>().ok());
            value.unwrap_or(default)
        };
        Arguments {
            seconds: number("--seconds", 120.0) as u64,
            series: (number("--series", 20_000.0) as usize).max(SERIES_A_REQUEST),
            senders: (number("--senders", 2.0) as usize).max(1),
            factor: number("--factor", 2.0),
        }
    }
}

fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    i64::try_from(since.expect("after 1970").as_millis()).expect("small")
}

/// The process, and what it has told its Alertmanager.
struct Server {
    child: Child,
    address: SocketAddr,
    _directory: tempfile::TempDir,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Server {
    fn start(sink: SocketAddr) -> Server {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let config = format!(
            "rule_files: [rules.yml]\n\
             alerting: {{alertmanagers: [{{static_configs: [{{targets: ['{sink}']}}]}}]}}\n\
             burnwatch:\n  limits:\n    log_samples: {LOG_SAMPLES}\n    \
             per_sender: {{header: X-Scope-OrgID}}\n"
        );
        let write = |name: &str, text: &str| {
            std::fs::write(directory.path().join(name), text).expect("a file can be written");
        };
        write("prometheus.yml", &config);
        write("rules.yml", RULES);
        let free = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
        let address = free.expect("loopback has a free port");
        let child = Command::new(env!("CARGO_BIN_EXE_burnwatch"))
            .args([
                "serve",
                "--config.file=prometheus.yml",
                "--storage.path=data",
            ])
            .arg(format!("--web.listen-address={address}"))
            .current_dir(directory.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        let server = Server {
            child: child.expect("the binary starts"),
            address,
            _directory: directory,
        };
        let started = Instant::now();
        while server
            .get("/-/ready")
            .is_none_or(|(status, _)| status != 200)
        {
            assert!(started.elapsed() < PATIENCE, "the server does not start");
            std::thread::sleep(Duration::from_millis(20));
        }
        server
    }

    fn get(&self, path: &str) -> Option<(u16, String)> {
        let mut connection = Connection::new(self.address).ok()?;
        connection.get(path).ok()
    }

    /// Returns the sum of a metric over its labels.
    fn metric(&self, name: &str) -> f64 {
        let (_, text) = self.get("/metrics").expect("it answers");
        let of_name = |line: &&str| {
            let rest = line.strip_prefix(name);
            rest.is_some_and(|rest| rest.starts_with(['{', ' ']))
        };
        let values = text.lines().filter(of_name);
        values
            .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
            .sum()
    }

    /// Returns the memory that is its own, not mapped from files, in MB.
    fn anonymous_mb(&self) -> f64 {
        let path = format!("/proc/{}/status", self.child.id());
        let status = std::fs::read_to_string(path).unwrap_or_default();
        let line = status.lines().find(|line| line.starts_with("RssAnon:"));
        let kb = line.and_then(|line| line.split_whitespace().nth(1)?.parse::<f64>().ok());
        kb.unwrap_or(0.0) / 1024.0
    }
}

/// An Alertmanager that notes when it was told that an alert fires.
fn sink(told: Arc<Mutex<Vec<Instant>>>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
    let address = listener.local_addr().expect("bound");
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let told = Arc::clone(&told);
            std::thread::spawn(move || answer(stream, &told));
        }
    });
    address
}

fn answer(mut stream: TcpStream, told: &Mutex<Vec<Instant>>) {
    let (mut came, mut buffer) = (Vec::new(), [0; 16 << 10]);
    while let Ok(n @ 1..) = stream.read(&mut buffer) {
        came.extend_from_slice(&buffer[..n]);
        while let Some(head) = end_of_head(&came) {
            let end = head + body_length(&came[..head]);
            if came.len() < end {
                break;
            }
            let body = String::from_utf8_lossy(&came[head..end]).into_owned();
            if body.contains("OthersHigh") {
                told.lock().expect("no panic").push(Instant::now());
            }
            came.drain(..end);
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}");
        }
    }
}

/// Returns a request of a tenant: series of a metric, all with a value at an instant.
fn request(
    metric: &str,
    tenant: &str,
    numbers: std::ops::Range<usize>,
    at: i64,
    value: f64,
) -> Vec<u8> {
    let label = |name: &str, value: String| v1::Label {
        name: name.to_owned(),
        value,
    };
    let series = |n: usize| v1::TimeSeries {
        labels: vec![
            label("__name__", metric.to_owned()),
            label("instance", format!("{tenant}-{}", n / SERIES_A_REQUEST)),
            label("job", "soak".to_owned()),
            label("n", n.to_string()),
            label("tenant", tenant.to_owned()),
        ],
        samples: vec![v1::Sample {
            value,
            timestamp: at,
        }],
        ..v1::TimeSeries::default()
    };
    let message = v1::WriteRequest {
        timeseries: numbers.map(series).collect(),
        ..v1::WriteRequest::default()
    };
    let mut encoder = snap::raw::Encoder::new();
    let body = encoder.compress_vec(&message.encode_to_vec());
    let body = body.expect("compresses");
    let mut request = format!(
        "POST /api/v1/write HTTP/1.1\r\nHost: bench\r\nX-Scope-OrgID: {tenant}\r\n\
         Content-Type: application/x-protobuf\r\nContent-Length: {}\r\n\r\n",
        body.len()
    )
    .into_bytes();
    request.extend(body);
    request
}

#[derive(Default)]
struct Counts {
    offered: AtomicU64,
    accepted: AtomicU64,
    refused: AtomicU64,
    stop: AtomicBool,
    /// Samples a second that all offer together; 0 = as many as they can.
    rate: AtomicU64,
}

/// Floods until told to stop.
fn flood(address: SocketAddr, tenant: usize, arguments: &Arguments, counts: &Counts) {
    let tenant = format!("flood-{tenant}");
    let mut connection = Connection::new(address).expect("connects");
    let n_series = arguments.series / arguments.senders;
    let mut due = Instant::now();
    while !counts.stop.load(Ordering::Relaxed) {
        let at = now_ms();
        for first in (0..n_series).step_by(SERIES_A_REQUEST) {
            let numbers = first..(first + SERIES_A_REQUEST).min(n_series);
            let n_samples = numbers.len() as u64;
            counts.offered.fetch_add(n_samples, Ordering::Relaxed);
            let request = request("flood", &tenant, numbers, at, 1.0);
            loop {
                let (status, text) = connection.ask(&request).expect("an answer");
                match status {
                    204 => break,
                    503 => counts.refused.fetch_add(1, Ordering::Relaxed),
                    other => panic!("{other}: {text}"),
                };
                if counts.stop.load(Ordering::Relaxed) {
                    return;
                }
                std::thread::sleep(RETRY);
            }
            counts.accepted.fetch_add(n_samples, Ordering::Relaxed);
        }
        let rate = counts.rate.load(Ordering::Relaxed);
        if rate > 0 {
            due += Duration::from_secs_f64(arguments.series as f64 / rate as f64);
            // Whoever is behind leaves scrapes out, and has offered them all the same.
            let now = Instant::now();
            while due < now {
                due += Duration::from_secs_f64(arguments.series as f64 / rate as f64);
                counts.offered.fetch_add(n_series as u64, Ordering::Relaxed);
            }
            std::thread::sleep(due - now);
        } else {
            due = Instant::now();
            // Two scrapes of one instant would be one.
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

/// Sends ten series once a second; every ten seconds they go over the threshold, or come back.
/// Returns the instants at which they went over, and how often it was refused.
fn others(address: SocketAddr, counts: &Counts) -> (Vec<Instant>, u64) {
    let mut connection = Connection::new(address).expect("connects");
    let (mut crossed, mut refused, mut is_over) = (Vec::new(), 0, false);
    let mut turned = Instant::now();
    while !counts.stop.load(Ordering::Relaxed) {
        let turns = turned.elapsed() >= CROSSING;
        if turns {
            turned = Instant::now();
            is_over = !is_over;
        }
        let value = if is_over { 9.0 } else { 1.0 };
        let request = request("others", "others", 0..10, now_ms(), value);
        if turns && is_over {
            crossed.push(Instant::now());
        }
        while connection.ask(&request).expect("an answer").0 != 204 {
            refused += 1;
            std::thread::sleep(RETRY);
        }
        counts.accepted.fetch_add(10, Ordering::Relaxed);
        std::thread::sleep(Duration::from_secs(1));
    }
    (crossed, refused)
}

fn main() {
    let arguments = Arguments::read();
    let told = Arc::new(Mutex::new(Vec::new()));
    let server = Server::start(sink(Arc::clone(&told)));
    let counts = Counts::default();
    let (counts, arguments, server) = (&counts, &arguments, &server);
    std::thread::scope(|scope| {
        for tenant in 0..arguments.senders {
            scope.spawn(move || flood(server.address, tenant, arguments, counts));
        }
        let others = scope.spawn(|| others(server.address, counts));
        // What the engine takes when it has more than enough.
        std::thread::sleep(SATURATE / 2);
        let before = server.metric("burnwatch_samples_applied_total");
        std::thread::sleep(SATURATE);
        let taken = server.metric("burnwatch_samples_applied_total") - before;
        let sustainable = taken / SATURATE.as_secs_f64();
        let rate = sustainable * arguments.factor;
        counts.rate.store(rate as u64, Ordering::Relaxed);
        println!("more: the engine takes {sustainable:.0} samples/s; {rate:.0} are offered");

        let offered_before = counts.offered.load(Ordering::Relaxed);
        let mut memory = Vec::new();
        let mut most_waiting: f64 = 0.0;
        for _ in 0..arguments.seconds {
            std::thread::sleep(Duration::from_secs(1));
            memory.push(server.anonymous_mb());
            most_waiting = most_waiting.max(server.metric("burnwatch_log_waiting_samples"));
        }
        let offered = counts.offered.load(Ordering::Relaxed) - offered_before;
        counts.stop.store(true, Ordering::Relaxed);
        let (crossed, refused_others) = others.join().expect("no panic");

        let accepted = counts.accepted.load(Ordering::Relaxed);
        let started = Instant::now();
        let applied = || server.metric("burnwatch_samples_applied_total");
        while (applied() as u64) < accepted && started.elapsed() < PATIENCE {
            std::thread::sleep(Duration::from_millis(100));
        }
        let applied = applied() as u64;
        let quarter = memory.len() / 4;
        let most = |part: &[f64]| part.iter().copied().fold(0.0, f64::max);
        let (early, late) = (most(&memory[..2 * quarter]), most(&memory[2 * quarter..]));
        let told = told.lock().expect("no panic").clone();
        let delays = crossed.iter().filter_map(|crossed| {
            let first = told.iter().find(|told| *told >= crossed)?;
            Some((*first - *crossed).as_secs_f64())
        });
        let delays: Vec<f64> = delays.collect();
        let worst = delays.iter().copied().fold(0.0, f64::max);
        println!(
            "row: soak | {} s at {:.1} × | accepted {accepted}, applied {applied} | refused {} \
             requests of the flood, {refused_others} of the other",
            arguments.seconds,
            offered as f64 / arguments.seconds.max(1) as f64 / sustainable,
            counts.refused.load(Ordering::Relaxed),
        );
        println!(
            "row: soak | memory at most {early:.0} MB in the first half, {late:.0} MB in the second \
             | {most_waiting:.0} of {LOG_SAMPLES} samples waited at most"
        );
        println!(
            "row: soak | {} of {} alerts of the other told, the latest after {worst:.2} s",
            delays.len(),
            crossed.len()
        );
        assert_eq!(applied, accepted, "an accepted sample is missing");
    });
}
