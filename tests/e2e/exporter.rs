//! A target for Prometheus whose metrics a test sets.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use axum::Router;
use axum::routing::get;

/// How many pairs there are whose halves must not be seen apart.
const PAIRS: usize = 40;

#[derive(Default)]
struct State {
    values: Mutex<BTreeMap<String, f64>>,
    is_counting: AtomicBool,
    counted: AtomicUsize,
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

    /// Lets the pairs count scrapes from here on; before, all are 0.
    ///
    /// A receiver cannot know which series make a scrape before one has come whole, so nothing
    /// may change until then.
    pub fn count_up(&self) {
        self.state.is_counting.store(true, Ordering::Relaxed);
    }

    /// Returns how many scrapes were counted.
    pub fn counted(&self) -> usize {
        self.state.counted.load(Ordering::Relaxed)
    }
}

impl State {
    /// The left halves come first and the right ones last, so that no request holds a pair.
    fn expose(&self) -> String {
        let n = match self.is_counting.load(Ordering::Relaxed) {
            true => self.counted.fetch_add(1, Ordering::Relaxed) + 1,
            false => 0,
        };
        let mut text = String::new();
        let halves = |text: &mut String, name: &str| {
            for pair in 0..PAIRS {
                let _ = writeln!(text, "{name}{{pair=\"{pair}\"}} {n}");
            }
        };
        halves(&mut text, "e2e_left");
        for (name, value) in self.values.lock().expect("no test panics here").iter() {
            let _ = writeln!(text, "{name} {value}");
        }
        halves(&mut text, "e2e_right");
        text
    }
}
