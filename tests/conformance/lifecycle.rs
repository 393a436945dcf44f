//! The life cycles of `cases`, played in event time, checked at every tick and between them:
//! both answers of the API, the series `ALERTS`, and every alert that is sent.
//!
//! The compliance suite runs for 40 minutes against a server and so allows for delays of requests
//! and of half a minute until the next evaluation. Here time is known: the state must be exactly
//! that of the last tick, and that tick must lie where the suite allows it.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use burnwatch::functions::Functions;
use burnwatch::model::{
    DurationMs, EngineSettings, EvaluationMode, Labels, LabelsBuilder, MatchOp, Matcher,
    RuleSource, TimestampMs,
};
use burnwatch::notify::AlertEvent;
use burnwatch::notify::outgoing_labels::{generator_url, outgoing_labels};
use burnwatch::notify::schedule::Schedule;
use burnwatch::promql::ast::ExprKind;
use burnwatch::promql::{Features, parse};
use burnwatch::series::{Selection, Snapshot};
use burnwatch::server::dispatch::alert_event;
use serde_json::{Value, json};

use crate::answers::asked_of;
use crate::backend::{Fake, fake};
use crate::cases::{self, Case, Episode, INTERVAL_MS, STEP_MS};
use crate::replay::{Replay, Series};

/// The first sample; the instants around it shift where ticks fall between samples.
const STARTS_MS: [i64; 3] = [1_772_366_400_000, 1_772_366_410_000, 1_772_366_425_123];
/// How often the API is asked between ticks, ms.
const ASK_MS: i64 = 7_500;
/// The suite's resend delay, ms.
const RESEND_MS: i64 = 60_000;
/// For how long a firing alert is valid, ms: four times the resend delay.
const VALID_MS: i64 = 4 * RESEND_MS;
/// How long a resolved alert is sent again, ms.
const RESOLVED_MS: i64 = 15 * 60_000;
const EXTERNAL_URL: &str = "http://alerts.example";

/// A rule file under test.
struct RuleFile {
    text: String,
    groups: Value,
}

impl RuleFile {
    fn read(path: &Path) -> Self {
        let text = std::fs::read_to_string(path).expect("a rule file");
        let file: Value = serde_saphyr::from_str(&text).expect("YAML");
        RuleFile {
            text,
            groups: file["groups"].clone(),
        }
    }

    fn rule(&self, case: &Case, rule: usize) -> &Value {
        &self.groups[case.group]["rules"][rule]
    }

    fn source(&self) -> RuleSource {
        RuleSource {
            files: vec![("rules.yml".to_owned(), self.text.clone())],
            settings: EngineSettings {
                mode: EvaluationMode::Tick,
                resend_delay: DurationMs(RESEND_MS),
                external_url: EXTERNAL_URL.to_owned(),
                scrape_settle: DurationMs::ZERO,
                ..EngineSettings::default()
            },
        }
    }
}

fn text(value: &Value) -> &str {
    value.as_str().expect("a text")
}

fn pairs(value: &Value) -> Vec<(String, String)> {
    let pairs = value.as_object().into_iter().flatten();
    pairs
        .map(|(n, v)| (n.clone(), text(v).to_owned()))
        .collect()
}

/// The labels that a rule's selector asks for: those in `selector > number`.
fn selected(expr: &str) -> Option<Vec<Matcher>> {
    let expr = parse(expr, &Functions, Features::default()).expect("a valid rule");
    let ExprKind::Binary(binary) = expr.kind else {
        return None;
    };
    let ExprKind::Vector(selector) = binary.lhs.kind else {
        return None;
    };
    let is_equal = |matcher: &Matcher| matcher.op == MatchOp::Equal;
    assert!(selector.matchers.iter().all(is_equal));
    Some(selector.matchers)
}

fn series(file: &RuleFile, case: &Case, start: i64) -> Vec<Series> {
    let one = |table: &cases::SeriesTable| {
        let mut labels = LabelsBuilder::from(&Labels::empty());
        let matchers = selected(text(&file.rule(case, table.rule)["expr"]));
        for matcher in matchers.expect("a selector") {
            if !table.without.contains(&matcher.name.as_str()) {
                labels.set(&matcher.name, &matcher.value);
            }
        }
        for (name, value) in &table.labels {
            labels.set(name, value);
        }
        let runs = table.values.iter();
        let values = runs.flat_map(|(value, n)| std::iter::repeat_n(*value, *n));
        let at = |place: i64| TimestampMs(start + place * STEP_MS);
        let samples = (0..).map(at).zip(values).collect();
        (labels.build(), samples)
    };
    case.series.iter().map(one).collect()
}

