//! What a plain scalar is taken for, and whether it is what its tag says.

use crate::yaml::parser::CORE_PREFIX;

/// Shortens a tag of YAML's own to `!!name`.
pub(crate) fn short(tag: &str) -> String {
    match tag.strip_prefix(CORE_PREFIX) {
        Some(name) => format!("!!{name}"),
        None => tag.to_owned(),
    }
}

/// Returns the tag that a plain scalar has by its looks.
pub(crate) fn resolved(text: &str) -> &'static str {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return "!!null",
        "true" | "True" | "TRUE" | "false" | "False" | "FALSE" => return "!!bool",
        ".nan" | ".NaN" | ".NAN" | ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF"
        | "-.inf" | "-.Inf" | "-.INF" => return "!!float",
        "<<" => return "!!merge",
        _ => {}
    }
    match text.as_bytes()[0] {
        b'.' if is_float(text) => "!!float",
        b'0'..=b'9' | b'+' | b'-' => number(text),
        _ => "!!str",
    }
}

fn number(text: &str) -> &'static str {
    if is_timestamp(text) {
        return "!!timestamp";
    }
    let plain = text.replace('_', "");
    let digits = plain.trim_start_matches(['+', '-']);
    let based = |prefixes: [&str; 2], base| {
        let rest = prefixes
            .iter()
            .find_map(|prefix| digits.strip_prefix(prefix));
        rest.is_some_and(|rest| u64::from_str_radix(rest, base).is_ok())
    };
    let is_octal = digits.len() > 1 && digits.starts_with('0');
    if based(["0x", "0X"], 16) || based(["0o", "0O"], 8) || based(["0b", "0B"], 2) {
        return "!!int";
    }
    let is_decimal = !is_octal && digits.parse::<u64>().is_ok();
    if is_decimal || is_octal && u64::from_str_radix(digits, 8).is_ok() {
        return "!!int";
    }
    match is_float(&plain) {
        true => "!!float",
        false => "!!str",
    }
}

fn is_float(text: &str) -> bool {
    let is_of_float = |c: char| c.is_ascii_digit() || "+-.eE".contains(c);
    text.chars().all(is_of_float) && text.parse::<f64>().is_ok()
}

/// Tells whether a text looks like a date, with or without a time.
fn is_timestamp(text: &str) -> bool {
    let mut parts = text.splitn(3, '-');
    let is_digits = |part: Option<&str>, lengths: std::ops::RangeInclusive<usize>| {
        part.is_some_and(|part| {
            lengths.contains(&part.len()) && part.bytes().all(|b| b.is_ascii_digit())
        })
    };
    let is_month = is_digits(parts.next(), 4..=4) && is_digits(parts.next(), 1..=2);
    let day = parts.next().unwrap_or_default();
    let n_digits = day.bytes().take_while(u8::is_ascii_digit).count();
    is_month
        && (1..=2).contains(&n_digits)
        && matches!(
            day.as_bytes().get(n_digits),
            None | Some(b'T' | b't' | b' ')
        )
}

/// Tells whether a scalar may have the tag that was written in front of it; if not, returns the
/// tag by its looks.
pub(crate) fn mismatch(tag: &str, text: &str) -> Option<&'static str> {
    let is_checked = matches!(
        tag,
        "!!bool" | "!!int" | "!!float" | "!!null" | "!!timestamp"
    );
    let found = resolved(text);
    let fits = found == tag || tag == "!!float" && found == "!!int";
    (is_checked && !fits).then_some(found)
}

/// Decodes base64 as it stands behind `!!binary`; `None` where it is none or no text.
pub(crate) fn binary(text: &str) -> Option<String> {
    let (mut bits, mut n_bits, mut bytes) = (0u32, 0, Vec::new());
    let plain: Vec<u8> = text
        .bytes()
        .filter(|b| !matches!(b, b'\n' | b'\r'))
        .collect();
    let digits = plain.iter().take_while(|b| **b != b'=').count();
    if !plain.len().is_multiple_of(4)
        || plain.len() - digits > 2
        || plain[digits..].iter().any(|b| *b != b'=')
    {
        return None;
    }
    for b in &plain[..digits] {
        let value = match b {
            b'A'..=b'Z' => b - b'A',
            b'a'..=b'z' => b - b'a' + 26,
            b'0'..=b'9' => b - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        bits = bits << 6 | u32::from(value);
        n_bits += 6;
        if n_bits >= 8 {
            n_bits -= 8;
            bytes.push((bits >> n_bits) as u8);
            bits &= (1 << n_bits) - 1;
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scalars_are_taken_by_their_looks() {
        let check = |text: &str, expected: &str| assert_eq!(resolved(text), expected, "{text}");
        check("", "!!null");
        check("~", "!!null");
        check("nullx", "!!str");
        check("True", "!!bool");
        check("yes", "!!str");
        check("<<", "!!merge");
        check("5", "!!int");
        check("-1_000", "!!int");
        check("0x1F", "!!int");
        check("017", "!!int");
        check("08", "!!float");
        check("0o17", "!!int");
        check("0b2", "!!str");
        check("1.5", "!!float");
        check("1e3", "!!float");
        check(".5", "!!float");
        check(".inf", "!!float");
        check("-", "!!str");
        check("5m", "!!str");
        check("2020-01-01", "!!timestamp");
        check("2020-01-01T00:00:00Z", "!!timestamp");
        check("2020-1", "!!str");
    }

    #[test]
    fn a_tag_must_fit() {
        let check = |tag: &str, text: &str, expected: Option<&str>| {
            assert_eq!(mismatch(tag, text), expected, "{tag} {text}");
        };
        check("!!int", "5", None);
        check("!!float", "5", None);
        check("!!int", "x", Some("!!str"));
        check("!!null", "x", Some("!!str"));
        check("!!bool", "1", Some("!!int"));
        check("!!str", "5", None);
        check("!own", "5", None);
    }

    #[test]
    fn binary_is_base64_of_text() {
        let check = |text: &str, expected: Option<&str>| {
            assert_eq!(binary(text).as_deref(), expected, "{text}");
        };
        check("aGk=", Some("hi"));
        check("aGk", None);
        check("aG=k", None);
        check("////", None);
        check("", Some(""));
    }
}
