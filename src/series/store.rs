//! The series of one shard by handle and by label, with one history each.
//!
//! Postings by metric name and by `(label, value)` keep selection proportional to what is
//! selected. Iteration is in the order of labels, never of hashes or handles, so that the same
//! log gives the same effects.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use crate::history::{ColdStore, SeriesHistory};
use crate::model::bytes::{ByteReader, ByteWriter, Read};
use crate::model::{DurationMs, Labels, METRIC_NAME, Matcher, TimestampMs};
use crate::series::SeriesReader;

/// A series: its labels and its past.
#[derive(Clone, Debug, Default)]
pub struct StoredSeries {
    /// The past.
    pub history: SeriesHistory,
    /// How many series had been met before it.
    number: u64,
}

/// A series came or went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreChange {
    /// There is a new series at this place.
    Added(usize),
    /// The series at this place is gone.
    Removed(usize),
}

/// All series of one shard.
#[derive(Clone, Debug, Default)]
pub struct SeriesStore {
    by_name: HashMap<String, BTreeMap<Labels, usize>>,
    names: BTreeSet<String>,
    series: Vec<Option<(Labels, StoredSeries)>>,
    free: Vec<usize>,
    n_series: usize,
    /// Series ever met.
    n_met: u64,
    /// What has changed since somebody asked.
    changes: Vec<StoreChange>,
    /// Where history goes that is not kept in memory.
    cold: Option<Arc<dyn ColdStore>>,
    /// How many places there will be when all series have been loaded.
    n_places_expected: usize,
}

/// Series may be loaded so far ahead of those before them: they are, where one has changed while
/// they were saved.
const PLACES_AHEAD: usize = 1 << 22;

impl SeriesStore {
    /// Lets history that is not new go to a store; without one, all of it stays in memory.
    pub fn set_cold_store(&mut self, cold: Arc<dyn ColdStore>) {
        self.cold = Some(cold);
    }

    /// Forgets what is older than `keep` at event time `now` in the series at a place.
    pub fn cut(&mut self, at: usize, now: TimestampMs, keep: DurationMs) {
        if let Some(Some((_, series))) = self.series.get_mut(at) {
            series.history.cut(now, keep, self.cold.as_ref());
        }
        if let Some(cold) = &self.cold {
            cold.forget(now);
        }
    }

    /// Returns the place of the series with these labels, making it where there is none.
    pub fn find_or_insert(&mut self, labels: &Labels) -> usize {
        let name = labels.metric_name();
        if !self.by_name.contains_key(name) {
            self.by_name.insert(name.to_owned(), BTreeMap::new());
            self.names.insert(name.to_owned());
        }
        let of_name = self.by_name.get_mut(name).expect("inserted above");
        if let Some(at) = of_name.get(labels) {
            return *at;
        }
        let at = self.free.pop().unwrap_or(self.series.len());
        of_name.insert(labels.clone(), at);
        if at == self.series.len() {
            self.series.push(None);
        }
        let series = StoredSeries {
            number: self.n_met,
            ..StoredSeries::default()
        };
        self.series[at] = Some((labels.clone(), series));
        self.n_met += 1;
        self.n_series += 1;
        self.changes.push(StoreChange::Added(at));
        at
    }

    /// Returns the place of the series with these labels.
    pub fn find(&self, labels: &Labels) -> Option<usize> {
        self.by_name.get(labels.metric_name())?.get(labels).copied()
    }

    /// Returns the place that the next new series gets.
    pub fn next_place(&self) -> usize {
        self.free.last().copied().unwrap_or(self.series.len())
    }

    /// Returns the series at a place.
    pub fn get(&self, at: usize) -> Option<(&Labels, &StoredSeries)> {
        self.series
            .get(at)?
            .as_ref()
            .map(|(labels, series)| (labels, series))
    }

    /// Returns the series at a place, to change it.
    pub fn get_mut(&mut self, at: usize) -> Option<&mut StoredSeries> {
        self.series.get_mut(at)?.as_mut().map(|(_, series)| series)
    }

    /// Removes the series at a place; the place may be given to another series later.
    pub fn remove(&mut self, at: usize) {
        let Some((labels, _)) = self.series.get_mut(at).and_then(Option::take) else {
            return;
        };
        self.n_series -= 1;
        self.free.push(at);
        self.changes.push(StoreChange::Removed(at));
        let name = labels.metric_name();
        if let Some(of_name) = self.by_name.get_mut(name) {
            of_name.remove(&labels);
            if of_name.is_empty() {
                self.by_name.remove(name);
                self.names.remove(name);
            }
        }
    }

    /// Returns which series have come and gone since the last time, in order.
    pub fn take_changes(&mut self) -> Vec<StoreChange> {
        std::mem::take(&mut self.changes)
    }

    /// Calls `visit` with the place of every series that satisfies all matchers, in the order of
    /// metric names, then of labels.
    pub fn select_places(&self, matchers: &[Matcher], visit: &mut dyn FnMut(usize)) {
        self.visit(matchers, &mut |place, _, _| visit(place));
    }

    /// Returns the number of series.
    pub fn len(&self) -> usize {
        self.n_series
    }

    /// Tells whether there are no series.
    pub fn is_empty(&self) -> bool {
        self.n_series == 0
    }

    /// Iterates over all series in the order of metric names, then of labels.
    pub fn iter(&self) -> impl Iterator<Item = (usize, &Labels, &StoredSeries)> {
        let of_names = self.names.iter().filter_map(|name| self.by_name.get(name));
        of_names.flatten().filter_map(|(_, at)| {
            let (labels, series) = self.get(*at)?;
            Some((*at, labels, series))
        })
    }

    /// Returns how many places there are, free ones included.
    pub fn n_places(&self) -> usize {
        self.series.len()
    }

