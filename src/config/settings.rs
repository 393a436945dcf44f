//! Our own settings: the key `burnwatch`, or a file of its own with the same content.

use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::config::fields::Fields;
use crate::config::value;
use crate::config::{
    Access, BackfillConfig, ConfigError, ContextConfig, HaConfig, Limits, RemoteWriteConfig,
    WebhookConfig, access, backfill, context, ha, limits, remote_write, serialize, webhook,
};
use crate::model::{DurationMs, NameValidation};
use crate::yaml::{Node, NodeKind, Place};

/// Our own settings.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Settings {
    /// Files of baselines, relative ones joined to the file's directory; patterns not expanded.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub baseline_files: Vec<PathBuf>,
    /// Selectors of series to keep although no rule reads them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub watch: Vec<String>,
    /// How long samples are kept at least; 0 = as long as the longest window that reads them.
    #[serde(serialize_with = "serialize::duration")]
    pub retention: DurationMs,
    /// When rules are evaluated.
    pub evaluation: Evaluation,
    /// How long nothing may come before the clock goes on without samples.
    #[serde(serialize_with = "serialize::duration")]
    pub idle_timeout: DurationMs,
    /// The same where the clock is already behind, or nothing has come since the start.
    #[serde(serialize_with = "serialize::duration")]
    pub backlog_timeout: DurationMs,
    /// How long evaluation waits for the rest of a scrape, in event time.
    #[serde(serialize_with = "serialize::duration")]
    pub scrape_settle: DurationMs,
    /// How far behind its series' newest sample a sample may be.
    #[serde(serialize_with = "serialize::duration")]
    pub out_of_order_time_window: DurationMs,
    /// Which samples the log keeps.
    pub log: LogContent,
    /// Where the log lies.
    pub log_storage: LogStorage,
    /// How long the log keeps what no engine needs any more.
    #[serde(serialize_with = "serialize::duration")]
    pub log_retention: DurationMs,
    /// When the log is forced to disk.
    pub fsync: Fsync,
    /// How often what has been made of the log is written down, so that a start need not read all
    /// of it; 0: only when the server is stopped.
    #[serde(serialize_with = "serialize::duration")]
    pub checkpoint_interval: DurationMs,
    /// Receivers without an Alertmanager in between.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub webhooks: Vec<WebhookConfig>,
    /// Where recorded series and `ALERTS` are written.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub write_back: Vec<RemoteWriteConfig>,
    /// Who may do what.
    #[serde(skip_serializing_if = "Access::is_empty")]
    pub access: Access,
    /// Who is asked for history that is not here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backfill: Option<BackfillConfig>,
    /// How replicas that send the same are told apart; without it all samples are taken alike.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ha: Option<HaConfig>,
    /// What alerts say about their surroundings.
    pub context: ContextConfig,
    /// Bounds.
    pub limits: Limits,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            baseline_files: Vec::new(),
            watch: Vec::new(),
            retention: DurationMs::ZERO,
            evaluation: Evaluation::default(),
            idle_timeout: DurationMs::from_seconds(60),
            backlog_timeout: DurationMs::from_seconds(300),
            scrape_settle: DurationMs::from_seconds(5),
            out_of_order_time_window: DurationMs::ZERO,
            log: LogContent::Read,
            log_storage: LogStorage::File,
            log_retention: DurationMs::ZERO,
            fsync: Fsync::Interval,
            checkpoint_interval: DurationMs::from_seconds(300),
            webhooks: Vec::new(),
            write_back: Vec::new(),
            access: Access::default(),
            backfill: None,
            ha: None,
            context: ContextConfig::default(),
            limits: Limits::default(),
        }
    }
}

/// When rules are evaluated: a default and exceptions, of which the first that fits counts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Evaluation {
    /// The mode of groups that no exception fits.
    pub default: EvaluationMode,
    /// Exceptions.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<GroupEvaluation>,
}

/// Whether rules are evaluated between ticks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum EvaluationMode {
    /// As soon as data arrives, and at ticks.
    #[default]
    Arrival,
    /// At ticks only, exactly as Prometheus.
    Tick,
}

/// An exception for some groups.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct GroupEvaluation {
    /// A glob over the file's path; a relative one fits any path that ends in it.
    pub file: String,
    /// A glob over the group's name.
    pub group: String,
    /// The mode of groups that both fit.
    pub mode: EvaluationMode,
}

/// Which samples the log keeps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum LogContent {
    /// Those that rules read.
    #[default]
    Read,
    /// All, so that rules added later find their history.
    All,
}

/// Where the log lies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum LogStorage {
    /// In files of the data directory.
    #[default]
    File,
    /// In memory: a restart begins anew.
    Memory,
}

/// When the log is forced to disk. Whatever is chosen, a killed process loses nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Fsync {
    /// Before a request is answered.
    Always,
    /// Every second: at most that is lost when the power goes.
    #[default]
    Interval,
    /// When the system pleases.
    Never,
}

