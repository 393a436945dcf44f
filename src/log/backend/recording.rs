//! A log that keeps what it was given: for tests, and for looking at what a node would write.

use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;

use crate::log::{Log, LogError, Offset, Waiting};
use crate::model::Entry;

/// Keeps every entry; unbounded, so not for serving.
#[derive(Debug, Default)]
pub struct RecordingLog {
    entries: Mutex<(u64, Vec<Entry>)>,
    full: AtomicBool,
}

impl RecordingLog {
    /// Returns the entries so far, in order.
    pub fn entries(&self) -> Vec<Entry> {
        self.entries.lock().1.clone()
    }

    /// Takes the entries out, in order.
    pub fn take(&self) -> Vec<Entry> {
        std::mem::take(&mut self.entries.lock().1)
    }

    /// Makes the log say that it has no room, or has it again.
    pub fn set_full(&self, full: bool) {
        self.full.store(full, Ordering::SeqCst);
    }
}

impl Log for RecordingLog {
    fn room(&self, _weight: usize) -> bool {
        !self.full.load(Ordering::SeqCst)
    }

    fn append(&self, entry: Entry) -> Result<Offset, LogError> {
        let mut entries = self.entries.lock();
        let offset = Offset(entries.0);
        entries.0 += 1;
        entries.1.push(entry);
        Ok(offset)
    }

    fn waiting(&self) -> Waiting {
        Waiting::default()
    }
}
