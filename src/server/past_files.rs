//! The files of fetched history, and for how long they are needed.
//!
//! The log names them, so each is needed until no start can read that place of the log any more:
//! until the oldest checkpoint that is kept lies behind it, in every shard. What an earlier run has
//! left is needed until the checkpoints are all of this run.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use parking_lot::Mutex;
use tracing::warn;

use crate::backfill::FOLDER;

/// What names of files end in, and of those that are not whole.
const EXTENSION: &str = "past";
const UNFINISHED: &str = "unfinished";

/// Until which offset of each shard's log a file is needed; `None` where that is not known yet.
type Needed = BTreeMap<usize, Option<u64>>;

/// The files in one folder.
#[derive(Debug)]
pub struct PastFiles {
    folder: PathBuf,
    needed: Mutex<BTreeMap<String, Needed>>,
}

impl PastFiles {
    /// Looks what is there in a data directory. What is not whole is removed, and all of it where
    /// the log that names it is gone with its process.
    pub fn open(storage: &Path, n_shards: usize, log_is_kept: bool) -> PastFiles {
        let folder = storage.join(FOLDER);
        let mut needed = BTreeMap::new();
        // Nearly nobody fetches history: mostly there is no folder.
        for entry in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
            let path = entry.path();
            let ends_in = |extension| path.extension().is_some_and(|found| found == extension);
            let name = path.file_name().and_then(|name| name.to_str());
            match name {
                Some(name) if ends_in(EXTENSION) && log_is_kept => {
                    let all = (0..n_shards).map(|shard| (shard, None));
                    needed.insert(name.to_owned(), all.collect());
                }
                _ if ends_in(EXTENSION) || ends_in(UNFINISHED) => remove(&path),
                _ => {}
            }
        }
        PastFiles {
            folder,
            needed: Mutex::new(needed),
        }
    }

    /// Returns the folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// A shard has begun to apply its log at an offset.
    pub fn begun(&self, shard: usize, from: u64) {
        for needed in self.needed.lock().values_mut() {
            if let Some(until @ None) = needed.get_mut(&shard) {
                *until = Some(from);
            }
        }
    }

    /// A file is about to be written anew, and nobody needs what was in it.
    pub fn rewritten(&self, name: &str) {
        self.needed.lock().remove(name);
    }

    /// The logs of some shards are about to name a file.
    pub fn named(&self, name: &str, shards: impl Iterator<Item = usize>) {
        let all = shards.map(|shard| (shard, None));
        self.needed.lock().insert(name.to_owned(), all.collect());
    }

    /// A shard has applied the entry that names a file.
    pub fn applied(&self, shard: usize, offset: u64, name: &str) {
        let mut needed = self.needed.lock();
        let needed = needed.entry(name.to_owned()).or_default();
        needed.insert(shard, Some(offset + 1));
    }

    /// The oldest checkpoint of a shard that is kept goes on at an offset: removes what no log that
    /// can still be read names.
    pub fn kept_from(&self, shard: usize, oldest: u64) {
        self.needed.lock().retain(|name, needed| {
            if let Some(Some(until)) = needed.get(&shard)
                && *until <= oldest
            {
                needed.remove(&shard);
            }
            if needed.is_empty() {
                remove(&self.folder.join(name));
            }
            !needed.is_empty()
        });
    }
}

fn remove(path: &Path) {
    if let Err(error) = std::fs::remove_file(path) {
        let file = path.display();
        warn!(%error, %file, "a file of fetched history is not needed and cannot be removed");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let entries = std::fs::read_dir(folder).expect("it is there").flatten();
        let mut names: Vec<String> = entries
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    }

    fn storage(files: &[&str]) -> (tempfile::TempDir, PathBuf) {
        let storage = tempfile::tempdir().expect("there is a place for temporary files");
        let folder = storage.path().join(FOLDER);
        std::fs::create_dir(&folder).expect("it is writable");
        for name in files {
            std::fs::write(folder.join(name), "x").expect("it is writable");
        }
        (storage, folder)
    }

    #[test]
    fn a_file_goes_when_no_shard_can_read_the_log_that_names_it() {
        let (storage, folder) = storage(&["left.past", "half.unfinished", "notes.txt"]);
        let files = PastFiles::open(storage.path(), 2, true);
        assert_eq!(names(&folder), ["left.past", "notes.txt"]);
        files.begun(0, 10);
        files.begun(1, 20);
        std::fs::write(folder.join("new.past"), "x").expect("it is writable");
        files.named("new.past", [0, 1].into_iter());
        // The other shard has not applied it, however far this one is.
        files.applied(0, 12, "new.past");
        files.kept_from(0, 50);
        assert_eq!(names(&folder), ["left.past", "new.past", "notes.txt"]);
        files.kept_from(1, 19);
        files.kept_from(1, 20);
        assert_eq!(names(&folder), ["new.past", "notes.txt"]);
        files.applied(1, 30, "new.past");
        files.kept_from(1, 30);
        assert_eq!(names(&folder), ["new.past", "notes.txt"]);
        files.kept_from(1, 31);
        assert_eq!(names(&folder), ["notes.txt"]);
    }

    #[test]
    fn what_is_applied_again_is_needed_again_and_what_is_rewritten_is_not_removed() {
        let (storage, folder) = storage(&["a.past", "b.past"]);
        let files = PastFiles::open(storage.path(), 1, true);
        files.begun(0, 5);
        files.applied(0, 7, "a.past");
        files.rewritten("b.past");
        files.kept_from(0, 7);
        assert_eq!(names(&folder), ["a.past", "b.past"]);
        files.kept_from(0, 8);
        assert_eq!(names(&folder), ["b.past"]);
        PastFiles::open(storage.path(), 1, false);
        assert!(names(&folder).is_empty(), "a log in memory names nothing");
    }
}
