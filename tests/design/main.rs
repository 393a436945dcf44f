//! What must be true (DESIGN section 2), a module for each numbered line.
//!
//! Each module drives the engine with a log of entries and looks at the effects; each has a case
//! that an evaluator which polls, or which depends on how samples are batched, would fail.

mod world;

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
