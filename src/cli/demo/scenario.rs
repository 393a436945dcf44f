//! Three incidents of ML services, and the truth of which alert must fire when.
//!
//! Each story is a service that is scraped every 15 s of event time. In the control variant the
//! traffic is the same and nothing happens.

use crate::cli::demo::random::Random;

/// Seconds between two scrapes.
pub const STEP_SECONDS: i64 = 15;

/// Which of the two tellings of a story.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Variant {
    /// The incident happens.
    Incident,
    /// The same traffic, no incident.
    Control,
}

/// The stories.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Scenario {
    /// A model that is up, fast and wrong: new customers it never saw.
    Silent,
    /// One feature turns into NaN, first rarely, then often.
    Nan,
    /// GPU memory climbs until the process dies.
    Oom,
}

/// What must be seen of one alert in a story.
#[derive(Clone, Copy, Debug)]
pub struct Expected {
    /// The alert's name.
    pub alert: &'static str,
    /// Between which seconds after the start it must begin to fire; `None`: never.
    pub fires: Option<(i64, i64)>,
    /// Why.
    pub why: &'static str,
}

const fn fires(alert: &'static str, from: i64, to: i64, why: &'static str) -> Expected {
    Expected {
        alert,
        fires: Some((from, to)),
        why,
    }
}

const fn never(alert: &'static str, why: &'static str) -> Expected {
    Expected {
        alert,
        fires: None,
        why,
    }
}

const SILENT: [Expected; 5] = [
    fires(
        "AccuracyDegradation",
        6400,
        7400,
        "accuracy on the new customers is 60 %, not 92 %",
    ),
    never("HighUserCorrectionRate", "corrections stay at 4 %"),
    never("HighErrorRateFastBurn", "errors stay at 0.02 %"),
    never("HighPredictionLatency", "latency is unchanged"),
    never("SloBurn14_4", "errors stay at 0.02 %"),
];
const NAN: [Expected; 3] = [
    fires(
        "NaNFrequency",
        3900,
        4800,
        "0.001 % of values against a baseline of 0.00002 %",
    ),
    never(
        "HighErrorRateFastBurn",
        "a NaN is answered, it is not an error",
    ),
    never("HighPredictionLatency", "latency is unchanged"),
];
const OOM: [Expected; 7] = [
    fires(
        "GpuExhaustionForecast",
        11_000,
        11_350,
        "two hours before the memory is gone",
    ),
    fires("GpuMemory70", 12_600, 12_800, "28 of 40 GiB"),
    fires("GpuMemory90", 16_200, 16_420, "36 of 40 GiB"),
    never(
        "GPUMemoryOOM",
        "the last 100 MB go in 42 s, less than its 1m",
    ),
    fires(
        "HighErrorRateFastBurn",
        18_060,
        18_180,
        "the process is dead for 15 minutes",
    ),
    fires("SloBurn14_4", 18_030, 18_180, "1.44 % of an hour is 52 s"),
    never("ContainerRestartSpike", "one restart is 0.003 a second"),
];

/// What else fires in the last story, and should; docs/runbooks/README.md says more.
const OOM_ALSO: [(&str, &str); 7] = [
    (
        "GPUMemoryExhaustion",
        "95 % for five minutes, ten before the crash",
    ),
    (
        "HighErrorRate",
        "all requests fail; inhibited by the two that page",
    ),
    (
        "HighErrorRateSlowBurn",
        "the outage lasts 15 minutes; inhibited likewise",
    ),
    ("ModelServerCrash", "it crashed and all requests failed"),
    (
        "SloBurn6",
        "with five hours of history every longer window is five hours",
    ),
    (
        "SloBurn3",
        "with five hours of history every longer window is five hours",
    ),
    (
        "SloBurn1",
        "with five hours of history every longer window is five hours",
    ),
];

impl Scenario {
    /// All stories.
    pub const ALL: [Scenario; 3] = [Scenario::Silent, Scenario::Nan, Scenario::Oom];

