//! Work that takes its time, off the threads that serve requests.

use crate::api::response::{ApiError, ErrorKind};

/// Does `work` on a thread where it may block.
pub async fn on_worker<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, ApiError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|panic| ApiError::new(ErrorKind::Internal, panic.to_string()))
}
