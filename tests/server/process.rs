//! Starting, asking and stopping a server.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use flate2::read::GzDecoder;
use serde_json::Value;
use tempfile::TempDir;

use crate::sender::{Protocol, Series};

/// How long a test waits for what must happen; reached only when something is broken.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Asks until there is an answer.
pub fn wait_for<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(started.elapsed() < PATIENCE, "still waiting for {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// The wall clock, ms since 1970.
pub fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    let ms = since.expect("after 1970").as_millis();
    i64::try_from(ms).expect("this side of the year 292 million")
}

fn empty_directory() -> TempDir {
    TempDir::new().expect("a temporary directory")
}

/// A directory with the files of a server to be.
pub struct Setup {
    directory: TempDir,
    flags: Vec<String>,
    /// The longest file that it may write, in blocks of 512 bytes.
    file_blocks_max: Option<u32>,
}

impl Setup {
    /// Returns an empty directory.
    pub fn new() -> Self {
        let directory = empty_directory();
        let flags = ["--storage.path=data", "--web.listen-address=127.0.0.1:0"];
        Setup {
            directory,
            flags: flags.map(str::to_owned).to_vec(),
            file_blocks_max: None,
        }
    }

    /// Returns a directory with `prometheus.yml`, which names `rules.yml`, and both flags set.
    pub fn with_rules(rules: &str) -> Self {
        Setup::with_config("", rules)
    }

    /// The same with more in `prometheus.yml`.
    pub fn with_config(more: &str, rules: &str) -> Self {
        let config =
            format!("global: {{evaluation_interval: 1s}}\nrule_files: [rules.yml]\n{more}");
        Setup::new()
            .file("prometheus.yml", &config)
            .file("rules.yml", rules)
            .flag("--config.file=prometheus.yml")
    }

    /// Writes a file.
    pub fn file(self, name: &str, text: &str) -> Self {
        std::fs::write(self.directory.path().join(name), text).expect("a file can be written");
        self
    }

    /// Writes a file of any bytes, and the folders above it.
    #[allow(dead_code, reason = "not every test that shares this file needs one")]
    pub fn bytes(self, name: &str, bytes: &[u8]) -> Self {
        let path = self.directory.path().join(name);
        let folder = path.parent().expect("it is in the directory");
        std::fs::create_dir_all(folder).expect("a folder can be made");
        std::fs::write(path, bytes).expect("a file can be written");
        self
    }

    /// Makes a folder for files to come.
    #[allow(dead_code, reason = "not every test that shares this file needs one")]
    pub fn folder(self, name: &str) -> Self {
        std::fs::create_dir(self.directory.path().join(name)).expect("a folder can be made");
        self
    }

    /// Puts a file where there is a folder.
    #[allow(dead_code, reason = "not every test that shares this file needs one")]
    pub fn replace_by_file(&self, folder: &str) {
        let path = self.directory.path().join(folder);
        std::fs::remove_dir_all(&path).expect("it is there");
        std::fs::write(path, "").expect("a file can be written");
    }

    /// Adds a flag; a later one of the same name takes the earlier one's place.
    pub fn flag(mut self, flag: &str) -> Self {
        let name = flag.split('=').next().unwrap_or(flag).to_owned();
        self.flags
            .retain(|known| known.split('=').next() != Some(&name));
        self.flags.push(flag.to_owned());
        self
    }

    /// Lets it write no longer files, in blocks of 512 bytes: what is beyond fails as a full disk
    /// does.
    pub fn file_blocks_max(mut self, n_blocks: u32) -> Self {
        self.file_blocks_max = Some(n_blocks);
        self
    }

    fn command(&self) -> Command {
        let binary = env!("CARGO_BIN_EXE_burnwatch");
        let Some(n_blocks) = self.file_blocks_max else {
            return Command::new(binary);
        };
        let mut command = Command::new("sh");
        // The signal that comes with it would end the process.
        let script = format!("trap '' XFSZ; ulimit -S -f {n_blocks}; exec \"$0\" \"$@\"");
        command.arg("-c").arg(script).arg(binary);
        command
    }

    fn spawn(self) -> Server {
        let log_path = self.directory.path().join("stderr.log");
        let log = std::fs::File::create(&log_path).expect("a log can be written");
        let child = self
            .command()
            .arg("serve")
            .args(&self.flags)
            .current_dir(self.directory.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::from(log))
            .spawn();
        Server {
            child: child.expect("the binary starts"),
            address: ([0, 0, 0, 0], 0).into(),
            log_path,
            directory: self.directory,
            flags: self.flags,
        }
    }

