//! The processor time of the measuring thread: on a busy machine the wall clock says little.

use std::time::Instant;

/// Nanoseconds of CPU that this thread has used. Falls back to the wall clock where there is no
/// /proc.
pub fn cpu_nanos() -> u128 {
    static BEGAN: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let on_cpu = stat.split(' ').next().and_then(|nanos| nanos.parse().ok());
    on_cpu.unwrap_or_else(|| BEGAN.get_or_init(Instant::now).elapsed().as_nanos())
}
