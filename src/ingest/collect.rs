//! What one request comes to, before the node's lock is taken: samples with the place of their
//! series, series not met before with their labels, and what is dropped or refused.

use std::sync::Arc;

use crate::ingest::decode::histogram::RawHistogram;
use crate::ingest::decode::labels::RawLabels;
use crate::ingest::decode::wire::DecodeError;
use crate::ingest::decode::{HashKey, Visitor};
use crate::ingest::identity::{identity_of, target_of};
use crate::ingest::limits::Limits;
use crate::ingest::metadata::MetadataStore;
use crate::ingest::rejection::{Reason, Rejections};
use crate::ingest::replica::ReplicaSettings;
use crate::ingest::route::{Routing, ShardId};
use crate::ingest::route_table::{Found, Route, RouteEntry, RouteView};
use crate::ingest::sequencer::{Evidence, Target};
use crate::model::{
    Batch, FloatHistogram, Labels, ListedStarts, NO_START, SeriesDefinition, TimestampMs,
};

/// Set in a [`SeriesRef`] that is a position among the unknown series.
const UNKNOWN_BIT: u32 = 1 << 31;

/// A series that takes samples: a place in the writer's table, or a position in
/// [`Collected::unknown`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SeriesRef(u32);

impl SeriesRef {
    /// Returns the position among the unknown series, if it is one.
    #[inline]
    pub fn unknown(self) -> Option<usize> {
        (self.0 & UNKNOWN_BIT != 0).then_some((self.0 & !UNKNOWN_BIT) as usize)
    }

    /// Returns the place in the writer's table.
    #[inline]
    pub fn place(self) -> u32 {
        self.0
    }
}

/// A sample on its way to the writer.
#[derive(Clone, Copy, Debug)]
pub struct Routed<T> {
    /// Its series.
    pub series: SeriesRef,
    /// The position of its series in the request, to name it when it is refused.
    pub ordinal: u32,
    /// Its instant.
    pub at: TimestampMs,
    /// Its value.
    pub value: T,
}

/// A series not met before in this generation.
#[derive(Clone, Debug)]
pub struct UnknownSeries {
    /// The hash of its labels as sent.
    pub raw_hash: u128,
    /// The hash of its sorted labels.
    pub identity: u128,
    /// Its labels.
    pub labels: Labels,
    /// The shards that read it.
    pub readers: Vec<ShardId>,
    /// Whether a rule records its name.
    pub recorded: bool,
    /// Its job and instance.
    pub target: Target,
    /// Samples that go to the writer.
    pub n_routed: usize,
}

/// Memory for one request's worth; reused.
#[derive(Debug, Default)]
pub struct Collected {
    /// Floats that a rule reads.
    pub floats: Vec<Routed<f64>>,
    /// Histograms that a rule reads.
    pub histograms: Vec<Routed<Arc<FloatHistogram>>>,
    /// The start timestamps of those of [`Collected::floats`] that state one.
    pub float_starts: ListedStarts,
    /// The same of [`Collected::histograms`].
    pub histogram_starts: ListedStarts,
    /// Series not met before.
    pub unknown: Vec<UnknownSeries>,
    /// What was refused so far.
    pub rejections: Rejections,
    /// What samples that are not read prove about time.
    pub evidence: Evidence,
    /// Valid floats that are dropped because no rule reads them.
    pub unread_floats: u64,
    /// Valid histograms that are dropped because no rule reads them.
    pub unread_histograms: u64,
    /// Valid floats and histograms that are dropped because a rule records their name.
    pub recorded_floats: u64,
    /// Histograms likewise.
    pub recorded_histograms: u64,
    /// Valid exemplars; none is kept.
    pub exemplars: u64,
    /// The newest valid timestamp, ms, also ahead of the wall clock.
    pub newest: Option<TimestampMs>,
    /// A sample would seed the history of a series whose labels were not read: collect again
    /// with `resolve_seedable`.
    pub seed_missed: bool,
}

