//! A server in a process of its own, what it is asked, and what it has used of the machine.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use prost::Message;
use serde_json::Value;
use tempfile::TempDir;

use crate::process_time::cpu_seconds_of;

/// A server takes at most this long to start, to write a request, or to come to rest.
const PATIENCE: Duration = Duration::from_secs(300);

/// A running server; it ends with this value.
pub struct Server {
    /// How it is called in the table.
    pub name: &'static str,
    child: Child,
    address: SocketAddr,
    _directory: TempDir,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Finds a program on PATH or where `tests/tools.sh` puts it.
pub fn find(program: &str) -> Option<PathBuf> {
    let tools = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/tools/bin");
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut found = std::env::split_paths(&path)
        .chain([tools])
        .map(|directory| directory.join(program));
    found.find(|file| file.is_file())
}

impl Server {
    /// Starts burnwatch, keeping all that comes.
    pub fn burnwatch() -> Self {
        let config = "burnwatch: {log: all, retention: 25h}\n";
        let flags = ["serve", "--config.file=config.yml", "--storage.path=data"];
        let program = Path::new(env!("CARGO_BIN_EXE_burnwatch"));
        Server::start("burnwatch", program, config, &flags)
    }

    /// Starts Prometheus, taking remote write and scraping nothing.
    pub fn prometheus(program: &Path) -> Self {
        let flags = [
            "--config.file=config.yml",
            "--storage.tsdb.path=data",
            "--web.enable-remote-write-receiver",
        ];
        Server::start("Prometheus", program, "global: {}\n", &flags)
    }

    fn start(name: &'static str, program: &Path, config: &str, flags: &[&str]) -> Self {
        let directory = TempDir::new().expect("a temporary directory");
        std::fs::write(directory.path().join("config.yml"), config).expect("a file");
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let address = free.local_addr().expect("an address");
        drop(free);
        let child = Command::new(program)
            .args(flags)
            .arg(format!("--web.listen-address={address}"))
            .current_dir(directory.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("{}: {error}", program.display()));
        let server = Server {
            name,
            child,
            address,
            _directory: directory,
        };
        server.wait("to be ready", || {
            let (status, _) = server.try_ask("GET /-/ready", &[], &[])?;
            (status == 200).then_some(())
        });
        server
    }

    fn wait<T>(&self, what: &str, mut look: impl FnMut() -> Option<T>) -> T {
        let started = Instant::now();
        loop {
            if let Some(found) = look() {
                return found;
            }
            let name = self.name;
            assert!(
                started.elapsed() < PATIENCE,
                "still waiting for {name} {what}"
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Asks over HTTP 1.0, which has no chunks, and returns the status and the body.
    fn try_ask(&self, request: &str, headers: &[&str], body: &[u8]) -> Option<(u16, Vec<u8>)> {
        let mut stream = TcpStream::connect(self.address).ok()?;
        let mut text = format!("{request} HTTP/1.0\r\nContent-Length: {}\r\n", body.len());
        headers
            .iter()
            .for_each(|header| text += &format!("{header}\r\n"));
        text += "\r\n";
        stream.write_all(text.as_bytes()).ok()?;
        stream.write_all(body).ok()?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).ok()?;
        let end = answer.windows(4).position(|four| four == b"\r\n\r\n")?;
        let status = std::str::from_utf8(&answer[..end])
            .ok()?
            .split(' ')
            .nth(1)?;
        let status = status.parse().ok()?;
        Some((status, answer.split_off(end + 4)))
    }

    /// Writes samples; comes again when the server is busy.
    pub fn write(&self, request: &burnwatch::wire::v1::WriteRequest) {
        let plain = request.encode_to_vec();
        let body = snap::raw::Encoder::new().compress_vec(&plain);
        let body = body.expect("fits into memory");
        let headers = [
            "Content-Encoding: snappy",
            "Content-Type: application/x-protobuf",
            "X-Prometheus-Remote-Write-Version: 0.1.0",
        ];
        self.wait("to take samples", || {
            let (status, text) = self.try_ask("POST /api/v1/write", &headers, &body)?;
            let text = String::from_utf8_lossy(&text);
            assert!(matches!(status, 200 | 204 | 503), "{}: {text}", self.name);
            (status != 503).then_some(())
        });
    }

    /// Asks a query; `parameters` are encoded already.
    pub fn ask(&self, path: &str, parameters: &str) -> Vec<u8> {
        let request = format!("GET /api/v1/{path}?{parameters}");
        let (status, body) = self.try_ask(&request, &[], &[]).expect("an answer");
        let text = || String::from_utf8_lossy(&body);
        assert_eq!(status, 200, "{}: {request}: {}", self.name, text());
        body
    }

    /// Returns `data.result` of an answer.
    pub fn result(body: &[u8]) -> Value {
        let mut answer: Value = serde_json::from_slice(body).expect("JSON");
        answer["data"]["result"].take()
    }

    fn proc(&self, file: &str) -> String {
        let path = format!("/proc/{}/{file}", self.child.id());
        std::fs::read_to_string(path).expect("a running process has its folder in /proc")
    }

    /// Returns the seconds of processor time that it has used.
    pub fn cpu_seconds(&self) -> f64 {
        cpu_seconds_of(self.child.id())
    }

    /// Waits until it has nothing more to do: compaction goes on for a while after writing.
    pub fn rest(&self) {
        let mut before = self.cpu_seconds();
        let mut n_quiet = 0;
        self.wait("to come to rest", || {
            std::thread::sleep(Duration::from_secs(2));
            let now = self.cpu_seconds();
            let is_quiet = now - std::mem::replace(&mut before, now) < 0.05;
            n_quiet = if is_quiet { n_quiet + 1 } else { 0 };
            (n_quiet == 3).then_some(())
        });
    }

    /// Returns the resident memory and the most there ever was of it, in MiB.
    pub fn memory_mib(&self) -> (f64, f64) {
        let status = self.proc("status");
        let kib = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            let number = line.and_then(|rest| rest.split_whitespace().next());
            number.and_then(|text| text.parse::<f64>().ok())
        };
        let mib = |name| kib(name).unwrap_or(f64::NAN) / 1024.0;
        (mib("VmRSS:"), mib("VmHWM:"))
    }
}
