//! Who reads whom, in which order groups are evaluated, and which are linked.
//!
//! Catches an edge that is missed (a chain of rules that lags), an order that hangs on the order
//! in which files were found, and a circle that never ends.

use burnwatch::functions::Functions;
use burnwatch::promql::Features;
use burnwatch::rule::order::Dependence;
use burnwatch::rule::{RuleGroup, parse_file};
use proptest::prelude::*;

/// Reads `file/group: rule; rule` lines, a rule being `name = expr` or `!alert = expr`, with
/// labels in braces behind the name.
fn groups(lines: &[&str]) -> Vec<RuleGroup> {
    let group = |line: &&str| {
        let (place, rules) = line.split_once(": ").expect("a group");
        let (file, name) = place.split_once('/').expect("file/group");
        let mut yaml = format!("groups:\n- name: {name}\n  rules:\n");
        for rule in rules.split("; ").filter(|rule| !rule.is_empty()) {
            let (left, expr) = rule.split_once(" = ").expect("name = expr");
            let (name, labels) = left.split_once('{').unwrap_or((left, "}"));
            let (kind, name) = match name.strip_prefix('!') {
                Some(name) => ("alert", name),
                None => ("record", name),
            };
            yaml += &format!("  - {kind}: {name}\n    expr: {expr}\n    labels: {{{labels}\n");
        }
        let parsed = parse_file(file, &yaml, &Functions, Features::default());
        parsed.unwrap_or_else(|e| panic!("{yaml}{e:?}")).groups
    };
    lines.iter().flat_map(group).collect()
}

fn dependence(groups: &[RuleGroup]) -> Dependence {
    Dependence::of(groups, &Functions, Features::default())
}

fn named(groups: &[RuleGroup], order: &[usize]) -> String {
    let names: Vec<String> = order
        .iter()
        .map(|idx| format!("{}/{}", groups[*idx].file, groups[*idx].name))
        .collect();
    names.join(" ")
}

fn check_order(lines: &[&str], expected: &str) {
    let groups = groups(lines);
    assert_eq!(
        named(&groups, &dependence(&groups).order()),
        expected,
        "{lines:?}"
    );
}

/// Checks whether an expression reads the one rule of a group.
fn check_reads(rule: &str, expr: &str, expected: bool) {
    let groups = groups(&[&format!("f/made: {rule}"), &format!("f/reads: r_ = {expr}")]);
    let dependence = dependence(&groups);
    let reads = dependence
        .edges()
        .iter()
        .any(|edge| edge.reader.group == 1 && edge.producer.group == 0);
    assert_eq!(reads, expected, "{rule} read by {expr}");
}

#[test]
fn a_selector_reads_what_no_matcher_contradicts() {
    check_reads("a = up", "a", true);
    check_reads("a = up", "b", false);
    check_reads("a = up", "rate(a[5m])", true);
    check_reads("a = up", "max_over_time(sum(a)[1h:1m])", true);
    check_reads("a = up", "\"{__name__=~'a|b'}\"", true);
    check_reads("a = up", "\"{__name__!='a',x='y'}\"", false);
    check_reads("a = up", "\"{job='x'}\"", true);
    check_reads("a{x: y} = up", "a{x='y'}", true);
    check_reads("a{x: y} = up", "a{x='z'}", false);
    check_reads("a{x: y} = up", "a{x=''}", false);
    check_reads("a{x: ''} = up", "a{x='y'}", false);
    check_reads("a{x: '{{y}}'} = up", "a{x='z'}", false);
    check_reads("a = up", "a{x='z'}", true);
}

#[test]
fn reading_alerts_is_reading_alerting_rules() {
    check_reads("!A = up == 0", "ALERTS", true);
    check_reads("!A = up == 0", "ALERTS_FOR_STATE{alertname='A'}", true);
    check_reads("!A = up == 0", "ALERTS{alertname='B'}", false);
    check_reads("!A = up == 0", "ALERTS{alertstate='firing'}", true);
    check_reads("!A = up == 0", "ALERTS{alertstate='resolved'}", false);
    check_reads(
        "!A = up == 0",
        "ALERTS_FOR_STATE{alertstate='firing'}",
        false,
    );
    check_reads(
        "!A{severity: page} = up == 0",
        "ALERTS{severity='info'}",
        false,
    );
    check_reads(
        "!A{severity: '{{ $value }}'} = up == 0",
        "ALERTS{severity='info'}",
        true,
    );
    check_reads("!A = up == 0", "A", false);
    check_reads("A = up == 0", "ALERTS", false);
}

