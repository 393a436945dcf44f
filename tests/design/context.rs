//! An alert that explains itself: what its context says, that it is the same after a checkpoint and
//! in a replay, and what it costs.

use std::sync::Arc;

use burnwatch::engine::{Effect, Engine};
use burnwatch::model::{
    AlertMessage, Change, ContextParts, ContextSettings, DurationMs, Grid, Labels, Matcher,
    TimestampMs,
};
use burnwatch::series::SeriesReader;
use serde_json::Value;

use crate::world::{World, replay};

/// 2026-11-20 at 22:00 UTC: the alerts come 26 hours later.
const BEGIN: f64 = 1_795_212_000.0;
const HOUR: f64 = 3600.0;

const RULES: &str = r#"
groups:
- name: g
  rules:
  - alert: HighErrorRate
    expr: error_ratio > 0.05
    labels: {severity: high}
    annotations:
      summary: '{{ $value | humanizePercentage }} of the predictions fail'
      runbook_url: https://wiki.example.org/runbooks/HighErrorRate
      suggested_actions: |
        roll back the last deployment
        look at the errors by version
      burnwatch_context: 'true'
  - alert: HighLatency
    expr: latency_seconds > 0.5
    labels: {severity: medium}
  - alert: JustDeployed
    expr: time() - last_over_time(burnwatch_last_change_timestamp_seconds{kind="deployment"}[1h]) < 600
"#;

fn settings() -> ContextSettings {
    let link = |name: &str, template: &str| (name.to_owned(), template.to_owned());
    ContextSettings {
        links: vec![
            link(
                "dashboard",
                "https://grafana.example.org/d/ml?var-job={{ $labels.job }}&from={{ $from }}&to={{ $to }}",
            ),
            link(
                "logs",
                "https://kibana.example.org/app/logs?query={{ $labels.instance }}&since={{ $fromTime }}",
            ),
        ],
        ..ContextSettings::default()
    }
}

fn world(context: ContextSettings) -> World {
    World::with(RULES, |settings| {
        settings.context = context;
        // A tick a minute, so that a day does not take long.
        settings.grid = Grid::UnitTest {
            start: TimestampMs(0),
            interval: DurationMs::from_seconds(60),
            group_order: None,
        };
    })
}

fn deployment(seconds: f64) -> Change {
    Change {
        at: crate::world::at(BEGIN + seconds),
        kind: "deployment".to_owned(),
        labels: Labels::from_pairs([("job", "model-server")]),
        version: "v2".to_owned(),
        text: "subscriptions are priced by the model".to_owned(),
        link: "https://ci.example.org/runs/4711".to_owned(),
    }
}

/// Plays `[from, until)` minutes: errors low, v2 told at 25 h and seen from 25 h 30 min on, latency
/// high from 25 h 40 min.
fn play(world: &mut World, from: u32, until: u32) {
    for minute in from..until {
        let seconds = f64::from(minute) * 60.0;
        let version = if seconds < 25.5 * HOUR { "v1" } else { "v2" };
        let info =
            format!(r#"model_info{{job="model-server",instance="a:9000",version="{version}"}}"#);
        let latency = if seconds < 25.0 * HOUR + 2400.0 {
            0.2
        } else {
            0.7
        };
        let errors = 0.01 + 0.002 * f64::from(minute / 60 % 3);
        let samples = [
            (
                r#"error_ratio{job="model-server",instance="a:9000"}"#,
                errors,
            ),
            (r#"error_ratio{job="model-server",instance="b:9000"}"#, 0.02),
            (
                r#"latency_seconds{job="model-server",instance="a:9000"}"#,
                latency,
            ),
            (info.as_str(), 1.0),
        ];
        world.push(BEGIN + seconds, &samples);
        if minute == 25 * 60 {
            world.change(deployment(seconds));
        }
    }
}

/// A whole scrape of the one instance, with so many errors.
fn scrape(world: &mut World, seconds: f64, errors: f64) {
    let samples = [
        (
            r#"error_ratio{job="model-server",instance="a:9000"}"#,
            errors,
        ),
        (
            r#"latency_seconds{job="model-server",instance="a:9000"}"#,
            0.7,
        ),
        (
            r#"model_info{job="model-server",instance="a:9000",version="v2"}"#,
            1.0,
        ),
    ];
    world.push(BEGIN + seconds, &samples);
}

fn fail(world: &mut World) {
    scrape(world, 26.0 * HOUR, 0.08);
}

fn messages<'a>(effects: &'a [Effect], name: &str) -> Vec<&'a AlertMessage> {
    let found = effects.iter().filter_map(|effect| match effect {
        Effect::Alert { message, .. } if message.labels.value("alertname") == name => {
            Some(&**message)
        }
        _ => None,
    });
    found.collect()
}

fn json(message: &AlertMessage) -> Value {
    let text = message.context.as_deref().expect("it has a context");
    serde_json::from_str(text).expect("JSON")
}

