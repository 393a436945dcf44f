//! What a sender is told about its request.

use std::sync::Arc;

use http::StatusCode;

use crate::ingest::decode::wire::DecodeError;
use crate::log::Commitment;
use crate::model::TimestampMs;

/// When a sender should come again after 503.
const RETRY_AFTER_SECONDS: u32 = 5;

/// Why a request was refused whole, though nothing is wrong with it: it is to come again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Refusal {
    /// Too many requests, or too many bytes of them, are under way.
    InFlight,
    /// An engine is behind, and its log holds as much as it may.
    LogFull,
    /// What is left in the log is kept for other senders.
    FairShare,
    /// The sender has sent more than its quota.
    Quota,
    /// The log takes nothing.
    LogClosed,
    /// The body did not come in time.
    SlowBody,
    /// The server is stopping.
    Stopping,
}

impl Refusal {
    /// All of them.
    pub const ALL: [Refusal; 7] = [
        Refusal::InFlight,
        Refusal::LogFull,
        Refusal::FairShare,
        Refusal::Quota,
        Refusal::LogClosed,
        Refusal::SlowBody,
        Refusal::Stopping,
    ];

    /// Returns the word used in metrics.
    pub fn name(self) -> &'static str {
        match self {
            Refusal::InFlight => "in_flight",
            Refusal::LogFull => "log_full",
            Refusal::FairShare => "fair_share",
            Refusal::Quota => "quota",
            Refusal::LogClosed => "log_closed",
            Refusal::SlowBody => "slow_body",
            Refusal::Stopping => "stopping",
        }
    }
}

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
    /// 202 to a replica that is not listened to; 204, 400, 413, 429 or 503.
    pub status: StatusCode,
    /// What was taken.
    pub written: Written,
    /// Why not all of it; empty with 204.
    pub text: Arc<str>,
    /// When to come again, in seconds.
    pub retry_after_seconds: Option<u32>,
    /// The newest valid timestamp of the request, ms.
    pub newest: Option<TimestampMs>,
    /// Samples, histograms and exemplars that the request held, taken or not.
    pub n_received: u64,
    /// Why the request is to come again, where it is.
    pub refusal: Option<Refusal>,
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
            Err(error) => {
                let text = format!("{error}; come again\n");
                WriteAnswer::unavailable(Refusal::LogClosed, &text)
            }
        }
    }

    /// As [`Promised::kept`], on a thread that may wait.
    pub fn kept_blocking(self) -> WriteAnswer {
        futures::executor::block_on(self.kept())
    }
}

impl WriteAnswer {
    /// Returns the answer to a body that is not what it says it is, or too large.
    pub fn undecodable(error: &DecodeError) -> Self {
        let status = match error {
            DecodeError::TooLarge { .. } | DecodeError::TooManyItems { .. } => {
                StatusCode::PAYLOAD_TOO_LARGE
            }
            _ => StatusCode::BAD_REQUEST,
        };
        WriteAnswer::refused(status, format!("{error}\n"))
    }

    /// Returns the answer that nothing was written, and why.
    pub(crate) fn refused(status: StatusCode, text: impl Into<Arc<str>>) -> Self {
        WriteAnswer {
            status,
            written: Written::default(),
            text: text.into(),
            retry_after_seconds: None,
            newest: None,
            n_received: 0,
            refusal: None,
        }
    }

    /// Returns the answer that nothing was written and the sender should come again.
    pub(crate) fn unavailable(refusal: Refusal, text: &str) -> Self {
        WriteAnswer {
            retry_after_seconds: Some(RETRY_AFTER_SECONDS),
            refusal: Some(refusal),
            ..WriteAnswer::refused(StatusCode::SERVICE_UNAVAILABLE, text)
        }
    }

    /// Returns the answer to a replica that is not listened to: all is well, and nothing of it is
    /// wanted. It counts as written, since a sender that is told otherwise takes it for a failure.
    pub(crate) fn deduplicated(held: Written) -> Self {
        WriteAnswer {
            written: held,
            n_received: held.samples + held.histograms + held.exemplars,
            ..WriteAnswer::refused(StatusCode::ACCEPTED, "")
        }
    }

    /// Returns the answer to a sender that has sent more than its quota.
    pub(crate) fn over_quota(samples_per_second: u64, retry_after_seconds: u32) -> Self {
        let text = format!(
            "more than {samples_per_second} samples a second, the limit of one sender \
             (limits: per_sender); come again in {retry_after_seconds} s\n"
        );
        WriteAnswer {
            retry_after_seconds: Some(retry_after_seconds),
            refusal: Some(Refusal::Quota),
            ..WriteAnswer::refused(StatusCode::TOO_MANY_REQUESTS, text)
        }
    }
}
