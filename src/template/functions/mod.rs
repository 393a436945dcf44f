//! The functions and methods that a template can call, with the types of their arguments.

mod builtin;
mod compare;
mod histogram;
mod humanize;
mod query;
mod text;
pub mod time;

use std::rc::Rc;

use crate::template::value::{Data, Duration, GoValue, IntType, Time};
use crate::template::{QueryFn, TemplateData};

/// What functions can ask for.
pub struct Context<'a, 'q> {
    /// What is being expanded.
    pub data: &'a TemplateData<'a>,
    /// Answers `query`.
    pub query: &'a mut QueryFn<'q>,
    /// How many queries were made.
    pub n_queries: usize,
}

/// The type of an argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Param {
    /// `interface {}`
    Any,
    /// `reflect.Value`: what Go's own functions take.
    Value,
    /// `string`
    String,
    /// `int`
    Int,
    /// `template.queryResult`
    QueryResult,
    /// `*template.sample`
    Sample,
    /// `time.Time`
    Time,
    /// `time.Duration`
    Duration,
}

impl Param {
    /// Returns the type as Go names it.
    pub fn type_name(self) -> &'static str {
        match self {
            Param::Any => "interface {}",
            Param::Value => "reflect.Value",
            Param::String => "string",
            Param::Int => "int",
            Param::QueryResult => "template.queryResult",
            Param::Sample => "*template.sample",
            Param::Time => "time.Time",
            Param::Duration => "time.Duration",
        }
    }

    /// Returns what `nil` is for the type, where it can be.
    pub fn nil(self) -> Option<GoValue> {
        match self {
            Param::Any | Param::Sample => Some(GoValue::Nil),
            Param::Value => Some(GoValue::Invalid),
            Param::QueryResult => Some(GoValue::QueryResult(Rc::default())),
            Param::String | Param::Int | Param::Time | Param::Duration => None,
        }
    }

    /// Returns an integer constant as a value of the type.
    pub fn int_value(self, value: i64) -> GoValue {
        match self {
            Param::Duration => GoValue::Duration(Duration {
                nanoseconds: value,
                is_pointer: false,
            }),
            _ => GoValue::Int(value, IntType::Int),
        }
    }

    /// Returns the value as one of the type, a pointer followed; `None` where it is another.
    pub fn accept(self, value: GoValue) -> Option<GoValue> {
        match (self, value) {
            (Param::Any | Param::Value, value) => Some(value),
            (Param::Time, GoValue::Time(time)) => Some(GoValue::Time(Time {
                is_pointer: false,
                ..time
            })),
            (Param::Duration, GoValue::Duration(span)) => Some(GoValue::Duration(Duration {
                is_pointer: false,
                ..span
            })),
            (Param::String, value @ GoValue::String(_))
            | (Param::Int, value @ GoValue::Int(_, IntType::Int))
            | (Param::QueryResult, value @ GoValue::QueryResult(_))
            | (Param::Sample, value @ GoValue::Sample(_)) => Some(value),
            _ => None,
        }
    }
}

/// A function's name and the types of its arguments.
#[derive(Debug)]
pub struct Signature {
    /// What a template calls it by.
    pub name: &'static str,
    /// The types of the arguments it must have.
    pub params: &'static [Param],
    /// The type of any further ones.
    pub variadic: Option<Param>,
}

/// What a call returns: a value, or the text of an error.
pub type Called = Result<GoValue, String>;

/// A function.
pub struct Function {
    /// How it is called.
    pub signature: Signature,
    /// What it does; the arguments are as the signature says.
    pub body: fn(&mut Context<'_, '_>, Vec<GoValue>) -> Called,
}

/// A method of a type.
pub struct Method {
    /// How it is called.
    pub signature: Signature,
    /// What it does with its receiver; the arguments are as the signature says.
    pub body: fn(&GoValue, &[GoValue]) -> Called,
}

/// Builds a table's row.
const fn function(
    name: &'static str,
    params: &'static [Param],
    body: fn(&mut Context<'_, '_>, Vec<GoValue>) -> Called,
) -> Function {
    Function {
        signature: Signature {
            name,
            params,
            variadic: None,
        },
        body,
    }
}

/// Builds a table's row of a function with any number of further arguments.
const fn variadic(
    name: &'static str,
    params: &'static [Param],
    more: Param,
    body: fn(&mut Context<'_, '_>, Vec<GoValue>) -> Called,
) -> Function {
    Function {
        signature: Signature {
            name,
            params,
            variadic: Some(more),
        },
        body,
    }
}

const TABLES: [&[Function]; 6] = [
    &builtin::FUNCTIONS,
    &compare::FUNCTIONS,
    &humanize::FUNCTIONS,
    &query::FUNCTIONS,
    &text::FUNCTIONS,
    &time::FUNCTIONS,
];

/// Returns the names of all functions, for "did you mean".
pub fn names() -> impl Iterator<Item = &'static str> {
    let all = TABLES.iter().flat_map(|table| table.iter());
    all.map(|function| function.signature.name)
}

/// Returns the function of that name.
pub fn find(name: &str) -> Option<&'static Function> {
    let mut all = TABLES.iter().flat_map(|table| table.iter());
    all.find(|function| function.signature.name == name)
}

/// Returns the method `name` of the value's type.
pub fn method(receiver: &GoValue, name: &str) -> Option<&'static Method> {
    let table: &[Method] = match receiver {
        GoValue::Time(_) => &time::TIME_METHODS,
        GoValue::Duration(_) => &time::DURATION_METHODS,
        GoValue::Int(_, IntType::Weekday | IntType::Month) => &time::NAME_METHODS,
        GoValue::Histogram(_) => &histogram::METHODS,
        _ => &[],
    };
    table.iter().find(|method| method.signature.name == name)
}

/// Returns the field or map entry `name`; a map's missing entry is the zero of its type.
pub fn field(receiver: &GoValue, name: &str) -> Option<GoValue> {
    match receiver {
        GoValue::Data(data) => data_field(data, name),
        GoValue::Labels(labels) => Some(GoValue::string(labels.value(name))),
        GoValue::Args(args) => Some(args.entries.get(name).cloned().unwrap_or(GoValue::Nil)),
        GoValue::Sample(sample) => match name {
            "Labels" => Some(GoValue::Labels(sample.labels.clone())),
            "Value" => Some(sample.value.clone()),
            _ => None,
        },
        GoValue::Histogram(histogram) => histogram::field(histogram, name),
        _ => None,
    }
}

fn data_field(data: &Data, name: &str) -> Option<GoValue> {
    match name {
        "Labels" => Some(GoValue::Labels(data.labels.clone())),
        "ExternalLabels" => Some(GoValue::Labels(data.external_labels.clone())),
        "ExternalURL" => Some(GoValue::String(data.external_url.clone())),
        "Value" => Some(data.value.clone()),
        _ => None,
    }
}

/// Returns the text of an argument that the signature says is one.
fn text_of(arguments: &[GoValue], idx: usize) -> &str {
    arguments
        .get(idx)
        .and_then(GoValue::as_str)
        .unwrap_or_default()
}