/// The blocks of docs/CONTEXT.md are what this test gets, so that the page cannot lie.
#[test]
fn the_page_shows_what_a_context_is() {
    let mut world = world(settings());
    play(&mut world, 0, 26 * 60);
    fail(&mut world);
    let told = messages(&world.effects, "HighErrorRate");
    let [message] = told[..] else {
        panic!("{} messages", told.len())
    };
    let mut context = json(message);
    let values = context["metrics"]["historical"]["values"]
        .as_array_mut()
        .expect("values");
    assert_eq!(values.len(), 48);
    values.drain(2..);
    // The last bit of a mean is nothing to show people.
    let avg = context["metrics"]["historical"]["avg"].as_f64();
    let avg = (avg.expect("a mean") * 1e12).round() / 1e12;
    context["metrics"]["historical"]["avg"] = avg.into();
    let shown = serde_json::to_string_pretty(&context).expect("JSON");
    let lines: Vec<String> = message
        .annotations
        .iter()
        .filter(|(name, _)| name.starts_with("burnwatch_context_"))
        .map(|(name, text)| format!("{name}: {}", text.replace('\n', "\n    ")))
        .collect();
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/CONTEXT.md");
    let page = std::fs::read_to_string(page).expect("the page");
    for (kind, block) in [("json", &shown), ("text", &lines.join("\n"))] {
        let found = page
            .split(&format!("```{kind}\n"))
            .nth(1)
            .and_then(|rest| rest.split("\n```").next());
        assert_eq!(
            found,
            Some(block.as_str()),
            "docs/CONTEXT.md, {kind}:\n{block}\n"
        );
    }
}

#[test]
fn rules_that_do_not_ask_have_none() {
    let mut world = world(settings());
    play(&mut world, 0, 26 * 60);
    let slow = messages(&world.effects, "HighLatency");
    assert_eq!(slow.len(), 1);
    assert_eq!(slow[0].context, None);
    assert_eq!(
        world.engine.contexts_built(),
        (0, 0),
        "and nothing is read for them"
    );
    // Unless the settings say so for all.
    let default = "links,alerts".parse::<ContextParts>().expect("parts");
    let mut all = self::world(ContextSettings {
        default,
        ..settings()
    });
    play(&mut all, 0, 26 * 60);
    let context = json(messages(&all.effects, "HighLatency")[0]);
    assert_eq!(context.get("metrics"), None);
    let dashboard = context["investigation"]["dashboard_url"].as_str();
    assert!(dashboard.is_some_and(|url| url.contains("var-job=model-server")));
}

#[test]
fn an_engine_from_a_checkpoint_and_one_that_replays_say_the_same() {
    let mut world = world(settings());
    play(&mut world, 0, 26 * 60);
    let mut parts = world.engine.begin_checkpoint();
    while let Some(part) = world.engine.checkpoint_slice(10) {
        parts.push(part);
    }
    let (n_before, n_logged) = (world.effects.len(), world.log.len());
    fail(&mut world);
    let here = &world.effects[n_before..];
    assert_eq!(messages(here, "HighErrorRate").len(), 1);

    let parts = parts.iter().map(Vec::as_slice);
    let mut loaded = Engine::load(parts, None).expect("a checkpoint");
    let mut there = Vec::new();
    let rest = &world.log[n_logged..];
    rest.iter()
        .for_each(|entry| loaded.apply(entry, &|| 0.0, &mut there));
    assert_eq!(there, here);
    assert_eq!(replay(&world.log), world.effects);

    // What fires goes on saying what it said, after a checkpoint too.
    let mut parts = world.engine.begin_checkpoint();
    while let Some(part) = world.engine.checkpoint_slice(10) {
        parts.push(part);
    }
    let loaded = Engine::load(parts.iter().map(Vec::as_slice), None).expect("a checkpoint");
    assert_eq!(loaded.firing(), world.engine.firing());
    assert!(
        loaded
            .firing()
            .iter()
            .any(|message| message.context.is_some())
    );
}

#[test]
fn a_context_stays_until_the_alert_is_over() {
    let mut world = world(settings());
    play(&mut world, 0, 26 * 60);
    fail(&mut world);
    for seconds in [30.0, 60.0] {
        scrape(&mut world, 26.0 * HOUR + seconds, 0.01);
    }
    let told = messages(&world.effects, "HighErrorRate");
    assert_eq!(told.len(), 2, "firing and resolved");
    assert_eq!(told[0].context, told[1].context);
    scrape(&mut world, 26.0 * HOUR + 120.0, 0.09);
    let told = messages(&world.effects, "HighErrorRate");
    let again = json(told[2]);
    let recent = again["recent_alerts"].as_array().expect("others");
    let names: Vec<&str> = recent
        .iter()
        .filter_map(|alert| alert["alert"].as_str())
        .collect();
    assert_eq!(
        names,
        ["HighLatency", "JustDeployed"],
        "the others, not itself"
    );
}

