//! History from before the first sample that came here: which there should be, and putting it in.
//!
//! A selector that is new, or whose window got longer, has to look back on more than there is.
//! [`Engine::lacking`] says on what; somebody fetches it, and it comes as an entry of the log, so
//! that replay has it too. It is swapped in whole, between two entries: each series' older samples
//! go before its own, its windows and what subqueries made of it begin anew, and the rules that
//! read it are looked at.

use std::collections::BTreeMap;

use crate::engine::Engine;
use crate::engine::kept_since::selector_key;
use crate::history::SeriesHistory;
use crate::model::{DurationMs, Labels, Matcher, Past, Point, TimestampMs};

/// Windows that are shorter fill themselves before it is worth asking anybody.
const WINDOW_MIN: DurationMs = DurationMs::from_seconds(10 * 60);

/// History that a selector looks back on and that is not here.
#[derive(Clone, Debug, PartialEq)]
pub struct Lacking {
    /// The selector's matchers, sorted by their text.
    pub matchers: Vec<Matcher>,
    /// The samples after this instant are wanted, ms,
    pub since: TimestampMs,
    /// as far as this one; from here on everything is kept.
    pub until: TimestampMs,
}

impl Engine {
    /// Returns what selectors look back on beyond what is kept, in the order of their texts.
    pub fn lacking(&self) -> Vec<Lacking> {
        let Some(frontier) = self.frontier else {
            return Vec::new();
        };
        let mut found: BTreeMap<String, Lacking> = BTreeMap::new();
        for used in self.rules.rules.iter().flat_map(|rule| &rule.selectors) {
            let key = selector_key(&used.matchers);
            let Some(until) = self.kept_since.get(&key).copied() else {
                continue;
            };
            let reach = used.reach();
            let since = frontier - reach;
            if used.is_pinned() || reach < WINDOW_MIN || until <= since {
                continue;
            }
            let mut matchers = used.matchers.clone();
            matchers.sort_by_key(ToString::to_string);
            let lacking = found.entry(key).or_insert(Lacking {
                matchers,
                since,
                until,
            });
            lacking.since = lacking.since.min(since);
        }
        found.into_values().collect()
    }

    /// Puts a past in. Nothing happens where no rule asks for it any more. One that breaks off
    /// is kept as far as it goes, since it is true, and its selector goes on warming.
    pub(crate) fn take_past(&mut self, past: &Past) {
        let key = selector_key(&past.matchers);
        let (Some(kept_since), Some(frontier)) = (self.kept_since.get(&key), self.frontier) else {
            return;
        };
        if *kept_since <= past.since {
            return;
        }
        let outcome = past.series.visit(&mut |labels, points| {
            let is_asked_for = past.matchers.iter().all(|m| m.matches_labels(&labels));
            let points = points.into_iter();
            let points = points.filter(|point| point.at > past.since && point.at <= frontier);
            if is_asked_for {
                self.put_before(&labels, points.collect(), frontier);
            }
        });
        if outcome.is_err() {
            self.stats.pasts_broken += 1;
            return;
        }
        self.stats.pasts_taken += 1;
        self.partitions.lose_all_headroom();
        self.kept_since.insert(key, past.since);
        self.find_warm_instants();
    }

    /// Puts samples before those of a series, as far as they are older than all of its own.
    fn put_before(&mut self, labels: &Labels, older: Vec<Point>, frontier: TimestampMs) {
        let (readers, reach) = self.rules.readers(labels);
        let keep = self.keep_of(reach);
        let is_new = self.store.find(labels).is_none();
        let known = self.store.find(labels).and_then(|at| self.store.get(at));
        let own = |history: &SeriesHistory| {
            let mut samples = history.range(TimestampMs::MIN, TimestampMs::MAX);
            samples.next()
        };
        let oldest = known.and_then(|(_, series)| own(&series.history));
        let oldest = oldest.map(|sample| sample.at);
        let is_older = |point: &Point| {
            point.at > frontier - keep && oldest.is_none_or(|oldest| point.at < oldest)
        };
        let older: Vec<Point> = older.into_iter().filter(is_older).collect();
        let (Some(first), Some(last)) = (older.first(), older.last()) else {
            return;
        };
        let (first, last) = (first.at, last.at);
        let place = self.find_or_insert(labels);
        let Some(series) = self.store.get_mut(place) else {
            return;
        };
        self.stats.samples_past += older.len() as u64;
        series.history = series.history.with_older(older);
        self.live.get_mut().moved(place);
        self.store.cut(place, frontier, keep, TimestampMs::MIN);
        if is_new {
            // Its newest sample may be days old: it is kept as long as one that still comes.
            self.kept_past.insert(place, keep);
        }
        let subqueries = &mut self.live.get_mut().subqueries;
        subqueries.changed_between(labels, first, last);
        for rule in readers {
            self.partitions.ask_for(rule, None);
        }
    }
}
