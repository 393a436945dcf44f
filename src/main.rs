//! The `burnwatch` command.

use std::process::ExitCode;

/// Requests allocate and free large buffers on many threads, where this is twice as fast.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // Of a huge page every part counts as soon as one is touched: a fifth more memory for each series,
    // and nothing that rules are evaluated faster by (docs/PERFORMANCE.md, row 7). A system that does
    // not know this does not have them.
    #[cfg(target_os = "linux")]
    let _ = rustix::thread::disable_transparent_huge_pages(true);
    burnwatch::cli::run()
}
