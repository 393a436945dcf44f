//! `POST` and `PUT /api/v1/admin/tsdb/*`: there is nothing to delete or to copy by hand.

use crate::api::response::{ApiError, ErrorKind};

/// Answers as a Prometheus that is run without `--web.enable-admin-api`.
pub async fn disabled() -> ApiError {
    ApiError::new(ErrorKind::Unavailable, "admin APIs disabled")
}
