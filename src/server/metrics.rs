//! What the engines say of themselves, as metrics.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::api::{BackfillState, BackfillView};
use crate::engine::Stats;
use crate::log::Waiting;
use crate::log::backend::file::FileLogCounts;
use crate::model::TimestampMs;
use crate::server::checkpoints::CheckpointCounts;
use crate::server::dispatch::EngineReport;
use crate::server::pipeline::Replayed;
use crate::storage::{ColdCounts, ColdFiles};
use crate::telemetry::exposition::{write_family, write_sample};

/// Writes what the engines say of themselves.
/// Counts are those of all shards together, the frontier that of the shard furthest behind; each
/// shard's own stand beside them.
pub fn write_engine_metrics(text: &mut String, shards: &[EngineReport]) {
    let sum = |of: fn(&Stats) -> u64| shards.iter().map(|shard| of(&shard.stats)).sum::<u64>();
    let counters = [
        (
            "burnwatch_samples_applied",
            "Samples taken into history.",
            sum(|stats| stats.samples),
        ),
        (
            "burnwatch_samples_late",
            "Samples that came behind the frontier.",
            sum(|stats| stats.samples_late),
        ),
        (
            "burnwatch_samples_duplicate",
            "Samples that were in history already.",
            sum(|stats| stats.samples_duplicate),
        ),
        (
            "burnwatch_samples_refused",
            "Samples that history refused: another value at that instant, or too old.",
            sum(|stats| stats.samples_refused),
        ),
        (
            "burnwatch_scrapes_late",
            "Scrapes that were not whole in time.",
            sum(|stats| stats.scrapes_late),
        ),
        (
            "burnwatch_scanned_samples",
            "Samples that evaluations read from history.",
            sum(|stats| stats.samples_scanned),
        ),
        (
            "burnwatch_rule_evaluations_spared",
            "Evaluations that were left out in whole or in part: nothing had changed, or not enough to find anything.",
            sum(|stats| stats.evaluations_spared),
        ),
        (
            "burnwatch_contexts_built",
            "Contexts of alerts that were built because the alerts began to fire.",
            shards.iter().map(|shard| shard.contexts.0).sum(),
        ),
        (
            "burnwatch_context_samples",
            "Samples that were read from history for these contexts.",
            shards.iter().map(|shard| shard.contexts.1).sum(),
        ),
        (
            "burnwatch_backfill_samples",
            "Samples from before a series' first one here that were put into its history.",
            sum(|stats| stats.samples_past),
        ),
        (
            "burnwatch_backfill_broken",
            "Files of fetched history that could not be read to their end.",
            sum(|stats| stats.pasts_broken),
        ),
    ];
    write_counters(
        text,
        &counters.map(|(name, help, value)| (name, help, value as f64)),
    );
    let gauges = [
        (
            "burnwatch_changes_remembered",
            "Changes that were told and are remembered.",
            shards
                .iter()
                .map(|shard| shard.n_changes)
                .max()
                .unwrap_or(0) as f64,
        ),
        (
            "burnwatch_frontier_hold_seconds",
            "How far evaluation is behind the event-time clock.",
            shards
                .iter()
                .map(|shard| shard.frontier_hold_seconds)
                .fold(0.0, f64::max),
        ),
        (
            "burnwatch_frontier_timestamp_seconds",
            "Up to which event time rules are evaluated.",
            shards
                .iter()
                .filter_map(|shard| shard.frontier)
                .min()
                .map_or(0.0, TimestampMs::seconds),
        ),
    ];
    write_gauges(text, &gauges);
    write_shard_metrics(text, shards);
}

type OfShard = fn(&EngineReport) -> f64;

/// Writes what each shard says of itself.
fn write_shard_metrics(text: &mut String, shards: &[EngineReport]) {
    let gauges: [(&str, &str, OfShard); 3] = [
        (
            "burnwatch_shard_frontier_hold_seconds",
            "How far the shard's evaluation is behind the event-time clock.",
            |shard| shard.frontier_hold_seconds,
        ),
        (
            "burnwatch_shard_frontier_timestamp_seconds",
            "Up to which event time the shard's rules are evaluated.",
            |shard| shard.frontier.map_or(0.0, TimestampMs::seconds),
        ),
        (
            "burnwatch_shard_series",
            "Series in the shard's history; one that two shards read is in both.",
            |shard| shard.n_series as f64,
        ),
    ];
    for (name, help, value) in gauges {
        write_of_shards(text, (name, help), shards.iter().map(value));
    }
}

