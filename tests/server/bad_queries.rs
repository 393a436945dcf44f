//! Queries, rules and files that would take all memory or all time: each ends soon, in an answer
//! that says why, and the server goes on.

use std::process::{Command, Output};
use std::time::{Duration, Instant};

use crate::process::{Reply, Server, Setup, now_ms, wait_for};
use crate::sender::{Protocol, Series};

/// How long any of this may take, on a busy machine and not optimized.
const SOON: Duration = Duration::from_secs(30);
/// By how much the server may grow on the way, in bytes.
const GROWTH_MAX: f64 = 512e6;

const RULES: &str = "
groups:
- name: g
  interval: 1s
  rules:
  - {alert: High, expr: 'level > 5'}
";

fn server(more: &str) -> Server {
    let limits = format!("burnwatch: {{limits: {{query_samples: 1000{more}}}}}");
    let server = Setup::with_config(&limits, RULES).start();
    let start = now_ms() - 60_000;
    for seconds in 0..40 {
        let at = start + seconds * 1000;
        let series = (0..50).map(|n| {
            let job = format!("j{n}");
            Series::new("level").label("job", &job).float(at, 1.0)
        });
        server.write(Protocol::V2, &series.collect::<Vec<_>>());
    }
    server
}

fn ask(server: &Server, query: &str) -> Reply {
    let encoded: String = url::form_urlencoded::byte_serialize(query.as_bytes()).collect();
    let at = (now_ms() - 20_000) as f64 / 1000.0;
    let form = format!("query={encoded}&time={at}");
    let headers = [("Content-Type", "application/x-www-form-urlencoded")];
    server.send("POST", "/api/v1/query", &headers, form.as_bytes())
}

fn memory(server: &Server) -> f64 {
    let bytes = server.metric("process_resident_memory_bytes");
    bytes.expect("it is known")
}

/// A query must be refused with a status, for a reason, soon and without much memory.
fn check(server: &Server, query: &str, status: u16, reason: &str) {
    let shown: String = query.chars().take(60).collect();
    let (begun, before) = (Instant::now(), memory(server));
    let reply = ask(server, query);
    let took = begun.elapsed();
    let text: String = reply.text.chars().take(400).collect();
    assert_eq!(reply.status, status, "{shown}: {text}");
    assert!(text.contains(reason), "{shown}: {text}");
    assert!(took < SOON, "{shown}: {took:?}");
    let grown = memory(server) - before;
    assert!(grown < GROWTH_MAX, "{shown}: grew by {grown} bytes");
    assert_eq!(ask(server, "1 + 1").status, 200, "after {shown}");
}

#[test]
fn queries_that_are_too_deep_or_too_long_are_refused() {
    let server = server("");
    let nested = |n: usize| format!("{}level{}", "(".repeat(n), ")".repeat(n));
    check(&server, &nested(1_000), 400, "nest");
    check(&server, &nested(400_000), 400, "nest");
    check(&server, &"-".repeat(1 << 20), 400, "nest");
    check(&server, &"abs(".repeat(1 << 18), 400, "nest");
    check(
        &server,
        &format!("level{}", " + level".repeat(1 << 17)),
        400,
        "chains more than",
    );
    check(
        &server,
        &format!("{}(", "x".repeat(1 << 20)),
        400,
        "parse error",
    );
    let matchers = "a=\"b\",".repeat(1 << 17);
    let reply = ask(&server, &format!("level{{{matchers}}}"));
    assert_eq!(
        (reply.status, reply.text.contains("\"result\":[]")),
        (200, true)
    );
}

#[test]
fn patterns_that_would_explode_are_refused() {
    let server = server("");
    let query = |pattern: &str| format!("level{{job=~\"{pattern}\"}}");
    check(
        &server,
        &query("(a{1000}){1000}"),
        400,
        "error parsing regexp",
    );
    check(
        &server,
        &query("((a{100}){100}){100}"),
        400,
        "error parsing regexp",
    );
    check(&server, &query("a{1001}"), 400, "invalid repeat count");
    check(&server, &query(&"(".repeat(100_000)), 400, "regexp");
    let replace =
        |pattern: &str| format!("label_replace(level, \"a\", \"$1\", \"job\", \"{pattern}\")");
    check(
        &server,
        &replace("((.{100}){100}){100}"),
        422,
        "invalid regular expression in label_replace()",
    );
    // Automata need no backtracking: these only look dangerous.
    for pattern in ["(a*)*(a|aa)+b".to_owned(), "(a*)*".repeat(50_000)] {
        let begun = Instant::now();
        let reply = ask(&server, &query(&pattern));
        assert_eq!(reply.status, 200, "{}", reply.text);
        assert!(begun.elapsed() < SOON, "{:?}", begun.elapsed());
    }
}

