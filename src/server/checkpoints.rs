//! Checkpoints of the shards: what a start begins with, and who writes the next one.
//!
//! A start takes the newest checkpoint that can be read, and the log from there on; one that cannot
//! is said and passed over, and the one before it needs a longer replay. Checkpoints are written
//! while everything goes on: the engine's thread hands parts over between entries, and a thread of
//! its own compresses them, writes them, and forces them to disk after the log and the files of
//! history that they speak of. Only then is the log forgotten that no checkpoint needs any more.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use anyhow::Context as _;
use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};
use tracing::{debug, info, warn};

use crate::clock::{Clock, Stopwatch};
use crate::engine::Engine;
use crate::engine::checkpoint::{LoadError, rules_of};
use crate::history::ColdStore;
use crate::log::backend::file::Files;
use crate::log::{Log, Offset};
use crate::model::RuleSource;
use crate::server::checkpoint_load::load_engine;
use crate::server::checkpoint_pace::CheckpointPace;
use crate::server::past_files::PastFiles;
use crate::storage::ColdFiles;
use crate::storage::checkpoint_files::{CheckpointError, CheckpointFolder, CheckpointHeader};

/// The folder of the checkpoints in the data directory.
const FOLDER: &str = "checkpoints";
/// The folder of the files of history.
const HISTORY: &str = "history";
/// So many parts wait to be written at most; until then the engine goes on without saving.
const PARTS_WAITING_MAX: usize = 16;
/// So many series are put between two entries: a fraction of a millisecond.
const SERIES_PER_SLICE: usize = 512;

/// What has become of checkpoints, of all shards together.
#[derive(Debug, Default)]
pub struct CheckpointCounts {
    /// Written since the start.
    pub written: AtomicU64,
    /// Not written, though begun.
    pub failed: AtomicU64,
    /// Shards that began with one.
    pub restored: AtomicU64,
    /// Found at the start and of no use.
    pub unusable: AtomicU64,
    /// The wall clock when the last one that was written was begun, ms; 0 before the first.
    pub last_wall: AtomicI64,
    /// How long the last one took, µs.
    pub last_micros: AtomicU64,
    /// For how long the engine stood still when the last one was begun, µs.
    pub last_pause_micros: AtomicU64,
    /// The bytes of the last one.
    pub last_bytes: AtomicU64,
}

/// A shard's files of history, as soon as it has opened them.
pub type SharedColdFiles = Arc<OnceLock<Arc<ColdFiles>>>;

/// Where one shard's state lies.
pub struct ShardStorage {
    /// The data directory.
    pub storage: PathBuf,
    /// The disk on which its checkpoints lie.
    pub files: Arc<dyn Files>,
    /// The shard's number.
    pub shard: usize,
    /// Its log; `None` where that is gone with the process, and checkpoints are of no use.
    pub log: Option<Arc<dyn Log>>,
    /// Its files of history.
    pub cold: SharedColdFiles,
    /// The files of history from before that its log names.
    pub past: Arc<PastFiles>,
    /// What becomes of checkpoints.
    pub counts: Arc<CheckpointCounts>,
    /// The wall clock.
    pub clock: Arc<dyn Clock>,
    /// Whether a checkpoint is also begun when much is to be applied again without it.
    pub begins_early: bool,
}

/// What a shard begins with.
pub struct Begun {
    /// Its engine.
    pub engine: Engine,
    /// The offset of the first entry that it has not applied.
    pub from: Offset,
    /// Whether it comes from a checkpoint.
    pub is_restored: bool,
}

/// Returns the folder of a shard's checkpoints in a data directory.
pub fn checkpoints_of(storage: &Path, shard: usize) -> PathBuf {
    storage.join(FOLDER).join(shard.to_string())
}

/// Returns the rules of the newest readable checkpoint of a shard, if there is one.
pub fn rules_left(storage: &Path, shard: usize) -> Option<Arc<RuleSource>> {
    let folder = CheckpointFolder::open(&checkpoints_of(storage, shard)).ok()?;
    folder.paths().ok()?.iter().find_map(|path| {
        let mut reader = folder.read(path).ok()?;
        let rules = rules_of(&reader.part().ok()??).ok()?;
        Some(Arc::new(rules))
    })
}

impl ShardStorage {
    /// Loads the newest checkpoint that can be gone on from, where the log is there from `first`
    /// to before `end`; without one, begins with an engine that knows nothing.
    pub fn begin(&self, first: Offset, end: Offset) -> anyhow::Result<Begun> {
        if self.log.is_some() {
            let folder = self.folder()?;
            let mut damaged: Vec<PathBuf> = Vec::new();
            for path in folder.paths()? {
                match self.load(&folder, &path, first, end) {
                    Ok(begun) => {
                        remove_all(&folder, &damaged)?;
                        return Ok(begun);
                    }
                    Err(cause) => {
                        damaged.extend(is_damaged(&cause).then(|| path.clone()));
                        let cause = format!("{cause:#}");
                        warn!(
                            cause,
                            file = %path.display(),
                            "a checkpoint is of no use; the one before it is taken, or the log"
                        );
                        self.counts.unusable.fetch_add(1, Ordering::Relaxed);
                    }
                }
            }
            if first == Offset(0) {
                remove_all(&folder, &damaged)?;
            }
        }
        if first > Offset(0) {
            warn!(
                shard = self.shard,
                offset = first.0,
                "there is no checkpoint, and the log does not reach back to its beginning: what \
                 came before is not known any more"
            );
        }
        let history = self.history();
        let cold = ColdFiles::open(&history)
            .with_context(|| format!("cannot keep history in {}", history.display()))?;
        let mut engine = Engine::new();
        engine.set_cold_store(self.take_cold(cold));
        Ok(Begun {
            engine,
            from: first,
            is_restored: false,
        })
    }

