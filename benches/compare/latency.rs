//! From the first byte of a request to the first byte of the notification it caused: row 6, which
//! `benches/latency` measures. Its lines `row: name | value | unit` are taken over.

use std::path::Path;
use std::process::{Command, Stdio};

use crate::report::Row;

/// Row 6, or what is missing for it.
pub fn measure() -> Result<Row, String> {
    let home = env!("CARGO_MANIFEST_DIR");
    if !Path::new(home).join("benches/latency").exists() {
        return Err("benches/latency is not in this checkout".to_owned());
    }
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["bench", "--bench", "latency"])
        .current_dir(home)
        .stderr(Stdio::inherit())
        .output()
        .map_err(|error| format!("cargo bench --bench latency: {error}"))?;
    let text = String::from_utf8_lossy(&output.stdout);
    let figures: Vec<String> = text.lines().filter_map(figure).collect();
    if !output.status.success() || figures.is_empty() {
        return Err(format!("cargo bench --bench latency: {}", output.status));
    }
    Ok(Row {
        number: 6,
        what: "first byte in → notification out, half load (`cargo bench --bench latency`)"
            .to_owned(),
        reach: "p50 < 5 ms, p99 < 50 ms",
        burnwatch: figures.join("; "),
        peers: String::new(),
        quoted: "Prometheus, vmalert: half an interval",
    })
}

/// `row: name | value | unit` as `name value unit`.
fn figure(line: &str) -> Option<String> {
    let mut parts = line.strip_prefix("row:")?.split('|').map(str::trim);
    let (name, value, unit) = (parts.next()?, parts.next()?, parts.next()?);
    Some(format!("{name} {value} {unit}"))
}
