//! `series`, `labels`, `label/<name>/values`, `metadata`.

use serde_json::json;

use crate::backend::NOW;
use crate::{check, data, success};

#[tokio::test]
async fn series_are_listed_in_order_and_once() {
    let up =
        |job: &str, instance: &str| json!({"__name__": "up", "job": job, "instance": instance});
    let all = json!([up("api", "a:1"), up("api", "b:1"), up("db", "c:1")]);
    check("GET /api/v1/series?match[]=up", 200, success(all.clone())).await;
    let twice = "POST /api/v1/series match[]=up&match[]=up%7Bjob%3D%22db%22%7D";
    check(twice, 200, success(all)).await;
    let limited = json!({
        "status": "success", "data": [up("api", "a:1")],
        "warnings": ["results truncated due to limit"],
    });
    check("GET /api/v1/series?match[]=up&limit=1", 200, limited).await;
    check("GET /api/v1/series?match[]=none", 200, success(json!([]))).await;
}

#[tokio::test]
async fn the_time_range_counts() {
    let from = NOW.0 / 1000 - 60;
    let names = data(
        &format!("GET /api/v1/label/__name__/values?start={from}"),
        "",
    )
    .await;
    assert_eq!(names, json!(["latency", "up"]));
    let names = data(&format!("GET /api/v1/label/__name__/values?end={from}"), "").await;
    assert_eq!(names, json!(["old"]));
}

#[tokio::test]
async fn labels_and_values_are_sorted() {
    let names = json!(["__name__", "instance", "job"]);
    check("GET /api/v1/labels", 200, success(names.clone())).await;
    check("POST /api/v1/labels start=0", 200, success(names)).await;
    let names = data("GET /api/v1/labels?match[]=latency", "").await;
    assert_eq!(names, json!(["__name__", "job"]));
    assert_eq!(
        data("GET /api/v1/label/job/values", "").await,
        json!(["api", "db"])
    );
    assert_eq!(
        data("GET /api/v1/label/U__job/values", "").await,
        json!(["api", "db"])
    );
    assert_eq!(data("GET /api/v1/label/none/values", "").await, json!([]));
    let limited = json!({
        "status": "success", "data": ["api"], "warnings": ["results truncated due to limit"],
    });
    check("GET /api/v1/label/job/values?limit=1", 200, limited).await;
}

#[tokio::test]
async fn metadata_is_listed_by_metric() {
    let entry = |kind: &str, help: &str| json!({"type": kind, "help": help, "unit": ""});
    let requests = entry("counter", "Requests.");
    let up = entry("gauge", "Whether the scrape succeeded.");
    let all = json!({
        "http_requests": [requests, entry("counter", "All requests.")], "up": [up],
    });
    check("GET /api/v1/metadata", 200, success(all.clone())).await;
    check(
        "GET /api/v1/metadata?limit=-1&limit_per_metric=0",
        200,
        success(all),
    )
    .await;
    let first = json!({"http_requests": [requests]});
    let request = "GET /api/v1/metadata?limit=1&limit_per_metric=1";
    check(request, 200, success(first)).await;
    check(
        "GET /api/v1/metadata?metric=up",
        200,
        success(json!({"up": [up]})),
    )
    .await;
    check("GET /api/v1/metadata?metric=none", 200, success(json!({}))).await;
}
