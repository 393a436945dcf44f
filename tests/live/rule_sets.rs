//! Random rule sets, written as files.

use std::fmt::Write as _;

use proptest::prelude::*;
use proptest::sample::select;

use crate::expressions::{exact, near};

/// A rule.
#[derive(Clone, Debug)]
pub struct Rule {
    pub expr: String,
    pub kind: Kind,
}

/// What becomes of its values.
#[derive(Clone, Debug)]
pub enum Kind {
    /// Recorded, under a name that others read.
    Record,
    /// Recorded, under a name that nobody reads: values may be off by rounding.
    RecordNear,
    /// Compared with one of the values that occur, if `of_256` says which.
    Alert {
        operator: &'static str,
        of_256: Option<u8>,
        hold: &'static str,
    },
}

/// A group.
#[derive(Clone, Debug)]
pub struct Group {
    pub query_offset: &'static str,
    pub rules: Vec<Rule>,
}

/// A rule set.
#[derive(Clone, Debug)]
pub struct RuleSet(pub Vec<Group>);

fn rule() -> impl Strategy<Value = Rule> {
    let alert = (
        select(&[">=", "<=", "==", "!=", ">", "<"][..]),
        prop::option::weighted(0.8, any::<u8>()),
        select(&["0s", "15s", "1m"][..]),
    );
    let alert = alert.prop_map(|(operator, of_256, hold)| Kind::Alert {
        operator,
        of_256,
        hold,
    });
    let kind = prop_oneof![2 => Just(Kind::Record), 5 => alert];
    prop_oneof![
        5 => (exact(), kind).prop_map(|(expr, kind)| Rule { expr, kind }),
        1 => near().prop_map(|expr| Rule { expr, kind: Kind::RecordNear }),
    ]
}

fn group() -> impl Strategy<Value = Group> {
    let query_offset = prop_oneof![4 => Just(""), 1 => Just("30s"), 1 => Just("5m")];
    (query_offset, prop::collection::vec(rule(), 1..4)).prop_map(|(query_offset, rules)| Group {
        query_offset,
        rules,
    })
}

/// Returns rule sets.
pub fn rule_sets() -> impl Strategy<Value = RuleSet> {
    prop::collection::vec(group(), 1..3).prop_map(RuleSet)
}

impl RuleSet {
    /// Returns all rules.
    pub fn rules(&self) -> impl Iterator<Item = &Rule> {
        self.0.iter().flat_map(|group| &group.rules)
    }

    /// Writes the file: alerts compared with what `threshold` says of the rule of that number, or
    /// nothing where it says nothing. Rules have the names `r0`, `r1`, … in their kinds' spelling:
    /// `r` recorded, `n` recorded with rounding, `A` alerts.
    pub fn text(&self, threshold: impl Fn(usize) -> Option<f64>) -> String {
        self.write(threshold, false)
    }

    /// Writes the file with every rule recorded, and what is an alert under the name `p` and its
    /// number: for looking at what values occur.
    pub fn recorded_text(&self) -> String {
        self.write(|_| None, true)
    }

    fn write(&self, threshold: impl Fn(usize) -> Option<f64>, all_recorded: bool) -> String {
        let mut text = "groups:\n".to_owned();
        let mut numbers = 0..;
        let mut n_recorded = 0;
        for (at, group) in self.0.iter().enumerate() {
            let _ = writeln!(text, "- name: g{at}");
            if !group.query_offset.is_empty() {
                let _ = writeln!(text, "  query_offset: {}", group.query_offset);
            }
            let _ = writeln!(text, "  rules:");
            for rule in &group.rules {
                let number = numbers.next().unwrap();
                let expr = rule.expr.replace('\'', "''");
                let _ = match &rule.kind {
                    Kind::Record => {
                        let name = n_recorded;
                        n_recorded += 1;
                        writeln!(text, "  - {{record: r{name}, expr: '{expr}'}}")
                    }
                    Kind::RecordNear => {
                        writeln!(text, "  - {{record: n{number}, expr: '{expr}'}}")
                    }
                    Kind::Alert { .. } if all_recorded => {
                        writeln!(text, "  - {{record: p{number}, expr: '{expr}'}}")
                    }
                    Kind::Alert { operator, hold, .. } => {
                        let compared = match threshold(number) {
                            Some(value) => format!("({expr}) {operator} {}", spelled(value)),
                            None => expr,
                        };
                        let rest = format!("expr: '{compared}', for: {hold}");
                        writeln!(text, "  - {{alert: A{number}, {rest}}}")
                    }
                };
            }
        }
        text
    }
}

/// Spells a number so that the same comes out of it.
fn spelled(value: f64) -> String {
    match value {
        value if value.is_nan() => "NaN".to_owned(),
        f64::INFINITY => "+Inf".to_owned(),
        f64::NEG_INFINITY => "-Inf".to_owned(),
        value => format!("{value:e}"),
    }
}
