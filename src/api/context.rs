//! `GET /api/v1/alerts/<fingerprint>/context`: what surrounds an alert that is pending or firing,
//! as it stands now. Evaluated on a snapshot, within the bounds of queries.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::extract::{Path, State};

use crate::api::params::Params;
use crate::api::response::{ApiError, ApiResult, ErrorKind, Success};
use crate::api::selections::{QueryTimes, selections_of};
use crate::api::state::ApiState;
use crate::api::worker::on_worker;
use crate::context::{Changes, RecentAlerts, Subject, WEEK, build, to_value};
use crate::engine::ContextAnswer;
use crate::eval::EvalOptions;
use crate::model::{ContextParts, ContextSettings, DurationMs, TimestampMs};
use crate::series::Selection;

/// Answers `GET /api/v1/alerts/<fingerprint>/context`.
pub async fn context(
    State(state): State<Arc<ApiState>>,
    Path(fingerprint): Path<String>,
    params: Params,
) -> ApiResult<serde_json::Value> {
    let number = read_fingerprint(&fingerprint)?;
    let parts: ContextParts = match params.value("parts") {
        "" => ContextParts::ALL,
        text => text
            .parse()
            .map_err(|unknown| ApiError::invalid_parameter("parts", unknown))?,
    };
    let answers = state.backend.context(Some(number)).await?;
    let Known {
        subject,
        changes,
        recent,
        options,
    } = known(answers);
    let Some(subject) = subject else {
        return Err(ApiError::new(
            ErrorKind::NotFound,
            format!(
                "no alert with the fingerprint {fingerprint} is pending or firing: /api/v1/alerts \
                 lists those that are"
            ),
        ));
    };
    let slot = Arc::clone(&state.query_slots).acquire_owned();
    let work = async {
        let slot = slot.await.expect("the semaphore is never closed");
        let snapshot = state
            .backend
            .snapshot(selections(&subject, &options))
            .await?;
        let stop = StopOnDrop::default();
        let options = EvalOptions {
            stop: Some(Arc::clone(&stop.0)),
            ..options
        };
        on_worker(move || {
            let _slot = slot;
            let known = (&changes, &recent);
            to_value(&build(&subject, parts, known, &snapshot, &options))
        })
        .await
    };
    let built = tokio::time::timeout(state.settings.query.timeout, work).await;
    let built = built.map_err(|_| {
        ApiError::new(
            ErrorKind::Timeout,
            "the context could not be read in time (limits: query_timeout)",
        )
    })??;
    Ok(Success::of(built))
}

/// Ends the evaluation when nobody waits for it any more.
#[derive(Default)]
struct StopOnDrop(Arc<AtomicBool>);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn read_fingerprint(text: &str) -> Result<u64, ApiError> {
    let is_hexadecimal = text.len() == 16 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let number = is_hexadecimal.then(|| u64::from_str_radix(text, 16).ok());
    number.flatten().ok_or_else(|| {
        ApiError::bad_data(format!(
            "{text:?} is no fingerprint of an alert: it has 16 hexadecimal digits, as Alertmanager \
             and webhooks show it"
        ))
    })
}

/// What the engines of all shards know together.
struct Known {
    subject: Option<Subject>,
    changes: Changes,
    recent: RecentAlerts,
    options: EvalOptions,
}

fn known(answers: Vec<ContextAnswer>) -> Known {
    let mut known = Known {
        subject: None,
        changes: Changes::default(),
        recent: RecentAlerts::default(),
        options: EvalOptions::default(),
    };
    for answer in answers {
        known.recent.merge(&answer.recent);
        // All are told the same; one that began later may know less.
        if answer.changes.len() > known.changes.len() {
            known.changes = answer.changes;
        }
        if known.subject.is_none() && answer.subject.is_some() {
            known.subject = answer.subject;
            known.options = answer.options;
        }
    }
    known
}

/// Returns what a context reads.
fn selections(subject: &Subject, options: &EvalOptions) -> Vec<Selection> {
    let at = subject.at - subject.query_offset;
    let during = |start: TimestampMs, end: TimestampMs| {
        let times = QueryTimes {
            start,
            end,
            step: DurationMs::ZERO,
            lookback: options.lookback,
        };
        selections_of(&subject.expr, times)
    };
    let mut all = during(at - ContextSettings::HISTORY, at);
    all.extend(during(at - WEEK, at - WEEK));
    let info = subject.info.iter().map(|info| Selection {
        matchers: info.matchers.clone(),
        after: subject.at - subject.settings.changes_age - DurationMs(1),
        until: subject.at,
    });
    all.extend(info);
    all
}
