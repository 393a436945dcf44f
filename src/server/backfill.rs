//! Fills in history: asks the engines what they lack, fetches it, and puts it into their logs.
//!
//! One selector at a time, so that the Prometheus that is asked hardly notices. What fails is tried
//! again, later each time; what the other side does not have is not asked for again.
//!
//! Runs as one task of the server; the files lie in `<storage.path>/backfill`.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::watch;
use tracing::{info, warn};

use crate::api::{BackfillState, BackfillView};
use crate::backfill::{PastFile, Slice, Upstream};
use crate::clock::Clock;
use crate::config::BackfillConfig;
use crate::engine::{Engine, Lacking};
use crate::ingest::ShardId;
use crate::model::{DurationMs, Entry, Matcher, TimestampMs};
use crate::server::past_files::PastFiles;
use crate::server::pipeline::Pipeline;

/// How often it is looked whether anything lacks history.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// The first pause after a failure, doubled each time, and the longest.
const PAUSE_MIN: DurationMs = DurationMs::from_seconds(5);
const PAUSE_MAX: DurationMs = DurationMs::from_seconds(300);

/// What has been asked for, and what became of it.
pub struct Backfill {
    files: Arc<PastFiles>,
    clock: Arc<dyn Clock>,
    config: Mutex<Option<BackfillConfig>>,
    board: Mutex<BTreeMap<String, Asked>>,
}

#[derive(Clone, Debug)]
struct Asked {
    view: BackfillView,
    /// Since when the engines had it all when it was asked for, ms: the same again means that the
    /// other side has no more.
    until: TimestampMs,
    failures: u32,
    retry_at: TimestampMs,
}

/// What shards lack of one selector, together.
struct Wanted {
    lacking: Lacking,
    shards: Vec<ShardId>,
}

impl Backfill {
    /// Returns a backfill that asks nobody yet.
    pub fn new(files: Arc<PastFiles>, clock: Arc<dyn Clock>) -> Arc<Self> {
        Arc::new(Backfill {
            files,
            clock,
            config: Mutex::new(None),
            board: Mutex::new(BTreeMap::new()),
        })
    }

    /// Sets who is asked from now on.
    pub fn reconfigure(&self, config: Option<BackfillConfig>) {
        let mut current = self.config.lock();
        if *current != config {
            *current = config;
            self.board.lock().clear();
        }
    }

    /// Returns what was asked for, in the order of selectors.
    pub fn views(&self) -> Vec<BackfillView> {
        let board = self.board.lock();
        board.values().map(|asked| asked.view.clone()).collect()
    }

    /// Fills in what is lacking until the server stops.
    pub async fn run(self: Arc<Self>, pipeline: Arc<Pipeline>, mut stopped: watch::Receiver<bool>) {
        loop {
            tokio::select! {
                () = tokio::time::sleep(LOOK_EVERY) => {}
                _ = stopped.wait_for(|stopped| *stopped) => return,
            }
            let Some(config) = self.config.lock().clone() else {
                continue;
            };
            let upstream = Upstream::new(&config);
            for (selector, wanted) in self.wanted(&pipeline).await {
                if !self.is_due(&selector, &wanted.lacking) {
                    continue;
                }
                tokio::select! {
                    () = self.fill(&selector, &wanted, &upstream, &pipeline) => {}
                    _ = stopped.wait_for(|stopped| *stopped) => return,
                }
            }
        }
    }

    /// Asks every shard what it lacks.
    async fn wanted(&self, pipeline: &Pipeline) -> BTreeMap<String, Wanted> {
        let mut found: BTreeMap<String, Wanted> = BTreeMap::new();
        for (shard, answer) in (0..).zip(pipeline.ask_all(Engine::lacking)) {
            // A shard that is too busy to answer is asked again.
            for lacking in answer.await.unwrap_or_default() {
                let wanted = found.entry(shown(&lacking.matchers));
                let wanted = wanted.or_insert_with(|| Wanted {
                    lacking: lacking.clone(),
                    shards: Vec::new(),
                });
                wanted.lacking.since = wanted.lacking.since.min(lacking.since);
                wanted.lacking.until = wanted.lacking.until.max(lacking.until);
                wanted.shards.push(ShardId(shard));
            }
        }
        found
    }

    fn is_due(&self, selector: &str, lacking: &Lacking) -> bool {
        let board = self.board.lock();
        match board.get(selector) {
            None => true,
            Some(asked) if asked.failures > 0 => self.clock.now() >= asked.retry_at,
            Some(asked) => asked.until != lacking.until,
        }
    }

