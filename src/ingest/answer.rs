//! What a sender is told about its request.

use std::sync::Arc;

use http::StatusCode;

use crate::log::Commitment;
use crate::model::TimestampMs;

/// When a sender should come again after 503.
const RETRY_AFTER_SECONDS: u32 = 5;

/// What of a request was taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Written {
    /// Floats.
    pub samples: u64,
    /// Native histograms.
    pub histograms: u64,
    /// Exemplars; valid ones count, though none is kept.
    pub exemplars: u64,
}

/// The answer to a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WriteAnswer {
    /// 204, 400, 413 or 503.
    pub status: StatusCode,
    /// What was taken.
    pub written: Written,
    /// Why not all of it; empty with 204.
    pub text: Arc<str>,
    /// When to come again, in seconds.
    pub retry_after_seconds: Option<u32>,
    /// The newest valid timestamp of the request, ms.
    pub newest: Option<TimestampMs>,
}

/// An answer that is true once the logs have what it speaks of.
#[derive(Debug)]
pub struct Promised {
    /// The answer.
    pub answer: WriteAnswer,
    /// What is to be waited for.
    pub commitment: Commitment,
}

impl From<WriteAnswer> for Promised {
    /// An answer that nothing was written needs no waiting.
    fn from(answer: WriteAnswer) -> Self {
        Promised {
            answer,
            commitment: Commitment::default(),
        }
    }
}

impl Promised {
    /// Waits for the logs, and returns the answer; that the sender should come again where they
    /// cannot be written.
    pub async fn kept(self) -> WriteAnswer {
        match self.commitment.wait().await {
            Ok(()) => self.answer,
            Err(error) => WriteAnswer::unavailable(&format!("{error}; come again\n")),
        }
    }

    /// As [`Promised::kept`], on a thread that may wait.
    pub fn kept_blocking(self) -> WriteAnswer {
        futures::executor::block_on(self.kept())
    }
}

impl WriteAnswer {
    /// Returns the answer that nothing was written, and why.
    pub(crate) fn refused(status: StatusCode, text: impl Into<Arc<str>>) -> Self {
        WriteAnswer {
            status,
            written: Written::default(),
            text: text.into(),
            retry_after_seconds: None,
            newest: None,
        }
    }

    /// Returns the answer that nothing was written and the sender should come again.
    pub(crate) fn unavailable(text: &str) -> Self {
        WriteAnswer {
            retry_after_seconds: Some(RETRY_AFTER_SECONDS),
            ..WriteAnswer::refused(StatusCode::SERVICE_UNAVAILABLE, text)
        }
    }
}
