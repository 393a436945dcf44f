//! Write-back: what rules record, `ALERTS` among it, by remote write 1.0 or 2.0.

use std::sync::Arc;

use bytes::Bytes;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use tokio::task::JoinHandle;

use crate::config::{ProtobufMessage, RemoteWriteConfig};
use crate::model::{SampleValue, TimestampMs};
use crate::notify::departure::Departure;
use crate::notify::http_client::{Answer, HttpClient};
use crate::notify::metrics::RemoteLabel;
use crate::notify::notifier::{Notifier, World};
use crate::notify::outcome::Outcome;
use crate::notify::queue::{Pauses, Push, Queue};
use crate::notify::remote_body::encode;
use crate::notify::sample_queue::SampleQueue;
use crate::notify::{NotifyConfig, RecordedSample};
use crate::relabel::relabel;

/// All receivers of recorded samples.
#[derive(Default)]
pub struct WriteBack {
    running: Vec<Running>,
    world: Option<World>,
}

/// Returns the kind without receivers.
pub fn new() -> Box<dyn Notifier> {
    Box::new(WriteBack::default())
}

/// One receiver and what it was started with.
struct Running {
    config: RemoteWriteConfig,
    label: RemoteLabel,
    queue: Arc<Queue<SampleQueue>>,
}

impl Notifier for WriteBack {
    fn name(&self) -> &'static str {
        "write_back"
    }

    fn about(&self) -> &'static str {
        "Writes recorded series and ALERTS to a Prometheus or any other remote-write receiver"
    }

    fn example(&self) -> &'static str {
        "burnwatch: {write_back: [{url: 'http://localhost:9090/api/v1/write'}]}"
    }

    fn reconfigure(&mut self, config: &NotifyConfig, world: &World) {
        let mut old = std::mem::take(&mut self.running);
        for receiver in &config.write_back {
            let same = |running: &Running| running.config == *receiver;
            self.running.push(match old.iter().position(same) {
                Some(at) => old.swap_remove(at),
                None => start(receiver, world),
            });
        }
        for removed in old {
            removed.queue.stop();
            world.metrics.remote.end(&removed.label);
        }
        self.world = Some(world.clone());
    }

    fn samples(&mut self, samples: &[RecordedSample]) {
        let Some(world) = self.world.as_ref().filter(|_| !self.running.is_empty()) else {
            return;
        };
        world.metrics.remote.note_in(samples);
        for running in &self.running {
            let mut n_left_out = 0;
            let kept: Vec<RecordedSample> = samples
                .iter()
                .filter_map(|sample| {
                    let outgoing = outgoing(sample, &running.config);
                    n_left_out += usize::from(outgoing.is_none());
                    outgoing
                })
                .collect();
            world.metrics.remote.add_dropped(&running.label, n_left_out);
            running.queue.edit(|queue, now| queue.push(kept, now));
        }
    }

    fn drain(&mut self) -> Vec<JoinHandle<()>> {
        let running = self.running.iter();
        running
            .filter_map(|running| running.queue.drain())
            .collect()
    }
}

/// Returns the sample as it is sent, or `None` where it is not.
fn outgoing(sample: &RecordedSample, config: &RemoteWriteConfig) -> Option<RecordedSample> {
    let is_histogram = matches!(sample.value, SampleValue::Histogram(_));
    if is_histogram && !config.send_native_histograms {
        return None;
    }
    let labels = relabel(&sample.labels, &config.write_relabel_configs)?;
    (!labels.is_empty()).then(|| RecordedSample {
        labels,
        ..sample.clone()
    })
}

