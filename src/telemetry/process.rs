//! Metrics of the process, from `/proc`; where there is none, they are left out.

use std::fs;

use crate::model::TimestampMs;
use crate::telemetry::exposition::{write_family, write_sample};

/// `USER_HZ`: the unit of CPU time in `/proc`; 100 on every Linux architecture we build for.
const TICKS_A_SECOND: f64 = 100.0;

/// Writes `process_*`.
pub fn write(text: &mut String, started_at: TimestampMs) {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let limits = fs::read_to_string("/proc/self/limits").unwrap_or_default();
    if let Some(seconds) = cpu_seconds(&stat) {
        let help = "Total user and system CPU time spent in seconds.";
        write_family(text, "process_cpu_seconds", "counter", help);
        write_sample(text, "process_cpu_seconds_total", &[], seconds);
    }
    let mut gauge = |name, help, value: Option<f64>| {
        if let Some(value) = value {
            write_family(text, name, "gauge", help);
            write_sample(text, name, &[], value);
        }
    };
    gauge(
        "process_resident_memory_bytes",
        "Resident memory size in bytes.",
        status_bytes(&status, "VmRSS:"),
    );
    gauge(
        "process_virtual_memory_bytes",
        "Virtual memory size in bytes.",
        status_bytes(&status, "VmSize:"),
    );
    gauge(
        "process_open_fds",
        "Number of open file descriptors.",
        n_open_files(),
    );
    gauge(
        "process_max_fds",
        "Maximum number of open file descriptors.",
        n_open_files_max(&limits),
    );
    gauge(
        "process_threads",
        "Number of threads.",
        status_number(&status, "Threads:"),
    );
    gauge(
        "process_start_time_seconds",
        "Start time of the process since unix epoch in seconds.",
        Some(started_at.seconds()),
    );
}

/// Returns the number of threads; 0 where it is not known.
pub fn n_threads() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    status_number(&status, "Threads:").map_or(0, |threads| threads as u64)
}

/// Returns the working directory; empty where it is not known.
pub fn working_directory() -> String {
    let path = std::env::current_dir().unwrap_or_default();
    path.display().to_string()
}

/// Returns the name of the machine; empty where it is not known.
pub fn hostname() -> String {
    let name = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    name.trim().to_owned()
}

/// The name of the command, which stands in front in parentheses, may itself hold spaces and
/// parentheses; behind it, user and system time are the 12th and 13th field.
fn cpu_seconds(stat: &str) -> Option<f64> {
    let (_, behind) = stat.rsplit_once(')')?;
    let mut fields = behind.split_whitespace().skip(11);
    let user: f64 = fields.next()?.parse().ok()?;
    let system: f64 = fields.next()?.parse().ok()?;
    Some((user + system) / TICKS_A_SECOND)
}

fn status_number(status: &str, name: &str) -> Option<f64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

fn status_bytes(status: &str, name: &str) -> Option<f64> {
    status_number(status, name).map(|kilobytes| kilobytes * 1024.0)
}

fn n_open_files() -> Option<f64> {
    // Reading the directory opens it, which is not one of ours.
    let n_entries = fs::read_dir("/proc/self/fd").ok()?.count();
    Some(n_entries.saturating_sub(1) as f64)
}

fn n_open_files_max(limits: &str) -> Option<f64> {
    let mut lines = limits.lines();
    let soft_and_hard = lines.find_map(|line| line.strip_prefix("Max open files"))?;
    soft_and_hard.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proc_is_read() {
        let stat = "42 (a (b) c) S 1 1 1 0 -1 4194560 2 0 0 0 150 50 0 0 20 0 9 0 5 0";
        assert_eq!(cpu_seconds(stat), Some(2.0));
        let status = "Name:\tx\nVmRSS:\t    2048 kB\nThreads:\t7\n";
        assert_eq!(status_bytes(status, "VmRSS:"), Some(2_097_152.0));
        assert_eq!(status_number(status, "Threads:"), Some(7.0));
        let limits = "Max open files            1024                 4096                 files\n";
        assert_eq!(n_open_files_max(limits), Some(1024.0));
        assert_eq!(cpu_seconds(""), None);
    }
}
