//! The configuration: Prometheus' own file, and our settings in it or beside it.
//!
//! [`load`] is pure over the files' texts; [`read`] reads the files. Everything Prometheus
//! documents is accepted; what an evaluator has no use for (scraping, storage, tracing …) is
//! accepted whole and listed in [`Config::ignored`]. Our own settings stand under the key
//! `burnwatch`, which Prometheus refuses, or in a file of their own with the same content at
//! top level, so that Prometheus can go on reading the first file.

mod access;
mod alerting;
mod backfill;
mod context;
mod discovery;
mod fields;
mod global;
mod ha;
mod http_client;
mod limits;
mod oauth2;
mod remote_write;
mod scraping;
mod secret;
mod sections;
mod serialize;
mod settings;
mod steps;
mod value;
mod web;
mod webhook;

use std::path::{Path, PathBuf};

use serde::Serialize;

pub use access::{Access, AccessToken, OpenPath, Role, UserRoles};
pub use alerting::{Alerting, AlertmanagerConfig, Scheme};
pub use backfill::BackfillConfig;
pub use context::ContextConfig;
pub use discovery::{
    Discovery, DnsRecordType, DnsSdConfig, FileSdConfig, HttpSdConfig, TargetGroup,
    read_target_groups,
};
pub use global::Global;
pub use ha::HaConfig;
pub use http_client::{Auth, HeaderValues, HttpClientConfig, TlsConfig, TlsVersion};
pub use limits::{LIMITS, Limit, LimitKind, Limits, PerSenderLimits};
pub use oauth2::OAuth2Config;
pub use remote_write::{ProtobufMessage, QueueConfig, RemoteWriteConfig};
pub use scraping::{ScrapeJob, Scraping};
pub use secret::{Secret, SecretSource};
pub use serialize::redacted;
pub use settings::{
    Evaluation, EvaluationMode, Fsync, GroupEvaluation, LogContent, LogStorage, Settings,
};
pub use web::{
    CIPHER_SUITES, CURVES, ClientAuth, HttpServerConfig, RateLimit, TlsServerConfig, WebConfig,
    load_web,
};
pub use webhook::WebhookConfig;

use fields::Fields;
use settings::SettingsReader;

use crate::model::Labels;
use crate::yaml::Place;

/// A whole configuration.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Config {
    /// `global:`
    pub global: Global,
    /// `rule_files:`, relative ones joined to the file's directory; patterns not expanded.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub rule_files: Vec<PathBuf>,
    /// `alerting:`
    pub alerting: Alerting,
    /// Our own settings.
    pub burnwatch: Settings,
    /// Sections that were accepted and are not used, in the order of the file.
    #[serde(skip)]
    pub ignored: Vec<String>,
}

/// What is wrong with a configuration, where, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    /// The file's path; empty until known.
    pub file: String,
    /// 1-based; 0 where there is none.
    pub line: usize,
    /// 1-based; 0 where there is none.
    pub column: usize,
    /// What is wrong.
    pub message: String,
    /// What to do about it, where we know.
    pub remedy: Option<String>,
}

impl ConfigError {
    pub(crate) fn at(at: Place, message: impl Into<String>) -> Self {
        ConfigError {
            file: String::new(),
            line: at.line,
            column: at.column,
            message: message.into(),
            remedy: None,
        }
    }

    pub(crate) fn remedy(mut self, remedy: impl Into<String>) -> Self {
        self.remedy = Some(remedy.into());
        self
    }

    pub(crate) fn in_file(mut self, path: &Path) -> Self {
        self.file = path.display().to_string();
        self
    }
}

impl std::fmt::Display for ConfigError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.file)?;
        if self.line > 0 {
            write!(f, ":{}:{}", self.line, self.column)?;
        }
        write!(f, ": {}", self.message)?;
        match &self.remedy {
            Some(remedy) => write!(f, " ({remedy})"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for ConfigError {}

/// A file's path and text.
#[derive(Clone, Copy, Debug)]
pub struct Source<'a> {
    /// The path; relative paths in the text are relative to its directory.
    pub path: &'a Path,
    /// The text.
    pub text: &'a str,
}

impl Source<'_> {
    fn base_dir(&self) -> &Path {
        self.path.parent().unwrap_or(Path::new(""))
    }
}

