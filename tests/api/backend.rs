//! A backend made by hand: two files of rules, a few series, two Alertmanagers.

use std::io::Read;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Request, StatusCode};
use burnwatch::api::{
    AlertmanagerView, ApiSettings, Backend, BackendError, MetricMetadata, Readiness, ReceiveView,
    RuntimeView, SenderView, router,
};
use burnwatch::clock::ManualClock;
use burnwatch::engine::status::AlertingStatus;
use burnwatch::engine::{
    AlertState, AlertView, ContextAnswer, GroupCost, GroupStatus, RuleHealth, RuleStatus,
};
use burnwatch::history::SeriesHistory;
use burnwatch::model::{
    Change, DetectorReset, DurationMs, FloatHistogram, Labels, Matcher, RuleKey, SampleValue,
    TimestampMs, stale_nan,
};
use burnwatch::series::{Selection, SeriesReader, Snapshot};
use burnwatch::telemetry::{BuildInfo, Telemetry};
use burnwatch::ui;
use flate2::read::GzDecoder;
use futures::future::{BoxFuture, FutureExt, pending, ready};
use tower::ServiceExt;

/// The wall clock of all cases: 2026-11-21T03:00:00.5Z.
pub const NOW: TimestampMs = TimestampMs(1_795_230_000_500);

/// What a case may change.
pub struct Fake {
    pub groups: Vec<GroupStatus>,
    pub series: Snapshot,
    pub readiness: Readiness,
    pub is_stopping: AtomicBool,
    /// Whether the engines have gone already.
    pub engines_stopped: bool,
    /// Whether snapshots never come.
    pub is_hanging: bool,
    pub alertmanagers: Vec<AlertmanagerView>,
    pub no_metadata: bool,
    pub reload: Result<(), String>,
    pub telemetry: Arc<Telemetry>,
}

impl Fake {
    fn unless_stopped(&self) -> Result<(), BackendError> {
        if self.engines_stopped {
            Err(BackendError::Stopping)
        } else {
            Ok(())
        }
    }
}

impl Backend for Fake {
    fn groups(&self) -> BoxFuture<'_, Result<Vec<GroupStatus>, BackendError>> {
        let groups = self.unless_stopped().map(|()| self.groups.clone());
        ready(groups).boxed()
    }

    fn snapshot(
        &self,
        selections: Vec<Selection>,
    ) -> BoxFuture<'_, Result<Snapshot, BackendError>> {
        if self.is_hanging {
            return pending().boxed();
        }
        if let Err(error) = self.unless_stopped() {
            return ready(Err(error)).boxed();
        }
        ready(Ok(Snapshot::take(&self.series, &selections))).boxed()
    }

    fn series(
        &self,
        matcher_sets: Vec<Vec<Matcher>>,
        from: TimestampMs,
        until: TimestampMs,
    ) -> BoxFuture<'_, Result<Vec<Labels>, BackendError>> {
        if let Err(error) = self.unless_stopped() {
            return ready(Err(error)).boxed();
        }
        let mut found = Vec::new();
        let sets = if matcher_sets.is_empty() {
            vec![Vec::new()]
        } else {
            matcher_sets
        };
        for matchers in sets {
            self.series.select(&matchers, &mut |labels, history| {
                let after = TimestampMs(from.0 - 1);
                if history.range(after, until).next().is_some() {
                    found.push(labels.clone());
                }
            });
        }
        ready(Ok(found)).boxed()
    }

    fn context(&self, _: Option<u64>) -> BoxFuture<'_, Result<Vec<ContextAnswer>, BackendError>> {
        ready(self.unless_stopped().map(|()| Vec::new())).boxed()
    }

    fn tell_change(&self, _: Change) -> BoxFuture<'_, Result<(), BackendError>> {
        ready(self.unless_stopped()).boxed()
    }

    fn reset_detectors(
        &self,
        at: Option<TimestampMs>,
        rules: Vec<RuleKey>,
    ) -> BoxFuture<'_, Result<DetectorReset, BackendError>> {
        let at = at.unwrap_or(NOW);
        let written = DetectorReset { at, rules };
        ready(self.unless_stopped().map(|()| written)).boxed()
    }

    fn metadata(&self, metric: Option<&str>) -> Vec<MetricMetadata> {
        let known = |metric: &str, kind: &str, help: &str| MetricMetadata {
            metric: metric.into(),
            kind: kind.into(),
            help: help.into(),
            unit: String::new(),
        };
        let all = [
            known("http_requests", "counter", "Requests."),
            known("http_requests", "counter", "All requests."),
            known("up", "gauge", "Whether the scrape succeeded."),
        ];
        let asked = |known: &MetricMetadata| {
            !self.no_metadata && metric.is_none_or(|metric| known.metric == metric)
        };
        all.into_iter().filter(asked).collect()
    }

    fn alertmanagers(&self) -> Vec<AlertmanagerView> {
        self.alertmanagers.clone()
    }

    fn config_yaml(&self) -> String {
        "global:\n  evaluation_interval: 1m\n".into()
    }

    fn flags(&self) -> Vec<(String, String)> {
        vec![("web.listen-address".into(), "0.0.0.0:9090".into())]
    }

    fn reload(&self) -> BoxFuture<'_, Result<(), String>> {
        ready(self.reload.clone()).boxed()
    }

    fn quit(&self) {
        self.is_stopping.store(true, Ordering::SeqCst);
    }

    fn readiness(&self) -> Readiness {
        self.readiness.clone()
    }

    fn is_stopping(&self) -> bool {
        self.is_stopping.load(Ordering::SeqCst)
    }

    fn event_time(&self) -> Option<TimestampMs> {
        Some(TimestampMs(NOW.0 - 2_000))
    }

    fn metrics_text(&self) -> String {
        self.telemetry.encode()
    }

    fn receive_view(&self) -> ReceiveView {
        ReceiveView {
            samples_per_second: 1_234.4,
            samples_total: 5_000_000,
            series_read: 7,
            frontier: Some(TimestampMs(NOW.0 - 3_000)),
            oldest_sample: Some(TimestampMs(1_000)),
            newest_sample: Some(NOW),
            senders: vec![SenderView {
                name: "10.0.0.7 <Prometheus/3.7.0>".into(),
                requests_total: 12,
                samples_total: 24_000,
                last_request: Some(TimestampMs(NOW.0 - 5_000)),
                last_error: None,
            }],
            ..ReceiveView::default()
        }
    }

    fn runtime_view(&self) -> RuntimeView {
        RuntimeView {
            started_at: TimestampMs(NOW.0 - 3_600_000),
            reload_succeeded: true,
            config_loaded_at: Some(TimestampMs(NOW.0 - 3_600_000)),
            retention: "30d".into(),
            replay: (3, 9, 9),
            ..RuntimeView::default()
        }
    }
}

fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    pairs.iter().map(owned).collect()
}

fn rule(name: &str, query: &str, labels: &[(&str, &str)]) -> RuleStatus {
    RuleStatus {
        name: name.into(),
        query: query.into(),
        labels: pairs(labels),
        health: RuleHealth::Ok,
        evaluation_seconds: 0.0005,
        last_evaluation: Some(TimestampMs(NOW.0 - 500)),
        kept_since: Some(TimestampMs(NOW.0 - 600_000)),
        held_while_warming: false,
        warming_until: None,
        learns: query.contains("anomaly_"),
        learns_since: None,
        alerting: None,
    }
}

fn group(file: &str, name: &str, rules: Vec<RuleStatus>) -> GroupStatus {
    GroupStatus {
        file: file.into(),
        name: name.into(),
        interval: DurationMs::from_seconds(30),
        limit: 0,
        on_arrival: true,
        evaluation_seconds: 0.001,
        last_evaluation: Some(TimestampMs(NOW.0 - 500)),
        iterations: 10,
        iterations_missed: 1,
        evaluations: 20,
        evaluation_failures: 2,
        last_samples: 4,
        cost: GroupCost::default(),
        rules,
    }
}

fn firing_rule() -> RuleStatus {
    let alert = |instance: &str, state, value| AlertView {
        labels: Labels::from_pairs([("alertname", "Down"), ("instance", instance)]),
        annotations: pairs(&[("summary", &format!("{instance} <is> down"))]),
        state,
        active_at: TimestampMs(NOW.0 - 120_500),
        fired_at: None,
        keep_firing_since: None,
        value,
    };
    let held = AlertView {
        keep_firing_since: Some(TimestampMs(NOW.0 - 60_000)),
        ..alert("b:1", AlertState::Firing, 0.525)
    };
    RuleStatus {
        alerting: Some(AlertingStatus {
            state: AlertState::Firing,
            hold: DurationMs::from_seconds(60),
            keep_firing: DurationMs(500),
            annotations: pairs(&[("summary", "{{ $labels.instance }} <is> down")]),
            alerts: vec![
                alert("a:1", AlertState::Pending, 1.0),
                held,
                alert("c:1", AlertState::Inactive, f64::NAN),
            ],
        }),
        ..rule("Down", "up == 0", &[("severity", "page")])
    }
}

fn failing_rule() -> RuleStatus {
    RuleStatus {
        health: RuleHealth::Err("vector contains metrics with the same labelset".into()),
        warming_until: Some(TimestampMs(NOW.0 + 86_400_000)),
        last_evaluation: None,
        ..rule("job:up:sum", "sum by (job) (up)", &[])
    }
}