#[test]
fn history_is_kept_for_whom_it_is_asked() {
    let mut world = world(settings());
    play(&mut world, 0, 26 * 60);
    let kept = |series: &str| {
        let matchers = [Matcher::equal("__name__", series)];
        let (mut n_series, mut youngest) = (0, TimestampMs::MIN);
        world.engine.series().select(&matchers, &mut |_, history| {
            n_series += 1;
            let first = history.range(TimestampMs(0), TimestampMs::MAX).next();
            youngest = youngest.max(first.map_or(TimestampMs::MAX, |point| point.at));
        });
        let hours = (world.frontier() - youngest.seconds()) / HOUR;
        (n_series, hours)
    };
    let (_, hours) = kept("error_ratio");
    assert!(hours > 24.0, "{hours}");
    let (_, hours) = kept("latency_seconds");
    assert!(hours < 12.0, "{hours} hours, though nobody asks for them");
    assert_eq!(kept("model_info").0, 2, "the version before is known");
}

#[test]
fn rules_can_read_what_was_changed() {
    let mut world = world(settings());
    play(&mut world, 0, 26 * 60);
    let told = world.told();
    let deployed: Vec<&String> = told
        .iter()
        .filter(|line| line.contains("JustDeployed"))
        .collect();
    assert_eq!(deployed.len(), 2, "firing, then resolved: {deployed:?}");
    let at = BEGIN + 25.0 * HOUR + 1.0;
    let total = world.query("burnwatch_changes_total", at);
    assert_eq!(
        total,
        [r#"burnwatch_changes_total{job="model-server", kind="deployment"} 1"#]
    );
    // The same one told again is no other; another one counts.
    world.change(deployment(25.0 * HOUR));
    world.change(deployment(25.9 * HOUR));
    let total = world.query("burnwatch_changes_total", BEGIN + 26.0 * HOUR);
    assert!(total[0].ends_with(" 2"), "{total:?}");
}

#[test]
fn what_is_read_is_bounded() {
    let context = |samples_max, alerts_max| {
        let mut world = world(ContextSettings {
            samples_max,
            alerts_max,
            ..settings()
        });
        play(&mut world, 0, 26 * 60);
        fail(&mut world);
        let (n_built, n_samples) = world.engine.contexts_built();
        assert_eq!(n_built, 1);
        (
            json(messages(&world.effects, "HighErrorRate")[0]),
            n_samples,
        )
    };
    let (whole, n_samples) = context(1_000_000, 100);
    assert_eq!(whole["metrics"].get("note"), None);
    // 48 points, one each; and the versions of a week.
    assert!((1_000..4_000).contains(&n_samples), "{n_samples}");
    let (cut, _) = context(20, 100);
    let note = cut["metrics"]["note"].as_str().expect("a note");
    assert!(note.contains("context_samples"), "{note}");
    let (without, n_samples) = context(1_000_000, 0);
    assert_eq!(without.get("metrics"), None);
    assert_eq!(n_samples, 0);
    assert!(without["investigation"]["dashboard_url"].is_string());
}

#[test]
fn what_cannot_be_asked_for_is_refused_by_name() {
    let refused = |annotation: &str, link: &str, info: &str| {
        let source = burnwatch::model::RuleSource {
            files: vec![(
                "r.yml".to_owned(),
                format!(
                    "groups: [{{name: g, rules: [{{alert: A, expr: a > 1, \
                     annotations: {{burnwatch_context: '{annotation}'}}}}]}}]"
                ),
            )],
            settings: burnwatch::model::EngineSettings {
                context: ContextSettings {
                    links: vec![("logs".to_owned(), link.to_owned())],
                    info: vec![burnwatch::model::InfoMetric {
                        selector: info.to_owned(),
                        label: "version".to_owned(),
                        kind: "model".to_owned(),
                    }],
                    ..ContextSettings::default()
                },
                ..burnwatch::model::EngineSettings::default()
            },
        };
        let compiled = burnwatch::engine::compile(&source);
        let errors = compiled.err().unwrap_or_default();
        errors
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join("\n")
    };
    let check = |annotation: &str, link: &str, info: &str, expected: &[&str]| {
        let found = refused(annotation, link, info);
        for part in expected {
            assert!(found.contains(part), "{part} is not in {found:?}");
        }
        assert_eq!(found.is_empty(), expected.is_empty(), "{found}");
    };
    check("metrics,links", "http://logs/", "model_info", &[]);
    check(
        "graph",
        "http://logs/",
        "model_info",
        &["rule \"A\"", "\"graph\" is no part"],
    );
    check(
        "{{ $value }}",
        "http://logs/",
        "model_info",
        &["is no part of a context"],
    );
    check(
        "true",
        "http://{{ $labels.x }}/",
        "model_info",
        &[
            "burnwatch.context.links.logs",
            "its host must be written out",
        ],
    );
    check(
        "true",
        "http://logs/",
        "rate(x[5m])",
        &["burnwatch.context.info", "only a series selector"],
    );
}

#[test]
fn changes_that_come_before_any_sample_are_remembered() {
    let mut world = world(settings());
    world.change(deployment(0.0));
    assert_eq!(world.engine.n_changes(), 1);
    let before = Arc::new(world.engine.context_of(None).changes);
    play(&mut world, 0, 2);
    assert_eq!(world.engine.context_of(None).changes, *before);
}
