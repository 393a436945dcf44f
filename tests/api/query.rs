//! `/api/v1/query` and `/api/v1/query_range`.

use std::sync::Arc;

use burnwatch::api::router;
use serde_json::{Value, json};

use crate::backend::{NOW, fake, send, serve, settings};
use crate::{check, check_at, data, error, success};

fn result(result_type: &str, result: &Value) -> Value {
    success(json!({"resultType": result_type, "result": result}))
}

fn up(job: &str, instance: &str) -> Value {
    json!({"__name__": "up", "instance": instance, "job": job})
}

#[tokio::test]
async fn each_type_has_its_shape() {
    let now = NOW.seconds();
    let vector = json!([
        {"metric": up("api", "a:1"), "value": [now, "1"]},
        {"metric": up("api", "b:1"), "value": [now, "+Inf"]},
    ]);
    check("GET /api/v1/query?query=up", 200, result("vector", &vector)).await;
    check(
        "POST /api/v1/query query=up",
        200,
        result("vector", &vector),
    )
    .await;
    let whole = json!([1795230000, "2"]);
    check(
        "GET /api/v1/query?query=1%2B1&time=1795230000",
        200,
        result("scalar", &whole),
    )
    .await;
    let request = "GET /api/v1/query?query=%22a%22&time=2026-11-21T03:00:00.5Z";
    check(request, 200, result("string", &json!([now, "a"]))).await;
    let matrix = json!([{
        "metric": up("api", "a:1"), "values": [[now - 30.0, "0"], [now, "1"]],
    }]);
    let request = "GET /api/v1/query?query=up%7Binstance=%22a:1%22%7D%5B1m%5D";
    check(request, 200, result("matrix", &matrix)).await;
    let histogram = json!({"count": "3", "sum": "4.5", "buckets": [[3, "-0.5", "0.5", "3"]]});
    let vector = json!([{
        "metric": {"__name__": "latency", "job": "api"}, "histogram": [now, histogram],
    }]);
    check(
        "GET /api/v1/query?query=latency",
        200,
        result("vector", &vector),
    )
    .await;
    check(
        "GET /api/v1/query?query=none",
        200,
        result("vector", &json!([])),
    )
    .await;
}

#[tokio::test]
async fn the_time_and_the_look_back_are_the_query_s() {
    let values = |request: String| async move {
        let elements = data(&request, "/result").await;
        let elements = elements.as_array().unwrap().clone();
        let value = |element: &Value| element["value"][1].as_str().unwrap().to_owned();
        elements.iter().map(value).collect::<Vec<_>>()
    };
    let at = |ms: i64| format!("GET /api/v1/query?query=up&time={}", ms as f64 / 1000.0);
    assert_eq!(values(at(NOW.0 - 30_000)).await, ["0", "1", "1"]);
    assert_eq!(values(at(NOW.0 + 299_999)).await, ["1", "+Inf"]);
    assert_eq!(values(at(NOW.0 + 300_000)).await, [""; 0]);
    let short = format!("{}&lookback_delta=10s", at(NOW.0 + 10_000));
    assert_eq!(values(short).await, [""; 0]);
    let subquery = "GET /api/v1/query?query=sum(count_over_time(old%5B1h%5D%20offset%2090m))";
    assert_eq!(values(subquery.to_owned()).await, ["1"]);
}