    fn folder(&self) -> Result<CheckpointFolder, CheckpointError> {
        let folder = checkpoints_of(&self.storage, self.shard);
        CheckpointFolder::open_in(Arc::clone(&self.files), &folder)
    }

    fn history(&self) -> PathBuf {
        self.storage.join(HISTORY).join(self.shard.to_string())
    }

    fn take_cold(&self, cold: Arc<ColdFiles>) -> Arc<dyn ColdStore> {
        if self.log.is_some() {
            cold.keep_for_checkpoints();
        }
        // It is set once: only one begin succeeds.
        let _ = self.cold.set(Arc::clone(&cold));
        cold
    }

    fn load(
        &self,
        folder: &CheckpointFolder,
        path: &Path,
        first: Offset,
        end: Offset,
    ) -> anyhow::Result<Begun> {
        let running = Stopwatch::start();
        let mut reader = folder.read(path)?;
        let from = Offset(reader.header.offset);
        anyhow::ensure!(
            (first..=end).contains(&from),
            "the log is there from offset {} to {}, and the checkpoint goes on at {}",
            first.0,
            end.0,
            from.0
        );
        let history = self.history();
        let cold = ColdFiles::reopen(&history, &reader.header.cold, &folder.named()?)
            .with_context(|| format!("cannot read history in {}", history.display()))?;
        let engine = load_engine(&mut reader, Arc::clone(&cold) as Arc<dyn ColdStore>)?;
        self.take_cold(cold);
        self.counts.restored.fetch_add(1, Ordering::Relaxed);
        info!(
            shard = self.shard,
            offset = from.0,
            entries = end.0 - from.0,
            series = engine.series().len(),
            seconds = running.elapsed().as_secs_f64(),
            "a checkpoint is loaded; the log behind it is applied now"
        );
        Ok(Begun {
            engine,
            from,
            is_restored: true,
        })
    }
}

/// Removes checkpoints that are damaged and that a start could do without: they would be kept in
/// place of good ones.
fn remove_all(folder: &CheckpointFolder, damaged: &[PathBuf]) -> Result<(), CheckpointError> {
    damaged.iter().try_for_each(|path| folder.remove(path))
}

/// Tells whether a checkpoint is not what was written, so that it is of no use to any program.
fn is_damaged(cause: &anyhow::Error) -> bool {
    matches!(cause.downcast_ref(), Some(CheckpointError::Damaged { .. }))
        || matches!(
            cause.downcast_ref(),
            Some(LoadError::Damaged { .. } | LoadError::NotWhole(_))
        )
}

/// Who wants to know that a checkpoint is written, or is not.
pub type Done = Sender<()>;

/// What goes to the thread that writes.
enum Message {
    Part(Vec<u8>),
    /// All parts have come; without it, the checkpoint was given up.
    End,
}

/// Makes one shard's checkpoints, on its engine's thread.
pub struct Checkpointer {
    storage: ShardStorage,
    making: Option<Making>,
    /// Who asked while one was being made, and wants a later one.
    asked: Vec<Done>,
    pace: CheckpointPace,
    running: Stopwatch,
}

/// A checkpoint that is being made.
struct Making {
    messages: Sender<Message>,
    /// What has no place in the channel yet.
    next: Option<Message>,
}

impl Checkpointer {
    /// Returns one that makes nothing yet.
    pub fn new(storage: ShardStorage) -> Self {
        Checkpointer {
            storage,
            making: None,
            asked: Vec::new(),
            pace: CheckpointPace::default(),
            running: Stopwatch::start(),
        }
    }

    /// Notes that it took so long to apply an entry. Returns whether a checkpoint is to be begun,
    /// so that a start need not apply too much again.
    pub fn worked(&mut self, for_so_long: Duration) -> bool {
        self.pace.worked(for_so_long);
        let may_begin = self.storage.begins_early && self.making.is_none();
        may_begin && self.pace.is_due(self.running.elapsed())
    }

