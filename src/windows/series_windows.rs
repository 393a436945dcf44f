//! The places of one series, each made when it is first asked for.

use smallvec::SmallVec;

use crate::history::SeriesHistory;
use crate::model::{DurationMs, FloatPoint, TimestampMs, is_stale_nan};
use crate::windows::breaks::Breaks;
use crate::windows::cursor::{Head, Lag, Tail, UNKNOWN, is_histogram};
use crate::windows::state::StatefulWindow;
use crate::windows::{Edges, Held, HistogramEdges, StateKind};

/// A window `(after, until]` seen from a frontier; all in ms.
#[derive(Clone, Copy, Debug)]
pub struct Span {
    /// Everything up to here has been evaluated; it never goes back from one call to the next.
    pub frontier: TimestampMs,
    /// The open left end.
    pub after: TimestampMs,
    /// The closed right end.
    pub until: TimestampMs,
}

impl Span {
    /// Returns where the frontier stands when a sample leaves the window, ms.
    pub fn leaves_at(&self, sample: TimestampMs) -> TimestampMs {
        self.frontier + (sample - self.after)
    }

    /// Returns how far its beginning and its end are behind the frontier.
    fn lags(&self) -> Option<(Lag, Lag)> {
        let head = Lag::of(self.frontier - self.after)?;
        Some((head, Lag::of(self.frontier - self.until)?))
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
#[derive(Debug, Default)]
pub struct SeriesWindows {
    /// Where samples leave, by lag, the hindmost last.
    heads: Vec<Head>,
    /// Where they come in, by lag; the first one leads all places, since a window ends after it
    /// begins.
    tails: SmallVec<[Tail; 1]>,
    /// Between the hindmost place and the leading one, where there are any.
    breaks: Option<Box<Breaks>>,
    #[allow(
        clippy::box_collection,
        reason = "most series have none, and there are many series"
    )]
    stateful: Option<Box<Vec<StatefulWindow>>>,
    /// [`SeriesHistory::insertions`] when the places were made.
    insertions: u32,
}

impl SeriesWindows {
    /// Starts anew when a sample was put between others: rare, so simple.
    fn check(&mut self, history: &SeriesHistory) {
        if self.insertions != history.insertions() {
            *self = SeriesWindows {
                insertions: history.insertions(),
                ..SeriesWindows::default()
            };
        }
    }

    /// Moves all places to where the frontier wants them. To be called before samples behind the
    /// longest window are forgotten, so that every place has passed them.
    pub fn follow(&mut self, history: &SeriesHistory, frontier: TimestampMs) {
        self.check(history);
        self.lead(history, frontier);
        self.tails
            .iter_mut()
            .skip(1)
            .for_each(|tail| tail.advance(history, frontier - tail.place.lag.span(), |_, _| {}));
        self.heads
            .iter_mut()
            .for_each(|head| head.advance(history, frontier - head.lag.span()));
        self.forget_breaks(frontier);
        for window in self
            .stateful
            .iter_mut()
            .flat_map(|windows| windows.iter_mut())
        {
            let (head, tail) = (window.head_lag.span(), window.tail_lag.span());
            window.advance(history, frontier - head, frontier - tail);
        }
    }

    /// Drops the windows that begin at none of some lags.
    pub fn retain(&mut self, is_read: impl Fn(DurationMs) -> bool) {
        self.heads.retain(|head| is_read(head.lag.span()));
        self.heads.shrink_to_fit();
        if let Some(windows) = &mut self.stateful {
            windows.retain(|window| {
                is_read(window.head_lag.span()) && is_read(window.tail_lag.span())
            });
        }
    }

    /// Moves the leading place, which has to go before all others: it notes breaks.
    #[inline]
    fn lead(&mut self, history: &SeriesHistory, frontier: TimestampMs) {
        let breaks = &mut self.breaks;
        let Some(leading) = self.tails.first_mut() else {
            return;
        };
        let until = frontier - leading.place.lag.span();
        leading.advance(history, until, |last, sample| {
            Breaks::look(breaks, last, sample);
        });
    }

    /// Returns the number of the tail at a lag, moved to where the frontier wants it.
    fn tail(&mut self, history: &SeriesHistory, lag: Lag, frontier: TimestampMs) -> usize {
        self.lead(history, frontier);
        let until = frontier - lag.span();
        let found = self
            .tails
            .iter()
            .position(|tail| tail.place.lag.span() >= lag.span());
        match found {
            Some(0) if self.tails[0].place.lag == lag => 0,
            Some(number) if self.tails[number].place.lag == lag => {
                self.tails[number].advance(history, until, |_, _| {});
                number
            }
            // One before the one that led so far: it goes on from there.
            Some(0) => {
                let mut leading = self.tails[0].clone();
                leading.place.lag = lag;
                self.tails.insert(0, leading);
                self.lead(history, frontier);
                0
            }
            _ => {
                let place = self.place(history, lag, frontier);
                let tail = Tail::new(history, place, until);
                let number = found.unwrap_or(self.tails.len());
                if number == 0 {
                    self.breaks = Breaks::behind(tail.last_histogram(history));
                }
                self.tails.insert(number, tail);
                number
            }
        }
    }

