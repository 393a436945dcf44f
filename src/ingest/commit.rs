//! What happens to a routed request under the node's lock: handles, judgement, stamp, append.

use std::sync::Arc;

use crate::arrivals::Arrivals;
use crate::clock::Stopwatch;
use crate::ingest::answer::{Refusal, Written};
use crate::ingest::collect::{Collected, Routed, SeriesRef, UnknownSeries};
use crate::ingest::fair_share::LogShares;
use crate::ingest::node::NodeSettings;
use crate::ingest::recent::RecentBodies;
use crate::ingest::rejection::{Reason, Rejections};
use crate::ingest::route::Routing;
use crate::ingest::route_table::{Route, RouteEntry, SERIES_MAX};
use crate::ingest::sender::SenderShare;
use crate::ingest::sequencer::{Evidence, Sequencer};
use crate::ingest::series_owners::SenderNumber;
use crate::ingest::series_table::{SeriesTable, ValueBits, Verdict};
use crate::log::{Log, LogError, weight};
use crate::model::{
    Batch, Entry, FloatHistogram, SeriesDefinition, SeriesHandle, Stamp, TimestampMs,
};

/// Why nothing was written; the sender should come again.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unwritten {
    /// An engine is too far behind.
    #[error("the engine is behind and its log is full; come again")]
    Full,
    /// An engine is behind, and what room there is in its log is kept for others.
    #[error("the engine is behind and what room its log has is kept for other senders; come again")]
    Unfair,
    /// The log takes nothing.
    #[error("{0}; come again")]
    Log(#[from] LogError),
}

impl Unwritten {
    /// Returns it as it is counted.
    pub fn refusal(&self) -> Refusal {
        match self {
            Unwritten::Full => Refusal::LogFull,
            Unwritten::Unfair => Refusal::FairShare,
            Unwritten::Log(_) => Refusal::LogClosed,
        }
    }
}

/// All that only one thread may change at a time.
pub struct Writer {
    /// The clock.
    pub sequencer: Sequencer,
    /// The series.
    pub series: SeriesTable,
    /// Answers to repeat.
    pub recent: RecentBodies,
    /// Whose samples wait in the logs.
    pub shares: LogShares,
    /// The newest timestamp accepted, read or not, ms: what the out-of-order window reaches
    /// back from, the same for any number of shards.
    newest: Option<TimestampMs>,
}

/// What one commit works with.
pub struct Commit<'a> {
    /// The shards' logs.
    pub logs: &'a [Arc<dyn Log>],
    /// Bounds and windows.
    pub settings: &'a NodeSettings,
    /// The routing that the request was routed by, which is the one in force.
    pub routing: &'a Routing,
    /// The wall clock, ms.
    pub wall: TimestampMs,
    /// When the request's first byte was seen.
    pub began: Stopwatch,
    /// Where that is noted, before any engine can see the entry.
    pub arrivals: &'a Arrivals,
    /// The oldest timestamp of the request, ms; asked for until there is a clock.
    pub oldest: Option<TimestampMs>,
    /// Whose request it is.
    pub sender: SenderShare,
    /// Who brings the series that are new.
    pub brought_by: SenderNumber,
}

impl Writer {
    /// Returns a writer that has seen nothing.
    pub fn new(n_shards: usize, settings: &NodeSettings) -> Self {
        Writer {
            sequencer: Sequencer::new(settings.idle_timeout, settings.backlog_timeout),
            series: SeriesTable::new(n_shards)
                .limited_per_sender(settings.limits.per_sender.series),
            recent: RecentBodies::default(),
            shares: LogShares::new(n_shards, settings.limits.log_samples),
            newest: None,
        }
    }

