//! A server in a process of its own, how it is started, and what it has used of the machine.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::process_time::cpu_seconds_of;
use crate::sink;

/// A server takes at most this long to start.
const START_MAX: Duration = Duration::from_secs(60);
/// Processor time is counted to the end though a server does not come to rest for so long.
const REST_MAX: Duration = Duration::from_secs(900);

/// A running server; it ends with this value.
pub struct Server {
    /// How it is called in tables.
    pub name: &'static str,
    /// Where it listens.
    pub address: SocketAddr,
    /// Where it lives: its configuration, rules and data.
    pub directory: PathBuf,
    child: Child,
    _directory: TempDir,
}

/// What a server holds in memory, in bytes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Memory {
    /// Pages that no file backs.
    pub anonymous: f64,
    /// Mapped pages of files.
    pub file: f64,
}

/// How a server is started: `{port}`, `{sink}` and `{peer}` in arguments and files are replaced.
pub struct Recipe {
    /// How it is called in tables.
    pub name: &'static str,
    /// The program.
    pub program: PathBuf,
    /// Its command line.
    pub arguments: Vec<String>,
    /// Files in its directory: their names and what they hold.
    pub files: Vec<(&'static str, String)>,
    /// The path that answers 200 once it is ready.
    pub ready: &'static str,
}

const ALERTING: &str =
    "alerting:\n  alertmanagers:\n  - static_configs:\n    - targets: ['{sink}']\n";

/// Finds a program where `tests/tools.sh` puts it, or on PATH.
pub fn find(program: &str) -> Option<PathBuf> {
    let target = std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
    let target = target.unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("target"));
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut found = [target.join("tools/bin")]
        .into_iter()
        .chain(std::env::split_paths(&path))
        .map(|directory| directory.join(program));
    found.find(|file| file.is_file())
}

fn texts(arguments: &[&str]) -> Vec<String> {
    arguments.iter().map(|&text| text.to_owned()).collect()
}

/// burnwatch with a rule file, in a configuration that Prometheus could be given as well, and
/// settings of its own.
pub fn burnwatch(rules: &str, settings: &str) -> Recipe {
    Recipe {
        name: "burnwatch",
        program: PathBuf::from(env!("CARGO_BIN_EXE_burnwatch")),
        arguments: texts(&[
            "serve",
            "--config.file=prometheus.yml",
            "--burnwatch.config.file=burnwatch.yml",
            "--storage.path=data",
            "--web.listen-address=127.0.0.1:{port}",
        ]),
        files: vec![
            (
                "prometheus.yml",
                format!("rule_files: [rules.yml]\n{ALERTING}"),
            ),
            ("burnwatch.yml", settings.to_owned()),
            ("rules.yml", rules.to_owned()),
        ],
        ready: "/-/ready",
    }
}

/// Prometheus, which takes remote write and scrapes nothing.
pub fn prometheus() -> Option<Recipe> {
    Some(Recipe {
        name: "Prometheus",
        program: find("prometheus")?,
        arguments: texts(&[
            "--config.file=prometheus.yml",
            "--storage.tsdb.path=data",
            "--web.enable-remote-write-receiver",
            "--web.enable-lifecycle",
            "--web.listen-address=127.0.0.1:{port}",
        ]),
        files: vec![
            (
                "prometheus.yml",
                format!("rule_files: [rules.yml]\n{ALERTING}"),
            ),
            ("rules.yml", "groups: []\n".to_owned()),
        ],
        ready: "/-/ready",
    })
}

/// VictoriaMetrics, a single node.
pub fn victoria_metrics() -> Option<Recipe> {
    Some(Recipe {
        name: "VictoriaMetrics",
        program: find("victoria-metrics")?,
        arguments: texts(&[
            "-storageDataPath=data",
            "-retentionPeriod=2",
            "-httpListenAddr=127.0.0.1:{port}",
        ]),
        files: Vec::new(),
        ready: "/health",
    })
}

