//! The processor time of a server under measurement.

/// Linux counts the time of processes in hundredths of a second.
const TICKS_PER_SECOND: f64 = 100.0;

/// Returns the seconds of processor time, user and system, that a running process has used.
pub fn cpu_seconds_of(process: u32) -> f64 {
    let path = format!("/proc/{process}/stat");
    let stat = std::fs::read_to_string(path).expect("a running process has its folder in /proc");
    // The name, in parentheses, may hold blanks.
    let behind_name = stat.rsplit(')').next().unwrap_or_default();
    let mut fields = behind_name.split_whitespace().skip(11);
    let mut ticks = || fields.next().and_then(|text| text.parse::<f64>().ok());
    let (user, system) = (ticks().unwrap_or(0.0), ticks().unwrap_or(0.0));
    (user + system) / TICKS_PER_SECOND
}
