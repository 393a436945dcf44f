//! Everything that can be wrong with a rule file: the place, Prometheus' words, our hint.
//!
//! The recorded verdicts say what promtool accepts; these tables say what a user reads. Catches a
//! message that lost its place, a hint that no longer fits, an error that hides another.

use burnwatch::functions::Functions;
use burnwatch::model::DurationMs;
use burnwatch::promql::Features;
use burnwatch::rule::{ParsedFile, RuleError, RuleKind, parse_file};
use proptest::prelude::*;

fn parsed(text: &str) -> Result<ParsedFile, Vec<RuleError>> {
    parse_file("f.yml", text, &Functions, Features::default())
}

/// Checks all errors of a file, a line each: `line:column: message [hint]`.
fn check(text: &str, expected: &[&str]) {
    let errors = parsed(text).expect_err(text);
    let told: Vec<String> = errors
        .iter()
        .map(|e| {
            let hint = e.hint.as_ref().map(|hint| format!(" [{hint}]"));
            let place = format!("{}:{}", e.line, e.column);
            format!("{place}: {}{}", e.message, hint.unwrap_or_default())
        })
        .collect();
    assert_eq!(told, expected, "{text}");
}

/// Checks all errors of a rule in flow style, which begins at 4:5.
fn check_rule(rule: &str, expected: &[&str]) {
    check(
        &format!("groups:\n- name: g\n  rules:\n  - {rule}\n"),
        expected,
    );
}

#[test]
fn a_file_becomes_groups_of_rules() {
    let text = "
groups:
- name: g
  interval: 30s
  query_offset: 0s
  limit: 10
  labels: {team: a, tier: x}
  rules:
  - alert: A
    expr: |
      up
        == 0
    for: 5m
    keep_firing_for: 1m
    labels: {team: b}
    annotations: {summary: s}
  - record: r
    expr: sum(up)
- name: empty
";
    let file = parsed(text).expect("valid");
    assert_eq!(file.groups.len(), 2);
    let group = &file.groups[0];
    assert_eq!((group.file.as_str(), group.name.as_str()), ("f.yml", "g"));
    assert_eq!(group.interval, Some(DurationMs::from_seconds(30)));
    assert_eq!(group.query_offset, Some(DurationMs::ZERO));
    assert_eq!(group.limit, 10);
    let [alert, record] = group.rules.as_slice() else {
        panic!("two rules: {group:?}");
    };
    let own = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    assert_eq!((alert.name.as_str(), alert.line), ("A", 9));
    assert_eq!(alert.labels, [own("team", "b"), own("tier", "x")]);
    let RuleKind::Alerting {
        hold,
        keep_firing,
        annotations,
    } = &alert.kind
    else {
        panic!("an alert: {alert:?}");
    };
    assert_eq!(*hold, DurationMs::from_seconds(300));
    assert_eq!(*keep_firing, DurationMs::from_seconds(60));
    assert_eq!(*annotations, [own("summary", "s")]);
    assert!(matches!(record.kind, RuleKind::Recording));
    assert_eq!((record.name.as_str(), record.line), ("r", 17));
    assert_eq!(record.labels, [own("team", "a"), own("tier", "x")]);
    assert_eq!(record.expr.to_string(), "sum(up)");
    assert_eq!(
        (file.groups[1].interval, file.groups[1].query_offset),
        (None, None)
    );
}

#[test]
fn what_is_no_rule_file() {
    check(
        "inhibition_rules: []\ngroups: []\n",
        &["1:1: field inhibition_rules not found in rule file \
               [inhibition belongs to alertmanager.yml, as `inhibit_rules`]"],
    );
    check(
        "tests: []\n",
        &["1:1: field tests not found in rule file \
               [this is a unit test of rules; run it with `burnwatch test`]"],
    );
    check(
        "- a\n",
        &["1:1: a rule file is a mapping, found a list \
               [write `groups:` with a list of rule groups below it]"],
    );
    check(
        "groups: x\n",
        &["1:9: field 'groups' must be a list, found `x` \
               [each group is an item: `- name: …` with `rules:`]"],
    );
}

#[test]
fn what_is_no_group() {
    check(
        "groups:\n- interval: 5\n- {name: a, limit: x}\n- {name: a, concurrency: 2}\n",
        &[
            "2:3: Groupname must not be empty [give the group a `name`, unique in this file]",
            "2:13: group \"\": field 'interval': not a valid duration string: \"5\" \
                 [a unit is missing: `5s`, `5m`?]",
            "3:20: group \"a\": field 'limit' must be an integer, found `x` \
                 [0, or no `limit`, is no limit]",
            "4:3: groupname: \"a\" is repeated in the same file \
                 [line 3 has a group of that name; rename one]",
            "4:13: group \"a\": field concurrency not found in rule group \
                 [a field of vmalert; remove it, or pass over it with --rules.dialect=vmalert: \
                 the rules of a group are evaluated in order here]",
        ],
    );
    check(
        "groups: [a]\n",
        &["1:10: group \"\": rule group must be a mapping, found `a` \
           [write its fields below each other, as `name: value`]"],
    );
}