/// Writes how much history lies in files, all shards together.
pub fn write_history_metrics(text: &mut String, stores: &[Arc<ColdFiles>]) {
    let counts: Vec<ColdCounts> = stores.iter().map(|files| files.counts()).collect();
    let sum = |of: fn(&ColdCounts) -> u64| counts.iter().map(of).sum::<u64>() as f64;
    let counters = [
        (
            "burnwatch_history_chunks_written",
            "Chunks of history written to files.",
            sum(|counts| counts.chunks),
        ),
        (
            "burnwatch_history_chunks_refused",
            "Chunks of history that stayed in memory because no file had room for them.",
            sum(|counts| counts.refused),
        ),
    ];
    write_counters(text, &counters);
    let gauges = [
        (
            "burnwatch_history_files",
            "Files of history, mapped into memory.",
            sum(|counts| counts.files),
        ),
        (
            "burnwatch_history_file_bytes",
            "Bytes of history in these files.",
            sum(|counts| counts.bytes),
        ),
    ];
    write_gauges(text, &gauges);
}

/// Writes which history is being fetched from elsewhere.
pub fn write_backfill_metrics(text: &mut String, views: &[BackfillView]) {
    let count = |state: fn(&BackfillState) -> bool| {
        let views = views.iter().filter(|view| state(&view.state));
        views.count() as f64
    };
    let states: [(&str, f64); 3] = [
        ("fetching", count(|state| *state == BackfillState::Fetching)),
        ("done", count(|state| *state == BackfillState::Done)),
        (
            "failed",
            count(|state| matches!(state, BackfillState::Failed(_))),
        ),
    ];
    let name = "burnwatch_backfill_selectors";
    let help = "Selectors whose history is fetched from elsewhere, by how that goes.";
    write_family(text, name, "gauge", help);
    for (state, n) in states {
        write_sample(text, name, &[("state", state)], n);
    }
}

/// Writes how far each shard's engine is behind its log, by the wall clock `now`.
pub fn write_log_metrics(text: &mut String, shards: &[Waiting], now: TimestampMs) {
    type OfLog = fn(&Waiting, TimestampMs) -> f64;
    let gauges: [(&str, &str, OfLog); 2] = [
        (
            "burnwatch_log_waiting_samples",
            "Samples in the shard's log that its engine has not applied, by the memory they take; \
             at the limit log_samples requests are answered 503.",
            |waiting, _| waiting.samples as f64,
        ),
        (
            "burnwatch_log_lag_seconds",
            "How long the oldest entry in the shard's log has been waiting for its engine.",
            |waiting, now| {
                waiting
                    .since
                    .map_or(0.0, |since| (now - since).seconds().max(0.0))
            },
        ),
    ];
    for (name, help, value) in gauges {
        let values = shards.iter().map(|shard| value(shard, now));
        write_of_shards(text, (name, help), values);
    }
}

/// Writes what the files of the logs are like, all shards together.
pub fn write_log_file_metrics(
    text: &mut String,
    counts: &FileLogCounts,
    is_writable: bool,
    replay: &Replayed,
) {
    let counters = [
        (
            "burnwatch_log_entries_written",
            "Entries written to the log.",
            counts.entries,
        ),
        (
            "burnwatch_log_groups_written",
            "Groups of entries written to the log, each with one write for each shard concerned.",
            counts.groups,
        ),
        (
            "burnwatch_log_write_failures",
            "Times that the log could not be written; meanwhile requests are answered 503.",
            counts.write_failures,
        ),
        (
            "burnwatch_log_syncs",
            "Times that the log was forced to disk.",
            counts.syncs,
        ),
        (
            "burnwatch_log_sync_failures",
            "Times that the log could not be forced to disk.",
            counts.sync_failures,
        ),
        (
            "burnwatch_log_torn_bytes",
            "Bytes cut off the end of the log at the start, because a crash had left them torn.",
            counts.torn_bytes,
        ),
        (
            "burnwatch_log_torn_entries",
            "Entries cut off with them, as far as they could be counted.",
            counts.torn_entries,
        ),
    ];
    write_counters(
        text,
        &counters.map(|(name, help, value)| (name, help, value as f64)),
    );
    let gauges = [
        (
            "burnwatch_log_segments",
            "Files of the log.",
            counts.segments as f64,
        ),
        (
            "burnwatch_log_bytes",
            "Bytes in these files.",
            counts.bytes as f64,
        ),
        (
            "burnwatch_log_writable",
            "Whether the log can be written; where not, requests are answered 503.",
            f64::from(u8::from(is_writable)),
        ),
        (
            "burnwatch_log_replay_entries",
            "Entries of earlier runs that were in the log at the start.",
            replay.of as f64,
        ),
        (
            "burnwatch_log_replay_entries_applied",
            "Entries of earlier runs that have been applied since the start.",
            replay.applied as f64,
        ),
    ];
    write_gauges(text, &gauges);
}

