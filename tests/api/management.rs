//! `/-/…`, readiness, `/metrics`, CORS, the route prefix, what is not there.

use axum::Router;
use axum::body::Body;
use axum::http::{Request, StatusCode};
use axum::routing::post;
use burnwatch::api::{Readiness, router};
use burnwatch::ui;
use std::sync::Arc;

use crate::backend::{answer, fake, send, serve, settings};
use crate::check_text;

#[tokio::test]
async fn management_speaks_prometheus_words() {
    check_text("GET /-/healthy", 200, "burnwatch is Healthy.\n").await;
    check_text("HEAD /-/healthy", 200, "").await;
    check_text("GET /-/ready", 200, "burnwatch is Ready.\n").await;
    check_text("HEAD /-/ready", 200, "").await;
    check_text("POST /-/reload", 200, "").await;
    check_text("PUT /-/reload", 200, "").await;
    check_text("GET /-/reload", 405, "Only POST or PUT requests allowed").await;
    check_text("GET /-/quit", 405, "Only POST or PUT requests allowed").await;
    check_text("GET /api/v1/none", 404, "404 page not found\n").await;
    check_text("GET /none", 404, "404 page not found\n").await;
}

#[tokio::test]
async fn quitting_twice_says_so() {
    let router = serve(fake());
    let first = send(&router, "POST /-/quit").await;
    assert_eq!(first.body, "Requesting termination... Goodbye!");
    let second = send(&router, "PUT /-/quit").await;
    assert_eq!(second.body, "Termination already in progress.");
}

#[tokio::test]
async fn without_the_flag_nothing_is_done() {
    let fake = fake();
    let mut settings = settings(&fake);
    settings.lifecycle = false;
    let router = router(Arc::new(fake), settings, ui::routes());
    for request in [
        "POST /-/reload",
        "PUT /-/reload",
        "POST /-/quit",
        "PUT /-/quit",
    ] {
        let answer = send(&router, request).await;
        assert_eq!(answer.status.as_u16(), 403, "{request}");
        assert_eq!(answer.body, "Lifecycle API is not enabled.");
    }
    let answer = send(&router, "GET /-/reload").await;
    assert_eq!(answer.status.as_u16(), 405);
    assert_eq!(send(&router, "GET /-/ready").await.status.as_u16(), 200);
}

#[tokio::test]
async fn a_failed_reload_says_why() {
    let mut fake = fake();
    fake.reload = Err("rules.yml:3:5: no expr".into());
    let answer = send(&serve(fake), "POST /-/reload").await;
    assert_eq!(answer.status.as_u16(), 500);
    assert_eq!(
        answer.body,
        "failed to reload config: rules.yml:3:5: no expr\n"
    );
}

#[tokio::test]
async fn until_ready_the_door_is_shut() {
    let replaying = Readiness::Replaying {
        done: 3,
        of: 12,
        unit: "entries",
    };
    for (readiness, header, reason) in [
        (Readiness::Starting, "false", "no rules are loaded yet"),
        (replaying, "false", "replaying the log: 3 of 12 entries"),
        (Readiness::Stopping, "true", "the server is stopping"),
    ] {
        let mut fake = fake();
        fake.readiness = readiness;
        let router = serve(fake);
        for path in [
            "/-/ready",
            "/api/v1/rules",
            "/api/v1/query?query=1",
            "/api/v1/none",
        ] {
            let answer = send(&router, &format!("GET {path}")).await;
            assert_eq!(answer.status.as_u16(), 503, "{path}");
            let said = format!("Service Unavailable: {reason}\n");
            assert_eq!(answer.body, said, "{path}");
            assert_eq!(answer.headers["x-prometheus-stopping"], header, "{path}");
        }
        for path in [
            "/",
            "/graph?g0.expr=up",
            "/metrics",
            "/-/healthy",
            "/api/v1/status/walreplay",
        ] {
            let answer = send(&router, &format!("GET {path}")).await;
            assert_eq!(answer.status.as_u16(), 200, "{path}");
        }
    }
}

/// Nobody is to rely on it, but what it knows it says, and its metrics say what is wrong.
#[tokio::test]
async fn a_log_that_takes_nothing_is_not_ready_and_answers_questions() {
    let mut fake = fake();
    fake.readiness = Readiness::LogNotWritable("no space left on device".to_owned());
    let router = serve(fake);
    let answer = send(&router, "GET /-/ready").await;
    assert_eq!(answer.status.as_u16(), 503);
    assert_eq!(
        answer.body,
        "Service Unavailable: the log is not writable: no space left on device\n"
    );
    assert_eq!(send(&router, "HEAD /-/ready").await.status.as_u16(), 503);
    for path in ["/api/v1/rules", "/api/v1/query?query=1", "/-/healthy"] {
        let answer = send(&router, &format!("GET {path}")).await;
        assert_eq!(answer.status.as_u16(), 200, "{path}");
    }
    let metrics = send(&router, "GET /metrics").await.body;
    for line in [
        "prometheus_ready 0",
        "burnwatch_not_ready{reason=\"log_not_writable\"} 1",
        "burnwatch_not_ready{reason=\"replaying\"} 0",
    ] {
        assert!(metrics.lines().any(|found| found == line), "{line}");
    }
}

