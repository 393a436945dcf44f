//! The samples that leave a window next, decoded several at once.
//!
//! A head moves by a sample at a time, and to take up what it knows of its place, to find the bytes
//! in a file and to put all that down again takes longer than decoding a sample. In a run it does
//! so once for [`LENGTH`] of them. Only ordinary numbers are in a run: before a stale marker, a
//! histogram or the end of a chunk it is shorter, and the head goes over those by itself. Who asks
//! what leaves next has it topped up, over the ends of chunks as well.
//!
//! It takes room, 168 bytes for each window of each series, so only windows of few series have
//! runs ([`Span::decoding_ahead`](crate::windows::Span::decoding_ahead)).

use crate::history::{ColdStore, Place, SeriesHistory};
use crate::model::{FloatPoint, TimestampMs};
use crate::windows::cursor::NOTHING;

/// So many samples at most.
const LENGTH: usize = 8;

const _: () = assert!(size_of::<Run>() == 168);

/// Samples that come one after the other.
#[derive(Clone, Debug)]
struct Run {
    points: [FloatPoint; LENGTH],
    /// Behind the last.
    end: Place,
}

/// A place in a run.
///
/// How far it is lies with whoever stands there and not in the run, so that moving on touches no
/// more of that than the next sample.
#[derive(Clone, Debug)]
pub(super) struct InRun {
    run: Box<Run>,
    n_points: u8,
    n_passed: u8,
}

impl InRun {
    /// Returns the beginning of the run behind a place; `None` where what comes next cannot be in
    /// one.
    pub fn behind(
        place: Place,
        history: &SeriesHistory,
        cold: Option<&dyn ColdStore>,
    ) -> Option<InRun> {
        let mut points = [NOTHING; LENGTH];
        let mut end = place;
        let n_points = history.take_run(&mut end, cold, &mut points);
        (n_points > 0).then(|| InRun {
            run: Box::new(Run { points, end }),
            n_points: n_points as u8,
            n_passed: 0,
        })
    }

    /// Goes to the beginning of the run behind this one, and tells whether there is one.
    pub fn refill(&mut self, history: &SeriesHistory, cold: Option<&dyn ColdStore>) -> bool {
        let run = &mut *self.run;
        self.n_points = history.take_run(&mut run.end, cold, &mut run.points) as u8;
        self.n_passed = 0;
        self.n_points > 0
    }

    /// Decodes as many more as there is room for where the others have been passed, beyond the end of
    /// a chunk as well.
    pub fn top_up(&mut self, history: &SeriesHistory, cold: Option<&dyn ColdStore>) {
        let run = &mut *self.run;
        let passed = usize::from(std::mem::take(&mut self.n_passed));
        let mut n_points = usize::from(self.n_points).saturating_sub(passed);
        run.points.copy_within(passed..passed + n_points, 0);
        while n_points < LENGTH {
            n_points += history.take_run(&mut run.end, cold, &mut run.points[n_points..]);
            let mut behind = run.end;
            if n_points == LENGTH || !history.look_over(&mut behind, cold) {
                break;
            }
            let Some(value) = behind.number() else { break };
            run.points[n_points] = FloatPoint {
                at: behind.passed(),
                value,
            };
            behind.set_looked_at(false);
            (run.end, n_points) = (behind, n_points + 1);
        }
        self.n_points = n_points as u8;
    }

    /// Returns the samples that are not passed.
    pub fn ahead(&self) -> &[FloatPoint] {
        let (from, to) = (usize::from(self.n_passed), usize::from(self.n_points));
        self.run.points.get(from..to).unwrap_or_default()
    }

    /// Returns the first sample that is not passed.
    #[inline]
    pub fn next(&self) -> Option<FloatPoint> {
        let next = self.run.points.get(usize::from(self.n_passed));
        next.filter(|_| self.n_passed < self.n_points).copied()
    }

    /// Passes that.
    #[inline]
    pub fn pass(&mut self) {
        self.n_passed += 1;
    }

    /// Looks at what is going to be looked at when the next sample is passed. Returns something that
    /// depends on it.
    #[inline]
    pub fn look_ahead(&self, cold: &dyn ColdStore) -> usize {
        let behind = usize::from(self.n_passed) + 1;
        match self.run.points.get(behind) {
            Some(point) if behind < self.n_points.into() => point.at.0 as usize,
            _ => self.run.end.look_ahead(cold),
        }
    }

    /// Returns the place behind the next sample, of which its owner has only looked at that: where a
    /// head without a run would stand. It is looked for, which is for checkpoints and no more.
    pub fn place(&self, history: &SeriesHistory) -> Place {
        let Some(next) = self.next() else {
            return self.end();
        };
        let before = TimestampMs(next.at.0.saturating_sub(1));
        let mut place = history.walk_from(before).pack();
        history.look_over(&mut place, None);
        place
    }

    /// Returns the place behind the run.
    pub fn end(&self) -> Place {
        self.run.end
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use crate::history::SeriesHistory;
    use crate::model::bytes::ByteWriter;
    use crate::model::{DurationMs, STALE_NAN_BITS, SampleValue, TimestampMs};
    use crate::windows::{Content, SeriesWindows, Span};

    fn values() -> impl Strategy<Value = f64> {
        let odd = [f64::from_bits(STALE_NAN_BITS), -0.0, 0.1, 1e300];
        let odd = [&odd[..], &[f64::NAN, f64::INFINITY]].concat();
        prop_oneof![
            9 => (0u32..1000).prop_map(f64::from),
            1 => prop::sample::select(odd),
        ]
    }

    /// Returns what is known of the window of a length, and the places as a checkpoint has them.
    fn look(
        windows: &mut SeriesWindows,
        history: &SeriesHistory,
        (frontier, length): (i64, i64),
        decodes: bool,
    ) -> (String, Vec<u8>) {
        let now = TimestampMs(frontier);
        let span = Span::new(now, now - DurationMs(length), now).decoding_ahead(decodes);
        let known = match windows.edges(history, span) {
            Content::Floats(edges) => {
                let resets: Vec<f64> = edges.lost().collect();
                let (first, last) = (edges.first, edges.last);
                format!("{first:?} {last:?} {} {resets:?}", edges.n_samples)
            }
            Content::Nothing => String::new(),
            other => format!("{other:?}"),
        };
        let mut saved = ByteWriter::default();
        windows.save(history, &mut saved);
        (known, saved.into_bytes())
    }

    proptest! {
        #[test]
        fn a_head_with_runs_is_where_one_without_is(
            steps in prop::collection::vec((1i64..40, values(), any::<bool>(), any::<bool>()), 1..120),
        ) {
            let mut history = SeriesHistory::default();
            let (mut with, mut without) = (SeriesWindows::default(), SeriesWindows::default());
            let mut at = 0;
            for (gap, value, is_asked, changes_mind) in steps {
                at += gap;
                history.append(TimestampMs(at), SampleValue::Float(value), TimestampMs::MIN);
                for length in [50, 300, 1000] {
                    if is_asked {
                        let asked = (at, length);
                        let expected = look(&mut without, &history, asked, false);
                        // A store may come to have more series than windows with runs are for.
                        let found = look(&mut with, &history, asked, !changes_mind);
                        prop_assert_eq!(found, expected, "{} ms at {}", length, at);
                    }
                }
                if is_asked && changes_mind {
                    for windows in [&mut with, &mut without] {
                        windows.follow(&history, TimestampMs(at));
                    }
                    history.forget(TimestampMs(at - 1000));
                }
            }
        }
    }
}
