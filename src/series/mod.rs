//! The series store of one shard: labels, handles, postings, and each series' history.
//!
//! What lives here: which series exist and which a set of matchers selects. What may not:
//! evaluation, rules. The engine is the only writer; `eval` reads through [`SeriesReader`].

mod bases;
mod snapshot;
mod sorted_places;
mod standing;
mod store;

pub use snapshot::{Selection, Snapshot};
pub use standing::{SelectionId, StandingSelection, StandingSelections};
pub use store::{LoadedSeries, SeriesLoader, SeriesStore, StoreChange, StoredSeries};

use crate::history::SeriesHistory;
use crate::model::{Labels, Matcher};

/// Where an evaluation finds its series: the live store, or a snapshot of a part of it.
pub trait SeriesReader {
    /// Calls `visit` for every series that satisfies all matchers, with a number by which the
    /// one met first is the lesser. The live store visits in the order of labels.
    fn select_numbered<'a>(
        &'a self,
        matchers: &[Matcher],
        visit: &mut dyn FnMut(u64, &'a Labels, &'a SeriesHistory),
    );

    /// The same without the numbers.
    fn select<'a>(
        &'a self,
        matchers: &[Matcher],
        visit: &mut dyn FnMut(&'a Labels, &'a SeriesHistory),
    ) {
        self.select_numbered(matchers, &mut |_, labels, history| visit(labels, history));
    }
}
