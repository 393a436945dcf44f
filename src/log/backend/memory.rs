//! A log in memory: a queue between the node and an engine, bounded by samples waiting.
//!
//! Entries are gone once read. The bound is in samples, not entries, because a request may hold
//! one sample or fifty thousand; a float waiting costs 24 bytes, and what is larger counts for
//! as many floats as it has room for.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crossbeam_channel::{Receiver, Sender, unbounded};

use crate::log::backlog::Backlog;
use crate::log::{Log, LogError, LogTail, Offset, Waiting, weight};
use crate::model::Entry;

/// The writing side.
#[derive(Debug)]
pub struct MemoryLog {
    sender: Sender<(Offset, Entry)>,
    next: AtomicU64,
    backlog: Arc<Backlog>,
    samples_max: usize,
}

/// The reading side.
#[derive(Debug)]
pub struct MemoryLogTail {
    receiver: Receiver<(Offset, Entry)>,
    backlog: Arc<Backlog>,
}

impl MemoryLog {
    /// Returns both sides of an empty log in which at most `samples_max` floats wait; past that
    /// [`Log::room`] says no and senders are told to come again.
    pub fn new(samples_max: usize) -> (Arc<MemoryLog>, MemoryLogTail) {
        let (sender, receiver) = unbounded();
        let backlog = Arc::new(Backlog::default());
        let log = MemoryLog {
            sender,
            next: AtomicU64::new(0),
            backlog: Arc::clone(&backlog),
            samples_max,
        };
        (Arc::new(log), MemoryLogTail { receiver, backlog })
    }
}

impl Log for MemoryLog {
    fn room(&self, weight: usize) -> bool {
        let waiting = self.backlog.weight();
        waiting == 0 || waiting.saturating_add(weight) <= self.samples_max
    }

    fn append(&self, entry: Entry) -> Result<Offset, LogError> {
        let weight = weight(&entry);
        // Counted before it is sent: the reader may be done with it before this returns.
        self.backlog.add(weight, entry.stamp().wall);
        let offset = Offset(self.next.fetch_add(1, Ordering::AcqRel));
        self.sender.send((offset, entry)).map_err(|_| {
            self.backlog.take_back(weight);
            LogError::Closed
        })?;
        Ok(offset)
    }

    fn waiting(&self) -> Waiting {
        self.backlog.waiting()
    }
}

impl LogTail for MemoryLogTail {
    fn entries(&self) -> &Receiver<(Offset, Entry)> {
        &self.receiver
    }

    fn done(&self, weight: usize) {
        self.backlog.done(weight);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{
        Batch, FloatHistogram, Generation, Labels, SeriesDefinition, SeriesHandle, Stamp,
        TimestampMs,
    };

    fn samples(n: usize) -> Entry {
        let floats = vec![(SeriesHandle(0), TimestampMs(0), 0.0); n];
        Entry::Samples {
            stamp: Stamp {
                sequence: 0,
                wall: TimestampMs(n as i64),
                clock: None,
            },
            generation: Generation(0),
            batch: Batch {
                floats,
                ..Batch::default()
            },
        }
    }

    #[test]
    fn room_is_counted_in_samples_and_given_back_when_done() {
        let (log, tail) = MemoryLog::new(10);
        assert!(log.room(1_000), "an empty log takes any request");
        assert_eq!(log.append(samples(8)), Ok(Offset(0)));
        assert!(log.room(2));
        assert!(!log.room(3));
        assert_eq!(log.append(samples(0)), Ok(Offset(1)));
        assert!(!log.room(2), "an entry without samples weighs 1");
        let waiting = Waiting {
            samples: 9,
            since: Some(TimestampMs(8)),
        };
        assert_eq!(log.waiting(), waiting);
        for _ in 0..2 {
            let (_, entry) = tail.entries().recv().expect("two entries");
            tail.done(weight(&entry));
        }
        assert_eq!(log.waiting(), Waiting::default());
    }

    /// The bound is one of memory: what is larger than a float weighs more.
    #[test]
    fn entries_weigh_what_they_hold() {
        let (log, _tail) = MemoryLog::new(1_000);
        let histogram = Arc::new(FloatHistogram {
            positive_buckets: vec![0.0; 3_000],
            ..FloatHistogram::default()
        });
        let labels = Labels::from_pairs([("job", "x".repeat(48_000))]);
        let handle = SeriesHandle(0);
        let entry = samples(0);
        let Entry::Samples {
            stamp, generation, ..
        } = entry
        else {
            panic!("samples");
        };
        let of = |batch| Entry::Samples {
            stamp,
            generation,
            batch,
        };
        let large = of(Batch {
            histograms: vec![(handle, TimestampMs(0), histogram)],
            ..Batch::default()
        });
        let new = of(Batch {
            definitions: vec![SeriesDefinition { handle, labels }],
            ..Batch::default()
        });
        for entry in [large, new] {
            let entry_weight = weight(&entry);
            assert!((1_000..2_100).contains(&entry_weight), "{entry_weight}");
            assert!(log.append(entry).is_ok());
            assert!(!log.room(1));
        }
    }

    #[test]
    fn a_log_without_a_reader_is_closed() {
        let (log, tail) = MemoryLog::new(10);
        drop(tail);
        assert_eq!(log.append(samples(1)), Err(LogError::Closed));
        assert_eq!(log.waiting(), Waiting::default());
    }
}