    /// Writes a request to all logs concerned, or to none. What is refused is added to
    /// `collected.rejections`.
    pub fn commit(
        &mut self,
        commit: &Commit<'_>,
        collected: &mut Collected,
    ) -> Result<Written, Unwritten> {
        // Before anything is changed: a log without room for all of it means that nothing of it
        // is written. A shard that reads only a part is asked for the whole; it is simpler and
        // errs towards coming again.
        let weight = collected.log_weight().max(1);
        if !commit.logs.iter().all(|log| log.room(weight)) {
            self.shares.refused(commit.sender);
            commit.logs.iter().try_for_each(|log| log.check())?;
            return Err(Unwritten::Full);
        }
        let shares = &mut self.shares;
        let mut logs = commit.logs.iter().enumerate();
        let is_fair = |(at, log): (usize, &Arc<dyn Log>)| {
            shares.admits(at, commit.sender, weight, log.waiting().samples)
        };
        if !logs.all(is_fair) {
            shares.refused(commit.sender);
            return Err(Unwritten::Unfair);
        }
        let mut batches = vec![Batch::default(); commit.logs.len()];
        let places = self.resolve_unknown(commit, &collected.unknown, &mut batches);
        let window = commit.settings.out_of_order_time_window;
        let reaches = |newest| {
            if window.0 > 0 {
                Some(newest - window)
            } else {
                None
            }
        };
        let mut judge = Judge {
            series: &mut self.series,
            commit,
            places: &places,
            window_is_open: window.0 > 0,
            oldest_allowed: self.newest.and_then(reaches).unwrap_or(TimestampMs::MIN),
            newest: collected.newest,
            rejections: &mut collected.rejections,
            evidence: collected.evidence,
        };
        let mut written = Written {
            exemplars: collected.exemplars,
            ..Written::default()
        };
        let room = collected.floats.len() / commit.logs.len().max(1);
        let (mut n_floats, mut n_histograms) = (0, 0);
        let mut histogram_starts = collected.histogram_starts.in_order();
        let mut histogram =
            |judge: &mut Judge<'_>,
             batches: &mut [Batch],
             (position, routed): (usize, &Routed<Arc<FloatHistogram>>)| {
                let start = histogram_starts.of(position);
                let value = ValueBits::of_histogram(&routed.value);
                n_histograms += u64::from(judge.sample(routed, value, |shard, handle| {
                    let histogram = Arc::clone(&routed.value);
                    let batch = &mut batches[shard];
                    batch.histogram_starts.push(batch.histograms.len(), start);
                    batch.histograms.push((handle, routed.at, histogram));
                }));
            };
        // In the order of the request: a series may go over from one kind to the other.
        let mut histograms = collected.histograms.iter().enumerate().peekable();
        let mut float_starts = collected.float_starts.in_order();
        for (position, routed) in collected.floats.iter().enumerate() {
            while let Some(before) = histograms.next_if(|(_, h)| h.ordinal < routed.ordinal) {
                histogram(&mut judge, &mut batches, before);
            }
            let start = float_starts.of(position);
            let value = ValueBits::Float(routed.value.to_bits());
            n_floats += u64::from(judge.sample(routed, value, |shard, handle| {
                let batch = &mut batches[shard];
                let floats = &mut batch.floats;
                if floats.capacity() == 0 {
                    floats.reserve(room);
                }
                batch.float_starts.push(floats.len(), start);
                floats.push((handle, routed.at, routed.value));
            }));
        }
        for routed in histograms {
            histogram(&mut judge, &mut batches, routed);
        }
        written.samples = n_floats + collected.unread_floats + collected.recorded_floats;
        written.histograms =
            n_histograms + collected.unread_histograms + collected.recorded_histograms;
        let evidence = judge.evidence;
        collected.newest = judge.newest;
        self.newest = self.newest.max(collected.newest);
        self.append(commit, batches, evidence, written)?;
        Ok(written)
    }

    /// Gives series met for the first time their place and handles, and publishes their routes.
    /// Returns the place of each that takes samples.
    fn resolve_unknown(
        &mut self,
        commit: &Commit<'_>,
        unknown: &[UnknownSeries],
        batches: &mut [Batch],
    ) -> Vec<Result<u32, Reason>> {
        let mut places = Vec::with_capacity(unknown.len());
        for series in unknown {
            let (route, place) = self.resolve(commit, series, batches);
            places.push(place.ok_or(self.reason_without_place(commit)));
            let Some(route) = route else { continue };
            let table = &commit.routing.table;
            let is_series = matches!(route, Route::Series { .. });
            if is_series || table.n_unread() < commit.settings.limits.series {
                let target = series.target;
                table.set(series.raw_hash, RouteEntry { route, target });
            }
        }
        places
    }

    /// Returns why a series has no place that was to be given one.
    fn reason_without_place(&self, commit: &Commit<'_>) -> Reason {
        match self.series.may_bring(commit.brought_by) {
            true => Reason::TooManySeries,
            false => Reason::TooManySeriesOfSender,
        }
    }

    fn resolve(
        &mut self,
        commit: &Commit<'_>,
        series: &UnknownSeries,
        batches: &mut [Batch],
    ) -> (Option<Route>, Option<u32>) {
        if series.readers.is_empty() {
            let route = if series.recorded {
                Route::Recorded
            } else {
                Route::Unread
            };
            return (Some(route), None);
        }
        if series.n_routed == 0 && series.recorded {
            return (Some(Route::Seedable), None);
        }
        if series.n_routed == 0 {
            return (None, None);
        }
        let series_max = commit.settings.limits.series.min(SERIES_MAX);
        let at = match self.series.find(series.identity) {
            Some(at) => at,
            None if self.series.n_series() >= series_max || !self.series.has_handles(1) => {
                return (None, None);
            }
            None if !self.series.may_bring(commit.brought_by) => return (None, None),
            None => {
                let (identity, target) = (series.identity, series.target);
                let at = self.series.insert(identity, target, commit.wall);
                // At once, since the next series of the request may be one too many.
                self.series.heard_from(at, commit.brought_by);
                at
            }
        };
        let generation = commit.routing.generation();
        self.series
            .set_readers(at, generation, &series.readers, |shard, handle| {
                batches[usize::from(shard.0)]
                    .definitions
                    .push(SeriesDefinition {
                        handle,
                        labels: series.labels.clone(),
                    });
            });
        let recorded = series.recorded;
        let state = self.series.get_mut(at);
        let publish = state.is_some_and(|state| state.add_alias(series.raw_hash));
        (publish.then_some(Route::Series { at, recorded }), Some(at))
    }