impl Collected {
    /// Returns the heap bytes held, used or not.
    pub fn heap_bytes(&self) -> usize {
        self.floats.capacity() * size_of::<Routed<f64>>()
            + self.histograms.capacity() * size_of::<Routed<Arc<FloatHistogram>>>()
            + self.unknown.capacity() * size_of::<UnknownSeries>()
            + self.float_starts.heap_bytes()
            + self.histogram_starts.heap_bytes()
    }

    /// Returns what the samples would take of a log's room (see [`crate::log::weight`]), were one
    /// shard to read them all.
    pub fn log_weight(&self) -> usize {
        let histograms = self.histograms.iter();
        let histograms = histograms.map(|h| Batch::HISTOGRAM_BYTES + h.value.heap_bytes());
        let defined = self.unknown.iter().filter(|series| series.n_routed > 0);
        let defined = defined.map(|s| size_of::<SeriesDefinition>() + s.labels.heap_bytes());
        let n_bytes = self.floats.len() * Batch::FLOAT_BYTES
            + histograms.sum::<usize>()
            + defined.sum::<usize>()
            + self.float_starts.heap_bytes()
            + self.histogram_starts.heap_bytes();
        n_bytes.div_ceil(Batch::FLOAT_BYTES)
    }

    /// Forgets everything, keeping the memory.
    pub fn clear(&mut self) {
        self.floats.clear();
        self.histograms.clear();
        self.float_starts.clear();
        self.histogram_starts.clear();
        self.unknown.clear();
        self.rejections.clear();
        *self = Collected {
            floats: std::mem::take(&mut self.floats),
            histograms: std::mem::take(&mut self.histograms),
            float_starts: std::mem::take(&mut self.float_starts),
            histogram_starts: std::mem::take(&mut self.histogram_starts),
            unknown: std::mem::take(&mut self.unknown),
            rejections: std::mem::take(&mut self.rejections),
            ..Collected::default()
        };
    }
}

/// What becomes of the current series' samples.
#[derive(Clone, Copy, Debug)]
enum Fate {
    Refused(Reason),
    Unread,
    Recorded,
    Seedable,
    Routed { series: SeriesRef, recorded: bool },
}

/// The rules of one request.
pub struct Rules<'a> {
    /// The routing to use.
    pub routing: &'a Routing,
    /// The bounds.
    pub limits: &'a Limits,
    /// The key of hashes.
    pub key: &'a HashKey,
    /// Where metadata goes.
    pub metadata: &'a MetadataStore,
    /// The wall clock, ms.
    pub wall: TimestampMs,
    /// Whether a series without samples is refused (2.0).
    pub samples_required: bool,
    /// Whether exemplars must be in order (2.0).
    pub exemplars_in_order: bool,
    /// What makes a replica, where that is told apart.
    pub replicas: Option<&'a ReplicaSettings>,
    /// Whether to make series of recorded names at the first sight of a seeding sample.
    pub resolve_seedable: bool,
}

/// Collects a request; a [`Visitor`].
pub struct Collector<'a> {
    rules: Rules<'a>,
    view: RouteView,
    out: &'a mut Collected,
    newest_allowed: TimestampMs,
    seed_before: TimestampMs,
    fate: Fate,
    target: Target,
    ordinal: u32,
    n_samples: u64,
    newest_exemplar: TimestampMs,
    /// The start timestamp of the next sample.
    start: TimestampMs,
    name_scratch: Vec<u8>,
}

impl<'a> Collector<'a> {
    /// Begins a request.
    pub fn new(rules: Rules<'a>, out: &'a mut Collected) -> Self {
        Collector {
            view: rules.routing.table.view(),
            newest_allowed: rules.wall + rules.limits.future,
            seed_before: rules.routing.seed_before(),
            rules,
            out,
            fate: Fate::Unread,
            target: Target(0),
            ordinal: 0,
            n_samples: 0,
            newest_exemplar: TimestampMs::MIN,
            start: NO_START,
            name_scratch: Vec::new(),
        }
    }

    fn begin(&mut self, fate: Fate, target: Target) {
        self.fate = fate;
        self.target = target;
        self.n_samples = 0;
        self.newest_exemplar = TimestampMs::MIN;
    }

