//! Starting, asking and stopping the programs of a test.

use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use axum::Router;
use serde_json::Value;
use tempfile::TempDir;

use crate::tools::free_address;

/// How long a test waits for what must happen; reached only when something is broken.
const PATIENCE: Duration = Duration::from_secs(90);

/// Returns a port that is free now.
pub fn free_port() -> u16 {
    free_address().port()
}

/// Serves an application on a free port until the process ends.
pub fn serve(app: Router) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
    listener
        .set_nonblocking(true)
        .expect("a socket can be non-blocking");
    let port = listener.local_addr().expect("it is bound").port();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        runtime.expect("a runtime").block_on(async move {
            let listener = tokio::net::TcpListener::from_std(listener).expect("a listener");
            axum::serve(listener, app).await.expect("serves");
        });
    });
    port
}

/// Returns the wall clock, ms.
pub fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    i64::try_from(since.expect("after 1970").as_millis()).expect("small")
}

/// Asks until there is an answer.
pub fn wait_for<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(answer) = ask() {
            eprintln!("{:>6} ms  {what}", started.elapsed().as_millis());
            return answer;
        }
        assert!(started.elapsed() < PATIENCE, "still waiting for {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Returns the JSON at a URL, or nothing when there is none.
pub fn http_get(url: &str) -> Option<Value> {
    serde_json::from_str(&http_text(url)?).ok()
}

/// Returns the text at a URL, or nothing when there is none.
pub fn http_text(url: &str) -> Option<String> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .ok()?;
    runtime.block_on(async {
        let client = burnwatch::notify::http_client::plain().ok()?;
        client.get(url).send().await.ok()?.text().await.ok()
    })
}

/// Waits until the server at a URL, of whatever kind, says that it is ready.
pub fn wait_until_ready(url: &str) {
    let url = format!("{url}/-/ready");
    wait_for(&url, || {
        let is_ready = |text: &String| text.to_lowercase().contains(" ready") || text == "OK";
        http_text(&url).filter(is_ready)
    });
}

/// Returns burnwatch's program.
pub fn burnwatch() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_burnwatch"))
}

/// A running program; it is killed when it goes.
pub struct Running(Child);

impl Running {
    /// Starts a program in a directory; what it says goes to a file there.
    pub fn start(directory: &Path, name: &str, program: &Path, args: &[String]) -> Running {
        let log = std::fs::File::options()
            .create(true)
            .append(true)
            .open(directory.join(format!("{name}.log")));
        let child = Command::new(program)
            .args(args)
            .stdout(Stdio::null())
            .stderr(Stdio::from(log.expect("a log can be written")))
            .current_dir(directory)
            .spawn();
        Running(child.unwrap_or_else(|error| panic!("cannot start {}: {error}", program.display())))
    }