#[tokio::test]
async fn other_origins_may_call() {
    let ask = |method: &str, origin: Option<&str>| {
        let mut builder = Request::builder().method(method).uri("/api/v1/alerts");
        if let Some(origin) = origin {
            builder = builder.header("origin", origin);
        }
        builder.body(Body::empty()).unwrap()
    };
    let open = serve(fake());
    let preflight = answer(&open, ask("OPTIONS", Some("http://a"))).await;
    assert_eq!(preflight.status.as_u16(), 204);
    assert_eq!(preflight.headers["access-control-allow-origin"], "http://a");
    assert_eq!(
        preflight.headers["access-control-allow-methods"],
        "GET, POST, OPTIONS"
    );
    let same = answer(&open, ask("GET", None)).await;
    let vary: Vec<_> = same.headers.get_all("vary").iter().collect();
    assert_eq!(vary, ["Accept-Encoding", "Origin"]);
    assert!(!same.headers.contains_key("access-control-allow-origin"));

    let backend = fake();
    let mut settings = settings(&backend);
    settings.cors_origin = Some(regex::Regex::new("^(?:http://good)$").unwrap());
    let strict = router(Arc::new(backend), settings, ui::routes());
    let good = answer(&strict, ask("GET", Some("http://good"))).await;
    assert_eq!(good.headers["access-control-allow-origin"], "http://good");
    let bad = answer(&strict, ask("GET", Some("http://bad"))).await;
    assert!(!bad.headers.contains_key("access-control-allow-origin"));
}

#[tokio::test]
async fn everything_moves_under_the_prefix() {
    let fake = fake();
    let mut settings = settings(&fake);
    settings.route_prefix = "/bw".into();
    settings.external_path = "/outside/bw".into();
    let router = router(Arc::new(fake), settings, ui::routes());
    for path in [
        "/bw/",
        "/bw/-/ready",
        "/bw/api/v1/rules",
        "/bw/metrics",
        "/bw/graph",
    ] {
        let answer = send(&router, &format!("GET {path}")).await;
        assert_eq!(answer.status.as_u16(), 200, "{path}");
    }
    for (path, to) in [
        ("/", "/bw"),
        ("/bw", "/bw/"),
        ("/bw/rules", "/outside/bw/#rules"),
    ] {
        let answer = send(&router, &format!("GET {path}")).await;
        assert!(answer.status.is_redirection(), "{path}");
        assert_eq!(answer.headers["location"], to, "{path}");
    }
    assert_eq!(
        send(&router, "GET /api/v1/rules").await.status.as_u16(),
        404
    );
    let metrics = send(&router, "GET /bw/metrics").await.body;
    assert!(
        metrics.contains("{handler=\"/api/v1/rules\",code=\"200\"} 1\n"),
        "{metrics}"
    );
}

#[tokio::test]
async fn what_is_served_besides_is_counted_too() {
    let fake = fake();
    let settings = settings(&fake);
    let write = post(|| async { StatusCode::NO_CONTENT });
    let more = Router::new().route("/api/v1/write", write);
    let router = router(Arc::new(fake), settings, more);
    assert_eq!(
        send(&router, "POST /api/v1/write").await.status.as_u16(),
        204
    );
    assert_eq!(
        send(&router, "GET /api/v1/rules").await.status.as_u16(),
        200
    );
    let metrics = send(&router, "GET /metrics").await.body;
    assert!(
        metrics.contains("{handler=\"/api/v1/write\",code=\"204\"} 1\n"),
        "{metrics}"
    );
}

#[tokio::test]
async fn metrics_are_negotiated() {
    let router = serve(fake());
    send(&router, "GET /api/v1/label/job/values").await;
    send(&router, "GET /api/v1/rules?type=foo").await;
    send(&router, "GET /no/such/path").await;
    let plain = send(&router, "GET /metrics").await;
    assert_eq!(
        plain.headers["content-type"],
        "text/plain; version=0.0.4; charset=utf-8"
    );
    for line in [
        "# TYPE prometheus_http_requests_total counter\n",
        "prometheus_http_requests_total{handler=\"/api/v1/label/:name/values\",code=\"200\"} 1\n",
        "prometheus_http_requests_total{handler=\"/api/v1/rules\",code=\"400\"} 1\n",
        "prometheus_http_request_duration_seconds_count{handler=\"/api/v1/rules\"} 1\n",
        "prometheus_rule_group_rules{rule_group=\"a.yml;first\"} 2\n",
        "prometheus_rule_evaluations_total{rule_group=\"b.yml;second\"} 20\n",
        "prometheus_rule_group_last_rule_duration_sum_seconds{rule_group=\"a.yml;first\"} 0.001\n",
        "prometheus_ready 1\n",
        "prometheus_tsdb_head_samples_appended_total{type=\"float\"} 5e+06\n",
        "process_start_time_seconds 1.7952300005e+09\n",
    ] {
        assert!(
            plain.body.contains(line),
            "{line} is not in\n{}",
            plain.body
        );
    }
    assert!(!plain.body.contains("/no/such/path") && !plain.body.contains("# EOF"));

    let request = Request::builder().uri("/metrics").header(
        "accept",
        "application/openmetrics-text;version=1.0.0,text/plain;q=0.5",
    );
    let open = answer(&router, request.body(Body::empty()).unwrap()).await;
    let content_type = open.headers["content-type"].to_str().unwrap();
    assert!(content_type.starts_with("application/openmetrics-text; version=1.0.0"));
    assert!(
        open.body
            .contains("# TYPE prometheus_http_requests counter\n")
    );
    assert!(open.body.ends_with("# EOF\n"));
}
