//! One series' past: samples in time order, shared by all windows over the series.
//!
//! What lives here: how samples are kept. What may not: labels, selectors, evaluation. The
//! series store is the only writer; `Scan` and snapshots read. This is the in-memory form; the
//! compressed and the on-disk form take its place behind the same methods.

mod bits;
mod breaks;
mod chunk;
mod codec;
pub mod cold;
mod counted;
mod cursor;
mod flat_floats;
mod form;
mod insert;
mod leaving;
#[cfg(test)]
mod model_test;
mod older;
mod place;
mod reading;
mod rest;
mod saved;
mod series_history;
mod steps;

pub use bits::{SAMPLE_BYTES_MAX, SAMPLE_BYTES_USUAL};
pub use cold::{ColdPlace, ColdStore};
pub use counted::Counted;
pub use cursor::{WalkCursor, Walked, WalkedSample};
pub use flat_floats::FlatFloats;
pub use place::Place;
pub use reading::{Cursor, Samples};
pub use series_history::{Appended, SeriesHistory};