    fn known(&mut self, entry: RouteEntry) -> Option<Fate> {
        Some(match entry.route {
            Route::Unread => Fate::Unread,
            Route::Recorded => Fate::Recorded,
            Route::Seedable if self.rules.resolve_seedable => return None,
            Route::Seedable => Fate::Seedable,
            Route::Series { at, recorded } => Fate::Routed {
                series: SeriesRef(at),
                recorded,
            },
        })
    }

    fn unknown(&mut self, raw_hash: u128, labels: Labels) -> Fate {
        let (key, scratch) = (self.rules.key, &mut self.name_scratch);
        let identity = identity_of(key, &labels, scratch);
        let target = target_of(key, &labels, scratch);
        let readers = self.rules.routing.readers(&labels);
        let recorded = self.rules.routing.is_recorded(&labels);
        let fate = match (readers.is_empty(), recorded) {
            (true, false) => Fate::Unread,
            (true, true) => Fate::Recorded,
            (false, recorded) => Fate::Routed {
                series: SeriesRef(UNKNOWN_BIT | self.out.unknown.len() as u32),
                recorded,
            },
        };
        self.target = target;
        self.out.unknown.push(UnknownSeries {
            raw_hash,
            identity,
            labels,
            readers,
            recorded,
            target: self.target,
            n_routed: 0,
        });
        fate
    }

    fn reject(&mut self, reason: Reason, n_samples: u64, detail: impl FnOnce() -> String) {
        let ordinal = self.ordinal;
        self.out
            .rejections
            .add_of_series(reason, n_samples, ordinal, detail);
    }

    /// Checks a sample's timestamp and decides where the sample goes.
    #[inline]
    fn admit(&mut self, at: TimestampMs) -> Option<Admitted> {
        self.n_samples += 1;
        if let Fate::Refused(reason) = self.fate {
            self.reject(reason, 1, String::new);
            return None;
        }
        if at > self.newest_allowed || at.0 < 0 {
            let reason = if at.0 < 0 {
                Reason::BeforeEpoch
            } else {
                Reason::TooFarInFuture
            };
            self.reject(reason, 1, || format!(" at {}", at.0));
            return None;
        }
        let admitted = match self.fate {
            Fate::Unread => Admitted::Unread,
            Fate::Routed {
                series,
                recorded: false,
            } => return Some(Admitted::Routed(series)),
            Fate::Routed { series, .. } if at < self.seed_before => {
                return Some(Admitted::Routed(series));
            }
            Fate::Seedable if at < self.seed_before => {
                self.out.seed_missed = true;
                Admitted::Recorded
            }
            _ => Admitted::Recorded,
        };
        self.out.newest = self.out.newest.max(Some(at));
        self.out.evidence.hear(at, self.target, self.rules.wall);
        Some(admitted)
    }

    fn count_routed(&mut self, series: SeriesRef) {
        if let Some(unknown) = series.unknown() {
            self.out.unknown[unknown].n_routed += 1;
        }
    }
}

enum Admitted {
    Unread,
    Recorded,
    Routed(SeriesRef),
}

