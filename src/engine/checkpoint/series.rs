//! What an engine knows of series beside labels and past, as bytes and back.

use std::collections::BTreeSet;

use smallvec::SmallVec;

use crate::engine::Engine;
use crate::engine::cohort::TargetId;
use crate::engine::compile::CompiledRules;
use crate::engine::compiled_rule::{GroupIndex, RuleIndex};
use crate::engine::headroom::ChannelId;
use crate::engine::partitions::{PartId, Partitions};
use crate::engine::samples::SeriesState;
use crate::engine::samples::{Rank, Readers};
use crate::history::SeriesHistory;
use crate::model::bytes::{ByteReader, ByteWriter, Read};
use crate::model::{Labels, SeriesHandle, TimestampMs};

/// A series that samples may come for.
#[derive(Clone, Copy, Debug)]
pub struct Heard<'a> {
    /// Its labels.
    pub labels: &'a Labels,
    /// The number by which the log names it.
    pub handle: SeriesHandle,
    /// Its past.
    pub history: &'a SeriesHistory,
    /// The minute of the wall clock of its newest sample.
    pub minute: u32,
}

impl Engine {
    /// Iterates over the series in the store whose handles are `from` or later, ascending, for who
    /// gives handles.
    pub fn heard(&self, from: SeriesHandle) -> impl Iterator<Item = Heard<'_>> {
        self.handles.iter_from(from).filter_map(|(handle, state)| {
            let (labels, series) = self.store.get(state.place()?)?;
            Some(Heard {
                labels,
                handle,
                history: &series.history,
                minute: state.heard_at_minute,
            })
        })
    }

    /// Puts the sets of rules that series move, in the order of their numbers.
    pub(super) fn save_readers(&self, out: &mut ByteWriter) {
        out.list(self.readers.sets.iter(), |out, set| {
            out.list(set.rules.iter(), |out, (rule, _)| out.count(*rule));
            out.span(set.keep);
            out.option(set.written_by.as_ref(), |out, groups| {
                out.list(groups.iter(), |out, group| out.count(*group));
            });
        });
    }

    /// Puts by which channels it is added up what series gain, for each set of rules that they move.
    pub(super) fn save_channels(&self, out: &mut ByteWriter) {
        let texts: Vec<String> = self.partitions.gains.texts().collect();
        out.list(texts.iter(), |out, text| out.text(text));
        out.list(self.readers.sets.iter(), |out, set| {
            out.list(set.channels.iter(), |out, (channel, _)| {
                out.number((*channel).into());
            });
        });
    }

    /// Puts what is known of a series, but for its place.
    pub(super) fn save_series_state(&self, state: &SeriesState, out: &mut ByteWriter) {
        let SeriesState {
            place: _,
            readers,
            parts,
            target,
            newest,
            heard_at_minute,
            since_cut,
        } = state;
        let n_parts = self.readers.get(*readers).classes.len();
        out.number((*readers).into());
        let parts = self.part_lists.get(parts, n_parts);
        out.list(parts.iter(), |out, part| out.number((*part).into()));
        out.number(target.0.into());
        let newest = (*newest != TimestampMs::MIN).then_some(*newest);
        out.option(newest, ByteWriter::instant);
        out.number((*heard_at_minute).into());
        out.byte(*since_cut);
    }

    /// Returns what is known of a series at a place from what was saved; also whether rules and
    /// parts are ones that there are.
    pub(super) fn loaded_state(&mut self, place: u32, saved: &SavedState) -> (SeriesState, bool) {
        let set = self.readers.get(saved.readers);
        let mut of_classes = set.classes.iter().zip(&saved.parts);
        let is_known = set.classes.len() == saved.parts.len()
            && of_classes.all(|(class, part)| self.partitions.has_part(*class, *part));
        let state = SeriesState {
            place,
            readers: saved.readers,
            parts: self.part_lists.keep(&saved.parts),
            target: saved.target,
            newest: saved.newest,
            heard_at_minute: saved.heard_at_minute,
            since_cut: saved.since_cut,
        };
        (state, is_known)
    }
}

/// What [`Engine::save_series_state`] has put.
#[derive(Debug)]
pub(super) struct SavedState {
    readers: u32,
    parts: SmallVec<[PartId; 2]>,
    pub(super) target: TargetId,
    newest: TimestampMs,
    heard_at_minute: u32,
    since_cut: u8,
}

impl SavedState {
    pub(super) fn load(read: &mut ByteReader<'_>) -> Read<SavedState> {
        Ok(SavedState {
            readers: read.small()?,
            parts: read.list(1, ByteReader::small)?,
            target: TargetId(read.small()?),
            newest: read
                .option(ByteReader::instant)?
                .unwrap_or(TimestampMs::MIN),
            heard_at_minute: read.small()?,
            since_cut: read.byte()?,
        })
    }
}

/// Takes what [`Engine::save_readers`] has put, all without channels.
pub(super) fn load_ranks(read: &mut ByteReader<'_>) -> Read<Vec<Rank>> {
    read.list(3, |read| {
        Ok(Rank {
            rules: read.list(1, ByteReader::place)?,
            keep: read.span()?,
            channels: BTreeSet::new(),
            written_by: read.option(|read| read.list(1, ByteReader::place))?,
        })
    })
}

/// Takes what [`Engine::save_channels`] has put, and tells whether there are the same channels here.
pub(super) fn load_channels(
    read: &mut ByteReader<'_>,
    ranks: &mut [Rank],
    partitions: &Partitions,
) -> Read<bool> {
    let texts: Vec<String> = read.list(1, ByteReader::string)?;
    let channels: Vec<BTreeSet<ChannelId>> =
        read.list(1, |read| read.list(1, ByteReader::small))?;
    let is_alike = partitions.gains.texts().eq(texts) && channels.len() == ranks.len();
    for (rank, channels) in ranks.iter_mut().zip(channels) {
        rank.channels = channels;
    }
    Ok(is_alike)
}

/// Returns the readers of some ranks; `None` where no such rules are there.
pub(super) fn readers_of(
    ranks: Vec<Rank>,
    rules: &CompiledRules,
    partitions: &Partitions,
) -> Option<Readers> {
    let is_rule = |rule: &RuleIndex| *rule < rules.rules.len();
    let is_group = |group: &GroupIndex| *group < rules.groups.len();
    let groups = ranks.iter().flat_map(|rank| &rank.written_by).flatten();
    let mut is_alike = ranks.iter().flat_map(|rank| &rank.rules).all(is_rule);
    is_alike &= groups.into_iter().all(is_group);
    let mut readers = Readers::default();
    for (number, rank) in (0..).zip(ranks) {
        is_alike = is_alike && readers.number(rank, partitions) == number;
    }
    is_alike.then_some(readers)
}