    /// Returns the name of the service that the story is about: its `job`.
    pub fn job(self) -> &'static str {
        match self {
            Scenario::Silent => "recommender",
            Scenario::Nan => "basket-ranking",
            Scenario::Oom => "image-generator",
        }
    }

    /// Returns one sentence that tells the story.
    pub fn about(self) -> &'static str {
        match self {
            Scenario::Silent => {
                "from 1h on a new kind of customer comes; the model is fast, up, and wrong on them"
            }
            Scenario::Nan => {
                "from 1h on a retry bug turns 0.001 % of one feature into NaN, from 2h30 on 5 %"
            }
            Scenario::Oom => {
                "from 1h on GPU memory climbs 8 GiB an hour; at 5h the process dies for 15 minutes"
            }
        }
    }

    /// Returns how long the story is, in seconds.
    pub fn seconds(self) -> i64 {
        match self {
            Scenario::Silent | Scenario::Oom => 6 * 3600,
            Scenario::Nan => 4 * 3600,
        }
    }

    /// Returns what must be seen.
    pub fn truth(self) -> &'static [Expected] {
        match self {
            Scenario::Silent => &SILENT,
            Scenario::Nan => &NAN,
            Scenario::Oom => &OOM,
        }
    }

    /// Returns the other bundled alerts that fire in the incident, each with its reason.
    pub fn also(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Scenario::Silent | Scenario::Nan => &[],
            Scenario::Oom => &OOM_ALSO,
        }
    }

    /// Starts telling the story.
    pub fn start(self, variant: Variant, seed: u64) -> Story {
        Story {
            scenario: self,
            control: variant == Variant::Control,
            random: Random::new(seed.wrapping_mul(31).wrapping_add(self as u64)),
            scores: Histogram::new("prediction_score", &SCORE_BOUNDS),
            latency: Histogram::new("prediction_latency_seconds", &LATENCY_BOUNDS),
            counters: Counters::default(),
        }
    }
}

const LATENCY_BOUNDS: [f64; 5] = [0.05, 0.1, 0.25, 0.5, 1.0];
const LATENCY_SHARES: [f64; 6] = [0.3, 0.4, 0.25, 0.047, 0.0025, 0.0005];
const LATENCY_MEANS: [f64; 6] = [0.03, 0.07, 0.16, 0.33, 0.7, 1.4];
const SCORE_BOUNDS: [f64; 9] = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9];
const SCORE_SHARES: [f64; 10] = [0.02, 0.03, 0.05, 0.07, 0.09, 0.12, 0.15, 0.18, 0.17, 0.12];
/// The scores of the customers that the model never saw.
const NEW_SHARES: [f64; 10] = [0.10, 0.12, 0.13, 0.14, 0.13, 0.12, 0.10, 0.08, 0.05, 0.03];
const SCORE_MEANS: [f64; 10] = [0.05, 0.15, 0.25, 0.35, 0.45, 0.55, 0.65, 0.75, 0.85, 0.95];
const GIB: f64 = 1_073_741_824.0;

/// A series' name, its own label beside `job` and `instance`, and its value.
#[derive(Clone, Debug, PartialEq)]
pub struct Reading {
    /// The metric name.
    pub name: String,
    /// One more label.
    pub label: Option<(&'static str, String)>,
    /// The value.
    pub value: f64,
}

impl Reading {
    fn plain(name: &str, value: f64) -> Self {
        Reading {
            name: name.to_owned(),
            label: None,
            value,
        }
    }

    fn labelled(name: &str, label: &'static str, text: &str, value: f64) -> Self {
        Reading {
            name: name.to_owned(),
            label: Some((label, text.to_owned())),
            value,
        }
    }
}

struct Histogram {
    name: &'static str,
    bounds: &'static [f64],
    counts: Vec<u64>,
    sum: f64,
}

impl Histogram {
    fn new(name: &'static str, bounds: &'static [f64]) -> Self {
        Histogram {
            name,
            bounds,
            counts: vec![0; bounds.len() + 1],
            sum: 0.0,
        }
    }

