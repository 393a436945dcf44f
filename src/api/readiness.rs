//! Whether a server can be relied upon, and if not, why: what `/-/ready` says.

use std::fmt;

/// Whether a server can be relied upon.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Readiness {
    /// What is sent is kept, what is asked is answered.
    Ready,
    /// No rules are loaded yet.
    #[default]
    Starting,
    /// The engines are still taking in what the log held at the start.
    Replaying {
        /// How much of it they have.
        done: u64,
        /// All of it, in the same unit.
        of: u64,
        /// The unit: `bytes`, `entries`.
        unit: &'static str,
    },
    /// Questions are answered, but nothing can be kept that is sent: why.
    LogNotWritable(String),
    /// The server was asked to stop.
    Stopping,
}

impl Readiness {
    /// The words of all reasons not to be ready.
    pub const REASONS: [&str; 4] = ["starting", "replaying", "log_not_writable", "stopping"];

    /// Tells whether questions can be answered, though samples may not be taken.
    pub fn answers(&self) -> bool {
        matches!(self, Readiness::Ready | Readiness::LogNotWritable(_))
    }

    /// Returns the word of the reason, as metrics have it; `None` where all is well.
    pub fn reason(&self) -> Option<&'static str> {
        let [starting, replaying, log, stopping] = Readiness::REASONS;
        match self {
            Readiness::Ready => None,
            Readiness::Starting => Some(starting),
            Readiness::Replaying { .. } => Some(replaying),
            Readiness::LogNotWritable(_) => Some(log),
            Readiness::Stopping => Some(stopping),
        }
    }
}

impl fmt::Display for Readiness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Readiness::Ready => f.write_str("ready"),
            Readiness::Starting => f.write_str("no rules are loaded yet"),
            Readiness::Replaying { done, of, unit } => {
                write!(f, "replaying the log: {done} of {of} {unit}")
            }
            Readiness::LogNotWritable(cause) => write!(f, "the log is not writable: {cause}"),
            Readiness::Stopping => f.write_str("the server is stopping"),
        }
    }
}
