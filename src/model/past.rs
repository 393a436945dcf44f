//! The past of what a selector selects, fetched from elsewhere: history from before the first
//! sample that came here.

use std::fmt;

use crate::model::{Labels, Matcher, Point, TimestampMs};

/// Why a past cannot be read to its end.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{name}: {reason}")]
pub struct PastError {
    /// What was read: a file's name.
    pub name: String,
    /// What is wrong with it, and where.
    pub reason: String,
}

/// The series of a past, one after the other.
pub trait PastSeries: fmt::Debug + Send + Sync {
    /// Returns its name, by which a log knows it.
    fn name(&self) -> &str;

    /// Tells whether nothing but the name is known: a log says so of what lies in a file.
    fn is_named_only(&self) -> bool {
        false
    }

    /// Calls `visit` with each series, in the order of labels, and its samples, ascending in
    /// time.
    fn visit(&self, visit: &mut dyn FnMut(Labels, Vec<Point>)) -> Result<(), PastError>;
}

/// The past of one selector's series.
#[derive(Clone, Debug)]
pub struct Past {
    /// The selector's matchers.
    pub matchers: Vec<Matcher>,
    /// Every sample after this instant is in it, ms.
    pub since: TimestampMs,
    /// Up to here, and wherever a series has no older sample here, ms.
    pub until: TimestampMs,
    /// The samples.
    pub series: std::sync::Arc<dyn PastSeries>,
}