fn start(config: &RemoteWriteConfig, world: &World) -> Running {
    let mut url = config.url.clone();
    // Fails only for URLs without a host, and this one has one.
    let _ = url.set_password(None);
    let label = RemoteLabel {
        remote_name: config.name.clone(),
        url: url.to_string(),
    };
    world.metrics.remote.begin(&label);
    let push = RemotePush {
        label: label.clone(),
        config: config.clone(),
        client: HttpClient::new(config.http.clone()),
        world: world.clone(),
    };
    let pauses = Pauses {
        min: config.queue_config.min_backoff.to_std(),
        max: config.queue_config.max_backoff.to_std(),
    };
    let queue = Queue::start(
        format!("write_back:{}", config.name),
        SampleQueue::new(config.queue_config.clone()),
        Box::new(push),
        pauses,
        Arc::clone(&world.clock),
        &world.runtime,
    );
    Running {
        config: config.clone(),
        label,
        queue,
    }
}

struct RemotePush {
    label: RemoteLabel,
    config: RemoteWriteConfig,
    client: HttpClient,
    world: World,
}

type Batch = Vec<(TimestampMs, RecordedSample)>;

impl Push<Batch> for RemotePush {
    fn push<'a>(&'a self, batch: &'a Batch, _sent_at: TimestampMs) -> BoxFuture<'a, Outcome> {
        self.send(batch).boxed()
    }

    fn waiting(&self, n_waiting: usize) {
        self.world
            .metrics
            .remote
            .set_pending(&self.label, n_waiting);
    }

    fn dropped(&self, n_dropped: usize) {
        self.world
            .metrics
            .remote
            .add_dropped(&self.label, n_dropped);
    }
}

impl RemotePush {
    async fn send(&self, batch: &Batch) -> Outcome {
        let samples: Vec<RecordedSample> = batch.iter().map(|(_, s)| s.clone()).collect();
        let body = match encode(&samples, self.config.protobuf_message) {
            Ok(body) => body,
            Err(e) => return Outcome::Refused(format!("samples cannot be encoded: {e}")),
        };
        let n_bytes = body.len();
        let (content_type, version) = match self.config.protobuf_message {
            ProtobufMessage::V1 => ("application/x-protobuf", "0.1.0"),
            ProtobufMessage::V2 => (
                "application/x-protobuf;proto=io.prometheus.write.v2.Request",
                "2.0.0",
            ),
        };
        let headers = [
            ("content-encoding", "snappy"),
            ("content-type", content_type),
            ("x-prometheus-remote-write-version", version),
        ];
        let extra = self.config.headers.iter();
        let extra: Vec<(&str, &str)> = extra.map(|(n, v)| (n.as_str(), v.as_str())).collect();
        let all = [&headers[..], &extra[..]].concat();
        let timeout = self.config.remote_timeout.to_std();
        let body = Bytes::from(body);
        let departure = Departure::default();
        let posted = self
            .client
            .post(&self.config.url, &all, body, timeout, &departure);
        let outcome = posted
            .await
            .map_or_else(Outcome::from, |answer| self.outcome(&answer));
        self.world
            .metrics
            .remote
            .count(&self.label, &outcome, &samples, n_bytes);
        outcome
    }

    fn outcome(&self, answer: &Answer) -> Outcome {
        let retries_429 = self.config.queue_config.retry_on_http_429;
        match answer.status {
            200..300 if self.is_broken_2_0(answer) => Outcome::Refused(
                "the receiver accepted a 2.0 request without counting what it wrote: it speaks \
                 1.0 only; set protobuf_message to prometheus.WriteRequest"
                    .to_owned(),
            ),
            200..300 => Outcome::Delivered,
            500.. => answer.retry(),
            429 if retries_429 => answer.retry(),
            _ => Outcome::Refused(answer.reason()),
        }
    }

    /// A 2xx to a 2.0 request with none of the counts comes from a receiver that ignored it.
    fn is_broken_2_0(&self, answer: &Answer) -> bool {
        let counts = [
            "x-prometheus-remote-write-samples-written",
            "x-prometheus-remote-write-histograms-written",
            "x-prometheus-remote-write-exemplars-written",
        ];
        self.config.protobuf_message == ProtobufMessage::V2
            && !counts.iter().any(|name| answer.headers.contains_key(*name))
    }
}
