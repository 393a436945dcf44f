//! The places of a series as bytes and back, so that a start finds them where they were and reads
//! no history to make them anew.
//!
//! Windows with a state of their own are not put: they are made anew from the samples when somebody
//! asks.
//!
//! Called by `eval::live`, which knows from which frontier on the places may be used.

use smallvec::SmallVec;

use crate::history::{Counted, Place, SeriesHistory};
use crate::model::bytes::{ByteReader, ByteWriter, Read};
use crate::model::{FloatPoint, TimestampMs};
use crate::windows::SeriesWindows;
use crate::windows::breaks::Breaks;
use crate::windows::cursor::{Head, Lag, NEVER, NOTHING, Tail};
use crate::windows::series_windows::Rest;

impl SeriesWindows {
    /// Tells whether there are places to put that are good for a history.
    pub fn is_worth_saving(&self, history: &SeriesHistory) -> bool {
        self.insertions == history.insertions() && !self.tails.is_empty()
    }

    /// Puts the places in a history.
    pub fn save(&self, history: &SeriesHistory, out: &mut ByteWriter) {
        let newest = near(history);
        out.list(self.tails.iter(), |out, tail| tail.save(newest, out));
        out.list(self.heads.iter(), |out, head| head.save(history, out));
        let first = (self.first.at != NEVER).then_some(self.first);
        out.option(first, |out, first| {
            put_instant(newest, first.at, out);
            out.float(first.value);
            out.number(self.n_before_first.into());
        });
        let breaks = self.rest.as_ref().map(|rest| &rest.breaks);
        out.option(breaks.filter(|breaks| !breaks.is_empty()), |out, breaks| {
            breaks.save(newest, out);
        });
    }

    /// Takes what [`SeriesWindows::save`] has put of the same history. An older format
    /// (`has_first` is not set) has lags instead of the first sample, at which all is as it was
    /// before they were asked for.
    pub fn load(
        history: &SeriesHistory,
        has_first: bool,
        read: &mut ByteReader<'_>,
    ) -> Read<SeriesWindows> {
        let newest = near(history);
        let tails: SmallVec<[Tail; 1]> = read.list(8, |read| Tail::load(newest, read))?;
        let heads: Vec<Head> = read.list(8, |read| Head::load(newest, read))?;
        let first = match has_first {
            true => read.option(|read| Ok((take_point(newest, read)?, read.small()?)))?,
            false => read.list(1, Lag::load).map(|_: Vec<Lag>| None)?,
        };
        let (first, n_before_first) = first.unwrap_or((NOTHING, 0));
        let breaks = read.option(|read| Breaks::load(newest, read))?;
        let farther = |a: &Lag, b: &Lag| a.span() < b.span();
        let is_in_order = !tails.is_empty()
            && tails.is_sorted_by(|a, b| farther(&a.lag, &b.lag))
            && heads.is_sorted_by(|a, b| farther(&a.lag, &b.lag));
        if !is_in_order {
            return Err(read.malformed("places in order"));
        }
        Ok(SeriesWindows {
            heads: heads.into(),
            first,
            tails,
            rest: breaks.map(|breaks| {
                Box::new(Rest {
                    breaks,
                    ..Rest::default()
                })
            }),
            insertions: history.insertions(),
            n_before_first,
        })
    }
}

/// Instants are put by how far they are from here.
fn near(history: &SeriesHistory) -> TimestampMs {
    history.newest_at().unwrap_or(TimestampMs(0))
}

fn put_instant(near: TimestampMs, at: TimestampMs, out: &mut ByteWriter) {
    out.signed(near.0.wrapping_sub(at.0));
}

fn take_point(near: TimestampMs, read: &mut ByteReader<'_>) -> Read<FloatPoint> {
    Ok(FloatPoint {
        at: take_instant(near, read)?,
        value: read.float()?,
    })
}

fn take_instant(near: TimestampMs, read: &mut ByteReader<'_>) -> Read<TimestampMs> {
    Ok(TimestampMs(near.0.wrapping_sub(read.signed()?)))
}

impl Lag {
    fn save(self, out: &mut ByteWriter) {
        out.span(self.span());
    }

    fn load(read: &mut ByteReader<'_>) -> Read<Lag> {
        let lag = Lag::of(read.span()?);
        lag.ok_or_else(|| read.malformed("how far a place is behind"))
    }
}

impl Head {
    fn save(&self, history: &SeriesHistory, out: &mut ByteWriter) {
        self.lag.save(out);
        out.number(self.n_passed.into());
        self.place(history).save(near(history), out);
    }

    fn load(newest: TimestampMs, read: &mut ByteReader<'_>) -> Read<Head> {
        let (lag, n_passed) = (Lag::load(read)?, read.small()?);
        Ok(Head::new(Place::load(newest, read)?, lag, n_passed))
    }
}

impl Tail {
    fn save(&self, newest: TimestampMs, out: &mut ByteWriter) {
        self.lag.save(out);
        put_instant(newest, self.last.at, out);
        out.float(self.last.value);
        put_instant(newest, self.ended, out);
        out.float(self.before_last);
        out.number(self.gap.into());
        out.number(self.passed.n_samples.into());
        out.number(self.passed.n_live.into());
        out.option(self.walk.as_ref(), |out, place| place.save(newest, out));
    }

    fn load(newest: TimestampMs, read: &mut ByteReader<'_>) -> Read<Tail> {
        let lag = Lag::load(read)?;
        let last = take_point(newest, read)?;
        Ok(Tail {
            lag,
            last,
            ended: take_instant(newest, read)?,
            before_last: read.float()?,
            gap: read.small()?,
            passed: Counted {
                n_samples: read.small()?,
                n_live: read.small()?,
            },
            walk: read.option(|read| Place::load(newest, read))?.map(Box::new),
        })
    }
}

impl Breaks {
    fn save(&self, newest: TimestampMs, out: &mut ByteWriter) {
        out.list(self.points.iter(), |out, point| {
            put_instant(newest, point.at, out);
            out.float(point.value);
        });
        put_instant(newest, self.dropped_until, out);
        out.option(self.histogram.as_ref(), |out, histogram| {
            out.histogram(histogram);
        });
    }

    fn load(newest: TimestampMs, read: &mut ByteReader<'_>) -> Read<Breaks> {
        let points = read.list(9, |read| take_point(newest, read))?;
        Ok(Breaks {
            points,
            dropped_until: take_instant(newest, read)?,
            histogram: read.option(ByteReader::histogram)?.map(std::sync::Arc::new),
        })
    }
}