/// What Prometheus documents at top level and an evaluator has no use for. Remote write is
/// among them: what Prometheus sends elsewhere is not what we send; see `write_back`.
const IGNORED: [&str; 8] = [
    "scrape_configs",
    "scrape_config_files",
    "remote_write",
    "remote_read",
    "storage",
    "tracing",
    "otlp",
    "runtime",
];

/// Builds a configuration from texts. `own` is the file of `--burnwatch.config.file`; `env`
/// looks up an environment variable for `external_labels`.
pub fn load(
    prometheus: Source<'_>,
    own: Option<Source<'_>>,
    env: &dyn Fn(&str) -> Option<String>,
) -> Result<Config, ConfigError> {
    let (mut config, mut reader) =
        load_prometheus(prometheus, env).map_err(|e| e.in_file(prometheus.path))?;
    if let Some(own) = own {
        if let Some(at) = reader.own_at {
            return Err(ConfigError::at(
                at,
                format!("burnwatch: is also set in {}", own.path.display()),
            )
            .remedy("keep one of the two")
            .in_file(prometheus.path));
        }
        reader = load_own(own, reader).map_err(|e| e.in_file(own.path))?;
    }
    config.burnwatch = reader.settings;
    Ok(config)
}

fn load_prometheus(
    source: Source<'_>,
    env: &dyn Fn(&str) -> Option<String>,
) -> Result<(Config, SettingsReader), ConfigError> {
    let base_dir = source.base_dir();
    let root = value::parse(source.text)?;
    let mut fields = Fields::open(&root, "")?;
    let global = global::read(fields.node("global"), env)?;
    let rule_files = fields.list("rule_files", |node, what| {
        let pattern = value::text(node, what)?;
        check_rule_path(pattern)
            .then(|| base_dir.join(pattern))
            .ok_or_else(|| {
                ConfigError::at(node.place, format!("invalid rule file path {pattern:?}"))
                    .remedy("* may stand in the last part of the path only")
            })
    })?;
    let alerting = match fields.node("alerting") {
        Some(node) => alerting::read(node, base_dir, global.metric_name_validation_scheme)?,
        None => Alerting::default(),
    };
    let mut reader = SettingsReader {
        names: global.metric_name_validation_scheme,
        ..SettingsReader::default()
    };
    if let Some(storage) = fields.node("storage") {
        reader.settings.out_of_order_time_window = settings::out_of_order_of_storage(storage)?;
    }
    if let Some(node) = fields.node("burnwatch") {
        reader.own_at = Some(node.place);
        reader.read(node, "burnwatch", base_dir)?;
    }
    let ignored = IGNORED.iter().filter(|key| fields.has(key));
    let mut config = Config {
        ignored: ignored.map(|key| (*key).to_owned()).collect(),
        rule_files,
        alerting,
        ..Config::default()
    };
    config.global = global;
    fields.finish_except(&IGNORED)?;
    Ok((config, reader))
}

fn load_own(source: Source<'_>, mut reader: SettingsReader) -> Result<SettingsReader, ConfigError> {
    let root = value::parse(source.text)?;
    reader.read(&root, "", source.base_dir())?;
    Ok(reader)
}

/// Tells whether a path matches `^[^*]*(\*[^/]*)?$`, as Prometheus demands.
fn check_rule_path(pattern: &str) -> bool {
    match pattern.split_once('*') {
        Some((_, tail)) => !tail.contains('/'),
        None => true,
    }
}

/// Reads the files and builds the configuration from them and the environment.
pub fn read(path: &Path, own_path: Option<&Path>) -> Result<Config, ConfigError> {
    let text = read_text(path)?;
    let own_text = own_path.map(read_text).transpose()?;
    let own = own_path
        .zip(own_text.as_deref())
        .map(|(path, text)| Source { path, text });
    let source = Source { path, text: &text };
    load(source, own, &|name| std::env::var(name).ok())
}

