//! gtmpl-ng: what it makes of templates, against our engine.
//!
//! The language is compared: pipelines, branches, variables, `printf`. Prometheus' functions
//! are not in gtmpl-ng; both call ours, but for `query`, `first`, `value` and `label`, whose
//! results it must take apart itself.

use std::collections::{BTreeSet, HashMap};

use burnwatch::model::{Labels, SampleValue, TimestampMs, VectorElement};
use burnwatch::template::{Template, TemplateData};
use gtmpl_ng::{Context, Func, FuncError, Value};

use crate::corpora;

/// Printed alike by both: gtmpl-ng does not print large floats as Go does.
const VALUE: f64 = 12.5;
const NOW: TimestampMs = TimestampMs(1_700_000_000_000);
/// What Prometheus puts before each template.
const PRELUDE: &str = "{{$labels := .Labels}}{{$externalLabels := .ExternalLabels}}\
    {{$externalURL := .ExternalURL}}{{$value := .Value}}";

/// The labels that templates ask for, each with a value of its own: what is missing is the
/// empty text in Prometheus and `<no value>` there.
fn labels_of(texts: &BTreeSet<String>) -> Labels {
    let pattern = regex::Regex::new(r"(?i)labels\.([a-zA-Z_][a-zA-Z0-9_]*)").expect("a pattern");
    let names = texts.iter().flat_map(|text| pattern.captures_iter(text));
    let names: BTreeSet<String> = names.map(|found| found[1].to_owned()).collect();
    Labels::from_pairs(
        names
            .into_iter()
            .map(|name| (name.clone(), format!("v-{name}"))),
    )
}

fn ours(text: &str, labels: &Labels) -> Result<String, String> {
    let data = TemplateData {
        labels,
        value: &SampleValue::Float(VALUE),
        external_labels: labels,
        external_url: "http://here:9090/p",
        at: NOW,
    };
    let element = VectorElement {
        labels: labels.clone(),
        value: SampleValue::Float(VALUE),
    };
    let template = Template::parse("t", text).map_err(|error| error.to_string())?;
    let expanded = template.expand(&data, &mut |_| Ok(vec![element.clone()]));
    expanded.map_err(|error| error.to_string())
}

fn map(labels: &Labels) -> Value {
    let pairs = labels
        .iter()
        .map(|(name, value)| (name.to_owned(), Value::from(value)));
    Value::Map(pairs.collect::<HashMap<_, _>>())
}

fn theirs(text: &str, labels: &Labels) -> Result<String, String> {
    let mut template = gtmpl_ng::Template::default();
    for (name, function) in FUNCTIONS {
        template.add_func(name, *function);
    }
    template.add_func("query", query);
    let data = HashMap::from([
        ("Labels".to_owned(), map(labels)),
        ("ExternalLabels".to_owned(), map(labels)),
        ("ExternalURL".to_owned(), Value::from("http://here:9090/p")),
        ("Value".to_owned(), Value::from(VALUE)),
    ]);
    template
        .parse(format!("{PRELUDE}{text}"))
        .map_err(|error| error.to_string())?;
    let rendered = template.render(&Context::from(Value::Object(data)));
    rendered.map_err(|error| error.to_string())
}

fn query(args: &[Value]) -> Result<Value, FuncError> {
    let labels = LABELS.with(|labels| labels.borrow().clone());
    let [Value::String(_)] = args else {
        return Err(FuncError::ExactlyXArgs("query".to_owned(), 1));
    };
    let element = HashMap::from([
        ("Labels".to_owned(), map(&labels)),
        ("Value".to_owned(), Value::from(VALUE)),
    ]);
    Ok(Value::Array(vec![Value::Object(element)]))
}

thread_local! {
    /// What `query` answers with: its functions are bare pointers.
    static LABELS: std::cell::RefCell<Labels> = std::cell::RefCell::new(Labels::empty());
}

fn first(args: &[Value]) -> Result<Value, FuncError> {
    match args {
        [Value::Array(elements)] if !elements.is_empty() => Ok(elements[0].clone()),
        _ => Err(FuncError::Generic(
            "first() called on vector with no elements".to_owned(),
        )),
    }
}

