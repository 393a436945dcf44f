//! What the histogram of latencies counts, and between which instants it measures.

use axum::Router;
use axum::body::Bytes;
use axum::response::Redirect;
use axum::routing::post;
use burnwatch::arrivals::REMEMBERED_MAX;
use burnwatch::clock::{Clock, Stopwatch, SystemClock};
use burnwatch::model::{AlertMessage, AlertStatus, DurationMs};
use burnwatch::notify::AlertEvent;
use tokio::net::TcpListener;
use tokio::sync::mpsc;

use crate::support::Answer::Status;
use crate::support::{PATIENCE, Receiver, World, alertmanagers, config, message};

const COUNT: &str = "burnwatch_notification_latency_seconds_count";
const SUM: &str = "burnwatch_notification_latency_seconds_sum";

fn deliver(world: &World, name: &str, caused_by: u64, edit: impl FnOnce(&mut AlertMessage)) {
    let mut message = message(name, AlertStatus::Firing);
    message.caused_by = caused_by;
    edit(&mut message);
    world.notify.deliver(vec![AlertEvent::State(message)]);
}

/// Catches a resend, a refresh, a backlog or a beat of the clock that is taken for a latency, and
/// news that are not counted.
#[tokio::test(flavor = "multi_thread")]
async fn news_that_a_request_caused_are_counted_and_nothing_else() {
    let receiver = Receiver::start([Status(503)]).await;
    let webhook = Receiver::start([]).await;
    let text = alertmanagers(&[receiver.address], "");
    let webhooks = format!(
        "burnwatch: {{webhooks: [{{url: 'http://{}/'}}]}}",
        webhook.address
    );
    let mut config = config(&format!("{text}{webhooks}\n"));
    config.resend_delay = DurationMs(1);
    let world = World::start(config);
    (1..=3).for_each(|request| world.arrivals.note(request, Stopwatch::start()));

    deliver(&world, "Fires", 1, |_| {});
    // The first attempt fails, the others resend.
    receiver.requests(4).await;
    deliver(&world, "Fires", 2, |message| {
        message.annotations = [].into()
    });
    deliver(&world, "OfABacklog", 2, |message| message.backlog = true);
    deliver(&world, "OfTheClock", 4, |_| {});
    webhook.requests(1).await;
    deliver(&world, "Fires", 3, |message| {
        message.status = AlertStatus::Resolved {
            resolved_at: SystemClock.now(),
        };
    });
    world.notify.drain(PATIENCE).await;
    for kind in ["alertmanager", "webhook"] {
        for status in ["firing", "resolved"] {
            let labels = format!("receiver=\"{kind}\",status=\"{status}\"");
            assert_eq!(world.metric(COUNT, &labels), 1.0, "{labels}");
        }
    }
}

/// Catches a clock that starts or stops at the wrong instant. The bounds are read off stopwatches
/// around what is measured, so that a busy machine changes nothing.
#[tokio::test(flavor = "multi_thread")]
async fn it_is_measured_from_the_requests_first_byte_to_the_notifications() {
    let receiver = Receiver::start([]).await;
    let world = World::start(config(&alertmanagers(&[receiver.address], "")));
    let began = Stopwatch::start();
    world.arrivals.note(1, began);
    deliver(&world, "OfTheClock", 0, |_| {});
    receiver.requests(1).await;

    let at_least = began.seconds();
    deliver(&world, "Fires", 1, |_| {});
    receiver.requests(2).await;
    let at_most = began.seconds();
    world.metric_reaches(COUNT, "", 1.0).await;
    let latency = world.metric(SUM, "");
    assert!((at_least..=at_most).contains(&latency), "{latency} s");

    // Of a request too long ago to be remembered the stamped wall clock is left.
    (2..=1 + REMEMBERED_MAX as u64).for_each(|n| world.arrivals.note(n, Stopwatch::start()));
    deliver(&world, "Late", 1, |message| {
        message.caused_at_wall = message.caused_at_wall - DurationMs::from_seconds(30);
    });
    world.metric_reaches(COUNT, "", 2.0).await;
    assert!(world.metric(SUM, "") >= 30.0, "{}", world.metric(SUM, ""));
}

/// Catches a text that changes before anybody was told, and makes an old alert look young.
#[tokio::test(flavor = "multi_thread")]
async fn a_text_that_changes_before_it_is_told_does_not_change_what_is_measured() {
    let receiver = Receiver::start([Status(503)]).await;
    let world = World::start(config(&alertmanagers(&[receiver.address], "")));
    world.arrivals.note(1, Stopwatch::start());
    deliver(&world, "Fires", 1, |_| {});
    receiver.requests(1).await;
    // Had the new text its own cause, there would be no request to measure from.
    deliver(&world, "Fires", 2, |message| {
        message.annotations = [].into()
    });
    receiver.requests(2).await;
    world.notify.drain(PATIENCE).await;
    assert_eq!(world.metric(COUNT, ""), 1.0);
}

/// Catches a body that is sent once and not where the receiver has moved to.
#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_has_moved_gets_the_body_where_it_is() {
    let (came, mut bodies) = mpsc::unbounded_channel();
    let take = move |body: Bytes| async move { drop(came.send(body)) };
    let moved = || async { Redirect::permanent("/new") };
    let app = Router::new()
        .route("/old/api/v2/alerts", post(moved))
        .route("/new", post(take));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move { axum::serve(listener, app).await });
    let world = World::start(config(&alertmanagers(&[address], "path_prefix: /old/")));
    world.arrivals.note(1, Stopwatch::start());
    deliver(&world, "Fires", 1, |_| {});
    let body = tokio::time::timeout(PATIENCE, bodies.recv()).await;
    let body = body.expect("in time").expect("a body");
    assert!(String::from_utf8_lossy(&body).contains("\"Fires\""));
    world.metric_reaches(COUNT, "", 1.0).await;
}
