//! A receiver of Alertmanager webhooks, version 4.

use std::sync::{Arc, Mutex};

use axum::routing::post;
use axum::{Json, Router};
use serde_json::Value;

/// A running receiver; it ends with the test's process.
pub struct Webhook {
    bodies: Arc<Mutex<Vec<Value>>>,
    port: u16,
}

impl Webhook {
    /// Starts a receiver on a free port.
    pub fn start() -> Self {
        let bodies = Arc::new(Mutex::new(Vec::new()));
        let shared = Arc::clone(&bodies);
        let receive = move |Json(body): Json<Value>| async move {
            shared.lock().expect("no test panics here").push(body);
        };
        let app = Router::new().route("/hook", post(receive));
        Webhook {
            bodies,
            port: crate::processes::serve(app),
        }
    }

    /// Returns the port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Returns how often an alert of this name came with this status.
    pub fn times(&self, name: &str, status: &str) -> usize {
        let bodies = self.bodies.lock().expect("no test panics here");
        let alerts = bodies
            .iter()
            .filter_map(|body| body["alerts"].as_array())
            .flatten();
        let found = alerts.filter(|a| a["labels"]["alertname"] == name && a["status"] == status);
        found.count()
    }

    /// Returns the first alert of this name that came with this status.
    pub fn seen(&self, name: &str, status: &str) -> Option<Value> {
        let bodies = self.bodies.lock().expect("no test panics here");
        let alerts = bodies
            .iter()
            .filter_map(|body| body["alerts"].as_array())
            .flatten();
        let mut found =
            alerts.filter(|a| a["labels"]["alertname"] == name && a["status"] == status);
        found.next().cloned()
    }
}
