//! The `burnwatch` command.

use std::process::ExitCode;

/// Requests allocate and free large buffers on many threads, where this is twice as fast.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    burnwatch::cli::run()
}
