//! The server: the program as it is installed, in a process of its own.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::fleet::RULES;
use crate::http::Connection;
use crate::process_time::cpu_seconds_of;

/// How long the server may take to start.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running server; it ends with this value.
pub struct Server {
    child: Child,
    /// Where it listens.
    pub address: SocketAddr,
    _directory: TempDir,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Server {
    /// Starts it with the rules of the bench and an Alertmanager.
    pub fn start(alertmanager: SocketAddr) -> Self {
        let directory = TempDir::new().expect("a temporary directory");
        let config = format!(
            "global: {{evaluation_interval: 15s}}\nrule_files: [rules.yml]\nalerting:\n  \
             alertmanagers:\n  - static_configs: [{{targets: ['{alertmanager}']}}]\n"
        );
        std::fs::write(directory.path().join("prometheus.yml"), config).expect("a file");
        std::fs::write(directory.path().join("rules.yml"), RULES).expect("a file");
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let address = free.local_addr().expect("an address");
        drop(free);
        let child = Command::new(env!("CARGO_BIN_EXE_burnwatch"))
            .args([
                "serve",
                "--config.file=prometheus.yml",
                "--storage.path=data",
            ])
            .arg(format!("--web.listen-address={address}"))
            .current_dir(directory.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("the release binary");
        let server = Server {
            child,
            address,
            _directory: directory,
        };
        let started = Instant::now();
        while !server.is_ready() {
            assert!(started.elapsed() < PATIENCE, "the server does not start");
            std::thread::sleep(Duration::from_millis(20));
        }
        server
    }

    fn is_ready(&self) -> bool {
        let answer = Connection::new(self.address).and_then(|mut c| c.get("/-/ready"));
        answer.is_ok_and(|(status, _)| status == 200)
    }

    /// Returns its own metrics.
    pub fn metrics(&self) -> String {
        let mut connection = Connection::new(self.address).expect("a connection");
        connection.get("/metrics").expect("an answer").1
    }

    /// Returns the seconds of processor time that it has used.
    pub fn cpu_seconds(&self) -> f64 {
        cpu_seconds_of(self.child.id())
    }
}

/// Returns a histogram of the exposition whose labels contain `part`: upper bounds, and how many
/// observations have not exceeded each.
pub fn histogram(metrics: &str, name: &str, part: &str) -> Vec<(f64, f64)> {
    let bucket = |line: &str| {
        let rest = line.strip_prefix(name)?.strip_prefix("_bucket{")?;
        let (labels, value) = rest.rsplit_once("} ")?;
        let labels = Some(labels).filter(|labels| labels.contains(part))?;
        let bound = labels.split("le=\"").nth(1)?.split('"').next()?;
        let bound = bound.replace("+Inf", "inf").parse().ok()?;
        Some((bound, value.parse().ok()?))
    };
    metrics.lines().filter_map(bucket).collect()
}

/// Returns what came to a histogram between two looks.
pub fn between(before: &[(f64, f64)], after: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let earlier = before.iter().map(|(_, n)| *n).chain(std::iter::repeat(0.0));
    let pairs = after.iter().zip(earlier);
    pairs
        .map(|((bound, n), before)| (*bound, n - before))
        .collect()
}

/// Returns the number of all observations.
pub fn count(buckets: &[(f64, f64)]) -> f64 {
    buckets.last().map_or(0.0, |(_, count)| *count)
}

/// Returns a quantile of a histogram, as `histogram_quantile` does.
pub fn quantile(buckets: &[(f64, f64)], quantile: f64) -> f64 {
    if count(buckets) == 0.0 {
        return f64::NAN;
    }
    let rank = quantile * count(buckets);
    let mut lower = (0.0, 0.0);
    for (bound, so_far) in buckets {
        if *so_far >= rank {
            if bound.is_infinite() {
                return lower.0;
            }
            return lower.0 + (bound - lower.0) * (rank - lower.1) / (so_far - lower.1);
        }
        lower = (*bound, *so_far);
    }
    lower.0
}