/// An episode with the ticks at which it happens.
struct Expected<'a> {
    episode: &'a Episode,
    labels: Labels,
    active_at: i64,
    fired_at: Option<i64>,
    resolved_at: i64,
}

impl Expected<'_> {
    fn is_active(&self, tick: i64) -> bool {
        (self.active_at..self.resolved_at).contains(&tick)
    }

    fn is_firing(&self, tick: i64) -> bool {
        self.is_active(tick) && self.fired_at.is_some_and(|at| tick >= at)
    }

    fn state(&self, tick: i64) -> &'static str {
        if self.is_firing(tick) {
            "firing"
        } else {
            "pending"
        }
    }
}

/// A case on its way, with what is known of it.
struct Run<'a> {
    file: &'a RuleFile,
    case: &'a Case,
    start: i64,
    /// Ticks lie here, modulo the interval.
    phase: i64,
}

impl<'a> Run<'a> {
    /// The first tick at or after an instant.
    fn tick_from(&self, at: i64) -> i64 {
        at + (self.phase - at).rem_euclid(INTERVAL_MS)
    }

    fn expected(&self) -> Vec<Expected<'a>> {
        let one = |episode: &'a Episode| {
            let rule = self.file.rule(self.case, episode.rule);
            let mut labels = LabelsBuilder::from(&Labels::empty());
            // What is made of ALERTS has the labels of the rule that they are of.
            let first = || selected(text(&self.file.rule(self.case, 0)["expr"]));
            let matchers = selected(text(&rule["expr"])).or_else(first);
            for matcher in matchers.expect("a selector") {
                if matcher.name != "__name__" {
                    labels.set(&matcher.name, &matcher.value);
                }
            }
            for (name, value) in episode.labels {
                labels.set(name, value);
            }
            for (name, value) in pairs(&rule["labels"]) {
                labels.set(&name, &value);
            }
            labels.set("alertname", text(&rule["alert"]));
            let at = |place: i64| self.start + place * STEP_MS;
            let fired_at = episode.fires_ms.map(|ms| self.tick_from(self.start + ms));
            Expected {
                episode,
                labels: labels.build(),
                active_at: self.tick_from(at(episode.active)),
                fired_at,
                resolved_at: self.tick_from(at(episode.over)),
            }
        };
        self.case.episodes.iter().map(one).collect()
    }

    fn value(&self, expected: &Expected<'_>, tick: i64) -> &'static str {
        let tick = tick.min(expected.resolved_at - INTERVAL_MS);
        let place = (tick - self.start).div_euclid(STEP_MS);
        let values = expected.episode.values.iter().rev();
        let mut reached = values.filter(|(from, _)| *from <= place);
        reached.next().expect("a value from the beginning on").1
    }

    /// The annotations as they were at a tick, or at the last at which the alert was active.
    fn annotations(&self, expected: &Expected<'_>, tick: i64) -> Value {
        let rule = self.file.rule(self.case, expected.episode.rule);
        let first_alert = text(&self.file.rule(self.case, 0)["alert"]);
        let value = self.value(expected, tick);
        let mut annotations = json!({});
        for (name, template) in pairs(&rule["annotations"]) {
            let mut expanded = template.clone();
            for (from, to) in &expected.episode.expanded {
                let to = to.replace("VALUE", value).replace("RULE 0", first_alert);
                match from.strip_suffix('…') {
                    Some(beginning) if template.starts_with(beginning) => expanded = to,
                    Some(_) => {}
                    None => expanded = expanded.replace(from, &to),
                }
            }
            annotations[name] = expanded.into();
        }
        annotations
    }

    /// What both answers of the API say of the alerts of a tick; of one rule, or of all.
    fn alerts(&self, all: &[Expected<'_>], tick: i64, rule: Option<usize>) -> Vec<Value> {
        let of_rule = |e: &&Expected<'_>| rule.is_none_or(|rule| rule == e.episode.rule);
        let active = all.iter().filter(of_rule).filter(|e| e.is_active(tick));
        let alert = |e: &Expected<'_>| {
            json!({
                "labels": by_name(&e.labels),
                "annotations": self.annotations(e, tick),
                "state": e.state(tick),
                "activeAt": e.active_at,
                "value": number(self.value(e, tick)),
            })
        };
        sorted(active.map(alert).collect())
    }

    fn rules(&self, all: &[Expected<'_>], tick: i64) -> Value {
        let rules = self.file.groups[self.case.group]["rules"].as_array();
        let rule = |(place, rule): (usize, &Value)| {
            let alerts = self.alerts(all, tick, Some(place));
            let is = |state: &str| alerts.iter().any(|alert| alert["state"] == state);
            let state = ["firing", "pending"].into_iter().find(|state| is(state));
            let held = rule["for"].as_str().unwrap_or("0s");
            json!({
                "state": state.unwrap_or("inactive"),
                "name": rule["alert"],
                "query": canonical(text(&rule["expr"])),
                "duration": DurationMs::parse(held).expect("a duration").seconds(),
                "labels": rule["labels"],
                "annotations": rule["annotations"],
                "alerts": alerts,
                "health": "ok",
                "type": "alerting",
                "lastError": Value::Null,
                "lastEvaluation": tick,
            })
        };
        let rules = rules.into_iter().flatten().enumerate().map(rule);
        json!({
            "name": self.file.groups[self.case.group]["name"],
            "interval": INTERVAL_MS as f64 / 1000.0,
            "lastEvaluation": tick,
            "rules": rules.collect::<Vec<Value>>(),
        })
    }

    fn metrics(&self, all: &[Expected<'_>], tick: i64) -> Vec<Value> {
        let active = all.iter().filter(|e| e.is_active(tick));
        let sample = |e: &Expected<'_>| {
            let mut labels = LabelsBuilder::from(&e.labels);
            labels.set("__name__", "ALERTS");
            labels.set("alertstate", e.state(tick));
            json!({"metric": by_name(&labels.build()), "value": "1"})
        };
        sorted(active.map(sample).collect())
    }
}

fn by_name(labels: &Labels) -> BTreeMap<String, String> {
    let pairs = labels.iter();
    pairs.map(|(n, v)| (n.to_owned(), v.to_owned())).collect()
}

fn number(text: &str) -> f64 {
    text.parse().expect("a number")
}

fn in_ms(value: &Value) -> Value {
    let time: jiff::Timestamp = text(value).parse().expect("RFC 3339");
    time.as_millisecond().into()
}

fn canonical(expr: &str) -> String {
    let expr = parse(expr, &Functions, Features::default());
    expr.expect("a valid expression").to_string()
}

fn sorted(mut values: Vec<Value>) -> Vec<Value> {
    let labels = |value: &Value| {
        let labels = value.get("metric").unwrap_or(&value["labels"]);
        pairs(labels).into_iter().collect::<BTreeMap<_, _>>()
    };
    values.sort_by_key(labels);
    values
}

/// An alert of an answer, as far as the suite looks at it.
fn shown_alert(alert: &Value) -> Value {
    json!({
        "labels": alert["labels"],
        "annotations": alert["annotations"],
        "state": alert["state"],
        "activeAt": in_ms(&alert["activeAt"]),
        "value": number(text(&alert["value"])),
    })
}

fn shown_alerts(alerts: &Value) -> Vec<Value> {
    let alerts = alerts.as_array().expect("a list").iter();
    sorted(alerts.map(shown_alert).collect())
}

fn shown_group(group: &Value) -> Value {
    let rule = |rule: &Value| {
        json!({
            "state": rule["state"],
            "name": rule["name"],
            "query": canonical(text(&rule["query"])),
            "duration": rule["duration"].as_f64(),
            "labels": rule["labels"],
            "annotations": rule["annotations"],
            "alerts": shown_alerts(&rule["alerts"]),
            "health": rule["health"],
            "type": rule["type"],
            "lastError": rule["lastError"],
            "lastEvaluation": in_ms(&rule["lastEvaluation"]),
        })
    };
    let rules = group["rules"].as_array().expect("rules").iter().map(rule);
    json!({
        "name": group["name"],
        "interval": group["interval"].as_f64(),
        "lastEvaluation": in_ms(&group["lastEvaluation"]),
        "rules": rules.collect::<Vec<Value>>(),
    })
}

/// An alert as it is sent, with the tick at which it is.
type Sent = (i64, Value);

/// What is to be sent of an episode: when it begins to fire, when it is over, and again whenever
/// the resend delay has passed.
fn expected_sent(run: &Run<'_>, expected: &[Expected<'_>]) -> Vec<Sent> {
    let mut sent = Vec::new();
    for (place, e) in expected.iter().enumerate() {
        let Some(fired_at) = e.fired_at else { continue };
        let comes_again = expected[place + 1..].iter();
        let comes_again = comes_again.filter(|later| later.labels == e.labels);
        let end = comes_again.map(|later| later.active_at).next();
        let end = end.unwrap_or(i64::MAX).min(e.resolved_at + RESOLVED_MS + 1);
        let end = end.min(run.start + run.case.until * STEP_MS);
        let expr = text(&run.file.rule(run.case, e.episode.rule)["expr"]);
        let mut last_sent = i64::MIN / 2;
        let mut tick = fired_at;
        while tick < end {
            let is_resolved = tick >= e.resolved_at;
            let is_news = is_resolved && e.resolved_at > last_sent;
            if is_news || last_sent + RESEND_MS < tick {
                last_sent = tick;
                let ends_at = if is_resolved {
                    e.resolved_at
                } else {
                    tick + VALID_MS
                };
                let said = json!({
                    "labels": by_name(&e.labels),
                    "annotations": run.annotations(e, tick),
                    "startsAt": fired_at,
                    "endsAt": ends_at,
                    "generatorURL": generator_url(EXTERNAL_URL, &canonical(expr)),
                });
                sent.push((tick, said));
            }
            tick += INTERVAL_MS;
        }
    }
    sent
}

