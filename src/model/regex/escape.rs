//! Escapes that stand for one character: `\n`, `\x41`, `\x{1F600}`, `\101`, `\.`.

use crate::model::regex::syntax::{Result, refuse};

/// Reads an escape that stands for one character, at the backslash, and returns what follows it.
pub fn character_escape(text: &str) -> Result<(u32, &str)> {
    let mut chars = text[1..].chars();
    let Some(c) = chars.next() else {
        return refuse("trailing backslash at end of expression", "");
    };
    let octal = |text: &str| text.chars().next().and_then(|c| c.to_digit(8));
    let code = match c {
        'a' => Some(7),
        'f' => Some(12),
        'n' => Some(10),
        'r' => Some(13),
        't' => Some(9),
        'v' => Some(11),
        'x' => hex_escape(&mut chars),
        // A lone digit would be a reference to a group, which RE2 has not.
        '1'..='7' if octal(chars.as_str()).is_none() => None,
        '0'..='7' => {
            let mut code = c as u32 - '0' as u32;
            for _ in 0..2 {
                if let Some(digit) = octal(chars.as_str()) {
                    code = code * 8 + digit;
                    chars.next();
                }
            }
            Some(code)
        }
        c if c.is_ascii() && !c.is_ascii_alphanumeric() => Some(c as u32),
        _ => None,
    };
    let rest = chars.as_str();
    match code {
        Some(code) => Ok((code, rest)),
        None => refuse("invalid escape sequence", &text[..text.len() - rest.len()]),
    }
}

/// Reads `41` or `{1F600}`.
fn hex_escape(chars: &mut std::str::Chars<'_>) -> Option<u32> {
    let first = chars.next()?;
    if first != '{' {
        let second = chars.next();
        return Some(first.to_digit(16)? * 16 + second?.to_digit(16)?);
    }
    let (mut code, mut n_digits) = (0, 0);
    loop {
        match chars.next()? {
            '}' => return (n_digits > 0).then_some(code),
            c => code = code * 16 + c.to_digit(16)?,
        }
        if code > char::MAX as u32 {
            return None;
        }
        n_digits += 1;
    }
}
