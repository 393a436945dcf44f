//! Instants as Alertmanager's API writes them.

use crate::model::TimestampMs;

/// Go's zero time, which stands for "not yet".
pub const ZERO_TIME: &str = "0001-01-01T00:00:00Z";

/// Prints RFC 3339 with exactly three decimals, as Prometheus' client of the API does. Instants
/// that cannot be written (before year 1 or at the end of 9999) become the nearest that can.
pub fn rfc3339_ms(at: TimestampMs) -> String {
    format!("{:.3}", instant(at))
}

/// Prints RFC 3339 with the decimals that are needed, as Go does.
pub fn rfc3339(at: TimestampMs) -> String {
    instant(at).to_string()
}

fn instant(at: TimestampMs) -> jiff::Timestamp {
    /// The beginning of year 1, Go's zero time.
    const FIRST: i64 = -62_135_596_800_000;
    let instant = jiff::Timestamp::from_millisecond(at.0.max(FIRST));
    // It fails only beyond the last instant.
    instant.unwrap_or(jiff::Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_are_those_of_each_api() {
        let check = |ms: i64, expected: &str| assert_eq!(rfc3339_ms(TimestampMs(ms)), expected);
        check(0, "1970-01-01T00:00:00.000Z");
        check(1_795_219_767_320, "2026-11-21T00:09:27.320Z");
        assert_eq!(rfc3339(TimestampMs(61_500)), "1970-01-01T00:01:01.5Z");
        check(i64::MAX, "9999-12-30T22:00:00.999Z");
        check(i64::MIN, "0001-01-01T00:00:00.000Z");
    }
}
