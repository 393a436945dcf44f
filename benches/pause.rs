//! The real process with very many watched series: how long requests take while a checkpoint is
//! written and while none is, and how long it takes to be back after `kill -9`.
//!
//! `cargo bench --bench pause -- [--series N] [--seconds N] [--interval SECONDS]`. Scrapes of all
//! series come in requests of 2,000, spread over 15 seconds; checkpoints are written every so many
//! seconds. A request counts for a checkpoint if one was being written when it was sent or answered.
//! Then the process is killed and started again, and it is told when it takes the first request,
//! when it says that it is ready, and when it has applied a whole scrape sent after that.

#[path = "latency/http.rs"]
#[allow(dead_code, reason = "the other benches use the rest")]
mod http;
#[path = "support/process_time.rs"]
mod process_time;

use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use burnwatch::wire::v1;
use prost::Message;

use crate::http::{Connection, write_request};
use crate::process_time::cpu_seconds_of;

const RULES: &str = "
groups:
- name: slo
  interval: 1m
  rules:
  - alert: Fast
    expr: rate(requests_total[5m]) > 14 and rate(requests_total[1h]) > 14
  - alert: Slow
    expr: rate(requests_total[6h]) > 6 and rate(requests_total[3d]) > 6
";
const PER_REQUEST: usize = 2_000;
const SCRAPE: Duration = Duration::from_secs(15);
const PATIENCE: Duration = Duration::from_secs(900);

struct Server {
    child: Child,
    address: SocketAddr,
    started: Instant,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Server {
    fn start(directory: &Path) -> Server {
        let free = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
        let address = free.expect("loopback has a free port");
        let log = std::fs::File::create(directory.join("log.txt")).expect("it is writable");
        let started = Instant::now();
        let child = Command::new(env!("CARGO_BIN_EXE_burnwatch"))
            .args([
                "serve",
                "--config.file=prometheus.yml",
                "--storage.path=data",
            ])
            .arg(format!("--web.listen-address={address}"))
            .current_dir(directory)
            .stdout(Stdio::null())
            .stderr(log)
            .spawn();
        Server {
            child: child.expect("the binary starts"),
            address,
            started,
        }
    }

    fn get(&self, path: &str) -> Option<(u16, String)> {
        Connection::new(self.address).ok()?.get(path).ok()
    }

    fn is_ready(&self) -> bool {
        self.get("/-/ready")
            .is_some_and(|(status, _)| status == 200)
    }

    /// Returns the sum of a metric over its labels.
    fn metric(&self, name: &str) -> f64 {
        let (_, text) = self.get("/metrics").expect("it answers");
        let lines = text.lines().filter(|line| {
            let rest = line.strip_prefix(name);
            rest.is_some_and(|rest| rest.starts_with(['{', ' ']))
        });
        let values = lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok());
        values.sum()
    }

    fn wait_applied(&self) {
        wait("what was sent to be applied", || {
            (self.metric("burnwatch_log_waiting_samples") == 0.0).then_some(())
        });
    }
}

fn wait<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(began.elapsed() < PATIENCE, "no end of waiting for {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    i64::try_from(since.expect("after 1970").as_millis()).expect("small")
}

/// Returns the requests of one scrape.
fn request(first: usize, last: usize, at: i64, value: f64) -> Vec<u8> {
    let label = |name: &str, value: String| v1::Label {
        name: name.to_owned(),
        value,
    };
    let series = |n: usize| v1::TimeSeries {
        labels: vec![
            label("__name__", "requests_total".to_owned()),
            label("cluster", "eu-central-1-production".to_owned()),
            label(
                "instance",
                format!("10.{}.{}.{}:8080", n / 65_536, n / 256 % 256, n / 20 % 256),
            ),
            label("job", "checkout".to_owned()),
            label("namespace", "shop".to_owned()),
            label("path", format!("/api/v1/resource/{}", n % 20)),
            label("pod", format!("checkout-7d9f8b6c5d-{:05}", n / 20)),
            label("status", "200".to_owned()),
        ],
        samples: vec![v1::Sample {
            value: value + (n % 97) as f64,
            timestamp: at,
        }],
        ..v1::TimeSeries::default()
    };
    let message = v1::WriteRequest {
        timeseries: (first..last).map(series).collect(),
        ..v1::WriteRequest::default()
    };
    let body = snap::raw::Encoder::new().compress_vec(&message.encode_to_vec());
    write_request(&body.expect("compresses"))
}

/// Tells whether a checkpoint is being written.
fn is_saving(checkpoints: &Path) -> bool {
    let shards = std::fs::read_dir(checkpoints)
        .into_iter()
        .flatten()
        .flatten();
    let files = shards.flat_map(|shard| std::fs::read_dir(shard.path()).into_iter().flatten());
    files.flatten().any(|file| {
        let path = file.path();
        path.extension().is_some_and(|end| end == "unfinished")
    })
}

