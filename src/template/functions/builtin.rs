//! The functions that Go's templates have by themselves, but for comparisons.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::template::functions::{Called, Context, Function, Param, function, variadic};
use crate::template::print::{action_text, sprint, sprintf, sprintln};
use crate::template::value::{GoValue, IntType};

pub(super) const FUNCTIONS: [Function; 13] = [
    // The expander evaluates these two itself, for they stop at the first that decides.
    variadic("and", &[Param::Value], Param::Value, first_argument),
    variadic("or", &[Param::Value], Param::Value, first_argument),
    function("not", &[Param::Value], |_, a| {
        Ok(GoValue::Bool(!a[0].is_true()))
    }),
    variadic("call", &[Param::Value], Param::Value, call),
    function("len", &[Param::Value], |_, a| length(&a[0])),
    variadic("index", &[Param::Value], Param::Value, |_, a| index(a)),
    variadic("slice", &[Param::Value], Param::Value, |_, a| slice(&a)),
    variadic("print", &[], Param::Any, |_, a| {
        Ok(GoValue::string(sprint(&a)))
    }),
    variadic("printf", &[Param::String], Param::Any, |_, a| {
        let format = a[0].as_str().unwrap_or_default();
        Ok(GoValue::string(sprintf(format, &a[1..])))
    }),
    variadic("println", &[], Param::Any, |_, a| {
        Ok(GoValue::string(sprintln(&a)))
    }),
    variadic("html", &[], Param::Any, |_, a| {
        Ok(GoValue::string(escape_html(&joined(a))))
    }),
    variadic("js", &[], Param::Any, |_, a| {
        Ok(GoValue::string(escape_js(&joined(a))))
    }),
    variadic("urlquery", &[], Param::Any, |_, a| {
        Ok(GoValue::string(escape_query(&joined(a))))
    }),
];

fn first_argument(_: &mut Context<'_, '_>, mut arguments: Vec<GoValue>) -> Called {
    Ok(arguments.swap_remove(0))
}

/// A template of ours can hold no function, so there is nothing to call.
fn call(_: &mut Context<'_, '_>, arguments: Vec<GoValue>) -> Called {
    match &arguments[0] {
        GoValue::Invalid | GoValue::Nil => Err("call of nil".to_owned()),
        value => Err(format!(
            "non-function {} of type {}",
            action_text(value),
            value.type_name()
        )),
    }
}

fn length(value: &GoValue) -> Called {
    match value {
        GoValue::String(text) | GoValue::Html(text) => Ok(GoValue::int(text.len())),
        GoValue::Labels(labels) => Ok(GoValue::int(labels.len())),
        GoValue::Args(args) => Ok(GoValue::int(args.entries.len())),
        GoValue::QueryResult(elements) => Ok(GoValue::int(elements.len())),
        GoValue::Invalid | GoValue::Nil => {
            Err("reflect: call of reflect.Value.Type on zero Value".to_owned())
        }
        value => Err(format!("len of type {}", pointed_type(value))),
    }
}

fn index(arguments: Vec<GoValue>) -> Called {
    let mut arguments = arguments.into_iter();
    let mut item = arguments.next().unwrap_or(GoValue::Invalid);
    if let GoValue::Invalid | GoValue::Nil = item {
        return Err("index of untyped nil".to_owned());
    }
    for key in arguments {
        item = index_once(&item, &key)?;
    }
    Ok(item)
}

fn index_once(item: &GoValue, key: &GoValue) -> Called {
    let name = || match key {
        GoValue::String(name) => Ok(name),
        GoValue::Invalid | GoValue::Nil => Err("value is nil; should be of type string".to_owned()),
        key => Err(format!(
            "value has type {}; should be string",
            key.type_name()
        )),
    };
    match item {
        GoValue::String(text) | GoValue::Html(text) => {
            let at = position(key, text.len())?;
            // Go panics at the end itself, and its template hands that on as an error.
            let byte = text
                .as_bytes()
                .get(at)
                .ok_or("reflect: string index out of range")?;
            Ok(GoValue::Int(i64::from(*byte), IntType::Byte))
        }
        GoValue::QueryResult(elements) => {
            let at = position(key, elements.len())?;
            let sample = elements
                .get(at)
                .ok_or("reflect: slice index out of range")?;
            Ok(GoValue::Sample(sample.clone()))
        }
        GoValue::Labels(labels) => Ok(GoValue::string(labels.value(name()?))),
        GoValue::Args(args) => {
            let value = args.entries.get(&**name()?);
            Ok(value.cloned().unwrap_or(GoValue::Nil))
        }
        GoValue::Invalid | GoValue::Nil => Err("index of nil pointer".to_owned()),
        item => Err(format!("can't index item of type {}", pointed_type(item))),
    }
}

