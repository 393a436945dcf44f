//! Functions on texts: case, host names, regular expressions, links.

use std::net::IpAddr;

use percent_encoding::percent_decode_str;

use crate::model::labels::quote;
use crate::model::regex::compile_unanchored;
use crate::template::TEXT_BYTES_MAX;
use crate::template::functions::builtin::escape_query;
use crate::template::functions::{Called, Function, Param, function, text_of};
use crate::template::value::GoValue;

const ONE: [Param; 1] = [Param::String];

pub(super) const FUNCTIONS: [Function; 13] = [
    function("title", &ONE, |_, a| {
        Ok(GoValue::string(title(text_of(&a, 0))))
    }),
    function("toUpper", &ONE, |_, a| {
        Ok(GoValue::string(map_simple(
            text_of(&a, 0),
            char::to_uppercase,
        )))
    }),
    function("toLower", &ONE, |_, a| {
        Ok(GoValue::string(map_simple(
            text_of(&a, 0),
            char::to_lowercase,
        )))
    }),
    function("stripPort", &ONE, |_, a| {
        let text = text_of(&a, 0);
        let host = split_host_port(text).map_or(text, |(host, _)| host);
        Ok(GoValue::string(host))
    }),
    function("stripDomain", &ONE, |_, a| {
        Ok(GoValue::string(strip_domain(text_of(&a, 0))))
    }),
    function("match", &[Param::String, Param::String], |_, a| {
        let regex = compile_unanchored(text_of(&a, 0)).map_err(|e| e.to_string())?;
        Ok(GoValue::Bool(regex.is_match(text_of(&a, 1))))
    }),
    function("reReplaceAll", &[Param::String; 3], |_, a| {
        replace_all(text_of(&a, 0), text_of(&a, 1), text_of(&a, 2))
    }),
    function("graphLink", &ONE, |_, a| Ok(link(text_of(&a, 0), 0))),
    function("tableLink", &ONE, |_, a| Ok(link(text_of(&a, 0), 1))),
    function("urlQueryEscape", &ONE, |_, a| {
        Ok(GoValue::string(escape_query(text_of(&a, 0))))
    }),
    function("safeHtml", &ONE, |_, a| {
        Ok(GoValue::Html(text_of(&a, 0).into()))
    }),
    function("externalURL", &[], |context, _| {
        Ok(GoValue::string(context.data.external_url))
    }),
    function("pathPrefix", &[], |context, _| {
        Ok(GoValue::string(url_path(context.data.external_url)))
    }),
];

/// Writes the first letter of each word large and leaves the others. A word goes on over
/// digits, underscores, marks, and a point or apostrophe between letters.
fn title(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut inside_word = false;
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        let is_cased = c.is_lowercase() || c.is_uppercase();
        if is_cased && !inside_word {
            let mut upper = c.to_uppercase();
            out.extend(upper.next());
            out.extend(upper.flat_map(char::to_lowercase));
            inside_word = true;
            continue;
        }
        out.push(c);
        let joins = matches!(
            c,
            '\'' | '.' | ':' | '·' | '\u{2019}' | '\u{2018}' | '\u{2024}'
        ) && chars.peek().is_some_and(|next| next.is_alphabetic());
        if !(c.is_alphanumeric() || c == '_' || joins) {
            inside_word = false;
        }
    }
    out
}

/// Maps characters one to one, as Go's `strings.ToUpper` does: `ß` stays.
fn map_simple<I: Iterator<Item = char> + ExactSizeIterator>(
    text: &str,
    map: impl Fn(char) -> I,
) -> String {
    let one = |c: char| {
        let mut mapped = map(c);
        if mapped.len() == 1 {
            mapped.next().unwrap_or(c)
        } else {
            c
        }
    };
    text.chars().map(one).collect()
}

/// Splits as Go's `net.SplitHostPort`; `None` where that fails.
fn split_host_port(text: &str) -> Option<(&str, &str)> {
    let colon = text.rfind(':')?;
    let port = &text[colon + 1..];
    if let Some(inner) = text.strip_prefix('[') {
        let end = inner.find(']')?;
        let host = &inner[..end];
        let is_sound = end + 2 == colon && !host.contains('[') && !port.contains(['[', ']']);
        return is_sound.then_some((host, port));
    }
    let host = &text[..colon];
    (!host.contains(':') && !text.contains(['[', ']'])).then_some((host, port))
}

fn strip_domain(text: &str) -> String {
    let (host, port) = split_host_port(text).unwrap_or((text, ""));
    if host.parse::<IpAddr>().is_ok() {
        return text.to_owned();
    }
    let host = host.split('.').next().unwrap_or("");
    match port {
        "" => host.to_owned(),
        port if host.contains(':') => format!("[{host}]:{port}"),
        port => format!("{host}:{port}"),
    }
}

/// `$1` and `${name}` in the replacement stand for groups, as in Go.
fn replace_all(pattern: &str, replacement: &str, text: &str) -> Called {
    let regex = compile_unanchored(pattern).map_err(|message| {
        let pattern = if pattern.contains(['`', '\n']) {
            quote(pattern)
        } else {
            format!("`{pattern}`")
        };
        format!("regexp: Compile({pattern}): {message}")
    })?;
    let (mut out, mut end) = (String::new(), 0);
    for captures in regex.captures_iter(text) {
        let Some(whole) = captures.get(0) else {
            continue;
        };
        out.push_str(&text[end..whole.start()]);
        captures.expand(replacement, &mut out);
        end = whole.end();
        if out.len() > TEXT_BYTES_MAX {
            return Err(format!("the text is longer than {TEXT_BYTES_MAX} bytes"));
        }
    }
    out.push_str(&text[end..]);
    Ok(GoValue::string(out))
}

fn link(expr: &str, tab: u8) -> GoValue {
    let expr = escape_query(expr);
    GoValue::string(format!("/graph?g0.expr={expr}&g0.tab={tab}"))
}

/// The path of a URL, decoded.
fn url_path(url: &str) -> String {
    let after_scheme = url.split_once("://").map_or(url, |(_, rest)| rest);
    let without_query = after_scheme.split(['?', '#']).next().unwrap_or("");
    let path = match (without_query.find('/'), after_scheme.len() == url.len()) {
        (_, true) => without_query,
        (Some(slash), false) => &without_query[slash..],
        (None, false) => "",
    };
    percent_decode_str(path).decode_utf8_lossy().into_owned()
}
