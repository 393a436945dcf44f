//! A receiver in this process that answers as a test tells it, and a notifier in front of it.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use burnwatch::arrivals::Arrivals;
use burnwatch::clock::{Clock, SystemClock};
use burnwatch::config::{self, Source};
use burnwatch::model::{AlertMessage, AlertStatus, DurationMs, Labels, TimestampMs};
use burnwatch::notify::ledger::Ledger;
use burnwatch::notify::{AlertEvent, Notify, NotifyConfig};
use parking_lot::Mutex;
use prometheus_client::registry::Registry;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::watch;

/// How long anything may take before a test gives up.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// What a receiver does with a request.
#[derive(Clone, Copy, Debug)]
pub enum Answer {
    /// Answers with a status.
    Status(u16),
    /// Never answers.
    Hang,
}

/// One request as it came.
#[derive(Clone, Debug)]
pub struct Request {
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Bytes,
}

impl Request {
    /// Returns the body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("a JSON body")
    }

    /// Returns the `alertname` of each alert in an Alertmanager body.
    pub fn alert_names(&self) -> Vec<String> {
        let body = self.json();
        let alerts = body.as_array().expect("a list of alerts");
        let name = |alert: &Value| {
            alert["labels"]["alertname"]
                .as_str()
                .expect("name")
                .to_owned()
        };
        alerts.iter().map(name).collect()
    }
}

struct Shared {
    /// What the next requests get; then 200.
    answers: Mutex<VecDeque<Answer>>,
    otherwise: Mutex<Answer>,
    requests: Mutex<Vec<Request>>,
    n_requests: watch::Sender<usize>,
}

/// A receiver on a free port of the loopback interface.
pub struct Receiver {
    pub address: SocketAddr,
    shared: Arc<Shared>,
}

impl Receiver {
    /// Starts a receiver that gives `answers` in turn, then 200.
    pub async fn start(answers: impl IntoIterator<Item = Answer>) -> Self {
        Self::start_with(answers, Answer::Status(200)).await
    }

    /// Starts a receiver that gives `answers` in turn, then `otherwise`.
    pub async fn start_with(answers: impl IntoIterator<Item = Answer>, otherwise: Answer) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        Self::serve(listener, answers, otherwise)
    }

    /// Starts a receiver that takes everything, at an address that is free.
    pub async fn start_at(address: SocketAddr) -> Self {
        let listener = TcpListener::bind(address).await.expect("a free address");
        Self::serve(listener, [], Answer::Status(200))
    }

    fn serve(
        listener: TcpListener,
        answers: impl IntoIterator<Item = Answer>,
        otherwise: Answer,
    ) -> Self {
        let address = listener.local_addr().expect("an address");
        let shared = Arc::new(Shared {
            answers: Mutex::new(answers.into_iter().collect()),
            otherwise: Mutex::new(otherwise),
            requests: Mutex::new(Vec::new()),
            n_requests: watch::Sender::new(0),
        });
        let app = Router::new()
            .fallback(answer)
            .with_state(Arc::clone(&shared));
        tokio::spawn(async move { axum::serve(listener, app).await });
        Receiver { address, shared }
    }

    /// Changes what is answered from now on.
    pub fn set(&self, otherwise: Answer) {
        *self.shared.otherwise.lock() = otherwise;
    }

    /// Waits until `n` requests have come and returns them all.
    pub async fn requests(&self, n: usize) -> Vec<Request> {
        let mut count = self.shared.n_requests.subscribe();
        let waited = tokio::time::timeout(PATIENCE, count.wait_for(|count| *count >= n)).await;
        let came = self.shared.requests.lock().clone();
        assert!(
            waited.is_ok(),
            "{} of {n} requests came: {came:?}",
            came.len()
        );
        came
    }
}

async fn answer(State(shared): State<Arc<Shared>>, headers: HeaderMap, body: Bytes) -> StatusCode {
    shared.requests.lock().push(Request { headers, body });
    shared.n_requests.send_modify(|count| *count += 1);
    let answer = shared.answers.lock().pop_front();
    let otherwise = *shared.otherwise.lock();
    match answer.unwrap_or(otherwise) {
        Answer::Status(status) => StatusCode::from_u16(status).expect("a status"),
        Answer::Hang => std::future::pending().await,
    }
}

