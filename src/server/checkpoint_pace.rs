//! When a checkpoint is due before its time.
//!
//! A start applies again what came after the last checkpoint, which takes about as long as it took
//! the first time. So where that has come to more than [`REPLAY_MAX`], the next one is begun, but
//! never so often that writing them takes more than a [`SHARE_OF_TIME`]: where there is very much,
//! starts take longer instead.

use std::time::Duration;

/// What comes after a checkpoint shall not take longer to apply again.
const REPLAY_MAX: Duration = Duration::from_secs(2);
/// At most one part in so many of the time is spent on writing checkpoints.
const SHARE_OF_TIME: u32 = 10;

/// Knows what a shard has done since its last checkpoint. Instants are spans since any beginning.
#[derive(Debug, Default)]
pub struct CheckpointPace {
    /// What it took to apply what has come since the last one was begun.
    worked: Duration,
    /// When the last one was begun.
    began: Duration,
    /// How long the last one took.
    took: Duration,
}

impl CheckpointPace {
    /// Notes that entries were applied for so long.
    pub fn worked(&mut self, for_so_long: Duration) {
        self.worked += for_so_long;
    }

    /// Notes that a checkpoint is begun.
    pub fn began(&mut self, now: Duration) {
        (self.worked, self.began) = (Duration::ZERO, now);
    }

    /// Notes that the one that was begun last is made.
    pub fn ended(&mut self, now: Duration) {
        self.took = now.saturating_sub(self.began);
    }

    /// Tells whether the next one is to be begun, though nobody has asked for it.
    pub fn is_due(&self, now: Duration) -> bool {
        let rested = now.saturating_sub(self.began);
        self.worked >= REPLAY_MAX && rested >= self.took * SHARE_OF_TIME
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_to_be_applied_again_stays_short_and_writing_takes_a_tenth_of_the_time() {
        // How long a second's entries take, how long a checkpoint takes, and how many seconds lie
        // between two of them.
        let cases = [
            (Duration::from_millis(1), Duration::from_millis(10), 2_000),
            (Duration::from_millis(100), Duration::from_millis(10), 20),
            (Duration::from_millis(500), Duration::from_secs(3), 30),
            (Duration::from_millis(500), Duration::from_millis(10), 4),
        ];
        for (work, took, apart) in cases {
            let mut pace = CheckpointPace::default();
            let mut begun = Vec::new();
            for second in 0..10_000 {
                let now = Duration::from_secs(second);
                pace.worked(work);
                if pace.is_due(now) {
                    pace.began(now);
                    pace.ended(now + took);
                    begun.push(second);
                }
            }
            let gaps: Vec<u64> = begun.windows(2).map(|two| two[1] - two[0]).collect();
            assert!(
                !gaps.is_empty() && gaps.iter().all(|gap| *gap == apart),
                "{work:?}: {gaps:?}"
            );
        }
    }

    #[test]
    fn where_nothing_comes_nothing_is_written() {
        let pace = CheckpointPace::default();
        assert!(!pace.is_due(Duration::from_secs(1_000_000)));
    }
}
