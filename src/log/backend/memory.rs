//! A log in memory: a queue between the node and an engine, bounded by samples waiting.
//!
//! Entries are gone once read. The bound is in samples, not entries, because a request may hold
//! one sample or fifty thousand; a sample waiting costs 24 bytes.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use crossbeam_channel::{Receiver, Sender, unbounded};

use crate::log::{Log, LogError, LogTail, Offset, weight};
use crate::model::Entry;

/// The writing side.
#[derive(Debug)]
pub struct MemoryLog {
    sender: Sender<(Offset, Entry)>,
    next: AtomicU64,
    waiting: Arc<AtomicUsize>,
    samples_max: usize,
}

/// The reading side.
#[derive(Debug)]
pub struct MemoryLogTail {
    receiver: Receiver<(Offset, Entry)>,
    waiting: Arc<AtomicUsize>,
}

impl MemoryLog {
    /// Returns both sides of an empty log in which at most `samples_max` samples wait; past that
    /// [`Log::room`] says no and senders are told to come again.
    pub fn new(samples_max: usize) -> (Arc<MemoryLog>, MemoryLogTail) {
        let (sender, receiver) = unbounded();
        let waiting = Arc::new(AtomicUsize::new(0));
        let log = MemoryLog {
            sender,
            next: AtomicU64::new(0),
            waiting: Arc::clone(&waiting),
            samples_max,
        };
        (Arc::new(log), MemoryLogTail { receiver, waiting })
    }

    /// Returns how many samples wait for the engine.
    pub fn samples_waiting(&self) -> usize {
        self.waiting.load(Ordering::Acquire)
    }
}

impl Log for MemoryLog {
    fn room(&self, n_samples: usize) -> bool {
        let waiting = self.samples_waiting();
        waiting == 0 || waiting.saturating_add(n_samples) <= self.samples_max
    }

    fn append(&self, entry: Entry) -> Result<Offset, LogError> {
        let weight = weight(&entry);
        // Counted before it is sent: the reader may be done with it before this returns.
        self.waiting.fetch_add(weight, Ordering::AcqRel);
        let offset = Offset(self.next.fetch_add(1, Ordering::AcqRel));
        self.sender.send((offset, entry)).map_err(|_| {
            self.waiting.fetch_sub(weight, Ordering::AcqRel);
            LogError::Closed
        })?;
        Ok(offset)
    }
}

impl LogTail for MemoryLogTail {
    fn entries(&self) -> &Receiver<(Offset, Entry)> {
        &self.receiver
    }

    fn done(&self, weight: usize) {
        let before = self.waiting.fetch_sub(weight, Ordering::AcqRel);
        debug_assert!(before >= weight, "no more is done than was appended");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Batch, Generation, SeriesHandle, Stamp, TimestampMs};

    fn samples(n: usize) -> Entry {
        let floats = vec![(SeriesHandle(0), TimestampMs(0), 0.0); n];
        Entry::Samples {
            stamp: Stamp {
                sequence: 0,
                wall: TimestampMs(0),
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
        for _ in 0..2 {
            let (_, entry) = tail.entries().recv().expect("two entries");
            tail.done(weight(&entry));
        }
        assert_eq!(log.samples_waiting(), 0);
    }

    #[test]
    fn a_log_without_a_reader_is_closed() {
        let (log, tail) = MemoryLog::new(10);
        drop(tail);
        assert_eq!(log.append(samples(1)), Err(LogError::Closed));
        assert_eq!(log.samples_waiting(), 0);
    }
}
