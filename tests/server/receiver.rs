//! An Alertmanager and a webhook made by hand: they note what comes and answer as told.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use serde_json::Value;
use tokio::net::TcpSocket;
use tokio::runtime::Runtime;

use crate::process::{now_ms, wait_for};

/// How a receiver answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    Status(u16),
    /// 503, and do not come again for ten minutes.
    Later,
    Never,
}

/// One alert as it came, whether from the list of an Alertmanager's API or in a webhook's body.
#[derive(Clone, Debug)]
pub struct Seen {
    /// The path it came to.
    pub path: String,
    /// When it came, ms.
    pub at: i64,
    /// The alert.
    pub alert: Value,
    /// The whole body.
    pub body: Value,
}

impl Seen {
    /// Returns an instant in ms, as RFC 3339 in a field of the alert.
    pub fn instant(&self, field: &str) -> i64 {
        let text = self.alert[field].as_str().expect("an instant");
        let instant: jiff::Timestamp = text.parse().expect("RFC 3339");
        instant.as_millisecond()
    }

    /// Tells whether the receiver would take the alert for firing.
    pub fn is_firing(&self) -> bool {
        match self.alert["status"].as_str() {
            Some(status) => status == "firing",
            None => self.instant("endsAt") > self.at,
        }
    }
}

struct Shared {
    answer: Answer,
    seen: Vec<Seen>,
    n_requests: usize,
}

/// A receiver on a port of its own; it ends with the test.
pub struct Receiver {
    address: SocketAddr,
    shared: Arc<Mutex<Shared>>,
    /// A port that is taken and refuses connections, until somebody listens.
    socket: Mutex<Option<TcpSocket>>,
    runtime: Option<Runtime>,
}

impl Drop for Receiver {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl Receiver {
    /// Starts a receiver that answers 200.
    pub fn start() -> Self {
        let receiver = Receiver::down();
        receiver.listen();
        receiver
    }

    /// Returns a receiver whose port refuses connections until [`Receiver::listen`].
    pub fn down() -> Self {
        let socket = TcpSocket::new_v4().expect("a socket");
        let loopback = SocketAddr::from(([127, 0, 0, 1], 0));
        socket.bind(loopback).expect("loopback has a free port");
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build();
        Receiver {
            address: socket.local_addr().expect("it is bound"),
            shared: Arc::new(Mutex::new(Shared {
                answer: Answer::Status(200),
                seen: Vec::new(),
                n_requests: 0,
            })),
            socket: Mutex::new(Some(socket)),
            runtime: Some(runtime.expect("a runtime")),
        }
    }

    /// Begins to accept connections.
    pub fn listen(&self) {
        let socket = self.socket.lock().expect("no panic holds it").take();
        let socket = socket.expect("nobody listens yet");
        let runtime = self.runtime.as_ref().expect("it is not dropped");
        let _inside = runtime.enter();
        let listener = socket.listen(128).expect("a bound socket listens");
        let app = Router::new()
            .fallback(receive)
            .with_state(Arc::clone(&self.shared));
        runtime.spawn(async move { axum::serve(listener, app).await });
    }

    /// Returns `host:port`.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    fn shared(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().expect("no panic holds it")
    }

    /// Chooses the answer from now on.
    pub fn answer(&self, answer: Answer) {
        self.shared().answer = answer;
    }

    /// Returns how many requests came, whatever was answered.
    pub fn n_requests(&self) -> usize {
        self.shared().n_requests
    }

    /// Returns what was taken of an alert of this name, oldest first.
    pub fn seen(&self, name: &str) -> Vec<Seen> {
        let shared = self.shared();
        let of_name = |seen: &&Seen| seen.alert["labels"]["alertname"] == name;
        shared.seen.iter().filter(of_name).cloned().collect()
    }

    /// Waits for an alert to be taken as firing.
    pub fn wait_firing(&self, name: &str) -> Seen {
        wait_for(&format!("{name} to fire at {}", self.address), || {
            self.seen(name).into_iter().find(Seen::is_firing)
        })
    }

    /// Waits for the newest that was taken of an alert to be its end.
    pub fn wait_resolved(&self, name: &str) -> Seen {
        wait_for(&format!("{name} to resolve at {}", self.address), || {
            self.seen(name).pop().filter(|seen| !seen.is_firing())
        })
    }
}

async fn receive(State(shared): State<Arc<Mutex<Shared>>>, uri: Uri, body: String) -> Response {
    let at = now_ms();
    let answer = {
        let mut shared = shared.lock().expect("no panic holds it");
        shared.n_requests += 1;
        if let Answer::Status(200..=299) = shared.answer {
            let body: Value = serde_json::from_str(&body).expect("JSON");
            let alerts = body.as_array().or_else(|| body["alerts"].as_array());
            for alert in alerts.expect("a list of alerts") {
                let seen = Seen {
                    path: uri.path().to_owned(),
                    at,
                    alert: alert.clone(),
                    body: body.clone(),
                };
                shared.seen.push(seen);
            }
        }
        shared.answer
    };
    match answer {
        Answer::Status(status) => {
            let status = StatusCode::from_u16(status);
            status.expect("a status").into_response()
        }
        Answer::Later => {
            (StatusCode::SERVICE_UNAVAILABLE, [("Retry-After", "600")]).into_response()
        }
        Answer::Never => std::future::pending().await,
    }
}