/// Tells how long requests took, in ms.
fn tell(what: &str, mut latencies: Vec<f64>) {
    latencies.sort_by(f64::total_cmp);
    let at = |share: f64| {
        let place = (latencies.len() as f64 * share) as usize;
        latencies
            .get(place.min(latencies.len().saturating_sub(1)))
            .copied()
    };
    let of = |share| at(share).unwrap_or(f64::NAN);
    println!(
        "row: pause | {what}: {} requests, p50 {:.1} ms, p99 {:.1} ms, most {:.1} ms",
        latencies.len(),
        of(0.5),
        of(0.99),
        of(1.0)
    );
}

fn main() {
    let argument = |name: &str, default: u64| {
        let mut arguments = std::env::args().skip_while(|argument| argument != name);
        let value = arguments.nth(1);
        value.map_or(default, |value| value.parse().expect("a number"))
    };
    let n_series = argument("--series", 200_000) as usize;
    let (seconds, interval) = (argument("--seconds", 60), argument("--interval", 20));
    let folder = tempfile::tempdir().expect("there is a place for temporary files");
    let directory = folder.path();
    let config = format!(
        "rule_files: [rules.yml]\nburnwatch:\n  checkpoint_interval: {interval}s\n  limits: \
         {{log_samples: 100000000}}\n"
    );
    std::fs::write(directory.join("prometheus.yml"), config).expect("it is writable");
    std::fs::write(directory.join("rules.yml"), RULES).expect("it is writable");
    let checkpoints = directory.join("data/checkpoints");
    let server = Server::start(directory);
    wait("the server", || server.is_ready().then_some(()));
    let mut connection = Connection::new(server.address).expect("connects");
    let mut value = 0.0;
    let ranges: Vec<(usize, usize)> = (0..n_series)
        .step_by(PER_REQUEST)
        .map(|first| (first, (first + PER_REQUEST).min(n_series)))
        .collect();
    for _ in 0..3 {
        value += 100.0;
        let at = now_ms();
        for (first, last) in &ranges {
            let (status, text) = connection
                .ask(&request(*first, *last, at, value))
                .expect("an answer");
            assert_eq!(status, 204, "{text}");
        }
        server.wait_applied();
    }

    let (mut during, mut between) = (Vec::new(), Vec::new());
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(seconds) {
        value += 100.0;
        let (scrape, at) = (Instant::now(), now_ms());
        for (number, (first, last)) in ranges.iter().enumerate() {
            let request = request(*first, *last, at, value);
            let due = SCRAPE.mul_f64(number as f64 / ranges.len() as f64);
            std::thread::sleep(due.saturating_sub(scrape.elapsed()));
            let was_saving = is_saving(&checkpoints);
            let sent = Instant::now();
            let (status, text) = connection.ask(&request).expect("an answer");
            let took = sent.elapsed().as_secs_f64() * 1e3;
            assert_eq!(status, 204, "{text}");
            match was_saving || is_saving(&checkpoints) {
                true => during.push(took),
                false => between.push(took),
            }
        }
        std::thread::sleep(SCRAPE.saturating_sub(scrape.elapsed()));
    }
    println!("row: pause | {n_series} series, 4 windows each");
    tell("while a checkpoint is written", during);
    tell("while none is", between);
    println!(
        "row: pause | {} checkpoints, the last took {:.1} s and held the engine up for {:.0} ms at its \
         beginning",
        server.metric("burnwatch_checkpoints_written_total"),
        server.metric("burnwatch_checkpoint_last_duration_seconds"),
        server.metric("burnwatch_checkpoint_last_pause_seconds") * 1e3,
    );

    server.wait_applied();
    drop(server);
    let server = Server::start(directory);
    value += 100.0;
    let at = now_ms();
    let (first, last) = ranges[0];
    let body = request(first, last, at, value);
    wait("the first request to be taken", || {
        let mut connection = Connection::new(server.address).ok()?;
        (connection.ask(&body).ok()?.0 == 204).then_some(())
    });
    let accepting = server.started.elapsed();
    wait("the server to be ready", || server.is_ready().then_some(()));
    let ready = server.started.elapsed();
    let cpu = cpu_seconds_of(server.child.id());
    let mut connection = Connection::new(server.address).expect("connects");
    for (first, last) in &ranges[1..] {
        let request = request(*first, *last, at, value);
        let (status, text) = connection.ask(&request).expect("an answer");
        assert_eq!(status, 204, "{text}");
    }
    server.wait_applied();
    println!(
        "row: pause | after kill -9: the first request is taken after {:.2} s, ready after {:.2} s \
         ({:.1} s of processor time), a whole scrape applied after {:.2} s ({:.1} s)",
        accepting.as_secs_f64(),
        ready.as_secs_f64(),
        cpu,
        server.started.elapsed().as_secs_f64(),
        cpu_seconds_of(server.child.id()),
    );
}
