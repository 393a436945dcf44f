//! The series of one shard by handle and by label, with one history each.
//!
//! Series lie by metric name, which nearly every selector states. Iteration is in the order of
//! labels, never of hashes or handles, so that the same log gives the same effects.
//!
//! Memory: labels and history, and 32 bytes a series.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::sync::Arc;

use crate::history::{ColdStore, SeriesHistory};
use crate::model::bytes::{ByteReader, ByteWriter, Read};
use crate::model::{BlockList, DurationMs, Labels, METRIC_NAME, Matcher, TimestampMs};
use crate::series::SeriesReader;
use crate::series::bases::Bases;
use crate::series::sorted_places::{Gap, SortedPlaces};

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
    by_name: BTreeMap<Box<str>, SortedPlaces>,
    bases: Bases,
    series: BlockList<Option<(Labels, StoredSeries)>>,
    free: Vec<u32>,
    /// Series ever met.
    n_met: u64,
    /// What has changed since somebody asked.
    changes: Vec<StoreChange>,
    /// Where history goes that is not kept in memory.
    cold: Option<Arc<dyn ColdStore>>,
}

impl SeriesStore {
    /// Lets history that is not new go to a store; without one, all of it stays in memory.
    pub fn set_cold_store(&mut self, cold: Arc<dyn ColdStore>) {
        self.cold = Some(cold);
    }

    /// Returns a view of the store of history that is not in memory, as it is now.
    pub fn cold_view(&self) -> Option<Arc<dyn ColdStore>> {
        self.cold.as_ref().map(|cold| cold.pinned())
    }

    /// Forgets what is older than `keep` at event time `now` in the series at a place, into which
    /// nothing comes any more at or before `oldest_allowed`.
    pub fn cut(
        &mut self,
        at: usize,
        now: TimestampMs,
        keep: DurationMs,
        oldest_allowed: TimestampMs,
    ) {
        if let Some(Some((_, series))) = self.series.get_mut(at) {
            let cold = self.cold.as_ref();
            series.history.cut(now, keep, cold, oldest_allowed);
        }
        if let Some(cold) = &self.cold {
            cold.forget(now);
        }
    }

    /// Returns the place of the series with these labels, making it where there is none.
    pub fn find_or_insert(&mut self, labels: &Labels) -> usize {
        let gap = match self.find_place(labels) {
            Some(Ok(at)) => return at as usize,
            Some(Err(gap)) => gap,
            None => Gap::default(),
        };
        let series = StoredSeries {
            number: self.n_met,
            ..StoredSeries::default()
        };
        let series = Some((self.bases.shared(labels), series));
        let free = self.free.pop().map(|at| at as usize);
        let at = match free.and_then(|at| Some((at, self.series.get_mut(at)?))) {
            Some((at, free)) => {
                *free = series;
                at
            }
            None => self.series.push(series),
        };
        let name = labels.metric_name();
        let of_name = match self.by_name.get_mut(name) {
            Some(of_name) => of_name,
            None => self.by_name.entry(name.into()).or_default(),
        };
        // The door numbers series in as many bits.
        of_name.insert(gap, u32::try_from(at).unwrap_or(u32::MAX));
        self.n_met += 1;
        self.changes.push(StoreChange::Added(at));
        at
    }

    /// Returns the place of the series with these labels.
    pub fn find(&self, labels: &Labels) -> Option<usize> {
        let found = self.find_place(labels)?;
        found.ok().map(|at| at as usize)
    }

    /// Finds the place of the series with these labels among those of its name, if there are any.
    fn find_place(&self, labels: &Labels) -> Option<Result<u32, Gap>> {
        let of_name = self.by_name.get(labels.metric_name())?;
        Some(of_name.find(|at| self.compare(at, labels)))
    }

    fn compare(&self, at: u32, labels: &Labels) -> Ordering {
        let stored = self.get(at as usize);
        stored.map_or(Ordering::Less, |(stored, _)| stored.cmp(labels))
    }

    /// Returns how many places there are, free ones included.
    pub fn n_places(&self) -> usize {
        self.series.len()
    }

