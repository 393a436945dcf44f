//! Webhooks: Alertmanager's body (version 4) without an Alertmanager in between.

use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use serde::Serialize;
use tokio::task::JoinHandle;

use crate::config::WebhookConfig;
use crate::model::{AlertStatus, Labels, TimestampMs};
use crate::notify::NotifyConfig;
use crate::notify::alert_receiver::{AlertReceiver, Annotations, Carried, serialize_labels};
use crate::notify::event::AlertUpdate;
use crate::notify::grouping::{GroupBatch, GroupSettings, Groups, Told};
use crate::notify::latency::Receiver;
use crate::notify::metrics::AlertmanagerLabel;
use crate::notify::notifier::{Notifier, World};
use crate::notify::outcome::Outcome;
use crate::notify::outgoing_labels::{generator_url, outgoing_labels};
use crate::notify::queue::{Pauses, Push, Queue};
use crate::notify::schedule::stamp;
use crate::notify::wire_time::{ZERO_TIME, rfc3339};

/// The pauses after failures.
const PAUSES: Pauses = Pauses {
    min: Duration::from_millis(500),
    max: Duration::from_secs(60),
};

/// All webhooks.
#[derive(Default)]
pub struct Webhooks {
    running: Vec<Running>,
    config: Option<NotifyConfig>,
}

/// Returns the kind without receivers.
pub fn new() -> Box<dyn Notifier> {
    Box::new(Webhooks::default())
}

/// One webhook and what it was started with.
struct Running {
    webhook: WebhookConfig,
    queue: Arc<Queue<Groups>>,
}

impl Notifier for Webhooks {
    fn name(&self) -> &'static str {
        "webhooks"
    }

    fn about(&self) -> &'static str {
        "Posts groups of alerts in the body of Alertmanager's webhooks, version 4"
    }

    fn example(&self) -> &'static str {
        "burnwatch: {webhooks: [{url: 'http://localhost:5001/', group_by: [alertname]}]}"
    }

    fn reconfigure(&mut self, config: &NotifyConfig, world: &World) {
        let mut old = std::mem::take(&mut self.running);
        for webhook in &config.webhooks {
            let same = |running: &Running| running.webhook == *webhook;
            let running = match old.iter().position(same) {
                Some(at) => {
                    let running = old.swap_remove(at);
                    let push = WebhookPush::new(webhook, config, world);
                    running.queue.set_push(Box::new(push));
                    running
                }
                None => start(webhook, config, world),
            };
            self.running.push(running);
        }
        for removed in old {
            removed.queue.stop();
            world.ledger.end(&name(&removed.webhook));
            world.metrics.end(&label(&removed.webhook));
        }
        self.config = Some(config.clone());
    }

    fn alerts(&mut self, updates: &[AlertUpdate]) {
        let Some(config) = &self.config else {
            return;
        };
        for running in &self.running {
            running.queue.edit(|groups, now| {
                let updated = updates.iter().map(|u| update(groups, u, config, now));
                updated.sum()
            });
        }
    }

    fn drain(&mut self) -> Vec<JoinHandle<()>> {
        let running = self.running.iter();
        running
            .filter_map(|running| running.queue.drain())
            .collect()
    }
}

fn start(webhook: &WebhookConfig, config: &NotifyConfig, world: &World) -> Running {
    let takes_all = webhook.group_by.iter().any(|name| name == "...");
    let mut groups = Groups::new(GroupSettings {
        group_by: (!takes_all).then(|| webhook.group_by.clone()),
        group_wait: webhook.group_wait,
        repeat_interval: webhook.repeat_interval,
        send_resolved: webhook.send_resolved,
        waiting_max: config.queue_capacity,
    });
    let now = world.clock.now();
    for known in world.ledger.known_to(&name(webhook)) {
        let steps = [config.alerting.alert_relabel_configs.as_slice()];
        let labels = &known.message.labels;
        if let Some(labels) = outgoing_labels(labels, &config.external_labels, &steps) {
            groups.recall(&known, labels, now);
        }
    }
    world.metrics.begin(&label(webhook));
    let queue = Queue::start(
        label(webhook).alertmanager,
        groups,
        Box::new(WebhookPush::new(webhook, config, world)),
        PAUSES,
        Arc::clone(&world.clock),
        &world.runtime,
    );
    Running {
        webhook: webhook.clone(),
        queue,
    }
}