/// A limit of the configuration by its name there: how much of it is used, and how much there is.
pub type LimitUse = (&'static str, usize, usize);

/// Writes how near the limits are: alerts can say so before anything is refused.
pub fn write_limit_metrics(text: &mut String, limits: &[LimitUse]) {
    type OfLimit = fn(&LimitUse) -> usize;
    let gauges: [(&str, &str, OfLimit); 2] = [
        (
            "burnwatch_limit_used",
            "How much of a limit of the configuration is used now.",
            |(_, used, _)| *used,
        ),
        (
            "burnwatch_limit_max",
            "The limit itself, under its name in the configuration.",
            |(.., max)| *max,
        ),
    ];
    for (name, help, value) in gauges {
        write_family(text, name, "gauge", help);
        for limit in limits {
            write_sample(text, name, &[("limit", limit.0)], value(limit) as f64);
        }
    }
}

/// A metric's name, what it means, and its value.
type Metric = (&'static str, &'static str, f64);

fn write_counters(text: &mut String, counters: &[Metric]) {
    for (name, help, value) in counters {
        write_family(text, name, "counter", help);
        write_sample(text, &format!("{name}_total"), &[], *value);
    }
}

fn write_gauges(text: &mut String, gauges: &[Metric]) {
    for (name, help, value) in gauges {
        write_family(text, name, "gauge", help);
        write_sample(text, name, &[], *value);
    }
}

/// Writes one gauge of every shard.
fn write_of_shards(
    text: &mut String,
    (name, help): (&str, &str),
    values: impl Iterator<Item = f64>,
) {
    write_family(text, name, "gauge", help);
    for (number, value) in values.enumerate() {
        write_sample(text, name, &[("shard", &number.to_string())], value);
    }
}

/// Writes what has become of checkpoints, all shards together.
pub fn write_checkpoint_metrics(text: &mut String, counts: &CheckpointCounts) {
    let of = |count: &AtomicU64| count.load(Ordering::Relaxed) as f64;
    let counters = [
        (
            "burnwatch_checkpoints_written",
            "Checkpoints written, one for each shard and time.",
            of(&counts.written),
        ),
        (
            "burnwatch_checkpoint_failures",
            "Checkpoints that were begun and could not be written.",
            of(&counts.failed),
        ),
    ];
    write_counters(text, &counters);
    let gauges = [
        (
            "burnwatch_checkpoint_restored",
            "Shards that began with a checkpoint.",
            of(&counts.restored),
        ),
        (
            "burnwatch_checkpoint_unusable",
            "Checkpoints that were found at the start and were of no use.",
            of(&counts.unusable),
        ),
        (
            "burnwatch_checkpoint_last_timestamp_seconds",
            "When the last checkpoint that was written was begun; 0: none was since the start.",
            counts.last_wall.load(Ordering::Relaxed) as f64 / 1e3,
        ),
        (
            "burnwatch_checkpoint_last_duration_seconds",
            "How long it took, while everything went on.",
            of(&counts.last_micros) / 1e6,
        ),
        (
            "burnwatch_checkpoint_last_pause_seconds",
            "For how long its engine stood still when it was begun.",
            of(&counts.last_pause_micros) / 1e6,
        ),
        (
            "burnwatch_checkpoint_last_bytes",
            "How large it is.",
            of(&counts.last_bytes),
        ),
    ];
    write_gauges(text, &gauges);
}
