//! A request on its way between its body and the logs: what it is written in, the buffers it lies
//! in, and what was found out about it so far. [`Node`] leads it from step to step; nothing here
//! decides anything.
//!
//! [`Node`]: crate::ingest::node::Node

use std::sync::Arc;

use crate::clock::Stopwatch;
use crate::ingest::collect::Collected;
use crate::ingest::decode::DecodeBuffers;
use crate::ingest::replica::Replica;
use crate::ingest::route::Routing;
use crate::ingest::sender::SenderShare;
use crate::ingest::series_owners::SenderNumber;
use crate::model::TimestampMs;

/// Which message a body holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// `prometheus.WriteRequest`
    V1,
    /// `io.prometheus.write.v2.Request`
    V2,
}

impl Protocol {
    /// Returns the version as metrics name it.
    pub fn name(self) -> &'static str {
        match self {
            Protocol::V1 => "1.0",
            Protocol::V2 => "2.0",
        }
    }
}

/// What handling a request needs space for; used again for the next ones.
#[derive(Debug, Default)]
pub(in crate::ingest) struct Buffers {
    /// Its body without snappy, and perhaps more behind it.
    pub body: Vec<u8>,
    pub decode: DecodeBuffers,
    pub collected: Collected,
}

impl Buffers {
    /// Returns the bytes that keeping them costs.
    pub fn heap_bytes(&self) -> usize {
        self.body.capacity() + self.decode.heap_bytes() + self.collected.heap_bytes()
    }
}

/// A request between its body and the logs.
pub struct Received {
    pub(in crate::ingest) buffers: Buffers,
    /// How much of `buffers.body` is this request's.
    pub(in crate::ingest) plain_bytes: usize,
    pub(in crate::ingest) body_hash: u128,
    pub(in crate::ingest) protocol: Protocol,
    pub(in crate::ingest) wall: TimestampMs,
    pub(in crate::ingest) began: Stopwatch,
    pub(in crate::ingest) sender: SenderShare,
    pub(in crate::ingest) brought_by: SenderNumber,
    /// Whose it is, where replicas are told apart.
    pub(in crate::ingest) replica: Option<Replica>,
    /// The routing it was routed under, and that routing's version.
    pub(in crate::ingest) routed: Option<(u64, Arc<Routing>)>,
}

impl Received {
    /// Says when the request's first byte was seen, which is before its body was there.
    pub fn began(&mut self, began: Stopwatch) {
        self.began = began;
    }

    /// Says whose request it is.
    pub fn sent_by(&mut self, sender: SenderShare, brought_by: SenderNumber) {
        (self.sender, self.brought_by) = (sender, brought_by);
    }
}
