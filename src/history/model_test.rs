//! A history beside a map that does the same without compression.

use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::prelude::*;

use crate::history::cold::memory::MemoryColdStore;
use crate::history::{
    Appended, ColdStore, Cursor, FlatFloats, Place, SeriesHistory, WalkCursor, Walked,
};
use crate::model::{DurationMs, Point, SampleValue, TimestampMs, is_stale_nan, stale_nan};

/// What is done to a history.
#[derive(Clone, Debug)]
enum Step {
    /// Samples in order, so many, with such gaps and growth.
    Append(u8, i64, i64),
    /// One sample of any value.
    AppendValue(f64),
    /// One so far behind the newest; taken within that window.
    Insert(i64, i64, f64),
    /// What lies so far behind the newest is forgotten.
    Forget(i64),
    /// What is older than this is forgotten, and full chunks go to a store from now on.
    Cut(i64),
    /// The store has no room, or has room again.
    Fill(bool),
    /// A cursor is put so far behind the newest.
    Walk(i64),
    /// Every cursor goes on by so much.
    WalkOn(i64),
    /// Windows that end so far behind the newest, of such length.
    Look(i64, i64),
}

fn step() -> impl Strategy<Value = Step> {
    let value = prop_oneof![
        Just(stale_nan()),
        Just(f64::NAN),
        Just(-0.0),
        Just(1e300),
        any::<f64>(),
        (0..100_i64).prop_map(|n| n as f64 / 4.0),
    ];
    prop_oneof![
        4 => (1..60_u8, 1..40_i64, -3..90_i64).prop_map(|(n, gap, more)| Step::Append(n, gap, more)),
        2 => value.clone().prop_map(Step::AppendValue),
        3 => (0..2000_i64, 0..3000_i64, value).prop_map(|(back, window, value)| {
            Step::Insert(back, window, value)
        }),
        1 => (0..2500_i64).prop_map(Step::Forget),
        1 => (500..4000_i64).prop_map(Step::Cut),
        1 => any::<bool>().prop_map(Step::Fill),
        1 => (0..2500_i64).prop_map(Step::Walk),
        2 => (0..1500_i64).prop_map(Step::WalkOn),
        2 => (-50..2500_i64, 0..2000_i64).prop_map(|(back, length)| Step::Look(back, length)),
    ]
}

/// A history and what it must be equal to.
#[derive(Default)]
struct Both {
    history: SeriesHistory,
    store: Arc<MemoryColdStore>,
    all: BTreeMap<i64, f64>,
    /// What lies at or before this was forgotten.
    forgotten: Option<i64>,
    cursors: Vec<Walk>,
    newest: Cursor,
    asked: i64,
    /// The store as it was when something was last forgotten: newer chunks are not in it.
    view: Option<Arc<dyn ColdStore>>,
}

/// A cursor and the last that it has passed.
struct Walk {
    cursor: WalkCursor,
    /// The same, as windows keep it.
    place: Place,
    at: i64,
    insertions: u32,
}

fn is_same(a: f64, b: f64) -> bool {
    a.to_bits() == b.to_bits()
}

impl Both {
    fn newest(&self) -> i64 {
        self.all.last_key_value().map_or(1_000_000, |last| *last.0)
    }

    fn append(&mut self, at: i64, value: f64) {
        let oldest = TimestampMs::MAX;
        let appended = self
            .history
            .append(TimestampMs(at), SampleValue::Float(value), oldest);
        assert_eq!(appended, Appended::InOrder);
        self.put(at, value);
    }

    fn walk_anew(&mut self) {
        for walk in &mut self.cursors {
            assert_ne!(walk.insertions, self.history.insertions());
            walk.insertions = self.history.insertions();
            walk.cursor = self.history.walk_from(TimestampMs(walk.at));
            walk.place = walk.cursor.pack();
        }
        self.newest = Cursor::default();
    }

    fn put(&mut self, at: i64, value: f64) {
        self.all.insert(at, value);
        if self.forgotten.is_some_and(|until| at <= until) {
            // After a silence in which all was forgotten, there may be older ones again.
            self.forgotten = Some(at - 1);
            self.walk_anew();
        }
    }

