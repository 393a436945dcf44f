//! `/api/v1/rules` and `/api/v1/alerts`.

use serde_json::{Value, json};

use crate::backend::{fake, serve};
use crate::{check, check_at, data, error, success};

#[tokio::test]
async fn rules_have_prometheus_fields() {
    let down = json!({
        "state": "firing", "name": "Down", "query": "up == 0",
        "duration": 60, "keepFiringFor": 0.5,
        "labels": {"severity": "page"},
        "annotations": {"summary": "{{ $labels.instance }} <is> down"},
        "alerts": [
            {
                "labels": {"alertname": "Down", "instance": "a:1"},
                "annotations": {"summary": "a:1 <is> down"},
                "state": "pending", "activeAt": "2026-11-21T02:58:00Z", "value": "1e+00",
            },
            {
                "labels": {"alertname": "Down", "instance": "b:1"},
                "annotations": {"summary": "b:1 <is> down"},
                "state": "firing", "activeAt": "2026-11-21T02:58:00Z",
                "keepFiringSince": "2026-11-21T02:59:00.5Z", "value": "5.25e-01",
            },
        ],
        "health": "ok", "evaluationTime": 0.0005, "lastEvaluation": "2026-11-21T03:00:00Z",
        "type": "alerting",
    });
    let sum = json!({
        "name": "job:up:sum", "query": "sum by (job) (up)", "labels": {},
        "health": "err", "lastError": "vector contains metrics with the same labelset",
        "evaluationTime": 0.0005, "lastEvaluation": "0001-01-01T00:00:00Z",
        "type": "recording", "warmingUntil": "2026-11-22T03:00:00.5Z",
    });
    let first = json!({
        "name": "first", "file": "a.yml", "rules": [down, sum], "interval": 30, "limit": 0,
        "evaluationTime": 0.001, "lastEvaluation": "2026-11-21T03:00:00Z",
    });
    let found = data("GET /api/v1/rules?rule_group[]=first", "").await;
    assert_eq!(found, json!({"groups": [first]}));
}

#[tokio::test]
async fn rules_are_filtered() {
    let cases: [(&str, &[&str]); 13] = [
        ("", &["Down", "job:up:sum", "Quiet"]),
        ("type=alert", &["Down", "Quiet"]),
        ("type=Record", &["job:up:sum"]),
        ("rule_name[]=Quiet&rule_name[]=Down", &["Down", "Quiet"]),
        ("rule_name[]=Quiet&rule_group[]=first", &[]),
        ("rule_group[]=second", &["Quiet"]),
        ("file[]=a.yml", &["Down", "job:up:sum"]),
        ("file[]=a.yml&file[]=b.yml&type=alert", &["Down", "Quiet"]),
        ("file[]=none.yml", &[]),
        ("match[]={severity=\"page\"}", &["Down"]),
        ("match[]={severity=~\"page|ticket\"}", &["Down", "Quiet"]),
        (
            "match[]={severity=\"page\"}&match[]={severity=\"ticket\"}",
            &["Down", "Quiet"],
        ),
        ("match[]={severity=\"page\",team=\"x\"}", &[]),
    ];
    for (query, expected) in cases {
        let query = query
            .replace('{', "%7B")
            .replace('}', "%7D")
            .replace('"', "%22");
        let query = query.replace('|', "%7C");
        let groups = data(&format!("GET /api/v1/rules?{query}"), "/groups").await;
        let groups = groups.as_array().unwrap();
        assert!(
            groups.iter().all(|group| group["rules"] != json!([])),
            "{query}"
        );
        let rules = groups
            .iter()
            .flat_map(|group| group["rules"].as_array().unwrap());
        let names: Vec<&str> = rules.map(|rule| rule["name"].as_str().unwrap()).collect();
        assert_eq!(names, expected, "{query}");
    }
}

#[tokio::test]
async fn excluded_alerts_are_null() {
    let alerts = "/groups/0/rules/0/alerts";
    for (query, is_null) in [("", false), ("=0", false), ("=true", true), ("=T", true)] {
        let found = data(&format!("GET /api/v1/rules?exclude_alerts{query}"), alerts).await;
        assert_eq!(found.is_null(), is_null, "{query}");
    }
}

#[tokio::test]
async fn groups_come_in_pages() {
    // printf 'b.yml;second' | sha256sum
    let token = "c654e4d27d4af92628fc4c4c844299c8cdc877a033fb2f80ac287700f2b9c873";
    let names = |data: &Value| {
        let groups = data["groups"].as_array().unwrap().clone();
        groups
            .iter()
            .map(|group| group["name"].clone())
            .collect::<Vec<_>>()
    };
    let first = data("GET /api/v1/rules?group_limit=1", "").await;
    assert_eq!(names(&first), ["first"]);
    assert_eq!(first["groupNextToken"], token);
    let next = format!("GET /api/v1/rules?group_limit=1&group_next_token={token}");
    let second = data(&next, "").await;
    assert_eq!(names(&second), ["second"]);
    assert_eq!(second.get("groupNextToken"), None);
    let all = data("GET /api/v1/rules?group_limit=2", "").await;
    assert_eq!(all.get("groupNextToken"), None);
    let filtered = data("GET /api/v1/rules?group_limit=1&type=record", "").await;
    assert_eq!(filtered.get("groupNextToken"), None);
}

#[tokio::test]
async fn wrong_parameters_of_rules_are_named() {
    let cases = [
        (
            "type=foo",
            "invalid parameter \"type\": not supported value \"foo\"",
        ),
        (
            "exclude_alerts=maybe",
            "invalid parameter \"exclude_alerts\": error converting exclude_alerts: \
             strconv.ParseBool: parsing \"maybe\": invalid syntax",
        ),
        (
            "group_limit=0",
            "invalid parameter \"group_limit\": group_limit needs to be greater than 0",
        ),
        (
            "group_limit=x",
            "invalid parameter \"group_limit\": group_limit needs to be a valid number: \
             strconv.ParseInt: parsing \"x\": invalid syntax",
        ),
        (
            "group_next_token=x",
            "invalid parameter \"group_next_token\": group_limit needs to be present in order to \
             paginate over the groups",
        ),
        (
            "group_limit=1&group_next_token=x",
            "invalid parameter \"group_next_token\": invalid group_next_token 'x'. were rule \
             groups changed?",
        ),
        (
            "match[]=%7Ba=~%22.*%22%7D",
            "match[] must contain at least one non-empty matcher",
        ),
    ];
    for (query, message) in cases {
        let request = format!("GET /api/v1/rules?{query}");
        check(&request, 400, error("bad_data", message)).await;
    }
}

#[tokio::test]
async fn no_rules_are_an_empty_list() {
    let mut fake = fake();
    fake.groups.clear();
    let router = serve(fake);
    check_at(
        &router,
        "GET /api/v1/rules",
        200,
        success(json!({"groups": []})),
    )
    .await;
    check_at(
        &router,
        "GET /api/v1/alerts",
        200,
        success(json!({"alerts": []})),
    )
    .await;
}

#[tokio::test]
async fn alerts_are_those_of_all_rules_without_resolved_ones() {
    let alerts = data("GET /api/v1/alerts", "/alerts").await;
    let of_rule = data("GET /api/v1/rules", "/groups/0/rules/0/alerts").await;
    assert_eq!(alerts, of_rule);
    assert_eq!(alerts.as_array().unwrap().len(), 2);
}
