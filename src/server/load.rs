//! Configuration and rules, read and checked whole before anything changes.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use tracing::{info, warn};

use crate::api::QuerySettings;
use crate::bundled;
use crate::config::{self, Config, LogContent};
use crate::engine::{CompiledRules, RuleError, compile, is_baseline};
use crate::ingest::{self, NodeSettings};
use crate::model::{
    ContextSettings, DurationMs, EngineSettings, EvaluationMode, ModeOverride, RuleFormat,
    RuleSource,
};
use crate::notify::NotifyConfig;
use crate::server::Options;
use crate::web::Bounds;

/// A configuration with its rules, compiled: ready to be adopted.
pub struct Loaded {
    /// The configuration.
    pub config: Config,
    /// The rules' text and the engine's settings.
    pub source: Arc<RuleSource>,
    /// The rules, compiled, to know what they read.
    pub rules: CompiledRules,
}

/// Reads and checks everything; an error names the file, the place and the remedy, and nothing
/// has changed.
pub fn load(options: &Options, external_url: &str) -> anyhow::Result<Loaded> {
    let (config, files) = match &options.config_path {
        Some(path) => {
            let config = config::read(path, options.own_config_path.as_deref())?;
            if !config.ignored.is_empty() {
                info!(
                    sections = config.ignored.join(", "),
                    "sections without use here are ignored"
                );
            }
            let paths = config.rule_paths()?;
            for pattern in config.rule_files_without_match()? {
                warn!(pattern = %pattern.display(), "no rule file is found here");
            }
            if paths.is_empty() {
                warn!(config = %path.display(), "no rule file is named or found; nothing is evaluated");
            }
            let files = paths.iter().map(|path| read_rule_file(path));
            let files = files.collect::<anyhow::Result<Vec<_>>>()?;
            (config, files)
        }
        None => {
            info!("no --config.file: serving the bundled rules (burnwatch rules export DIR)");
            let own = options.own_config_path.as_deref();
            let config = own.map_or(Ok(Config::default()), config::read_own)?;
            let file = |(name, text): &(&str, &str)| (format!("rules/{name}"), (*text).to_owned());
            (config, bundled::RULES.iter().map(file).collect())
        }
    };
    let mut files = files;
    for path in config.baseline_paths()? {
        let (path, text) = read_rule_file(&path)?;
        if !is_baseline(&text) {
            bail!("{path}: is no baseline: its first key must be `baseline:`");
        }
        files.push((path, text));
    }
    let settings = engine_settings(&config, options, external_url);
    let source = Arc::new(RuleSource { files, settings });
    let rules = compile(&source).map_err(|errors| anyhow::anyhow!(RuleError::lines(&errors)))?;
    for note in &rules.notes {
        warn!(%note, "a rule file is taken with a note");
    }
    info!(
        groups = rules.groups.len(),
        rules = rules.rules.len(),
        "rules are valid"
    );
    Ok(Loaded {
        config,
        source,
        rules,
    })
}

fn read_rule_file(path: &Path) -> anyhow::Result<(String, String)> {
    let bytes = std::fs::read(path)
        .with_context(|| format!("cannot read the rule file {}", path.display()))?;
    let Ok(text) = String::from_utf8(bytes) else {
        bail!("the rule file {} is not UTF-8 text", path.display());
    };
    Ok((path.display().to_string(), text))
}

fn engine_settings(config: &Config, options: &Options, external_url: &str) -> EngineSettings {
    let own = &config.burnwatch;
    let mode = |mode: config::EvaluationMode| match mode {
        config::EvaluationMode::Arrival => EvaluationMode::Arrival,
        config::EvaluationMode::Tick => EvaluationMode::Tick,
    };
    let defaults = EngineSettings::default();
    EngineSettings {
        evaluation_interval: config.global.evaluation_interval,
        query_offset: config.global.rule_query_offset,
        external_labels: config.alert_labels(),
        external_url: external_url.to_owned(),
        mode: mode(own.evaluation.default),
        mode_overrides: own
            .evaluation
            .groups
            .iter()
            .map(|group| ModeOverride {
                file: group.file.clone(),
                group: group.group.clone(),
                mode: mode(group.mode),
            })
            .collect(),
        watch: own.watch.clone(),
        retention: own.retention,
        scrape_settle: own.scrape_settle,
        idle_timeout: own.idle_timeout,
        out_of_order_window: own.out_of_order_time_window,
        resend_delay: options.resend_delay,
        ticks_per_leap_max: own.limits.missed_ticks,
        samples_max: options
            .query
            .max_samples
            .unwrap_or(own.limits.query_samples),
        subquery_steps_max: own.limits.subquery_points,
        group_work_max: own.limits.group_work,
        elements_max: own.limits.rule_elements,
        features: options.features.clone(),
        rule_format: RuleFormat {
            dialect: options.rules_dialect,
            names: config.global.metric_name_validation_scheme,
            ignore_unknown_fields: false,
        },
        ticks_when_settled: true,
        context: ContextSettings {
            default: own.context.default,
            info: own.context.info.clone(),
            links: own.context.links.clone(),
            changes_max: own.limits.changes,
            changes_age: own.limits.changes_age,
            alerts_max: own.limits.context_alerts,
            samples_max: own.limits.context_samples,
            recent_max: own.limits.recent_alerts,
        },
        ..defaults
    }
}

/// What the server takes up when it starts, and a reload leaves alone.
#[derive(Clone, Debug, PartialEq)]
pub struct StartSettings {
    node: NodeSettings,
    query: QuerySettings,
    bounds: Bounds,
    checkpoint_interval: DurationMs,
}