fn update(
    groups: &mut Groups,
    update: &AlertUpdate,
    config: &NotifyConfig,
    now: TimestampMs,
) -> usize {
    let message = match update {
        AlertUpdate::State(message) => message,
        // Resolutions are told once anyway.
        AlertUpdate::Pending(_) => return 0,
        AlertUpdate::Forget(labels) => {
            groups.forget(labels);
            return 0;
        }
    };
    let steps = [config.alerting.alert_relabel_configs.as_slice()];
    match outgoing_labels(&message.labels, &config.external_labels, &steps) {
        Some(labels) => groups.state(Arc::clone(message), labels, now),
        None => {
            groups.forget(&message.labels);
            0
        }
    }
}

/// Names a webhook in metrics; a path may hold a token, so only scheme and host are shown.
fn label(webhook: &WebhookConfig) -> AlertmanagerLabel {
    let host = webhook.url.host_str().unwrap_or_default();
    let port = webhook.url.port_or_known_default().unwrap_or(0);
    AlertmanagerLabel {
        alertmanager: format!("webhook:{}:{host}:{port}", webhook.name),
    }
}

/// Names a webhook in the ledger: as in metrics, with a hash of the URL, which tells two on one
/// host apart and gives no token away.
fn name(webhook: &WebhookConfig) -> String {
    let hash = xxhash_rust::xxh3::xxh3_64(webhook.url.as_str().as_bytes());
    format!("{}#{hash:016x}", label(webhook).alertmanager)
}

struct WebhookPush {
    receiver: AlertReceiver,
    webhook: WebhookConfig,
    external_url: String,
}

impl WebhookPush {
    fn new(webhook: &WebhookConfig, config: &NotifyConfig, world: &World) -> Self {
        let (url, timeout) = (webhook.url.clone(), webhook.timeout.to_std());
        let (kind, label, name) = (Receiver::Webhook, label(webhook), name(webhook));
        let mut receiver =
            AlertReceiver::new(kind, label, name, url, timeout, &webhook.http, world);
        if !webhook.send_resolved {
            receiver = receiver.without_ends();
        }
        WebhookPush {
            receiver,
            webhook: webhook.clone(),
            external_url: config.external_url.clone(),
        }
    }

    async fn send(&self, batch: &GroupBatch, sent_at: TimestampMs) -> Outcome {
        let body = body(batch, &self.webhook, &self.external_url, sent_at);
        let news = batch.alerts.iter().filter(|alert| alert.is_new);
        let carried = Carried {
            news: news.map(|alert| Arc::clone(&alert.message)).collect(),
            // When people were last told counts for the next repetition, hours from now.
            remembered: batch
                .alerts
                .iter()
                .map(|a| Arc::clone(&a.message))
                .collect(),
        };
        self.receiver.post(&body, batch.alerts.len(), carried).await
    }
}

impl Push<GroupBatch> for WebhookPush {
    fn push<'a>(&'a self, batch: &'a GroupBatch, sent_at: TimestampMs) -> BoxFuture<'a, Outcome> {
        self.send(batch, sent_at).boxed()
    }

    fn waiting(&self, n_waiting: usize) {
        self.receiver.set_waiting(n_waiting);
    }

    fn dropped(&self, n_dropped: usize) {
        self.receiver.add_dropped(n_dropped);
    }
}

