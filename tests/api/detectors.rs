//! `/api/v1/detectors/reset`: which rules are meant, and what is refused.

use std::sync::Arc;

use axum::Router;
use burnwatch::api::router;
use burnwatch::engine::RuleStatus;
use burnwatch::ui;
use serde_json::json;

use crate::backend::{fake, send, serve, settings};
use crate::{check_at, error, success};

/// A server with detectors in both groups, two of one name.
fn with_detectors() -> Router {
    let mut fake = fake();
    for group in &mut fake.groups {
        for severity in ["page", "ticket"] {
            let rule = RuleStatus {
                name: "Odd".into(),
                labels: vec![("severity".into(), severity.into())],
                learns: true,
                ..group.rules[0].clone()
            };
            group.rules.push(rule);
        }
    }
    serve(fake)
}

#[tokio::test]
async fn the_rules_that_are_meant_are_told() {
    let router = with_detectors();
    let rule = |file: &str, group: &str, severity: &str| {
        json!({
            "file": file, "group": group, "name": "Odd", "type": "alerting",
            "labels": {"severity": severity},
        })
    };
    let first = [
        rule("a.yml", "first", "page"),
        rule("a.yml", "first", "ticket"),
    ];
    let second = [
        rule("b.yml", "second", "page"),
        rule("b.yml", "second", "ticket"),
    ];
    let all = [first.clone(), second.clone()].concat();
    let now = "2026-11-21T03:00:00.5Z";
    let told = |at: &str, rules: &[serde_json::Value]| success(json!({"at": at, "rules": rules}));
    for (request, expected) in [
        ("rule=Odd", told(now, &all)),
        ("group=first", told(now, &first)),
        ("file=b.yml&rule=Odd&rule=Down", told(now, &second)),
        ("group=first&group=second&file=b.yml", told(now, &second)),
        (
            "rule=Odd&at=1700000000.25",
            told("2023-11-14T22:13:20.25Z", &all),
        ),
        ("rule=Odd&at=0", told("1970-01-01T00:00:00Z", &all)),
    ] {
        let at = format!("POST /api/v1/detectors/reset?{request}");
        check_at(&router, &at, 200, expected.clone()).await;
        let form = format!("PUT /api/v1/detectors/reset {request}");
        check_at(&router, &form, 200, expected).await;
    }
}

#[tokio::test]
async fn what_is_wrong_is_refused_with_what_to_do() {
    let router = with_detectors();
    for (request, message) in [
        (
            "",
            "it is not said which rules: give rule=, group= or file=, as /api/v1/rules lists them",
        ),
        (
            "?at=5&rule=",
            "it is not said which rules: give rule=, group= or file=, as /api/v1/rules lists them",
        ),
        (
            "?rule=Odd&grup=first",
            "unknown parameter \"grup\": known are file, group, rule and at",
        ),
        (
            "?rule=Odd&group=third",
            "no loaded rule is of group=third, rule=Odd: /api/v1/rules lists files, groups and \
             rules",
        ),
        (
            "?rule=Down",
            "no rule of rule=Down has a detector (anomaly_*, change_* and forecast_*), so there \
             is nothing to reset; rules that read what such a rule records follow it",
        ),
        (
            "?rule=Odd&at=yesterday",
            "invalid parameter \"at\": cannot parse \"yesterday\" to a valid timestamp",
        ),
        (
            "?rule=Odd&at=1700000000000",
            "invalid parameter \"at\": 1700000000000 is more than 1h ahead of the server's clock \
             (seconds since 1970 or RFC 3339): until then the rules would say nothing",
        ),
    ] {
        let request = format!("POST /api/v1/detectors/reset{request}");
        check_at(&router, &request, 400, error("bad_data", message)).await;
    }
    let answer = send(&router, "GET /api/v1/detectors/reset?rule=Odd").await;
    assert_eq!(answer.status.as_u16(), 405, "looking resets nothing");
}

#[tokio::test]
async fn without_the_flag_nothing_is_reset() {
    let fake = fake();
    let mut settings = settings(&fake);
    settings.lifecycle = false;
    let router = router(Arc::new(fake), settings, ui::routes());
    let answer = send(&router, "POST /api/v1/detectors/reset?rule=Down").await;
    assert_eq!(answer.status.as_u16(), 403);
    assert_eq!(answer.body, "Lifecycle API is not enabled.");
}
