//! Recorded samples by remote write.

use burnwatch::model::{Labels, SampleValue, TimestampMs};
use burnwatch::notify::RecordedSample;
use burnwatch::wire::{v1, v2};
use prost::Message as _;

use crate::support::Answer::Status;
use crate::support::{Receiver, World, config};

fn sample(name: &str, at: i64, value: f64) -> RecordedSample {
    RecordedSample {
        labels: Labels::from_pairs([("__name__", name), ("job", "j")]),
        at: TimestampMs(at),
        value: SampleValue::Float(value),
    }
}

fn write_back(receiver: &Receiver, extra: &str) -> String {
    let (address, queue) = (receiver.address, "queue_config: {batch_send_deadline: 1ms}");
    format!("burnwatch: {{write_back: [{{url: 'http://{address}/w', {queue}, {extra}}}]}}\n")
}

#[tokio::test(flavor = "multi_thread")]
async fn samples_are_written_in_order_and_again_after_a_failure() {
    let receiver = Receiver::start([Status(503)]).await;
    let extra = "name: up, headers: {X-Scope-OrgID: t}, write_relabel_configs: \
                 [{source_labels: [__name__], regex: secret, action: drop}]";
    let world = World::start(config(&write_back(&receiver, extra)));
    let samples = [
        sample("a", 1, 1.0),
        sample("secret", 1, 2.0),
        sample("a", 2, 3.0),
    ];
    world.notify.write_back(samples.to_vec());
    let requests = receiver.requests(2).await;
    assert_eq!(requests[0].body, requests[1].body);
    let headers = &requests[1].headers;
    assert_eq!(headers["x-prometheus-remote-write-version"], "0.1.0");
    assert_eq!(headers["content-encoding"], "snappy");
    assert_eq!(headers["x-scope-orgid"], "t");
    let body = snap::raw::Decoder::new()
        .decompress_vec(&requests[1].body)
        .expect("snappy");
    let request = v1::WriteRequest::decode(&*body).expect("protobuf");
    assert_eq!(request.timeseries.len(), 1);
    let values: Vec<f64> = request.timeseries[0]
        .samples
        .iter()
        .map(|s| s.value)
        .collect();
    assert_eq!(values, [1.0, 3.0]);
    let name = |tail: &str| format!("prometheus_remote_storage_{tail}");
    world
        .metric_reaches(&name("samples_total"), "remote_name=\"up\"", 2.0)
        .await;
    assert_eq!(world.metric(&name("samples_retried_total"), ""), 2.0);
    assert_eq!(world.metric(&name("samples_dropped_total"), ""), 1.0);
    assert_eq!(world.metric(&name("samples_in_total"), ""), 3.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_ignores_2_0_is_found_out() {
    let receiver = Receiver::start([]).await;
    let extra = "protobuf_message: io.prometheus.write.v2.Request";
    let world = World::start(config(&write_back(&receiver, extra)));
    world.notify.write_back(vec![sample("a", 1, 1.0)]);
    let request = receiver.requests(1).await.remove(0);
    let content_type = "application/x-protobuf;proto=io.prometheus.write.v2.Request";
    assert_eq!(request.headers["content-type"], content_type);
    let body = snap::raw::Decoder::new()
        .decompress_vec(&request.body)
        .expect("snappy");
    let request = v2::Request::decode(&*body).expect("protobuf");
    assert_eq!(request.symbols, ["", "__name__", "a", "job", "j"]);
    world
        .metric_reaches("prometheus_remote_storage_samples_failed_total", "", 1.0)
        .await;
}
