//! The places of one series, each made when it is first asked for.

use std::collections::BTreeSet;

use smallvec::SmallVec;

use crate::history::{ColdStore, SeriesHistory};
use crate::model::{DurationMs, FloatPoint, TimestampMs, is_stale_nan};
use crate::windows::breaks::{Breaks, BreaksInside};
use crate::windows::cursor::{Ahead, Head, Lag, NEVER, NOTHING, Tail, is_histogram};
use crate::windows::state::StatefulWindow;
use crate::windows::{Edges, Held, HistogramEdges, StateKind};

/// A window `(after, until]` seen from a frontier; all in ms.
#[derive(Clone, Copy, Debug)]
pub struct Span<'a> {
    /// Everything up to here has been evaluated; it never goes back from one call to the next.
    pub frontier: TimestampMs,
    /// The open left end.
    pub after: TimestampMs,
    /// The closed right end.
    pub until: TimestampMs,
    /// How far its beginning and its end are behind the frontier, which every series asks for.
    pub(super) lags: Option<(Lag, Lag)>,
    pub(super) ahead: Ahead<'a>,
}

impl<'a> Span<'a> {
    /// Returns the window `(after, until]` seen from a frontier.
    pub fn new(frontier: TimestampMs, after: TimestampMs, until: TimestampMs) -> Self {
        let (head, tail) = (Lag::of(frontier - after), Lag::of(frontier - until));
        Span {
            frontier,
            after,
            until,
            lags: head.zip(tail),
            ahead: Ahead::default(),
        }
    }

    /// Has history that is not in memory read by a view of its store, as it is now: that takes less
    /// than asking the store each time.
    #[must_use]
    pub fn reading(self, cold: Option<&'a dyn ColdStore>) -> Self {
        let ahead = Ahead { cold, ..self.ahead };
        Span { ahead, ..self }
    }

    /// Has what leaves the window decoded several samples at once, or not: that takes less time, and
    /// 168 bytes for each window of each series.
    #[must_use]
    pub fn decoding_ahead(self, decodes: bool) -> Self {
        let ahead = Ahead {
            decodes,
            ..self.ahead
        };
        Span { ahead, ..self }
    }

    /// Returns where the frontier stands when a sample leaves the window, ms.
    pub fn leaves_at(&self, sample: TimestampMs) -> TimestampMs {
        self.frontier + (sample - self.after)
    }
}

/// What there is in a window.
#[derive(Debug)]
pub enum Content<F, H> {
    /// No sample.
    Nothing,
    /// Floats alone.
    Floats(F),
    /// Native histograms, perhaps with floats among them.
    Histograms(H),
    /// The samples have to be looked at.
    Unknown,
}

/// The newest sample at an instant.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Newest {
    /// A float.
    Float(FloatPoint),
    /// A native histogram, taken at this instant.
    Histogram(TimestampMs),
}

impl Newest {
    /// Returns when the sample was taken, ms.
    pub fn at(self) -> TimestampMs {
        match self {
            Newest::Float(point) => point.at,
            Newest::Histogram(at) => at,
        }
    }
}

/// The places in one history, and what is known of the samples between them.
///
/// Every watched series has one: it is kept small.
#[derive(Debug)]
pub struct SeriesWindows {
    /// Where samples leave, by lag, the hindmost last.
    pub(super) heads: Box<[Head]>,
    /// The first sample of all, once a window was asked for that begins before it; else at
    /// [`NEVER`]. Nothing leaves such a window yet, so it needs no place. Most series are younger
    /// than the longest windows over them.
    pub(super) first: FloatPoint,
    /// Where they come in, by lag; the first one leads all places, since a window ends after it
    /// begins.
    pub(super) tails: SmallVec<[Tail; 1]>,
    /// What most series do without.
    pub(super) rest: Option<Box<Rest>>,
    /// [`SeriesHistory::insertions`] when the places were made.
    pub(super) insertions: u32,
    /// What places before `first` have passed: samples that were forgotten.
    pub(super) n_before_first: u32,
}

