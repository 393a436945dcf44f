//! Slices of series taken out of bytes: most of the work of loading a checkpoint, and the part of it
//! that needs nothing of the engine, so that several threads may do it side by side.

use crate::engine::checkpoint::load::LoadError;
use crate::engine::checkpoint::series::SavedState;
use crate::eval::LiveState;
use crate::eval::live::SavedWindows;
use crate::model::SeriesHandle;
use crate::model::bytes::{ByteReader, Malformed, Read};
use crate::series::{LoadedSeries, SeriesLoader};

/// Takes slices apart.
#[derive(Debug)]
pub struct SliceLoader {
    pub(super) series: SeriesLoader,
    /// Whether the checkpoint's format has windows.
    pub(super) has_windows: bool,
    /// Whether windows have the first sample of their series.
    pub(super) has_first: bool,
}

/// Series on their way into an engine, with what is known of each.
#[derive(Debug)]
pub struct LoadedSlice(pub(super) Vec<LoadedOne>);

#[derive(Debug)]
pub(super) struct LoadedOne {
    /// The byte of its slice at which it begins.
    pub at: usize,
    pub series: LoadedSeries,
    pub handle: Option<(SeriesHandle, Option<SavedState>)>,
    pub windows: Option<SavedWindows>,
}

impl SliceLoader {
    /// Takes a part apart that is a slice.
    pub fn load(&mut self, part: &[u8]) -> Result<LoadedSlice, LoadError> {
        let mut read = ByteReader::new(part);
        let mut slice = Vec::new();
        let all = read.byte().and_then(|_| {
            while !read.is_done() {
                slice.push(self.one(part.len(), &mut read)?);
            }
            Ok(())
        });
        match all {
            Ok(()) => Ok(LoadedSlice(slice)),
            Err(malformed) => Err(damaged(malformed)),
        }
    }

    fn one(&mut self, n_bytes: usize, read: &mut ByteReader<'_>) -> Read<LoadedOne> {
        let at = n_bytes - read.left();
        let series = self.series.load(read)?;
        let handle = read.option(|read| {
            let handle = SeriesHandle(read.small()?);
            Ok((handle, read.option(SavedState::load)?))
        })?;
        let windows = match self.has_windows {
            true => LiveState::load_windows(series.history(), self.has_first, read)?,
            false => None,
        };
        Ok(LoadedOne {
            at,
            series,
            handle,
            windows,
        })
    }
}

pub(super) fn damaged(malformed: Malformed) -> LoadError {
    LoadError::Damaged {
        part: "series",
        malformed,
    }
}
