//! The backends of the log; what each owes is written at [`crate::log`].

pub mod file;
pub mod memory;
pub mod recording;
