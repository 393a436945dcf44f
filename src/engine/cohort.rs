//! Whole scrapes: how far the frontier may go without showing half of one.
//!
//! The samples of one (`job`, `instance`) with one timestamp are a scrape. The series that came
//! together last time are a cohort: when some of them have come with a new timestamp, the rest is
//! waited for, until each has its sample or stale marker, or `settle` has passed (DESIGN 2.3).
//!
//! Nothing is kept per cohort but counts. A scrape counts the series whose newest sample it
//! holds; a series that comes again moves from its old scrape to the new one. The new scrape is
//! whole when the scrapes its series came from have been left by all. Series that go separate
//! ways so become two cohorts, and series that meet become one, without a search.
//!
//! Cost: O(scrapes of the target) per sample; a target has two or three at a time.

use std::collections::{BTreeSet, HashMap};

use smallvec::SmallVec;

use crate::model::bytes::{ByteReader, ByteWriter, Read};
use crate::model::{Labels, TimestampMs};

/// A cohort is no longer waited for after this many scrapes in a row that were not whole in time.
const MISSES_MAX: u8 = 2;
/// It is waited for again after this many in a row that were.
const PUNCTUAL_MIN: u8 = 3;

/// The number of a (`job`, `instance`) pair.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TargetId(pub(in crate::engine) u32);

/// How far a cohort can be relied on.
#[derive(Clone, Copy, Debug, Default)]
struct Trust {
    misses: u8,
    punctual: u8,
    given_up: bool,
}

impl Trust {
    fn was_late(&mut self) {
        self.punctual = 0;
        self.misses = self.misses.saturating_add(1);
        self.given_up |= self.misses >= MISSES_MAX;
    }

    fn was_whole(&mut self) {
        self.misses = 0;
        self.punctual = self.punctual.saturating_add(1);
        if self.punctual >= PUNCTUAL_MIN {
            self.given_up = false;
        }
    }
}

#[derive(Clone, Debug, Default)]
struct Scrape {
    at: TimestampMs,
    /// Series whose newest sample this scrape holds.
    remaining: u32,
    /// The scrapes that its series came from.
    came_from: SmallVec<[TimestampMs; 1]>,
    trust: Trust,
    /// Whether it was found whole, or given up as late.
    judged: bool,
    /// Whether it is among [`Cohorts::open`].
    is_open: bool,
}

/// The scrapes of one target, ascending: nearly always the last one and the one that is coming.
#[derive(Clone, Debug, Default)]
struct Scrapes(SmallVec<[Scrape; 2]>);

impl Scrapes {
    /// Returns the place of the scrape at an instant, or the place where it would be.
    #[inline]
    fn find(&self, at: TimestampMs) -> Result<usize, usize> {
        let place = self.0.iter().rposition(|scrape| scrape.at <= at);
        match place {
            Some(place) if self.0[place].at == at => Ok(place),
            Some(place) => Err(place + 1),
            None => Err(0),
        }
    }

    fn get(&self, at: TimestampMs) -> Option<&Scrape> {
        self.find(at).ok().and_then(|place| self.0.get(place))
    }

    /// Tells whether all series have left the scrapes that an open one came from.
    fn is_whole(&self, scrape: &Scrape) -> bool {
        let left_by_all = |from: &TimestampMs| self.get(*from).is_none_or(|s| s.remaining == 0);
        scrape.came_from.iter().all(left_by_all)
    }
}

/// The scrapes of all targets that a shard's rules read.
#[derive(Clone, Debug, Default)]
pub struct Cohorts {
    by_labels: HashMap<(String, String), TargetId>,
    scrapes: Vec<Scrapes>,
    /// Scrapes of which only a part has arrived, not yet judged.
    open: BTreeSet<(TimestampMs, TargetId)>,
}

impl Cohorts {
    /// Returns the target that a series belongs to.
    pub fn target(&mut self, labels: &Labels) -> TargetId {
        let key = (
            labels.value("job").to_owned(),
            labels.value("instance").to_owned(),
        );
        let next = TargetId(u32::try_from(self.scrapes.len()).unwrap_or(u32::MAX));
        let id = *self.by_labels.entry(key).or_insert(next);
        if id == next {
            self.scrapes.push(Scrapes::default());
        }
        id
    }

