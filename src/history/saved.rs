//! A history as bytes and back: what is in memory as it is, what is cold by where it lies.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::history::chunk::{HeadChunk, SAMPLES_MAX, SealedChunk, base_of};
use crate::history::cold::ColdChain;
use crate::history::rest::{More, Rest};
use crate::history::{ColdStore, SeriesHistory};
use crate::model::bytes::{ByteReader, ByteWriter, Read};
use crate::model::{HistogramPoint, StartTimes};

impl SeriesHistory {
    /// Puts the history.
    pub fn save(&self, out: &mut ByteWriter) {
        for number in [self.number, self.insertions, self.n_taken, self.n_stale] {
            out.number(number.into());
        }
        out.instant(self.forgotten);
        out.flag(self.head.is_begun());
        if self.head.is_begun() {
            self.head.save(out);
        }
        out.option(self.rest.as_ref(), |out, rest| {
            save_histograms(self.head_histograms(), out);
            out.list(self.sealed().iter(), |out, chunk| {
                out.instant(chunk.base);
                out.instant(chunk.end);
                for number in [chunk.n_samples, chunk.n_stale, chunk.n_breaks] {
                    out.number(number.into());
                }
                out.bytes(&chunk.bytes);
                save_histograms(&chunk.histograms, out);
            });
            out.option(rest.cold.as_ref(), |out, cold| cold.save(out));
            out.option(self.starts(), |out, starts| starts.save(out));
        });
    }

    /// Takes what [`SeriesHistory::save`] has put; what is cold lies in `store`, without which it
    /// is gone.
    pub fn load(
        read: &mut ByteReader<'_>,
        store: Option<&Arc<dyn ColdStore>>,
    ) -> Read<SeriesHistory> {
        let (number, insertions) = (read.small()?, read.small()?);
        let (n_taken, n_stale) = (read.small()?, read.small()?);
        let forgotten = read.instant()?;
        let head = match read.flag()? {
            true => HeadChunk::load(read)?,
            false => HeadChunk::default(),
        };
        let rest = read.option(|read| Rest::load(read, store))?;
        let history = SeriesHistory {
            head,
            forgotten,
            rest: rest.map(Box::new),
            number,
            insertions,
            n_taken,
            n_stale,
        };
        let is_behind = |chunk: &Arc<SealedChunk>| {
            let base = history.head.is_begun().then(|| history.head.base());
            base.is_some_and(|base| chunk.end <= base)
        };
        match history.sealed().back().is_none_or(is_behind) {
            true => Ok(history),
            false => Err(read.malformed("a chunk behind the others")),
        }
    }
}

impl Rest {
    fn load(read: &mut ByteReader<'_>, store: Option<&Arc<dyn ColdStore>>) -> Read<Rest> {
        let aside: Vec<HistogramPoint> = load_histograms(read)?;
        let sealed: VecDeque<_> = read.list(7, |read| {
            let chunk = SealedChunk {
                base: read.instant()?,
                end: read.instant()?,
                n_samples: read.small()?,
                n_stale: read.small()?,
                n_breaks: read.small()?,
                bytes: read.bytes()?.into(),
                histograms: load_histograms(read)?.into(),
            };
            let is_whole = chunk.n_samples as usize <= SAMPLES_MAX
                && chunk.n_stale <= chunk.n_samples
                && chunk.base == base_of(&chunk.bytes)
                && chunk.base <= chunk.end;
            match is_whole {
                true => Ok(Arc::new(chunk)),
                false => Err(read.malformed("a chunk")),
            }
        })?;
        let chunks = sealed.iter().zip(sealed.iter().skip(1));
        if chunks
            .into_iter()
            .any(|(chunk, next)| next.base < chunk.end)
        {
            return Err(read.malformed("chunks in order"));
        }
        let cold = read.option(|read| match store {
            Some(store) => ColdChain::load(read, Arc::clone(store)).map(Some),
            None => ColdChain::skip(read).map(|()| None),
        })?;
        let more = More {
            aside,
            sealed,
            starts: read.option(StartTimes::load)?.map(Arc::new),
        };
        let mut rest = Rest {
            cold: cold.flatten(),
            more: Some(Box::new(more)),
        };
        rest.tidy();
        Ok(rest)
    }
}

fn save_histograms(histograms: &[HistogramPoint], out: &mut ByteWriter) {
    out.list(histograms.iter(), |out, point| {
        out.instant(point.at);
        out.histogram(&point.value);
    });
}

fn load_histograms(read: &mut ByteReader<'_>) -> Read<Vec<HistogramPoint>> {
    read.list(2, |read| {
        Ok(HistogramPoint {
            at: read.instant()?,
            value: Arc::new(read.histogram()?),
        })
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use proptest::sample::Index;

    use super::*;
    use crate::history::Cursor;
    use crate::model::{Point, SampleValue, TimestampMs, stale_nan};

    fn of(samples: &[(i64, f64)]) -> SeriesHistory {
        let mut history = SeriesHistory::default();
        let mut at = 1_700_000_000_000;
        for (step, value) in samples {
            at += step;
            // Negative steps are late samples.
            let value = SampleValue::Float(*value);
            history.append(TimestampMs(at), value, TimestampMs::MIN);
        }
        history
    }

    fn saved(history: &SeriesHistory) -> Vec<u8> {
        let mut out = ByteWriter::default();
        history.save(&mut out);
        out.into_bytes()
    }

    fn all(history: &SeriesHistory) -> Vec<Point> {
        history.range(TimestampMs::MIN, TimestampMs::MAX).collect()
    }

    /// Does all that is done with histories.
    fn use_it(history: &mut SeriesHistory) {
        let n = all(history).len() as i64;
        for back in [0, 1_000, 100_000, i64::MAX] {
            let at = TimestampMs(1_700_000_000_000 + 15_000 * n - back);
            let _ = history.last_at_or_before(at, &mut Cursor::default());
            let _ = (history.walk_counted(at), history.len_after(at));
            let _ = (history.broken_parts(at, TimestampMs::MAX), history.newest());
            history.append(at, SampleValue::Float(0.5), TimestampMs::MIN);
        }
        history.forget(TimestampMs(1_700_000_000_000));
    }

    proptest! {
        #[test]
        fn what_is_loaded_is_what_was_saved_and_damage_does_no_harm(
            samples in prop::collection::vec(
                (
                    prop_oneof![4 => Just(15_000_i64), 1 => -40_000_i64..40_000],
                    prop_oneof![
                        4 => (0..1000_i64).prop_map(|n| n as f64),
                        1 => Just(stale_nan()),
                        1 => any::<f64>(),
                    ],
                ),
                1..100,
            ),
            damage in prop::collection::vec((any::<Index>(), any::<u8>()), 1..4),
            cut in any::<Index>(),
        ) {
            let history = of(&samples);
            let mut bytes = saved(&history);
            let mut read = ByteReader::new(&bytes);
            let loaded = SeriesHistory::load(&mut read, None).expect("it was saved");
            prop_assert_eq!(read.end(), Ok(()));
            prop_assert_eq!(all(&loaded), all(&history));
            prop_assert_eq!(loaded.counted(), history.counted());
            prop_assert_eq!(saved(&loaded), bytes.clone());

            let mut short = ByteReader::new(&bytes[..cut.index(bytes.len())]);
            prop_assert!(SeriesHistory::load(&mut short, None).is_err());
            for (place, byte) in damage {
                let place = place.index(bytes.len());
                bytes[place] = byte;
            }
            if let Ok(mut history) = SeriesHistory::load(&mut ByteReader::new(&bytes), None) {
                use_it(&mut history);
            }
        }
    }
}
