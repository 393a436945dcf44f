//! Alertmanagers that answer, refuse, fail, hang, or are not there.

use std::time::Instant;

use burnwatch::clock::{Clock, SystemClock};
use burnwatch::notify::notifier::ALL;
use tokio::net::TcpListener;

use crate::support::Answer::{Hang, Status};
use crate::support::{Receiver, World, alertmanagers, config, firing};

const SENT: &str = "prometheus_notifications_sent_total";
const ERRORS: &str = "prometheus_notifications_errors_total";
const DROPPED: &str = "prometheus_notifications_dropped_total";

/// Catches a body that Alertmanager would read otherwise, and a queue that polls.
#[tokio::test(flavor = "multi_thread")]
async fn an_alert_is_posted_at_once_in_the_form_of_the_api() {
    let receiver = Receiver::start([]).await;
    let text = alertmanagers(&[receiver.address], "path_prefix: /am/\nbearer_token: abc");
    let text = format!("global: {{external_labels: {{zone: z}}}}\n{text}");
    let world = World::start(config(&text));
    world.fire("warm-up");
    receiver.requests(1).await;

    let begun = Instant::now();
    world.fire("Up");
    let request = receiver.requests(2).await.remove(1);
    assert!(begun.elapsed().as_millis() < 1_000, "{:?}", begun.elapsed());

    assert_eq!(request.headers["content-type"], "application/json");
    assert_eq!(request.headers["authorization"], "Bearer abc");
    let alert = &request.json()[0];
    let labels = serde_json::json!({"alertname": "Up", "severity": "page", "zone": "z"});
    assert_eq!(alert["labels"], labels);
    assert_eq!(alert["annotations"]["summary"], "Up is on");
    assert_eq!(alert["startsAt"], "2023-11-14T22:13:20.000Z");
    let url = "http://burnwatch/graph?g0.expr=up+%3D%3D+0&g0.tab=1";
    assert_eq!(alert["generatorURL"], url);
    let ends_at = alert["endsAt"]
        .as_str()
        .expect("a time")
        .parse::<jiff::Timestamp>();
    let ahead = ends_at.expect("RFC 3339").as_millisecond() - SystemClock.now().0;
    assert!(
        (230_000..=240_000).contains(&ahead),
        "valid for 4 minutes, not {ahead} ms"
    );

    world.metric_reaches(SENT, "/am/api/v2/alerts", 2.0).await;
    assert_eq!(
        world.metric("prometheus_notifications_alertmanagers_discovered", ""),
        1.0
    );
    let views = world.notify.alertmanagers();
    assert_eq!(
        views[0].url,
        format!("http://{}/am/api/v2/alerts", receiver.address)
    );

    world.resolve("Up");
    let resolved = receiver.requests(3).await.remove(2).json();
    let ends_at = resolved[0]["endsAt"]
        .as_str()
        .expect("a time")
        .parse::<jiff::Timestamp>();
    assert!(ends_at.expect("RFC 3339").as_millisecond() <= SystemClock.now().0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_refused_is_counted_and_not_sent_again_at_once() {
    let receiver = Receiver::start([Status(400)]).await;
    let world = World::start(config(&alertmanagers(&[receiver.address], "")));
    world.fire("A");
    world.metric_reaches(DROPPED, "", 1.0).await;
    world.fire("B");
    let requests = receiver.requests(2).await;
    assert_eq!(requests[1].alert_names(), ["B"]);
    assert_eq!(world.metric(ERRORS, ""), 1.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_is_tried_again_until_it_succeeds() {
    let receiver = Receiver::start([Status(500), Status(503)]).await;
    let world = World::start(config(&alertmanagers(&[receiver.address], "")));
    world.fire("A");
    for request in receiver.requests(3).await {
        assert_eq!(request.alert_names(), ["A"]);
    }
    world.metric_reaches(SENT, "", 1.0).await;
    assert_eq!(
        (world.metric(ERRORS, ""), world.metric(DROPPED, "")),
        (2.0, 0.0)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_newer_state_takes_the_place_of_one_that_failed() {
    let receiver = Receiver::start([Status(500)]).await;
    let world = World::start(config(&alertmanagers(&[receiver.address], "")));
    world.fire("A");
    receiver.requests(1).await;
    world.resolve("A");
    let requests = receiver.requests(2).await;
    let body = requests[1].json();
    let ends_at = body[0]["endsAt"]
        .as_str()
        .expect("a time")
        .parse::<jiff::Timestamp>();
    assert!(ends_at.expect("RFC 3339").as_millisecond() <= SystemClock.now().0);
}

/// Catches a receiver that holds up another.
#[tokio::test(flavor = "multi_thread")]
async fn one_that_hangs_and_one_that_is_not_there_delay_nobody() {
    let hanging = Receiver::start_with([], Hang).await;
    let absent = {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        listener.local_addr().expect("an address")
    };
    let up = Receiver::start([]).await;
    let addresses = [hanging.address, absent, up.address];
    let world = World::start(config(&alertmanagers(&addresses, "timeout: 100ms")));
    for n in 1..=5 {
        let begun = Instant::now();
        world.fire(&format!("A{n}"));
        assert!(begun.elapsed().as_millis() < 100, "handing over waited");
        up.requests(n).await;
        assert!(begun.elapsed().as_millis() < 2_000, "{:?}", begun.elapsed());
    }
    world
        .metric_reaches(SENT, &up.address.to_string(), 5.0)
        .await;
    world.metric_reaches(ERRORS, &absent.to_string(), 1.0).await;
    // The one that hangs is asked again after its timeout.
    hanging.requests(2).await;
    world
        .metric_reaches(ERRORS, &hanging.address.to_string(), 1.0)
        .await;
    assert_eq!(world.metric(SENT, &hanging.address.to_string()), 0.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_queue_drops_the_oldest_and_counts_them() {
    let receiver = Receiver::start([]).await;
    let text = alertmanagers(&[receiver.address], "");
    let world = World::start(config(&format!(
        "{text}burnwatch: {{limits: {{notification_queue: 2}}}}\n"
    )));
    world
        .notify
        .deliver(["A", "B", "C", "D", "E"].map(firing).to_vec());
    let requests = receiver.requests(1).await;
    assert_eq!(requests[0].alert_names(), ["D", "E"]);
    assert_eq!(world.metric(DROPPED, ""), 3.0);
    assert_eq!(
        world.metric("prometheus_notifications_queue_capacity", ""),
        2.0
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn many_alerts_go_in_batches_of_256() {
    let receiver = Receiver::start([]).await;
    let world = World::start(config(&alertmanagers(&[receiver.address], "")));
    let names: Vec<String> = (0..600).map(|n| format!("A{n:03}")).collect();
    world
        .notify
        .deliver(names.iter().map(|name| firing(name)).collect());
    let requests = receiver.requests(3).await;
    let sizes: Vec<usize> = requests.iter().map(|r| r.alert_names().len()).collect();
    assert_eq!(sizes, [256, 256, 88]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_waits_for_what_is_to_be_sent_but_not_forever() {
    let (receiver, hanging) = (
        Receiver::start([]).await,
        Receiver::start_with([], Hang).await,
    );
    let addresses = [receiver.address, hanging.address];
    let world = World::start(config(&alertmanagers(&addresses, "")));
    world.fire("A");
    let begun = Instant::now();
    world
        .notify
        .drain(std::time::Duration::from_millis(500))
        .await;
    assert!(begun.elapsed().as_millis() < 5_000);
    assert_eq!(receiver.requests(1).await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alertmanager_that_is_added_hears_of_what_fires() {
    let (first, second) = (Receiver::start([]).await, Receiver::start([]).await);
    let world = World::start(config(&alertmanagers(&[first.address], "")));
    world.fire("A");
    world.fire("B");
    first.requests(1).await;
    world.resolve("B");
    let both = alertmanagers(&[first.address, second.address], "");
    world
        .notify
        .reconfigure(config(&both))
        .expect("a valid configuration");
    let requests = second.requests(1).await;
    assert_eq!(requests[0].alert_names(), ["A"]);
    assert_eq!(
        world.metric("prometheus_notifications_alertmanagers_discovered", ""),
        2.0
    );

    world
        .notify
        .reconfigure(config(""))
        .expect("a valid configuration");
    assert_eq!(
        world.metric("prometheus_notifications_alertmanagers_discovered", ""),
        0.0
    );
    assert_eq!(world.notify.alertmanagers(), []);
}

/// Catches a kind without help, or whose example names no receiver.
#[tokio::test(flavor = "multi_thread")]
async fn every_kind_has_an_example_that_can_be_started() {
    for build in ALL {
        let kind = build();
        assert!(!kind.about().is_empty() && kind.example().contains(kind.name()));
        let world = World::start(config(kind.example()));
        world.fire("A");
        world
            .notify
            .drain(std::time::Duration::from_millis(10))
            .await;
    }
}
