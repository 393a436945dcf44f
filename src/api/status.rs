//! `GET /api/v1/status/*`: what is running, with which settings, over which series.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Serialize;

use crate::api::json::{TimeJson, to_json};
use crate::api::params::Params;
use crate::api::response::{ApiError, ApiResult, Success, text};
use crate::api::state::ApiState;
use crate::api::strconv::atoi;
use crate::api::worker::on_worker;
use crate::api::{BackfillState, BackfillView, ElectionView};
use crate::model::{Labels, TimestampMs};
use crate::telemetry::{BuildInfo, process};

/// How many entries the lists of `status/tsdb` have unless asked otherwise.
const TSDB_ENTRIES: usize = 10;
/// How many entries they may be asked for.
const TSDB_ENTRIES_MAX: usize = 10_000;

/// What is running.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BuildInfoJson {
    version: String,
    revision: String,
    branch: String,
    build_user: String,
    build_date: String,
    go_version: String,
    /// Ours, not Prometheus': which burnwatch this is.
    burnwatch_version: String,
}

impl BuildInfoJson {
    fn of(build: &BuildInfo) -> Self {
        BuildInfoJson {
            version: BuildInfo::PROMETHEUS_VERSION.to_owned(),
            revision: build.revision.clone(),
            branch: build.branch.clone(),
            build_user: build.build_user.clone(),
            build_date: build.build_date.clone(),
            go_version: build.compiler.clone(),
            burnwatch_version: build.version.clone(),
        }
    }
}

/// Answers `/api/v1/status/buildinfo`.
pub async fn build_info(State(state): State<Arc<ApiState>>) -> ApiResult<BuildInfoJson> {
    Ok(Success::of(BuildInfoJson::of(&state.settings.build)))
}

/// Answers `/version`: the same without an envelope.
pub async fn version(State(state): State<Arc<ApiState>>) -> Response {
    let body = to_json(&BuildInfoJson::of(&state.settings.build));
    text(StatusCode::OK, String::from_utf8_lossy(&body) + "\n")
}

/// The loaded configuration.
#[derive(Debug, Serialize)]
pub struct ConfigJson {
    yaml: String,
}

/// Answers `/api/v1/status/config`.
pub async fn config(State(state): State<Arc<ApiState>>) -> ApiResult<ConfigJson> {
    let yaml = state.backend.config_yaml();
    Ok(Success::of(ConfigJson { yaml }))
}

/// History that was asked for elsewhere. Ours, not Prometheus'.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BackfillJson {
    selector: String,
    /// `fetching`, `done` or `failed`.
    state: &'static str,
    since: TimeJson,
    until: TimeJson,
    /// Of the time asked for, 0 to 1.
    done: f64,
    bytes: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

/// Answers `/api/v1/status/backfill`.
pub async fn backfill(State(state): State<Arc<ApiState>>) -> ApiResult<Vec<BackfillJson>> {
    let of = |view: BackfillView| BackfillJson {
        selector: view.selector,
        state: match view.state {
            BackfillState::Fetching => "fetching",
            BackfillState::Done => "done",
            BackfillState::Failed(_) => "failed",
        },
        since: TimeJson(Some(view.since)),
        until: TimeJson(Some(view.until)),
        done: view.done,
        bytes: view.bytes,
        error: match view.state {
            BackfillState::Failed(reason) => Some(reason),
            _ => None,
        },
    };
    let views = state.backend.backfills().into_iter();
    Ok(Success::of(views.map(of).collect()))
}

/// A cluster of replicas that send the same.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ElectionJson {
    cluster: String,
    elected: String,
    elected_at: TimeJson,
    last_seen: TimeJson,
    changes: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    other: Option<OtherJson>,
}

/// A replica that is not listened to.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct OtherJson {
    replica: String,
    last_seen: TimeJson,
}

/// Answers `/api/v1/status/ha`.
pub async fn ha(State(state): State<Arc<ApiState>>) -> ApiResult<Vec<ElectionJson>> {
    let views = state.backend.elections().into_iter();
    let of = |view: ElectionView| ElectionJson {
        cluster: view.cluster,
        elected: view.elected,
        elected_at: TimeJson(Some(view.elected_at)),
        last_seen: TimeJson(Some(view.last_seen)),
        changes: view.n_changes,
        other: view.other.map(|(replica, last_seen)| OtherJson {
            replica,
            last_seen: TimeJson(Some(last_seen)),
        }),
    };
    Ok(Success::of(views.map(of).collect()))
}