#[tokio::test]
async fn ranges_are_matrices() {
    let times = "start=1795229940.5&end=1795230000.5&step=30";
    let series =
        |instance: &str, values: Value| json!({"metric": up("api", instance), "values": values});
    let t = |seconds: i64, value: &str| json!([1_795_229_940.5 + seconds as f64, value]);
    let matrix = json!([
        series("a:1", json!([t(0, "1"), t(30, "0"), t(60, "1")])),
        series("b:1", json!([t(0, "1"), t(30, "1"), t(60, "+Inf")])),
    ]);
    let query = "query=up%7Bjob=%22api%22%7D";
    let expected = result("matrix", &matrix);
    check(
        &format!("GET /api/v1/query_range?{query}&{times}"),
        200,
        expected.clone(),
    )
    .await;
    check(
        &format!("POST /api/v1/query_range {query}&{times}"),
        200,
        expected,
    )
    .await;
    let scalar = json!([{"metric": {}, "values": [t(0, "2"), t(30, "2"), t(60, "2")]}]);
    let request = format!("GET /api/v1/query_range?query=2&{times}");
    check(&request, 200, result("matrix", &scalar)).await;
    let one = "GET /api/v1/query_range?query=up%7Binstance=%22a:1%22%7D&start=1795230000.5&\
               end=1795230000.5&step=1h";
    let matrix = json!([series("a:1", json!([t(60, "1")]))]);
    check(one, 200, result("matrix", &matrix)).await;
}

#[tokio::test]
async fn a_limit_warns() {
    let answer = json!({
        "status": "success",
        "data": {"resultType": "vector", "result": [
            {"metric": up("api", "a:1"), "value": [NOW.seconds(), "1"]},
        ]},
        "warnings": ["results truncated due to limit"],
    });
    check("GET /api/v1/query?query=up&limit=1", 200, answer).await;
    let all = send(&serve(fake()), "GET /api/v1/query?query=up&limit=2").await;
    assert!(!all.body.contains("warnings"), "{}", all.body);
}

#[tokio::test]
async fn statistics_are_given_when_asked_for() {
    let stats = data("GET /api/v1/query?query=up&stats=true", "/stats").await;
    assert_eq!(stats["samples"]["totalQueryableSamples"], 2);
    assert_eq!(stats["samples"].get("totalQueryableSamplesPerStep"), None);
    let timings = stats["timings"].as_object().unwrap();
    assert_eq!(timings.len(), 6);
    assert!(
        timings
            .values()
            .all(|seconds| seconds.as_f64().unwrap() >= 0.0)
    );
    let fake = fake();
    let mut settings = settings(&fake);
    settings.query.per_step_stats = true;
    let router = router(Arc::new(fake), settings, axum::Router::new());
    let times = "start=1795229940.5&end=1795230000.5&step=30";
    let request = format!("GET /api/v1/query_range?query=up&{times}&stats=all");
    let answer = send(&router, &request).await;
    let body: Value = serde_json::from_str(&answer.body).unwrap();
    let samples = &body["data"]["stats"]["samples"];
    let at = |seconds: f64| NOW.seconds() + seconds;
    let steps = json!([[at(-60.0), 3], [at(-30.0), 3], [at(0.0), 2]]);
    assert_eq!(samples["totalQueryableSamplesPerStep"], steps);
    assert_eq!(samples["samplesReadPerStep"], steps);
    assert_eq!(samples["totalQueryableSamples"], 8);
    let odd = send(&router, "GET /api/v1/query?query=up&stats=yes").await;
    assert!(
        odd.body
            .contains("value \\\"yes\\\" for parameter \\\"stats\\\" is deprecated")
    );
}

#[tokio::test]
async fn infos_reach_the_client() {
    let answer = send(&serve(fake()), "GET /api/v1/query?query=rate(up%5B2m%5D)").await;
    let body: Value = serde_json::from_str(&answer.body).unwrap();
    let info = body["infos"][0].as_str().unwrap();
    assert!(info.contains("metric might not be a counter"), "{info}");
    assert_eq!(body.get("warnings"), None);
}

#[tokio::test]
async fn what_the_data_forbid_is_an_execution_error() {
    let request = "GET /api/v1/query?query=up%20*%20on()%20up";
    let answer = send(&serve(fake()), request).await;
    assert_eq!(answer.status.as_u16(), 422, "{}", answer.body);
    let body: Value = serde_json::from_str(&answer.body).unwrap();
    assert_eq!(body["errorType"], "execution");
    let message = body["error"].as_str().unwrap();
    assert!(
        message.starts_with("found duplicate series for the match group {}"),
        "{message}"
    );
}

