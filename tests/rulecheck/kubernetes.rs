//! Rule files as resources of Kubernetes: what is read of them, and what is refused where.

use burnwatch::functions::Functions;
use burnwatch::promql::Features;
use burnwatch::rule::{ParsedFile, RuleError, parse_file};

fn parsed(text: &str) -> Result<ParsedFile, Vec<RuleError>> {
    parse_file("f.yml", text, &Functions, Features::default())
}

/// Checks the groups of a file, each as `file/name: rules`.
fn check_groups(text: &str, expected: &[&str]) {
    let file = parsed(text).unwrap_or_else(|errors| panic!("{text}: {errors:#?}"));
    let groups: Vec<String> = file
        .groups
        .iter()
        .map(|group| format!("{} {}: {}", group.file, group.name, group.rules.len()))
        .collect();
    assert_eq!(groups, expected, "{text}");
}

/// Checks the one error of a file, as `line:column: message [hint]`, by its beginning.
fn check_error(text: &str, expected: &str) {
    let errors = parsed(text).expect_err(text);
    let told: Vec<String> = errors
        .iter()
        .map(|e| {
            let hint = e.hint.as_deref().unwrap_or_default();
            format!("{}:{}: {} [{hint}]", e.line, e.column, e.message)
        })
        .collect();
    assert_eq!(told.len(), 1, "{text}: {told:#?}");
    assert!(told[0].starts_with(expected), "{text}: {}", told[0]);
}

/// A resource with one group of one rule.
fn resource(namespace: &str, name: &str, group: &str) -> String {
    format!(
        "apiVersion: monitoring.coreos.com/v1\nkind: PrometheusRule\nmetadata:\n  name: {name}\n  \
         namespace: {namespace}\n  labels: {{role: alert-rules}}\nspec:\n  groups:\n  - name: \
         {group}\n    rules:\n    - record: r\n      expr: up\nstatus: {{}}\n"
    )
}

fn list(items: &[String]) -> String {
    let mut text =
        "apiVersion: v1\nkind: List\nmetadata: {resourceVersion: ''}\nitems:\n".to_owned();
    for item in items {
        text += &format!("- {}\n", item.trim_end().replace('\n', "\n  "));
    }
    text
}

#[test]
fn one_resource_is_a_rule_file() {
    check_groups(&resource("a", "b", "g"), &["f.yml g: 1"]);
    check_groups("kind: PrometheusRule\n", &[]);
    check_groups("kind: PrometheusRule\nspec:\n", &[]);
    check_groups("kind: PrometheusRule\nspec: {groups: []}\n", &[]);
    check_groups(
        "{\"kind\": \"PrometheusRule\", \"spec\": {\"groups\": [{\"name\": \"json\"}]}}",
        &["f.yml json: 0"],
    );
}

#[test]
fn each_of_several_resources_is_a_file_of_its_own() {
    let (a, b) = (resource("n", "a", "g"), resource("n", "b", "g"));
    let expected = ["f.yml#n/a g: 1", "f.yml#n/b g: 1"];
    check_groups(&list(&[a.clone(), b.clone()]), &expected);
    let typed = list(&[a.clone(), b.clone()]).replace("kind: List", "kind: PrometheusRuleList");
    check_groups(&typed, &expected);
    check_groups(&format!("{a}---\n{b}---\n"), &expected);
    check_groups("kind: List\nitems:\n", &[]);
    check_error(
        &list(&[a.clone(), a.clone()]),
        "18:3: PrometheusRule \"n/a\" is repeated in the same file [line 5 has one of that name",
    );
}

#[test]
fn what_holds_no_rules_is_refused_with_the_way_out() {
    check_error(
        "apiVersion: v1\nkind: ConfigMap\ndata: {r.yml: 'groups: []'}\n",
        "2:7: ConfigMap is a Kubernetes object that holds no rules [a rule file is the text of one \
         key of its data",
    );
    check_error(
        "apiVersion: v1\nkind: Service\n",
        "2:7: Service is a Kubernetes object that holds no rules [rules stand in a PrometheusRule",
    );
    check_error(
        "apiVersion: monitoring.coreos.com/v1\nkind: PrometheusRules\nspec: {groups: []}\n",
        "2:7: PrometheusRules is a Kubernetes object that holds no rules [did you mean `kind: \
         PrometheusRule`?",
    );
    check_error(
        "kind: VMRule\nspec: {groups: []}\n",
        "1:7: VMRule is a Kubernetes object that holds no rules [a resource of VictoriaMetrics'",
    );
    check_error(
        "apiVersion: monitoring.coreos.com/v1\nspec: {groups: []}\n",
        "1:1: this mapping is no Kubernetes object: it has no kind [write `kind: PrometheusRule`",
    );
    check_error(
        "kind: List\nitems:\n- kind: PrometheusRule\n- kind: Pod\n- 5\n".trim_end_matches("- 5\n"),
        "4:9: Pod is a Kubernetes object that holds no rules",
    );
    check_error(
        "kind: List\nitems: [5]\n",
        "2:9: `5` is no Kubernetes object: it has no kind",
    );
    check_error(
        "kind: List\nitems: x\n",
        "2:8: field 'items' must be a list, found `x`",
    );
    check_error(
        "kind: PrometheusRule\nspec: x\n",
        "2:7: field 'spec' must be a mapping, found `x`",
    );
    check_error(
        "kind: PrometheusRule\nspec: {rules: []}\n",
        "2:8: field rules not found in the spec of a PrometheusRule [a spec holds `groups` alone",
    );
    check_error("kind: PrometheusRule\n---\n}{\n", "3:1: yaml: ");
}

/// Places are those of the file that holds the resource.
#[test]
fn groups_are_checked_like_those_of_a_file() {
    let wrong = resource("n", "a", "g").replace("expr: up", "expr: up +");
    let error = "group \"g\", rule 1, \"r\": could not parse expression: 1:5: parse error: \
                 unexpected end of input";
    check_error(&wrong, &format!("12:13: {error} [at 12:17 of this file"));
    let second = format!("{}---\n{wrong}", resource("n", "b", "g"));
    check_error(&second, &format!("26:13: {error} [at 26:17 of this file"));
}

/// As Prometheus' operator does it before a Prometheus sees the rules.
#[test]
fn empty_durations_are_none_and_the_field_of_thanos_is_passed_over() {
    let text = "kind: PrometheusRule\nspec:\n  groups:\n  - name: g\n    interval: ''\n    \
                partial_response_strategy: abort\n    rules: [{alert: A, expr: up, for: ''}]\n";
    check_groups(text, &["f.yml g: 1"]);
    let notes = parsed(text).expect("accepted").notes;
    assert_eq!(
        notes[0].to_string(),
        "f.yml:6:5: group \"g\": `partial_response_strategy` is passed over: samples come from \
         one place here, so no response is partial"
    );
    let elsewhere = "groups: [{name: g, interval: ''}]\n";
    check_error(
        elsewhere,
        "1:30: group \"g\": field 'interval': empty duration string",
    );
}