    /// Returns the place that the next new series gets.
    pub fn next_place(&self) -> usize {
        let free = self.free.last().map(|place| *place as usize);
        free.unwrap_or(self.series.len())
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

    /// Removes the series at a place, which may be given to another series later. Returns its
    /// labels.
    pub fn remove(&mut self, at: usize) -> Option<Labels> {
        let labels = self.get(at)?.0.clone();
        let name = labels.metric_name();
        let series = &self.series;
        let compare = |place: u32| {
            let stored = series.get(place as usize).and_then(Option::as_ref);
            stored.map_or(Ordering::Less, |(stored, _)| stored.cmp(&labels))
        };
        if let Some(of_name) = self.by_name.get_mut(name) {
            of_name.remove(compare);
            if of_name.is_empty() {
                self.by_name.remove(name);
            }
        }
        *self.series.get_mut(at)? = None;
        self.free.push(u32::try_from(at).unwrap_or(u32::MAX));
        self.changes.push(StoreChange::Removed(at));
        self.bases.removed(self.len());
        Some(labels)
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
        self.series.len() - self.free.len()
    }

    /// Tells whether there are no series.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Iterates over all series in the order of metric names, then of labels.
    pub fn iter(&self) -> impl Iterator<Item = (usize, &Labels, &StoredSeries)> {
        let places = self.by_name.values().flat_map(SortedPlaces::iter);
        places.filter_map(|at| {
            let (labels, series) = self.get(at as usize)?;
            Some((at as usize, labels, series))
        })
    }

    /// Puts which series are where, in order, and which places are free; the series themselves are
    /// put one by one.
    pub fn save(&self, out: &mut ByteWriter) {
        out.number(self.n_met);
        out.list(self.free.iter(), |out, place| out.number((*place).into()));
        out.list(self.by_name.iter(), |out, (name, places)| {
            out.text(name);
            places.save(out);
        });
    }

    /// Takes what [`SeriesStore::save`] has put, of series that are yet to come.
    pub fn load(&mut self, read: &mut ByteReader<'_>) -> Read<()> {
        self.n_met = read.number()?;
        self.free = read.list(1, ByteReader::small)?;
        self.by_name = read.list(2, |read| {
            Ok((read.text()?.into(), SortedPlaces::load(read)?))
        })?;
        let places = self.by_name.values().flat_map(SortedPlaces::iter);
        let n_places = self.free.len() + places.count();
        for _ in 0..n_places {
            self.series.push(None);
        }
        Ok(())
    }

    /// Puts the series at a place; nothing where there is none.
    pub fn save_series(&self, place: usize, out: &mut ByteWriter) {
        if let Some((labels, series)) = self.get(place) {
            out.count(place);
            out.labels(labels);
            out.number(series.number);
            series.history.save(out);
        }
    }

    /// Puts a series that was loaded at its place; `false` where that is not free.
    #[must_use]
    pub fn put_loaded(&mut self, loaded: LoadedSeries) -> bool {
        match self.series.get_mut(loaded.place) {
            Some(free @ None) => {
                *free = Some((loaded.labels, loaded.series));
                true
            }
            _ => false,
        }
    }

    /// Learns what the labels of loaded series are written against.
    pub fn learn_bases(&mut self, loader: SeriesLoader) {
        self.bases.learn(loader.bases);
    }

    /// Returns what takes series as [`SeriesStore::save_series`] has put them; there may be several
    /// for one store, each for some of its series.
    pub fn loader(&self) -> SeriesLoader {
        SeriesLoader {
            bases: Bases::default(),
            cold: self.cold.clone(),
        }
    }

    /// Says that all series have been loaded.
    pub fn end_load(&self, read: &ByteReader<'_>) -> Read<()> {
        for (name, places) in &self.by_name {
            let labels = places.iter().map(|place| self.get(place as usize));
            let labels: Option<Vec<&Labels>> = labels.map(|found| found.map(|f| f.0)).collect();
            let in_order = labels.is_some_and(|labels| {
                labels.iter().all(|labels| labels.metric_name() == &**name)
                    && labels.is_sorted_by(|a, b| a < b)
            });
            if !in_order {
                return Err(read.malformed("all series in order"));
            }
        }
        let mut free: Vec<u32> = self.free.clone();
        free.sort_unstable();
        let is_free = |place: &u32| matches!(self.series.get(*place as usize), Some(None));
        match free.is_sorted_by(|a, b| a < b) && free.iter().all(is_free) {
            true => Ok(()),
            false => Err(read.malformed("free places")),
        }
    }

    fn visit_places<'a>(
        &'a self,
        places: &SortedPlaces,
        matchers: &[Matcher],
        visit: &mut dyn FnMut(usize, &'a Labels, &'a StoredSeries),
    ) {
        for at in places.iter() {
            let Some((labels, series)) = self.get(at as usize) else {
                continue;
            };
            if matchers
                .iter()
                .all(|matcher| matcher.matches_labels(labels))
            {
                visit(at as usize, labels, series);
            }
        }
    }