fn slice(arguments: &[GoValue]) -> Called {
    let (item, keys) = arguments.split_first().ok_or("slice of untyped nil")?;
    if keys.len() > 3 {
        return Err(format!("too many slice indexes: {}", keys.len()));
    }
    let length = match item {
        GoValue::String(_) | GoValue::Html(_) if keys.len() == 3 => {
            return Err("cannot 3-index slice a string".to_owned());
        }
        GoValue::String(text) | GoValue::Html(text) => text.len(),
        GoValue::QueryResult(elements) => elements.len(),
        GoValue::Invalid | GoValue::Nil => return Err("slice of untyped nil".to_owned()),
        item => return Err(format!("can't slice item of type {}", pointed_type(item))),
    };
    let mut bounds = [0, length, length];
    for (bound, key) in bounds.iter_mut().zip(keys) {
        *bound = position(key, length)?;
    }
    for pair in bounds.windows(2).take(keys.len().max(2) - 1) {
        if pair[0] > pair[1] {
            return Err(format!("invalid slice index: {} > {}", pair[0], pair[1]));
        }
    }
    let range = bounds[0]..bounds[1];
    Ok(match item {
        GoValue::QueryResult(elements) => GoValue::QueryResult(elements[range].to_vec().into()),
        GoValue::String(text) => GoValue::string(cut(text, range)),
        GoValue::Html(text) => GoValue::Html(cut(text, range).into()),
        _ => GoValue::Invalid,
    })
}

/// Cuts by bytes, as Go does; halves of a character become replacement characters.
fn cut(text: &str, range: std::ops::Range<usize>) -> String {
    String::from_utf8_lossy(&text.as_bytes()[range]).into_owned()
}

fn position(key: &GoValue, capacity: usize) -> Result<usize, String> {
    match key {
        GoValue::Int(at, _) => match usize::try_from(*at) {
            Ok(position) if position <= capacity => Ok(position),
            _ => Err(format!("index out of range: {at}")),
        },
        GoValue::Invalid | GoValue::Nil => Err("cannot index slice/array with nil".to_owned()),
        key => Err(format!(
            "cannot index slice/array with type {}",
            key.type_name()
        )),
    }
}

/// The type that a pointer points to, which Go names here.
fn pointed_type(value: &GoValue) -> &'static str {
    value.type_name().trim_start_matches('*')
}

/// The arguments of `html`, `js` and `urlquery` as one text, pointers followed.
fn joined(arguments: Vec<GoValue>) -> String {
    let follow = |value: GoValue| match value {
        value @ (GoValue::Sample(_) | GoValue::Invalid | GoValue::Nil) => {
            GoValue::string(action_text(&value))
        }
        value => value,
    };
    sprint(&arguments.into_iter().map(follow).collect::<Vec<_>>())
}

fn escape_html(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\0' => out.push('\u{FFFD}'),
            '"' => out.push_str("&#34;"),
            '\'' => out.push_str("&#39;"),
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            c => out.push(c),
        }
    }
    out
}

fn escape_js(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '\'' => out.push_str("\\'"),
            '"' => out.push_str("\\\""),
            '<' | '>' | '&' | '=' => out.push_str(&format!("\\u{:04X}", u32::from(c))),
            c if c < ' ' || (c.is_control() && c != '\x7f') => {
                out.push_str(&format!("\\u{:04X}", u32::from(c)));
            }
            c => out.push(c),
        }
    }
    out
}

/// What a query may hold unescaped; a space becomes `+`.
const QUERY: AsciiSet = NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~')
    .remove(b' ');

/// Escapes as Go's `url.QueryEscape`.
pub(super) fn escape_query(text: &str) -> String {
    utf8_percent_encode(text, &QUERY)
        .to_string()
        .replace(' ', "+")
}