/// A notifier and its metrics.
pub struct World {
    pub notify: Arc<Notify>,
    /// When the requests began that cause alerts.
    pub arrivals: Arc<Arrivals>,
    registry: Registry,
}

/// Reads a configuration for notifying; resends are an hour apart, so that none comes by itself.
pub fn config(text: &str) -> NotifyConfig {
    let path = std::path::Path::new("/prometheus.yml");
    let config = config::load(Source { path, text }, None, &|_| None);
    let config = config.unwrap_or_else(|e| panic!("{e}"));
    NotifyConfig::new(&config, "http://burnwatch", DurationMs::from_seconds(3600))
}

impl World {
    /// Starts notifying.
    pub fn start(config: NotifyConfig) -> Self {
        Self::start_with(config, Ledger::in_memory())
    }

    /// Starts notifying with what is remembered in a folder.
    pub fn start_in(config: NotifyConfig, folder: &std::path::Path) -> Self {
        Self::start_with(config, Ledger::open(folder).expect("a ledger"))
    }

    fn start_with(config: NotifyConfig, ledger: Ledger) -> Self {
        let mut registry = Registry::default();
        let arrivals = Arc::new(Arrivals::default());
        let notify = Notify::start(
            config,
            Arc::new(SystemClock),
            Arc::clone(&arrivals),
            ledger,
            &mut registry,
        );
        World {
            notify: notify.expect("a runtime"),
            arrivals,
            registry,
        }
    }

    /// Delivers an event.
    pub fn deliver(&self, event: AlertEvent) {
        self.notify.deliver(vec![event]);
    }

    /// Returns the sum of a metric's samples whose line contains `part`.
    pub fn metric(&self, name: &str, part: &str) -> f64 {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.registry).expect("text");
        let line = |line: &&str| {
            let tail = line.strip_prefix(name);
            tail.is_some_and(|tail| tail.starts_with(['{', ' '])) && line.contains(part)
        };
        let values = text
            .lines()
            .filter(line)
            .filter_map(|line| line.rsplit(' ').next());
        values
            .map(|value| value.parse::<f64>().expect("a number"))
            .sum()
    }

    /// Waits until a metric has at least `expected`.
    pub async fn metric_reaches(&self, name: &str, part: &str, expected: f64) {
        let reached = async {
            while self.metric(name, part) < expected {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        let waited = tokio::time::timeout(PATIENCE, reached).await;
        assert!(waited.is_ok(), "{name} is {}", self.metric(name, part));
    }

    /// Delivers one alert that fires now.
    pub fn fire(&self, name: &str) {
        self.notify.deliver(vec![firing(name)]);
    }

    /// Delivers the resolution of an alert that fired a minute ago.
    pub fn resolve(&self, name: &str) {
        let now = SystemClock.now();
        let status = AlertStatus::Resolved { resolved_at: now };
        self.notify.deliver(vec![event(name, status)]);
    }
}

/// Returns an alert that fires.
pub fn firing(name: &str) -> AlertEvent {
    event(name, AlertStatus::Firing)
}

/// Returns an alert of a name, of which everything else is derived.
fn event(name: &str, status: AlertStatus) -> AlertEvent {
    AlertEvent::State(message(name, status))
}

/// Returns what an engine says of an alert of a name; no request of this process caused it.
pub fn message(name: &str, status: AlertStatus) -> AlertMessage {
    let now = SystemClock.now();
    AlertMessage {
        labels: Labels::from_pairs([("alertname", name), ("severity", "page")]),
        annotations: Arc::from([("summary".to_owned(), format!("{name} is on"))]),
        context: None,
        status,
        fired_at: TimestampMs(1_700_000_000_000),
        valid_for: DurationMs::from_seconds(240),
        expr: Arc::from("up == 0"),
        caused_by: 0,
        caused_at_wall: now,
        backlog: false,
    }
}

/// Returns an `alerting:` section with one block for each address.
pub fn alertmanagers(addresses: &[SocketAddr], extra: &str) -> String {
    let mut text = "alerting:\n  alertmanagers:\n".to_owned();
    for address in addresses {
        text.push_str(&format!(
            "    - static_configs: [{{targets: ['{address}']}}]\n"
        ));
        for line in extra.lines() {
            text.push_str(&format!("      {line}\n"));
        }
    }
    text
}
