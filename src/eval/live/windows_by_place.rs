//! The windows of every series that has any, by place in the store.
//!
//! Windows that a checkpoint held are those of when their series was put, which may have been a
//! while after the checkpoint began; they have gone on meanwhile, and never go back. So each is
//! known with the frontier from which on it may be used, and one that is asked for before that is
//! made anew.

use std::collections::BTreeSet;

use crate::history::SeriesHistory;
use crate::model::bytes::{ByteReader, ByteWriter, Read};
use crate::model::{BlockList, DurationMs, TimestampMs};
use crate::windows::{Heads, SeriesWindows};

const _: () = assert!(size_of::<Option<SeriesWindows>>() == size_of::<SeriesWindows>());

#[derive(Debug, Default)]
pub(super) struct WindowsByPlace {
    /// Side by side in blocks that do not move: nearly every series has some.
    windows: BlockList<Option<SeriesWindows>>,
    /// From which frontier on each may be used; nothing once all may.
    loaded: Option<Box<Loaded>>,
}

/// When windows that were loaded may be used.
#[derive(Debug)]
struct Loaded {
    by_place: Vec<TimestampMs>,
    /// All may from here on.
    latest: TimestampMs,
}

impl WindowsByPlace {
    /// Returns the windows of the series at a place, made where there are none.
    #[inline]
    pub fn at(&mut self, place: usize, frontier: TimestampMs) -> &mut SeriesWindows {
        if self.loaded.is_some() {
            self.wake(place, frontier);
        }
        if place >= self.windows.len() {
            self.make_places(place + 1);
        }
        let windows = self.windows.get_mut(place);
        let windows = windows.expect("places up to this one have been made");
        windows.get_or_insert_default()
    }

    /// Returns the places where samples leave the windows of the series at a place.
    #[inline]
    pub fn heads(&self, place: usize) -> Heads<'_> {
        let windows = self.windows.get(place).and_then(Option::as_ref);
        windows.map(SeriesWindows::heads).unwrap_or_default()
    }

    #[cold]
    fn make_places(&mut self, n_places: usize) {
        while self.windows.len() < n_places {
            self.windows.push(None);
        }
    }

    /// Returns the windows of the series at a place, where there are any.
    pub fn get_mut(&mut self, place: usize, frontier: TimestampMs) -> Option<&mut SeriesWindows> {
        if self.loaded.is_some() {
            self.wake(place, frontier);
        }
        self.windows.get_mut(place)?.as_mut()
    }

    /// Forgets the windows at a place.
    pub fn remove(&mut self, place: usize) {
        if let Some(windows) = self.windows.get_mut(place) {
            *windows = None;
        }
    }

    /// Drops the windows that begin at none of some lags, and states for other texts than these.
    pub fn retain(&mut self, is_read: impl Fn(DurationMs) -> bool, texts: &BTreeSet<String>) {
        for place in 0..self.windows.len() {
            if let Some(Some(windows)) = self.windows.get_mut(place) {
                windows.retain(&is_read, texts);
            }
        }
    }

    /// Drops what was loaded and is ahead of the frontier.
    #[cold]
    fn wake(&mut self, place: usize, frontier: TimestampMs) {
        let Some(loaded) = &mut self.loaded else {
            return;
        };
        if frontier >= loaded.latest {
            self.loaded = None;
            return;
        }
        if let Some(from) = loaded
            .by_place
            .get_mut(place)
            .filter(|from| **from > frontier)
        {
            *from = TimestampMs::MIN;
            self.remove(place);
        }
    }

    /// Puts the windows at a place, as they are at a frontier.
    pub fn save(
        &self,
        (place, history): (usize, &SeriesHistory),
        frontier: Option<TimestampMs>,
        out: &mut ByteWriter,
    ) {
        let windows = self.windows.get(place).and_then(Option::as_ref);
        let windows = windows.filter(|windows| windows.is_worth_saving(history));
        // Those that were loaded and not asked for since are of a later frontier.
        let loaded = self.loaded.as_ref();
        let from = loaded
            .and_then(|loaded| loaded.by_place.get(place))
            .copied();
        let both = windows.zip(frontier);
        out.option(both, |out, (windows, frontier)| {
            out.instant(from.map_or(frontier, |from| from.max(frontier)));
            windows.save(history, out);
        });
    }

    /// Takes what [`WindowsByPlace::save`] has put of a series.
    pub fn load(
        history: &SeriesHistory,
        has_first: bool,
        read: &mut ByteReader<'_>,
    ) -> Read<Option<SavedWindows>> {
        read.option(|read| {
            let from = read.instant()?;
            let windows = SeriesWindows::load(history, has_first, read)?;
            Ok(SavedWindows { from, windows })
        })
    }

    /// Puts windows that were loaded where their series is.
    pub fn put(&mut self, place: usize, saved: SavedWindows) {
        self.make_places(place + 1);
        if let Some(windows) = self.windows.get_mut(place) {
            *windows = Some(saved.windows);
        }
        let loaded = self.loaded.get_or_insert_with(|| {
            Box::new(Loaded {
                by_place: Vec::new(),
                latest: TimestampMs::MIN,
            })
        });
        if place >= loaded.by_place.len() {
            loaded.by_place.resize(place + 1, TimestampMs::MIN);
        }
        loaded.by_place[place] = saved.from;
        loaded.latest = loaded.latest.max(saved.from);
    }
}

/// The windows of one series, and the frontier from which on they may be used.
#[derive(Debug)]
pub struct SavedWindows {
    from: TimestampMs,
    windows: SeriesWindows,
}
