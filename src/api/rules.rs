//! `GET /api/v1/rules`: groups and rules with their state, filtered and by pages.

use std::sync::Arc;

use axum::extract::State;
use serde::Serialize;

use crate::api::alerts::{AlertJson, active_alerts};
use crate::api::json::{PairsJson, TimeJson};
use crate::api::params::Params;
use crate::api::response::{ApiError, Success, json};
use crate::api::state::ApiState;
use crate::api::strconv::{parse_bool, parse_int32};
use crate::engine::status::AlertingStatus;
use crate::engine::{GroupStatus, RuleHealth, RuleStatus};
use crate::model::Matcher;
use crate::model::labels::quote;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RulesJson<'a> {
    groups: Vec<GroupJson<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    group_next_token: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct GroupJson<'a> {
    name: &'a str,
    file: &'a str,
    rules: Vec<RuleJson<'a>>,
    interval: f64,
    limit: usize,
    evaluation_time: f64,
    last_evaluation: TimeJson,
}

#[derive(Serialize)]
#[serde(untagged)]
enum RuleJson<'a> {
    Alerting(AlertingRuleJson<'a>),
    Recording(RecordingRuleJson<'a>),
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct AlertingRuleJson<'a> {
    state: &'static str,
    name: &'a str,
    query: &'a str,
    duration: f64,
    keep_firing_for: f64,
    labels: PairsJson<'a>,
    annotations: PairsJson<'a>,
    /// `null` where they were excluded.
    alerts: Option<Vec<AlertJson<'a>>>,
    #[serde(flatten)]
    evaluation: EvaluationJson<'a>,
}

#[derive(Serialize)]
struct RecordingRuleJson<'a> {
    name: &'a str,
    query: &'a str,
    labels: PairsJson<'a>,
    #[serde(flatten)]
    evaluation: EvaluationJson<'a>,
}

/// What both kinds of rules end with.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct EvaluationJson<'a> {
    health: &'static str,
    #[serde(skip_serializing_if = "str::is_empty")]
    last_error: &'a str,
    evaluation_time: f64,
    last_evaluation: TimeJson,
    r#type: &'static str,
    /// Ours, not Prometheus': until when windows or selectors lack history.
    #[serde(skip_serializing_if = "Option::is_none")]
    warming_until: Option<TimeJson>,
    /// Ours, too: from when on its detectors learn, where they were reset.
    #[serde(skip_serializing_if = "Option::is_none")]
    learns_since: Option<TimeJson>,
}

/// Answers `GET /api/v1/rules`.
pub async fn rules(
    State(state): State<Arc<ApiState>>,
    params: Params,
) -> Result<axum::response::Response, ApiError> {
    let filter = Filter::of(&params, &state)?;
    let groups = state.backend.groups().await?;
    let answer = listed(&groups, &filter)?;
    Ok(json(axum::http::StatusCode::OK, answer.to_json()))
}

/// What the parameters ask for.
struct Filter {
    alerting: bool,
    recording: bool,
    exclude_alerts: bool,
    rule_names: Vec<String>,
    group_names: Vec<String>,
    files: Vec<String>,
    matcher_sets: Vec<Vec<Matcher>>,
    group_limit: Option<usize>,
    group_next_token: String,
}

impl Filter {
    fn of(params: &Params, state: &ApiState) -> Result<Self, ApiError> {
        let list = |name| params.values(name).map(str::to_owned).collect();
        let features = state.settings.query.features;
        params.check_form()?;
        let matcher_sets = params.matcher_sets(features).map_err(ApiError::bad_data)?;
        let kind = params.value("type").to_lowercase();
        if !matches!(kind.as_str(), "" | "alert" | "record") {
            let cause = format!("not supported value {}", quote(&kind));
            return Err(ApiError::invalid_parameter("type", cause));
        }
        let (group_limit, group_next_token) = page_of(params)?;
        Ok(Filter {
            alerting: kind != "record",
            recording: kind != "alert",
            exclude_alerts: exclude_alerts_of(params)?,
            rule_names: list("rule_name[]"),
            group_names: list("rule_group[]"),
            files: list("file[]"),
            matcher_sets,
            group_limit,
            group_next_token,
        })
    }

    fn takes_group(&self, group: &GroupStatus) -> bool {
        let listed = |names: &[String], name| names.is_empty() || names.contains(name);
        listed(&self.group_names, &group.name) && listed(&self.files, &group.file)
    }

    fn takes_rule(&self, rule: &RuleStatus) -> bool {
        let label = |name: &str| {
            let found = rule.labels.iter().find(|(key, _)| key == name);
            found.map_or("", |(_, value)| value.as_str())
        };
        let kind = if rule.alerting.is_some() {
            self.alerting
        } else {
            self.recording
        };
        let satisfied = |set: &Vec<Matcher>| {
            set.iter()
                .all(|matcher| matcher.matches(label(&matcher.name)))
        };
        kind && (self.rule_names.is_empty() || self.rule_names.contains(&rule.name))
            && (self.matcher_sets.is_empty() || self.matcher_sets.iter().any(satisfied))
    }
}

