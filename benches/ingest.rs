//! What receiving costs: ns and allocations per sample of decode, route and append, for known
//! series, both protocols, read and unread, beside the floor, which is snappy alone.
//!
//! `cargo bench --bench ingest [series] [rounds]`. The series are those of a fleet of model
//! servers, twelve labels each, 2,000 series a request. Lines that begin with `row:` hold a name, a
//! value, its unit, and how many times the floor that is, measured on the same bodies in turn.
//! What a whole server takes, HTTP and all, is measured by `cargo bench --bench compare -- --row 1
//! --row 2 --row 8 --row 9`.

use std::alloc::{GlobalAlloc, Layout};
use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use burnwatch::ingest::decode::histogram::RawHistogram;
use burnwatch::ingest::decode::labels::RawLabels;
use burnwatch::ingest::decode::wire::DecodeError;
use burnwatch::ingest::decode::{DecodeBuffers, HashKey, Visitor, v1 as walk_v1, v2 as walk_v2};
use burnwatch::ingest::rejection::Reason;
use burnwatch::ingest::{Node, NodeSettings, Protocol, ReadSet, ShardId};
use burnwatch::log::{Log, LogTail, MemoryLog, weight};
use burnwatch::model::{Entry, Generation, Matcher, TimestampMs};
use burnwatch::server::pipeline::receive;
use burnwatch::wire::{v1, v2};
use prost::Message;

#[path = "support/thread_time.rs"]
mod thread_time;

use thread_time::cpu_nanos;

struct Counting;

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);
static SYSTEM: mimalloc::MiMalloc = mimalloc::MiMalloc;