    fn observe(&mut self, shares: &[f64], means: &[f64], total: u64, random: &mut Random) {
        let (mut left, mut rest) = (total, 1.0);
        for (bucket, share) in shares.iter().enumerate() {
            let is_last = bucket == shares.len() - 1;
            let share_of_rest = if rest > 1e-12 {
                (share / rest).min(1.0)
            } else {
                0.0
            };
            let count = if is_last {
                left
            } else {
                random.binomial(left, share_of_rest)
            };
            self.counts[bucket] += count;
            self.sum += count as f64 * means[bucket];
            (left, rest) = (left - count, rest - share);
        }
    }

    fn read(&self, readings: &mut Vec<Reading>) {
        let bounds = self
            .bounds
            .iter()
            .map(f64::to_string)
            .chain(["+Inf".to_owned()]);
        let bucket = format!("{}_bucket", self.name);
        let mut total = 0;
        for (bound, count) in bounds.zip(&self.counts) {
            total += count;
            readings.push(Reading::labelled(&bucket, "le", &bound, total as f64));
        }
        readings.push(Reading::plain(
            &format!("{}_count", self.name),
            total as f64,
        ));
        readings.push(Reading::plain(&format!("{}_sum", self.name), self.sum));
    }
}

#[derive(Default)]
struct Counters {
    predictions: u64,
    errors: u64,
    feedback: u64,
    correct: u64,
    corrections: u64,
    nans: u64,
    restarts: u64,
}

/// A story being told, scrape by scrape.
pub struct Story {
    scenario: Scenario,
    control: bool,
    random: Random,
    scores: Histogram,
    latency: Histogram,
    counters: Counters,
}

impl Story {
    /// Returns what the service exposes `seconds` after the start; to be called for 0, 15, 30, ….
    pub fn scrape(&mut self, seconds: i64) -> Vec<Reading> {
        let mut readings = Vec::new();
        match self.scenario {
            Scenario::Silent => self.silent(seconds, &mut readings),
            Scenario::Nan => self.nan(seconds, &mut readings),
            Scenario::Oom => self.oom(seconds, &mut readings),
        }
        let counters = &self.counters;
        readings.push(Reading::plain(
            "predictions_total",
            counters.predictions as f64,
        ));
        readings.push(Reading::plain(
            "prediction_errors_total",
            counters.errors as f64,
        ));
        readings
    }

    fn traffic(&mut self, per_second: f64, error_share: f64) -> u64 {
        let total = self.random.poisson(per_second * STEP_SECONDS as f64);
        self.counters.predictions += total;
        self.counters.errors += self.random.binomial(total, error_share);
        total
    }

    fn silent(&mut self, seconds: i64, readings: &mut Vec<Reading>) {
        let grown = |since: i64| {
            let share = 0.6 * ((seconds - since) as f64 / 1800.0).clamp(0.0, 1.0);
            if self.control { 0.0 } else { share }
        };
        // Feedback comes ten minutes after the prediction it judges.
        let (share, judged) = (grown(3600), grown(4200));
        let total = self.traffic(40.0, 0.0002);
        let pairs = SCORE_SHARES.iter().zip(NEW_SHARES);
        let shares: Vec<f64> = pairs
            .map(|(old, new)| (1.0 - share) * old + share * new)
            .collect();
        self.scores
            .observe(&shares, &SCORE_MEANS, total, &mut self.random);
        self.latency
            .observe(&LATENCY_SHARES, &LATENCY_MEANS, total, &mut self.random);
        let feedback = self.random.binomial(total, 0.2);
        let accuracy = (1.0 - judged) * 0.92 + judged * 0.60;
        self.counters.correct += self.random.binomial(feedback, accuracy);
        self.counters.feedback += feedback;
        self.counters.corrections += self.random.binomial(total, 0.01 + 0.05 * judged);
        self.scores.read(readings);
        self.latency.read(readings);
        let counters = &self.counters;
        readings.push(Reading::plain("feedback_total", counters.feedback as f64));
        readings.push(Reading::plain(
            "feedback_correct_total",
            counters.correct as f64,
        ));
        readings.push(Reading::plain(
            "user_corrections_total",
            counters.corrections as f64,
        ));
    }

