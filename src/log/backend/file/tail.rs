//! The engine's side of a log in files.
//!
//! An engine that begins at an offset behind the end is fed from the files by a thread, which
//! decodes ahead of it; entries that are appended meanwhile are written and no more. Once the
//! thread has read all that is written, new entries are handed over from memory, as they were
//! appended, and it ends. Which of the two it is changes under one lock, so that no entry is
//! missed and none comes twice.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crossbeam_channel::{Receiver, Sender, unbounded};
use parking_lot::Mutex;
use tracing::error;

use crate::log::backend::file::error::FileLogError;
use crate::log::backend::file::files::Files;
use crate::log::backend::file::reader::LogReader;
use crate::log::backlog::Backlog;
use crate::log::{LogError, LogTail, Offset, weight};
use crate::model::Entry;

/// So many floats are decoded ahead of the engine.
const AHEAD_MAX: usize = 500_000;

/// What the writer, the thread that reads and the engine share.
pub struct Reading {
    backlog: Arc<Backlog>,
    state: Mutex<State>,
    is_closed: AtomicBool,
}

struct State {
    source: Source,
    /// Up to here the log is written.
    written: Offset,
    failure: Option<LogError>,
}

enum Source {
    /// Nobody has asked for the entries yet, or somebody reads them from the files.
    Files(Option<Sender<(Offset, Entry)>>),
    /// They are handed over.
    Memory(Sender<(Offset, Entry)>),
    /// There are no more.
    Ended,
}

impl Reading {
    /// Returns that of a log that has been written up to an offset.
    pub fn new(written: Offset) -> Self {
        Reading {
            backlog: Arc::default(),
            state: Mutex::new(State {
                source: Source::Files(None),
                written,
                failure: None,
            }),
            is_closed: AtomicBool::new(false),
        }
    }

    /// Returns what the engine has yet to apply of what is in memory.
    pub fn backlog(&self) -> &Backlog {
        &self.backlog
    }

    /// Returns what waits for the engine in memory because it was not written to be read later: of
    /// an engine that reads from files, nothing.
    pub fn weight_in_memory(&self) -> usize {
        match self.state.lock().source {
            Source::Memory(_) => self.backlog.weight(),
            Source::Files(_) | Source::Ended => 0,
        }
    }

    /// Returns why the files cannot be read, if so.
    pub fn failure(&self) -> Option<LogError> {
        self.state.lock().failure.clone()
    }

    /// Takes an entry that is written.
    pub fn hand_on(&self, offset: Offset, entry: Entry, weight: usize) {
        let mut state = self.state.lock();
        state.written = Offset(offset.0 + 1);
        if let Source::Memory(sender) = &state.source {
            self.backlog.add(weight, entry.stamp().wall);
            // An engine that is gone applies nothing; what is written waits for the next.
            if sender.send((offset, entry)).is_err() {
                self.backlog.take_back(weight);
            }
        }
    }

    /// Says that nothing is appended any more.
    pub fn close(&self) {
        self.is_closed.store(true, Ordering::Release);
        self.backlog.wake();
    }

    /// Says that all is handed on: the engine's channel ends behind it.
    pub fn end(&self) {
        self.state.lock().source = Source::Ended;
    }

    fn is_closed(&self) -> bool {
        self.is_closed.load(Ordering::Acquire)
    }

    /// Reads from the files until all that is written has been read.
    fn feed(&self, mut reader: LogReader) {
        let mut entries = Vec::new();
        loop {
            let (written, sender) = {
                let mut state = self.state.lock();
                let Source::Files(Some(sender)) = &state.source else {
                    return;
                };
                let sender = sender.clone();
                if reader.next_offset() >= state.written {
                    state.source = Source::Memory(sender);
                    return;
                }
                (state.written, sender)
            };
            if let Err(error) = reader.read(written, &mut entries) {
                let cause = error.to_string();
                error!(
                    cause,
                    "the log cannot be read, and is not applied any further"
                );
                let failure = LogError::Unreadable(Arc::from(cause));
                self.state.lock().failure = Some(failure);
                return;
            }
            for (offset, entry) in entries.drain(..) {
                self.backlog.wait_below(AHEAD_MAX, &|| self.is_closed());
                let weight = weight(&entry);
                self.backlog.add(weight, entry.stamp().wall);
                if self.is_closed() || sender.send((offset, entry)).is_err() {
                    return;
                }
            }
        }
    }
}

/// The reading side of one shard's log in files.
pub struct FileLogTail {
    receiver: Receiver<(Offset, Entry)>,
    backlog: Arc<Backlog>,
    begins: Offset,
    replay_end: Offset,
}

impl FileLogTail {
    /// Begins to read at `from`, by a thread if there is anything before `end`.
    pub(super) fn start(
        files: &Arc<dyn Files>,
        folder: &Path,
        reading: &Arc<Reading>,
        from: Offset,
        end: Offset,
    ) -> Result<FileLogTail, FileLogError> {
        let (sender, receiver) = unbounded();
        reading.state.lock().source = Source::Files(Some(sender));
        let reader = LogReader::new(Arc::clone(files), folder.to_owned(), from);
        let feeding = Arc::clone(reading);
        if from == end {
            // Nothing was written since it was opened, or a few entries: no thread for those.
            feeding.feed(reader);
        } else {
            let thread = std::thread::Builder::new().name("log-read".to_owned());
            let started = thread.spawn(move || feeding.feed(reader));
            started.map_err(|error| FileLogError::io("start a thread to read", folder, error))?;
        }
        Ok(FileLogTail {
            receiver,
            backlog: Arc::clone(&reading.backlog),
            begins: from,
            replay_end: end,
        })
    }
}

impl LogTail for FileLogTail {
    fn entries(&self) -> &Receiver<(Offset, Entry)> {
        &self.receiver
    }

    fn done(&self, weight: usize) {
        self.backlog.done(weight);
    }

    fn begins(&self) -> Offset {
        self.begins
    }

    fn replay_end(&self) -> Offset {
        self.replay_end
    }
}
