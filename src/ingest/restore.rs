//! What the door knows again after a start: series, their handles and newest samples, as the
//! engines have them when they have applied what an earlier process left.
//!
//! The door does not wait for it. Until then a series that comes is new to it and is given another
//! handle, with which its engine goes on where the old one stopped; what is told later of such a
//! series is passed over.

use crate::ingest::Node;
use crate::ingest::identity::{identity_of, target_of};
use crate::ingest::route::ShardId;
use crate::ingest::series_table::ValueBits;
use crate::model::{Labels, SampleValue, SeriesHandle, TimestampMs};

/// A series as an engine has heard of it.
#[derive(Clone, Debug)]
pub struct HeardSeries {
    /// Its labels.
    pub labels: Labels,
    /// Its number in the shard.
    pub handle: SeriesHandle,
    /// Its newest sample, stale markers included.
    pub newest: Option<(TimestampMs, SampleValue)>,
    /// The wall clock of its newest sample, ms.
    pub heard_at_wall: TimestampMs,
}

impl HeardSeries {
    /// Returns what its next sample is compared with.
    fn newest(&self) -> Option<(TimestampMs, ValueBits)> {
        let (at, value) = self.newest.as_ref()?;
        match value {
            SampleValue::Float(value) => Some((*at, ValueBits::Float(value.to_bits()))),
            // What an engine keeps says more of resets than the sender did. It knows a repetition
            // when it sees it.
            SampleValue::Histogram(_) => Some((TimestampMs(at.0 - 1), ValueBits::Histogram(0))),
        }
    }
}

impl Node {
    /// Learns some series of a shard.
    pub fn restore(&self, shard: ShardId, series: &[HeardSeries]) {
        let mut scratch = Vec::new();
        let known = series.iter().map(|series| {
            let identity = identity_of(&self.key, &series.labels, &mut scratch);
            let target = target_of(&self.key, &series.labels, &mut scratch);
            (identity, target, series)
        });
        let known: Vec<_> = known.collect();
        let table = &mut self.locked.lock().writer.series;
        for (identity, target, series) in known {
            let wall = series.heard_at_wall;
            let reader = (shard, series.handle);
            table.restore((identity, target), reader, series.newest(), wall);
        }
    }
}