    /// Counts a sample: a series whose newest sample was `before` has one at `at`, which is
    /// newer. A stale marker (`ends`) counts as arrived, and the series is not waited for again.
    pub fn arrived(
        &mut self,
        target: TargetId,
        before: Option<TimestampMs>,
        at: TimestampMs,
        ends: bool,
    ) {
        let Some(scrapes) = self.scrapes.get_mut(target.0 as usize) else {
            return;
        };
        let before = before.and_then(|before| scrapes.get(before));
        let before = before.map(|scrape| (scrape.at, scrape.trust));
        if before.is_none() && ends {
            // Nothing is counted, so nothing need be kept.
            return;
        }
        let place = scrapes.find(at).unwrap_or_else(|place| {
            let scrape = Scrape {
                at,
                trust: before.map(|(_, trust)| trust).unwrap_or_default(),
                ..Scrape::default()
            };
            scrapes.0.insert(place, scrape);
            place
        });
        let scrape = &mut scrapes.0[place];
        scrape.remaining += u32::from(!ends);
        if let Some((before, _)) = before.filter(|(b, _)| !scrape.came_from.contains(b)) {
            scrape.came_from.push(before);
            if !scrape.judged && !std::mem::replace(&mut scrape.is_open, true) {
                self.open.insert((at, target));
            }
        }
        if let Some((before, _)) = before {
            // Only once the last series has left a scrape can the next one be whole.
            self.leave(target, before);
        }
    }

    /// Counts a series that is no longer kept.
    pub fn removed(&mut self, target: TargetId, newest: TimestampMs) {
        self.leave(target, newest);
    }

    fn leave(&mut self, target: TargetId, before: TimestampMs) {
        let Some(scrapes) = self.scrapes.get_mut(target.0 as usize) else {
            return;
        };
        let Ok(place) = scrapes.find(before) else {
            return;
        };
        let scrape = &mut scrapes.0[place];
        scrape.remaining = scrape.remaining.saturating_sub(1);
        if scrape.remaining > 0 {
            return;
        }
        if !scrape.is_open {
            scrapes.0.remove(place);
        }
        let later = scrapes.0.iter().skip(place).filter(|scrape| {
            scrape.is_open && scrape.came_from.contains(&before) && scrapes.is_whole(scrape)
        });
        let later: SmallVec<[TimestampMs; 2]> = later.map(|scrape| scrape.at).collect();
        for at in later {
            self.close(target, at, Trust::was_whole);
        }
    }

    fn close(&mut self, target: TargetId, at: TimestampMs, judge: fn(&mut Trust)) {
        self.open.remove(&(at, target));
        let Some(scrapes) = self.scrapes.get_mut(target.0 as usize) else {
            return;
        };
        let Ok(place) = scrapes.find(at) else {
            return;
        };
        let scrape = &mut scrapes.0[place];
        (scrape.judged, scrape.is_open) = (true, false);
        judge(&mut scrape.trust);
        let (trust, is_left) = (scrape.trust, scrape.remaining == 0);
        for later in scrapes.0.iter_mut().skip(place + 1) {
            if later.came_from.contains(&at) {
                later.trust = trust;
            }
        }
        if is_left {
            scrapes.0.remove(place);
        }
    }

    /// Gives up waiting for scrapes at or before `until`. Returns how many were not whole.
    pub fn settle(&mut self, until: TimestampMs) -> usize {
        let mut n_late = 0;
        while let Some((at, target)) = self.open.first().copied().filter(|(at, _)| *at <= until) {
            self.close(target, at, Trust::was_late);
            n_late += 1;
        }
        n_late
    }

    /// Returns the earliest timestamp of which only a part has arrived and that is waited for.
    pub fn hold(&self) -> Option<TimestampMs> {
        let waited_for = |(at, target): &&(TimestampMs, TargetId)| {
            let scrapes = self.scrapes.get(target.0 as usize);
            let scrape = scrapes.and_then(|scrapes| scrapes.get(*at));
            scrape.is_some_and(|scrape| !scrape.trust.given_up)
        };
        self.open.iter().find(waited_for).map(|(at, _)| *at)
    }

    /// Tells whether a part of a scrape at or before `until` is still missing.
    pub fn has_open_until(&self, until: TimestampMs) -> bool {
        self.hold().is_some_and(|at| at <= until)
    }
}

impl Cohorts {
    /// Puts all targets and their scrapes.
    pub fn save(&self, out: &mut ByteWriter) {
        let mut labels: Vec<(&TargetId, &(String, String))> = self
            .by_labels
            .iter()
            .map(|(labels, id)| (id, labels))
            .collect();
        labels.sort_unstable();
        out.list(labels.into_iter(), |out, (_, (job, instance))| {
            out.text(job);
            out.text(instance);
        });
        for scrapes in &self.scrapes {
            out.list(scrapes.0.iter(), |out, scrape| scrape.save(out));
        }
    }

