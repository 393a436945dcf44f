//! What a real Prometheus answered to a long table of requests, good and bad: status, headers
//! and body must be the same bytes here. `tests/data/api/README.md` says how it was recorded.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::sync::Arc;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Request};
use burnwatch::api::{ApiSettings, cors_origin, router};
use burnwatch::clock::ManualClock;
use burnwatch::model::DurationMs;
use burnwatch::ui;
use flate2::read::{GzDecoder, ZlibDecoder};
use regex::Regex;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tower::ServiceExt;

use crate::backend::{Fake, NOW};
use crate::recorded_state;

/// A request with what was answered.
#[derive(Clone, Debug, Deserialize, PartialEq)]
struct Case {
    method: String,
    path: String,
    #[serde(default)]
    profile: String,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    #[serde(default)]
    body: String,
    status: u16,
    answer_headers: BTreeMap<String, String>,
    answer: String,
}

impl Case {
    fn name(&self) -> String {
        format!("{} {}", self.method, self.path)
    }
}

/// Where Prometheus' newest source answers otherwise than the recorded release, or we do. What
/// names nothing to compare takes its requests out of the comparison.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Difference {
    /// A pattern of `METHOD path`; all requests that it matches are meant.
    request: String,
    /// A pattern of the profile.
    #[serde(default)]
    profile: String,
    /// A pattern of the request's body.
    #[serde(default)]
    body: String,
    /// Why.
    reason: String,
    status: Option<u16>,
    /// Headers that have another value; empty where they are missing.
    #[serde(default)]
    headers: BTreeMap<String, String>,
    /// Headers that the recorded answer has not.
    #[serde(default)]
    headers_added: BTreeMap<String, String>,
    /// What stands before the place that the recorded answer leads to.
    #[serde(default)]
    location_prefix: String,
    /// The whole answer.
    answer: Option<String>,
    /// Patterns of parts of the recorded answer, and what stands there instead.
    #[serde(default)]
    replace: Vec<(String, String)>,
    /// Patterns of parts that are taken out of both answers.
    #[serde(default)]
    ignore: Vec<String>,
}

const COMPARED_HEADERS: [&str; 10] = [
    "content-type",
    "content-encoding",
    "vary",
    "allow",
    "location",
    "x-content-type-options",
    "access-control-allow-origin",
    "access-control-allow-headers",
    "access-control-allow-methods",
    "access-control-expose-headers",
];

