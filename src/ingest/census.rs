//! What a request holds and from when to when, for the few that are asked: those that are not
//! taken because another replica is listened to, and the one with which event time begins.
//!
//! A walk of its own: nothing is looked up, no labels are read, and other requests do not pay.

use crate::ingest::answer::Written;
use crate::ingest::decode::histogram::RawHistogram;
use crate::ingest::decode::labels::RawLabels;
use crate::ingest::decode::wire::DecodeError;
use crate::ingest::decode::{DecodeBuffers, HashKey, Visitor, v1, v2};
use crate::ingest::received::Protocol;
use crate::ingest::rejection::Reason;
use crate::model::TimestampMs;

/// How much a request holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Census {
    /// Samples, histograms and exemplars.
    pub held: Written,
    /// The oldest timestamp since 1970, ms.
    pub oldest: Option<TimestampMs>,
    /// The newest timestamp, ms.
    pub newest: Option<TimestampMs>,
}

/// Counts what a body of at most `items_max` items holds.
pub fn census(
    body: &[u8],
    protocol: Protocol,
    buffers: &mut DecodeBuffers,
    items_max: usize,
) -> Result<Census, DecodeError> {
    let mut census = Census::default();
    buffers.begin(items_max);
    // Any key will do, since no hash is used.
    let key = HashKey::new(0);
    match protocol {
        Protocol::V1 => v1::decode(body, &key, buffers, &mut census)?,
        Protocol::V2 => v2::decode(body, &key, buffers, &mut census)?,
    }
    Ok(census)
}

impl Census {
    fn hear(&mut self, at: TimestampMs) {
        self.newest = self.newest.max(Some(at));
        if at.0 >= 0 && self.oldest.is_none_or(|oldest| at < oldest) {
            self.oldest = Some(at);
        }
    }
}

impl Visitor for Census {
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
        self.held.samples += 1;
        self.hear(at);
    }

    fn histogram(&mut self, at: TimestampMs, _histogram: &mut RawHistogram) {
        self.held.histograms += 1;
        self.hear(at);
    }

    fn exemplar(&mut self, _at: TimestampMs, _verdict: Result<(), Reason>) {
        self.held.exemplars += 1;
    }

    fn series_end(&mut self) {}

    fn metadata(&mut self, _metric: Option<&[u8]>, _kind: u64, _help: &[u8], _unit: &[u8]) {}
}