/// The body, version 4.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Body<'a> {
    receiver: String,
    status: &'static str,
    alerts: Vec<BodyAlert>,
    #[serde(serialize_with = "serialize_labels")]
    group_labels: Labels,
    #[serde(serialize_with = "serialize_labels")]
    common_labels: Labels,
    common_annotations: Annotations,
    #[serde(rename = "externalURL")]
    external_url: &'a str,
    version: &'static str,
    group_key: String,
    truncated_alerts: usize,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct BodyAlert {
    status: &'static str,
    #[serde(serialize_with = "serialize_labels")]
    labels: Labels,
    annotations: Annotations,
    starts_at: String,
    ends_at: String,
    #[serde(rename = "generatorURL")]
    generator_url: String,
    fingerprint: String,
    /// Ours: what surrounds the alert, where its rule asks for that.
    #[serde(skip_serializing_if = "Option::is_none")]
    context: Option<serde_json::Value>,
}

fn body<'a>(
    batch: &GroupBatch,
    webhook: &WebhookConfig,
    external_url: &'a str,
    sent_at: TimestampMs,
) -> Body<'a> {
    let n_shown = match webhook.max_alerts {
        0 => batch.alerts.len(),
        max => max.min(batch.alerts.len()),
    };
    let (shown, cut) = batch.alerts.split_at(n_shown);
    let fires = |alert: &Told| alert.message.status == AlertStatus::Firing;
    Body {
        receiver: quote_regexp(&webhook.name),
        status: status(shown.iter().any(fires)),
        alerts: shown
            .iter()
            .map(|alert| body_alert(alert, external_url, sent_at))
            .collect(),
        group_labels: batch.group_labels.clone(),
        common_labels: common_labels(shown),
        common_annotations: common_annotations(shown),
        external_url,
        version: "4",
        // An own router has one route, whose matchers are empty.
        group_key: format!("{{}}:{}", batch.group_labels),
        truncated_alerts: cut.len(),
    }
}

fn body_alert(alert: &Told, external_url: &str, sent_at: TimestampMs) -> BodyAlert {
    let message = &alert.message;
    let fires = message.status == AlertStatus::Firing;
    let (starts_at, ends_at) = stamp(message, sent_at);
    BodyAlert {
        status: status(fires),
        labels: alert.labels.clone(),
        annotations: Annotations(Arc::clone(&message.annotations)),
        starts_at: rfc3339(starts_at),
        ends_at: if fires {
            ZERO_TIME.to_owned()
        } else {
            rfc3339(ends_at)
        },
        generator_url: generator_url(external_url, &message.expr),
        fingerprint: format!("{:016x}", alert.labels.fingerprint()),
        context: message
            .context
            .as_deref()
            .and_then(|context| serde_json::from_str(context).ok()),
    }
}

fn status(fires: bool) -> &'static str {
    if fires { "firing" } else { "resolved" }
}

fn common_labels(alerts: &[Told]) -> Labels {
    let Some((first, rest)) = alerts.split_first() else {
        return Labels::empty();
    };
    let in_all = |name: &str| {
        let value = first.labels.get(name);
        rest.iter().all(|alert| alert.labels.get(name) == value)
    };
    first.labels.filter(in_all)
}

fn common_annotations(alerts: &[Told]) -> Annotations {
    let Some((first, rest)) = alerts.split_first() else {
        return Annotations(Arc::from([]));
    };
    let pairs = first.message.annotations.iter();
    let in_all = pairs.filter(|pair| {
        rest.iter()
            .all(|alert| alert.message.annotations.contains(pair))
    });
    Annotations(in_all.cloned().collect())
}