fn exclude_alerts_of(params: &Params) -> Result<bool, ApiError> {
    match params.value("exclude_alerts").to_lowercase().as_str() {
        "" => Ok(false),
        text => parse_bool(text).map_err(|cause| {
            let cause = format!("error converting exclude_alerts: {cause}");
            ApiError::invalid_parameter("exclude_alerts", cause)
        }),
    }
}

fn page_of(params: &Params) -> Result<(Option<usize>, String), ApiError> {
    let token = params.value("group_next_token").to_owned();
    let limit = params.value("group_limit");
    if limit.is_empty() && !token.is_empty() {
        return Err(ApiError::invalid_parameter(
            "group_next_token",
            "group_limit needs to be present in order to paginate over the groups",
        ));
    }
    if limit.is_empty() {
        return Ok((None, token));
    }
    let invalid = |cause: &str| ApiError::invalid_parameter("group_limit", cause);
    let limit = parse_int32(limit)
        .map_err(|cause| invalid(&format!("group_limit needs to be a valid number: {cause}")))?;
    match usize::try_from(limit) {
        Ok(limit) if limit > 0 => Ok((Some(limit), token)),
        _ => Err(invalid("group_limit needs to be greater than 0")),
    }
}

fn listed<'a>(
    groups: &'a [GroupStatus],
    filter: &Filter,
) -> Result<Success<RulesJson<'a>>, ApiError> {
    let mut answer = RulesJson {
        groups: Vec::new(),
        group_next_token: None,
    };
    let from = match filter.group_next_token.as_str() {
        "" => 0,
        token => first_of_page(groups, token)?,
    };
    for group in groups[from..]
        .iter()
        .filter(|group| filter.takes_group(group))
    {
        let rules = group.rules.iter().filter(|rule| filter.takes_rule(rule));
        let rules: Vec<_> = rules.map(|rule| rule_json(rule, filter)).collect();
        if rules.is_empty() {
            continue;
        }
        if filter.group_limit == Some(answer.groups.len()) {
            answer.group_next_token = Some(token_of(group));
            break;
        }
        answer.groups.push(group_json(group, rules));
    }
    Ok(Success::of(answer))
}

fn first_of_page(groups: &[GroupStatus], token: &str) -> Result<usize, ApiError> {
    let found = groups.iter().position(|group| token_of(group) == token);
    found.ok_or_else(|| {
        let cause = format!("invalid group_next_token '{token}'. were rule groups changed?");
        ApiError::invalid_parameter("group_next_token", cause)
    })
}

/// Returns the name of a page: the hex SHA-256 of `<file>;<group>` of its first group.
fn token_of(group: &GroupStatus) -> String {
    let key = format!("{};{}", group.file, group.name);
    let digest = ring::digest::digest(&ring::digest::SHA256, key.as_bytes());
    let bytes = digest.as_ref().iter();
    bytes.map(|byte| format!("{byte:02x}")).collect()
}

fn group_json<'a>(group: &'a GroupStatus, rules: Vec<RuleJson<'a>>) -> GroupJson<'a> {
    GroupJson {
        name: &group.name,
        file: &group.file,
        rules,
        interval: (group.interval.seconds()),
        limit: group.limit,
        evaluation_time: (group.evaluation_seconds),
        last_evaluation: TimeJson(group.last_evaluation),
    }
}

fn rule_json<'a>(rule: &'a RuleStatus, filter: &Filter) -> RuleJson<'a> {
    match &rule.alerting {
        Some(alerting) => RuleJson::Alerting(alerting_json(rule, alerting, filter)),
        None => RuleJson::Recording(RecordingRuleJson {
            name: &rule.name,
            query: &rule.query,
            labels: PairsJson(&rule.labels),
            evaluation: evaluation_json(rule, "recording"),
        }),
    }
}

fn alerting_json<'a>(
    rule: &'a RuleStatus,
    alerting: &'a AlertingStatus,
    filter: &Filter,
) -> AlertingRuleJson<'a> {
    let alerts = || active_alerts(alerting).map(AlertJson::of).collect();
    AlertingRuleJson {
        state: alerting.state.name(),
        name: &rule.name,
        query: &rule.query,
        duration: (alerting.hold.seconds()),
        keep_firing_for: (alerting.keep_firing.seconds()),
        labels: PairsJson(&rule.labels),
        annotations: PairsJson(&alerting.annotations),
        alerts: (!filter.exclude_alerts).then(alerts),
        evaluation: evaluation_json(rule, "alerting"),
    }
}

fn evaluation_json<'a>(rule: &'a RuleStatus, kind: &'static str) -> EvaluationJson<'a> {
    let (health, last_error) = match &rule.health {
        RuleHealth::Unknown => ("unknown", ""),
        RuleHealth::Ok => ("ok", ""),
        RuleHealth::Err(reason) => ("err", reason.as_str()),
    };
    EvaluationJson {
        health,
        last_error,
        evaluation_time: (rule.evaluation_seconds),
        last_evaluation: TimeJson(rule.last_evaluation),
        r#type: kind,
        warming_until: rule.warming_until.map(|at| TimeJson(Some(at))),
        learns_since: rule.learns_since.map(|at| TimeJson(Some(at))),
    }
}
