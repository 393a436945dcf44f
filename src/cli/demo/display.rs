//! What the demo shows: a line for each alert that becomes pending, fires or resolves, and a
//! summary against the truth.

use std::collections::BTreeMap;
use std::io::{IsTerminal as _, Write as _};
use std::sync::Mutex;
use std::sync::MutexGuard;

use crate::cli::demo::scenario::{Scenario, Variant};
use crate::clock::{Clock as _, SystemClock};
use crate::engine::Effect;
use crate::model::{AlertStatus, Labels, TimestampMs};

/// An alert that began to fire: which, for which job, when (seconds after the start).
type Firing = (String, String, i64);

/// Shows effects as they come, and remembers what fired.
pub struct Display {
    start: TimestampMs,
    colour: bool,
    seen: Mutex<Seen>,
}

#[derive(Default)]
struct Seen {
    fired: Vec<Firing>,
    latencies_ms: Vec<i64>,
}

impl Display {
    /// Returns a display of stories that start at an instant of event time.
    pub fn new(start: TimestampMs) -> Self {
        let colour = std::io::stdout().is_terminal();
        Display {
            start,
            colour,
            seen: Mutex::default(),
        }
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        // A panic elsewhere must not hide what was seen.
        self.seen
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn paint(&self, colour: u8, text: &str) -> String {
        if self.colour {
            format!("\x1b[{colour}m{text}\x1b[0m")
        } else {
            text.to_owned()
        }
    }

    fn line(&self, line: &str) {
        let clear = if self.colour { "\r\x1b[K" } else { "" };
        println!("{clear}{line}");
    }

    /// Shows where the server is and what will be told.
    pub fn title(&self, url: &str, scenarios: &[Scenario], variant: Variant) {
        println!("burnwatch is at {url}; services push to {url}/api/v1/write");
        for scenario in scenarios {
            let about = match variant {
                Variant::Incident => scenario.about(),
                Variant::Control => "control: the same traffic, and nothing happens",
            };
            println!("  {:16} {about}", scenario.job());
        }
        println!("time is event time since the start; latency is from the request to the alert\n");
    }

    /// Shows one effect. `wall` is when the request that caused it was stamped.
    pub fn show(&self, effect: &Effect, wall: TimestampMs) {
        let latency_ms = (SystemClock.now() - wall).0;
        let (at, word, colour, labels) = match effect {
            Effect::Pending { at, labels } => (at, "pending", 33, labels),
            Effect::Alert {
                at,
                refresh: false,
                message,
            } => match message.status {
                AlertStatus::Firing => (at, "FIRING", 31, &message.labels),
                AlertStatus::Resolved { .. } => (at, "resolved", 32, &message.labels),
            },
            _ => return,
        };
        let seconds = (*at - self.start).0 / 1000;
        let word = self.paint(colour, &format!("{word:8}"));
        self.line(&format!(
            "{}  {word} {latency_ms:>3} ms  {}",
            clock(seconds),
            describe(labels)
        ));
        // The dead man's switch is no news.
        let is_news = labels.value("alertname") != "Watchdog";
        if is_news
            && matches!(effect, Effect::Alert { message, .. } if message.status == AlertStatus::Firing)
        {
            let (name, job) = (labels.value("alertname"), labels.value("job"));
            let mut seen = self.seen();
            seen.fired.push((name.to_owned(), job.to_owned(), seconds));
            seen.latencies_ms.push(latency_ms);
        }
    }

    /// Shows how far the story is, where that does not spoil a file.
    pub fn progress(&self, seconds: i64, of: i64) {
        if self.colour {
            print!("\r{}  of {} ", clock(seconds), clock(of));
            let _ = std::io::stdout().flush();
        }
    }

    /// Shows what was to be seen and what was seen; `false` when they differ.
    pub fn summary(&self, scenarios: &[Scenario], variant: Variant) -> bool {
        let seen = self.seen();
        let mut all_well = true;
        let mut explained: Vec<(&str, &str)> = Vec::new();
        self.line("\nwhat was to be seen:");
        for scenario in scenarios {
            for expected in scenario.truth() {
                explained.push((scenario.job(), expected.alert));
                let of_alert =
                    |(name, job, _): &&Firing| name == expected.alert && job == scenario.job();
                let first = seen
                    .fired
                    .iter()
                    .find(of_alert)
                    .map(|(_, _, seconds)| *seconds);
                let window = expected.fires.filter(|_| variant == Variant::Incident);
                let well = match (window, first) {
                    (Some((from, to)), Some(seconds)) => (from..=to).contains(&seconds),
                    (None, None) => true,
                    _ => false,
                };
                all_well &= well;
                let mark = if well {
                    self.paint(32, "ok ")
                } else {
                    self.paint(31, "NOT")
                };
                let happened =
                    first.map_or("never fired".to_owned(), |s| format!("fired {}", clock(s)));
                let wanted = window.map_or("never".to_owned(), |(from, to)| {
                    format!("{} to {}", clock(from), clock(to))
                });
                println!(
                    "  {mark} {:16} {:24} {happened:14} (due {wanted}: {})",
                    scenario.job(),
                    expected.alert,
                    expected.why
                );
            }
        }
        let mut others: BTreeMap<(&str, &str), i64> = BTreeMap::new();
        for (name, job, seconds) in &seen.fired {
            if !explained.contains(&(job.as_str(), name.as_str())) {
                others.entry((job, name)).or_insert(*seconds);
            }
        }
        for ((job, name), seconds) in &others {
            let scenario = scenarios.iter().find(|scenario| scenario.job() == *job);
            let reason = scenario
                .filter(|_| variant == Variant::Incident)
                .and_then(|scenario| scenario.also().iter().find(|(alert, _)| alert == name));
            all_well &= reason.is_some();
            let mark = if reason.is_some() { "and" } else { "NOT" };
            let why = reason.map_or("nobody expected it", |(_, why)| why);
            println!(
                "  {mark} {job:16} {name:24} fired {:8} ({why})",
                clock(*seconds)
            );
        }
        let mut latencies = seen.latencies_ms.clone();
        latencies.sort_unstable();
        if let (Some(middle), Some(worst)) = (latencies.get(latencies.len() / 2), latencies.last())
        {
            println!(
                "\n{} alerts fired; from request to alert: median {middle} ms, longest {worst} ms",
                latencies.len()
            );
        }
        println!(
            "all as it should be: {}\n",
            if all_well { "yes" } else { "NO" }
        );
        all_well
    }

    /// Says where to look while the server still runs.
    pub fn invite(&self, url: &str) {
        println!("look around (Ctrl-C ends it and leaves nothing behind):");
        println!("  {url}/                     what is received, rules, alerts");
        println!("  {url}/api/v1/rules         rules and their state, as Grafana reads them");
        println!("  {url}/metrics              our own metrics");
    }
}

fn clock(seconds: i64) -> String {
    format!(
        "{}h{:02}m{:02}s",
        seconds / 3600,
        seconds / 60 % 60,
        seconds % 60
    )
}

fn describe(labels: &Labels) -> String {
    let name = labels.value("alertname");
    let short = ["job", "model", "feature", "gpu", "severity"];
    let shown: Vec<String> = short
        .iter()
        .filter_map(|label| Some(format!("{label}={}", labels.get(label)?)))
        .collect();
    format!("{name:24} {}", shown.join(" "))
}
