//! Who sends a request, where the door has asked.

use std::sync::Arc;

/// The name under which a request was let in: a user's, or a token's.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Caller(pub Arc<str>);