    /// Puts how many places there are and which are free; their series are put one by one.
    pub fn save(&self, out: &mut ByteWriter) {
        out.count(self.series.len());
        out.number(self.n_met);
        out.list(self.free.iter(), |out, place| out.count(*place));
    }

    /// Takes what [`SeriesStore::save`] has put, of series that are yet to come.
    pub fn load(&mut self, read: &mut ByteReader<'_>) -> Read<()> {
        self.n_places_expected = read.place()?;
        self.n_met = read.number()?;
        self.free = read.list(1, ByteReader::place)?;
        Ok(())
    }

    /// Puts the series at a place; `false` where there is none.
    pub fn save_series(&self, place: usize, out: &mut ByteWriter) -> bool {
        let Some((labels, series)) = self.get(place) else {
            return false;
        };
        out.count(place);
        out.labels(labels);
        out.number(series.number);
        series.history.save(out);
        true
    }

    /// Takes what [`SeriesStore::save_series`] has put, and returns the place.
    pub fn load_series(&mut self, read: &mut ByteReader<'_>) -> Read<usize> {
        let place = read.place()?;
        if place >= self.n_places_expected || self.get(place).is_some() {
            return Err(read.malformed("the place of another series"));
        }
        let labels = read.labels()?;
        let number = read.number()?;
        let history = SeriesHistory::load(read, self.cold.as_ref())?;
        if place >= self.series.len() {
            // No place is far beyond the series that have come, but for those that are free.
            let places_max = 2 * (self.n_series + self.free.len()) + PLACES_AHEAD;
            if place > places_max {
                return Err(read.malformed("a place"));
            }
            self.series.resize_with(place + 1, || None);
        }
        let name = labels.metric_name();
        if !self.by_name.contains_key(name) {
            self.by_name.insert(name.to_owned(), BTreeMap::new());
            self.names.insert(name.to_owned());
        }
        let of_name = self.by_name.get_mut(name);
        if of_name.is_none_or(|all| all.insert(labels.clone(), place).is_some()) {
            return Err(read.malformed("a series that was not there"));
        }
        self.series[place] = Some((labels, StoredSeries { history, number }));
        self.n_series += 1;
        Ok(place)
    }

    /// Says that all series have been loaded.
    pub fn end_load(&mut self, read: &ByteReader<'_>) -> Read<()> {
        let free: BTreeSet<usize> = self.free.iter().copied().collect();
        let n_places = self.n_series + free.len();
        let is_free = |place: &usize| *place < n_places && self.get(*place).is_none();
        if n_places != self.n_places_expected
            || free.len() != self.free.len()
            || !free.iter().all(is_free)
        {
            return Err(read.malformed("all series"));
        }
        self.series.resize_with(n_places, || None);
        Ok(())
    }

    fn visit_name<'a>(
        &'a self,
        name: &str,
        matchers: &[Matcher],
        visit: &mut dyn FnMut(usize, &'a Labels, &'a StoredSeries),
    ) {
        for at in self
            .by_name
            .get(name)
            .into_iter()
            .flat_map(BTreeMap::values)
        {
            let Some((labels, series)) = self.get(*at) else {
                continue;
            };
            if matchers
                .iter()
                .all(|matcher| matcher.matches_labels(labels))
            {
                visit(*at, labels, series);
            }
        }
    }

    fn visit<'a>(
        &'a self,
        matchers: &[Matcher],
        visit: &mut dyn FnMut(usize, &'a Labels, &'a StoredSeries),
    ) {
        if let Some(name) = Matcher::exact_name(matchers) {
            self.visit_name(name, matchers, visit);
            return;
        }
        for name in &self.names {
            let of_name = matchers
                .iter()
                .filter(|matcher| matcher.name == METRIC_NAME);
            if of_name.clone().all(|matcher| matcher.matches(name)) {
                self.visit_name(name, matchers, visit);
            }
        }
    }
}

impl SeriesReader for SeriesStore {
    fn select_numbered<'a>(
        &'a self,
        matchers: &[Matcher],
        visit: &mut dyn FnMut(u64, &'a Labels, &'a SeriesHistory),
    ) {
        self.visit(matchers, &mut |_, labels, series| {
            visit(series.number, labels, &series.history);
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::MatchOp;

    fn selected(store: &SeriesStore, matchers: &[Matcher]) -> Vec<String> {
        let mut found = Vec::new();
        store.select(matchers, &mut |labels, _| found.push(labels.to_string()));
        found
    }

    #[test]
    fn matchers_select_series_in_the_order_of_labels() {
        let mut store = SeriesStore::default();
        for (name, job) in [("up", "b"), ("up", "a"), ("down", "a")] {
            store.find_or_insert(&Labels::from_pairs([("__name__", name), ("job", job)]));
        }
        let check = |matchers: &[(MatchOp, &str, &str)], expected: &[&str]| {
            let new = |(op, name, value): &(MatchOp, &str, &str)| Matcher::new(*op, *name, *value);
            let matchers: Vec<_> = matchers.iter().map(|m| new(m).expect("valid")).collect();
            assert_eq!(selected(&store, &matchers), expected);
        };
        use MatchOp::{Equal, Matches, NotEqual};
        check(
            &[(Equal, "__name__", "up")],
            &[r#"up{job="a"}"#, r#"up{job="b"}"#],
        );
        check(
            &[(Equal, "job", "a")],
            &[r#"down{job="a"}"#, r#"up{job="a"}"#],
        );
        check(
            &[(Matches, "__name__", "u.*"), (NotEqual, "job", "a")],
            &[r#"up{job="b"}"#],
        );
        check(
            &[(Equal, "none", "")],
            &[r#"down{job="a"}"#, r#"up{job="a"}"#, r#"up{job="b"}"#],
        );
    }
}