/// vmalert, which evaluates rules by asking the VictoriaMetrics at `peer`.
pub fn vmalert(rules: &str, peer: SocketAddr) -> Option<Recipe> {
    Some(Recipe {
        name: "vmalert",
        program: find("vmalert")?,
        arguments: texts(&[
            "-rule=rules.yml",
            &format!("-datasource.url=http://{peer}"),
            &format!("-remoteWrite.url=http://{peer}"),
            "-notifier.url=http://{sink}",
            "-evaluationInterval=15s",
            "-httpListenAddr=127.0.0.1:{port}",
        ]),
        files: vec![("rules.yml", rules.to_owned())],
        ready: "/health",
    })
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Server {
    /// Starts a server on a free port of loopback, with its data below `target/`, and waits until
    /// it is ready. Its log is `log` in its directory.
    pub fn start(recipe: &Recipe) -> Self {
        let home = tempfile::Builder::new()
            .prefix("compare-")
            .tempdir_in(env!("CARGO_TARGET_TMPDIR"))
            .expect("a directory below target");
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let address = free.local_addr().expect("an address");
        drop(free);
        let fill = |text: &str| {
            text.replace("{port}", &address.port().to_string())
                .replace("{sink}", &sink::address().to_string())
        };
        for (name, text) in &recipe.files {
            std::fs::write(home.path().join(name), fill(text)).expect("a file");
        }
        let log = std::fs::File::create(home.path().join("log")).expect("a file");
        let child = Command::new(&recipe.program)
            .args(recipe.arguments.iter().map(|text| fill(text)))
            .current_dir(home.path())
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a file"))
            .stderr(log)
            .spawn()
            .unwrap_or_else(|error| panic!("{}: {error}", recipe.program.display()));
        let mut server = Server {
            name: recipe.name,
            address,
            directory: home.path().to_owned(),
            child,
            _directory: home,
        };
        server.wait_ready(recipe.ready);
        server
    }

    fn wait_ready(&mut self, path: &str) {
        let started = Instant::now();
        while self
            .ask("GET", path)
            .is_none_or(|(status, _)| status != 200)
        {
            let ended = self.child.try_wait().ok().flatten();
            if ended.is_some() || started.elapsed() > START_MAX {
                let log = std::fs::read_to_string(self.directory.join("log")).unwrap_or_default();
                let tail: Vec<&str> = log.lines().rev().take(5).collect();
                panic!("{} does not start: {tail:#?}", self.name);
            }
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Asks over HTTP 1.0, which has no chunks, and returns the status and the body.
    pub fn ask(&self, method: &str, path: &str) -> Option<(u16, String)> {
        let mut stream = TcpStream::connect(self.address).ok()?;
        let request = format!("{method} {path} HTTP/1.0\r\nContent-Length: 0\r\n\r\n");
        stream.write_all(request.as_bytes()).ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        let (head, body) = answer.split_once("\r\n\r\n")?;
        let status = head.split(' ').nth(1)?.parse().ok()?;
        Some((status, body.to_owned()))
    }

    /// Returns the sum over all series of a metric of the server's own.
    pub fn metric(&self, name: &str) -> Option<f64> {
        let (_, text) = self.ask("GET", "/metrics")?;
        let values = text.lines().filter_map(|line| {
            let rest = line.strip_prefix(name)?;
            let is_it = rest.starts_with('{') || rest.starts_with(' ');
            is_it.then(|| rest.rsplit(' ').next()?.parse::<f64>().ok())?
        });
        values.reduce(|sum, value| sum + value)
    }

    fn proc(&self, file: &str) -> String {
        let path = format!("/proc/{}/{file}", self.child.id());
        std::fs::read_to_string(path).expect("a running process has its folder in /proc")
    }

    /// Returns the seconds of processor time that it has used, user and system.
    pub fn cpu_seconds(&self) -> f64 {
        cpu_seconds_of(self.child.id())
    }

    /// Returns what it holds in memory now.
    pub fn memory(&self) -> Memory {
        let status = self.proc("status");
        let bytes = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            let number = line.and_then(|rest| rest.split_whitespace().next());
            number
                .and_then(|text| text.parse::<f64>().ok())
                .map_or(f64::NAN, |kib| kib * 1024.0)
        };
        Memory {
            anonymous: bytes("RssAnon:"),
            file: bytes("RssFile:"),
        }
    }

    /// Waits until it has nothing more to do: what has been taken may lie in a queue still.
    pub fn rest(&self) {
        let started = Instant::now();
        let (mut before, mut n_quiet) = (self.cpu_seconds(), 0);
        while n_quiet < 3 && started.elapsed() < REST_MAX {
            thread::sleep(Duration::from_millis(200));
            let now = self.cpu_seconds();
            let is_quiet = now - std::mem::replace(&mut before, now) < 0.015;
            n_quiet = if is_quiet { n_quiet + 1 } else { 0 };
        }
    }
}