    /// Begins a checkpoint of an engine that has applied all before `offset`. Where one is being
    /// made, the next begins behind it.
    pub fn begin(&mut self, engine: &mut Engine, offset: Offset, done: Option<Done>) {
        self.asked.extend(done);
        let (Some(log), Some(cold)) = (&self.storage.log, self.storage.cold.get()) else {
            self.asked.clear();
            return;
        };
        if self.making.is_some() {
            return;
        }
        self.pace.began(self.running.elapsed());
        let running = Stopwatch::start();
        let header = CheckpointHeader {
            offset: offset.0,
            wall: self.storage.clock.now(),
            generation: engine.generation(),
            cold: cold.files(),
        };
        let first = engine.begin_checkpoint();
        let pause = u64::try_from(running.elapsed().as_micros()).unwrap_or(u64::MAX);
        let counts = Arc::clone(&self.storage.counts);
        counts.last_pause_micros.store(pause, Ordering::Relaxed);
        let (messages, to_write) = bounded(PARTS_WAITING_MAX);
        let writing = Writing {
            folder: checkpoints_of(&self.storage.storage, self.storage.shard),
            files: Arc::clone(&self.storage.files),
            header,
            first,
            log: Arc::clone(log),
            cold: Arc::clone(cold),
            past: Arc::clone(&self.storage.past),
            shard: self.storage.shard,
            counts,
            running,
            // Dropped when it is done, however it ends.
            _done: std::mem::take(&mut self.asked),
        };
        let thread = std::thread::Builder::new().name(format!("checkpoint-{}", self.storage.shard));
        match thread.spawn(move || writing.run(&to_write)) {
            Ok(_) => {
                self.making = Some(Making {
                    messages,
                    next: None,
                });
            }
            Err(error) => {
                warn!(%error, "no checkpoint is written: no thread can be started");
                self.storage.counts.failed.fetch_add(1, Ordering::Relaxed);
                engine.abandon_checkpoint();
            }
        }
    }

    /// Goes on with the checkpoint that is being made: puts a few series. Returns whether there is
    /// more to do at once; `None` where none is being made.
    pub fn go_on(&mut self, engine: &mut Engine, offset: Offset) -> Option<bool> {
        let making = self.making.as_mut()?;
        let message = making.next.take().unwrap_or_else(|| {
            let part = engine.checkpoint_slice(SERIES_PER_SLICE);
            part.map_or(Message::End, Message::Part)
        });
        let is_end = matches!(message, Message::End);
        match making.messages.try_send(message) {
            Ok(()) if !is_end => return Some(true),
            Err(TrySendError::Full(message)) => {
                making.next = Some(message);
                return Some(false);
            }
            Ok(()) => {}
            // The other side has said why.
            Err(TrySendError::Disconnected(_)) => engine.abandon_checkpoint(),
        }
        self.making = None;
        self.pace.ended(self.running.elapsed());
        if self.asked.is_empty() {
            return None;
        }
        self.begin(engine, offset, None);
        Some(true)
    }
}

/// The other side: writes what comes.
struct Writing {
    files: Arc<dyn Files>,
    folder: PathBuf,
    header: CheckpointHeader,
    first: Vec<Vec<u8>>,
    log: Arc<dyn Log>,
    cold: Arc<ColdFiles>,
    past: Arc<PastFiles>,
    shard: usize,
    counts: Arc<CheckpointCounts>,
    running: Stopwatch,
    _done: Vec<Done>,
}

impl Writing {
    fn run(mut self, messages: &Receiver<Message>) {
        let first = std::mem::take(&mut self.first);
        match self.write(first, messages) {
            Ok(Some(n_bytes)) => {
                let counts = &self.counts;
                let micros = u64::try_from(self.running.elapsed().as_micros());
                counts.written.fetch_add(1, Ordering::Relaxed);
                counts
                    .last_wall
                    .store(self.header.wall.0, Ordering::Relaxed);
                counts.last_bytes.store(n_bytes, Ordering::Relaxed);
                counts
                    .last_micros
                    .store(micros.unwrap_or(u64::MAX), Ordering::Relaxed);
                debug!(
                    offset = self.header.offset,
                    bytes = n_bytes,
                    "a checkpoint is written"
                );
            }
            Ok(None) => {}
            Err(cause) => {
                let cause = format!("{cause:#}");
                warn!(
                    cause,
                    "no checkpoint is written; the next is tried in a while"
                );
                self.counts.failed.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    /// Writes the checkpoint; nothing where it is given up.
    fn write(
        &self,
        first: Vec<Vec<u8>>,
        messages: &Receiver<Message>,
    ) -> anyhow::Result<Option<u64>> {
        let folder = CheckpointFolder::open_in(Arc::clone(&self.files), &self.folder)?;
        let mut writer = folder.begin(&self.header)?;
        first.iter().try_for_each(|part| writer.part(part))?;
        loop {
            match messages.recv() {
                Ok(Message::Part(part)) => writer.part(&part)?,
                Ok(Message::End) => break,
                Err(_) => return Ok(None),
            }
        }
        // What it speaks of is on disk before it is.
        self.log.sync()?;
        self.cold
            .sync()
            .context("cannot sync the files of history")?;
        let n_bytes = writer.finish()?;
        let kept = folder.prune()?;
        let named = kept.iter().flat_map(|header| &header.cold);
        self.cold.release(&named.map(|file| file.number).collect());
        // The first one alone may turn out to be of no use.
        if let [_, .., oldest] = &kept[..] {
            self.log.forget_before(Offset(oldest.offset))?;
            self.past.kept_from(self.shard, oldest.offset);
        }
        Ok(Some(n_bytes))
    }
}
