//! What must be true (DESIGN section 2), a module for each numbered line.
//!
//! Each module drives the engine with a log of entries and looks at the effects; each has a case
//! that an evaluator which polls, or which depends on how samples are batched, would fail.
//!
//! What was broken on purpose in `src`, and made the module fail:
//!
//! | module | broken |
//! |---|---|
//! | p01 | `Scan`: ranges closed on the left; lookback of exactly five minutes; stale markers as values |
//! | p02 | `Sequencer`: goes back; leaps unconfirmed; never idle |
//! | p03 | `Cohorts`: holds nothing; never gives a target up. `advance`: settles after twice the time |
//! | p04 | `advance`: evaluates at the end of a leap only. `compile`: groups not in order of dependence |
//! | p05 | `tick`: at the newest instant, not its own; no `query_offset`; missed ticks not counted; no `keep_firing_for` |
//! | p06 | `arrive`: raises nothing; a false one clears nothing. `fire_if_due`: ticks do not count by themselves |
//! | p07 | `take_sample`: late or out-of-order samples refused. `advance`: a backlog is looked at once a minute |
//! | p08 | no view through records; outside samples always, or never, taken; what vanished is not ended |
//! | p09 | a clock is read; records leave in the order of their hash; a repeated sample is kept twice |
//! | p10 | valid for one resend delay; a backlog not marked; removed rules not forgotten; told at every tick |
//! | p11 | any sample moves every rule |
//! | p12 | warming rules fire; those of tick mode wait; a rule never gets warm |
//! | p13 | limits ignored; history never cut; silent series kept |
//! | time | `Sequencer::wall_was_set` does nothing |
//! | context | the context is not in checkpoints; changes are not told twice apart; nothing is kept a day longer; a part is read whole |

mod world;

mod context;
mod p01_value;
mod p02_clock;
mod p03_frontier;
mod p04_order;
mod p05_ticks;
mod p06_raise_on_arrival;
mod p07_late_samples;
mod p08_recorded_series;
mod p09_log;
mod p10_effects;
mod p11_cost;
mod p12_warming;
mod p13_bounds;
mod p14_baselines;
mod time;
