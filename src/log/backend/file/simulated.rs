//! Files that are not there: a disk in memory that can be full, fail, and lose its power.
//!
//! What a real disk may do at a crash is done here on purpose: of the writes since a file was last
//! synced each sector is there or not, in no order; files that were made, renamed or removed since
//! their folder was synced are there or not, under either name or under none. A sync that fails
//! forgets what it was to write. A process that is killed loses nothing that it wrote. Which of all
//! that happens follows from a seed.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;

use crate::log::backend::file::files::{Files, LogFile};

/// So much is written whole or not at all.
const SECTOR_BYTES: u64 = 512;

/// A disk in memory. Clones are the same disk.
#[derive(Clone, Default)]
pub struct SimulatedFiles {
    disk: Arc<Mutex<Disk>>,
}

#[derive(Default)]
struct Disk {
    files: BTreeMap<PathBuf, Arc<Mutex<Content>>>,
    /// What folders held when they were last synced.
    durable: BTreeMap<PathBuf, Arc<Mutex<Content>>>,
    /// How many more bytes there is room for.
    room: Option<u64>,
    /// How many more writes, syncs and the like are done before all fail.
    n_left: Option<u64>,
    /// Whether that has happened.
    stopped: bool,
    /// How many of them there have been.
    n_done: u64,
    syncs_fail: bool,
}

#[derive(Clone, Default)]
struct Content {
    bytes: Vec<u8>,
    /// As it was when last synced.
    synced: Vec<u8>,
    /// What has changed since, in order.
    changes: Vec<Change>,
}

#[derive(Clone)]
enum Change {
    Write { at: u64, bytes: Vec<u8> },
    Length(u64),
}

impl Content {
    fn apply(bytes: &mut Vec<u8>, change: &Change) {
        match change {
            Change::Write { at, bytes: written } => {
                let end = *at as usize + written.len();
                if bytes.len() < end {
                    bytes.resize(end, 0);
                }
                bytes[*at as usize..end].copy_from_slice(written);
            }
            Change::Length(length) => bytes.resize(*length as usize, 0),
        }
    }

    /// Returns what may be found after the power went.
    fn torn(&self, random: &mut fastrand::Rng) -> Content {
        let mut bytes = self.synced.clone();
        for change in &self.changes {
            match change {
                Change::Length(_) if random.bool() => Content::apply(&mut bytes, change),
                Change::Length(_) => {}
                Change::Write { at, bytes: written } => {
                    let mut at = *at;
                    let mut rest = written.as_slice();
                    while !rest.is_empty() {
                        let n_now = (SECTOR_BYTES - at % SECTOR_BYTES) as usize;
                        let (sector, behind) = rest.split_at(n_now.min(rest.len()));
                        if random.bool() {
                            let bytes_now = sector.to_vec();
                            let part = Change::Write {
                                at,
                                bytes: bytes_now,
                            };
                            Content::apply(&mut bytes, &part);
                        }
                        at += sector.len() as u64;
                        rest = behind;
                    }
                }
            }
        }
        Content {
            synced: bytes.clone(),
            bytes,
            changes: Vec::new(),
        }
    }
}

impl Disk {
    /// Counts an operation that changes something.
    fn step(&mut self) -> io::Result<()> {
        match &mut self.n_left {
            Some(0) => {
                self.stopped = true;
                return Err(io::Error::other("the machine has stopped"));
            }
            Some(n_left) => *n_left -= 1,
            None => {}
        }
        self.n_done += 1;
        Ok(())
    }
}

impl SimulatedFiles {
    /// Leaves room for so many more bytes; `None` for any number.
    pub fn set_room(&self, n_bytes: Option<u64>) {
        self.disk.lock().room = n_bytes;
    }

    /// Makes all syncs fail, or succeed again.
    pub fn set_syncs_fail(&self, fail: bool) {
        self.disk.lock().syncs_fail = fail;
    }

    /// Stops the machine after so many more operations; they fail from then on.
    pub fn stop_after(&self, n_operations: u64) {
        self.disk.lock().n_left = Some(n_operations);
    }