/// What the suite allows: everything happens within an interval of the sample that causes it.
fn check_tolerance(run: &Run<'_>, expected: &[Expected<'_>]) {
    for e in expected {
        let at = |place: i64| run.start + place * STEP_MS;
        let soon = |earliest: i64, tick: i64| (earliest..earliest + INTERVAL_MS).contains(&tick);
        assert!(soon(at(e.episode.active), e.active_at));
        assert!(soon(at(e.episode.over), e.resolved_at));
        if let (Some(ms), Some(fired_at)) = (e.episode.fires_ms, e.fired_at) {
            assert!(soon(run.start + ms, fired_at));
        }
    }
}

/// How many checks were made, by kind.
type Counts = BTreeMap<&'static str, usize>;

fn check(counts: &mut Counts, kind: &'static str, place: &str, ours: &Value, wanted: &Value) {
    assert_eq!(ours, wanted, "{kind}, {place}");
    *counts.entry(kind).or_default() += 1;
}

/// Where the ticks of a case's group lie, modulo the interval.
fn phase_of(file: &RuleFile, case: &Case) -> i64 {
    let mut replay = Replay::start(file.source(), Vec::new(), TimestampMs(STARTS_MS[0]));
    replay.go_on(TimestampMs(STARTS_MS[0] + 2 * INTERVAL_MS));
    let name = text(&file.groups[case.group]["name"]);
    let groups = replay.engine.groups();
    let group = groups.iter().find(|group| group.name == name);
    let last = group.expect("the group").last_evaluation;
    last.expect("a tick").0.rem_euclid(INTERVAL_MS)
}

