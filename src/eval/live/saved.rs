//! What has been made of subqueries, as bytes and back.
//!
//! Of a [`LiveState`](crate::eval::LiveState) there are besides the windows of series, with these,
//! and what is kept of series that are taken together (`joint_saved`). All else follows from the
//! series and their histories: selections, groups, windows with a state of their own.

use crate::eval::EvalError;
use crate::eval::live::Subqueries;
use crate::eval::live::recorder::Recorder;
use crate::history::SeriesHistory;
use crate::model::bytes::{ByteReader, ByteWriter, Read};
use crate::model::{DurationMs, TimestampMs};

impl Subqueries {
    /// Puts what there is of each subquery.
    pub fn save(&self, out: &mut ByteWriter) {
        out.list(self.kept().iter(), |out, kept| {
            out.text(&kept.subquery.expr.to_string());
            out.span(kept.subquery.step);
            out.option(kept.made, |out, (after, until)| {
                out.instant(after);
                out.instant(until);
            });
            out.list(kept.to_make.iter(), |out, (first, last)| {
                out.instant(*first);
                out.instant(*last);
            });
            out.flag(kept.given_up);
            kept.recorder.save(out);
        });
    }

    /// Takes what [`Subqueries::save`] has put of those that the rules have; what is of others is
    /// forgotten.
    pub fn load(&mut self, read: &mut ByteReader<'_>) -> Read<()> {
        let pair = |read: &mut ByteReader<'_>| Ok((read.instant()?, read.instant()?));
        for _ in 0..read.count(6)? {
            let key = (read.string()?, read.span()?);
            let made = read.option(pair)?;
            let to_make: Vec<(TimestampMs, TimestampMs)> = read.list(2, pair)?;
            let given_up = read.flag()?;
            let recorder = Recorder::load(read)?;
            let is_apart = |a: &(TimestampMs, TimestampMs), b: &(TimestampMs, TimestampMs)| {
                a.0 <= a.1 && a.1 < b.0 && b.0 <= b.1
            };
            if !to_make.is_sorted_by(is_apart) {
                return Err(read.malformed("intervals in order"));
            }
            if let Some(kept) = self.kept_mut(&key) {
                (kept.made, kept.to_make) = (made, to_make);
                (kept.given_up, kept.recorder) = (given_up, recorder);
            }
        }
        Ok(())
    }
}

impl Recorder {
    fn save(&self, out: &mut ByteWriter) {
        out.list(self.series.iter(), |out, series| {
            out.labels(&series.labels);
            out.flag(series.drop_name);
            series.history.save(out);
        });
        out.list(self.last_order.iter(), |out, place| {
            out.number((*place).into());
        });
        out.option(self.newest, ByteWriter::instant);
        out.list(self.failed.iter(), |out, (at, error)| {
            out.instant(*at);
            out.text(&error.to_string());
        });
        out.number(self.since_cut.into());
        out.list(self.asked.iter(), |out, ((tail, head), at)| {
            out.span(*tail);
            out.span(*head);
            out.instant(*at);
        });
    }

    fn load(read: &mut ByteReader<'_>) -> Read<Recorder> {
        let mut recorder = Recorder::default();
        for place in 0..read.count(8)? {
            let (labels, drop_name) = (read.labels()?, read.flag()?);
            let history = SeriesHistory::load(read, None)?;
            let place = u32::try_from(place).unwrap_or(u32::MAX);
            if recorder.by_labels.insert(labels.clone(), place).is_some() {
                return Err(read.malformed("a series that was not there"));
            }
            recorder.push_series(labels, drop_name, history);
        }
        recorder.last_order = read.list(1, ByteReader::small)?;
        recorder.newest = read.option(ByteReader::instant)?;
        recorder.failed = read.list(2, |read| {
            // Who asks wants the text.
            Ok((read.instant()?, EvalError::Execution(read.string()?)))
        })?;
        recorder.since_cut = read.small()?;
        recorder.asked = read.list(3, |read| {
            let lags: (DurationMs, DurationMs) = (read.span()?, read.span()?);
            Ok((lags, read.instant()?))
        })?;
        Ok(recorder)
    }
}