impl Visitor for Collector<'_> {
    type Found = Found;

    #[inline]
    fn expect(&mut self, hash: u128) {
        self.view.expect(hash);
    }

    #[inline]
    fn find(&mut self, hash: u128) -> Found {
        self.view.find(hash)
    }

    #[inline]
    fn knows(&self, found: Found) -> bool {
        match found.entry().map(|entry| entry.route) {
            None => false,
            Some(Route::Seedable) => !self.rules.resolve_seedable,
            Some(_) => true,
        }
    }

    #[inline]
    fn pass_over(&mut self, found: Found, at: TimestampMs) -> bool {
        let Some(target) = found.unread() else {
            return false;
        };
        if at > self.newest_allowed || at.0 < 0 {
            return false;
        }
        self.out.unread_floats += 1;
        self.out.newest = self.out.newest.max(Some(at));
        self.out.evidence.hear(at, target, self.rules.wall);
        self.ordinal += 1;
        true
    }

    #[inline]
    fn series(
        &mut self,
        hash: u128,
        found: Found,
        labels: &RawLabels<'_>,
    ) -> Result<bool, DecodeError> {
        if let Some(entry) = found.entry()
            && let Some(fate) = self.known(entry)
        {
            self.begin(fate, entry.target);
            return Ok(false);
        }
        match labels.read(self.rules.limits)? {
            Ok(labels) => {
                // Found by its bytes from now on, the replica label among them: what is removed
                // here costs nothing any more.
                let labels = match self.rules.replicas {
                    Some(replicas) => replicas.without_replica(labels),
                    None => labels,
                };
                let fate = self.unknown(hash, labels);
                self.begin(fate, self.target);
                Ok(true)
            }
            Err(invalid) => {
                self.out
                    .rejections
                    .add(invalid.reason, 0, || invalid.example);
                self.begin(Fate::Refused(invalid.reason), Target(0));
                Ok(false)
            }
        }
    }

    fn unreadable_series(&mut self, reason: Reason, labels: &RawLabels<'_>) {
        self.out.rejections.add(reason, 0, || labels.shown());
        self.begin(Fate::Refused(reason), Target(0));
    }

    fn start_timestamp(&mut self, start: TimestampMs) {
        self.start = start;
    }

    #[inline]
    fn float(&mut self, at: TimestampMs, value: f64) {
        let start = std::mem::replace(&mut self.start, NO_START);
        match self.admit(at) {
            Some(Admitted::Unread) => self.out.unread_floats += 1,
            Some(Admitted::Recorded) => self.out.recorded_floats += 1,
            Some(Admitted::Routed(series)) => {
                self.count_routed(series);
                let ordinal = self.ordinal;
                self.out.float_starts.push(self.out.floats.len(), start);
                self.out.floats.push(Routed {
                    series,
                    ordinal,
                    at,
                    value,
                });
            }
            None => {}
        }
    }

    fn histogram(&mut self, at: TimestampMs, histogram: &mut RawHistogram) {
        let start = std::mem::replace(&mut self.start, NO_START);
        if !matches!(self.fate, Fate::Refused(_))
            && let Err(wrong) = histogram.check()
        {
            self.n_samples += 1;
            self.reject(Reason::BadHistogram, 1, || format!(": {wrong}"));
            return;
        }
        let Some(admitted) = self.admit(at) else {
            return;
        };
        match admitted {
            Admitted::Unread => self.out.unread_histograms += 1,
            Admitted::Recorded => self.out.recorded_histograms += 1,
            Admitted::Routed(series) => {
                self.count_routed(series);
                let ordinal = self.ordinal;
                let starts = &mut self.out.histogram_starts;
                starts.push(self.out.histograms.len(), start);
                self.out.histograms.push(Routed {
                    series,
                    ordinal,
                    at,
                    value: Arc::new(histogram.build()),
                });
            }
        }
    }

    fn exemplar(&mut self, at: TimestampMs, verdict: Result<(), Reason>) {
        let verdict = match (self.fate, verdict) {
            (Fate::Refused(reason), _) | (_, Err(reason)) => Err(reason),
            _ if self.rules.exemplars_in_order && at < self.newest_exemplar => {
                Err(Reason::OutOfOrderExemplar)
            }
            _ => Ok(()),
        };
        match verdict {
            Ok(()) => self.out.exemplars += 1,
            Err(reason) => self.reject(reason, 1, || format!(" exemplar at {}", at.0)),
        }
        self.newest_exemplar = self.newest_exemplar.max(at);
    }

    fn series_end(&mut self) {
        if self.n_samples == 0 {
            // A series without samples counts for one, so that no refusal goes uncounted.
            match self.fate {
                Fate::Refused(reason) => self.reject(reason, 1, String::new),
                _ if self.rules.samples_required => {
                    self.reject(Reason::NoSamples, 1, String::new);
                }
                _ => {}
            }
        }
        self.ordinal += 1;
    }

    fn metadata(&mut self, metric: Option<&[u8]>, kind: u64, help: &[u8], unit: &[u8]) {
        let of_series = || {
            let unknown = self.out.unknown.last();
            unknown.map_or("", |series| series.labels.metric_name())
        };
        match metric {
            Some(metric) => {
                let metric = String::from_utf8_lossy(metric);
                self.rules.metadata.set(&metric, kind, help, unit);
            }
            None => self.rules.metadata.set(of_series(), kind, help, unit),
        }
    }
}