// SAFETY: every call is passed on unchanged to the allocator that the server uses.
#[allow(unsafe_code, reason = "an allocator cannot be written without")]
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        unsafe { SYSTEM.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        unsafe { SYSTEM.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        unsafe { SYSTEM.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

const WALL: i64 = 1_700_000_000_000;
const BATCH: usize = 2_000;

fn labels(n: usize) -> Vec<(String, String)> {
    let status = ["200", "400", "404", "500", "503"][n % 5];
    let handler = ["/v1/predict", "/v1/embed", "/v1/rank", "/healthz"][(n / 5) % 4];
    let host = n / 20;
    let address = format!(
        "10.{}.{}.{}:9090",
        host >> 16 & 255,
        host >> 8 & 255,
        host & 255
    );
    let pairs = [
        ("__name__", "ml_predictions_total".to_owned()),
        ("cluster", "prod-eu-west-1".to_owned()),
        ("container", "model-server".to_owned()),
        ("endpoint", "http-metrics".to_owned()),
        ("handler", handler.to_owned()),
        ("instance", address),
        ("job", "model-server".to_owned()),
        ("method", "POST".to_owned()),
        ("model", format!("recommender-{}", host % 50)),
        ("namespace", "ml-serving".to_owned()),
        ("pod", format!("model-server-7d4b9c6f5-{host:06x}")),
        ("status", status.to_owned()),
    ];
    pairs.map(|(name, value)| (name.to_owned(), value)).to_vec()
}

fn body_v1(series: std::ops::Range<usize>, at: i64) -> Vec<u8> {
    let label = |(name, value)| v1::Label { name, value };
    let one = |n: usize| v1::TimeSeries {
        labels: labels(n).into_iter().map(label).collect(),
        samples: vec![v1::Sample {
            value: (at - WALL) as f64 * (1.0 + (n % 7) as f64),
            timestamp: at,
        }],
        ..v1::TimeSeries::default()
    };
    let request = v1::WriteRequest {
        timeseries: series.map(one).collect(),
        ..v1::WriteRequest::default()
    };
    request.encode_to_vec()
}

fn body_v2(series: std::ops::Range<usize>, at: i64) -> Vec<u8> {
    let mut symbols = vec![String::new()];
    let mut known = std::collections::HashMap::new();
    let mut timeseries = Vec::new();
    for n in series {
        let mut refs = Vec::new();
        for (name, value) in labels(n) {
            for text in [name, value] {
                refs.push(*known.entry(text.clone()).or_insert_with(|| {
                    symbols.push(text);
                    symbols.len() as u32 - 1
                }));
            }
        }
        timeseries.push(v2::TimeSeries {
            labels_refs: refs,
            samples: vec![v2::Sample {
                value: (at - WALL) as f64 * (1.0 + (n % 7) as f64),
                timestamp: at,
                start_timestamp: 0,
            }],
            metadata: Some(v2::Metadata {
                r#type: 1,
                ..v2::Metadata::default()
            }),
            ..v2::TimeSeries::default()
        });
    }
    v2::Request {
        symbols,
        timeseries,
    }
    .encode_to_vec()
}

/// Takes nothing: what walking and hashing alone cost.
struct Nobody(u128);

impl Visitor for Nobody {
    type Found = ();

    fn expect(&mut self, _hash: u128) {}

    fn find(&mut self, _hash: u128) {}

    fn knows(&self, (): ()) -> bool {
        true
    }

    fn series(
        &mut self,
        hash: u128,
        _found: (),
        _labels: &RawLabels<'_>,
    ) -> Result<bool, DecodeError> {
        self.0 ^= hash;
        Ok(false)
    }
    fn unreadable_series(&mut self, _reason: Reason, _labels: &RawLabels<'_>) {}
    fn start_timestamp(&mut self, start: TimestampMs) {
        self.0 ^= start.0 as u128;
    }
    fn float(&mut self, at: TimestampMs, value: f64) {
        self.0 ^= at.0 as u128 ^ u128::from(value.to_bits());
    }
    fn histogram(&mut self, _at: TimestampMs, _histogram: &mut RawHistogram) {}
    fn exemplar(&mut self, _at: TimestampMs, _verdict: Result<(), Reason>) {}
    fn series_end(&mut self) {}
    fn metadata(&mut self, _metric: Option<&[u8]>, _kind: u64, _help: &[u8], _unit: &[u8]) {}
}

fn floor(protocol: Protocol, plain: &[u8], body: &[u8]) {
    const TIMES: usize = 300;
    let mut out = vec![0; plain.len()];
    let started = cpu_nanos();
    for _ in 0..TIMES {
        let mut decoder = snap::raw::Decoder::new();
        decoder
            .decompress(black_box(body), &mut out)
            .expect("snappy");
    }
    let snappy = (cpu_nanos() - started) as f64 / (TIMES * BATCH) as f64;
    let (key, mut buffers) = (HashKey::new(1), DecodeBuffers::default());
    let started = cpu_nanos();
    for _ in 0..TIMES {
        buffers.begin(usize::MAX);
        let mut nobody = Nobody(0);
        let walked = match protocol {
            Protocol::V1 => walk_v1::decode(black_box(plain), &key, &mut buffers, &mut nobody),
            Protocol::V2 => walk_v2::decode(black_box(plain), &key, &mut buffers, &mut nobody),
        };
        walked.expect("well-formed");
        black_box(nobody.0);
    }
    let walk = (cpu_nanos() - started) as f64 / (TIMES * BATCH) as f64;
    let (raw, wire) = (plain.len() / BATCH, body.len() / BATCH);
    let name = protocol.name();
    println!(
        "{name}  {raw:4} B/sample, {wire:3} compressed; snappy {snappy:5.1} ns, walk {walk:5.1} ns"
    );
}

fn run(protocol: Protocol, is_read: bool, n_series: usize, rounds: i64) {
    let (log, tail) = MemoryLog::new(usize::MAX);
    let node = Node::new(vec![log as Arc<dyn Log>], NodeSettings::default(), 1);
    let job = if is_read { "model-server" } else { "nobody" };
    let read_set = ReadSet {
        generation: Generation(1),
        selectors: vec![(ShardId(0), vec![Matcher::equal("job", job)])],
        ..ReadSet::default()
    };
    let wall = TimestampMs(WALL);
    let mut entry = |_, stamp| Entry::Clock { stamp };
    node.adopt(read_set, &mut entry, wall).expect("open");
    let (mut first, mut nanos, mut allocations, mut best) = (0, 0, 0, u128::MAX);
    let (mut floor, mut plain_again) = (0, Vec::new());
    for round in 0..=rounds {
        let at = WALL - (rounds - round) * 15_000;
        let mut of_round = 0;
        for from in (0..n_series).step_by(BATCH) {
            let plain = match protocol {
                Protocol::V1 => body_v1(from..from + BATCH, at),
                Protocol::V2 => body_v2(from..from + BATCH, at),
            };
            let body = snap::raw::Encoder::new()
                .compress_vec(&plain)
                .expect("compresses");
            let before = ALLOCATIONS.load(Ordering::Relaxed);
            let started = cpu_nanos();
            let answer = receive(&node, &body, protocol, wall);
            of_round += cpu_nanos() - started;
            if round > 0 {
                allocations += ALLOCATIONS.load(Ordering::Relaxed) - before;
                plain_again.resize(plain.len(), 0);
                let started = cpu_nanos();
                let mut decoder = snap::raw::Decoder::new();
                let n = decoder.decompress(black_box(&body), &mut plain_again);
                floor += cpu_nanos() - started;
                assert_eq!(n, Ok(plain.len()));
            }
            assert_eq!(answer.written.samples, BATCH as u64, "{}", answer.text);
            while let Ok((_, entry)) = tail.entries().try_recv() {
                tail.done(weight(&entry));
            }
        }
        if round == 0 {
            first = of_round;
        } else {
            nanos += of_round;
            best = best.min(of_round);
        }
    }
    let n_samples = (n_series as i64 * rounds) as f64;
    let (name, what) = (protocol.name(), if is_read { "read" } else { "unread" });
    let (each, floor_each) = (nanos as f64 / n_samples, floor as f64 / n_samples);
    println!(
        "{name}  {what:6}  first seen {:7.1} ns; then {each:6.1} ns/sample (best round {:6.1}), {:.4} allocations/sample; snappy {floor_each:5.1} ns",
        first as f64 / n_series as f64,
        best as f64 / n_series as f64,
        allocations as f64 / n_samples,
    );
    println!(
        "row: remote write {name} {what}, in process | {:.4} | us/sample | {:.2} x snappy",
        each / 1e3,
        each / floor_each
    );
}

fn main() {
    let numbers: Vec<usize> = std::env::args()
        .filter_map(|text| text.parse().ok())
        .collect();
    let n_series = numbers.first().copied().unwrap_or(200_000).max(BATCH) / BATCH * BATCH;
    let rounds = numbers.get(1).copied().unwrap_or(5) as i64;
    println!("{n_series} series, {rounds} rounds");
    for protocol in [Protocol::V1, Protocol::V2] {
        let plain = match protocol {
            Protocol::V1 => body_v1(0..BATCH, WALL),
            Protocol::V2 => body_v2(0..BATCH, WALL),
        };
        let body = snap::raw::Encoder::new()
            .compress_vec(&plain)
            .expect("compresses");
        floor(protocol, &plain, &body);
        for is_read in [false, true] {
            run(protocol, is_read, n_series, rounds);
        }
    }
}