const MODES: [(&str, EvaluationMode); 2] = [
    ("arrival", EvaluationMode::Arrival),
    ("tick", EvaluationMode::Tick),
];

/// Settings as they are being read from one of the two places.
#[derive(Default)]
pub(crate) struct SettingsReader {
    pub settings: Settings,
    pub names: NameValidation,
    /// Where `burnwatch:` stands in Prometheus' file.
    pub own_at: Option<Place>,
}

impl SettingsReader {
    /// Reads the settings from a node named `place` (empty for a file of their own).
    pub fn read(&mut self, node: &Node, place: &str, base_dir: &Path) -> Result<(), ConfigError> {
        let mut fields = Fields::open(node, place)?;
        let names = self.names;
        let settings = &mut self.settings;
        let baselines = fields.texts("baseline_files")?;
        settings.baseline_files = baselines.iter().map(|path| base_dir.join(path)).collect();
        settings.watch = fields.texts("watch")?;
        if let Some(evaluation) = fields.read("evaluation", read_evaluation)? {
            settings.evaluation = evaluation;
        }
        let mut duration = |key, slot: &mut DurationMs| -> Result<(), ConfigError> {
            *slot = fields.duration(key)?.unwrap_or(*slot);
            Ok(())
        };
        duration("retention", &mut settings.retention)?;
        duration("checkpoint_interval", &mut settings.checkpoint_interval)?;
        duration("log_retention", &mut settings.log_retention)?;
        duration("scrape_settle", &mut settings.scrape_settle)?;
        duration(
            "out_of_order_time_window",
            &mut settings.out_of_order_time_window,
        )?;
        for (key, slot) in [
            ("idle_timeout", &mut settings.idle_timeout),
            ("backlog_timeout", &mut settings.backlog_timeout),
        ] {
            *slot = fields.positive_duration(key)?.unwrap_or(*slot);
        }
        let contents = [("read", LogContent::Read), ("all", LogContent::All)];
        settings.log = fields.word("log", &contents)?.unwrap_or_default();
        let storages = [("file", LogStorage::File), ("memory", LogStorage::Memory)];
        settings.log_storage = fields.word("log_storage", &storages)?.unwrap_or_default();
        let policies = [
            ("always", Fsync::Always),
            ("interval", Fsync::Interval),
            ("never", Fsync::Never),
        ];
        settings.fsync = fields.word("fsync", &policies)?.unwrap_or_default();
        settings.webhooks =
            fields.list("webhooks", |node, what| webhook::read(node, what, base_dir))?;
        settings.write_back = fields.list("write_back", |node, what| {
            remote_write::read(node, what, base_dir, names)
        })?;
        settings.access = fields
            .read("access", |node, what| access::read(node, what, base_dir))?
            .unwrap_or_default();
        settings.backfill = fields.read("backfill", |node, what| {
            backfill::read(node, what, base_dir)
        })?;
        settings.ha = fields.read("ha", ha::read)?;
        if let Some(context) = fields.read("context", context::read)? {
            settings.context = context;
        }
        if let Some(limits) = fields.read("limits", limits::read)? {
            settings.limits = limits;
        }
        fields.finish()
    }
}

fn read_evaluation(node: &Node, what: &str) -> Result<Evaluation, ConfigError> {
    if matches!(node.kind, NodeKind::Scalar { .. }) {
        return Ok(Evaluation {
            default: value::word(node, what, &MODES)?,
            groups: Vec::new(),
        });
    }
    let mut fields = Fields::open(node, what)?;
    let evaluation = Evaluation {
        default: fields.word("default", &MODES)?.unwrap_or_default(),
        groups: fields.list("groups", |node, what| {
            let mut fields = Fields::open(node, what)?;
            let any = || "*".to_owned();
            let entry = GroupEvaluation {
                file: fields.nonempty("file")?.unwrap_or_else(any),
                group: fields.nonempty("group")?.unwrap_or_else(any),
                mode: fields.word("mode", &MODES)?.ok_or_else(|| {
                    ConfigError::at(node.place, format!("{what}: mode is missing"))
                        .remedy("write arrival or tick")
                })?,
            };
            for pattern in [&entry.file, &entry.group] {
                if let Err(e) = glob::Pattern::new(pattern) {
                    return Err(ConfigError::at(
                        node.place,
                        format!("{what}: {pattern:?} is not a pattern: {e}"),
                    ));
                }
            }
            fields.finish()?;
            Ok(entry)
        })?,
    };
    fields.finish()?;
    Ok(evaluation)
}

/// Returns `storage.tsdb.out_of_order_time_window`, which counts unless ours is written.
pub(crate) fn out_of_order_of_storage(storage: &Node) -> Result<DurationMs, ConfigError> {
    let mut fields = Fields::open(storage, "storage")?;
    let window = fields.read("tsdb", |node, what| {
        Fields::open(node, what)?.duration("out_of_order_time_window")
    })?;
    Ok(window.flatten().unwrap_or(DurationMs::ZERO))
}
