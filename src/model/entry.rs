//! What a shard's log holds and its engine applies.
//!
//! The log is the truth: everything an engine knows comes from these entries, in order.

use std::sync::Arc;

use crate::model::{
    Change, DetectorReset, EngineSettings, FloatHistogram, Labels, ListedStarts, Past, TimestampMs,
};

/// The number of a series within one shard; never reused within a process' life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SeriesHandle(pub u32);

/// The number of a loaded rule set; grows by one with every reload.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Generation(pub u64);

/// What the sequencer says about a request: its number, the wall clock, the event-time clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// Grows by one with every stamp of the node.
    pub sequence: u64,
    /// The wall clock when the stamp was given, in ms.
    pub wall: TimestampMs,
    /// The event-time clock `C`, in ms; never going back. `None` before the first sample.
    pub clock: Option<TimestampMs>,
}

/// The labels of a series that a batch names for the first time.
#[derive(Clone, Debug, PartialEq)]
pub struct SeriesDefinition {
    /// The number given to it.
    pub handle: SeriesHandle,
    /// Its labels, metric name included.
    pub labels: Labels,
}

/// One request's samples for one shard. Floats and histograms lie apart, so that a float, which
/// is what nearly all samples are, costs 24 bytes and no allocation.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Batch {
    /// Series first seen in this batch.
    pub definitions: Vec<SeriesDefinition>,
    /// Floats and stale markers, in the order of the request.
    pub floats: Vec<(SeriesHandle, TimestampMs, f64)>,
    /// Native histograms, in the order of the request.
    pub histograms: Vec<(SeriesHandle, TimestampMs, Arc<FloatHistogram>)>,
    /// The start timestamps of those floats that state one.
    pub float_starts: ListedStarts,
    /// The start timestamps of those histograms that state one.
    pub histogram_starts: ListedStarts,
}

impl Batch {
    /// Returns the number of samples.
    pub fn n_samples(&self) -> usize {
        self.floats.len() + self.histograms.len()
    }

    /// Returns the heap bytes held, used or not; labels and histograms count for whoever holds
    /// them.
    pub fn heap_bytes(&self) -> usize {
        let labels = self.definitions.iter().map(|d| d.labels.heap_bytes());
        let histograms = self.histograms.iter().map(|(.., h)| h.heap_bytes());
        self.definitions.capacity() * size_of::<SeriesDefinition>()
            + labels.sum::<usize>()
            + self.floats.capacity() * Self::FLOAT_BYTES
            + self.histograms.capacity() * Self::HISTOGRAM_BYTES
            + histograms.sum::<usize>()
            + self.float_starts.heap_bytes()
            + self.histogram_starts.heap_bytes()
    }

    /// What a float takes of the heap.
    pub const FLOAT_BYTES: usize = size_of::<(SeriesHandle, TimestampMs, f64)>();
    /// What a histogram takes of it beside its own contents.
    pub const HISTOGRAM_BYTES: usize =
        size_of::<(SeriesHandle, TimestampMs, Arc<FloatHistogram>)>();

    /// Tells whether the batch holds nothing.
    pub fn is_empty(&self) -> bool {
        self.definitions.is_empty() && self.n_samples() == 0
    }
}

/// One entry of a shard's log.
#[derive(Clone, Debug)]
pub enum Entry {
    /// Samples of one request, routed under `generation`.
    Samples {
        /// The sequencer's stamp.
        stamp: Stamp,
        /// The rule set under which the samples were routed.
        generation: Generation,
        /// The samples.
        batch: Batch,
    },
    /// Time passed: samples that nothing here reads, or no samples at all, moved the clock.
    Clock {
        /// The sequencer's stamp.
        stamp: Stamp,
    },
    /// A rule set was loaded; `source` is its files' text, so that the log alone can replay it.
    Rules {
        /// The sequencer's stamp.
        stamp: Stamp,
        /// The rule set's number.
        generation: Generation,
        /// The rule set.
        rules: Arc<RuleSource>,
    },
    /// History from before the first sample that came here was fetched for a selector.
    Past {
        /// The sequencer's stamp.
        stamp: Stamp,
        /// The history.
        past: Arc<Past>,
    },
    /// Somebody said that something was changed.
    Change {
        /// The sequencer's stamp.
        stamp: Stamp,
        /// What.
        change: Arc<Change>,
    },
    /// Detectors begin to learn anew.
    Reset {
        /// The sequencer's stamp.
        stamp: Stamp,
        /// Which, and from when on.
        reset: Arc<DetectorReset>,
    },
}

impl Entry {
    /// Returns the entry's stamp.
    pub fn stamp(&self) -> &Stamp {
        match self {
            Entry::Samples { stamp, .. }
            | Entry::Clock { stamp }
            | Entry::Rules { stamp, .. }
            | Entry::Past { stamp, .. }
            | Entry::Change { stamp, .. }
            | Entry::Reset { stamp, .. } => stamp,
        }
    }
}

/// The text of a rule set as it entered the log: what an engine needs to compile it anew.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RuleSource {
    /// `(path, content)` in the order of `rule_files`.
    pub files: Vec<(String, String)>,
    /// The engine's settings as they stood.
    pub settings: EngineSettings,
}