#[test]
fn what_is_read_comes_first() {
    check_order(&["f/b: b = x", "f/a: a = x"], "f/a f/b");
    check_order(&["g/a: a = x", "f/b: b = x"], "f/b g/a");
    check_order(&["f/a: a = b", "f/b: b = x"], "f/b f/a");
    check_order(
        &["f/a: a = b", "f/b: b = c", "f/c: c = x", "f/d: d = x"],
        "f/c f/b f/a f/d",
    );
    check_order(&["f/a: a = a", "f/b: b = x"], "f/a f/b");
}

#[test]
fn circles_stand_between_what_they_read_and_their_readers() {
    check_order(&["f/a: a = b", "f/b: b = a"], "f/a f/b");
    check_order(&["f/a: a = c", "f/b: b = c", "f/c: c = b"], "f/b f/c f/a");
    check_order(
        &["f/b: b = c + z", "f/c: c = b", "f/z: z = x"],
        "f/z f/b f/c",
    );
    check_order(&["f/a: a = b", "f/b: b = c", "f/c: c = a"], "f/a f/c f/b");
}

#[test]
fn a_templates_query_is_read() {
    let yaml = "
groups:
- name: a
  rules:
  - alert: A
    expr: up == 0
    annotations: {s: '{{ query \"b\" | first | value }}'}
- name: b
  rules: [{record: b, expr: up}]
";
    let parsed = parse_file("f", yaml, &Functions, Features::default()).expect("valid");
    assert_eq!(dependence(&parsed.groups).order(), [1, 0]);
}

proptest! {
    /// The order of groups hangs on what they are, not on the order they came in, and what
    /// is read stands before its reader unless they read each other in a circle.
    #[test]
    fn order_does_not_hang_on_the_order_of_input(
        reads in proptest::collection::vec(proptest::collection::vec(0usize..9, 0..3), 9),
        shuffled in Just((0..9usize).collect::<Vec<_>>()).prop_shuffle(),
    ) {
        let lines: Vec<String> = reads
            .iter()
            .enumerate()
            .map(|(idx, reads)| {
                let sum: Vec<String> = reads.iter().map(|read| format!("r{read}")).collect();
                format!("f/g{idx}: r{idx} = x + {}", [sum.as_slice(), &["y".into()]].concat().join(" + "))
            })
            .collect();
        let straight: Vec<&str> = lines.iter().map(String::as_str).collect();
        let mixed: Vec<&str> = shuffled.iter().map(|idx| lines[*idx].as_str()).collect();
        let (straight, mixed) = (groups(&straight), groups(&mixed));
        let order = dependence(&straight).order();
        prop_assert_eq!(
            named(&straight, &order),
            named(&mixed, &dependence(&mixed).order())
        );
        let mut sorted = order.clone();
        sorted.sort_unstable();
        prop_assert_eq!(sorted, (0..9).collect::<Vec<_>>());
        // Reaches: what is read over any number of steps.
        let mut reaches = [[false; 9]; 9];
        for _ in 0..9 {
            for (reader, direct) in reads.iter().enumerate() {
                for producer in direct {
                    let further = reaches[*producer];
                    reaches[reader][*producer] = true;
                    (0..9).for_each(|at| reaches[reader][at] |= further[at]);
                }
            }
        }
        let place = |idx: usize| order.iter().position(|at| *at == idx);
        for (reader, reached) in reaches.iter().enumerate() {
            for producer in (0..9).filter(|at| reached[*at] && !reaches[*at][reader]) {
                prop_assert!(place(producer) < place(reader), "{} before {}", producer, reader);
            }
        }
    }
}