/// Reads our own settings alone, for serving without a file of Prometheus'.
pub fn read_own(path: &Path) -> Result<Config, ConfigError> {
    let text = read_text(path)?;
    let source = Source { path, text: &text };
    let reader = load_own(source, SettingsReader::default()).map_err(|e| e.in_file(path))?;
    Ok(Config {
        burnwatch: reader.settings,
        ..Config::default()
    })
}

fn read_text(path: &Path) -> Result<String, ConfigError> {
    std::fs::read_to_string(path).map_err(|e| {
        let message = format!("cannot be read: {e}");
        ConfigError::at(Place::default(), message).in_file(path)
    })
}

impl Config {
    /// Returns the labels that alerts get where they lack them: the external labels but the
    /// replica's, since replicas must send the same alerts.
    pub fn alert_labels(&self) -> Labels {
        let labels = self.global.external_labels.clone();
        match &self.burnwatch.ha {
            Some(ha) => labels.filter(|name| name != ha.replica_label),
            None => labels,
        }
    }

    /// Expands `rule_files` to the files that exist now, each once, in the order of the patterns.
    pub fn rule_paths(&self) -> Result<Vec<PathBuf>, ConfigError> {
        expand_patterns(&self.rule_files)
    }

    /// Expands `baseline_files` likewise; a pattern without a match is an error, since rules would
    /// compare with nothing.
    pub fn baseline_paths(&self) -> Result<Vec<PathBuf>, ConfigError> {
        for pattern in &self.burnwatch.baseline_files {
            if expand_patterns(std::slice::from_ref(pattern))?.is_empty() {
                let error = ConfigError::at(Place::default(), "no baseline file is found here");
                return Err(error
                    .remedy("capture one with `burnwatch baseline capture`")
                    .in_file(pattern));
            }
        }
        expand_patterns(&self.burnwatch.baseline_files)
    }

    /// Returns the patterns of `rule_files` that no file matches now.
    pub fn rule_files_without_match(&self) -> Result<Vec<&Path>, ConfigError> {
        let mut without = Vec::new();
        for pattern in &self.rule_files {
            if expand_patterns(std::slice::from_ref(pattern))?.is_empty() {
                without.push(pattern.as_path());
            }
        }
        Ok(without)
    }

    /// Prints the configuration with its defaults filled in and secrets as `<secret>`.
    pub fn to_yaml_redacted(&self) -> String {
        serde_saphyr::to_string(self)
            .unwrap_or_else(|e| format!("<error creating config string: {e}>"))
    }
}

/// Expands path patterns to the files that exist now, each once; a pattern without a match
/// gives nothing, as in Prometheus.
pub fn expand_patterns(patterns: &[PathBuf]) -> Result<Vec<PathBuf>, ConfigError> {
    let mut paths: Vec<PathBuf> = Vec::new();
    for pattern in patterns {
        let refuse = |message: String| ConfigError::at(Place::default(), message).in_file(pattern);
        let found = glob::glob(&translated(&pattern.to_string_lossy()))
            .map_err(|e| refuse(format!("is not a pattern: {e}")))?;
        for path in found {
            let path = path.map_err(|e| refuse(e.to_string()))?;
            if !paths.contains(&path) {
                paths.push(path);
            }
        }
    }
    Ok(paths)
}