    fn insert(&mut self, at: i64, window: i64, value: f64) {
        let oldest = self.newest() - window;
        let is_empty = self.all.is_empty();
        let appended = self.history.append(
            TimestampMs(at),
            SampleValue::Float(value),
            TimestampMs(oldest),
        );
        let expected = match self.all.get(&at) {
            _ if is_empty => Appended::InOrder,
            Some(known) if is_same(*known, value) => Appended::Duplicate,
            Some(_) => Appended::Conflict,
            None if at <= oldest => Appended::TooOld,
            None => Appended::Inserted,
        };
        assert_eq!(appended, expected, "at {at}");
        match expected {
            Appended::InOrder => self.put(at, value),
            Appended::Inserted if self.forgotten.is_none_or(|until| at > until) => {
                self.all.insert(at, value);
                self.walk_anew();
            }
            _ => {}
        }
    }

    fn forget(&mut self, until: i64) {
        self.history.forget(TimestampMs(until));
        self.all.retain(|at, _| *at > until);
        self.forgotten = self.forgotten.max(Some(until));
        self.newest = Cursor::default();
        self.view = Some(self.store.pinned());
    }

    fn walk_on(&mut self, by: i64) {
        for walk in &mut self.cursors {
            let until = walk.at + by;
            let mut found = Vec::new();
            while let Some(next) = self.history.walk_peek(&walk.cursor) {
                let walked = self.history.walk_next(&mut walk.cursor, TimestampMs(until));
                let Some(walked) = walked else { break };
                assert_eq!(walked, next, "what is peeked at is what comes");
                found.push((walked.at.0, walked.value));
            }
            let all = self
                .all
                .range(walk.at + 1..)
                .filter(|(at, _)| **at <= until);
            let expected: Vec<_> = all
                .map(|(at, value)| (*at, Walked::Float(*value)))
                .collect();
            assert_eq!(found, expected, "({}, {until}]", walk.at);
            let mut looked_over = Vec::new();
            loop {
                let mut next = walk.place;
                let is_there = self.history.look_over(&mut next, self.view.as_deref());
                if !is_there || next.passed().0 > until {
                    break;
                }
                let value = self.history.walk_last(&self.history.unpack(&next));
                looked_over.push((next.passed().0, value));
                walk.place = next;
            }
            assert_eq!(looked_over, expected, "({}, {until}] by a place", walk.at);
            if let Some((at, _)) = found.last() {
                walk.at = *at;
            }
        }
    }