/// Quotes a text for Go's regular expressions, as Alertmanager does with a receiver's name.
fn quote_regexp(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if r"\.+*?()|[]{}^$".contains(c) {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::HttpClientConfig;
    use crate::model::{AlertMessage, DurationMs};

    fn webhook(max_alerts: usize) -> WebhookConfig {
        WebhookConfig {
            url: "http://hook/".parse().expect("URL"),
            name: "team.a".to_owned(),
            send_resolved: true,
            group_by: vec!["alertname".to_owned()],
            group_wait: DurationMs::ZERO,
            repeat_interval: DurationMs::ZERO,
            timeout: DurationMs::from_seconds(1),
            max_alerts,
            http: HttpClientConfig::default(),
        }
    }

    fn told(instance: &str, resolved_at: Option<i64>) -> Told {
        let labels = Labels::from_pairs([("alertname", "Up"), ("instance", instance)]);
        let status = resolved_at.map_or(AlertStatus::Firing, |at| AlertStatus::Resolved {
            resolved_at: TimestampMs(at),
        });
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let annotations = [pair("summary", instance), pair("runbook", "r")];
        let mut groups = Groups::new(GroupSettings {
            group_by: None,
            group_wait: DurationMs::ZERO,
            repeat_interval: DurationMs::ZERO,
            send_resolved: true,
            waiting_max: 10,
        });
        let message = AlertMessage {
            labels: labels.clone(),
            annotations: Arc::from(annotations),
            context: resolved_at.map(|_| Arc::from(r#"{"alert":"Up"}"#)),
            status,
            fired_at: TimestampMs(1_000),
            valid_for: DurationMs::from_seconds(240),
            expr: Arc::from("up == 0"),
            caused_by: 0,
            caused_at_wall: TimestampMs(1_000),
            backlog: false,
        };
        groups.state(Arc::new(message), labels, TimestampMs(1_000));
        let batch = crate::notify::queue::Book::take(&mut groups, TimestampMs(1_000), false);
        batch.expect("due").alerts.remove(0)
    }

    /// Catches a field that is missing, renamed or formatted otherwise than Alertmanager's.
    #[test]
    fn the_body_is_alertmanagers_version_4() {
        let batch = GroupBatch {
            group_labels: Labels::from_pairs([("alertname", "Up")]),
            alerts: vec![told("a", None), told("b", Some(61_500)), told("c", None)],
        };
        let body = body(&batch, &webhook(2), "http://bw", TimestampMs(100_000));
        let body = serde_json::to_value(&body).expect("JSON");
        let expected = serde_json::json!({
            "receiver": "team\\.a",
            "status": "firing",
            "alerts": [
                {
                    "status": "firing",
                    "labels": {"alertname": "Up", "instance": "a"},
                    "annotations": {"summary": "a", "runbook": "r"},
                    "startsAt": "1970-01-01T00:00:01Z",
                    "endsAt": "0001-01-01T00:00:00Z",
                    "generatorURL": "http://bw/graph?g0.expr=up+%3D%3D+0&g0.tab=1",
                    "fingerprint": format!(
                        "{:016x}",
                        Labels::from_pairs([("alertname", "Up"), ("instance", "a")]).fingerprint()
                    ),
                },
                {
                    "status": "resolved",
                    "labels": {"alertname": "Up", "instance": "b"},
                    "annotations": {"summary": "b", "runbook": "r"},
                    "startsAt": "1970-01-01T00:00:01Z",
                    "endsAt": "1970-01-01T00:01:01.5Z",
                    "generatorURL": "http://bw/graph?g0.expr=up+%3D%3D+0&g0.tab=1",
                    "fingerprint": format!(
                        "{:016x}",
                        Labels::from_pairs([("alertname", "Up"), ("instance", "b")]).fingerprint()
                    ),
                    "context": {"alert": "Up"},
                },
            ],
            "groupLabels": {"alertname": "Up"},
            "commonLabels": {"alertname": "Up"},
            "commonAnnotations": {"runbook": "r"},
            "externalURL": "http://bw",
            "version": "4",
            "groupKey": "{}:{alertname=\"Up\"}",
            "truncatedAlerts": 1,
        });
        assert_eq!(body, expected);
    }
}
