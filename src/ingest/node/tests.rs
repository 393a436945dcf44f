//! What is logged of a request and what its sender is answered.

use super::*;
use crate::log::RecordingLog;
use crate::model::Generation;
use crate::model::{Labels, Matcher, SeriesHandle};
use crate::wire::v1 as messages;
use prost::Message;

const WALL: TimestampMs = TimestampMs(1_700_000_000_000);

fn write(node: &Node, body: &[u8]) -> WriteAnswer {
    let mut received = match node.receive(body, Protocol::V1, WALL) {
        Ok(received) => received,
        Err(promised) => return promised.kept_blocking(),
    };
    node.route(&mut received).expect("decodes");
    let promised = node.append(&mut received);
    promised.expect("nothing is reloaded").kept_blocking()
}

fn node_reading(names: &[&str]) -> (Arc<Node>, Arc<RecordingLog>) {
    let log = Arc::new(RecordingLog::default());
    let node = Node::new(vec![log.clone()], NodeSettings::default(), 7);
    let selector = |name: &&str| (ShardId(0), vec![Matcher::equal("__name__", *name)]);
    let read_set = ReadSet {
        generation: Generation(1),
        selectors: names.iter().map(selector).collect(),
        ..ReadSet::default()
    };
    node.adopt(read_set, &mut |_, stamp| Entry::Clock { stamp }, WALL)
        .expect("the log is open");
    log.take();
    (node, log)
}

type Pairs<'a> = &'a [(&'a str, &'a str)];
type Samples<'a> = &'a [(i64, f64)];

fn body(series: &[(Pairs<'_>, Samples<'_>)]) -> Vec<u8> {
    let label = |(name, value): &(&str, &str)| messages::Label {
        name: (*name).to_owned(),
        value: (*value).to_owned(),
    };
    let sample = |(timestamp, value): &(i64, f64)| messages::Sample {
        value: *value,
        timestamp: *timestamp,
    };
    let one = |(labels, samples): &(Pairs<'_>, Samples<'_>)| messages::TimeSeries {
        labels: labels.iter().map(label).collect(),
        samples: samples.iter().map(sample).collect(),
        ..messages::TimeSeries::default()
    };
    let request = messages::WriteRequest {
        timeseries: series.iter().map(one).collect(),
        ..messages::WriteRequest::default()
    };
    snap::raw::Encoder::new()
        .compress_vec(&request.encode_to_vec())
        .expect("compresses")
}

#[test]
fn what_a_rule_reads_is_logged_and_the_rest_moves_the_clock() {
    let (node, log) = node_reading(&["up"]);
    let at = WALL.0 - 1_000;
    let up: Pairs<'_> = &[("__name__", "up"), ("job", "a")];
    let other: Pairs<'_> = &[("__name__", "other"), ("job", "a")];
    let request = body(&[(up, &[(at, 1.0)]), (other, &[(at, 2.0)])]);
    let answer = write(&node, &request);
    assert_eq!(answer.status, StatusCode::NO_CONTENT);
    assert_eq!(answer.written.samples, 2);
    let entries = log.take();
    let [Entry::Samples { stamp, batch, .. }] = &entries[..] else {
        panic!("one entry: {entries:?}");
    };
    assert_eq!(stamp.clock, Some(TimestampMs(at)));
    let labels = Labels::from_pairs(up.iter().copied());
    assert_eq!(batch.definitions[0].labels, labels);
    assert_eq!(batch.floats, [(SeriesHandle(0), TimestampMs(at), 1.0)]);

    let request = body(&[(other, &[(at + 500, 3.0)])]);
    write(&node, &request);
    assert!(matches!(log.take()[..], [Entry::Clock { .. }]));

    let request = body(&[(up, &[(at, 1.0), (at + 600, 3.0), (at, 2.0)])]);
    let answer = write(&node, &request);
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
    assert_eq!(answer.written.samples, 2);
    assert_eq!(
        &*answer.text,
        format!(
            "out_of_order: 1 refused: out of order sample; \
             first: {{__name__=\"up\", job=\"a\"}} at {at}\n"
        )
    );
    let entries = log.take();
    let [Entry::Samples { batch, .. }] = &entries[..] else {
        panic!("one entry: {entries:?}");
    };
    assert!(batch.definitions.is_empty());
    assert_eq!(
        batch.floats,
        [(SeriesHandle(0), TimestampMs(at + 600), 3.0)]
    );
}
