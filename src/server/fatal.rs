//! What the server cannot go on with: it stops, and says why.
//!
//! Rules that nobody evaluates are worse than a process that has ended: that is noticed, and
//! whoever runs it starts it again.

use std::sync::{Arc, OnceLock};

use tokio::sync::watch;

/// Reports a thread that has panicked, when it is dropped by that.
pub struct PanicWatch {
    /// Whom to tell.
    pub fatal: Arc<Fatal>,
    /// What the thread does.
    pub what: String,
}

impl Drop for PanicWatch {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let text = format!("the thread of {} has panicked", self.what);
            self.fatal.report(anyhow::Error::msg(text));
        }
    }
}

/// The first such thing.
#[derive(Debug)]
pub struct Fatal {
    cause: OnceLock<anyhow::Error>,
    stop: watch::Sender<bool>,
}

impl Fatal {
    /// Returns one of a server that `stop` stops.
    pub fn new(stop: watch::Sender<bool>) -> Self {
        Fatal {
            cause: OnceLock::new(),
            stop,
        }
    }

    /// Stops the server for this reason. Only the first is told by the process; all are logged.
    pub fn report(&self, cause: anyhow::Error) {
        let text = format!("{cause:#}");
        tracing::error!(cause = text, "the server cannot go on and stops");
        let _ = self.cause.set(cause);
        let _ = self.stop.send(true);
    }

    /// Returns what was reported, if anything was.
    pub fn outcome(&self) -> anyhow::Result<()> {
        match self.cause.get() {
            // The chain of causes goes on in the text.
            Some(cause) => Err(anyhow::anyhow!("{cause:#}")),
            None => Ok(()),
        }
    }
}