    fn visit<'a>(
        &'a self,
        matchers: &[Matcher],
        visit: &mut dyn FnMut(usize, &'a Labels, &'a StoredSeries),
    ) {
        if let Some(name) = Matcher::exact_name(matchers) {
            if let Some(places) = self.by_name.get(name) {
                self.visit_places(places, matchers, visit);
            }
            return;
        }
        for (name, places) in &self.by_name {
            let of_name = matchers
                .iter()
                .filter(|matcher| matcher.name == METRIC_NAME);
            if of_name.clone().all(|matcher| matcher.matches(name)) {
                self.visit_places(places, matchers, visit);
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

/// Takes series out of bytes, for a store.
#[derive(Debug)]
pub struct SeriesLoader {
    bases: Bases,
    cold: Option<Arc<dyn ColdStore>>,
}

/// A series on its way to its place.
#[derive(Debug)]
pub struct LoadedSeries {
    place: usize,
    labels: Labels,
    series: StoredSeries,
}

impl SeriesLoader {
    /// Takes what [`SeriesStore::save_series`] has put.
    pub fn load(&mut self, read: &mut ByteReader<'_>) -> Read<LoadedSeries> {
        Ok(LoadedSeries {
            place: read.place()?,
            labels: self.bases.shared_pairs(&read.label_pairs()?),
            series: StoredSeries {
                number: read.number()?,
                history: SeriesHistory::load(read, self.cold.as_ref())?,
            },
        })
    }
}

impl LoadedSeries {
    /// Returns its place.
    pub fn place(&self) -> usize {
        self.place
    }

    /// Returns its past.
    pub fn history(&self) -> &SeriesHistory {
        &self.series.history
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

    #[test]
    fn series_take_no_more_memory_once_they_were_saved_and_loaded() {
        let mut store = SeriesStore::default();
        for n in 0..40 {
            let (instance, code) = (format!("host-{}:9090", n / 20), (n % 20).to_string());
            store.find_or_insert(&Labels::from_pairs([
                ("__name__", "http_requests_total"),
                ("code", &code),
                ("instance", &instance),
                ("job", "web"),
            ]));
        }
        let mut out = ByteWriter::default();
        store.save(&mut out);
        (0..40).for_each(|place| store.save_series(place, &mut out));
        let bytes = out.into_bytes();
        let (mut read, mut loaded) = (ByteReader::new(&bytes), SeriesStore::default());
        loaded.load(&mut read).expect("what was saved");
        let mut loader = loaded.loader();
        for place in 0..40 {
            let series = loader.load(&mut read).expect("saved");
            assert_eq!(series.place(), place);
            assert!(loaded.put_loaded(series));
        }
        loaded.learn_bases(loader);
        loaded.end_load(&read).expect("all of it");
        let bytes = |store: &SeriesStore| {
            let labels = store.iter().map(|(_, labels, _)| labels.heap_bytes());
            labels.sum::<usize>() / 40
        };
        assert!(loaded.iter().map(|s| s.1).eq(store.iter().map(|s| s.1)));
        assert_eq!(bytes(&loaded), bytes(&store));
        assert!(bytes(&store) < 40, "{} bytes", bytes(&store));
    }
}