    fn look(&mut self, after: i64, until: i64) {
        let (from, to) = (TimestampMs(after), TimestampMs(until));
        let inside = self.all.range(after + 1..).filter(|(at, _)| **at <= until);
        let inside: Vec<_> = inside.collect();
        let plain = inside.iter().filter(|(_, value)| !is_stale_nan(**value));
        let plain: Vec<_> = plain.map(|(at, value)| (**at, value.to_bits())).collect();
        let bits = |samples: crate::history::Samples<'_>| -> Vec<(i64, u64)> {
            let floats = samples.floats.iter();
            floats
                .map(|point| (point.at.0, point.value.to_bits()))
                .collect()
        };
        assert_eq!(bits(self.history.window(from, to)), plain, "a window");
        let part = self.history.part(from, to);
        assert_eq!(bits(part.window(from, to)), plain, "a window of a part");
        let flat = FlatFloats::new(&self.history, from, 1 << 20).expect("there are no histograms");
        let flat = flat.window(from, to).expect("it begins there");
        assert_eq!(flat.len(), plain.len(), "a flat window");
        let range: Vec<Point> = self.history.range(from, to).collect();
        let point = |(at, value): &(&i64, &f64)| Point {
            at: TimestampMs(**at),
            value: SampleValue::Float(**value),
        };
        assert_eq!(
            range,
            inside.iter().map(point).collect::<Vec<_>>(),
            "a range"
        );
        let behind = self.all.range(after + 1..).count();
        assert_eq!(self.history.len_after(from), behind, "what lies behind");
        let live = self.all.range(after + 1..);
        let live = live.filter(|(_, value)| !is_stale_nan(**value)).count();
        let (cursor, counted) = self.history.walk_counted(from);
        let left = self.history.counted().less(counted);
        let left = (left.n_samples as usize, left.n_live as usize);
        assert_eq!(left, (behind, live), "what lies behind, counted");
        let next = self.history.walk_next(&mut { cursor }, TimestampMs::MAX);
        let next = next.map(|next| (next.at.0, next.value));
        let expected = self.all.range(after + 1..).next();
        let expected = expected.map(|(at, value)| (*at, Walked::Float(*value)));
        assert_eq!(next, expected, "the first behind");
        let mut place = cursor.pack();
        if self.history.look_over(&mut place, self.view.as_deref()) {
            let last = self.history.walk_last(&self.history.unpack(&place));
            assert_eq!(Some(last), expected.map(|next| next.1), "the same, passed");
        }
        self.look_for_breaks(after, until);
        if until < self.asked {
            self.newest = Cursor::default();
        }
        self.asked = until;
        let last = self.history.last_at_or_before(to, &mut self.newest);
        let expected = self.all.range(..=until).next_back();
        assert_eq!(last, expected.as_ref().map(point), "the last up to {until}");
    }

    /// Every sample that is less than the live one before it lies where it may.
    fn look_for_breaks(&self, after: i64, until: i64) {
        let (from, to) = (TimestampMs(after), TimestampMs(until));
        let parts = self.history.broken_parts(from, to);
        assert!(parts.is_sorted_by(|a, b| a.1 <= b.0), "{parts:?}");
        let mut before = None;
        for (at, value) in self.all.iter().filter(|(_, value)| !is_stale_nan(**value)) {
            let is_break = before.is_some_and(|before| *value < before);
            before = Some(*value);
            let is_inside = |part: &(TimestampMs, TimestampMs)| part.0.0 < *at && *at <= part.1.0;
            if is_break && after < *at && *at <= until {
                assert!(parts.iter().any(is_inside), "{at} is not in {parts:?}");
            }
        }
    }

    fn take(&mut self, step: &Step) {
        let newest = self.newest();
        match *step {
            Step::Append(n, gap, more) => {
                let last = self.all.last_key_value().map_or(0.0, |last| *last.1);
                for n in 1..=i64::from(n) {
                    self.append(newest + n * gap, last + (n * more) as f64);
                }
            }
            Step::AppendValue(value) => self.append(newest + 15, value),
            Step::Insert(back, window, value) => self.insert(newest - back, window, value),
            Step::Forget(back) => self.forget(newest - back),
            Step::Cut(keep) => {
                let (now, store) = (TimestampMs(newest), Arc::clone(&self.store));
                let store: Arc<dyn ColdStore> = store;
                let oldest = TimestampMs::MAX;
                self.history
                    .cut(now, DurationMs(keep), Some(&store), oldest);
                store.forget(now);
                self.forget(newest - keep);
            }
            Step::Fill(is_full) => self.store.set_full(is_full),
            Step::Walk(back) => {
                let cursor = self.history.walk_from(TimestampMs(newest - back));
                self.cursors.push(Walk {
                    cursor,
                    place: cursor.pack(),
                    at: newest - back,
                    insertions: self.history.insertions(),
                });
            }
            Step::WalkOn(by) => self.walk_on(by),
            Step::Look(back, length) => self.look(newest - back - length, newest - back),
        }
        assert_eq!(self.history.len(), self.all.len());
        assert_eq!(self.history.is_empty(), self.all.is_empty());
        let last = self.all.last_key_value();
        let last = last.map(|(at, value)| (*at, value.to_bits()));
        let known = self.history.newest();
        let known = known.map(|known| (known.at.0, known.value.as_float().map(f64::to_bits)));
        assert_eq!(known, last.map(|(at, value)| (at, Some(value))));
    }
}

fn cases() -> ProptestConfig {
    let deep = std::env::var_os("BURNWATCH_DEEP").is_some();
    ProptestConfig::with_cases(if deep { 20_000 } else { 200 })
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn a_history_is_a_map(steps in proptest::collection::vec(step(), 1..60)) {
        let mut both = Both::default();
        for step in &steps {
            both.take(step);
        }
        both.walk_on(100_000);
    }
}
