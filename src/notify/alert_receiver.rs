//! One receiver of alerts in JSON, an Alertmanager or a webhook: the post, how it ended, and the
//! counts of it.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde::{Serialize, Serializer};
use url::Url;

use crate::arrivals::Moment;
use crate::config::HttpClientConfig;
use crate::model::{AlertMessage, Labels};
use crate::notify::departure::Departure;
use crate::notify::http_client::{Answer, HttpClient};
use crate::notify::latency::Receiver;
use crate::notify::metrics::AlertmanagerLabel;
use crate::notify::notifier::World;
use crate::notify::outcome::Outcome;

/// A receiver of alerts.
pub(crate) struct AlertReceiver {
    kind: Receiver,
    label: AlertmanagerLabel,
    /// Names it in the ledger.
    name: String,
    /// Whether it is told of ends at all.
    hears_ends: bool,
    url: Url,
    timeout: Duration,
    client: HttpClient,
    world: World,
}

/// The states that a request carries.
pub(crate) struct Carried {
    /// Those that the receiver has not had.
    pub(crate) news: Vec<Arc<AlertMessage>>,
    /// Those of which it is to be remembered when the receiver accepted them.
    pub(crate) remembered: Vec<Arc<AlertMessage>>,
}

impl AlertReceiver {
    /// Names a receiver by `label` in metrics and by `name` in the ledger.
    pub(crate) fn new(
        kind: Receiver,
        label: AlertmanagerLabel,
        name: String,
        url: Url,
        timeout: Duration,
        http: &HttpClientConfig,
        world: &World,
    ) -> Self {
        world.metrics.latency.begin(kind);
        AlertReceiver {
            kind,
            label,
            name,
            hears_ends: true,
            url,
            timeout,
            client: HttpClient::new(http.clone()),
            world: world.clone(),
        }
    }

    /// Says that the receiver is not told of ends, so that nobody waits until it has been.
    pub(crate) fn without_ends(mut self) -> Self {
        self.hears_ends = false;
        self
    }

    /// Posts a body with `n_alerts` alerts.
    pub(crate) async fn post(
        &self,
        body: &impl Serialize,
        n_alerts: usize,
        carried: Carried,
    ) -> Outcome {
        let Carried { news, remembered } = carried;
        let body = match serde_json::to_vec(body) {
            Ok(body) => Bytes::from(body),
            Err(e) => return Outcome::Refused(format!("alerts cannot be encoded: {e}")),
        };
        let begun = self.world.clock.now();
        let headers = [("content-type", "application/json")];
        let departure = self.departure(&news);
        let posted = self
            .client
            .post(&self.url, &headers, body, self.timeout, &departure);
        let (departed, mut outcome) = match posted.await {
            Ok(answer) => (answer.departed, outcome(answer)),
            Err(error) => (None, Outcome::from(error)),
        };
        if let Outcome::Retry { has_left, .. } = &mut outcome {
            *has_left = departure.at().is_some();
        }
        let now = self.world.clock.now();
        if outcome == Outcome::Delivered {
            self.world.ledger.told(&self.name, &remembered, begun);
        }
        let metrics = &self.world.metrics;
        metrics.count(&self.label, &outcome, n_alerts, begun, now);
        if let Some(stopwatch) = departed.filter(|_| outcome == Outcome::Delivered) {
            let wall = begun;
            let departed = Moment { stopwatch, wall };
            let arrivals = &self.world.arrivals;
            let news = news.iter().map(|message| &**message);
            metrics.latency.observe(self.kind, news, departed, arrivals);
        }
        outcome
    }

    /// Returns what has it written down, just before anything leaves, what the receiver may know
    /// from then on.
    fn departure(&self, news: &[Arc<AlertMessage>]) -> Departure {
        if !self.hears_ends {
            return Departure::default();
        }
        let (ledger, name) = (Arc::clone(&self.world.ledger), self.name.clone());
        let news = news.to_vec();
        Departure::witnessed(move || ledger.leaving(&name, &news))
    }

    /// Counts what waits for the receiver.
    pub(crate) fn set_waiting(&self, n_waiting: usize) {
        self.world.metrics.set_waiting(&self.label, n_waiting);
    }

    /// Counts what a bound pushed out.
    pub(crate) fn add_dropped(&self, n_dropped: usize) {
        self.world.metrics.add_dropped(&self.label, n_dropped);
    }
}

fn outcome(answer: Answer) -> Outcome {
    match answer.status {
        200..300 => Outcome::Delivered,
        408 | 429 | 500.. => answer.retry(),
        // To an Alertmanager's 400 some alerts are invalid; the valid ones were taken all the same.
        _ => Outcome::Refused(answer.reason()),
    }
}

/// Annotations in their order.
#[derive(Debug)]
pub(crate) struct Annotations(pub(crate) Arc<[(String, String)]>);

impl Annotations {
    /// Tells whether there are none.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Serialize for Annotations {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (name, value)))
    }
}

/// Writes labels as a mapping.
pub(crate) fn serialize_labels<S: Serializer>(labels: &Labels, s: S) -> Result<S::Ok, S::Error> {
    s.collect_map(labels.iter())
}