/// What differs between two evaluations of the same thing: times and durations.
const NORMALIZED: [(&str, &str); 3] = [
    (
        r#""(lastEvaluation|activeAt|startTime|serverTime|lastConfigTime)":"[^"]*""#,
        r#""$1":"T""#,
    ),
    (r#""evaluationTime":[-0-9.e]+"#, r#""evaluationTime":0"#),
    (r#""timings":\{[^}]*\}"#, r#""timings":{}"#),
];

/// A request may be answered so.
type Answer = (u16, BTreeMap<String, String>, String);

fn text(name: &str) -> String {
    let path = format!("{}/tests/data/api/{name}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn read<T: DeserializeOwned>(name: &str) -> T {
    serde_json::from_str(&text(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// Returns how a server with the flags of the profile is set.
fn settings(profile: &str, fake: &Fake) -> ApiSettings {
    let clock = Arc::new(ManualClock::at(NOW));
    let mut settings = ApiSettings::new("http://127.0.0.1:1", Arc::clone(&fake.telemetry), clock);
    match profile {
        "features" => {
            settings.query.per_step_stats = true;
            settings.query.features.experimental_functions = true;
        }
        "limits" => {
            settings.query.samples_max = 10;
            settings.query.lookback = DurationMs::from_seconds(60);
        }
        "cors" => {
            settings.cors_origin = Some(cors_origin(r"https?://(one|two)\.example").unwrap());
            settings.route_prefix = "/prom".to_owned();
            settings.lifecycle = true;
        }
        _ => {}
    }
    settings
}

async fn ask(router: &Router, case: &Case) -> Answer {
    let mut request = Request::builder()
        .method(case.method.as_str())
        .uri(&case.path);
    for (name, value) in &case.headers {
        request = request.header(name, value);
    }
    if !case.headers.contains_key("Content-Type") && !case.body.is_empty() {
        request = request.header("content-type", "application/x-www-form-urlencoded");
    }
    let request = request.body(Body::from(case.body.clone())).unwrap();
    let (parts, body) = router.clone().oneshot(request).await.unwrap().into_parts();
    let bytes = to_bytes(body, usize::MAX).await.unwrap();
    let headers = compared(&parts.headers);
    let mut plain = Vec::new();
    match headers.get("content-encoding").map(String::as_str) {
        Some("gzip") if !bytes.is_empty() => {
            GzDecoder::new(&bytes[..]).read_to_end(&mut plain).unwrap();
        }
        Some("deflate") if !bytes.is_empty() => {
            ZlibDecoder::new(&bytes[..])
                .read_to_end(&mut plain)
                .unwrap();
        }
        _ => plain = bytes.to_vec(),
    }
    let body = String::from_utf8_lossy(&plain).into_owned();
    (parts.status.as_u16(), headers, body)
}

fn compared(headers: &HeaderMap) -> BTreeMap<String, String> {
    let mut found: BTreeMap<String, String> = BTreeMap::new();
    for name in COMPARED_HEADERS {
        let values = headers.get_all(name).iter();
        let values: Vec<&str> = values.map(|value| value.to_str().unwrap()).collect();
        if !values.is_empty() {
            found.insert(name.to_owned(), values.join(", "));
        }
    }
    found
}

/// Patterns compiled once.
#[derive(Default)]
struct Patterns(BTreeMap<String, Regex>);

impl Patterns {
    fn get(&mut self, pattern: &str) -> &Regex {
        self.0
            .entry(pattern.to_owned())
            .or_insert_with(|| Regex::new(pattern).unwrap())
    }

    fn normalized(&mut self, text: &str) -> String {
        let mut text = text.to_owned();
        for (pattern, with) in NORMALIZED {
            text = self.get(pattern).replace_all(&text, with).into_owned();
        }
        text
    }

    fn meant(&mut self, difference: &Difference, case: &Case) -> bool {
        self.get(&difference.request).is_match(&case.name())
            && self.get(&difference.profile).is_match(&case.profile)
            && self.get(&difference.body).is_match(&case.body)
    }

    /// Changes what is expected; tells whether anything is left to compare.
    fn apply(&mut self, difference: &Difference, expected: &mut Case) -> bool {
        let untouched = expected.clone();
        let prefix = &difference.location_prefix;
        if let Some(location) = expected.answer_headers.get_mut("location")
            && !prefix.is_empty()
        {
            location.insert_str(0, prefix);
            let link = format!("<a href=\"{prefix}/");
            expected.answer = expected.answer.replace("<a href=\"/", &link);
        }
        for (name, value) in &difference.headers {
            match value.as_str() {
                "" => drop(expected.answer_headers.remove(name)),
                _ if expected.answer_headers.contains_key(name) => {
                    expected.answer_headers.insert(name.clone(), value.clone());
                }
                _ => {}
            }
        }
        expected
            .answer_headers
            .extend(difference.headers_added.clone());
        expected.status = difference.status.unwrap_or(expected.status);
        if let Some(answer) = &difference.answer {
            expected.answer.clone_from(answer);
        }
        for (pattern, with) in &difference.replace {
            let answer = self.get(pattern).replace_all(&expected.answer, with);
            expected.answer = answer.into_owned();
        }
        untouched != *expected || !difference.ignore.is_empty()
    }
}

#[tokio::test]
async fn requests_are_answered_as_by_prometheus() {
    let cases: Vec<Case> = read("answers.json");
    let newer: Vec<Difference> = read("newer.json");
    let ours: Vec<Difference> = read("ours.json");
    let mut patterns = Patterns::default();
    let mut shown = BTreeSet::new();
    let mut wrong = Vec::new();
    let (mut n_recorded, mut n_newer, mut n_ours) = (0, 0, 0);
    let all: Vec<_> = cases.iter().map(|c| (&*c.path, &*c.answer)).collect();
    let profiles: BTreeSet<&str> = cases.iter().map(|case| case.profile.as_str()).collect();
    for profile in profiles {
        let fake = recorded_state::fake(&text("series.json"), profile, &all);
        let settings = settings(profile, &fake);
        let router = router(Arc::new(fake), settings, ui::routes());
        for case in cases.iter().filter(|case| case.profile == profile) {
            let mut expected = case.clone();
            let mut ignored: Vec<&str> = Vec::new();
            let (mut is_newer, mut is_ours, mut is_compared) = (false, false, true);
            for difference in newer.iter().chain(&ours) {
                if !patterns.meant(difference, case) {
                    continue;
                }
                shown.insert(&*difference.reason);
                ignored.extend(difference.ignore.iter().map(String::as_str));
                let says_how = patterns.apply(difference, &mut expected);
                let is_of_newer = newer.iter().any(|d| std::ptr::eq(d, difference));
                // The header that every answer has would hide all the others.
                is_newer |= is_of_newer && !difference.headers.contains_key("vary");
                is_ours |= !is_of_newer;
                is_compared &= says_how || difference.headers.contains_key("vary");
            }
            match (is_ours, is_newer) {
                (true, _) => n_ours += 1,
                (_, true) => n_newer += 1,
                _ => n_recorded += 1,
            }
            if !is_compared {
                continue;
            }
            let (status, headers, body) = ask(&router, case).await;
            let compact = |patterns: &mut Patterns, text: &str| {
                let mut text = patterns.normalized(text);
                for part in &ignored {
                    text = patterns.get(part).replace_all(&text, "").into_owned();
                }
                text
            };
            let found = compact(&mut patterns, &body);
            let wanted = compact(&mut patterns, &expected.answer);
            expected
                .answer_headers
                .retain(|name, _| COMPARED_HEADERS.contains(&name.as_str()));
            let wanted_headers = expected.answer_headers;
            if (status, &headers, &found) != (expected.status, &wanted_headers, &wanted) {
                wrong.push(format!(
                    "{} {:?} {:?} [{profile}]\n  wanted {} {wanted_headers:?}\n    {wanted}\n  \
                     found  {status} {headers:?}\n    {found}",
                    case.name(),
                    case.body,
                    case.headers,
                    expected.status
                ));
            }
        }
    }
    say!(
        "api: {} of {} requests are answered right: {n_recorded} as recorded, {n_newer} as the \
         newest source has it, {n_ours} otherwise on purpose",
        cases.len() - wrong.len(),
        cases.len()
    );
    let reasons = newer.iter().chain(&ours).map(|d| d.reason.as_str());
    let unshown: Vec<&str> = reasons.filter(|reason| !shown.contains(reason)).collect();
    assert!(
        unshown.is_empty(),
        "no request shows these differences: {unshown:?}"
    );
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