impl StartSettings {
    /// Returns how often checkpoints are written.
    pub fn checkpoint_interval(&self) -> Duration {
        self.checkpoint_interval.to_std()
    }

    /// Names the settings that are other ones in a later configuration.
    pub fn changed_in(&self, later: &StartSettings) -> Vec<&'static str> {
        let (node, query) = (&self.node, &self.query);
        let limits = node.limits != later.node.limits
            || query.samples_max != later.query.samples_max
            || query.subquery_steps_max != later.query.subquery_steps_max
            || query.timeout != later.query.timeout
            || query.concurrency_max != later.query.concurrency_max
            || self.bounds != later.bounds;
        let window = node.out_of_order_time_window != later.node.out_of_order_time_window;
        let changed = [
            ("limits", limits),
            ("idle_timeout", node.idle_timeout != later.node.idle_timeout),
            (
                "backlog_timeout",
                node.backlog_timeout != later.node.backlog_timeout,
            ),
            ("out_of_order_time_window", window),
            ("ha", node.replicas != later.node.replicas),
            (
                "checkpoint_interval",
                self.checkpoint_interval != later.checkpoint_interval,
            ),
            (
                "evaluation_interval (of queries)",
                query.default_step != later.query.default_step,
            ),
        ];
        changed
            .into_iter()
            .filter_map(|(name, changed)| changed.then_some(name))
            .collect()
    }
}

impl Loaded {
    /// Returns what only a start takes up.
    pub fn start_settings(&self, options: &Options) -> StartSettings {
        StartSettings {
            node: self.node_settings(),
            query: self.query_settings(options),
            bounds: self.bounds(),
            checkpoint_interval: self.config.burnwatch.checkpoint_interval,
        }
    }

    /// Returns how many connections there may be, and how long anything may take.
    pub fn bounds(&self) -> Bounds {
        let limits = &self.config.burnwatch.limits;
        Bounds {
            connections: limits.connections,
            per_peer: limits.connections_per_peer,
            head: limits.head_timeout.to_std(),
            body: limits.body_timeout.to_std(),
            keep_alive: limits.keep_alive.to_std(),
            stall: limits.answer_stall.to_std(),
        }
    }

    /// Returns what the node is set to.
    pub fn node_settings(&self) -> NodeSettings {
        let own = &self.config.burnwatch;
        NodeSettings {
            limits: receiving(&own.limits),
            idle_timeout: own.idle_timeout,
            backlog_timeout: own.backlog_timeout,
            out_of_order_time_window: own.out_of_order_time_window,
            replicas: own.ha.as_ref().map(|ha| ingest::ReplicaSettings {
                cluster_label: ha.cluster_label.clone(),
                replica_label: ha.replica_label.clone(),
                failover_timeout: ha.failover_timeout,
                clusters_max: own.limits.ha_clusters,
            }),
        }
    }

    /// Returns how queries of the API are bounded.
    pub fn query_settings(&self, options: &Options) -> QuerySettings {
        let limits = &self.config.burnwatch.limits;
        let flags = &options.query;
        QuerySettings {
            default_step: self.config.global.evaluation_interval,
            samples_max: flags.max_samples.unwrap_or(limits.query_samples),
            subquery_steps_max: limits.subquery_points,
            concurrency_max: flags.max_concurrency.unwrap_or(limits.query_concurrency),
            timeout: flags.timeout.unwrap_or(limits.query_timeout).to_std(),
            features: self.rules.features,
            per_step_stats: options
                .features
                .iter()
                .any(|name| name == "promql-per-step-stats"),
            ..QuerySettings::default()
        }
    }

    /// Returns whom to notify.
    pub fn notify_config(&self, options: &Options, external_url: &str) -> NotifyConfig {
        NotifyConfig::new(&self.config, external_url, options.resend_delay)
    }

    /// Returns how long samples are kept, in words.
    pub fn retention(&self) -> String {
        match self.config.burnwatch.retention {
            DurationMs::ZERO => "as long as rules look back".to_owned(),
            retention => retention.to_string(),
        }
    }

    /// Tells whether series that nothing reads are kept.
    pub fn keeps_all(&self) -> bool {
        self.config.burnwatch.log == LogContent::All
    }
}

/// Seconds' worth of samples that a sender may save up where nothing is written.
const BURST_SECONDS: u64 = 10;

fn per_sender(limits: &config::PerSenderLimits) -> ingest::PerSender {
    let burst = match limits.burst {
        0 => limits.samples_per_second.saturating_mul(BURST_SECONDS),
        burst => burst,
    };
    ingest::PerSender {
        samples_per_second: limits.samples_per_second,
        burst,
        series: usize::try_from(limits.series).unwrap_or(usize::MAX),
        // What is no header's name was refused when the configuration was read.
        header: http::HeaderName::try_from(&limits.header).ok(),
    }
}

fn receiving(limits: &config::Limits) -> ingest::Limits {
    ingest::Limits {
        request_bytes: limits.request_bytes,
        request_decoded_bytes: limits.request_decoded_bytes,
        request_items: limits.request_items,
        labels_per_series: limits.labels_per_series,
        label_name_bytes: limits.label_name_bytes,
        label_value_bytes: limits.label_value_bytes,
        future: limits.future,
        series: limits.series,
        log_samples: limits.log_samples,
        metadata: limits.metadata,
        requests_in_flight: limits.requests_in_flight,
        in_flight_bytes: limits.in_flight_bytes,
        per_sender: per_sender(&limits.per_sender),
    }
}