    /// Returns how many operations there have been that changed something.
    pub fn n_operations(&self) -> u64 {
        self.disk.lock().n_done
    }

    /// Returns the disk as the next process finds it after this one was killed.
    pub fn after_kill(&self) -> SimulatedFiles {
        let disk = self.disk.lock();
        // A file that is the same one in both lists stays so.
        let mut copies = HashMap::new();
        let mut of = |files: &BTreeMap<PathBuf, Arc<Mutex<Content>>>| {
            let copied = files.iter().map(|(path, file)| {
                let copy = || Arc::new(Mutex::new(file.lock().clone()));
                let copy = copies.entry(Arc::as_ptr(file)).or_insert_with(copy);
                (path.clone(), Arc::clone(copy))
            });
            copied.collect()
        };
        SimulatedFiles {
            disk: Arc::new(Mutex::new(Disk {
                files: of(&disk.files),
                durable: of(&disk.durable),
                room: disk.room,
                ..Disk::default()
            })),
        }
    }

    /// Returns the disk as it is found after the power went.
    pub fn after_power_loss(&self, seed: u64) -> SimulatedFiles {
        let disk = self.disk.lock();
        let mut random = fastrand::Rng::with_seed(seed);
        let mut names: Vec<&PathBuf> = disk.files.keys().chain(disk.durable.keys()).collect();
        names.sort();
        names.dedup();
        let mut found = BTreeMap::new();
        for path in names {
            let (now, before) = (disk.files.get(path), disk.durable.get(path));
            let same = match (now, before) {
                (Some(now), Some(before)) => Arc::ptr_eq(now, before),
                _ => false,
            };
            let survivor = if same || random.bool() { now } else { before };
            if let Some(content) = survivor {
                let torn = content.lock().torn(&mut random);
                found.insert(path.clone(), Arc::new(Mutex::new(torn)));
            }
        }
        SimulatedFiles {
            disk: Arc::new(Mutex::new(Disk {
                durable: found.clone(),
                files: found,
                ..Disk::default()
            })),
        }
    }

    /// Changes a byte of a file behind everybody's back.
    pub fn damage(&self, path: &Path, at: usize) {
        let disk = self.disk.lock();
        if let Some(file) = disk.files.get(path) {
            let mut file = file.lock();
            let Content { bytes, synced, .. } = &mut *file;
            for bytes in [bytes, synced] {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte ^= 0x55;
                }
            }
        }
    }

    /// Returns the paths of all files with their lengths, in order.
    pub fn list(&self) -> Vec<(PathBuf, usize)> {
        let disk = self.disk.lock();
        let files = disk.files.iter();
        files
            .map(|(path, file)| (path.clone(), file.lock().bytes.len()))
            .collect()
    }

    fn opened(&self, content: &Arc<Mutex<Content>>) -> Arc<dyn LogFile> {
        Arc::new(SimulatedFile {
            disk: Arc::clone(&self.disk),
            content: Arc::clone(content),
        })
    }
}

fn missing() -> io::Error {
    io::Error::from(io::ErrorKind::NotFound)
}

impl Files for SimulatedFiles {
    fn make_folder(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }

    fn names(&self, folder: &Path) -> io::Result<Vec<String>> {
        let disk = self.disk.lock();
        let below = disk.files.keys().filter_map(|path| {
            let below = path.strip_prefix(folder).ok()?;
            let name = below.components().next()?.as_os_str();
            Some(name.to_string_lossy().into_owned())
        });
        let mut names: Vec<String> = below.collect();
        names.dedup();
        Ok(names)
    }