/// Translates a pattern of Go's `filepath.Glob`, where `**` means no more than `*`, a class is
/// negated by `^` and a backslash takes a sign's meaning away.
fn translated(pattern: &str) -> String {
    let mut out = String::with_capacity(pattern.len());
    let mut chars = pattern.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '*' if out.ends_with('*') => {}
            '[' if chars.next_if_eq(&'^').is_some() => out.push_str("[!"),
            '\\' => match chars.next() {
                Some(sign @ ('*' | '?' | '[' | ']')) => out.push_str(&format!("[{sign}]")),
                sign => out.extend(sign),
            },
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn env(name: &str) -> Option<String> {
        (name == "CLUSTER").then(|| "eu".to_owned())
    }

    fn load_text(text: &str) -> Result<Config, ConfigError> {
        let path = Path::new("prometheus.yml");
        load(Source { path, text }, None, &env)
    }

    /// Catches a documented key that is refused, a wrong default, and a secret that is printed.
    #[test]
    fn every_documented_key_is_read_and_printed_without_secrets() {
        let text = include_str!("../../tests/data/config/full.yml");
        let path = Path::new("/etc/burnwatch/prometheus.yml");
        let config = load(Source { path, text }, None, &env).expect("documented keys");
        let golden = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/tests/data/config/full.printed.yml"
        );
        let printed = config.to_yaml_redacted();
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            std::fs::write(golden, &printed).expect("golden file");
        }
        let expected = std::fs::read_to_string(golden).expect("golden file");
        assert_eq!(printed, expected);
        let ignored = "scrape_configs scrape_config_files remote_write remote_read storage \
                       tracing otlp runtime";
        assert_eq!(config.ignored.join(" "), ignored);
        for secret in ["0123", "token]", "user:pw", "abc", "bearer-of-agent"] {
            assert!(!printed.contains(secret), "{secret} is printed");
        }
    }

    #[test]
    fn errors_say_where_and_what_to_do() {
        let cases = include_str!("../../tests/data/config/errors.txt");
        for case in cases.split("\n---\n") {
            let (text, expected) = case.split_once("\n=> ").expect("a case has an error");
            let text = match text.split_once('\n') {
                Some((first, rest)) if first.starts_with('#') => rest,
                _ => text,
            };
            match load_text(&format!("{text}\n")) {
                Ok(_) => panic!("accepted:\n{text}"),
                Err(error) => assert_eq!(error.to_string(), expected.trim_end(), "{text}"),
            }
        }
    }

    #[test]
    fn nothing_written_gives_the_defaults() {
        for text in ["", "global:\nalerting:\nburnwatch:\n", "---\n"] {
            assert_eq!(load_text(text), Ok(Config::default()), "{text:?}");
        }
    }

    #[test]
    fn own_settings_may_stand_in_a_file_of_their_own_but_not_in_both() {
        let path = Path::new("prometheus.yml");
        let own = Source {
            path: Path::new("burnwatch.yml"),
            text: "log: all\n",
        };
        let both = |text| load(Source { path, text }, Some(own), &env);
        let config = both("storage: {tsdb: {out_of_order_time_window: 5m}}\n").expect("valid");
        assert_eq!(config.burnwatch.log, LogContent::All);
        let window = config.burnwatch.out_of_order_time_window;
        assert_eq!(window, crate::model::DurationMs::from_seconds(300));
        let error = both("burnwatch:\n  log: read\n").expect_err("in both");
        assert_eq!(
            error.to_string(),
            "prometheus.yml:2:3: burnwatch: is also set in burnwatch.yml (keep one of the two)"
        );
    }

    #[test]
    fn an_exception_is_for_all_groups_unless_it_names_some() {
        let text = "burnwatch: {evaluation: {groups: [{file: 'slow*.yml', mode: tick}]}}";
        let evaluation = load_text(text).expect("valid").burnwatch.evaluation;
        let entry = &evaluation.groups[0];
        assert_eq!(
            (entry.file.as_str(), entry.group.as_str()),
            ("slow*.yml", "*")
        );
        assert_eq!(entry.mode, EvaluationMode::Tick);
    }

    #[test]
    fn rule_patterns_expand_to_files_that_exist_each_once() {
        let dir = tempfile::tempdir().expect("temporary directory");
        for name in ["b.yml", "a.yml", "c.txt"] {
            std::fs::write(dir.path().join(name), "").expect("file");
        }
        let patterns = ["*.yml", "a.yml", "none.yml", "**.txt"];
        let config = Config {
            rule_files: patterns.iter().map(|name| dir.path().join(name)).collect(),
            ..Config::default()
        };
        let paths = config.rule_paths().expect("patterns");
        let names: Vec<_> = paths.iter().filter_map(|path| path.file_name()).collect();
        assert_eq!(names, ["a.yml", "b.yml", "c.txt"]);
    }

    #[test]
    fn patterns_mean_what_they_mean_in_go() {
        let check = |pattern: &str, expected: &str| assert_eq!(translated(pattern), expected);
        check("/etc/rules/*.yml", "/etc/rules/*.yml");
        check("**.yml", "*.yml");
        check("[^a-c]?.yml", "[!a-c]?.yml");
        check(r"\*\a.yml", "[*]a.yml");
        check(r"a\", "a");
    }
}