    /// Starts the server and waits until it answers requests.
    pub fn start(self) -> Server {
        let mut server = self.spawn();
        server.address = wait_for("the server to start", || {
            let log = server.log();
            if let Some(status) = server.child.try_wait().expect("a child can be asked") {
                panic!("the server ended with {status}");
            }
            let line = log
                .lines()
                .find(|line| line.contains("burnwatch is receiving"))?;
            let words = line.split(['=', '"', ' ', ',']);
            let mut addresses = words.filter_map(|word| word.parse::<SocketAddr>().ok());
            addresses.next()
        });
        if server.address.ip().is_unspecified() {
            server.address.set_ip([127, 0, 0, 1].into());
        }
        server
    }

    /// Starts a server that must refuse to start, and returns what it said on standard error.
    pub fn refused(self) -> String {
        let mut server = self.spawn();
        let status = server.wait_for_end();
        let text = server.log();
        assert_eq!(status.code(), Some(1), "{text}");
        text
    }
}

/// A running server; it ends with the test.
pub struct Server {
    child: Child,
    address: SocketAddr,
    log_path: PathBuf,
    directory: TempDir,
    flags: Vec<String>,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("the server's log:\n{}", self.log());
        }
    }
}

/// An answer.
#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    pub headers: HashMap<String, String>,
    pub text: String,
}

impl Reply {
    /// Returns the body as JSON.
    pub fn json(&self) -> Value {
        let parsed = serde_json::from_str(&self.text);
        parsed.unwrap_or_else(|error| panic!("{error} in {} {}", self.status, self.text))
    }

    /// Returns the three `Written` headers: samples, histograms, exemplars.
    pub fn written(&self) -> [u64; 3] {
        ["samples", "histograms", "exemplars"].map(|what| {
            let name = format!("x-prometheus-remote-write-{what}-written");
            let value = self.headers.get(&name);
            let value = value.unwrap_or_else(|| panic!("no {name} in {:?}", self.headers));
            value.parse().expect("a number")
        })
    }
}

impl Server {
    /// Kills it, and returns what it was set up with, to start it again.
    pub fn killed(mut self) -> Setup {
        self.child.kill().expect("a child can be killed");
        self.child.wait().expect("and waited for");
        Setup {
            directory: std::mem::replace(&mut self.directory, empty_directory()),
            flags: std::mem::take(&mut self.flags),
            file_blocks_max: None,
        }
    }

    /// Lets it write files of any length.
    pub fn lift_file_limit(&self) {
        let lifted = Command::new("prlimit")
            .arg(format!("--pid={}", self.child.id()))
            .arg("--fsize=unlimited:")
            .status();
        assert!(lifted.expect("prlimit runs").success());
    }

    /// Returns the set-up of another server with the same data directory.
    pub fn beside(&self) -> Setup {
        let data = self.directory.path().join("data");
        Setup::new().flag(&format!("--storage.path={}", data.display()))
    }

