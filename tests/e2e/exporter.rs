//! A target for Prometheus whose metrics a test sets.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::routing::get;

/// How many series lie between the two that must not be seen apart.
const FILLERS: usize = 60;

#[derive(Default)]
struct State {
    values: Mutex<BTreeMap<String, f64>>,
    scrapes: AtomicUsize,
}

/// A running exporter; it ends with the test's process.
pub struct Exporter {
    state: Arc<State>,
    port: u16,
}

impl Exporter {
    /// Starts an exporter on a free port.
    pub fn start() -> Self {
        let state = Arc::new(State::default());
        let shared = Arc::clone(&state);
        let app = Router::new().route("/metrics", get(move || async move { shared.expose() }));
        Exporter {
            state,
            port: crate::processes::serve(app),
        }
    }

    /// Returns the port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Sets a metric, or takes it away.
    pub fn set(&self, name: &str, value: Option<f64>) {
        let mut values = self.state.values.lock().expect("no test panics here");
        match value {
            Some(value) => drop(values.insert(name.to_owned(), value)),
            None => drop(values.remove(name)),
        }
    }

    /// Returns how often it was scraped.
    pub fn scrapes(&self) -> usize {
        self.state.scrapes.load(Ordering::Relaxed)
    }
}

impl State {
    /// `e2e_first` and `e2e_last` count scrapes together; what lies between makes the scrape
    /// larger than one request.
    fn expose(&self) -> String {
        let n = self.scrapes.fetch_add(1, Ordering::Relaxed);
        let mut text = String::new();
        let _ = writeln!(text, "e2e_first {n}");
        for filler in 0..FILLERS {
            let _ = writeln!(text, "e2e_filler{{n=\"{filler}\"}} {n}");
        }
        for (name, value) in self.values.lock().expect("no test panics here").iter() {
            let _ = writeln!(text, "{name} {value}");
        }
        let _ = writeln!(text, "e2e_last {n}");
        text
    }
}