#[test]
fn what_is_no_rule() {
    check_rule(
        "{record: a, alert: b}",
        &[
            "4:5: group \"g\", rule 1, \"b\": field 'expr' must be set in rule \
                 [write the PromQL expression of the rule as `expr`]",
            "4:14: group \"g\", rule 1, \"b\": only one of 'record' and 'alert' must be set \
                 [`alert` is at 4:24; make it two rules]",
        ],
    );
    check_rule(
        "{expr: up}",
        &[
            "4:5: group \"g\", rule 1, \"\": one of 'record' or 'alert' must be set \
               [name the rule: `record:` a series name or `alert:` an alert name]",
        ],
    );
    check_rule(
        "{record: a, expr: up, for: 5m, annotations: {a: b}}",
        &[
            "4:14: group \"g\", rule 1, \"a\": invalid field 'annotations' in recording rule \
                 [remove `annotations`, or make the rule an `alert`]",
            "4:14: group \"g\", rule 1, \"a\": invalid field 'for' in recording rule \
                 [remove `for`, or make the rule an `alert`]",
        ],
    );
    check_rule(
        "{record: 'a{', expr: up, labels: {__name__: b}}",
        &[
            "4:14: group \"g\", rule 1, \"a{\": braces present in the recording rule name; should \
                 it be in expr?: a{ [`record` is a metric name alone; labels to set go under \
                 `labels`]",
            "4:39: group \"g\", rule 1, \"a{\": invalid label name: __name__ \
                 [the metric name is what `record` or `alert` says]",
        ],
    );
    check_rule(
        "{alert: A, expr: up, annotations: {'': b, c: [d]}, severity: page}",
        &[
            "4:40: group \"g\", rule 1, \"A\": invalid annotation name:  \
                 [a name must not be empty]",
            "4:50: group \"g\", rule 1, \"A\": c in 'annotations' must be text, found a list \
                 [quote text that begins with `[` or `- `]",
            "4:56: group \"g\", rule 1, \"A\": field severity not found in rule \
                 [labels stand under `labels`]",
        ],
    );
}

#[test]
fn what_is_no_expression() {
    check_rule(
        "{record: a, expr: 'avvg_over_time(up[5m])'}",
        &[
            "4:23: group \"g\", rule 1, \"a\": could not parse expression: 1:1: parse error: \
               unknown function with name \"avvg_over_time\" \
               [at 4:24 of this file; did you mean `avg_over_time`?]",
        ],
    );
    check_rule(
        "{record: a, expr: average(up)}",
        &[
            "4:23: group \"g\", rule 1, \"a\": could not parse expression: 1:1: parse error: \
               unknown function with name \"average\" \
               [at 4:23 of this file; did you mean `avg`?]",
        ],
    );
    check_rule(
        "record: a\n    expr: |\n      up\n        > holt_winters(x)",
        &[
            "5:11: group \"g\", rule 1, \"a\": could not parse expression: 2:5: parse error: \
               unknown function with name \"holt_winters\" [at 7:11 of this file; it is called \
               `double_exponential_smoothing` since Prometheus 3]",
        ],
    );
    check_rule(
        "record: a\n    expr: {{ x }}",
        &[
            "5:11: group \"g\", rule 1, \"a\": field 'expr' must be text, found a mapping \
               [quote text that begins with `{` or holds `: `, or put it behind `|`]",
        ],
    );
}

#[test]
fn what_is_no_template() {
    check_rule(
        "{alert: A, expr: up, labels: {l: '{{ $nope }}'}, annotations: {a: '{{ if }}'}}",
        &[
            "4:38: group \"g\", rule 1, \"A\": label \"l\": template: __alert_A:1: undefined \
                 variable \"$nope\" [the variables are $labels, $value, $externalLabels and \
                 $externalURL]",
            "4:71: group \"g\", rule 1, \"A\": annotation \"a\": template: __alert_A:1: missing \
                 value for if [write a condition or value: `{{ if $value }}`]",
        ],
    );
}

#[test]
fn what_loads_but_will_fail_is_warned_of() {
    let warned = |rule: &str| {
        let text = format!("groups:\n- name: g\n  rules:\n  - {rule}\n");
        parsed(&text).expect("valid").warnings
    };
    let warnings = warned("{record: a, expr: 'b[5m]'}");
    assert_eq!(
        warnings,
        [
            "group \"g\", rule 1, \"a\": every evaluation will fail: rule result is not a vector \
              or scalar but a range vector"
        ]
    );
    let warnings = warned("{alert: A, expr: up, annotations: {a: '{{ query \"up ==\" }}'}}");
    assert_eq!(
        warnings,
        [
            "group \"g\", rule 1, \"A\": annotation \"a\": its query will fail: 1:6: parse error: \
              unexpected end of input"
        ]
    );
    assert!(warned("{alert: A, expr: '1'}").is_empty());
}

proptest! {
    /// Whatever a file holds, it is read or refused, with places inside the file.
    #[test]
    fn no_text_is_a_panic(
        parts in proptest::collection::vec(
            prop_oneof![
                Just("groups:\n"), Just("- name: g\n"), Just("  rules:\n"), Just("  - alert: A\n"),
                Just("    expr: |\n"), Just("      up == 0\n"), Just("    expr: \"a +\n"), Just("b\"\n"),
                Just("    labels: {a: b, "), Just("<<: *x}\n"), Just("&x "), Just("*x"), Just("'"),
                Just("{{ $labels.é }}"), Just("é: [\n"), Just("]\n"), Just("\r\n"), Just("---\n"),
                Just("? "), Just("!!str "), Just("> # |\n"), Just("\t"), Just("    for: 5m\n"),
            ],
            0..24,
        ),
    ) {
        let text = parts.concat();
        let n_lines = text.split('\n').count();
        for error in parsed(&text).err().into_iter().flatten() {
            prop_assert!((1..=n_lines + 1).contains(&error.line), "{:?}: {:?}", text, error);
            prop_assert!(error.column > 0, "{:?}: {:?}", text, error);
        }
    }
}
