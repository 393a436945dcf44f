//! Wrong parameters, each named in the answer.

use crate::{check, error};

#[tokio::test]
async fn wrong_parameters_are_named() {
    let range = "query=up&start=0&end=10";
    let cases = [
        (
            "query?query=up&time=foo".to_owned(),
            "invalid parameter \"time\": invalid time value for 'time': cannot parse \"foo\" to a \
             valid timestamp",
        ),
        (
            "query?query=up&limit=-1".to_owned(),
            "invalid parameter \"limit\": limit must be non-negative",
        ),
        (
            "query?query=up&limit=x".to_owned(),
            "invalid parameter \"limit\": strconv.Atoi: parsing \"x\": invalid syntax",
        ),
        (
            "query?query=up&timeout=x".to_owned(),
            "invalid parameter \"timeout\": cannot parse \"x\" to a valid duration",
        ),
        (
            "query?query=up&lookback_delta=x".to_owned(),
            "error parsing lookback delta duration: cannot parse \"x\" to a valid duration",
        ),
        (
            "query_range?query=up&end=1&step=1".to_owned(),
            "invalid parameter \"start\": cannot parse \"\" to a valid timestamp",
        ),
        (
            "query_range?query=up&start=1&end=foo&step=1".to_owned(),
            "invalid parameter \"end\": cannot parse \"foo\" to a valid timestamp",
        ),
        (
            "query_range?query=up&start=2&end=1&step=1".to_owned(),
            "invalid parameter \"end\": end timestamp must not be before start time",
        ),
        (
            format!("query_range?{range}"),
            "invalid parameter \"step\": cannot parse \"\" to a valid duration",
        ),
        (
            format!("query_range?{range}&step=0"),
            "invalid parameter \"step\": zero or negative query resolution step widths are not \
             accepted. Try a positive integer",
        ),
        (
            "query_range?query=up&start=0&end=11001&step=1".to_owned(),
            "exceeded maximum resolution of 11,000 points per timeseries. Try decreasing the \
             query resolution (?step=XX)",
        ),
        ("series".to_owned(), "no match[] parameter provided"),
        (
            "series?match[]=up&start=foo".to_owned(),
            "invalid parameter \"start\": invalid time value for 'start': cannot parse \"foo\" to \
             a valid timestamp",
        ),
        (
            "labels?match[]=up%5B5m%5D".to_owned(),
            "1:3: parse error: unexpected \"[\"",
        ),
        ("metadata?limit=x".to_owned(), "limit must be a number"),
        (
            "metadata?limit_per_metric=x".to_owned(),
            "limit_per_metric must be a number",
        ),
        (
            "status/tsdb?limit=0".to_owned(),
            "limit must be a positive number",
        ),
        (
            "status/tsdb?limit=10001".to_owned(),
            "limit must not exceed 10000",
        ),
    ];
    for (path, message) in cases {
        check(
            &format!("GET /api/v1/{path}"),
            400,
            error("bad_data", message),
        )
        .await;
    }
}

#[tokio::test]
async fn what_does_not_parse_is_a_wrong_query() {
    let message = "invalid parameter \"query\": 1:3: parse error: unclosed left parenthesis";
    check(
        "GET /api/v1/query?query=(1",
        400,
        error("bad_data", message),
    )
    .await;
    check(
        "POST /api/v1/query query=(1",
        400,
        error("bad_data", message),
    )
    .await;
    let message = "invalid parameter \"query\": unknown position: parse error: no expression \
                   found in input";
    check("GET /api/v1/query", 400, error("bad_data", message)).await;
    let message = "invalid parameter \"query\": invalid expression type \"range vector\" for \
                   range query, must be Scalar or instant Vector";
    let request = "GET /api/v1/query_range?query=up%5B1m%5D&start=0&end=1&step=1";
    check(request, 400, error("bad_data", message)).await;
}