#[tokio::test]
async fn too_many_samples_are_refused() {
    let fake = fake();
    let mut settings = settings(&fake);
    settings.query.samples_max = 2;
    let router = router(Arc::new(fake), settings, axum::Router::new());
    let message = "query processing would load too many samples into memory in query execution";
    let expected = error("execution", message);
    check_at(&router, "GET /api/v1/query?query=up%5B5m%5D", 422, expected).await;
}

#[tokio::test]
async fn queries_are_given_up() {
    let mut backend = fake();
    backend.is_hanging = true;
    let mut settings = settings(&backend);
    settings.query.concurrency_max = 1;
    let router = router(Arc::new(backend), settings, axum::Router::new());
    let expected = error("timeout", "query timed out in expression evaluation");
    check_at(
        &router,
        "GET /api/v1/query?query=up&timeout=1ms",
        503,
        expected,
    )
    .await;

    let other = router.clone();
    let first = tokio::spawn(async move { send(&other, "GET /api/v1/query?query=up").await });
    tokio::task::yield_now().await;
    let expected = error("timeout", "query timed out in query queue");
    check_at(
        &router,
        "GET /api/v1/query?query=up&timeout=1ms",
        503,
        expected,
    )
    .await;
    let metrics = send(&router, "GET /metrics").await.body;
    assert!(
        metrics.contains("\nprometheus_engine_queries 1\n"),
        "{metrics}"
    );
    first.abort();
}

#[tokio::test]
async fn engines_that_stop_are_unavailable() {
    let mut backend = fake();
    backend.engines_stopped = true;
    let router = serve(backend);
    for path in ["query?query=up", "rules", "alerts", "labels", "status/tsdb"] {
        let expected = error("unavailable", "the server is stopping");
        check_at(&router, &format!("GET /api/v1/{path}"), 500, expected).await;
    }
    assert_eq!(send(&router, "GET /metrics").await.status.as_u16(), 200);
    assert!(
        send(&router, "GET /")
            .await
            .body
            .contains("the server is stopping")
    );
}

#[tokio::test]
async fn queries_are_formatted() {
    let expected = success(json!("sum by (job) (rate(up[5m]))"));
    let query = "query=sum(rate(up%5B5m%5D))by(job)";
    check(
        &format!("GET /api/v1/format_query?{query}"),
        200,
        expected.clone(),
    )
    .await;
    check(&format!("POST /api/v1/format_query {query}"), 200, expected).await;
}

/// The only slot is free again at once: an evaluation that would take days has ended.
#[tokio::test]
async fn an_evaluation_that_nobody_waits_for_ends() {
    let fake = fake();
    let mut settings = settings(&fake);
    settings.query.concurrency_max = 1;
    let router = router(Arc::new(fake), settings, axum::Router::new());
    let endless = "query=sum_over_time(sum_over_time(up%5B3000s:1s%5D)%5B3000s:1s%5D)";
    let short = "GET /api/v1/query?query=up&timeout=60s";

    let expected = error("timeout", "query timed out in expression evaluation");
    let request = format!("GET /api/v1/query?{endless}&timeout=10ms");
    check_at(&router, &request, 503, expected).await;
    assert_eq!(send(&router, short).await.status.as_u16(), 200);

    let other = router.clone();
    let request = format!("GET /api/v1/query?{endless}");
    let client = tokio::spawn(async move { send(&other, &request).await });
    loop {
        tokio::task::yield_now().await;
        let metrics = send(&router, "GET /metrics").await.body;
        if metrics.contains("\nprometheus_engine_queries 1\n") {
            break;
        }
    }
    client.abort();
    assert_eq!(send(&router, short).await.status.as_u16(), 200);
}
