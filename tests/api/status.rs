//! `status/*`, `alertmanagers`, and the lists that are always empty.

use serde_json::{Value, json};

use crate::backend::{fake, send, serve};
use crate::{check, data, success};

#[tokio::test]
async fn status_has_prometheus_fields() {
    let alertmanagers = json!({
        "activeAlertmanagers": [{"url": "http://am-0:9093/api/v2/alerts"}],
        "droppedAlertmanagers": [{"url": "http://am-1:9093/api/v2/alerts"}],
    });
    check("GET /api/v1/alertmanagers", 200, success(alertmanagers)).await;
    let config = json!({"yaml": "global:\n  evaluation_interval: 1m\n"});
    check("GET /api/v1/status/config", 200, success(config)).await;
    let flags = json!({"web.listen-address": "0.0.0.0:9090"});
    check("GET /api/v1/status/flags", 200, success(flags)).await;
    let replay = json!({"min": 3, "max": 9, "current": 9});
    check("GET /api/v1/status/walreplay", 200, success(replay)).await;
}

#[tokio::test]
async fn build_and_runtime_are_told() {
    let build = data("GET /api/v1/status/buildinfo", "").await;
    let keys = |value: &Value| {
        value
            .as_object()
            .unwrap()
            .keys()
            .cloned()
            .collect::<Vec<_>>()
    };
    let names = "version revision branch buildUser buildDate goVersion burnwatchVersion";
    assert_eq!(keys(&build), names.split(' ').collect::<Vec<_>>());
    let runtime = data("GET /api/v1/status/runtimeinfo", "").await;
    assert_eq!(runtime["startTime"], "2026-11-21T02:00:00.5Z");
    assert_eq!(runtime["serverTime"], "2026-11-21T03:00:00.5Z");
    assert_eq!(runtime["reloadConfigSuccess"], true);
    assert_eq!(runtime["storageRetention"], "30d");
    assert_eq!(keys(&runtime).len(), 13);
}

#[tokio::test]
async fn cardinality_is_counted() {
    let tsdb = data("GET /api/v1/status/tsdb?limit=2", "").await;
    assert_eq!(tsdb["headStats"]["numSeries"], 5);
    assert_eq!(tsdb["headStats"]["minTime"], 1000);
    let metrics = json!([{"name": "up", "value": 3}, {"name": "latency", "value": 1}]);
    assert_eq!(tsdb["seriesCountByMetricName"], metrics);
    let pairs = json!([{"name": "job=api", "value": 4}, {"name": "__name__=up", "value": 3}]);
    assert_eq!(tsdb["seriesCountByLabelValuePair"], pairs);
}

#[tokio::test]
async fn what_only_a_scraper_knows_is_empty() {
    let targets = json!({"activeTargets": [], "droppedTargets": [], "droppedTargetCounts": {}});
    check("GET /api/v1/targets", 200, success(targets)).await;
    check(
        "GET /api/v1/scrape_pools",
        200,
        success(json!({"scrapePools": []})),
    )
    .await;
    check("GET /api/v1/targets/metadata", 200, success(json!([]))).await;
    check(
        "POST /api/v1/query_exemplars query=up",
        200,
        success(json!([])),
    )
    .await;
}

#[tokio::test]
async fn features_are_told_in_prometheus_words() {
    let features = data("GET /api/v1/features", "").await;
    let is = |category: &str, name: &str| features[category][name].as_bool();
    assert_eq!(is("api", "remote_write_receiver"), Some(true));
    assert_eq!(is("api", "otlp_write_receiver"), Some(false));
    assert_eq!(is("promql", "subqueries"), Some(true));
    assert_eq!(is("promql", "anchored"), Some(false));
    assert_eq!(is("promql_functions", "rate"), Some(true));
    assert_eq!(is("promql_functions", "mad_over_time"), Some(false));
    assert_eq!(is("promql_operators", "topk"), Some(true));
    assert_eq!(is("promql_operators", "limitk"), Some(false));
    let answer = send(&serve(fake()), "GET /api/v1/features").await;
    assert!(answer.body.contains("\"</\":true"), "{}", answer.body);
}
