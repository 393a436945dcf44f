//! What one sender may send: so many samples a second, and so many at once.
//!
//! A bucket of tokens for each sender, one a sample. It is looked at before a request is decoded
//! and charged for what the request held, so it may be overdrawn; then everything is refused
//! until it is made up for. So no request is too large for a bucket, and one that is refused
//! costs next to nothing.
//!
//! Buckets that are full again are forgotten, for a new one is full too; the map is bounded, and
//! beyond the bound senders share a bucket.

use std::collections::HashMap;
use std::time::Duration;

use parking_lot::Mutex;

use crate::ingest::limits::PerSender;

/// Senders with a bucket of their own; further ones share one.
const BUCKETS_MAX: usize = 10_000;

/// The quotas of all senders.
#[derive(Debug)]
pub struct Quotas {
    limit: PerSender,
    buckets: Mutex<HashMap<String, Bucket>>,
}

#[derive(Clone, Copy, Debug)]
struct Bucket {
    tokens: f64,
    /// When that was so.
    at: Duration,
}

/// The name under which senders beyond the bound are counted; no sender's own.
const OTHERS: &str = "";

impl Quotas {
    /// Returns quotas that nobody has used.
    pub fn new(limit: PerSender) -> Self {
        Quotas {
            limit,
            buckets: Mutex::default(),
        }
    }

    /// Tells whether a sender may send at `now`, counted from any origin; else after how many
    /// seconds it may.
    pub fn check(&self, sender: &str, now: Duration) -> Result<(), u32> {
        if self.limit.samples_per_second == 0 {
            return Ok(());
        }
        let rate = self.limit.samples_per_second as f64;
        let buckets = self.buckets.lock();
        let found = buckets.get(sender).or_else(|| {
            let is_full = buckets.len() >= BUCKETS_MAX;
            buckets.get(OTHERS).filter(|_| is_full)
        });
        let Some(bucket) = found else { return Ok(()) };
        let tokens = bucket.tokens_at(now, &self.limit);
        if tokens > 0.0 {
            return Ok(());
        }
        Err((-tokens / rate).ceil().clamp(1.0, 3_600.0) as u32)
    }

    /// Charges a sender for what a request held.
    pub fn charge(&self, sender: &str, n_samples: u64, now: Duration) {
        if self.limit.samples_per_second == 0 {
            return;
        }
        let mut buckets = self.buckets.lock();
        if buckets.len() >= BUCKETS_MAX && !buckets.contains_key(sender) {
            let burst = self.limit.burst as f64;
            buckets.retain(|_, bucket| bucket.tokens_at(now, &self.limit) < burst);
        }
        let has_own = buckets.len() < BUCKETS_MAX || buckets.contains_key(sender);
        let name = if has_own { sender } else { OTHERS };
        let bucket = buckets.entry(name.to_owned()).or_insert(Bucket {
            tokens: self.limit.burst as f64,
            at: now,
        });
        *bucket = Bucket {
            tokens: bucket.tokens_at(now, &self.limit) - n_samples as f64,
            at: bucket.at.max(now),
        };
    }
}

impl Bucket {
    fn tokens_at(&self, now: Duration, limit: &PerSender) -> f64 {
        let seconds = now.saturating_sub(self.at).as_secs_f64();
        let earned = seconds * limit.samples_per_second as f64;
        (self.tokens + earned).min(limit.burst as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quotas() -> Quotas {
        Quotas::new(PerSender {
            samples_per_second: 100,
            burst: 1_000,
            series: 0,
            header: None,
        })
    }

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn a_sender_may_burst_and_then_waits_until_it_is_made_up_for() {
        let quotas = quotas();
        // Samples sent by a sender at an instant, and what it is told then.
        for (seconds, sender, n_samples, expected) in [
            (0, "a", 600, Ok(())),
            (0, "a", 600, Err(2)),
            (0, "b", 10, Ok(())),
            (1, "a", 0, Err(1)),
            (2, "a", 0, Err(1)),
            (3, "a", 0, Ok(())),
            (3, "a", 5_000, Err(49)),
            (3, "b", 0, Ok(())),
            (52, "a", 0, Err(1)),
            (53, "a", 0, Ok(())),
            // It never saves up more than a burst.
            (9_000, "a", 1_001, Err(1)),
        ] {
            quotas.charge(sender, n_samples, at(seconds));
            let found = quotas.check(sender, at(seconds));
            assert_eq!(found, expected, "{n_samples} by {sender} at {seconds} s");
        }
    }

    #[test]
    fn no_limit_keeps_nothing() {
        let quotas = Quotas::new(PerSender::default());
        quotas.charge("a", u64::MAX, at(0));
        assert_eq!(quotas.check("a", at(0)), Ok(()));
        assert!(quotas.buckets.lock().is_empty());
    }

    #[test]
    fn names_without_end_do_not_fill_the_memory() {
        let quotas = quotas();
        for n in 0..BUCKETS_MAX as u64 + 100 {
            quotas.charge(&n.to_string(), 2_000, at(0));
        }
        assert!(quotas.buckets.lock().len() <= BUCKETS_MAX + 1);
        assert!(quotas.check("one more", at(0)).is_err(), "it shares one");
        // When they have made up for it they are forgotten.
        quotas.charge("later", 1, at(10_000));
        assert_eq!(quotas.buckets.lock().len(), 1);
    }
}