async fn play(file: &RuleFile, case: &Case, start: i64, counts: &mut Counts) {
    let phase = phase_of(file, case);
    let run = Run {
        file,
        case,
        start,
        phase,
    };
    let expected = run.expected();
    check_tolerance(&run, &expected);
    let end = start + case.until * STEP_MS;
    let ticks = (run.tick_from(start)..end).step_by(INTERVAL_MS as usize);
    let between = (start..end).step_by(ASK_MS as usize);
    let mut instants: Vec<i64> = ticks.chain(between).collect();
    instants.sort_unstable();
    instants.dedup();

    let mut replay = Replay::start(file.source(), series(file, case, start), TimestampMs(start));
    let mut schedule = Schedule::new(DurationMs(RESEND_MS), 10_000);
    let mut sent: Vec<Sent> = Vec::new();
    for at in instants {
        let now = TimestampMs(at);
        for event in replay.go_on(now).iter().filter_map(alert_event) {
            match event {
                AlertEvent::State(message) => drop(schedule.state(Arc::new(message), now)),
                AlertEvent::Pending(labels) => schedule.pending(&labels),
                AlertEvent::Forget(labels) => schedule.forget(&labels),
            }
        }
        if at.rem_euclid(INTERVAL_MS) == phase {
            let taken = schedule.take(now, usize::MAX);
            for outgoing in &taken {
                let message = &outgoing.message;
                let labels = outgoing_labels(&message.labels, &Labels::empty(), &[]);
                let annotations: Value = message.annotations.iter().cloned().collect();
                let said = json!({
                    "labels": by_name(&labels.expect("no step drops an alert")),
                    "annotations": annotations,
                    "startsAt": outgoing.starts_at.0,
                    "endsAt": outgoing.ends_at.0,
                    "generatorURL": generator_url(EXTERNAL_URL, &message.expr),
                });
                sent.push((at, said));
            }
            schedule.sent(&taken, now, now);
        }
        let tick = run.tick_from(at + 1) - INTERVAL_MS;
        if tick < start {
            continue;
        }
        let place = format!("{}, {} s", case.about, (at - start) as f64 / 1000.0);
        let answers = ask(&replay, now).await;
        let ours = shown_alerts(&answers.alerts["alerts"]).into();
        let wanted = run.alerts(&expected, tick, None).into();
        check(counts, "/api/v1/alerts", &place, &ours, &wanted);
        let groups = answers.rules["groups"].as_array().expect("groups");
        let name = &file.groups[case.group]["name"];
        let group = groups.iter().find(|group| group["name"] == *name);
        let ours = shown_group(group.expect("the group"));
        let wanted = run.rules(&expected, tick);
        check(counts, "/api/v1/rules", &place, &ours, &wanted);
        let ours = shown_metrics(&answers.metrics, at).into();
        let wanted = run.metrics(&expected, tick).into();
        check(counts, "ALERTS", &place, &ours, &wanted);
    }
    let by_time = |mut sent: Vec<Sent>| {
        sent.sort_by_key(|(at, said)| (*at, said["labels"].to_string()));
        sent
    };
    let (ours, wanted) = (by_time(sent), by_time(expected_sent(&run, &expected)));
    for (ours, wanted) in ours.iter().zip(&wanted) {
        let (ours, wanted) = (json!(ours), json!(wanted));
        check(counts, "alerts sent", case.about, &ours, &wanted);
    }
    assert_eq!(ours.len(), wanted.len(), "alerts sent, {}", case.about);
}