    /// Returns where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns what it has said so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log_path).unwrap_or_default()
    }

    /// Returns the names in a folder of its directory, in order.
    #[allow(dead_code, reason = "not every test that shares this file needs them")]
    pub fn files(&self, folder: &str) -> Vec<String> {
        let names = std::fs::read_dir(self.directory.path().join(folder));
        let names = names.expect("the folder is there").map(|entry| {
            let name = entry.expect("it is readable").file_name();
            name.into_string().expect("UTF-8")
        });
        let mut names: Vec<String> = names.collect();
        names.sort();
        names
    }

    /// Writes a file of its configuration.
    pub fn write_file(&self, name: &str, text: &str) {
        let path = self.directory.path().join(name);
        std::fs::write(path, text).expect("a file can be written");
    }

    /// Sends a request.
    pub fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Reply {
        let reply = send_to(self.address, (method, path), headers, body);
        reply.unwrap_or_else(|| panic!("no whole answer to {method} {path}"))
    }

    /// Sends a GET.
    pub fn get(&self, path: &str) -> Reply {
        self.send("GET", path, &[], b"")
    }

    /// Sends a POST.
    pub fn post(&self, path: &str) -> Reply {
        self.send("POST", path, &[], b"")
    }

    /// Sends a body of remote write.
    pub fn write_body(&self, protocol: Protocol, body: &[u8]) -> Reply {
        let headers = [
            ("Content-Encoding", "snappy"),
            ("Content-Type", protocol.content_type()),
            ("X-Prometheus-Remote-Write-Version", protocol.version()),
            ("User-Agent", "test/1"),
        ];
        self.send("POST", "/api/v1/write", &headers, body)
    }

    /// Writes series, which must all be taken.
    pub fn write(&self, protocol: Protocol, series: &[Series]) -> Reply {
        let reply = self.write_body(protocol, &protocol.body(series));
        assert_eq!((reply.status, reply.text.as_str()), (204, ""));
        reply
    }

    /// Writes one float of one series by 2.0.
    pub fn push(&self, name: &str, at: i64, value: f64) {
        self.write(Protocol::V2, &[Series::new(name).float(at, value)]);
    }

    /// Returns the `data` of an answer of the API, which must be a success.
    pub fn data(&self, path: &str) -> Value {
        let reply = self.get(&format!("/api/v1/{path}"));
        assert_eq!(reply.status, 200, "{path}: {}", reply.text);
        let body = reply.json();
        assert_eq!(body["status"], "success", "{path}");
        body["data"].clone()
    }

    /// Asks an instant query at an instant in ms, and returns `series value` lines.
    pub fn query(&self, query: &str, at: i64) -> Vec<String> {
        let query: String = url::form_urlencoded::byte_serialize(query.as_bytes()).collect();
        let seconds = at as f64 / 1000.0;
        let data = self.data(&format!("query?query={query}&time={seconds}"));
        let result = data["result"].as_array().expect("a vector").clone();
        let mut lines: Vec<String> = result.iter().map(one_line).collect();
        lines.sort();
        lines
    }

    /// Returns `alertname state` of every active alert, sorted.
    pub fn alerts(&self) -> Vec<String> {
        let data = self.data("alerts");
        let alerts = data["alerts"].as_array().expect("a list").clone();
        let line = |alert: &Value| {
            let text = |value: &Value| value.as_str().expect("text").to_owned();
            format!(
                "{} {}",
                text(&alert["labels"]["alertname"]),
                text(&alert["state"])
            )
        };
        let mut lines: Vec<String> = alerts.iter().map(line).collect();
        lines.sort();
        lines
    }

    /// Returns the value of one of its own metrics, written as in the exposition.
    pub fn metric(&self, series: &str) -> Option<f64> {
        let text = self.get("/metrics").text;
        let of_series = |line: &str| {
            let (name, value) = line.rsplit_once(' ')?;
            (name == series).then(|| value.parse().expect("a number"))
        };
        text.lines().find_map(of_series)
    }

    /// Sends a signal, by the name that `kill` knows.
    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill")
            .arg(format!("-{name}"))
            .arg(self.child.id().to_string())
            .status();
        assert!(sent.expect("kill runs").success());
    }

    /// Waits for the process to end by itself.
    pub fn wait_for_end(&mut self) -> ExitStatus {
        wait_for("the server to end", || {
            self.child.try_wait().expect("a child can be asked")
        })
    }
}

/// Sends a request to whoever listens at an address; nothing where there is no whole answer.
pub fn send_to(
    address: SocketAddr,
    (method, path): (&str, &str),
    headers: &[(&str, &str)],
    body: &[u8],
) -> Option<Reply> {
    let mut stream = TcpStream::connect(address).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    let mut head = format!("{method} {path} HTTP/1.1\r\nHost: {address}\r\n");
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    let length = body.len();
    head.push_str(&format!(
        "Content-Length: {length}\r\nConnection: close\r\n\r\n"
    ));
    stream.write_all(head.as_bytes()).ok()?;
    // The server may answer and close before it has read a body that is too large.
    let _ = stream.write_all(body);
    let mut reply = Vec::new();
    let _ = stream.read_to_end(&mut reply);
    read_reply(&reply)
}

fn one_line(element: &Value) -> String {
    let labels = element["metric"].as_object().expect("labels");
    let name = labels.get("__name__").and_then(Value::as_str);
    let pairs = labels
        .iter()
        .filter(|(label, _)| *label != "__name__")
        .map(|(label, value)| format!("{label}={value}"));
    let pairs: Vec<String> = pairs.collect();
    let value = match element["value"][1].as_str() {
        Some(value) => value.to_owned(),
        None => format!("histogram of {}", element["histogram"][1]["count"]),
    };
    format!(
        "{}{{{}}} {value}",
        name.unwrap_or_default(),
        pairs.join(",")
    )
}

fn read_reply(reply: &[u8]) -> Option<Reply> {
    let end = reply.windows(4).position(|bytes| bytes == b"\r\n\r\n")?;
    let head = std::str::from_utf8(&reply[..end]).ok()?;
    let body = &reply[end + 4..];
    let mut lines = head.lines();
    let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
    let header = |line: &str| {
        let (name, value) = line.split_once(": ")?;
        Some((name.to_ascii_lowercase(), value.to_owned()))
    };
    let headers: HashMap<String, String> = lines.filter_map(header).collect();
    let is_whole = match headers.get("content-length") {
        Some(length) => length.parse() == Ok(body.len()),
        None => !headers.contains_key("transfer-encoding"),
    };
    if !is_whole {
        return None;
    }
    let mut text = String::new();
    if headers.get("content-encoding").map(String::as_str) == Some("gzip") {
        GzDecoder::new(body).read_to_string(&mut text).ok()?;
    } else {
        text.push_str(std::str::from_utf8(body).ok()?);
    }
    Some(Reply {
        status,
        headers,
        text,
    })
}
