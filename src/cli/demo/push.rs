//! A simulated service's remote write: protobuf, snappy, HTTP, as an agent sends it.

use anyhow::{Context as _, bail};
use prost::Message as _;

use crate::cli::demo::scenario::Reading;
use crate::model::TimestampMs;
use crate::wire::v1::{Label, Sample, TimeSeries, WriteRequest};

/// Pushes scrapes to a server.
pub struct Pusher {
    client: reqwest::Client,
    url: String,
}

impl Pusher {
    /// Returns a pusher for a server's base URL.
    pub fn new(base_url: &str) -> anyhow::Result<Self> {
        let client = crate::notify::http_client::plain()?;
        Ok(Pusher {
            client,
            url: format!("{base_url}/api/v1/write"),
        })
    }

    /// Pushes one scrape of a service.
    pub async fn push(
        &self,
        job: &str,
        at: TimestampMs,
        readings: &[Reading],
    ) -> anyhow::Result<()> {
        let up = Reading {
            name: "up".to_owned(),
            label: None,
            value: 1.0,
        };
        let timeseries = readings
            .iter()
            .chain([&up])
            .map(|r| series(job, at, r))
            .collect();
        let request = WriteRequest {
            timeseries,
            ..WriteRequest::default()
        };
        let body = snap::raw::Encoder::new().compress_vec(&request.encode_to_vec())?;
        let response = self
            .client
            .post(&self.url)
            .header("Content-Type", "application/x-protobuf")
            .header("Content-Encoding", "snappy")
            .header("X-Prometheus-Remote-Write-Version", "0.1.0")
            .body(body)
            .send()
            .await
            .with_context(|| format!("cannot write to {}", self.url))?;
        let status = response.status();
        if !status.is_success() {
            bail!(
                "{} answered {status}: {}",
                self.url,
                response.text().await.unwrap_or_default()
            );
        }
        Ok(())
    }
}

fn series(job: &str, at: TimestampMs, reading: &Reading) -> TimeSeries {
    let label = |name: &str, value: &str| Label {
        name: name.to_owned(),
        value: value.to_owned(),
    };
    let mut labels = vec![
        label("__name__", &reading.name),
        label("instance", &format!("{job}:8080")),
        label("job", job),
    ];
    if let Some((name, value)) = &reading.label {
        labels.push(label(name, value));
    }
    labels.sort_by(|a, b| a.name.cmp(&b.name));
    let sample = Sample {
        value: reading.value,
        timestamp: at.0,
    };
    TimeSeries {
        labels,
        samples: vec![sample],
        ..TimeSeries::default()
    }
}