const _: () = assert!(size_of::<SeriesWindows>() == 112);

impl Default for SeriesWindows {
    fn default() -> Self {
        SeriesWindows {
            heads: Box::default(),
            first: NOTHING,
            tails: SmallVec::new(),
            rest: None,
            insertions: 0,
            n_before_first: 0,
        }
    }
}

#[derive(Debug, Default)]
pub(super) struct Rest {
    /// Between the hindmost place and the leading one.
    pub(super) breaks: Breaks,
    pub(super) stateful: Vec<StatefulWindow>,
}

/// The places of one series where samples leave.
#[derive(Clone, Copy, Debug, Default)]
pub struct Heads<'a>(&'a [Head]);

/// Looks at what [`SeriesWindows::edges`] is going to look at in each of many series and nothing else
/// has looked at since the last time: where a sample leaves the window. Returns something that
/// depends on it.
///
/// Of many series one after the other the processor fetches that side by side; an evaluation of
/// each in between is too long for it to see the next. So is even finding the place, so all are
/// found before any is looked at.
#[inline]
pub fn look_ahead<const N: usize>(series: &[Heads<'_>; N], span: Span<'_>) -> usize {
    let (Some((lag, _)), Some(cold)) = (span.lags, span.ahead.cold) else {
        return 0;
    };
    let head = |heads: &Heads<'_>| heads.0.iter().position(|head| head.lag == lag);
    let heads = series.map(|heads| head(&heads).map(|at| &heads.0[at]));
    let seen = heads.iter().flatten().map(|head| head.look_ahead(cold));
    seen.fold(0, usize::wrapping_add)
}

impl SeriesWindows {
    /// Starts anew when a sample was put between others: rare, so simple.
    #[inline]
    fn check(&mut self, history: &SeriesHistory) {
        if self.insertions != history.insertions() {
            self.start_anew(history);
        }
    }

    #[cold]
    fn start_anew(&mut self, history: &SeriesHistory) {
        *self = SeriesWindows {
            insertions: history.insertions(),
            ..SeriesWindows::default()
        };
    }

    /// Moves all places to where the frontier wants them. To be called before samples behind the
    /// longest window are forgotten, so that every place has passed them.
    pub fn follow(&mut self, history: &SeriesHistory, frontier: TimestampMs) {
        self.check(history);
        self.lead(history, frontier);
        self.tails
            .iter_mut()
            .skip(1)
            .for_each(|tail| tail.advance(history, frontier - tail.lag.span(), |_, _| {}));
        for head in &mut self.heads {
            head.catch_up(history, frontier - head.lag.span());
        }
        // From the first sample on all breaks are known.
        let lag = self.lag_max().filter(|_| !self.has_first(history));
        let Some(rest) = &mut self.rest else { return };
        if let Some(lag) = lag {
            rest.breaks.forget(frontier - lag.span());
        }
        for window in &mut rest.stateful {
            let (head, tail) = (window.head_lag.span(), window.tail_lag.span());
            window.advance(history, frontier - head, frontier - tail);
        }
        if rest.breaks.is_empty() && rest.stateful.is_empty() {
            self.rest = None;
        }
    }

    /// Drops the windows that begin at none of some lags, and states that are made for other options
    /// than these.
    pub fn retain(&mut self, is_read: impl Fn(DurationMs) -> bool, options: &BTreeSet<String>) {
        let mut heads = std::mem::take(&mut self.heads).into_vec();
        heads.retain(|head| is_read(head.lag.span()));
        self.heads = heads.into();
        if let Some(rest) = &mut self.rest {
            rest.stateful.retain(|window| {
                is_read(window.head_lag.span())
                    && is_read(window.tail_lag.span())
                    && options.contains(&*window.options)
            });
        }
    }

    /// Returns the lag of the hindmost place.
    fn lag_max(&self) -> Option<Lag> {
        let tails = self.tails.iter().map(|tail| tail.lag);
        let heads = self.heads.iter().map(|head| head.lag);
        tails.chain(heads).max_by_key(|lag| lag.span())
    }

    /// Tells whether the first sample of all is known, and still there.
    #[inline]
    fn has_first(&self, history: &SeriesHistory) -> bool {
        self.first.at != NEVER && self.first.at > history.forgotten()
    }

    fn has_breaks(&self) -> bool {
        let rest = self.rest.as_ref();
        rest.is_some_and(|rest| !rest.breaks.is_empty())
    }

    /// Moves the leading place, which has to go before all others: it notes breaks.
    #[inline]
    fn lead(&mut self, history: &SeriesHistory, frontier: TimestampMs) {
        let rest = &mut self.rest;
        let Some(leading) = self.tails.first_mut() else {
            return;
        };
        let until = frontier - leading.lag.span();
        leading.advance(history, until, |last, sample| {
            Breaks::look(|| &mut rest.get_or_insert_default().breaks, last, sample);
        });
    }

    /// Returns the number of the tail at a lag, moved to where the frontier wants it.
    #[inline]
    fn tail(&mut self, history: &SeriesHistory, lag: Lag, frontier: TimestampMs) -> usize {
        self.lead(history, frontier);
        if self.tails.first().is_some_and(|tail| tail.lag == lag) {
            return 0;
        }
        self.other_tail(history, lag, frontier)
    }

    #[inline(never)]
    fn other_tail(&mut self, history: &SeriesHistory, lag: Lag, frontier: TimestampMs) -> usize {
        let until = frontier - lag.span();
        let found = self
            .tails
            .iter()
            .position(|tail| tail.lag.span() >= lag.span());
        match found {
            Some(number) if self.tails[number].lag == lag => {
                self.tails[number].advance(history, until, |_, _| {});
                number
            }
            // One before the one that led so far: it goes on from there.
            Some(0) => {
                let mut leading = self.tails[0].clone();
                leading.lag = lag;
                self.tails.insert(0, leading);
                self.lead(history, frontier);
                0
            }
            _ => {
                self.look_behind(history, lag, frontier);
                let tail = Tail::at(history, lag, until);
                let number = found.unwrap_or(self.tails.len());
                if number == 0
                    && let Some(last) = tail.last_histogram(history)
                {
                    self.rest.get_or_insert_default().breaks = Breaks::behind(Some(last));
                }
                self.tails.insert(number, tail);
                number
            }
        }
    }

    /// Returns the number of the head at a lag, moved to where the frontier of a span wants it;
    /// `None` where the window begins before the first sample of all.
    #[inline]
    fn head(&mut self, history: &SeriesHistory, lag: Lag, span: Span<'_>) -> Option<usize> {
        let until = span.frontier - lag.span();
        match self.heads.iter().position(|head| head.lag == lag) {
            Some(number) => {
                self.heads[number].advance(history, until, span.ahead);
                Some(number)
            }
            None if self.first.at > until && self.has_first(history) => None,
            None => self.new_head(history, lag, span.frontier),
        }
    }

    /// Makes the head at a lag, or finds out that there is nothing yet which could leave there.
    #[cold]
    fn new_head(
        &mut self,
        history: &SeriesHistory,
        lag: Lag,
        frontier: TimestampMs,
    ) -> Option<usize> {
        let until = frontier - lag.span();
        self.look_behind(history, lag, frontier);
        let head = Head::at(history, lag, until);
        if Tail::newest_at(history, until).is_none()
            && let Some(first) = head.first_ahead(history)
        {
            (self.first, self.n_before_first) = (first, head.n_passed);
            return None;
        }
        let number = self
            .heads
            .partition_point(|head| head.lag.span() < lag.span());
        let mut heads = std::mem::take(&mut self.heads).into_vec();
        heads.reserve_exact(1);
        heads.insert(number, head);
        self.heads = heads.into();
        Some(number)
    }

    /// Finds the breaks between a place that is going to be and those before it, if it is going to
    /// be the hindmost.
    fn look_behind(&mut self, history: &SeriesHistory, lag: Lag, frontier: TimestampMs) {
        let Some(ahead) = self.lag_max().filter(|max| max.span() < lag.span()) else {
            return;
        };
        if self.has_first(history) {
            return;
        }
        self.follow(history, frontier);
        let (from, to) = (frontier - lag.span(), frontier - ahead.span());
        let mut older = Breaks::default();
        for (after, until) in history.broken_parts(from, to) {
            let mut between = Tail::at(history, lag, after);
            older.go_on_behind(between.last_histogram(history));
            between.advance(history, until, |last, sample| {
                Breaks::look(|| &mut older, last, sample);
            });
        }
        older.go_on_behind(None);
        if !older.is_empty() {
            self.rest.get_or_insert_default().breaks.put_before(older);
        }
    }

    /// Returns the newest sample in the span; nothing where that is a stale marker.
    pub fn newest(&mut self, history: &SeriesHistory, span: Span<'_>) -> Option<Newest> {
        self.check(history);
        let newest = match Lag::of(span.frontier - span.until) {
            Some(lag) => {
                let tail = self.tail(history, lag, span.frontier);
                self.tails[tail].newest()
            }
            None => {
                let newest = Tail::newest_at(history, span.until);
                newest.filter(|newest| !is_stale_nan(newest.value))
            }
        };
        let newest = newest.filter(|newest| newest.at > span.after)?;
        Some(match is_histogram(newest) {
            true => Newest::Histogram(newest.at),
            false => Newest::Float(newest),
        })
    }

    /// Returns the places where samples leave, to be looked at by [`look_ahead`].
    #[inline]
    pub fn heads(&self) -> Heads<'_> {
        Heads(&self.heads)
    }

    /// Returns what is known of a window from its edges. It is put into its callers, since what it
    /// returns is larger than what they need of it: copying that took longer than finding it.
    #[inline(always)]
    pub fn edges<'a>(
        &'a mut self,
        history: &'a SeriesHistory,
        span: Span<'_>,
    ) -> Content<Edges<'a>, HistogramEdges<'a>> {
        self.check(history);
        let Some((head, tail)) = span.lags else {
            return Content::Unknown;
        };
        let tail = self.tail(history, tail, span.frontier);
        let head = self.head(history, head, span);
        if head.is_some_and(|head| head + 1 == self.heads.len()) && self.has_breaks() {
            self.follow(history, span.frontier);
        }
        let (head, tail) = (head.map(|head| &self.heads[head]), &self.tails[tail]);
        let n_passed = head.map_or(self.n_before_first, |head| head.n_passed);
        let n_samples = tail.n_passed().wrapping_sub(n_passed) as usize;
        if n_samples == 0 {
            return Content::Nothing;
        }
        let first = match head {
            Some(head) => head.first_ahead(history),
            None => Some(self.first),
        };
        let (Some(first), Some(last)) = (first, tail.last()) else {
            return Content::Nothing;
        };
        let breaks = match &self.rest {
            Some(rest) if rest.breaks.lack_some_after(first.at) => return Content::Unknown,
            Some(rest) => rest.breaks.between(first.at, last.at),
            None => BreaksInside::NONE,
        };
        let edges = Edges {
            first,
            last,
            n_samples,
            breaks,
            history,
            tail,
        };
        match is_histogram(first) || breaks.has_histograms() {
            true => Content::Histograms(HistogramEdges(edges)),
            false => Content::Floats(edges),
        }
    }

    /// Returns a state of the floats in a window, made for a function's options.
    pub fn state<'a>(
        &'a mut self,
        history: &'a SeriesHistory,
        span: Span<'_>,
        (kind, options): (&'static StateKind, &str),
    ) -> Content<Held<'a>, Held<'a>> {
        self.check(history);
        let Some(lags) = span.lags else {
            return Content::Unknown;
        };
        let windows = &mut self.rest.get_or_insert_default().stateful;
        let known = windows.iter().position(|window| {
            (window.head_lag, window.tail_lag) == lags
                && std::ptr::eq(window.kind, kind)
                && *window.options == *options
        });
        let number = known.unwrap_or_else(|| {
            windows.reserve_exact(1);
            windows.push(StatefulWindow::new(
                history,
                lags,
                (kind, options),
                span.after,
            ));
            windows.len() - 1
        });
        let window = &mut windows[number];
        window.advance(history, span.after, span.until);
        match (window.n_floats, window.n_histograms) {
            (0, 0) => Content::Nothing,
            (_, 0) => Content::Floats(window.held(history)),
            _ => Content::Histograms(window.held(history)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::SampleValue;

    const MINUTE: i64 = 60_000;

    /// Four samples a minute up to some minute, a counter that was reset once, at 2 minutes.
    fn push(history: &mut SeriesHistory, until: i64) {
        let from = history.newest_at().map_or(0, |newest| newest.0 + 15_000);
        for at in (from..=until * MINUTE).step_by(15_000) {
            let value =
                SampleValue::Float((at + if at < 2 * MINUTE { 7_000_000 } else { 0 }) as f64);
            history.append(TimestampMs(at), value, TimestampMs::MIN);
        }
    }

    /// Returns of a window of some minutes the first sample's minute, how many samples it has, and
    /// how many resets; and the number of places where samples leave.
    fn look(
        windows: &mut SeriesWindows,
        history: &SeriesHistory,
        minutes: i64,
    ) -> ((f64, usize, usize), usize) {
        let now = history.newest_at().expect("there are samples");
        let span = Span::new(now, now - DurationMs(minutes * MINUTE), now);
        let known = match windows.edges(history, span) {
            Content::Floats(edges) => {
                let first = edges.first.at.0 as f64 / MINUTE as f64;
                (first, edges.n_samples, edges.n_resets())
            }
            other => panic!("{other:?}"),
        };
        (known, windows.heads.len())
    }

    #[test]
    fn windows_that_are_longer_than_their_series_keep_no_place() {
        let (mut windows, mut history) = (SeriesWindows::default(), SeriesHistory::default());
        push(&mut history, 1);
        for minutes in [5, 60, 360] {
            assert_eq!(look(&mut windows, &history, minutes), ((0.0, 5, 0), 0));
        }
        push(&mut history, 10);
        assert_eq!(look(&mut windows, &history, 5), ((5.25, 20, 0), 1));
        // What has left the shorter window is still known of the longer ones.
        assert_eq!(look(&mut windows, &history, 60), ((0.0, 41, 1), 1));
        assert_eq!(look(&mut windows, &history, 360), ((0.0, 41, 1), 1));
        push(&mut history, 61);
        assert_eq!(look(&mut windows, &history, 5), ((56.25, 20, 0), 1));
        assert_eq!(look(&mut windows, &history, 60), ((1.25, 240, 1), 2));
        assert_eq!(look(&mut windows, &history, 360), ((0.0, 245, 1), 2));
    }

    #[test]
    fn windows_that_are_made_late_know_what_was_before() {
        let mut history = SeriesHistory::default();
        push(&mut history, 10);
        for minutes in [9, 60] {
            let windows = &mut SeriesWindows::default();
            look(windows, &history, 5);
            assert_eq!(look(windows, &history, minutes).0.2, 1, "{minutes} minutes");
        }
    }

    #[test]
    fn a_first_sample_that_was_forgotten_is_in_no_window() {
        let (mut windows, mut history) = (SeriesWindows::default(), SeriesHistory::default());
        push(&mut history, 10);
        assert_eq!(look(&mut windows, &history, 60), ((0.0, 41, 1), 0));
        history.forget(TimestampMs(MINUTE));
        assert_eq!(look(&mut windows, &history, 60), ((1.25, 36, 1), 0));
        history.forget(TimestampMs(3 * MINUTE));
        assert_eq!(look(&mut windows, &history, 60), ((3.25, 28, 0), 0));
        push(&mut history, 20);
        assert_eq!(look(&mut windows, &history, 60), ((3.25, 68, 0), 0));
    }
}
