//! The requests of Grafana's Prometheus data source, in the order in which opening it, its
//! query editor, a panel and the alert list sends them; each answer as Grafana reads it.

use axum::body::Body;
use axum::http::Request;
use serde_json::Value;

use crate::backend::{NOW, answer, fake, serve};

/// Where in `data` Grafana looks, and what kind of value it expects there.
type Place = (&'static str, fn(&Value) -> bool);

fn cases() -> Vec<(&'static str, String, Vec<Place>)> {
    let end = NOW.0 / 1000 + 1;
    let start = end - 3600;
    let form = |rest: &str| format!("{rest}&start={start}&end={end}");
    vec![
        // Save & test.
        (
            "POST",
            "query query=1%2B1&time=1795230000.5".into(),
            vec![("/result/1", is_two)],
        ),
        (
            "GET",
            "status/buildinfo".into(),
            vec![("/version", Value::is_string)],
        ),
        ("GET", "rules".into(), vec![("/groups", Value::is_array)]),
        // The query editor.
        (
            "GET",
            "metadata?limit_per_metric=1".into(),
            vec![("/up/0/type", Value::is_string)],
        ),
        (
            "GET",
            format!("label/__name__/values?start={start}&end={end}"),
            vec![("/0", Value::is_string)],
        ),
        (
            "POST",
            format!("labels {}", form("match%5B%5D=up")),
            vec![("/0", Value::is_string)],
        ),
        (
            "GET",
            format!("labels?start={start}&end={end}"),
            vec![("/0", Value::is_string)],
        ),
        (
            "GET",
            format!(
                "label/instance/values?match%5B%5D=up%7Bjob%3D%22api%22%7D&start={start}&end={end}"
            ),
            vec![("/1", Value::is_string)],
        ),
        (
            "POST",
            format!(
                "series {}",
                form("match%5B%5D=%7B__name__%3D%22up%22%7D&limit=40000")
            ),
            vec![("/0/__name__", Value::is_string)],
        ),
        // A panel.
        (
            "POST",
            format!(
                "query_range {}",
                form("query=sum+by+%28job%29+%28up%29&step=15&timeout=30s")
            ),
            vec![
                ("/resultType", is_matrix),
                ("/result/0/values/0/1", Value::is_string),
            ],
        ),
        (
            "POST",
            "query query=up%7Binstance%3D%22a%3A1%22%7D&time=1795230000.500".into(),
            vec![("/result/0/value/1", Value::is_string)],
        ),
        (
            "POST",
            format!("query_exemplars {}", form("query=up")),
            vec![("", Value::is_array)],
        ),
        // The alert list.
        (
            "GET",
            "rules?type=alert&group_limit=100&exclude_alerts=false".into(),
            vec![
                ("/groups/0/rules/0/alerts/0/activeAt", Value::is_string),
                ("/groups/0/rules/0/lastEvaluation", Value::is_string),
                ("/groups/0/rules/0/duration", Value::is_number),
            ],
        ),
        (
            "GET",
            "alerts".into(),
            vec![("/alerts/0/labels/alertname", Value::is_string)],
        ),
        (
            "GET",
            "alertmanagers".into(),
            vec![("/activeAlertmanagers/0/url", Value::is_string)],
        ),
        (
            "GET",
            "targets?state=active".into(),
            vec![("/activeTargets", Value::is_array)],
        ),
    ]
}

fn is_two(value: &Value) -> bool {
    value == "2"
}

fn is_matrix(value: &Value) -> bool {
    value == "matrix"
}

#[tokio::test]
async fn grafana_finds_what_it_reads() {
    let router = serve(fake());
    for (method, request, places) in cases() {
        let (path, form) = request.split_once(' ').unwrap_or((request.as_str(), ""));
        // Grafana's server sends a Content-Type with GET requests too.
        let built = Request::builder()
            .method(method)
            .uri(format!("/api/v1/{path}"))
            .header(
                "content-type",
                "application/x-www-form-urlencoded; charset=utf-8",
            )
            .header("accept-encoding", "gzip")
            .header("user-agent", "Grafana/12.2.0")
            .body(Body::from(form.to_owned()))
            .unwrap();
        let answer = answer(&router, built).await;
        assert_eq!(answer.status.as_u16(), 200, "{request}: {}", answer.body);
        let body: Value = serde_json::from_str(&answer.body).unwrap();
        assert_eq!(body["status"], "success", "{request}");
        for (pointer, is_right) in places {
            let found = body["data"].pointer(pointer);
            assert!(
                found.is_some_and(is_right),
                "{pointer} in {request}: {}",
                answer.body
            );
        }
    }
}
