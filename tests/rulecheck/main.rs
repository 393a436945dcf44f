//! Rule files: the verdicts of promtool, the words and hints of refusals, the order of groups.
//!
//! `data/rulecheck.jsonl` was recorded from promtool 3.12.0: each line a whole file, whether it
//! was accepted, with how many rules, and otherwise why. Verdicts and numbers must agree in
//! every case. Messages must be promtool's, at its place where it names one; ours may say more
//! (promtool stops at the first wrong duration). Catches a rule file that loads here and not
//! there, the other way round, and a message that no longer can be looked up.

mod dialects;
mod errors;
mod foreign;
mod kubernetes;
mod order;
mod recorded;
mod unit_tests;

/// From promtool 3.12.0.
const CASES: &str = include_str!("../data/rulecheck.jsonl");

#[test]
fn verdicts_and_messages_are_promtools() {
    let (n_cases, failures) = recorded::compare(CASES);
    println!(
        "{} of {n_cases} recorded files agree",
        n_cases - failures.len()
    );
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
}