/// What the API answers.
struct Answers {
    alerts: Value,
    rules: Value,
    metrics: Value,
}

async fn ask(replay: &Replay, now: TimestampMs) -> Answers {
    let alerts = Selection {
        matchers: vec![Matcher::equal("__name__", "ALERTS")],
        after: now - DurationMs::from_seconds(600),
        until: now,
    };
    let fake = || Fake {
        groups: replay.engine.groups(),
        series: Snapshot::take(replay.engine.series(), std::slice::from_ref(&alerts)),
        ..fake()
    };
    let seconds = now.0 as f64 / 1000.0;
    Answers {
        alerts: asked_of(fake(), "/api/v1/alerts").await,
        rules: asked_of(fake(), "/api/v1/rules").await,
        metrics: asked_of(
            fake(),
            &format!("/api/v1/query?query=ALERTS&time={seconds}"),
        )
        .await,
    }
}

fn shown_metrics(answer: &Value, at: i64) -> Vec<Value> {
    let elements = answer["result"].as_array().expect("a vector").iter();
    let shown = |element: &Value| {
        let seconds = element["value"][0].as_f64();
        assert_eq!(seconds, Some(at as f64 / 1000.0));
        json!({"metric": element["metric"], "value": element["value"][1]})
    };
    sorted(elements.map(shown).collect())
}

async fn play_all(file: &RuleFile) {
    let mut counts = Counts::new();
    for case in &cases::all() {
        for start in STARTS_MS {
            play(file, case, start, &mut counts).await;
        }
    }
    for (kind, n) in counts {
        say!("life cycles, {kind}: {n} of {n} checks hold");
    }
}

#[tokio::test]
async fn alerts_live_as_the_compliance_suite_has_it() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    play_all(&RuleFile::read(
        &root.join("tests/data/lifecycle/rules.yml"),
    ))
    .await;
}

#[tokio::test]
async fn the_rules_of_the_compliance_suite_live_as_it_has_it() {
    let Some(shared) = std::env::var_os("BURNWATCH_SHARED") else {
        say!("skipped: the compliance suite's own rule file, for lack of BURNWATCH_SHARED");
        return;
    };
    let file = Path::new(&shared).join("conformance/alert_generator/rules.yaml");
    play_all(&RuleFile::read(&file)).await;
}