    /// Returns the number of the head at a lag, moved to where the frontier wants it.
    fn head(&mut self, history: &SeriesHistory, lag: Lag, frontier: TimestampMs) -> usize {
        let found = self
            .heads
            .iter()
            .position(|head| head.lag.span() >= lag.span());
        if let Some(number) = found.filter(|number| self.heads[*number].lag == lag) {
            self.heads[number].advance(history, frontier - lag.span());
            return number;
        }
        let head = self.place(history, lag, frontier);
        let number = found.unwrap_or(self.heads.len());
        self.heads.reserve_exact(1);
        self.heads.insert(number, head);
        number
    }

    /// Makes a place. It has counted as if it had always been there.
    fn place(&mut self, history: &SeriesHistory, lag: Lag, frontier: TimestampMs) -> Head {
        let places = self.tails.iter().map(|tail| &tail.place).chain(&self.heads);
        let behind = places.filter(|place| place.lag.span() >= lag.span());
        let until = frontier - lag.span();
        if let Some(behind) = behind.min_by_key(|place| place.lag.span()) {
            let mut place = behind.clone();
            place.lag = lag;
            place.advance(history, until);
            return place;
        }
        self.hindmost(history, lag, frontier)
    }

    /// Makes a place behind all others: what lies between it and the next one is counted.
    fn hindmost(&mut self, history: &SeriesHistory, lag: Lag, frontier: TimestampMs) -> Head {
        self.follow(history, frontier);
        let until = frontier - lag.span();
        // Behind the newest sample and not at `until`: another may still come up to there.
        let newest = Tail::newest_at(history, until);
        let newest = newest.map_or(TimestampMs::MIN, |newest| newest.at);
        let mut hindmost = Head {
            walk: history.walk_from(newest),
            lag,
            n_passed: 0,
            next: UNKNOWN,
        };
        let places = self.tails.iter().map(|tail| &tail.place).chain(&self.heads);
        let Some(ahead) = places.max_by_key(|place| place.lag.span()) else {
            return hindmost;
        };
        let mut between = Tail::new(history, hindmost.clone(), until);
        let mut older = Breaks::behind(between.last_histogram(history));
        between.advance(history, frontier - ahead.lag.span(), |last, sample| {
            Breaks::look(&mut older, last, sample);
        });
        hindmost.n_passed = ahead.n_passed.wrapping_sub(between.place.n_passed);
        if let Some(older) = older {
            self.breaks.get_or_insert_default().put_before(*older);
        }
        hindmost
    }

    /// Forgets breaks that every place has passed; all stand where the frontier wants them.
    fn forget_breaks(&mut self, frontier: TimestampMs) {
        let Some(breaks) = &mut self.breaks else {
            return;
        };
        let places = self.tails.iter().map(|tail| &tail.place).chain(&self.heads);
        if let Some(lag) = places.map(|place| place.lag.span()).max() {
            breaks.forget(frontier - lag);
        }
        if breaks.is_empty() {
            self.breaks = None;
        }
    }

    /// Returns the newest sample in the span; nothing where that is a stale marker.
    pub fn newest(&mut self, history: &SeriesHistory, span: Span) -> Option<Newest> {
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

    /// Returns what is known of a window from its edges.
    #[inline]
    pub fn edges<'a>(
        &'a mut self,
        history: &'a SeriesHistory,
        span: Span,
    ) -> Content<Edges<'a>, HistogramEdges<'a>> {
        self.check(history);
        let Some((head, tail)) = span.lags() else {
            return Content::Unknown;
        };
        let tail = self.tail(history, tail, span.frontier);
        let head = self.head(history, head, span.frontier);
        if head + 1 == self.heads.len() && self.breaks.is_some() {
            self.follow(history, span.frontier);
        }
        let (head, tail) = (&self.heads[head], &self.tails[tail]);
        let n_samples = tail.place.n_passed.wrapping_sub(head.n_passed) as usize;
        if n_samples == 0 {
            return Content::Nothing;
        }
        let (Some(first), Some(last)) = (head.first_ahead(history), tail.last()) else {
            return Content::Nothing;
        };
        let before_last = tail.before_last().filter(|_| n_samples > 1);
        let Some(breaks) = Breaks::between(self.breaks.as_deref(), first.at, last.at) else {
            return Content::Unknown;
        };
        let has_histograms = breaks.has_histograms();
        if has_histograms || is_histogram(first) {
            return Content::Histograms(HistogramEdges {
                history,
                first,
                last,
                before_last,
                n_samples,
                is_steady: !has_histograms,
            });
        }
        Content::Floats(Edges {
            first,
            last,
            before_last,
            n_samples,
            breaks,
        })
    }

    /// Returns a state of the floats in a window.
    pub fn state<'a>(
        &'a mut self,
        history: &'a SeriesHistory,
        span: Span,
        kind: &'static StateKind,
    ) -> Content<Held<'a>, Held<'a>> {
        self.check(history);
        let Some(lags) = span.lags() else {
            return Content::Unknown;
        };
        let windows = self.stateful.get_or_insert_default();
        let known = windows.iter().position(|window| {
            (window.head_lag, window.tail_lag) == lags && std::ptr::eq(window.kind, kind)
        });
        let number = known.unwrap_or_else(|| {
            windows.reserve_exact(1);
            windows.push(StatefulWindow::new(history, lags, kind, span.after));
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
