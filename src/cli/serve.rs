//! `burnwatch serve`: the server, until it is told to stop.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::Args;
use tokio::signal::unix::{SignalKind, signal};
use tracing::info;
use tracing::level_filters::LevelFilter;

use crate::api;
use crate::cli::DialectArgs;
use crate::clock::SystemClock;
use crate::model::DurationMs;
use crate::server::shards::{SHARDS_MAX, Share};
use crate::server::{Options, QueryFlags, Server};
use crate::telemetry::logging::{self, parse_level};

/// How to serve. Flags are Prometheus' where the thing is the same.
#[derive(Debug, Args)]
pub struct ServeArgs {
    /// Prometheus' configuration file as it is: rule_files and alerting are used, scraping is
    /// ignored. Without it the bundled rules are served.
    #[arg(long = "config.file", value_name = "FILE")]
    config_file: Option<PathBuf>,
    /// Our own settings, where Prometheus reads the first file too (it refuses the key
    /// `burnwatch:`). The same content as under that key.
    #[arg(long = "burnwatch.config.file", value_name = "FILE")]
    own_config_file: Option<PathBuf>,
    /// The data directory.
    #[arg(long = "storage.path", value_name = "DIR", default_value = "data")]
    storage_path: PathBuf,
    /// Where to listen.
    #[arg(
        long = "web.listen-address",
        value_name = "HOST:PORT",
        default_value = "127.0.0.1:9099"
    )]
    listen: String,
    /// The address under which people reach this server; alerts link to it.
    #[arg(long = "web.external-url", value_name = "URL")]
    external_url: Option<String>,
    /// TLS, users, headers and client certificates: the file that Prometheus takes under the same
    /// flag. It is looked at every second, with the files that it names.
    #[arg(long = "web.config.file", value_name = "FILE")]
    web_config_file: Option<PathBuf>,
    /// Allow POST /-/reload and /-/quit.
    #[arg(long = "web.enable-lifecycle")]
    lifecycle: bool,
    /// Prometheus' feature flags for PromQL, separated by commas: promql-experimental-functions,
    /// promql-duration-expr, promql-extended-range-selectors, promql-binop-fill-modifiers,
    /// promql-per-step-stats.
    #[arg(long = "enable-feature", value_name = "NAME", value_delimiter = ',')]
    features: Vec<String>,
    #[command(flatten)]
    dialect: DialectArgs,
    /// How many shards evaluate, each a thread with its own share of the rule groups. Unless set,
    /// as many as there are processors and the rules can use: groups that read each other's
    /// recorded series or alerts stay together.
    #[arg(long = "shards", value_name = "N", value_parser = n_shards)]
    shards: Option<usize>,
    /// Evaluate the i-th of N shares of the rule groups and drop what only the others read, where
    /// N processes with the same rule files are sent the same samples.
    #[arg(long = "shard", value_name = "i/N", default_value = "1/1")]
    shard: Share,
    /// How long a query may take.
    #[arg(long = "query.timeout", value_name = "DURATION", value_parser = duration)]
    query_timeout: Option<DurationMs>,
    /// How many queries may run at a time.
    #[arg(long = "query.max-concurrency", value_name = "N")]
    query_max_concurrency: Option<usize>,
    /// How many samples a query may hold at a time.
    #[arg(long = "query.max-samples", value_name = "N")]
    query_max_samples: Option<usize>,
    /// Which origins may read the API from a browser: a pattern of the whole origin, such as
    /// 'https?://(one|two)\.example'.
    #[arg(long = "web.cors.origin", value_name = "REGEX", default_value = ".*", value_parser = cors_origin)]
    cors_origin: regex::Regex,
    /// How long to wait before a firing alert is sent again.
    #[arg(long = "rules.alert.resend-delay", value_name = "DURATION", default_value = "1m", value_parser = duration)]
    resend_delay: DurationMs,
    /// What to log.
    #[arg(long = "log.level", value_name = "debug|info|warn|error", default_value = "info", value_parser = parse_level)]
    log_level: LevelFilter,
    /// How to log.
    #[arg(
        long = "log.format",
        value_name = "logfmt|json",
        default_value = "logfmt"
    )]
    log_format: String,
}

/// The feature flags that change anything here.
const FEATURES: [&str; 5] = [
    "promql-experimental-functions",
    "promql-duration-expr",
    "promql-extended-range-selectors",
    "promql-binop-fill-modifiers",
    "promql-per-step-stats",
];