    /// Takes what [`Cohorts::save`] has put.
    pub fn load(read: &mut ByteReader<'_>) -> Read<Cohorts> {
        let mut cohorts = Cohorts::default();
        for number in 0..read.count(2)? {
            let id = TargetId(u32::try_from(number).unwrap_or(u32::MAX));
            let labels = (read.string()?, read.string()?);
            if cohorts.by_labels.insert(labels, id).is_some() {
                return Err(read.malformed("a target that was not there"));
            }
        }
        for target in 0..cohorts.by_labels.len() {
            let target = TargetId(u32::try_from(target).unwrap_or(u32::MAX));
            let scrapes: SmallVec<[Scrape; 2]> = read.list(6, Scrape::load)?;
            if !scrapes.is_sorted_by(|a, b| a.at < b.at) {
                return Err(read.malformed("scrapes in order"));
            }
            let open = scrapes.iter().filter(|scrape| scrape.is_open);
            cohorts.open.extend(open.map(|scrape| (scrape.at, target)));
            cohorts.scrapes.push(Scrapes(scrapes));
        }
        Ok(cohorts)
    }

    /// Tells whether a target is known.
    pub fn has(&self, target: TargetId) -> bool {
        (target.0 as usize) < self.scrapes.len()
    }
}

impl Scrape {
    fn save(&self, out: &mut ByteWriter) {
        let Trust {
            misses,
            punctual,
            given_up,
        } = self.trust;
        out.instant(self.at);
        out.number(self.remaining.into());
        out.list(self.came_from.iter(), |out, at| out.instant(*at));
        out.byte(misses);
        out.byte(punctual);
        out.byte(u8::from(given_up) | u8::from(self.judged) << 1 | u8::from(self.is_open) << 2);
    }

    fn load(read: &mut ByteReader<'_>) -> Read<Scrape> {
        let (at, remaining) = (read.instant()?, read.small()?);
        let came_from = read.list(1, ByteReader::instant)?;
        let (misses, punctual, flags) = (read.byte()?, read.byte()?, read.byte()?);
        Ok(Scrape {
            at,
            remaining,
            came_from,
            trust: Trust {
                misses,
                punctual,
                given_up: flags & 1 != 0,
            },
            judged: flags & 2 != 0,
            is_open: flags & 4 != 0,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn at(seconds: i64) -> TimestampMs {
        TimestampMs(seconds * 1000)
    }

    /// A target with named series; `come` says which came when, and returns the hold in seconds.
    #[derive(Default)]
    struct World {
        cohorts: Cohorts,
        newest: BTreeMap<char, TimestampMs>,
    }

    impl World {
        fn come(&mut self, series: &str, seconds: i64) -> Option<i64> {
            let target = self.cohorts.target(&Labels::from_pairs([("job", "j")]));
            for name in series.chars() {
                let ends = name.is_ascii_uppercase();
                let name = name.to_ascii_lowercase();
                let before = self.newest.remove(&name);
                self.cohorts.arrived(target, before, at(seconds), ends);
                if !ends {
                    self.newest.insert(name, at(seconds));
                }
            }
            self.cohorts.hold().map(|hold| hold.0 / 1000)
        }
    }

    #[test]
    fn the_rest_of_a_scrape_is_waited_for() {
        let mut world = World::default();
        assert_eq!(
            world.come("abc", 0),
            None,
            "nothing is known of a first scrape"
        );
        assert_eq!(world.come("a", 15), Some(15));
        assert_eq!(world.come("b", 15), Some(15));
        assert_eq!(world.come("c", 15), None);
        assert_eq!(world.come("ab", 30), Some(30));
        assert_eq!(world.come("C", 30), None, "a stale marker is an answer");
        assert_eq!(world.come("ab", 45), None, "what ended is not waited for");
    }

    #[test]
    fn series_with_their_own_timestamps_are_their_own_cohort() {
        let mut world = World::default();
        world.come("abx", 0);
        assert_eq!(world.come("x", 3), Some(3), "once it is waited for");
        assert_eq!(world.cohorts.settle(at(3)), 1);
        assert_eq!(world.come("a", 15), Some(15));
        assert_eq!(world.come("b", 15), None);
        assert_eq!(world.come("x", 18), None, "then each comes alone");
    }

    #[test]
    fn a_cohort_that_is_late_twice_is_not_waited_for_until_it_is_whole_three_times() {
        let mut world = World::default();
        world.come("ab", 0);
        for seconds in [15, 30] {
            assert_eq!(world.come("a", seconds), Some(seconds));
            assert_eq!(world.cohorts.settle(at(seconds)), 1);
            world.come("b", seconds);
        }
        for seconds in [45, 60, 75] {
            assert_eq!(world.come("a", seconds), None, "{seconds}: not waited for");
            world.come("b", seconds);
        }
        assert_eq!(world.come("a", 90), Some(90), "punctual again");
    }

    #[test]
    fn nothing_is_kept_of_scrapes_that_all_have_left() {
        let mut world = World::default();
        for n in 0..100 {
            world.come("abc", n * 15);
        }
        assert_eq!(world.cohorts.scrapes[0].0.len(), 1);
        assert!(world.cohorts.open.is_empty());
    }
}