    /// Asks the program to end, and waits until it has.
    pub fn end(mut self) {
        let id = self.0.id().to_string();
        let asked = Command::new("kill").args(["-TERM", &id]).status();
        assert!(asked.is_ok_and(|status| status.success()), "kill -TERM");
        let _ = self.0.wait();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Prometheus, burnwatch and Alertmanager, wired together; all end with it.
pub struct Stack {
    directory: TempDir,
    ports: Ports,
    _prometheus: Option<Running>,
    burnwatch: Option<Running>,
    alertmanager: Option<Running>,
}

#[derive(Clone, Copy)]
struct Ports {
    prometheus: u16,
    burnwatch: u16,
    alertmanager: u16,
}

impl Stack {
    /// Starts all three and waits until they are ready.
    pub fn start(
        prometheus: &Path,
        alertmanager: &Path,
        rules: &str,
        exporter_port: u16,
        alertmanager_hook: u16,
        own_hook: u16,
    ) -> Stack {
        let hooks = (alertmanager_hook, own_hook);
        let mut stack = Stack::without_prometheus(alertmanager, rules, exporter_port, hooks);
        let path = |name: &str| stack.directory.path().join(name).display().to_string();
        let port = stack.ports.prometheus;
        let prometheus = stack.spawn(
            prometheus,
            &[
                format!("--config.file={}", path("scraping.yml")),
                format!("--storage.tsdb.path={}", path("tsdb")),
                format!("--web.listen-address=127.0.0.1:{port}"),
            ],
        );
        stack._prometheus = Some(prometheus);
        wait_until_ready(&format!("http://127.0.0.1:{port}"));
        stack
    }

    /// The same without Prometheus: the test sends.
    pub fn without_prometheus(
        alertmanager: &Path,
        rules: &str,
        exporter_port: u16,
        (alertmanager_hook, own_hook): (u16, u16),
    ) -> Stack {
        let directory = TempDir::new().expect("a temporary directory");
        let ports = Ports {
            prometheus: free_port(),
            burnwatch: free_port(),
            alertmanager: free_port(),
        };
        let write = |name: &str, text: String| {
            std::fs::write(directory.path().join(name), text).expect("a file can be written");
        };
        write("rules.yml", rules.to_owned());
        write("scraping.yml", scraping_config(exporter_port, ports));
        write("prometheus.yml", alerting_config(exporter_port, ports));
        write("burnwatch.yml", own_config(own_hook));
        let mut stack = Stack {
            directory,
            ports,
            _prometheus: None,
            burnwatch: None,
            alertmanager: None,
        };
        stack.start_alertmanager(alertmanager, alertmanager_hook);
        stack.start_burnwatch();
        stack
    }

    /// Starts burnwatch, anew with what it has in its directory, and waits until it is ready.
    pub fn start_burnwatch(&mut self) {
        let path = |name: &str| self.directory.path().join(name).display().to_string();
        let running = self.spawn(
            burnwatch(),
            &[
                "serve".to_owned(),
                format!("--config.file={}", path("prometheus.yml")),
                format!("--burnwatch.config.file={}", path("burnwatch.yml")),
                format!("--storage.path={}", path("data")),
                format!("--web.listen-address=127.0.0.1:{}", self.ports.burnwatch),
                "--rules.alert.resend-delay=2s".to_owned(),
            ],
        );
        self.burnwatch = Some(running);
        wait_until_ready(&self.burnwatch_url(""));
    }

    /// Kills burnwatch: it has no time to write or to say anything.
    pub fn kill_burnwatch(&mut self) {
        self.burnwatch = None;
    }

    /// Asks Alertmanager to end, so that it remembers whom it notified.
    pub fn end_alertmanager(&mut self) {
        if let Some(alertmanager) = self.alertmanager.take() {
            alertmanager.end();
        }
    }

    /// Sends a body of remote write 1.0 to burnwatch; returns the status.
    pub fn write(&self, body: Vec<u8>) -> u16 {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        let url = self.burnwatch_url("/api/v1/write");
        runtime.expect("a runtime").block_on(async {
            let client = burnwatch::notify::http_client::plain().expect("a client");
            let sent = client.post(url).body(body).send().await;
            sent.expect("burnwatch answers").status().as_u16()
        })
    }

    /// Starts the Alertmanager.
    pub fn start_alertmanager(&mut self, program: &Path, hook: u16) {
        self.start_alertmanager_with(program, &alertmanager_config(hook));
    }

    /// Starts the Alertmanager with another configuration.
    pub fn start_alertmanager_with(&mut self, program: &Path, text: &str) {
        let directory = self.directory.path();
        let config = directory.join("alertmanager.yml");
        std::fs::write(&config, text).expect("a file can be written");
        let running = self.spawn(
            program,
            &[
                format!("--config.file={}", config.display()),
                format!("--storage.path={}", directory.join("am").display()),
                format!("--web.listen-address=127.0.0.1:{}", self.ports.alertmanager),
                "--cluster.listen-address=".to_owned(),
            ],
        );
        self.alertmanager = Some(running);
        let url = self.alertmanager_url("/-/ready");
        wait_for(&url, || http_text(&url).filter(|text| text.contains("OK")));
    }

    /// Kills the Alertmanager.
    pub fn stop_alertmanager(&mut self) {
        self.alertmanager = None;
    }

    fn spawn(&self, program: &Path, args: &[String]) -> Running {
        let name = program
            .file_name()
            .and_then(|name| name.to_str())
            .unwrap_or("program");
        Running::start(self.directory.path(), name, program, args)
    }

    /// Returns a URL of burnwatch.
    pub fn burnwatch_url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.ports.burnwatch)
    }

    /// Returns a URL of Alertmanager.
    pub fn alertmanager_url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.ports.alertmanager)
    }

    /// Returns the sum of one of burnwatch's own metrics over its labels.
    pub fn metric(&self, name: &str) -> Option<f64> {
        metric(&self.burnwatch_url(""), name, "")
    }
}

/// Returns the sum of a metric of the server at a URL over the lines that contain `part`.
pub fn metric(url: &str, name: &str, part: &str) -> Option<f64> {
    let text = http_text(&format!("{url}/metrics"))?;
    let of_name = |line: &&str| {
        line.strip_prefix(name)
            .is_some_and(|rest| rest.starts_with(['{', ' ']) && rest.contains(part))
    };
    let values = text
        .lines()
        .filter(of_name)
        .filter_map(|line| line.split(' ').next_back());
    Some(values.filter_map(|value| value.parse::<f64>().ok()).sum())
}

/// Small requests over several connections, so that every scrape is split. Prometheus itself
/// has neither rules nor an Alertmanager: whatever is told, burnwatch tells.
fn scraping_config(exporter: u16, ports: Ports) -> String {
    format!(
        "
global: {{scrape_interval: 250ms, scrape_timeout: 250ms, evaluation_interval: 1s}}
remote_write:
- url: http://127.0.0.1:{burnwatch}/api/v1/write
  queue_config: {{max_samples_per_send: 7, min_shards: 3, max_shards: 3, batch_send_deadline: 100ms}}
  write_relabel_configs:
  - {{source_labels: [__name__], regex: 'ALERTS.*', action: drop}}
scrape_configs:
- job_name: e2e
  static_configs: [{{targets: ['127.0.0.1:{exporter}']}}]
",
        burnwatch = ports.burnwatch,
    )
}

/// The same file as a user would have it, with rules and an Alertmanager.
fn alerting_config(exporter: u16, ports: Ports) -> String {
    format!(
        "{}
rule_files: [rules.yml]
alerting:
  alertmanagers:
  - static_configs: [{{targets: ['127.0.0.1:{alertmanager}']}}]
",
        scraping_config(exporter, ports),
        alertmanager = ports.alertmanager,
    )
}

fn own_config(hook: u16) -> String {
    format!("webhooks:\n- url: http://127.0.0.1:{hook}/hook\n")
}

/// A route to a webhook, group by group and at once.
pub fn alertmanager_config(hook: u16) -> String {
    format!(
        "
route: {{receiver: hook, group_by: [alertname], group_wait: 100ms, group_interval: 1s}}
receivers:
- name: hook
  webhook_configs: [{{url: 'http://127.0.0.1:{hook}/hook', send_resolved: true}}]
"
    )
}
