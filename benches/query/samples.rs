//! What both servers are given: series of a small fleet of web servers, a sample each 15 seconds.
//!
//! Samples lie 7.003 seconds behind full minutes, so that none lies on the edge of a window that
//! ends at one: Prometheus 2 counts a sample on the left edge in, Prometheus 3 does not.

use burnwatch::wire::v1;

/// Milliseconds between the samples of a series.
pub const SCRAPE_MS: i64 = 15_000;
/// How far samples lie behind full minutes, ms.
const BEHIND_MS: i64 = 7_003;
/// The series of one instance.
const SERIES_PER_INSTANCE: usize = 20;
/// The upper bounds of the classic histogram.
const BOUNDS: [&str; 8] = ["0.005", "0.025", "0.1", "0.25", "0.5", "1", "2.5", "+Inf"];

/// The series, and how they go on from sample to sample.
pub struct Fleet {
    series: Vec<Vec<v1::Label>>,
    values: Vec<f64>,
    seed: u64,
}

impl Fleet {
    /// Makes about `n_series` series: 20 for each instance.
    pub fn new(n_series: usize) -> Self {
        let instances = 0..n_series.div_ceil(SERIES_PER_INSTANCE);
        let series: Vec<_> = instances.flat_map(instance).collect();
        Fleet {
            values: vec![50_000.0; series.len()],
            series,
            seed: 0x9e37_79b9_7f4a_7c15,
        }
    }

    /// Returns the number of series.
    pub fn len(&self) -> usize {
        self.series.len()
    }

    /// Returns a remote write request with `n_scrapes` samples of every series, of which the
    /// first is the scrape after the minute `from_ms`.
    pub fn write(&mut self, from_ms: i64, n_scrapes: usize) -> v1::WriteRequest {
        let of_series = |labels: &Vec<v1::Label>| v1::TimeSeries {
            labels: labels.clone(),
            ..v1::TimeSeries::default()
        };
        let mut timeseries: Vec<_> = self.series.iter().map(of_series).collect();
        for scrape in 0..n_scrapes as i64 {
            let timestamp = from_ms + BEHIND_MS + scrape * SCRAPE_MS;
            for (number, series) in timeseries.iter_mut().enumerate() {
                let value = self.next_value(number);
                series.samples.push(v1::Sample { value, timestamp });
            }
        }
        v1::WriteRequest {
            timeseries,
            ..v1::WriteRequest::default()
        }
    }

    fn next_value(&mut self, number: usize) -> f64 {
        let place = number % SERIES_PER_INSTANCE;
        let noise = self.random();
        match place {
            // build_info, up: now and then an instance is down.
            0 => return 1.0,
            1 => return f64::from(u8::from(noise > 0.01)),
            // A gauge that wanders.
            2 | 3 => self.values[number] += (noise - 0.5) * 1_000.0,
            // Requests by code and handler; a counter is reset once in some hours.
            4..12 if noise < 0.001 => self.values[number] = 0.0,
            4..12 => self.values[number] += noise * 100.0,
            // Each bucket holds what is in those below it.
            12 => self.values[number] += (noise * 10.0).floor(),
            _ => {
                let grown = (noise * 10.0).floor();
                self.values[number] = (self.values[number] + grown).max(self.values[number - 1]);
            }
        }
        self.values[number]
    }

    /// A number in [0, 1), the same ones every time: Knuth's linear congruential generator.
    fn random(&mut self) -> f64 {
        self.seed = self.seed.wrapping_mul(6_364_136_223_846_793_005);
        self.seed = self.seed.wrapping_add(1_442_695_040_888_963_407);
        (self.seed >> 11) as f64 / (1_u64 << 53) as f64
    }
}

fn instance(number: usize) -> Vec<Vec<v1::Label>> {
    let address = format!("10.0.{}.{}:9090", number >> 8, number & 255);
    let labels = |name: &str, more: &[(&str, &str)]| {
        let mut pairs = vec![
            ("__name__", name),
            ("cluster", "prod-eu-west-1"),
            ("instance", &address),
            ("job", "web"),
            ("namespace", "shop"),
        ];
        pairs.extend_from_slice(more);
        pairs.sort_unstable();
        let label = |(name, value): (&str, &str)| v1::Label {
            name: name.to_owned(),
            value: value.to_owned(),
        };
        pairs.into_iter().map(label).collect()
    };
    let version = format!("1.{}", number % 3);
    let mut series = vec![
        labels("build_info", &[("version", &version)]),
        labels("up", &[]),
        labels("memory_bytes", &[("area", "heap")]),
        labels("memory_bytes", &[("area", "nonheap")]),
    ];
    for handler in ["/cart", "/search"] {
        for code in ["200", "404", "500", "503"] {
            let more = [("code", code), ("handler", handler)];
            series.push(labels("http_requests_total", &more));
        }
    }
    for le in BOUNDS {
        let name = "http_request_duration_seconds_bucket";
        series.push(labels(name, &[("le", le)]));
    }
    series
}