/// Answers `/api/v1/status/flags`.
pub async fn flags(State(state): State<Arc<ApiState>>) -> ApiResult<BTreeMap<String, String>> {
    Ok(Success::of(state.backend.flags().into_iter().collect()))
}

/// How the process does. The names are Go's; what has no like here is empty or zero.
#[derive(Debug, Serialize)]
pub struct RuntimeInfoJson {
    #[serde(rename = "startTime")]
    start_time: TimeJson,
    #[serde(rename = "CWD")]
    working_directory: String,
    hostname: String,
    #[serde(rename = "serverTime")]
    server_time: TimeJson,
    #[serde(rename = "reloadConfigSuccess")]
    reload_config_success: bool,
    #[serde(rename = "lastConfigTime")]
    last_config_time: TimeJson,
    #[serde(rename = "corruptionCount")]
    corruption_count: u64,
    #[serde(rename = "goroutineCount")]
    n_threads: u64,
    #[serde(rename = "GOMAXPROCS")]
    n_cores: usize,
    #[serde(rename = "GOMEMLIMIT")]
    memory_limit: i64,
    #[serde(rename = "GOGC")]
    gogc: &'static str,
    #[serde(rename = "GODEBUG")]
    godebug: &'static str,
    #[serde(rename = "storageRetention")]
    storage_retention: String,
}

/// Answers `/api/v1/status/runtimeinfo`.
pub async fn runtime_info(State(state): State<Arc<ApiState>>) -> ApiResult<RuntimeInfoJson> {
    let runtime = state.backend.runtime_view();
    Ok(Success::of(RuntimeInfoJson {
        start_time: TimeJson(Some(runtime.started_at)),
        working_directory: process::working_directory(),
        hostname: process::hostname(),
        server_time: TimeJson(Some(state.settings.clock.now())),
        reload_config_success: runtime.reload_succeeded,
        last_config_time: TimeJson(runtime.config_loaded_at),
        corruption_count: runtime.log_corruptions,
        n_threads: process::n_threads(),
        n_cores: std::thread::available_parallelism().map_or(1, usize::from),
        memory_limit: i64::MAX,
        gogc: "",
        godebug: "",
        storage_retention: runtime.retention,
    }))
}

/// A name and how much of it there is.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct NamedCount {
    name: String,
    value: usize,
}

/// The head of the storage.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct HeadStatsJson {
    num_series: usize,
    num_label_pairs: usize,
    chunk_count: u64,
    min_time: i64,
    max_time: i64,
}

/// Which names and labels have how many series.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TsdbJson {
    head_stats: HeadStatsJson,
    series_count_by_metric_name: Vec<NamedCount>,
    label_value_count_by_label_name: Vec<NamedCount>,
    memory_in_bytes_by_label_name: Vec<NamedCount>,
    series_count_by_label_value_pair: Vec<NamedCount>,
}

/// Answers `/api/v1/status/tsdb`.
pub async fn tsdb(State(state): State<Arc<ApiState>>, params: Params) -> ApiResult<TsdbJson> {
    let limit = match params.value("limit") {
        "" => TSDB_ENTRIES,
        text => {
            match atoi(text).and_then(|limit| usize::try_from(limit).map_err(|e| e.to_string())) {
                Ok(limit) if limit > TSDB_ENTRIES_MAX => {
                    let message = format!("limit must not exceed {TSDB_ENTRIES_MAX}");
                    return Err(ApiError::bad_data(message));
                }
                Ok(limit) if limit > 0 => limit,
                _ => return Err(ApiError::bad_data("limit must be a positive number")),
            }
        }
    };
    let all = state
        .backend
        .series(Vec::new(), TimestampMs::MIN, TimestampMs::MAX);
    let all = all.await?;
    let receive = state.backend.receive_view();
    let count = move || cardinality_of(&all.into_iter().collect(), limit);
    let mut answer = on_worker(count).await?;
    answer.head_stats.min_time = receive.oldest_sample.map_or(i64::MAX, |at| at.0);
    answer.head_stats.max_time = receive.newest_sample.map_or(i64::MIN, |at| at.0);
    Ok(Success::of(answer))
}

