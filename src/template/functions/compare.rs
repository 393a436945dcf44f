//! `eq`, `ne`, `lt`, `le`, `gt`, `ge`: values of one kind only, as in Go.

use std::rc::Rc;
use std::sync::Arc;

use crate::template::functions::{Function, Param, function, variadic};
use crate::template::print::action_text;
use crate::template::value::{GoValue, IntType};

const TWO: [Param; 2] = [Param::Value, Param::Value];

pub(super) const FUNCTIONS: [Function; 6] = [
    variadic("eq", &[Param::Value], Param::Value, |_, a| {
        equals_any(&a[0], &a[1..]).map(GoValue::Bool)
    }),
    function("ne", &TWO, |_, a| {
        Ok(GoValue::Bool(!equals_any(&a[0], &a[1..])?))
    }),
    function("lt", &TWO, |_, a| less(&a[0], &a[1]).map(GoValue::Bool)),
    function("le", &TWO, |_, a| {
        less_or_equal(&a[0], &a[1]).map(GoValue::Bool)
    }),
    // Go's `gt` is "not `le`", so that it is true where a NaN is on either side.
    function("gt", &TWO, |_, a| {
        Ok(GoValue::Bool(!less_or_equal(&a[0], &a[1])?))
    }),
    function("ge", &TWO, |_, a| Ok(GoValue::Bool(!less(&a[0], &a[1])?))),
];

/// Why two values have no order.
const NO_ORDER: &str = "invalid type for comparison";

/// What can be compared, by kind.
#[derive(Clone, Copy)]
enum Kind<'a> {
    Bool(bool),
    Int(i64),
    /// A byte, Go's only unsigned value here.
    Unsigned(i64),
    Float(f64),
    String(&'a str),
    Other,
}

fn kind(value: &GoValue) -> Kind<'_> {
    match value {
        GoValue::Bool(value) => Kind::Bool(*value),
        GoValue::Int(value, IntType::Byte) => Kind::Unsigned(*value),
        GoValue::Int(value, _) => Kind::Int(*value),
        GoValue::Float(value) => Kind::Float(*value),
        GoValue::String(text) | GoValue::Html(text) => Kind::String(text),
        GoValue::Duration(span) if !span.is_pointer => Kind::Int(span.nanoseconds),
        _ => Kind::Other,
    }
}

fn equals_any(value: &GoValue, others: &[GoValue]) -> Result<bool, String> {
    if others.is_empty() {
        return Err("missing argument for comparison".to_owned());
    }
    for other in others {
        if equal(value, other)? {
            return Ok(true);
        }
    }
    Ok(false)
}

fn equal(a: &GoValue, b: &GoValue) -> Result<bool, String> {
    match (kind(a), kind(b)) {
        (Kind::Bool(a), Kind::Bool(b)) => Ok(a == b),
        (Kind::Int(a) | Kind::Unsigned(a), Kind::Int(b) | Kind::Unsigned(b)) => Ok(a == b),
        (Kind::Float(a), Kind::Float(b)) => Ok(a == b),
        (Kind::String(a), Kind::String(b)) => Ok(a == b),
        (Kind::Other, Kind::Other) => equal_others(a, b),
        _ if is_nil(a) || is_nil(b) => Ok(false),
        _ => Err(incompatible(a, b)),
    }
}

fn equal_others(a: &GoValue, b: &GoValue) -> Result<bool, String> {
    match (a, b) {
        (a, b) if is_nil(a) || is_nil(b) => Ok(is_nil(a) && is_nil(b)),
        (GoValue::Sample(a), GoValue::Sample(b)) => Ok(Rc::ptr_eq(a, b)),
        (GoValue::Histogram(a), GoValue::Histogram(b)) => Ok(Arc::ptr_eq(a, b)),
        (GoValue::Time(a), GoValue::Time(b)) if !a.is_pointer && !b.is_pointer => {
            Ok(a.nanoseconds == b.nanoseconds)
        }
        // Two pointers that were made apart.
        (GoValue::Time(_) | GoValue::Duration(_), GoValue::Time(_) | GoValue::Duration(_)) => {
            Ok(false)
        }
        (_, b) => Err(format!(
            "non-comparable type {}: {}",
            action_text(b),
            b.type_name()
        )),
    }
}

fn is_nil(value: &GoValue) -> bool {
    matches!(value, GoValue::Invalid | GoValue::Nil)
}

fn less(a: &GoValue, b: &GoValue) -> Result<bool, String> {
    match (kind(a), kind(b)) {
        (Kind::Other, _) | (_, Kind::Other) | (Kind::Bool(_), Kind::Bool(_)) => {
            Err(NO_ORDER.to_owned())
        }
        (Kind::Int(a) | Kind::Unsigned(a), Kind::Int(b) | Kind::Unsigned(b)) => Ok(a < b),
        (Kind::Float(a), Kind::Float(b)) => Ok(a < b),
        (Kind::String(a), Kind::String(b)) => Ok(a < b),
        _ => Err(incompatible(a, b)),
    }
}

fn less_or_equal(a: &GoValue, b: &GoValue) -> Result<bool, String> {
    Ok(less(a, b)? || equal(a, b)?)
}

fn incompatible(a: &GoValue, b: &GoValue) -> String {
    format!(
        "incompatible types for comparison: {} and {}",
        a.type_name(),
        b.type_name()
    )
}
