//! An engine from a checkpoint's file, with as many threads as there are processors.
//!
//! Most of the work is taking slices of series apart, for which nothing of the engine is needed:
//! that is done side by side, while this thread reads the file and puts the series into the engine,
//! in the order in which they lie there.

use std::sync::Arc;

use crossbeam_channel::{Receiver, Sender, bounded};

use crate::engine::Engine;
use crate::engine::checkpoint::{LoadedSlice, Loading, SliceLoader};
use crate::history::ColdStore;
use crate::storage::checkpoint_files::{CheckpointReader, PackedPart};

/// More threads than this would wait for the one that puts series into the engine.
const THREADS_MAX: usize = 4;
/// So many parts wait for each thread, and of each.
const PARTS_WAITING: usize = 4;

/// What a part has come to.
enum Unpacked {
    Slice(LoadedSlice),
    /// It is for the engine alone.
    Other(Vec<u8>),
}

/// Loads an engine; what is cold lies in `cold`.
pub fn load_engine(
    reader: &mut CheckpointReader,
    cold: Arc<dyn ColdStore>,
) -> anyhow::Result<Engine> {
    let mut loading = Loading::new(Some(cold));
    // The rules come first: without them nothing can be taken apart.
    if let Some(part) = reader.part()? {
        loading.part(&part)?;
    }
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let loaders: Vec<SliceLoader> = (0..processors.min(THREADS_MAX))
        .map(|_| loading.loader())
        .collect();
    let loaders = std::thread::scope(|scope| {
        let mut threads = Vec::new();
        for loader in loaders {
            let (packed, to_unpack) = bounded(PARTS_WAITING);
            let (unpacked, to_put) = bounded(PARTS_WAITING);
            let thread = std::thread::Builder::new().name("checkpoint-load".to_owned());
            let thread = thread.spawn_scoped(scope, move || unpack(loader, &to_unpack, &unpacked));
            threads.push((packed, to_put, thread?));
        }
        put_all(reader, &mut loading, &threads)?;
        let mut loaders = Vec::new();
        for (packed, _, thread) in threads {
            drop(packed);
            let loader = thread.join();
            loaders.push(loader.map_err(|_| anyhow::anyhow!("a thread that loads has ended"))?);
        }
        anyhow::Ok(loaders)
    })?;
    for loader in loaders {
        loading.learn(loader);
    }
    Ok(loading.finish()?)
}

type Outcome = anyhow::Result<Unpacked>;

/// Takes parts apart until no more come.
fn unpack(
    mut loader: SliceLoader,
    packed: &Receiver<PackedPart>,
    unpacked: &Sender<Outcome>,
) -> SliceLoader {
    for part in packed {
        let outcome = part.unpack().map_err(anyhow::Error::from);
        let outcome = outcome.and_then(|part| match Loading::is_slice(&part) {
            true => Ok(Unpacked::Slice(loader.load(&part)?)),
            false => Ok(Unpacked::Other(part)),
        });
        if unpacked.send(outcome).is_err() {
            break;
        }
    }
    loader
}

/// Has all parts taken apart, one thread after the other, and puts them in the same order.
fn put_all<T>(
    reader: &mut CheckpointReader,
    loading: &mut Loading,
    threads: &[(Sender<PackedPart>, Receiver<Outcome>, T)],
) -> anyhow::Result<()> {
    let gone = || anyhow::anyhow!("a thread that loads has ended");
    let (mut n_sent, mut n_put, mut is_read) = (0, 0, false);
    loop {
        while !is_read && n_sent - n_put < threads.len() * PARTS_WAITING {
            match reader.packed_part()? {
                Some(part) => {
                    let (packed, ..) = &threads[n_sent % threads.len()];
                    packed.send(part).map_err(|_| gone())?;
                    n_sent += 1;
                }
                None => is_read = true,
            }
        }
        if n_put == n_sent {
            return Ok(());
        }
        let (_, to_put, _) = &threads[n_put % threads.len()];
        match to_put.recv().map_err(|_| gone())?? {
            Unpacked::Slice(slice) => loading.put(slice)?,
            Unpacked::Other(part) => loading.part(&part)?,
        }
        n_put += 1;
    }
}
