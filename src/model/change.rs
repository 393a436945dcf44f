//! Something that was changed by people or machines: a deployment, a configuration, a flag.
//!
//! Changes are entries of the log like samples, so that what an alert says about them is the same
//! when the log is replayed.

use crate::model::bytes::{ByteReader, ByteWriter, Read};
use crate::model::{Labels, TimestampMs};

/// The kind of a change that brings another version of the program or the model.
pub const DEPLOYMENT: &str = "deployment";

/// One change. Ordered by time, then by what it says.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Change {
    /// When it was made, ms.
    pub at: TimestampMs,
    /// `deployment`, `config`, or whatever word the sender uses.
    pub kind: String,
    /// What was changed; empty means everything.
    pub labels: Labels,
    /// The version since then; empty where there is none.
    pub version: String,
    /// What a person should know about it.
    pub text: String,
    /// Where to read on: an `http` or `https` URL, or empty.
    pub link: String,
}

impl Change {
    /// Puts the change.
    pub fn save(&self, out: &mut ByteWriter) {
        let Change {
            at,
            kind,
            labels,
            version,
            text,
            link,
        } = self;
        out.instant(*at);
        out.text(kind);
        out.labels(labels);
        out.text(version);
        out.text(text);
        out.text(link);
    }

    /// Takes what [`Change::save`] has put.
    pub fn load(read: &mut ByteReader<'_>) -> Read<Change> {
        Ok(Change {
            at: read.instant()?,
            kind: read.string()?,
            labels: read.labels()?,
            version: read.string()?,
            text: read.string()?,
            link: read.string()?,
        })
    }
}
