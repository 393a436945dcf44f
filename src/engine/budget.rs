//! What a group may cost, so that one that costs too much does not delay the others.
//!
//! Counted and not timed, so that the same log gives the same effects: elements and samples that
//! its evaluations look at. Each tick earns what the group may cost in one interval. A tick that
//! costs more leaves a debt, and ticks are skipped until it is paid: as in Prometheus, where an
//! evaluation that takes two and a half intervals makes the group miss two. Arrivals have an
//! account of their own, of the same size, so that they never cost the group a tick; when it is
//! used up, the group is evaluated at its ticks alone.

use crate::model::DurationMs;

/// What a group has cost of late.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Budget {
    /// What the last tick cost.
    pub(crate) last_work: u64,
    /// What ticks have cost beyond what they had earned.
    pub(crate) debt: u64,
    /// What arrivals have cost since they last earned anything.
    pub(crate) spent_on_arrival: u64,
    /// Ticks that cost more than one may.
    pub(crate) overruns: u64,
}

/// A tick that cost too much.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Overrun {
    /// What it cost, in elements and samples.
    pub work: u64,
    /// What it may cost.
    pub work_max: u64,
    /// How many ticks are skipped to make up for it.
    pub skipped_ticks: u64,
}

/// Returns what a group may cost in an interval; `None` = any amount.
pub(crate) fn earned(work_per_second: usize, interval: DurationMs) -> Option<u64> {
    let per_second = u64::try_from(work_per_second).unwrap_or(u64::MAX);
    let ms = u64::try_from(interval.0).unwrap_or(0);
    // Less than one element would skip ticks for ever.
    (per_second > 0).then(|| (per_second.saturating_mul(ms) / 1000).max(1))
}

impl Budget {
    /// Begins a tick, which earns `earned`; `false` when it is to be skipped.
    pub(crate) fn begin_tick(&mut self, earned: u64) -> bool {
        self.spent_on_arrival = self.spent_on_arrival.saturating_sub(earned);
        let may_run = self.debt == 0;
        self.debt = self.debt.saturating_sub(earned);
        may_run
    }

    /// Ends a tick that cost `work`.
    pub(crate) fn end_tick(&mut self, work: u64, earned: u64) -> Option<Overrun> {
        self.last_work = work;
        self.debt = work.saturating_sub(earned);
        (self.debt > 0).then(|| {
            self.overruns += 1;
            Overrun {
                work,
                work_max: earned,
                skipped_ticks: self.debt.div_ceil(earned),
            }
        })
    }

    /// Tells whether the group may be evaluated between ticks.
    pub(crate) fn may_arrive(&self, earned: u64) -> bool {
        self.debt == 0 && self.spent_on_arrival < earned
    }

    /// Notes what an evaluation between ticks cost.
    pub(crate) fn arrived(&mut self, work: u64) {
        self.spent_on_arrival = self.spent_on_arrival.saturating_add(work);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What each tick would cost, and `true` for those that are made.
    fn check(costs: &[u64], made: &[bool]) {
        let mut budget = Budget::default();
        let found = costs.iter().map(|cost| {
            let runs = budget.begin_tick(100);
            if runs {
                budget.end_tick(*cost, 100);
            }
            runs
        });
        assert_eq!(found.collect::<Vec<_>>(), made, "{costs:?}");
    }

    #[test]
    fn what_costs_too_much_is_made_up_for_by_ticks_that_are_skipped() {
        check(&[100, 100, 100], &[true, true, true]);
        check(&[101, 1, 1], &[true, false, true]);
        check(&[250, 1, 1, 1], &[true, false, false, true]);
        check(
            &[200, 200, 200, 200, 200],
            &[true, false, true, false, true],
        );
    }

    #[test]
    fn arrivals_pay_for_themselves() {
        let mut budget = Budget::default();
        assert!(budget.may_arrive(100));
        budget.arrived(99);
        assert!(budget.may_arrive(100));
        budget.arrived(300);
        assert!(!budget.may_arrive(100));
        for expected in [false, false, true, true] {
            assert!(budget.begin_tick(100), "no tick is lost");
            assert_eq!(budget.may_arrive(100), expected);
        }
    }

    #[test]
    fn no_limit_is_no_limit() {
        assert_eq!(earned(0, DurationMs::from_seconds(15)), None);
        assert_eq!(earned(10, DurationMs::from_seconds(15)), Some(150));
        assert_eq!(earned(1, DurationMs(5)), Some(1));
    }
}