fn quiet_rule() -> RuleStatus {
    RuleStatus {
        health: RuleHealth::Unknown,
        alerting: Some(AlertingStatus {
            state: AlertState::Unknown,
            hold: DurationMs::ZERO,
            keep_firing: DurationMs::ZERO,
            annotations: Vec::new(),
            alerts: Vec::new(),
        }),
        ..rule("Quiet", "vector(0) > 1", &[("severity", "ticket")])
    }
}

fn series() -> Snapshot {
    let mut snapshot = Snapshot::default();
    let mut insert = |labels: &[(&str, &str)], points: Vec<(i64, SampleValue)>| {
        let mut history = SeriesHistory::default();
        for (seconds_ago, value) in points {
            let at = TimestampMs(NOW.0 - seconds_ago * 1000);
            history.append(at, value, TimestampMs::MIN);
        }
        snapshot.insert(Labels::from_pairs(labels.iter().copied()), history);
    };
    let float = SampleValue::Float;
    let up = |job, instance| [("__name__", "up"), ("job", job), ("instance", instance)];
    insert(
        &up("api", "a:1"),
        vec![(60, float(1.0)), (30, float(0.0)), (0, float(1.0))],
    );
    insert(
        &up("api", "b:1"),
        vec![(60, float(1.0)), (0, float(f64::INFINITY))],
    );
    insert(
        &up("db", "c:1"),
        vec![(60, float(1.0)), (0, float(stale_nan()))],
    );
    let histogram = FloatHistogram {
        count: 3.0,
        sum: 4.5,
        zero_threshold: 0.5,
        zero_count: 3.0,
        ..FloatHistogram::default()
    };
    let histogram = SampleValue::Histogram(Arc::new(histogram));
    insert(
        &[("__name__", "latency"), ("job", "api")],
        vec![(0, histogram)],
    );
    insert(
        &[("__name__", "old"), ("job", "api")],
        vec![(7_200, float(1.0))],
    );
    snapshot
}

/// Returns a view of an Alertmanager.
pub fn alertmanager(url: &str, dropped: bool) -> AlertmanagerView {
    AlertmanagerView {
        url: url.into(),
        dropped,
    }
}

/// Returns a backend that is ready.
pub fn fake() -> Fake {
    Fake {
        groups: vec![
            group("a.yml", "first", vec![firing_rule(), failing_rule()]),
            group("b.yml", "second", vec![quiet_rule()]),
        ],
        series: series(),
        readiness: Readiness::Ready,
        is_stopping: AtomicBool::new(false),
        engines_stopped: false,
        is_hanging: false,
        alertmanagers: vec![
            alertmanager("http://am-0:9093/api/v2/alerts", false),
            alertmanager("http://am-1:9093/api/v2/alerts", true),
        ],
        no_metadata: false,
        reload: Ok(()),
        telemetry: Arc::new(Telemetry::new(&BuildInfo::of_package(), NOW, 20)),
    }
}

/// Returns settings with the lifecycle API on.
pub fn settings(fake: &Fake) -> ApiSettings {
    let clock = Arc::new(ManualClock::at(NOW));
    let mut settings = ApiSettings::new("http://bw", Arc::clone(&fake.telemetry), clock);
    settings.lifecycle = true;
    settings
}

/// Returns a router over a backend.
pub fn serve(fake: Fake) -> Router {
    let settings = settings(&fake);
    router(Arc::new(fake), settings, ui::routes())
}

/// An answer, read whole.
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: String,
}

/// Sends one request: `GET /path`, or `POST /path form` with a form as its body.
pub async fn send(router: &Router, request: &str) -> Answer {
    let mut words = request.split(' ');
    let (method, path) = (words.next().unwrap(), words.next().unwrap());
    let mut builder = Request::builder().method(method).uri(path);
    let body = match words.next() {
        None => Body::empty(),
        Some(form) => {
            builder = builder.header("content-type", "application/x-www-form-urlencoded");
            Body::from(form.to_owned())
        }
    };
    answer(router, builder.body(body).unwrap()).await
}

/// Sends a request built by hand.
pub async fn answer(router: &Router, request: Request<Body>) -> Answer {
    let response = router.clone().oneshot(request).await.unwrap();
    let (parts, body) = response.into_parts();
    let mut bytes = to_bytes(body, usize::MAX).await.unwrap().to_vec();
    let encoding = parts.headers.get("content-encoding");
    if encoding.is_some_and(|encoding| encoding == "gzip") {
        let compressed = std::mem::take(&mut bytes);
        GzDecoder::new(&compressed[..])
            .read_to_end(&mut bytes)
            .unwrap();
    }
    Answer {
        status: parts.status,
        headers: parts.headers,
        body: String::from_utf8(bytes).unwrap(),
    }
}
