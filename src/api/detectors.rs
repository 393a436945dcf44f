//! `POST /api/v1/detectors/reset`: the detectors of some rules begin to learn anew, as after a
//! deployment that makes usual what was odd.
//!
//! A reset goes through the log to every engine, so that it is there after a restart and in a
//! replay. It is the last one that counts; `at=0` takes a reset back. Rules say nothing for a while,
//! so it is allowed where a reload is: with `--web.enable-lifecycle`.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Serialize;

use crate::api::instant::parse_time;
use crate::api::json::{PairsJson, TimeJson};
use crate::api::manage::not_enabled;
use crate::api::params::Params;
use crate::api::response::{ApiError, Success, json};
use crate::api::state::ApiState;
use crate::engine::{GroupStatus, RuleStatus};
use crate::model::{DurationMs, GroupKey, RuleKey, TimestampMs};

/// How far ahead of the wall clock a reset may be.
const AHEAD_MAX: DurationMs = DurationMs::from_seconds(3600);
/// Functions that can be reset, in words.
const WHICH: &str = "anomaly_*, change_* and forecast_*";

const SELECTORS: [&str; 3] = ["file", "group", "rule"];
const AT: &str = "at";

#[derive(Serialize)]
struct ResetJson<'a> {
    /// Samples up to then are not looked at.
    at: TimeJson,
    rules: Vec<RuleJson<'a>>,
}

#[derive(Serialize)]
struct RuleJson<'a> {
    file: &'a str,
    group: &'a str,
    name: &'a str,
    r#type: &'static str,
    labels: PairsJson<'a>,
}

/// Answers `POST` and `PUT /api/v1/detectors/reset`.
pub async fn reset(
    State(state): State<Arc<ApiState>>,
    params: Params,
) -> Result<Response, ApiError> {
    if !state.settings.lifecycle {
        return Ok(not_enabled());
    }
    params.check_form()?;
    let selected = Selected::of(&params)?;
    let at = time(params.value(AT), state.settings.clock.now())?;
    let rules = selected.find(&state.backend.groups().await?)?;
    let reset = state.backend.reset_detectors(at, rules).await?;
    let answer = ResetJson {
        at: TimeJson(Some(reset.at)),
        rules: reset.rules.iter().map(rule_json).collect(),
    };
    Ok(json(StatusCode::OK, Success::of(answer).to_json()))
}

fn rule_json(key: &RuleKey) -> RuleJson<'_> {
    RuleJson {
        file: &key.group.file,
        group: &key.group.name,
        name: &key.name,
        r#type: if key.is_alert {
            "alerting"
        } else {
            "recording"
        },
        labels: PairsJson(&key.labels),
    }
}

/// Which rules the parameters mean: of a name that is given several times, any.
struct Selected<'a> {
    by: [Vec<&'a str>; SELECTORS.len()],
}

impl<'a> Selected<'a> {
    fn of(params: &'a Params) -> Result<Self, ApiError> {
        let is_known = |name: &&str| SELECTORS.contains(name) || *name == AT;
        if let Some(unknown) = params.names().find(|name| !is_known(name)) {
            // A selector that is misspelled would select more than is meant.
            return Err(ApiError::bad_data(format!(
                "unknown parameter {unknown:?}: known are file, group, rule and at"
            )));
        }
        let given = |name| {
            params
                .values(name)
                .filter(|value| !value.is_empty())
                .collect()
        };
        let by: [Vec<&str>; SELECTORS.len()] = SELECTORS.map(given);
        if by.iter().all(Vec::is_empty) {
            return Err(ApiError::bad_data(
                "it is not said which rules: give rule=, group= or file=, as /api/v1/rules lists them",
            ));
        }
        Ok(Selected { by })
    }

    /// Returns the rules with detectors.
    fn find(&self, groups: &[GroupStatus]) -> Result<Vec<RuleKey>, ApiError> {
        let [files, names, rules] = &self.by;
        let is_meant = |given: &[&str], name: &str| given.is_empty() || given.contains(&name);
        let groups = groups
            .iter()
            .filter(|group| is_meant(files, &group.file) && is_meant(names, &group.name));
        let found = groups.flat_map(|group| group.rules.iter().map(move |rule| (group, rule)));
        let found: Vec<(&GroupStatus, &RuleStatus)> = found
            .filter(|(_, rule)| is_meant(rules, &rule.name))
            .collect();
        if found.is_empty() {
            return Err(ApiError::bad_data(format!(
                "no loaded rule is of {}: /api/v1/rules lists files, groups and rules",
                self.text()
            )));
        }
        let learning = found.iter().filter(|(_, rule)| rule.learns);
        let mut keys: Vec<RuleKey> = learning.map(|(group, rule)| key_of(group, rule)).collect();
        keys.sort();
        keys.dedup();
        if keys.is_empty() {
            return Err(ApiError::bad_data(format!(
                "no rule of {} has a detector ({WHICH}), so there is nothing to reset; rules that \
                 read what such a rule records follow it",
                self.text()
            )));
        }
        Ok(keys)
    }

    fn text(&self) -> String {
        let given = SELECTORS.iter().zip(&self.by);
        let given =
            given.flat_map(|(name, values)| values.iter().map(move |v| format!("{name}={v}")));
        given.collect::<Vec<_>>().join(", ")
    }
}

fn key_of(group: &GroupStatus, rule: &RuleStatus) -> RuleKey {
    RuleKey {
        group: GroupKey::new(&group.file, &group.name),
        name: rule.name.clone(),
        is_alert: rule.alerting.is_some(),
        labels: rule.labels.clone(),
    }
}

/// Reads when detectors begin; nothing where that is now.
fn time(text: &str, now: TimestampMs) -> Result<Option<TimestampMs>, ApiError> {
    if text.is_empty() {
        return Ok(None);
    }
    let at = parse_time(text).map_err(|cause| ApiError::invalid_parameter(AT, cause))?;
    let at = at.of_query();
    if at > now + AHEAD_MAX {
        let cause = format!(
            "{text} is more than {AHEAD_MAX} ahead of the server's clock (seconds since 1970 or \
             RFC 3339): until then the rules would say nothing"
        );
        return Err(ApiError::invalid_parameter(AT, cause));
    }
    Ok(Some(at))
}
