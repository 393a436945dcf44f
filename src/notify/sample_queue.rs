//! Samples waiting for one remote-write receiver: a pure queue, the wall clock being an argument.
//!
//! Order is kept: one request at a time, oldest first, and a failed one goes first again. When
//! the queue is full the oldest go, since the newest are what alerts are about.
//!
//! Cost: O(1) per sample.

use std::collections::VecDeque;

use crate::config::QueueConfig;
use crate::model::TimestampMs;
use crate::notify::RecordedSample;
use crate::notify::queue::Book;

/// The queue.
#[derive(Debug)]
pub struct SampleQueue {
    config: QueueConfig,
    /// With the wall clock at which each came.
    waiting: VecDeque<(TimestampMs, RecordedSample)>,
    /// How many samples have gone by age, or when a batch was given back, since last asked.
    n_dropped: usize,
}

impl SampleQueue {
    /// Returns an empty queue.
    pub fn new(config: QueueConfig) -> Self {
        SampleQueue {
            config,
            waiting: VecDeque::new(),
            n_dropped: 0,
        }
    }

    /// Adds samples; returns how many older ones the bound pushed out.
    pub fn push(
        &mut self,
        samples: impl IntoIterator<Item = RecordedSample>,
        now: TimestampMs,
    ) -> usize {
        self.waiting
            .extend(samples.into_iter().map(|sample| (now, sample)));
        self.push_out()
    }

    fn push_out(&mut self) -> usize {
        let n_over = self.waiting.len().saturating_sub(self.config.capacity);
        self.waiting.drain(..n_over);
        n_over
    }
}

impl Book for SampleQueue {
    type Batch = Vec<(TimestampMs, RecordedSample)>;

    fn take(&mut self, now: TimestampMs, is_draining: bool) -> Option<Self::Batch> {
        if self.config.sample_age_limit.0 > 0 {
            let oldest = now - self.config.sample_age_limit;
            let n_before = self.waiting.len();
            self.waiting.retain(|(_, sample)| sample.at >= oldest);
            self.n_dropped += n_before - self.waiting.len();
        }
        let (came, _) = self.waiting.front()?;
        let is_full = self.waiting.len() >= self.config.max_samples_per_send;
        let has_waited = *came + self.config.batch_send_deadline <= now;
        if !is_full && !has_waited && !is_draining {
            return None;
        }
        let n = self.waiting.len().min(self.config.max_samples_per_send);
        Some(self.waiting.drain(..n).collect())
    }

    fn sent(&mut self, _batch: Self::Batch, _sent_at: TimestampMs, _now: TimestampMs) {}

    fn failed(&mut self, batch: Self::Batch, _has_left: bool, _now: TimestampMs) {
        for sample in batch.into_iter().rev() {
            self.waiting.push_front(sample);
        }
        self.n_dropped += self.push_out();
    }

    fn next_due(&self, now: TimestampMs) -> Option<TimestampMs> {
        let (came, _) = self.waiting.front()?;
        if self.waiting.len() >= self.config.max_samples_per_send {
            return Some(now);
        }
        Some((*came + self.config.batch_send_deadline).max(now))
    }

    fn n_waiting(&self) -> usize {
        self.waiting.len()
    }

    fn take_n_dropped(&mut self) -> usize {
        std::mem::take(&mut self.n_dropped)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{DurationMs, Labels, SampleValue};

    fn samples(range: std::ops::Range<i64>) -> Vec<RecordedSample> {
        let sample = |at| RecordedSample {
            labels: Labels::from_pairs([("__name__", "x")]),
            at: TimestampMs(at),
            value: SampleValue::Float(1.0),
        };
        range.map(sample).collect()
    }

    fn queue(edit: impl FnOnce(&mut QueueConfig)) -> SampleQueue {
        let mut config = QueueConfig {
            capacity: 5,
            max_samples_per_send: 3,
            batch_send_deadline: DurationMs(100),
            ..QueueConfig::default()
        };
        edit(&mut config);
        SampleQueue::new(config)
    }

    fn taken(queue: &mut SampleQueue, now: i64) -> Vec<i64> {
        let batch = queue.take(TimestampMs(now), false).unwrap_or_default();
        let times = batch.iter().map(|(_, sample)| sample.at.0).collect();
        queue.sent(batch, TimestampMs(now), TimestampMs(now));
        times
    }

    #[test]
    fn batches_go_when_full_or_when_they_have_waited() {
        let mut queue = queue(|_| {});
        assert_eq!(queue.push(samples(0..4), TimestampMs(0)), 0);
        assert_eq!(taken(&mut queue, 0), [0, 1, 2]);
        assert_eq!(taken(&mut queue, 99), [0; 0]);
        assert_eq!(queue.next_due(TimestampMs(99)), Some(TimestampMs(100)));
        assert_eq!(taken(&mut queue, 100), [3]);
    }

    #[test]
    fn a_failed_batch_goes_first_again_and_the_oldest_go_when_full() {
        let mut queue = queue(|_| {});
        queue.push(samples(0..3), TimestampMs(0));
        let batch = queue.take(TimestampMs(0), false).expect("full");
        assert_eq!(queue.push(samples(3..7), TimestampMs(0)), 0);
        queue.failed(batch, true, TimestampMs(0));
        assert_eq!((queue.take_n_dropped(), queue.take_n_dropped()), (2, 0));
        assert_eq!(taken(&mut queue, 0), [2, 3, 4]);
    }

    #[test]
    fn old_samples_are_not_sent() {
        let mut queue = queue(|config| config.sample_age_limit = DurationMs(50));
        queue.push(samples(0..2), TimestampMs(0));
        // Each goes by its own instant, once it is older than the limit and not before.
        for (now, dropped) in [(50, 0), (51, 1), (52, 1), (53, 0)] {
            assert_eq!(taken(&mut queue, now), [0; 0], "at {now}");
            assert_eq!(queue.take_n_dropped(), dropped, "at {now}");
        }
        assert_eq!(queue.n_waiting(), 0);
    }
}
