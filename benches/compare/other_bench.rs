//! Rows that other benches measure: their lines `row: name | value | unit` are taken over.

use std::path::Path;
use std::process::{Command, Stdio};

use crate::report::Row;

/// From the first byte of a request to the first byte of the notification it caused.
pub fn latency() -> Result<Row, String> {
    Ok(Row {
        number: 6,
        what: "first byte in → notification out, half load (`cargo bench --bench latency`)"
            .to_owned(),
        reach: "p50 < 5 ms, p99 < 50 ms",
        burnwatch: figures("latency")?,
        peers: String::new(),
        quoted: "Prometheus, vmalert: half an interval",
    })
}

/// How far distributions are apart, beside the rates that they are made of.
pub fn drift() -> Result<Row, String> {
    Ok(Row {
        number: 11,
        what:
            "PSI over the rates of 10-bucket histograms of 10,000 series, beside the plain rates \
               of the same buckets (`cargo bench --bench drift`)"
                .to_owned(),
        reach: "≤ 3 ×",
        burnwatch: figures("drift")?,
        peers: String::new(),
        quoted: "",
    })
}

/// What a point costs `anomaly_forest`.
pub fn forest() -> Result<Row, String> {
    Ok(Row {
        number: 12,
        what: "scoring a point of nine series with `anomaly_forest`, two models \
               (`cargo bench --bench windows`)"
            .to_owned(),
        reach: "≤ 20 µs",
        burnwatch: figures("windows")?,
        peers: String::new(),
        quoted: "",
    })
}

/// Runs a bench and returns its figures, or what is missing for them.
fn figures(bench: &str) -> Result<String, String> {
    let home = env!("CARGO_MANIFEST_DIR");
    let sources = Path::new(home).join("benches");
    if !sources.join(bench).exists() && !sources.join(format!("{bench}.rs")).exists() {
        return Err(format!("benches/{bench} is not in this checkout"));
    }
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["bench", "--bench", bench])
        .current_dir(home)
        .stderr(Stdio::inherit())
        .output()
        .map_err(|error| format!("cargo bench --bench {bench}: {error}"))?;
    let text = String::from_utf8_lossy(&output.stdout);
    let figures: Vec<String> = text.lines().filter_map(figure).collect();
    if !output.status.success() || figures.is_empty() {
        return Err(format!("cargo bench --bench {bench}: {}", output.status));
    }
    Ok(figures.join("; "))
}

/// `row: name | value | unit` as `name value unit`.
fn figure(line: &str) -> Option<String> {
    let mut parts = line.strip_prefix("row:")?.split('|').map(str::trim);
    let (name, value, unit) = (parts.next()?, parts.next()?, parts.next()?);
    Some(format!("{name} {value} {unit}").trim_end().to_owned())
}