    /// Stamps the request and appends an entry to every log that it concerns.
    fn append(
        &mut self,
        commit: &Commit<'_>,
        batches: Vec<Batch>,
        evidence: Evidence,
        written: Written,
    ) -> Result<(), Unwritten> {
        let n_valid = written.samples + written.histograms;
        // Handles that were given must be defined even where every sample was refused; and where
        // others drop a sample unjudged, it moves their clock, so it moves ours.
        if n_valid == 0 && evidence == Evidence::default() && batches.iter().all(Batch::is_empty) {
            return Ok(());
        }
        let before = self.sequencer.clock();
        let mut stamp = self.sequencer.stamp(evidence, commit.wall);
        if before.is_none() && stamp.clock.is_some() {
            start_shards(commit, &batches, stamp)?;
            stamp = self.sequencer.stamp_only(commit.wall);
        }
        commit.arrivals.note(stamp.sequence, commit.began);
        let generation = commit.routing.generation();
        for (at, (log, batch)) in commit.logs.iter().zip(batches).enumerate() {
            let entry = if !batch.is_empty() {
                Entry::Samples {
                    stamp,
                    generation,
                    batch,
                }
            } else if stamp.clock != before {
                Entry::Clock { stamp }
            } else {
                continue;
            };
            self.shares.appended(at, commit.sender, weight(&entry));
            log.append(entry)?;
        }
        Ok(())
    }
}

/// Begins event time for every shard at the same instant, just before the oldest sample of the
/// request that sets the clock, though each reads other samples of it.
fn start_shards(commit: &Commit<'_>, batches: &[Batch], stamp: Stamp) -> Result<(), LogError> {
    let oldest = commit.oldest.min(stamp.clock).or(stamp.clock);
    let start = oldest.map(|oldest| TimestampMs(oldest.0 - 1));
    for (log, batch) in commit.logs.iter().zip(batches) {
        let floats = batch.floats.iter().map(|(_, at, _)| *at);
        let times = floats.chain(batch.histograms.iter().map(|(_, at, _)| *at));
        // An engine begins by itself just before the first samples that it is given.
        let own = times.min().min(stamp.clock);
        if own != oldest {
            log.append(Entry::Clock {
                stamp: Stamp {
                    clock: start,
                    ..stamp
                },
            })?;
        }
    }
    Ok(())
}

/// Judges samples against the newest of their series.
struct Judge<'a> {
    series: &'a mut SeriesTable,
    commit: &'a Commit<'a>,
    places: &'a [Result<u32, Reason>],
    window_is_open: bool,
    /// The oldest timestamp that the out-of-order window takes, as it was before the request.
    oldest_allowed: TimestampMs,
    /// The newest valid timestamp of the request.
    newest: Option<TimestampMs>,
    rejections: &'a mut Rejections,
    evidence: Evidence,
}

impl Judge<'_> {
    /// Judges one sample; `push` is called for each shard that takes it. Tells whether it is valid.
    #[inline]
    fn sample<T>(
        &mut self,
        routed: &Routed<T>,
        value: ValueBits,
        mut push: impl FnMut(usize, SeriesHandle),
    ) -> bool {
        let place = match self.place(routed.series) {
            Ok(place) => place,
            Err(reason) => return self.refuse(routed, reason),
        };
        let at = routed.at;
        self.series.heard_from(place, self.commit.brought_by);
        let Some(state) = self.series.get_mut(place) else {
            return self.refuse(routed, Reason::TooManySeries);
        };
        // Heard whatever the verdict: where nothing reads the series there is none, and the
        // clock is to be the same everywhere.
        self.evidence.hear(at, state.target(), self.commit.wall);
        match state.judge(at, value) {
            Verdict::Newer => state.set_newest(at, value),
            Verdict::Duplicate => {
                state.touch(self.commit.wall);
                return true;
            }
            Verdict::Conflict => return self.refuse(routed, Reason::DuplicateTimestamp),
            Verdict::Older if !self.window_is_open => {
                return self.refuse(routed, Reason::OutOfOrder);
            }
            Verdict::Older if at < self.oldest_allowed => {
                return self.refuse(routed, Reason::TooOld);
            }
            Verdict::Older => {}
        }
        state.touch(self.commit.wall);
        for (shard, handle) in state.readers() {
            push(usize::from(shard.0), handle);
        }
        self.newest = self.newest.max(Some(at));
        true
    }

    #[inline]
    fn place(&self, series: SeriesRef) -> Result<u32, Reason> {
        match series.unknown() {
            Some(unknown) => self.places[unknown],
            None => Ok(series.place()),
        }
    }

    #[cold]
    fn refuse<T>(&mut self, routed: &Routed<T>, reason: Reason) -> bool {
        let at = routed.at.0;
        self.rejections
            .add_of_series(reason, 1, routed.ordinal, || format!(" at {at}"));
        false
    }
}