    async fn fill(
        &self,
        selector: &str,
        wanted: &Wanted,
        upstream: &Upstream,
        pipeline: &Pipeline,
    ) {
        let Lacking {
            matchers,
            since,
            until,
        } = &wanted.lacking;
        let failures = self.begin(selector, &wanted.lacking);
        match self.fetch(selector, &wanted.lacking, upstream).await {
            Ok((path, fetched)) => {
                let appended = match fetched.since < *until {
                    true => self.put_in(&path, &wanted.shards, pipeline).await,
                    false => Ok(()),
                };
                if let Err(reason) = appended {
                    return self.failed(selector, failures, &reason);
                }
                let got = fetched.since.min(*until);
                info!(
                    selector,
                    from_ms = got.0,
                    wanted_from_ms = since.0,
                    found_series = fetched.has_series,
                    "history was fetched"
                );
                self.note(selector, |asked| {
                    asked.failures = 0;
                    asked.until = got;
                    asked.view.done = 1.0;
                    asked.view.since = got;
                    asked.view.state = BackfillState::Done;
                });
            }
            Err(reason) => {
                warn!(
                    selector,
                    n_matchers = matchers.len(),
                    reason,
                    "history cannot be fetched"
                );
                self.failed(selector, failures, &reason);
            }
        }
    }

    /// Fetches a past into a file.
    async fn fetch(
        &self,
        selector: &str,
        lacking: &Lacking,
        upstream: &Upstream,
    ) -> Result<(PathBuf, crate::backfill::Fetched), String> {
        let folder = self.files.folder();
        let cannot = |e: std::io::Error| format!("{}: {e}", folder.display());
        tokio::fs::create_dir_all(folder).await.map_err(cannot)?;
        let name = xxhash_rust::xxh3::xxh3_64(selector.as_bytes());
        let name = format!("{name:016x}-{}.past", lacking.until.0);
        self.files.rewritten(&name);
        let path = folder.join(name);
        let progress = |slice: Slice| {
            self.note(selector, |asked| {
                asked.view.done = slice.done;
                asked.view.bytes = slice.bytes;
            });
        };
        let range = (lacking.since, lacking.until);
        let fetched = upstream.fetch(&lacking.matchers, range, &path, progress);
        match fetched.await {
            Ok(fetched) => Ok((path, fetched)),
            Err(error) => Err(error.to_string()),
        }
    }

    /// Puts a file that is whole into the logs of shards.
    async fn put_in(
        &self,
        path: &std::path::Path,
        shards: &[ShardId],
        pipeline: &Pipeline,
    ) -> Result<(), String> {
        let path = path.to_owned();
        let opened = tokio::task::spawn_blocking(move || PastFile::open(&path)).await;
        let past = opened
            .map_err(|e| e.to_string())?
            .map_err(|e| e.to_string())?;
        let past = Arc::new(past);
        let of_shards = shards.iter().map(|shard| usize::from(shard.0));
        self.files.named(past.series.name(), of_shards);
        let entry = |stamp| Entry::Past {
            stamp,
            past: Arc::clone(&past),
        };
        let appended = pipeline.node().note(shards, &entry, self.clock.now());
        appended.map_err(|e| e.to_string())
    }

    /// Notes that a selector is being asked for; returns how often that failed before.
    fn begin(&self, selector: &str, lacking: &Lacking) -> u32 {
        let mut board = self.board.lock();
        let failures = board.get(selector).map_or(0, |asked| asked.failures);
        board.insert(
            selector.to_owned(),
            Asked {
                view: BackfillView {
                    selector: selector.to_owned(),
                    since: lacking.since,
                    until: lacking.until,
                    done: 0.0,
                    bytes: 0,
                    state: BackfillState::Fetching,
                },
                until: lacking.until,
                failures,
                retry_at: TimestampMs::MIN,
            },
        );
        failures
    }

    fn failed(&self, selector: &str, failures: u32, reason: &str) {
        let pause = DurationMs(PAUSE_MIN.0 << failures.min(16)).min(PAUSE_MAX);
        let retry_at = self.clock.now() + pause;
        self.note(selector, |asked| {
            asked.failures = failures + 1;
            asked.retry_at = retry_at;
            asked.view.state = BackfillState::Failed(reason.to_owned());
        });
    }

    fn note(&self, selector: &str, change: impl FnOnce(&mut Asked)) {
        if let Some(asked) = self.board.lock().get_mut(selector) {
            change(asked);
        }
    }
}

/// Returns a selector as people write it.
fn shown(matchers: &[Matcher]) -> String {
    let name = Matcher::exact_name(matchers);
    let others = matchers
        .iter()
        .filter(|m| name.is_none() || m.name != crate::model::METRIC_NAME);
    let others: Vec<String> = others.map(ToString::to_string).collect();
    match (name, others.is_empty()) {
        (Some(name), true) => name.to_owned(),
        _ => format!("{}{{{}}}", name.unwrap_or_default(), others.join(",")),
    }
}
