//! The pages: complete, escaped, without scripts.

use crate::backend::{fake, send, serve};

#[tokio::test]
async fn the_overview_tells_what_matters() {
    let answer = send(&serve(fake()), "GET /").await;
    assert_eq!(answer.status.as_u16(), 200);
    assert_eq!(answer.headers["content-type"], "text/html; charset=utf-8");
    for part in [
        "<span>Firing</span><strong>1</strong>",
        "<span>Samples/s</span><strong>1\u{202f}234</strong>",
        "<span>Clock lag</span><strong>2.0s</strong>",
        "b:1 &lt;is&gt; down",
        "<time title=\"2026-11-21T02:58:00Z\">2m 0s</time>",
        "/graph?g0.expr=up+%3D%3D+0&amp;g0.tab=1",
        "vector contains metrics with the same labelset",
        "warming, 1d 0h left",
        "/api/v1/explain?rule=job%3Aup%3Asum&amp;format=text",
        "10.0.0.7 &lt;Prometheus/3.7.0&gt;",
        "/context\">context</a>",
        "http-equiv=\"refresh\"",
    ] {
        assert!(
            answer.body.contains(part),
            "{part} is not in\n{}",
            answer.body
        );
    }
    assert!(!answer.body.contains("<script") && !answer.body.contains("<is>"));
}

#[tokio::test]
async fn an_alert_s_link_shows_its_value_and_its_alerts() {
    let request =
        "GET /graph?g0.expr=up+%3D%3D%20%200&g0.tab=1&g0.moment_input=2026-11-21+02:59:31";
    let answer = send(&serve(fake()), request).await;
    for part in [
        "vector at 2026-11-21T02:59:31Z",
        "<code>up{instance=&quot;a:1&quot;, job=&quot;api&quot;}</code></td><td class=\"n\">0</td>",
        "Alerts <small>2</small>",
        "b:1 &lt;is&gt; down",
    ] {
        assert!(
            answer.body.contains(part),
            "{part} is not in\n{}",
            answer.body
        );
    }
    let other = send(&serve(fake()), "GET /graph?g0.expr=up").await;
    assert!(other.body.contains("+Inf") && !other.body.contains("Alerts <small>"));
}

#[tokio::test]
async fn an_expression_in_the_address_is_escaped() {
    let request = "GET /graph?g0.expr=%22%3E%3Cscript%3E&g0.tab=1";
    let answer = send(&serve(fake()), request).await;
    assert!(
        answer.body.contains("value=\"&quot;&gt;&lt;script&gt;\""),
        "{}",
        answer.body
    );
    assert!(answer.body.contains("parse error"), "{}", answer.body);
    assert!(!answer.body.contains("<script"));
    let policy = answer.headers["content-security-policy"].to_str().unwrap();
    assert!(policy.starts_with("default-src 'none'"));
}

#[tokio::test]
async fn old_addresses_lead_to_the_overview() {
    for (path, to) in [("/rules", "/#rules"), ("/alerts", "/#alerts")] {
        let answer = send(&serve(fake()), &format!("GET {path}")).await;
        assert_eq!(answer.headers["location"], to);
    }
}