fn cors_origin(text: &str) -> Result<regex::Regex, String> {
    api::cors_origin(text).map_err(|error| error.to_string())
}

fn duration(text: &str) -> Result<DurationMs, String> {
    DurationMs::parse(text).map_err(|error| error.to_string())
}

fn n_shards(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(n @ 1..=SHARDS_MAX) => Ok(n),
        _ => Err(format!("expected a number from 1 to {SHARDS_MAX}")),
    }
}

/// Returns a flag's value, empty where the configuration decides.
fn optional(value: &Option<impl ToString>) -> String {
    value.as_ref().map(ToString::to_string).unwrap_or_default()
}

/// Returns the pattern as it was given.
fn whole_pattern(regex: &regex::Regex) -> &str {
    let pattern = regex.as_str();
    pattern
        .strip_prefix("^(?s:")
        .and_then(|rest| rest.strip_suffix(")$"))
        .unwrap_or(pattern)
}

impl ServeArgs {
    fn flags(&self) -> Vec<(String, String)> {
        let path = |path: &Option<PathBuf>| {
            path.as_ref()
                .map(|path| path.display().to_string())
                .unwrap_or_default()
        };
        let flags = [
            ("burnwatch.config.file", path(&self.own_config_file)),
            ("config.file", path(&self.config_file)),
            ("enable-feature", self.features.join(",")),
            ("log.format", self.log_format.clone()),
            ("log.level", self.log_level.to_string().to_lowercase()),
            (
                "query.max-concurrency",
                optional(&self.query_max_concurrency),
            ),
            ("query.max-samples", optional(&self.query_max_samples)),
            ("query.timeout", optional(&self.query_timeout)),
            ("rules.alert.resend-delay", self.resend_delay.to_string()),
            ("rules.dialect", self.dialect.rules_dialect.to_string()),
            ("shard", self.shard.to_string()),
            ("shards", optional(&self.shards)),
            ("storage.path", self.storage_path.display().to_string()),
            ("web.config.file", path(&self.web_config_file)),
            (
                "web.cors.origin",
                whole_pattern(&self.cors_origin).to_owned(),
            ),
            ("web.enable-lifecycle", self.lifecycle.to_string()),
            (
                "web.external-url",
                self.external_url.clone().unwrap_or_default(),
            ),
            ("web.listen-address", self.listen.clone()),
        ];
        flags
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value))
            .collect()
    }
}

/// Runs the command.
pub fn run(args: ServeArgs) -> anyhow::Result<ExitCode> {
    logging::init(args.log_level, args.log_format.parse()?)?;
    for feature in args
        .features
        .iter()
        .filter(|name| !FEATURES.contains(&name.as_str()))
    {
        tracing::warn!(
            feature,
            "unknown feature flag, ignored as Prometheus ignores it"
        );
    }
    let flags = args.flags();
    let options = Options {
        config_path: args.config_file,
        own_config_path: args.own_config_file,
        storage_path: args.storage_path,
        listen: args.listen,
        external_url: args
            .external_url
            .map(|url| url.trim_end_matches('/').to_owned()),
        lifecycle: args.lifecycle,
        rules_dialect: args.dialect.rules_dialect,
        features: args.features,
        web_config_path: args.web_config_file,
        query: QueryFlags {
            timeout: args.query_timeout,
            max_concurrency: args.query_max_concurrency,
            max_samples: args.query_max_samples,
        },
        cors_origin: Some(args.cors_origin),
        resend_delay: args.resend_delay,
        shards: args.shards,
        share: args.shard,
        flags,
        observer: None,
        clock: Arc::new(SystemClock),
    };
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?
        .block_on(async {
            let server = Server::start(options).await?;
            let backend = Arc::clone(server.backend());
            let mut hangup = signal(SignalKind::hangup())?;
            let mut terminate = signal(SignalKind::terminate())?;
            let mut interrupt = signal(SignalKind::interrupt())?;
            let stop = {
                let backend = Arc::clone(&backend);
                tokio::spawn(async move {
                    loop {
                        tokio::select! {
                            // The outcome is logged; a refused reload leaves the old rules running.
                            _ = hangup.recv() => drop(backend.reload_now()),
                            _ = terminate.recv() => break,
                            _ = interrupt.recv() => break,
                        }
                    }
                    info!("asked to stop");
                    crate::api::Backend::quit(backend.as_ref());
                })
            };
            let outcome = server.run().await;
            stop.abort();
            outcome.map(|()| ExitCode::SUCCESS)
        })
}
