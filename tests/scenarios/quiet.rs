//! Days on which nothing is wrong: Monday's peak, the low of the night, a planned maintenance.

use fastrand::Rng;

use burnwatch::model::{TimestampMs, stale_nan};

use crate::inhibition::{deployed, notified};
use crate::is_deep;
use crate::world::{Reading, World};

/// Midnight before a Monday.
const MONDAY: i64 = 1_700_438_400;
const HOUR: i64 = 3600;
const DAY: i64 = 24 * HOUR;
const JOB: &str = "model-server";
const INSTANCE: &str = "10.0.0.7:8080";
/// Upper bounds of the latency histogram, and which share of the predictions is in each bucket.
const LATENCY: [(&str, f64); 6] = [
    ("0.05", 0.3),
    ("0.1", 0.4),
    ("0.25", 0.25),
    ("0.5", 0.047),
    ("1", 0.0025),
    ("+Inf", 0.0005),
];

/// A service in its week: counters that grow with its traffic, and gauges that follow it.
struct Service {
    random: Rng,
    scrape_seconds: i64,
    predictions: f64,
    errors: f64,
    timeouts: f64,
    feedback: f64,
    correct: f64,
    corrections: f64,
    low_confidence: f64,
    nans: f64,
    latency: [f64; 6],
}

/// What a service does beside its week.
#[derive(Clone, Copy, Default)]
struct Trouble {
    /// Share of the predictions that fail.
    errors: f64,
    /// Share of the predictions that take longer than a second.
    slow: f64,
    /// Times the usual traffic, less one.
    more: f64,
}

/// Predictions a second at an instant of the week, `t` seconds after Monday's midnight: 25 in
/// the night, 120 on a day, 60 on one of the weekend, and 300 at Monday's peak from 8:30 to 10.
fn traffic(t: i64) -> f64 {
    let hour = t.rem_euclid(DAY) as f64 / 3600.0;
    let day = t.rem_euclid(7 * DAY) / DAY;
    let height = if day < 5 { 120.0 } else { 60.0 };
    let daylight = (0.5 - ((hour - 3.0) / 24.0 * std::f64::consts::TAU).cos() * 0.5).powi(2);
    let rises = ((hour - 8.5) / 0.75).clamp(0.0, 1.0);
    let falls = ((11.0 - hour) / 1.0).clamp(0.0, 1.0);
    let peak = if day == 0 { 220.0 * rises * falls } else { 0.0 };
    25.0 + height * daylight + peak
}

impl Service {
    fn new(scrape_seconds: i64) -> Self {
        Service {
            random: Rng::with_seed(5),
            scrape_seconds,
            predictions: 0.0,
            errors: 0.0,
            timeouts: 0.0,
            feedback: 0.0,
            correct: 0.0,
            corrections: 0.0,
            low_confidence: 0.0,
            nans: 0.0,
            latency: [0.0; 6],
        }
    }

    /// A whole number around a mean, as many as chance has it.
    fn about(&mut self, mean: f64) -> f64 {
        // The sum of twelve is near enough to a normal distribution, and bounded.
        let normal: f64 = (0..12).map(|_| self.random.f64()).sum::<f64>() - 6.0;
        if mean > 20.0 {
            return (mean + normal * mean.sqrt()).round().max(0.0);
        }
        let (mut count, mut product) = (0.0, self.random.f64());
        while product > (-mean).exp() {
            count += 1.0;
            product *= self.random.f64();
        }
        count
    }

    /// Goes on by one scrape and returns what the service shows.
    fn scrape(&mut self, t: i64, trouble: Trouble) -> Vec<Reading> {
        let load = traffic(t) * (1.0 + trouble.more);
        let new = self.about(load * self.scrape_seconds as f64);
        self.predictions += new;
        self.errors += self.about(new * (0.0002 + trouble.errors)).min(new);
        self.timeouts += self.about(new * 0.0003).min(new);
        let judged = self.about(new * 0.2);
        self.feedback += judged;
        self.correct += self.about(judged * 0.92).min(judged);
        self.corrections += self.about(new * 0.01);
        self.low_confidence += self.about(new * 0.06);
        self.nans += self.about(new * 2e-7);
        for (bucket, (_, share)) in LATENCY.iter().enumerate() {
            let slow = if bucket == 5 { trouble.slow } else { 0.0 };
            self.latency[bucket] += self.about(new * (share * (1.0 - trouble.slow) + slow));
        }
        let mut readings = vec![
            Reading::plain("predictions_total", self.predictions),
            Reading::plain("prediction_errors_total", self.errors),
            Reading::plain("prediction_client_requests_total", self.predictions),
            Reading::plain("prediction_client_timeouts_total", self.timeouts),
            Reading::plain("feedback_total", self.feedback),
            Reading::plain("feedback_correct_total", self.correct),
            Reading::plain("user_corrections_total", self.corrections),
            Reading::plain("low_confidence_predictions_total", self.low_confidence),
            Reading::plain("container_restarts_total", 0.0),
            Reading::plain("prediction_queue_length", (load / 10.0).round()),
            Reading::labelled("feature_values_total", "feature", "age", self.predictions),
            Reading::labelled("feature_nan_total", "feature", "age", self.nans),
        ];
        let mut below = 0.0;
        for ((bound, _), count) in LATENCY.iter().zip(self.latency) {
            below += count;
            let name = "prediction_latency_seconds_bucket";
            readings.push(Reading::labelled(name, "le", bound, below));
        }
        readings.push(Reading::plain("prediction_latency_seconds_count", below));
        let gib = f64::from(1 << 30);
        // Batches grow with the load.
        let used = (8.0 + load / 50.0 + self.random.f64() * 0.1) * gib;
        for (name, value) in [
            ("gpu_memory_used_bytes", used),
            ("gpu_memory_total_bytes", 40.0 * gib),
            ("gpu_memory_available_bytes", 40.0 * gib - used),
            ("gpu_utilization_ratio", 0.3 + load / 600.0),
        ] {
            readings.push(Reading::labelled(name, "gpu", "0", value));
        }
        for (name, mean) in [("current_accuracy", 0.92), ("prediction_mean", 0.61)] {
            let value = mean + self.random.f64() * 0.01;
            readings.push(Reading::labelled(name, "model", "checkout", value));
        }
        for (name, value) in [
            ("baseline_accuracy", 0.92),
            ("prediction_value_stddev", 0.2),
        ] {
            readings.push(Reading::labelled(name, "model", "checkout", value));
        }
        readings.push(Reading::plain("up", 1.0));
        readings
    }
}

