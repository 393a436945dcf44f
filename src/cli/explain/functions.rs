//! `burnwatch explain --functions [NAME]`: what the functions say of themselves.

use anyhow::bail;
use serde_json::{Value, json};

use crate::cli::explain::{Format, suggested};
use crate::engine::explain::call_text;
use crate::functions::{ALL, Function, find};
use crate::promql::ValueType;

/// The switch that experimental functions are behind.
const FLAG: &str = "promql-experimental-functions";

/// Describes one function, or all by name.
pub fn describe(name: Option<&str>, format: Format) -> anyhow::Result<String> {
    let chosen: Vec<&dyn Function> = match name {
        None => ALL.to_vec(),
        Some(name) => match find(name) {
            Some(function) => vec![function],
            None => bail!(
                "no function is called {name:?}{}; `burnwatch explain --functions` lists all",
                suggested(name)
            ),
        },
    };
    Ok(match format {
        Format::Text => chosen.into_iter().map(text).collect(),
        Format::Json => {
            let described: Vec<Value> = chosen.into_iter().map(to_json).collect();
            format!("{:#}\n", json!({ "functions": described }))
        }
    })
}

fn text(function: &dyn Function) -> String {
    let signature = function.signature();
    let flag = if signature.experimental {
        format!("    needs --enable-feature={FLAG}\n")
    } else {
        String::new()
    };
    let origin = match function.is_extension() {
        true => "    burnwatch's own: Prometheus does not have it\n",
        false => "",
    };
    format!(
        "{} → {}\n    {}\n    {}\n{flag}{origin}",
        call_text(&signature),
        signature.returns.documented(),
        function.about(),
        function.example(),
    )
}

fn to_json(function: &dyn Function) -> Value {
    let signature = function.signature();
    let args = signature.args.iter().copied().map(ValueType::documented);
    json!({
        "name": signature.name,
        "call": call_text(&signature),
        "args": args.collect::<Vec<_>>(),
        "variadic": signature.variadic,
        "returns": signature.returns.documented(),
        "about": function.about(),
        "example": function.example(),
        "feature": signature.experimental.then_some(FLAG),
        "extension": function.is_extension(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_say_what_they_do() {
        let check = |name: &str, expected: &str| {
            let text = describe(Some(name), Format::Text).expect(name);
            assert!(text.starts_with(expected), "{text}");
        };
        check("rate", "rate(range vector) → instant vector\n    Returns");
        check(
            "round",
            "round(instant vector, [scalar]) → instant vector\n",
        );
        check("time", "time() → scalar\n");
        check("hour", "hour([instant vector]) → instant vector\n");
        check(
            "label_join",
            "label_join(instant vector, string, string, [string …]) → instant vector\n",
        );
        let text = describe(Some("info"), Format::Text).expect("a function");
        assert!(text.ends_with("    needs --enable-feature=promql-experimental-functions\n"));
        let text = describe(Some("drift_psi"), Format::Text).expect("a function");
        assert!(text.ends_with("    burnwatch's own: Prometheus does not have it\n"));
        let all = describe(None, Format::Text).expect("all");
        assert_eq!(all.matches(" → ").count(), ALL.len());
    }
}
