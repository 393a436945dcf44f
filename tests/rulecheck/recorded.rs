//! Verdicts recorded from promtool, and when ours agree with them.
//!
//! Verdicts and numbers must agree in every case. Messages must be promtool's, at its place where
//! it names one; ours may say more (promtool stops at the first wrong duration).

use burnwatch::functions::Functions;
use burnwatch::promql::Features;
use burnwatch::rule::{RuleError, parse_file};
use serde_json::Value;

/// Compares all cases of a text, a line each; returns their number and what differs.
pub fn compare(cases: &str) -> (usize, Vec<String>) {
    let mut failures = Vec::new();
    let mut n_cases = 0;
    for (idx, line) in cases.lines().enumerate() {
        let case: Value = serde_json::from_str(line).expect("a case is JSON");
        n_cases += 1;
        if let Err(why) = check(&case) {
            failures.push(format!("case {}: {why}\n{}", idx + 1, case["yaml"]));
        }
    }
    (n_cases, failures)
}

/// Returns what is wrong with the file of a recorded case.
pub fn refusals(line: &str) -> Vec<RuleError> {
    let case: Value = serde_json::from_str(line).expect("a case is JSON");
    let text = case["yaml"].as_str().expect("a case has a file");
    let parsed = parse_file("f.yml", text, &Functions, Features::default());
    parsed.err().unwrap_or_default()
}

fn check(case: &Value) -> Result<(), String> {
    let text = case["yaml"].as_str().expect("a case has a file");
    let accepted = case["ok"].as_bool().expect("a case has a verdict");
    match parse_file("f.yml", text, &Functions, Features::default()) {
        Ok(parsed) if accepted => {
            let n_rules: usize = parsed.groups.iter().map(|group| group.rules.len()).sum();
            if case["rules"].as_u64() != Some(n_rules as u64) {
                return Err(format!("{n_rules} rules, promtool found {}", case["rules"]));
            }
            let missing = |warning: &&str| !parsed.warnings.iter().any(|ours| ours == warning);
            match texts(&case["warnings"]).find(missing) {
                Some(warning) => Err(format!("no warning {warning:?}: {:?}", parsed.warnings)),
                None => Ok(()),
            }
        }
        Ok(_) => Err(format!("accepted; promtool: {}", case["errors"])),
        Err(errors) if accepted => Err(format!("refused: {errors:?}")),
        Err(errors) => {
            let missing = |wanted: &&str| !errors.iter().any(|error| says(error, wanted));
            match texts(&case["errors"]).find(missing) {
                Some(wanted) => Err(format!("promtool says {wanted:?}, we say {errors:#?}")),
                None => Ok(()),
            }
        }
    }
}

fn texts(list: &Value) -> impl Iterator<Item = &str> {
    list.as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
}

/// Tells whether an error says what a line of promtool's message says.
pub fn says(error: &RuleError, wanted: &str) -> bool {
    if wanted == "yaml: unmarshal errors:" {
        return true;
    }
    if wanted.starts_with("yaml: ") {
        return error.message == wanted;
    }
    if let Some((line, rest)) = wanted
        .strip_prefix("line ")
        .and_then(|w| w.split_once(": "))
    {
        return line.parse() == Ok(error.line) && says_of_the_decoder(error, rest);
    }
    let (place, message) = place_and_message(wanted);
    let same_place = place.is_none_or(|place| place == (error.line, error.column));
    same_place && (error.message.ends_with(message) || error.message.trim_end().ends_with(message))
}

/// Go's decoder names Go's types, we name fields; the line and the thing must agree.
fn says_of_the_decoder(error: &RuleError, wanted: &str) -> bool {
    if let Some((field, _)) = wanted.split_once(" not found in type") {
        return error.message.contains(&format!("{field} not found in"));
    }
    if wanted.starts_with("cannot unmarshal") {
        return error.message.contains(" must be ") || error.message.contains("is a mapping");
    }
    error.message == wanted
}

/// Splits `5:11: message`; a place of `0:0` is none, and of two the first counts.
fn place_and_message(text: &str) -> (Option<(usize, usize)>, &str) {
    let (mut first, mut rest) = (None, text);
    while let Some((place, tail)) = rest.split_once(": ") {
        let numbers = place
            .split_once(':')
            .map(|(line, column)| (line.parse(), column.parse()));
        let Some((Ok(line), Ok(column))) = numbers else {
            break;
        };
        first = first.or(Some((line, column)));
        rest = tail;
    }
    (first.filter(|place| *place != (0, 0)), rest)
}
