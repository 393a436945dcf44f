//! A history as bytes and back: what is in memory as it is, what is cold by where it lies.

use std::sync::Arc;

use crate::history::chunk::{HeadChunk, SAMPLES_MAX, SealedChunk};
use crate::history::cold::ColdChain;
use crate::history::{ColdStore, SeriesHistory};
use crate::model::bytes::{ByteReader, ByteWriter, Read};
use crate::model::{HistogramPoint, StartTimes};

impl SeriesHistory {
    /// Puts the history.
    pub fn save(&self, out: &mut ByteWriter) {
        out.number(self.first.into());
        out.number(self.insertions.into());
        out.instant(self.forgotten);
        out.flag(self.head.is_begun());
        if self.head.is_begun() {
            self.head.save(out);
        }
        let aside = self.aside.as_ref().map_or(&[][..], |aside| aside);
        save_histograms(aside, out);
        out.list(self.sealed.iter(), |out, chunk| {
            out.instant(chunk.base);
            out.instant(chunk.end);
            out.number(chunk.n_samples.into());
            out.bytes(&chunk.bytes);
            save_histograms(&chunk.histograms, out);
        });
        out.option(self.cold.as_ref(), |out, cold| cold.save(out));
        out.option(self.starts.as_ref(), |out, starts| starts.save(out));
    }

    /// Takes what [`SeriesHistory::save`] has put; what is cold lies in `store`, without which it
    /// is gone.
    pub fn load(
        read: &mut ByteReader<'_>,
        store: Option<&Arc<dyn ColdStore>>,
    ) -> Read<SeriesHistory> {
        let (first, insertions) = (read.small()?, read.small()?);
        let forgotten = read.instant()?;
        let head = match read.flag()? {
            true => HeadChunk::load(read)?,
            false => HeadChunk::default(),
        };
        let aside: Vec<HistogramPoint> = load_histograms(read)?;
        let sealed = read.list(5, |read| {
            let chunk = SealedChunk {
                base: read.instant()?,
                end: read.instant()?,
                n_samples: read.small()?,
                bytes: read.bytes()?.into(),
                histograms: load_histograms(read)?.into(),
            };
            match chunk.n_samples as usize <= 2 * SAMPLES_MAX {
                true => Ok(Arc::new(chunk)),
                false => Err(read.malformed("a chunk")),
            }
        })?;
        let cold = read.option(|read| match store {
            Some(store) => ColdChain::load(read, Arc::clone(store)).map(|c| Some(Box::new(c))),
            None => ColdChain::skip(read).map(|()| None),
        })?;
        Ok(SeriesHistory {
            head,
            aside: (!aside.is_empty()).then(|| Box::new(aside)),
            sealed,
            first,
            insertions,
            forgotten,
            cold: cold.flatten(),
            starts: read.option(StartTimes::load)?.map(Arc::new),
        })
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
