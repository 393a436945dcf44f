//! Asking for series inside a template: `query` and what takes its result apart, and `args`.

use std::collections::BTreeMap;
use std::rc::Rc;

use crate::template::TEXT_BYTES_MAX;
use crate::template::functions::{Called, Context, Function, Param, function, text_of, variadic};
use crate::template::value::{Args, GoValue, Sample};

/// How many queries one expansion may make; beyond it the expansion fails.
const QUERIES_MAX: usize = 1_000;

/// How many results of `args` may lie in each other.
const ARGS_DEPTH_MAX: usize = 32;

/// What Go says of a sample that is not there.
const NIL_POINTER: &str = "runtime error: invalid memory address or nil pointer dereference";

pub(super) const FUNCTIONS: [Function; 7] = [
    function("query", &[Param::String], |context, a| {
        query(context, text_of(&a, 0))
    }),
    function("first", &[Param::QueryResult], |_, a| match &a[0] {
        GoValue::QueryResult(elements) if !elements.is_empty() => {
            Ok(GoValue::Sample(elements[0].clone()))
        }
        _ => Err("first() called on vector with no elements".to_owned()),
    }),
    function("label", &[Param::String, Param::Sample], |_, a| {
        Ok(GoValue::string(sample(&a[1])?.labels.value(text_of(&a, 0))))
    }),
    function("value", &[Param::Sample], |_, a| {
        Ok(sample(&a[0])?.value.clone())
    }),
    function("strvalue", &[Param::Sample], |_, a| {
        Ok(GoValue::string(sample(&a[0])?.labels.value("__value__")))
    }),
    function(
        "sortByLabel",
        &[Param::String, Param::QueryResult],
        |_, a| {
            let GoValue::QueryResult(elements) = &a[1] else {
                return Ok(a[1].clone());
            };
            let (name, mut elements) = (text_of(&a, 0), elements.to_vec());
            elements.sort_by(|x, y| x.labels.value(name).cmp(y.labels.value(name)));
            Ok(GoValue::QueryResult(Rc::new(elements)))
        },
    ),
    variadic("args", &[], Param::Any, |_, a| args(a)),
];

fn query(context: &mut Context<'_, '_>, text: &str) -> Called {
    context.n_queries += 1;
    if context.n_queries > QUERIES_MAX {
        return Err(format!("more than {QUERIES_MAX} queries in one template"));
    }
    let elements = (context.query)(text)?;
    let samples = elements.into_iter().map(|e| Rc::new(Sample::from(e)));
    Ok(GoValue::QueryResult(Rc::new(samples.collect())))
}

fn sample(value: &GoValue) -> Result<&Sample, String> {
    match value {
        GoValue::Sample(sample) => Ok(sample),
        _ => Err(NIL_POINTER.to_owned()),
    }
}

/// `map[arg0:… arg1:…]`; bounded, for maps in maps grow by powers of two.
fn args(arguments: Vec<GoValue>) -> Called {
    let (mut depth, mut n_bytes) = (1, 0);
    for argument in &arguments {
        n_bytes += match argument {
            GoValue::String(text) | GoValue::Html(text) => text.len(),
            GoValue::Labels(labels) => labels.heap_bytes(),
            GoValue::Sample(sample) => sample.labels.heap_bytes(),
            GoValue::Data(data) => data.labels.heap_bytes() + data.external_labels.heap_bytes(),
            GoValue::Args(args) => args.n_bytes,
            GoValue::QueryResult(elements) => elements.len(),
            _ => 16,
        };
        if let GoValue::Args(args) = argument {
            depth = depth.max(args.depth + 1);
        }
    }
    if depth > ARGS_DEPTH_MAX || n_bytes > TEXT_BYTES_MAX {
        return Err("arguments in arguments are too deep or too long".to_owned());
    }
    let named = |(idx, value)| (format!("arg{idx}"), value);
    let entries: BTreeMap<_, _> = arguments.into_iter().enumerate().map(named).collect();
    Ok(GoValue::Args(Rc::new(Args {
        entries,
        depth,
        n_bytes: n_bytes + 16,
    })))
}
