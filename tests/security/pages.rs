//! What a browser is given: labels that are HTML, links that are not, redirects that lead away.

use crate::process::{Server, Setup, now_ms, wait_for};
use crate::sender::{Protocol, Series};

const RULES: &str = "
groups:
- name: g
  interval: 1s
  rules:
  - alert: High
    expr: level > 5
    annotations:
      summary: '{{ $labels.who }} is high'
      runbook_url: 'javascript:alert(1)//{{ $labels.who }}'
      dashboard: 'https://grafana.example/d?who={{ $labels.who }}'
";

/// Breaks out of a text, of an attribute, of a script.
const EVIL: &str = "\"'><script>alert(1)</script><img src=x onerror=alert(1)>";

fn server_with_alert() -> Server {
    let server = Setup::with_rules(RULES).start();
    let at = now_ms() - 5_000;
    let evil = Series::new("level").label("who", EVIL).float(at, 9.0);
    server.write(Protocol::V2, &[evil]);
    wait_for("the alert", || {
        (server.alerts() == ["High firing"]).then_some(())
    });
    server
}

#[test]
fn labels_are_text_whatever_they_say() {
    let server = server_with_alert();
    let query = "/graph?g0.expr=level%20%22%3E%3Cscript%3Ealert(1)%3C/script%3E";
    for path in [
        "/",
        "/graph?g0.expr=level",
        query,
        "/query?query=%3Cscript%3E",
    ] {
        let reply = server.get(path);
        let text = reply.text.to_lowercase();
        assert!(!text.contains("<script"), "{path}: {}", reply.text);
        assert!(!text.contains("<img"), "{path}: {}", reply.text);
        assert!(
            !text.contains("href=\"javascript:"),
            "{path}: {}",
            reply.text
        );
        let policy = &reply.headers["content-security-policy"];
        assert!(
            policy.starts_with("default-src 'none';"),
            "{path}: {policy}"
        );
        assert!(!policy.contains("script-src"), "{path}: {policy}");
        assert_eq!(reply.headers["x-content-type-options"], "nosniff", "{path}");
    }
    let page = server.get("/").text;
    assert!(
        page.contains("&lt;script&gt;"),
        "the label is on the page, as text"
    );
    // What is no page is not taken for one.
    for path in ["/api/v1/alerts", "/metrics", "/api/v1/nothing%3Cscript%3E"] {
        let kind = server.get(path).headers["content-type"].clone();
        assert!(!kind.contains("html"), "{path}: {kind}");
    }
}

/// A redirect leads to this server and nowhere else, and carries no header of the client's.
#[test]
fn no_redirect_leads_away() {
    let server = Setup::new().start();
    for path in [
        "//evil.example/",
        "//evil.example/..",
        "/\\evil.example/",
        "//\\evil.example/",
        "/.//evil.example",
        "/./\\evil.example",
        "/%5Cevil.example/../",
        "/x/..//\\evil.example/",
        "/metrics/?a=\\evil",
        "/api/v1/../%0d%0aX-Injected:1",
        "/-/healthy/?%0d%0aX-Injected:%201",
    ] {
        let reply = server.get(path);
        assert!(
            !reply.headers.contains_key("x-injected"),
            "{path}: {reply:?}"
        );
        let Some(location) = reply.headers.get("location") else {
            continue;
        };
        // Browsers take a backslash for a slash.
        let seen = location.replace('\\', "/");
        let is_local = seen.starts_with('/') && !seen.starts_with("//");
        assert!(is_local, "{path} leads to {location}");
    }
}
