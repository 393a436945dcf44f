//! Atomics of what is shared without a lock: the standard library's, or `loom`'s where the order in
//! which threads go on is searched (`make models`).

#[cfg(model_check)]
pub use loom::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
#[cfg(not(model_check))]
pub use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