    fn nan(&mut self, seconds: i64, readings: &mut Vec<Reading>) {
        let share = match seconds {
            _ if self.control => 2e-7,
            ..3600 => 2e-7,
            3600..9000 => 1e-5,
            _ => 0.05,
        };
        let total = self.traffic(3000.0, 0.0001);
        let nans = self.random.poisson(total as f64 * share).min(total);
        self.counters.nans += nans;
        self.scores
            .observe(&SCORE_SHARES, &SCORE_MEANS, total - nans, &mut self.random);
        // The model answers a NaN with the average score.
        self.scores.counts[4] += nans;
        self.scores.sum += 0.45 * nans as f64;
        self.latency
            .observe(&LATENCY_SHARES, &LATENCY_MEANS, total, &mut self.random);
        self.scores.read(readings);
        self.latency.read(readings);
        let basket = |name, value| Reading::labelled(name, "feature", "basket_value", value);
        readings.push(basket(
            "feature_values_total",
            self.counters.predictions as f64,
        ));
        readings.push(basket("feature_nan_total", self.counters.nans as f64));
    }

    fn oom(&mut self, seconds: i64, readings: &mut Vec<Reading>) {
        let (crash, back) = (18_000, 18_900);
        let is_down = !self.control && (crash..back).contains(&seconds);
        let climbs = !self.control && (3600..crash).contains(&seconds);
        let grown = if climbs {
            (seconds - 3600) as f64 / 3600.0 * 8.0
        } else {
            0.0
        };
        let steps = (grown * 16.0).floor() / 16.0;
        let noise = self.random.normal(0.0, 0.02);
        let capacity = 40.0 * GIB;
        let used = ((8.0 + steps + noise) * GIB).round().clamp(0.0, capacity);
        let used = if is_down { 0.0 } else { used };
        self.traffic(50.0, if is_down { 1.0 } else { 0.0002 });
        self.counters.restarts += u64::from(!self.control && seconds == back);
        let gpu = |name, value| Reading::labelled(name, "gpu", "0", value);
        readings.push(gpu("gpu_memory_used_bytes", used));
        readings.push(gpu("gpu_memory_total_bytes", capacity));
        readings.push(gpu("gpu_memory_available_bytes", capacity - used));
        readings.push(Reading::plain(
            "container_restarts_total",
            self.counters.restarts as f64,
        ));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_tells_the_same_story() {
        for scenario in Scenario::ALL {
            let tell = |seed| {
                let mut story = scenario.start(Variant::Incident, seed);
                (0..20)
                    .map(|n| story.scrape(n * STEP_SECONDS))
                    .collect::<Vec<_>>()
            };
            assert_eq!(tell(1), tell(1));
            assert_ne!(tell(1), tell(2));
        }
    }

    #[test]
    fn the_process_dies_and_comes_back() {
        let mut story = Scenario::Oom.start(Variant::Incident, 1);
        let mut used = Vec::new();
        for seconds in (0..Scenario::Oom.seconds()).step_by(STEP_SECONDS as usize) {
            let readings = story.scrape(seconds);
            used.push((seconds, readings[0].value / GIB));
        }
        let at = |seconds: i64| used[(seconds / STEP_SECONDS) as usize].1;
        assert!((at(0) - 8.0).abs() < 0.2 && (at(10_800) - 24.0).abs() < 0.2);
        assert_eq!(at(18_000), 0.0);
        assert!((at(18_900) - 8.0).abs() < 0.2);
    }
}
