//! `/api/v1/explain`: how a rule is evaluated, what feeds it, how warm it is.

use serde_json::json;

use crate::backend::{fake, send, serve};
use crate::{check, check_text, data, error};

#[tokio::test]
async fn an_expression_is_explained() {
    let request = "GET /api/v1/explain?query=sum+by+(job)+(rate(up[1m]))";
    let leaf = data(request, "/explanations/0/leaves/0").await;
    assert_eq!(leaf["text"], "up[1m]");
    assert_eq!(leaf["kind"], "window");
    assert_eq!(leaf["windowSeconds"], 60.0);
    assert_eq!(leaf["samplesPerSeries"], 4.0);
    assert_eq!(leaf["takenBy"], "rate");
    let partition = data(request, "/explanations/0/partition").await;
    assert_eq!(partition, json!({"only": ["job"]}));
    let post = "POST /api/v1/explain query=rate(up[1m])&scrape_interval=60";
    let samples = data(post, "/explanations/0/samplesPerEvaluation").await;
    assert_eq!(samples, 1.0);
}

#[tokio::test]
async fn a_rule_says_how_warm_it_is_and_what_reads_it() {
    let request = "GET /api/v1/explain?rule=job:up:sum";
    let live = data(request, "/explanations/0/live/rules/0").await;
    assert_eq!(live["name"], "job:up:sum");
    assert_eq!(live["keptSince"], "2026-11-21T02:50:00.5Z");
    assert_eq!(live["warmingUntil"], "2026-11-22T03:00:00.5Z");
    assert_eq!(
        live["lastError"],
        "vector contains metrics with the same labelset"
    );
    let rule = data(request, "/explanations/0/rule").await;
    assert_eq!(rule["type"], "recording");
    assert_eq!(rule["reads"], json!([]));
    let text = send(&serve(fake()), "GET /api/v1/explain?rule=Down&format=text").await;
    assert_eq!(text.headers["content-type"], "text/plain; charset=utf-8");
    for part in [
        "alert Down",
        "\n  warm         yes",
        "series       ",
        " · for 1m · severity=\"page\"",
    ] {
        assert!(text.body.contains(part), "{part} is not in\n{}", text.body);
    }
}

#[tokio::test]
async fn errors_say_what_to_ask_for() {
    let wrong = [
        (
            "GET /api/v1/explain",
            400,
            error("bad_data", "give either query=EXPR or rule=NAME to explain"),
        ),
        (
            "GET /api/v1/explain?rule=Dwon",
            404,
            error(
                "not_found",
                "no rule \"Dwon\" is loaded; did you mean \"Down\"?",
            ),
        ),
        (
            "GET /api/v1/explain?query=raet(x)",
            400,
            error(
                "bad_data",
                "invalid parameter \"query\": 1:1: parse error: unknown function with name \"raet\"",
            ),
        ),
        (
            "GET /api/v1/explain?query=up&scrape_interval=0",
            400,
            error(
                "bad_data",
                "invalid parameter \"scrape_interval\": must be longer than nothing, such as 15s",
            ),
        ),
    ];
    for (request, status, expected) in wrong {
        check(request, status, expected).await;
    }
    check_text("GET /api/v1/explained", 404, "404 page not found\n").await;
}
