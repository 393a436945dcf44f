//! Forms, read as Go's `net/url` does: what is malformed is left out and told of.

/// The pairs of a form.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Form {
    /// What could be read, in order.
    pub pairs: Vec<(String, String)>,
    /// What is wrong with the first pair that could not.
    pub error: Option<String>,
}

/// Reads `a=b&c=d`.
pub fn parse(text: &[u8]) -> Form {
    let mut form = Form::default();
    for pair in text.split(|byte| *byte == b'&') {
        if pair.is_empty() {
            continue;
        }
        match parse_pair(pair) {
            Ok(pair) => form.pairs.push(pair),
            Err(error) => {
                form.error.get_or_insert(error);
            }
        }
    }
    form
}

fn parse_pair(pair: &[u8]) -> Result<(String, String), String> {
    if pair.contains(&b';') {
        return Err("invalid semicolon separator in query".to_owned());
    }
    let equals = pair.iter().position(|byte| *byte == b'=');
    let (name, value) = match equals {
        Some(at) => (&pair[..at], &pair[at + 1..]),
        None => (pair, &pair[pair.len()..]),
    };
    Ok((unescape(name)?, unescape(value)?))
}

fn unescape(text: &[u8]) -> Result<String, String> {
    let mut plain = Vec::with_capacity(text.len());
    let mut at = 0;
    while let Some(&byte) = text.get(at) {
        match byte {
            b'+' => plain.push(b' '),
            b'%' => {
                let escape = &text[at..text.len().min(at + 3)];
                plain.push(hexadecimal(escape).ok_or_else(|| {
                    let escape = String::from_utf8_lossy(escape);
                    format!(
                        "invalid URL escape {}",
                        crate::model::labels::quote(&escape)
                    )
                })?);
                at += 2;
            }
            _ => plain.push(byte),
        }
        at += 1;
    }
    Ok(String::from_utf8_lossy(&plain).into_owned())
}

/// Reads `%2B`.
fn hexadecimal(escape: &[u8]) -> Option<u8> {
    let [b'%', high, low] = escape else {
        return None;
    };
    let digit = |byte: &u8| char::from(*byte).to_digit(16);
    u8::try_from(digit(high)? * 16 + digit(low)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn malformed_pairs_are_left_out_and_told_of() {
        let check = |text: &str, pairs: &[(&str, &str)], error: Option<&str>| {
            let form = parse(text.as_bytes());
            let found: Vec<_> = form
                .pairs
                .iter()
                .map(|(n, v)| (n.as_str(), v.as_str()))
                .collect();
            assert_eq!(
                (found.as_slice(), form.error.as_deref()),
                (pairs, error),
                "{text}"
            );
        };
        check(
            "a=b+c&d=%2B%c3%a9&e&=f",
            &[("a", "b c"), ("d", "+é"), ("e", ""), ("", "f")],
            None,
        );
        check("&&a=b=c", &[("a", "b=c")], None);
        let wrong = "invalid URL escape \"%zz\"";
        check("a=%zz&b=1&c=%", &[("b", "1")], Some(wrong));
        check("a=%4", &[], Some("invalid URL escape \"%4\""));
        check(
            "a=1;b=2&c=3",
            &[("c", "3")],
            Some("invalid semicolon separator in query"),
        );
    }
}