/// Plays a service from one instant to another, in seconds after Monday's midnight; returns all
/// that fired.
fn live(
    from: i64,
    to: i64,
    scrape_seconds: i64,
    trouble: impl Fn(i64) -> Trouble,
) -> Vec<(String, i64)> {
    let mut world = World::start(TimestampMs((MONDAY + from) * 1000));
    let mut service = Service::new(scrape_seconds);
    for t in (from..to).step_by(usize::try_from(scrape_seconds).expect("small")) {
        let readings = service.scrape(t, trouble(t));
        world.scrape(t - from, JOB, INSTANCE, &readings);
    }
    let all = world.firings().into_iter();
    all.map(|firing| (firing.alert, firing.from + from))
        .collect()
}

#[test]
fn the_low_of_the_night_and_the_peak_of_monday_are_no_news() {
    // Rules that compare with other weeks keep quiet for three, so that the deep run has four. The
    // short one has the day before: without it the end of a peak is a drop.
    let from = if is_deep() {
        -27 * DAY
    } else {
        -13 * HOUR - 30 * 60
    };
    let fired = live(from, 12 * HOUR, 30, |_| Trouble::default());
    assert_eq!(fired, []);
}

#[test]
fn the_same_peak_at_three_in_the_night_is_news() {
    if !is_deep() {
        say!("skip  BURNWATCH_DEEP is not set: three weeks, and then a peak at 3 a.m.");
        return;
    }
    let peak = 2 * HOUR + 30 * 60..4 * HOUR;
    let more = |t: i64| if peak.contains(&t) { 8.0 } else { 0.0 };
    let fired = live(-22 * DAY, 6 * HOUR, 30, |t| Trouble {
        more: more(t),
        ..Trouble::default()
    });
    let of = |name: &str| {
        fired
            .iter()
            .find(|(alert, _)| alert == name)
            .map(|(_, at)| *at)
    };
    let unusual = of("UnusualTraffic").expect("it is seen");
    assert!(peak.contains(&unusual), "{fired:?}");
}

/// A new version is installed within half an hour: the service is drained with some errors, away
/// for 18 minutes, and slow and failing while its caches are cold. Returns who is told of what.
fn install(is_announced: bool) -> Vec<(String, i64)> {
    let (begin, end) = (2 * HOUR, 2 * HOUR + 30 * 60);
    let away = begin + 120..begin + 20 * 60;
    let mut world = World::start(TimestampMs((MONDAY + 9 * DAY) * 1000));
    let mut service = Service::new(15);
    let mut before = Vec::new();
    for t in (0..10 * HOUR).step_by(15) {
        let trouble = match t {
            t if (begin..away.start).contains(&t) => Trouble {
                errors: 0.05,
                ..Trouble::default()
            },
            t if (away.end..end - 120).contains(&t) => Trouble {
                errors: 0.02,
                slow: 0.3,
                more: 0.0,
            },
            _ => Trouble::default(),
        };
        let readings = service.scrape(9 * DAY + t, trouble);
        if !away.contains(&t) {
            world.scrape(t, JOB, INSTANCE, &readings);
            before = readings;
        } else {
            // What was there and is not any more has a stale marker, and `up` is 0.
            for reading in &mut before {
                reading.value = if reading.name == "up" {
                    0.0
                } else {
                    stale_nan()
                };
            }
            world.scrape(t, JOB, INSTANCE, &before);
            before.retain(|reading| reading.name == "up");
        }
        if is_announced {
            let open = f64::from(u8::from((begin..end).contains(&t)));
            world.scrape(
                t,
                JOB,
                "calendar",
                &[Reading::plain("maintenance_window", open)],
            );
        }
    }
    let firings = world.firings();
    say!(
        "      {}: {:?}",
        if is_announced {
            "announced"
        } else {
            "not announced"
        },
        firings
            .iter()
            .map(|f| (&*f.alert, f.from, f.until))
            .collect::<Vec<_>>()
    );
    notified(&firings, &deployed())
}

#[test]
fn a_planned_maintenance_notifies_nobody() {
    assert_eq!(install(true), []);
}

#[test]
fn the_same_that_nobody_planned_does_notify() {
    if !is_deep() {
        say!("skip  BURNWATCH_DEEP is not set: the maintenance that nobody announced");
        return;
    }
    let told = install(false);
    let names: Vec<&str> = told.iter().map(|(name, _)| name.as_str()).collect();
    assert!(names.contains(&"PredictionServiceDown"), "{told:?}");
}
