//! Rule files: the verdicts of promtool, the words and hints of refusals, the order of groups.
//!
//! `data/rulecheck.jsonl` and `data/rulecheck_more.jsonl` were recorded from promtool: each line a
//! whole file, whether it was accepted, with how many rules, and otherwise why. Catches a rule
//! file that loads here and not there, the other way round, and a message that no longer can be
//! looked up.

#[macro_use]
#[path = "../support/say.rs"]
mod say;

mod bundled;
mod dialects;
mod errors;
mod foreign;
mod kubernetes;
mod order;
mod recorded;
mod unit_tests;

/// From promtool 3.12.0.
const CASES: &str = include_str!("../data/rulecheck.jsonl");
/// From promtool 3.14.0: small files of which a line, word or sign was changed at random.
const MORE_CASES: &str = include_str!("../data/rulecheck_more.jsonl");

#[test]
fn verdicts_and_messages_are_promtools() {
    for (version, cases) in [("3.12.0", CASES), ("3.14.0", MORE_CASES)] {
        let (n_cases, failures) = recorded::compare(cases);
        let n_right = n_cases - failures.len();
        say!("{n_right} of {n_cases} files have the verdict and words of promtool {version}");
        assert!(failures.is_empty(), "{}", failures.join("\n\n"));
    }
}

/// Whatever a file is refused for, its author is told what to do.
#[test]
fn no_refusal_is_without_a_hint() {
    let errors = || {
        CASES
            .lines()
            .chain(MORE_CASES.lines())
            .flat_map(recorded::refusals)
    };
    let without: Vec<String> = errors()
        .filter(|error| error.hint.as_deref().unwrap_or_default().is_empty())
        .map(|error| error.to_string())
        .collect();
    let n_errors = errors().count();
    say!(
        "{} of {n_errors} errors have a hint",
        n_errors - without.len()
    );
    assert!(without.is_empty(), "{}", without.join("\n"));
}