fn cardinality_of(series: &BTreeSet<Labels>, limit: usize) -> TsdbJson {
    let mut by_metric: HashMap<&str, usize> = HashMap::new();
    let mut by_pair: HashMap<(&str, &str), usize> = HashMap::new();
    for labels in series {
        *by_metric.entry(labels.metric_name()).or_default() += 1;
        for pair in labels.iter() {
            *by_pair.entry(pair).or_default() += 1;
        }
    }
    let mut values_of: HashMap<&str, usize> = HashMap::new();
    let mut bytes_of: HashMap<&str, usize> = HashMap::new();
    for ((name, value), n_series) in &by_pair {
        *values_of.entry(name).or_default() += 1;
        *bytes_of.entry(name).or_default() += label_bytes(name, value) * n_series;
    }
    let pairs = by_pair
        .iter()
        .map(|((name, value), count)| (format!("{name}={value}"), *count));
    let named = |counts: &HashMap<&str, usize>| {
        let counts = counts
            .iter()
            .map(|(name, count)| ((*name).to_owned(), *count));
        largest(counts.collect(), limit)
    };
    TsdbJson {
        head_stats: HeadStatsJson {
            num_series: series.len(),
            num_label_pairs: by_pair.len(),
            chunk_count: 0,
            min_time: i64::MAX,
            max_time: i64::MIN,
        },
        series_count_by_metric_name: named(&by_metric),
        label_value_count_by_label_name: named(&values_of),
        memory_in_bytes_by_label_name: named(&bytes_of),
        series_count_by_label_value_pair: largest(pairs.collect(), limit),
    }
}

/// Returns what a label takes in Prometheus' label sets, with the lengths before the texts.
fn label_bytes(name: &str, value: &str) -> usize {
    let with_length = |text: &str| text.len() + if text.len() < 255 { 1 } else { 4 };
    with_length(name) + with_length(value)
}

fn largest(mut counts: Vec<(String, usize)>, limit: usize) -> Vec<NamedCount> {
    counts.sort_unstable_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    counts.truncate(limit);
    let named = counts
        .into_iter()
        .map(|(name, value)| NamedCount { name, value });
    named.collect()
}

/// The blocks of the storage.
#[derive(Debug, Serialize)]
pub struct BlocksJson {
    blocks: [(); 0],
}

/// Answers `/api/v1/status/tsdb/blocks`: samples are kept otherwise.
pub async fn tsdb_blocks() -> ApiResult<BlocksJson> {
    Ok(Success::of(BlocksJson { blocks: [] }))
}

/// How far the replay of the log is.
#[derive(Debug, Serialize)]
pub struct ReplayJson {
    min: u64,
    max: u64,
    current: u64,
}

/// Answers `/api/v1/status/walreplay`, before ready too.
pub async fn log_replay(State(state): State<Arc<ApiState>>) -> ApiResult<ReplayJson> {
    let (first, last, current) = state.backend.runtime_view().replay;
    Ok(Success::of(ReplayJson {
        min: first,
        max: last,
        current,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cardinality_counts_names_values_and_pairs() {
        let series = [("up", "a"), ("up", "b"), ("down", "a")];
        let series = series.map(|(n, j)| Labels::from_pairs([("__name__", n), ("job", j)]));
        let answer = cardinality_of(&series.into_iter().collect(), 1);
        let check = |found: &[NamedCount], name: &str, value: usize| {
            let name = name.to_owned();
            assert_eq!(found, [NamedCount { name, value }]);
        };
        assert_eq!(answer.head_stats.num_label_pairs, 4);
        check(&answer.series_count_by_metric_name, "up", 2);
        check(&answer.label_value_count_by_label_name, "__name__", 2);
        check(&answer.memory_in_bytes_by_label_name, "__name__", 38);
        check(&answer.series_count_by_label_value_pair, "__name__=up", 2);
    }
}
