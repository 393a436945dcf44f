//! What a process told, or did not come to tell, before it was killed, and what the next one says.

use std::net::SocketAddr;
use std::path::Path;

use burnwatch::clock::{Clock, SystemClock};
use burnwatch::model::{AlertMessage, AlertStatus, TimestampMs};
use burnwatch::notify::{AlertEvent, newest_of_each};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;

use crate::support::Answer::Status;
use crate::support::{Receiver, Request, World, alertmanagers, config, firing, message};

/// A process that notifies: its tasks end when it is killed, with nothing said or written.
struct Process {
    runtime: Option<Runtime>,
    world: World,
}

impl Process {
    fn start(text: &str, folder: &Path) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime");
        let world = {
            let _inside = runtime.enter();
            World::start_in(config(text), folder)
        };
        Process {
            runtime: Some(runtime),
            world,
        }
    }

    fn kill(mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

fn resolved(name: &str) -> AlertEvent {
    let resolved_at = SystemClock.now();
    AlertEvent::State(message(name, AlertStatus::Resolved { resolved_at }))
}

fn fires(name: &str) -> AlertMessage {
    message(name, AlertStatus::Firing)
}

/// Returns what a receiver was told, in order: `A+` fires, `A-` is resolved.
fn told(requests: &[Request]) -> Vec<String> {
    let mut told = Vec::new();
    for request in requests {
        let body = request.json();
        let alerts = body["alerts"].as_array().or(body.as_array());
        for alert in alerts.expect("alerts") {
            let name = alert["labels"]["alertname"].as_str().expect("a name");
            let fires = match alert["status"].as_str() {
                Some(status) => status == "firing",
                None => {
                    let ends_at = alert["endsAt"].as_str().expect("an end");
                    let ends_at: jiff::Timestamp = ends_at.parse().expect("RFC 3339");
                    ends_at.as_millisecond() > SystemClock.now().0
                }
            };
            told.push(format!("{name}{}", if fires { '+' } else { '-' }));
        }
    }
    told
}

/// An Alertmanager and a webhook, and the configuration that names them.
fn both(am: SocketAddr, hook: SocketAddr) -> String {
    let hook = format!("burnwatch: {{webhooks: [{{url: 'http://{hook}/'}}]}}\n");
    format!("{}{hook}", alertmanagers(&[am], ""))
}

/// Catches people who are paged again because a process was restarted.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_told_is_not_told_again() {
    let (am, hook) = (Receiver::start([]).await, Receiver::start([]).await);
    let (text, folder) = (
        both(am.address, hook.address),
        tempfile::tempdir().expect("a folder"),
    );
    let first = Process::start(&text, folder.path());
    first.world.fire("A");
    first.world.fire("Gone");
    am.requests(1).await;
    let sent = "prometheus_notifications_sent_total";
    first.world.metric_reaches(sent, "", 4.0).await;
    first.world.deliver(resolved("Gone"));
    first.world.metric_reaches(sent, "", 6.0).await;
    first.kill();
    let n_told = (am.requests(1).await.len(), hook.requests(1).await.len());

    for _ in 0..2 {
        let next = Process::start(&text, folder.path());
        next.world
            .notify
            .resume(vec![firing("A")], vec![fires("A")]);
        next.kill();
    }
    let last = Process::start(&text, folder.path());
    last.world.notify.resume(Vec::new(), vec![fires("A")]);
    last.world.fire("B");
    let am = am.requests(n_told.0 + 1).await;
    assert_eq!(told(&am[n_told.0..]), ["B+"]);
    let hook = hook.requests(n_told.1 + 1).await;
    assert_eq!(told(&hook[n_told.1..]), ["B+"]);
}

/// Catches the end of an alert that is lost with the process which knew of it: no engine says it
/// again once it lies before the newest checkpoint.
#[tokio::test(flavor = "multi_thread")]
async fn an_end_that_was_not_delivered_is_told_by_the_next_process() {
    let (am, hook) = (Receiver::start([]).await, Receiver::start([]).await);
    let folder = tempfile::tempdir().expect("a folder");
    let text = both(am.address, hook.address);
    let first = Process::start(&text, folder.path());
    first.world.fire("A");
    let sent = "prometheus_notifications_sent_total";
    first.world.metric_reaches(sent, "", 2.0).await;
    first.kill();
    // Both are down while the second process runs.
    let down = |answers| Receiver::start_with(answers, Status(503));
    drop((am, hook));
    let (am, hook) = (down([]).await, down([]).await);
    let second_text = both(am.address, hook.address);
    // The addresses are others here, so the second process speaks of what it told itself.
    let second = Process::start(&second_text, folder.path());
    second.world.notify.resume(Vec::new(), vec![fires("A")]);
    am.requests(1).await;
    hook.requests(1).await;
    second.world.deliver(resolved("A"));
    am.requests(2).await;
    second.kill();

    am.set(Status(200));
    hook.set(Status(200));
    let n_told = (am.requests(1).await.len(), hook.requests(1).await.len());
    let third = Process::start(&second_text, folder.path());
    third.world.notify.resume(Vec::new(), Vec::new());
    let am = am.requests(n_told.0 + 1).await;
    assert_eq!(told(&am[n_told.0..]), ["A-"]);
    let hook = hook.requests(n_told.1 + 1).await;
    assert_eq!(told(&hook[n_told.1..]), ["A-"]);
}

/// Catches an alert that fired while nobody listened and is lost with the process, and one that
/// came and went unheard and is spoken of all the same.
#[tokio::test(flavor = "multi_thread")]
async fn a_firing_that_was_not_delivered_is_told_once_the_engine_vouches_for_it() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    drop(listener);
    let text = alertmanagers(&[address], "");
    let folder = tempfile::tempdir().expect("a folder");
    let first = Process::start(&text, folder.path());
    for name in ["Fires", "CameAndWent", "RuleIsGone"] {
        first.world.fire(name);
    }
    let errors = "prometheus_notifications_errors_total";
    first.world.metric_reaches(errors, "", 3.0).await;
    first.kill();

    let am = Receiver::start_at(address).await;
    let second = Process::start(&text, folder.path());
    // What a replay finds is worth its newest state only.
    let mut again = fires("Fires");
    again.fired_at = TimestampMs(again.fired_at.0 + 60_000);
    let found = newest_of_each([
        firing("CameAndWent"),
        firing("Fires"),
        resolved("Fires"),
        resolved("CameAndWent"),
        AlertEvent::State(again.clone()),
    ]);
    assert_eq!(found.len(), 2);
    second.world.notify.resume(found, vec![again]);
    let requests = am.requests(1).await;
    assert_eq!(told(&requests), ["Fires+"]);
    let starts_at = requests[0].json()[0]["startsAt"].clone();
    assert_eq!(starts_at, "2023-11-14T22:14:20.000Z");
}