    fn create(&self, path: &Path) -> io::Result<Arc<dyn LogFile>> {
        let mut disk = self.disk.lock();
        disk.step()?;
        if disk.files.contains_key(path) {
            return Err(io::Error::from(io::ErrorKind::AlreadyExists));
        }
        let content = Arc::new(Mutex::new(Content::default()));
        disk.files.insert(path.to_owned(), Arc::clone(&content));
        drop(disk);
        Ok(self.opened(&content))
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn LogFile>> {
        let content = self.disk.lock().files.get(path).cloned();
        Ok(self.opened(&content.ok_or_else(missing)?))
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut disk = self.disk.lock();
        disk.step()?;
        let removed = disk.files.remove(path).ok_or_else(missing)?;
        let freed = removed.lock().bytes.len() as u64;
        disk.room = disk.room.map(|room| room + freed);
        Ok(())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut disk = self.disk.lock();
        disk.step()?;
        let moved = disk.files.remove(from).ok_or_else(missing)?;
        if let Some(replaced) = disk.files.insert(to.to_owned(), moved) {
            let freed = replaced.lock().bytes.len() as u64;
            disk.room = disk.room.map(|room| room + freed);
        }
        Ok(())
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        let mut disk = self.disk.lock();
        disk.step()?;
        if disk.syncs_fail {
            return Err(io::Error::other("input/output error"));
        }
        let Disk { files, durable, .. } = &mut *disk;
        durable.retain(|path, _| path.parent() != Some(folder));
        let inside = files
            .iter()
            .filter(|(path, _)| path.parent() == Some(folder));
        durable.extend(inside.map(|(path, file)| (path.clone(), Arc::clone(file))));
        Ok(())
    }
}

struct SimulatedFile {
    disk: Arc<Mutex<Disk>>,
    content: Arc<Mutex<Content>>,
}

impl LogFile for SimulatedFile {
    fn n_bytes(&self) -> io::Result<u64> {
        Ok(self.content.lock().bytes.len() as u64)
    }

    fn read_at(&self, at: u64, into: &mut [u8]) -> io::Result<usize> {
        let content = self.content.lock();
        let at = usize::try_from(at).unwrap_or(usize::MAX);
        let rest = content.bytes.get(at..).unwrap_or_default();
        let n_bytes = rest.len().min(into.len());
        into[..n_bytes].copy_from_slice(&rest[..n_bytes]);
        Ok(n_bytes)
    }

    fn write_at(&self, at: u64, bytes: &[u8]) -> io::Result<()> {
        let mut disk = self.disk.lock();
        let was_stopped = disk.stopped;
        let step = disk.step();
        let mut content = self.content.lock();
        let grown = (at + bytes.len() as u64).saturating_sub(content.bytes.len() as u64);
        let fits = match disk.room {
            Some(room) if room < grown => bytes.len() - (grown - room) as usize,
            _ => bytes.len(),
        };
        let fits = match step {
            Ok(()) => fits,
            Err(_) if was_stopped => 0,
            // What stops the machine stops it in the middle of a write.
            Err(_) => fits.min(bytes.len() / 2),
        };
        let written = Change::Write {
            at,
            bytes: bytes[..fits].to_vec(),
        };
        if fits > 0 {
            Content::apply(&mut content.bytes, &written);
            content.changes.push(written);
        }
        let missed = (bytes.len() - fits) as u64;
        disk.room = disk.room.map(|room| room - grown.saturating_sub(missed));
        step?;
        match missed {
            0 => Ok(()),
            _ => Err(io::Error::from(io::ErrorKind::StorageFull)),
        }
    }

    fn set_n_bytes(&self, n_bytes: u64) -> io::Result<()> {
        let mut disk = self.disk.lock();
        disk.step()?;
        let mut content = self.content.lock();
        let freed = (content.bytes.len() as u64).saturating_sub(n_bytes);
        disk.room = disk.room.map(|room| room + freed);
        let change = Change::Length(n_bytes);
        Content::apply(&mut content.bytes, &change);
        content.changes.push(change);
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        let mut disk = self.disk.lock();
        disk.step()?;
        let mut content = self.content.lock();
        let changes = std::mem::take(&mut content.changes);
        if disk.syncs_fail {
            // It can be read as long as the machine runs, and is never written by a later sync.
            return Err(io::Error::other("input/output error"));
        }
        for change in &changes {
            Content::apply(&mut content.synced, change);
        }
        Ok(())
    }
}
