//! Webhooks: groups, retries, and what is not told.

use crate::support::Answer::Status;
use crate::support::{Receiver, World, config};

fn webhook(receiver: &Receiver, extra: &str) -> String {
    format!(
        "burnwatch: {{webhooks: [{{url: 'http://{}/hook', {extra}}}]}}\n",
        receiver.address
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_is_posted_when_an_alert_fires_and_when_it_is_resolved() {
    let receiver = Receiver::start([Status(500)]).await;
    let world = World::start(config(&webhook(&receiver, "name: team")));
    world.fire("A");
    // The failed request is made again.
    let requests = receiver.requests(2).await;
    for request in &requests {
        let body = request.json();
        assert_eq!(body["version"], "4");
        assert_eq!(body["status"], "firing");
        assert_eq!(body["receiver"], "team");
        assert_eq!(body["groupLabels"], serde_json::json!({"alertname": "A"}));
        assert_eq!(body["alerts"][0]["labels"]["severity"], "page");
    }
    let sent = "prometheus_notifications_sent_total";
    world
        .metric_reaches(sent, "webhook:team:127.0.0.1:", 1.0)
        .await;
    world.resolve("A");
    let body = receiver.requests(3).await.remove(2).json();
    assert_eq!(body["status"], "resolved");
    assert_eq!(body["alerts"][0]["status"], "resolved");
    assert_eq!(body["truncatedAlerts"], 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_refused_or_not_asked_for_is_not_sent_again() {
    let receiver = Receiver::start([Status(404)]).await;
    let world = World::start(config(&webhook(&receiver, "send_resolved: false")));
    world.fire("A");
    let dropped = "prometheus_notifications_dropped_total";
    world.metric_reaches(dropped, "", 1.0).await;
    world.resolve("A");
    world.fire("B");
    let requests = receiver.requests(2).await;
    assert_eq!(requests[1].json()["groupLabels"]["alertname"], "B");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_groups_first_notification_waits_for_more_alerts() {
    let receiver = Receiver::start([]).await;
    let extra = "group_by: [severity], group_wait: 200ms";
    let world = World::start(config(&webhook(&receiver, extra)));
    for name in ["C", "A", "B"] {
        world.fire(name);
    }
    let body = receiver.requests(1).await.remove(0).json();
    let alerts = body["alerts"].as_array().expect("alerts").iter();
    let names: Vec<&str> = alerts
        .filter_map(|a| a["labels"]["alertname"].as_str())
        .collect();
    assert_eq!(names, ["A", "B", "C"]);
    assert_eq!(
        body["commonLabels"],
        serde_json::json!({"severity": "page"})
    );
    assert_eq!(body["groupKey"], "{}:{severity=\"page\"}");
}