#[test]
fn queries_over_too_much_are_refused() {
    let server = server("");
    check(&server, "level[1h]", 422, "too many samples");
    check(
        &server,
        "max_over_time(max_over_time(level[10000s:1s])[10000s:1s])",
        422,
        "subqueries within one another have 100000000 steps together, more than 10000000",
    );
    check(
        &server,
        "max_over_time(vector(1)[100d:1s])",
        422,
        "raise the step or shorten the range",
    );
    let doubled = (0..40).fold("level{job=\"j1\"}".to_owned(), |inner, _| {
        format!("label_replace({inner}, \"a\", \"x$1$1\", \"a\", \"(.*)\")")
    });
    check(&server, &doubled, 422, "bytes, at most");
}

/// A server of its own: where there is little time, what else is refused depends on the machine.
#[test]
fn a_query_within_the_steps_but_not_within_the_time_is_refused() {
    let server = server(", query_timeout: 2s");
    check(
        &server,
        "max_over_time(max_over_time(max_over_time(vector(1)[100s:1s])[300s:1s])[300s:1s])",
        503,
        "query timed out",
    );
}

/// What templates make of an alert's annotations comes over the API as Prometheus says it.
#[test]
fn templates_without_end_become_an_error_text() {
    let rules = r#"
groups:
- name: g
  interval: 1s
  rules:
  - alert: A
    expr: vector(1)
    annotations:
      wide: '{{ printf "%1000000000d" 1 }}'
      precise: '{{ printf "%.1000000000f" $value }}'
      wider: '{{ printf "%10000000d" 1 }}'
      more_precise: '{{ printf "%.10000000f" $value }}'
      recursive: '{{ define "a" }}{{ template "a" . }}{{ end }}{{ template "a" . }}'
      doubled: '{{ define "b" }}{{ . }}{{ template "b" (printf "%s%s" . .) }}{{ end }}{{ template "b" "xxxxxxxx" }}'
"#;
    let server = Setup::with_rules(rules).start();
    let before = memory(&server);
    server.push("anything", now_ms() - 5_000, 1.0);
    server.push("anything", now_ms() - 1_000, 1.0);
    let annotations = wait_for("the alert", || {
        let at = now_ms();
        server.push("anything", at, 1.0);
        let alert = server.data("alerts")["alerts"][0].clone();
        alert["annotations"].as_object().cloned()
    });
    for (name, text) in &annotations {
        let text = text.as_str().expect("a text");
        assert!(text.len() < 10_000, "{name}: {} bytes", text.len());
    }
    for (name, reason) in [
        ("recursive", "exceeded maximum template depth"),
        ("doubled", "error expanding template"),
        ("wide", "%!(NOVERB)%!(EXTRA int=1)"),
        ("precise", "%!(NOVERB)%!(EXTRA float64=1)"),
        ("wider", "error expanding template"),
        ("more_precise", "error expanding template"),
    ] {
        let text = annotations[name].as_str().expect("a text");
        assert!(text.contains(reason), "{name}: {text}");
    }
    let grown = memory(&server) - before;
    assert!(grown < GROWTH_MAX, "grew by {grown} bytes");
}

fn check_rules(text: &str) -> (Output, Duration) {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let path = folder.path().join("rules.yml");
    std::fs::write(&path, text).expect("written");
    let begun = Instant::now();
    let output = Command::new(env!("CARGO_BIN_EXE_burnwatch"))
        .args(["check", "rules"])
        .arg(&path)
        .output()
        .expect("the binary runs");
    (output, begun.elapsed())
}

#[test]
fn files_that_grow_when_read_are_refused() {
    let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for n in 1..12 {
        let refer = format!("*a{}, ", n - 1).repeat(10);
        bomb += &format!("a{n}: &a{n} [{}]\n", refer.trim_end_matches(", "));
    }
    let deep = format!("groups: {}", "[".repeat(100_000));
    let (recursive, merged) = ("groups: &a [*a]\n", "a: &a {<<: *a, b: c}\ngroups: []\n");
    for text in [bomb.as_str(), &deep, recursive, merged] {
        let (output, took) = check_rules(text);
        let said = String::from_utf8_lossy(&output.stderr);
        let shown: String = text.chars().take(40).collect();
        assert_eq!(output.status.code(), Some(1), "{shown}: {said}");
        assert!(
            said.contains("FAILED:") && said.len() < 10_000,
            "{shown}: {said}"
        );
        assert!(took < SOON, "{shown}: {took:?}");
    }
}

#[test]
fn a_file_of_a_hundred_thousand_groups_is_read() {
    let group = |n: usize| format!("- {{name: g{n}, rules: [{{record: 'a:b{n}', expr: up}}]}}\n");
    let text = format!("groups:\n{}", (0..100_000).map(group).collect::<String>());
    let (output, took) = check_rules(&text);
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.contains("SUCCESS: 100000 rules found"), "{said:.300}");
    assert!(took < 2 * SOON, "{took:?}");
    // The same name a hundred thousand times: every repetition is an error.
    let (output, took) = check_rules(&text.replace("name: g", "name: g #"));
    assert_eq!(output.status.code(), Some(1));
    assert!(took < 2 * SOON, "{took:?}");
}
