//! Receiving known series allocates nothing per sample: a request ten times as large makes as
//! many allocations as a small one. It would catch a `String`, a `Vec` or a boxed value that
//! slipped into the path of every sample.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::Arc;

use burnwatch::ingest::{Node, NodeSettings, Protocol, ReadSet, ShardId};
use burnwatch::log::{Log, LogTail, MemoryLog, weight};
use burnwatch::model::{Entry, Generation, Matcher, TimestampMs};
use burnwatch::server::pipeline::receive;
use burnwatch::wire::{v1, v2};
use prost::Message;

/// Counts what the current thread allocates.
struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

// SAFETY: every call is passed on to the system's allocator unchanged; counting touches a plain
// thread-local without a destructor, which never allocates.
#[allow(unsafe_code, reason = "an allocator cannot be written without")]
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

const WALL: i64 = 1_700_000_000_000;

fn labels(n: usize) -> [(String, String); 4] {
    [
        ("__name__".to_owned(), format!("m{}_total", n % 7)),
        ("instance".to_owned(), format!("10.0.0.{}:9090", n / 20)),
        ("job".to_owned(), "model-server".to_owned()),
        ("n".to_owned(), n.to_string()),
    ]
}

fn body_v1(n_series: usize, at: i64) -> Vec<u8> {
    let label = |(name, value)| v1::Label { name, value };
    let series = |n: usize| v1::TimeSeries {
        labels: labels(n).map(label).to_vec(),
        samples: vec![v1::Sample {
            value: at as f64,
            timestamp: at,
        }],
        ..v1::TimeSeries::default()
    };
    v1::WriteRequest {
        timeseries: (0..n_series).map(series).collect(),
        ..v1::WriteRequest::default()
    }
    .encode_to_vec()
}

fn body_v2(n_series: usize, at: i64) -> Vec<u8> {
    let (mut symbols, mut timeseries) = (vec![String::new()], Vec::new());
    for n in 0..n_series {
        let mut refs = Vec::new();
        for (name, value) in labels(n) {
            for text in [name, value] {
                refs.push(symbols.len() as u32);
                symbols.push(text);
            }
        }
        timeseries.push(v2::TimeSeries {
            labels_refs: refs,
            samples: vec![v2::Sample {
                value: at as f64,
                timestamp: at,
                start_timestamp: 0,
            }],
            metadata: Some(v2::Metadata {
                r#type: 1,
                help_ref: 1,
                unit_ref: 0,
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

/// Allocations of one request of `n_series` known series.
fn allocations(protocol: Protocol, reads: &str, n_series: usize) -> u64 {
    let (log, tail) = MemoryLog::new(usize::MAX);
    let node = Node::new(vec![log as Arc<dyn Log>], NodeSettings::default(), 1);
    let read_set = ReadSet {
        generation: Generation(1),
        selectors: vec![(ShardId(0), vec![Matcher::equal("job", reads)])],
        ..ReadSet::default()
    };
    let wall = TimestampMs(WALL);
    let mut entry = |_, stamp| Entry::Clock { stamp };
    node.adopt(read_set, &mut entry, wall).expect("open");
    let mut counted = 0;
    for round in 0..20 {
        let at = WALL - 100_000 + round;
        let plain = match protocol {
            Protocol::V1 => body_v1(n_series, at),
            Protocol::V2 => body_v2(n_series, at),
        };
        let body = snap::raw::Encoder::new()
            .compress_vec(&plain)
            .expect("compresses");
        let before = ALLOCATIONS.get();
        let answer = receive(&node, &body, protocol, wall);
        counted = ALLOCATIONS.get() - before;
        assert_eq!(answer.written.samples, n_series as u64, "{}", answer.text);
        while let Ok((_, entry)) = tail.entries().try_recv() {
            tail.done(weight(&entry));
        }
    }
    counted
}

#[test]
fn known_series_cost_no_allocation_per_sample() {
    for protocol in [Protocol::V1, Protocol::V2] {
        for reads in ["model-server", "nobody"] {
            let small = allocations(protocol, reads, 200);
            let large = allocations(protocol, reads, 2_000);
            assert_eq!(small, large, "{protocol:?}, read by {reads}");
            assert!(
                large <= 8,
                "{large} for a request of {protocol:?}, read by {reads}"
            );
        }
    }
}
