//! How a push ended, and what an answer over HTTP makes of it.

use std::time::Duration;

use crate::notify::http_client::{Answer, HttpError};

/// How a push ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The receiver has it.
    Delivered,
    /// The receiver will never take it.
    Refused(String),
    /// It may be tried again, after a pause that the receiver may have asked for.
    Retry {
        /// Why it failed.
        reason: String,
        /// The pause asked for.
        after: Option<Duration>,
        /// `false` when nothing can have reached the receiver: there was no connection.
        has_left: bool,
    },
}

impl From<HttpError> for Outcome {
    /// Without an answer it may always be tried again.
    fn from(error: HttpError) -> Self {
        Outcome::Retry {
            reason: error.to_string(),
            after: None,
            has_left: true,
        }
    }
}

impl Answer {
    /// Says what an answer that is no 2xx was.
    pub(crate) fn reason(&self) -> String {
        format!("bad response status {}: {}", self.status, self.text)
    }

    /// Returns that it may be tried again, when the receiver said.
    pub(crate) fn retry(&self) -> Outcome {
        Outcome::Retry {
            reason: self.reason(),
            after: self.retry_after,
            has_left: true,
        }
    }
}