fn field(args: &[Value], name: &str) -> Result<Value, FuncError> {
    match args.last() {
        Some(Value::Object(fields)) => Ok(fields[name].clone()),
        _ => Err(FuncError::Generic(format!("no {name}"))),
    }
}

fn value(args: &[Value]) -> Result<Value, FuncError> {
    field(args, "Value")
}

fn label(args: &[Value]) -> Result<Value, FuncError> {
    match (args.first(), field(args, "Labels")?) {
        (Some(Value::String(name)), Value::Map(labels)) => {
            Ok(labels.get(name).cloned().unwrap_or_else(|| Value::from("")))
        }
        _ => Err(FuncError::Generic("no label".to_owned())),
    }
}

/// Calls one of Prometheus' functions through our engine.
fn call(name: &str, args: &[Value]) -> Result<Value, FuncError> {
    let written = args.iter().map(|arg| match arg {
        Value::String(text) => Ok(format!("{text:?}")),
        Value::Number(number) => Ok(number.to_string()),
        other => Err(FuncError::Generic(format!("{name} of {other}"))),
    });
    let written: Vec<String> = written.collect::<Result<_, _>>()?;
    let text = format!("{{{{ {name} {} }}}}", written.join(" "));
    let result = ours(&text, &Labels::empty());
    result.map(Value::from).map_err(FuncError::Generic)
}

macro_rules! functions {
    ($($rust:ident $name:literal),*) => {
        $(fn $rust(args: &[Value]) -> Result<Value, FuncError> { call($name, args) })*
        const FUNCTIONS: &[(&str, Func)] = &[
            ("first", first), ("value", value), ("label", label), $(($name, $rust)),*
        ];
    };
}

functions!(
    humanize "humanize",
    humanize_1024 "humanize1024",
    humanize_duration "humanizeDuration",
    humanize_percentage "humanizePercentage",
    humanize_timestamp "humanizeTimestamp",
    title "title",
    to_upper "toUpper",
    to_lower "toLower",
    re_replace_all "reReplaceAll",
    strip_port "stripPort",
    strip_domain "stripDomain"
);

/// Functions that take or return what gtmpl-ng has no type for (instants, spans, safe HTML), or
/// that say something of a truth value; what calls them is left out.
const NOT_GIVEN: [&str; 7] = [
    "args ",
    "match ",
    "now ",
    "parseDuration ",
    "safeHtml ",
    "toDuration ",
    "toTime ",
];

fn compare(name: &str, texts: &BTreeSet<String>) {
    let labels = labels_of(texts);
    LABELS.with(|known| *known.borrow_mut() = labels.clone());
    let calls = |text: &&String| NOT_GIVEN.iter().any(|name| text.contains(name));
    let (left_out, compared): (Vec<&String>, Vec<&String>) = texts.iter().partition(calls);
    let mut wrong = Vec::new();
    for text in &compared {
        let (ours, theirs) = (ours(text, &labels), theirs(text, &labels));
        let is_alike = match (&ours, &theirs) {
            (Ok(ours), Ok(theirs)) => ours == theirs,
            (Err(_), Err(_)) => true,
            _ => false,
        };
        if !is_alike {
            wrong.push(format!("{text}\n  ours:   {ours:?}\n  theirs: {theirs:?}"));
        }
    }
    let (n, n_alike) = (compared.len(), compared.len() - wrong.len());
    let n_left_out = left_out.len();
    say!("{name}: {n_alike} of {n} templates expand alike, {n_left_out} are left out");
    assert!(
        wrong.is_empty(),
        "{} differ:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

#[test]
fn recorded_rules_expand_alike() {
    let texts = corpora::recorded_templates();
    assert!(texts.len() > 40, "{}", texts.len());
    compare("recorded rules", &texts);
}

#[test]
fn public_rules_expand_alike() {
    let texts = corpora::public_templates();
    if !texts.is_empty() {
        compare("public rules", &texts);
    }
}
