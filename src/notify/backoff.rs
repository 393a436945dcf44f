//! Exponential pauses between attempts, with jitter so that many senders do not march in step.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

/// The pauses after failures in a row.
#[derive(Debug)]
pub struct Backoff {
    min: Duration,
    max: Duration,
    n_failures: u32,
    random: RandomState,
}

impl Backoff {
    /// Returns pauses that double from `min` to `max`.
    pub fn new(min: Duration, max: Duration) -> Self {
        Backoff {
            min,
            max,
            n_failures: 0,
            random: RandomState::new(),
        }
    }

    /// Returns the pause after one more failure: between half and the whole of the doubled one,
    /// and never shorter than `retry_after`, up to ten times the longest pause.
    pub fn pause(&mut self, retry_after: Option<Duration>) -> Duration {
        let doubled = self.min.saturating_mul(1 << self.n_failures.min(20));
        let whole = doubled.min(self.max);
        self.n_failures = self.n_failures.saturating_add(1);
        let per_mille = self.random.hash_one(self.n_failures) % 500;
        let jittered = whole - whole * u32::try_from(per_mille).unwrap_or(0) / 1000;
        let asked = retry_after.unwrap_or(Duration::ZERO);
        jittered.max(asked.min(self.max * 10))
    }

    /// Returns how many failures came in a row.
    pub fn n_failures(&self) -> u32 {
        self.n_failures
    }

    /// Notes a success.
    pub fn reset(&mut self) {
        self.n_failures = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest() {
        let ms = Duration::from_millis;
        let mut backoff = Backoff::new(ms(100), ms(1000));
        for whole in [100, 200, 400, 800, 1000, 1000] {
            let pause = backoff.pause(None);
            assert!(
                pause > ms(whole / 2) && pause <= ms(whole),
                "{pause:?} of {whole}"
            );
        }
        assert_eq!(backoff.pause(Some(ms(3000))), ms(3000));
        assert_eq!(backoff.pause(Some(ms(90_000))), ms(10_000));
        backoff.reset();
        assert!(backoff.pause(None) <= ms(100));
    }
}
