//! The frontier on its way: it stops at every instant at which something can happen.
//!
//! Between its old and its new place the frontier stops at every timestamp of accepted samples,
//! every tick and every timer, in order (DESIGN 2.4). At one instant groups tick in order of
//! dependence, then rules that moved are evaluated as arrivals, then timers look.

use crate::engine::baselines::BASELINES_EVERY;
use crate::engine::compiled_rule::GroupIndex;
use crate::engine::{Effect, Engine, RuleHealth, Stopwatch};
use crate::model::{DurationMs, TimestampMs};

/// How often series that have fallen silent are looked for, in event time.
const SILENCE_CHECK: DurationMs = DurationMs::from_seconds(600);

impl Engine {
    /// Puts the frontier to its first place and lays down the first ticks.
    pub(crate) fn set_first_frontier(&mut self, at: TimestampMs) {
        self.frontier = Some(at);
        for since in self.kept_since.values_mut() {
            *since = (*since).max(at);
        }
        self.find_warm_instants();
        self.write_baselines(at);
        for group in 0..self.rules.groups.len() {
            self.plan_tick(group, at);
        }
    }

    pub(crate) fn plan_tick(&mut self, group: GroupIndex, after: TimestampMs) {
        let next = self.rules.groups[group].grid.next_after(after);
        self.group_states[group].next_tick = Some(next);
        self.ticks.insert((next, group));
    }

    /// Moves the frontier as far as the clock and the cohorts allow.
    pub(crate) fn advance(&mut self, stopwatch: Stopwatch<'_>, effects: &mut Vec<Effect>) {
        let Some(clock) = self.clock() else { return };
        if self.frontier.is_none() {
            self.set_first_frontier(clock);
        }
        let settle = if self.in_backlog() {
            self.settings.backlog_settle
        } else {
            self.settings.scrape_settle
        };
        self.stats.scrapes_late += self.cohorts.settle(clock - settle) as u64;
        let held = if self.ticks_when_settled {
            // What other shards read may come late for them and for us at different places of
            // our logs; what has settled is the same for all.
            self.settled.unwrap_or(TimestampMs::MIN)
        } else {
            let hold = self.cohorts.hold();
            hold.map_or(clock, |hold| clock.min(TimestampMs(hold.0 - 1)))
        };
        let from = self.frontier.unwrap_or(clock);
        let target = held.max(clock - settle).max(from);
        self.skip_missed_ticks(from, target);
        loop {
            let (stop, point) = (self.next_stop(), self.next_point());
            let next = [stop, point].into_iter().flatten().min();
            let Some(next) = next.filter(|next| *next <= target) else {
                break;
            };
            debug_assert!(Some(next) >= self.frontier, "the frontier never goes back");
            self.frontier = Some(next);
            if stop == Some(next) {
                self.stop_at(next, stopwatch, effects);
            }
            self.make_due_points();
        }
        self.frontier = Some(target);
        if !self.moved_late.is_empty() && !self.cohorts.has_open_until(target) {
            let moved = std::mem::take(&mut self.moved_late);
            self.note_moved(&moved);
            self.arrivals(target, stopwatch, effects);
        }
        if from.0.div_euclid(SILENCE_CHECK.0) != target.0.div_euclid(SILENCE_CHECK.0) {
            self.forget_silent_series(target);
        }
    }

    fn next_stop(&self) -> Option<TimestampMs> {
        let samples = self.waiting.first_key_value().map(|(at, _)| *at);
        let tick = self.ticks.first().map(|(at, _)| *at);
        let timer = self.timers.first().map(|(at, ..)| *at);
        let ending = self.endings.first().map(|(at, _)| *at);
        let baseline = self.next_baseline();
        let all = [samples, tick, timer, ending, baseline];
        all.into_iter().flatten().min()
    }

    fn stop_at(&mut self, at: TimestampMs, stopwatch: Stopwatch<'_>, effects: &mut Vec<Effect>) {
        self.end_series(at, effects);
        if at.0.rem_euclid(BASELINES_EVERY.0) == 0 {
            self.write_baselines(at);
        }
        let moved = std::mem::take(&mut self.moved_late);
        self.note_moved(&moved);
        while let Some(entry) = self
            .waiting
            .first_entry()
            .filter(|entry| *entry.key() <= at)
        {
            let moved = entry.remove();
            self.note_moved(&moved);
        }
        while let Some((_, rule, part)) = self.timers.first().copied().filter(|t| t.0 <= at) {
            self.timers.pop_first();
            self.partitions.ask_for(rule, part);
        }
        while let Some((tick, group)) = self.ticks.first().copied().filter(|(tick, _)| *tick <= at)
        {
            self.ticks.pop_first();
            self.tick(group, tick, stopwatch, effects);
            // A tick has seen all samples of its instant, with both pairs of eyes.
            for rule in &self.rules.groups[group].rules {
                self.partitions.was_ticked(*rule);
            }
            self.plan_tick(group, tick);
        }
        self.arrivals(at, stopwatch, effects);
    }

    /// Evaluates between ticks what has moved.
    fn arrivals(&mut self, at: TimestampMs, stopwatch: Stopwatch<'_>, effects: &mut Vec<Effect>) {
        for rule in self.partitions.take_moved() {
            // One that is in error is so as a whole.
            let state = &self.rule_states[rule];
            let is_whole = !state.knows_parts || matches!(state.health, RuleHealth::Err(_));
            if let Some(due) = self.partitions.take_due(rule, at, is_whole) {
                self.arrive(rule, at, &due, stopwatch, effects);
            }
        }
        self.stats.evaluations_spared += self.partitions.take_spared();
    }

    /// A leap of the clock makes up to a thousand ticks a group; of the rest only the last is
    /// made, and the others count as missed (DESIGN 2.5).
    fn skip_missed_ticks(&mut self, from: TimestampMs, target: TimestampMs) {
        let max = i64::try_from(self.settings.ticks_per_leap_max)
            .unwrap_or(i64::MAX)
            .max(1);
        self.live.get_mut().subqueries.leap(from, target, max);
        self.skip_baselines(target, max);
        for group in 0..self.rules.groups.len() {
            let grid = self.rules.groups[group].grid;
            let due = grid.count(from, target);
            if due <= max {
                continue;
            }
            let last = grid.last_until(target);
            let interval = self.rules.groups[group].interval;
            let first_kept = last - DurationMs((max - 1).saturating_mul(interval.0));
            let state = &mut self.group_states[group];
            let missed = u64::try_from(due - max).unwrap_or(0);
            state.iterations_missed += missed;
            state.iterations += missed;
            if let Some(next) = state.next_tick.take() {
                self.ticks.remove(&(next, group));
            }
            state.next_tick = Some(first_kept);
            self.ticks.insert((first_kept, group));
        }
    }
}
