//! Where event time begins: the oldest timestamp of the first request that sets the clock.
//!
//! Asked once in a node's life, so it is a walk of its own rather than work for every request.

use crate::ingest::decode::histogram::RawHistogram;
use crate::ingest::decode::labels::RawLabels;
use crate::ingest::decode::wire::DecodeError;
use crate::ingest::decode::{DecodeBuffers, HashKey, Visitor, v1, v2};
use crate::ingest::received::Protocol;
use crate::ingest::rejection::Reason;
use crate::model::TimestampMs;

/// Returns the oldest timestamp since 1970 of a body that was found well-formed before.
pub fn oldest(body: &[u8], protocol: Protocol, buffers: &mut DecodeBuffers) -> Option<TimestampMs> {
    let mut found = Oldest(None);
    buffers.begin(usize::MAX);
    // Any key will do, since no hash is used.
    let key = HashKey::new(0);
    let _ = match protocol {
        Protocol::V1 => v1::decode(body, &key, buffers, &mut found),
        Protocol::V2 => v2::decode(body, &key, buffers, &mut found),
    };
    found.0
}

struct Oldest(Option<TimestampMs>);

impl Oldest {
    fn offer(&mut self, at: TimestampMs) {
        let is_older = self.0.is_none_or(|oldest| at < oldest);
        if at.0 >= 0 && is_older {
            self.0 = Some(at);
        }
    }
}

impl Visitor for Oldest {
    type Found = ();

    fn expect(&mut self, _hash: u128) {}

    fn find(&mut self, _hash: u128) {}

    fn knows(&self, _found: ()) -> bool {
        false
    }

    fn series(
        &mut self,
        _hash: u128,
        _found: (),
        _labels: &RawLabels<'_>,
    ) -> Result<bool, DecodeError> {
        Ok(false)
    }

    fn unreadable_series(&mut self, _reason: Reason, _labels: &RawLabels<'_>) {}

    fn start_timestamp(&mut self, _start: TimestampMs) {}

    fn float(&mut self, at: TimestampMs, _value: f64) {
        self.offer(at);
    }

    fn histogram(&mut self, at: TimestampMs, _histogram: &mut RawHistogram) {
        self.offer(at);
    }

    fn exemplar(&mut self, _at: TimestampMs, _verdict: Result<(), Reason>) {}

    fn series_end(&mut self) {}

    fn metadata(&mut self, _metric: Option<&[u8]>, _kind: u64, _help: &[u8], _unit: &[u8]) {}
}
