//! What a configuration says about scraping and its other sections that an evaluator passes over.
//!
//! Serving does not look at them: they are Prometheus' to read. A check does, as `promtool` would,
//! and takes from them how often samples come. Of service discoveries the ones for files, DNS and
//! fixed targets are read whole; of the others only that there is such a one.

use std::path::{Path, PathBuf};

use crate::config::fields::Fields;
use crate::config::{ConfigError, FileSdConfig, Source, TargetGroup};
use crate::config::{discovery, sections, steps, value};
use crate::model::{DurationMs, NameValidation};
use crate::yaml::{Node, Place};

/// What there is to scrape.
#[derive(Clone, Debug)]
pub struct Scraping {
    /// `global.scrape_interval`
    pub interval: DurationMs,
    /// `scrape_configs`, those of `scrape_config_files` not among them.
    pub jobs: Vec<ScrapeJob>,
    /// `scrape_config_files`, relative ones joined to the file's directory.
    pub files: Vec<PathBuf>,
    global: ScrapeGlobal,
}

/// What jobs take from `global`.
#[derive(Clone, Copy, Debug)]
struct ScrapeGlobal {
    interval: DurationMs,
    names: NameValidation,
}

/// One scrape configuration.
#[derive(Clone, Debug)]
pub struct ScrapeJob {
    /// `job_name`
    pub name: String,
    /// Where it stands.
    pub place: Place,
    /// How often it is scraped.
    pub interval: DurationMs,
    /// Whether its targets are relabelled, so that their addresses may still change.
    pub relabels: bool,
    /// `static_configs`
    pub static_configs: Vec<TargetGroup>,
    /// `file_sd_configs`
    pub file_sd_configs: Vec<FileSdConfig>,
    /// Files that must be there, each with promtool's words for it.
    pub files: Vec<(&'static str, PathBuf)>,
}

const DEFAULT_INTERVAL: DurationMs = DurationMs::from_seconds(60);

const PROTOCOLS: [&str; 5] = [
    "OpenMetricsText0.0.1",
    "OpenMetricsText1.0.0",
    "PrometheusProto",
    "PrometheusText0.0.4",
    "PrometheusText1.0.0",
];

/// Keys of a job that are not looked into.
const JOB_KEYS: [&str; 23] = [
    "honor_labels",
    "honor_timestamps",
    "track_timestamps_staleness",
    "params",
    "scrape_native_histograms",
    "always_scrape_classic_histograms",
    "scrape_classic_histograms",
    "convert_classic_histograms_to_nhcb",
    "scrape_failure_log_file",
    "metrics_path",
    "scheme",
    "enable_compression",
    "body_size_limit",
    "sample_limit",
    "target_limit",
    "label_limit",
    "label_name_length_limit",
    "label_value_length_limit",
    "native_histogram_bucket_limit",
    "native_histogram_min_bucket_factor",
    "keep_dropped_targets",
    "metric_name_escaping_scheme",
    "extra_scrape_metrics",
];

/// Keys of HTTP clients that are not looked into.
const HTTP_KEYS: [&str; 7] = [
    "proxy_url",
    "no_proxy",
    "proxy_from_environment",
    "proxy_connect_header",
    "follow_redirects",
    "enable_http2",
    "http_headers",
];

/// Prometheus' service discoveries.
const DISCOVERIES: [&str; 38] = [
    "aws_sd_configs",
    "azure_sd_configs",
    "consul_sd_configs",
    "digitalocean_sd_configs",
    "dns_sd_configs",
    "docker_sd_configs",
    "dockerswarm_sd_configs",
    "ec2_sd_configs",
    "ecs_sd_configs",
    "elasticache_sd_configs",
    "eureka_sd_configs",
    "file_sd_configs",
    "gce_sd_configs",
    "hetzner_sd_configs",
    "http_sd_configs",
    "ionos_sd_configs",
    "kubernetes_sd_configs",
    "kuma_sd_configs",
    "lightsail_sd_configs",
    "linode_sd_configs",
    "marathon_sd_configs",
    "msk_sd_configs",
    "nerve_sd_configs",
    "nomad_sd_configs",
    "oci_sd_configs",
    "openstack_sd_configs",
    "outscale_sd_configs",
    "ovhcloud_sd_configs",
    "puppetdb_sd_configs",
    "rds_sd_configs",
    "scaleway_sd_configs",
    "serverset_sd_configs",
    "stackit_sd_configs",
    "static_configs",
    "triton_sd_configs",
    "uyuni_sd_configs",
    "vultr_sd_configs",
    "xds_sd_configs",
];

impl Scraping {
    /// Reads the sections of a configuration that [`crate::config::load`] passes over.
    pub fn read(source: Source<'_>) -> Result<Self, ConfigError> {
        Scraping::read_sections(source).map_err(|e| e.in_file(source.path))
    }

    fn read_sections(source: Source<'_>) -> Result<Self, ConfigError> {
        let base_dir = source.base_dir();
        let root = value::parse(source.text)?;
        let mut fields = Fields::open(&root, "")?;
        let global = match fields.node("global") {
            Some(node) => read_global(node)?,
            None => ScrapeGlobal {
                interval: DEFAULT_INTERVAL,
                names: NameValidation::Utf8,
            },
        };
        let jobs = read_jobs(&mut fields, base_dir, global)?;
        let files = fields.list("scrape_config_files", |node, what| {
            let pattern = value::text(node, what)?;
            match crate::config::check_rule_path(pattern) {
                true => Ok(base_dir.join(pattern)),
                false => Err(ConfigError::at(
                    node.place,
                    format!("invalid scrape config file path {pattern:?}"),
                )
                .remedy("* may stand in the last part of the path only")),
            }
        })?;
        sections::check(&mut fields, base_dir, global.names)?;
        Ok(Scraping {
            interval: global.interval,
            jobs,
            files,
            global,
        })
    }

    /// Reads a file that `scrape_config_files` has found and adds its jobs.
    pub fn add_file(&mut self, source: Source<'_>) -> Result<(), ConfigError> {
        let read = || {
            let root = value::parse(source.text)?;
            let mut fields = Fields::open(&root, "")?;
            let jobs = read_jobs(&mut fields, source.base_dir(), self.global)?;
            fields.finish()?;
            let is_known = |job: &&ScrapeJob| self.jobs.iter().any(|known| known.name == job.name);
            match jobs.iter().find(is_known) {
                Some(job) => Err(repeated(job)),
                None => Ok(jobs),
            }
        };
        let jobs = read().map_err(|e: ConfigError| e.in_file(source.path))?;
        self.jobs.extend(jobs);
        Ok(())
    }
}

fn repeated(job: &ScrapeJob) -> ConfigError {
    let message = format!("found multiple scrape configs with job name {:?}", job.name);
    ConfigError::at(job.place, message).remedy("rename one of them")
}

fn read_global(node: &Node) -> Result<ScrapeGlobal, ConfigError> {
    let mut fields = Fields::open(node, "global")?;
    let interval = fields.duration("scrape_interval")?;
    let interval = interval.filter(|i| i.0 > 0).unwrap_or(DEFAULT_INTERVAL);
    if fields.duration("scrape_timeout")?.unwrap_or_default() > interval {
        return Err(fields
            .error("global scrape timeout greater than scrape interval")
            .remedy(format!("write a scrape_timeout of {interval} or less")));
    }
    check_protocols(&mut fields)?;
    let names = fields.text("metric_name_validation_scheme")?;
    Ok(ScrapeGlobal {
        interval,
        names: match names.as_deref() {
            Some("legacy") => NameValidation::Legacy,
            _ => NameValidation::Utf8,
        },
    })
}

fn check_protocols(fields: &mut Fields<'_>) -> Result<(), ConfigError> {
    let node = fields.node("scrape_protocols");
    let protocols = fields.texts("scrape_protocols")?;
    let Some(node) = node else {
        return Ok(());
    };
    let wrong = |message: String| {
        Err(ConfigError::at(node.place, message)
            .remedy(format!("write some of {}, each once", PROTOCOLS.join(", "))))
    };
    if protocols.is_empty() {
        return wrong("scrape_protocols cannot be empty".to_owned());
    }
    for (idx, protocol) in protocols.iter().enumerate() {
        if !PROTOCOLS.contains(&protocol.as_str()) {
            return wrong(format!(
                "scrape_protocols: unknown scrape protocol {protocol}"
            ));
        }
        if protocols[..idx].contains(protocol) {
            return wrong(format!(
                "duplicated protocol in scrape_protocols: {protocol}"
            ));
        }
    }
    Ok(())
}

fn read_jobs(
    fields: &mut Fields<'_>,
    base_dir: &Path,
    global: ScrapeGlobal,
) -> Result<Vec<ScrapeJob>, ConfigError> {
    let jobs = fields.list("scrape_configs", |node, what| {
        read_job(node, what, base_dir, global)
    })?;
    for (idx, job) in jobs.iter().enumerate() {
        if jobs[..idx].iter().any(|known| known.name == job.name) {
            return Err(repeated(job));
        }
    }
    Ok(jobs)
}

fn read_job(
    node: &Node,
    what: &str,
    base_dir: &Path,
    global: ScrapeGlobal,
) -> Result<ScrapeJob, ConfigError> {
    if node.is_null() {
        let message = "empty or null scrape config section";
        return Err(ConfigError::at(node.place, message).remedy("remove the empty element"));
    }
    let mut fields = Fields::open(node, what)?;
    let Some(name) = fields.nonempty("job_name")? else {
        return Err(fields
            .error("job_name is empty")
            .remedy("give the job a name: `job_name: …`"));
    };
    let interval = fields.duration("scrape_interval")?;
    let interval = interval.filter(|i| i.0 > 0).unwrap_or(global.interval);
    if fields.duration("scrape_timeout")?.unwrap_or_default() > interval {
        return Err(fields
            .error(format!(
                "scrape timeout greater than scrape interval for scrape config with job name {name:?}"
            ))
            .remedy(format!("write a scrape_timeout of {interval} or less")));
    }
    check_protocols(&mut fields)?;
    if let Some(protocol) = fields.nonempty("fallback_scrape_protocol")?
        && !PROTOCOLS.contains(&protocol.as_str())
    {
        return Err(fields
            .error(format!(
                "invalid fallback_scrape_protocol for scrape config with job name {name:?}: \
                 unknown scrape protocol {protocol}"
            ))
            .remedy(format!("write one of {}", PROTOCOLS.join(", "))));
    }
    let own_names = fields.word(
        "metric_name_validation_scheme",
        &[
            ("utf8", NameValidation::Utf8),
            ("legacy", NameValidation::Legacy),
            ("", global.names),
        ],
    )?;
    let names = own_names.unwrap_or(global.names);
    let relabels = !fields
        .list("relabel_configs", |node, what| {
            steps::read(node, what, names)
        })?
        .is_empty();
    fields.list("metric_relabel_configs", |node, what| {
        steps::read(node, what, names)
    })?;
    let static_configs = fields.list("static_configs", discovery::read_target_group)?;
    let file_sd_configs = fields.list("file_sd_configs", |node, what| {
        discovery::read_file_sd(node, what, base_dir)
    })?;
    let mut files = Vec::new();
    read_http(&mut fields, base_dir, &mut files)?;
    for key in DISCOVERIES {
        if !matches!(key, "static_configs" | "file_sd_configs") {
            check_discovery(&mut fields, key, base_dir, &mut files)?;
        }
    }
    let targets = static_configs.iter().flat_map(|group| &group.targets);
    if let Some(url) = targets.filter(|_| !relabels).find(|t| t.contains('/')) {
        return Err(fields
            .error(format!("{url:?} is not a valid hostname"))
            .remedy("write host:port; scheme and metrics_path have keys of their own"));
    }
    fields.finish_except(&JOB_KEYS)?;
    Ok(ScrapeJob {
        name,
        place: node.place,
        interval,
        relabels,
        static_configs,
        file_sd_configs,
        files,
    })
}

fn check_discovery(
    fields: &mut Fields<'_>,
    key: &'static str,
    base_dir: &Path,
    files: &mut Vec<(&'static str, PathBuf)>,
) -> Result<(), ConfigError> {
    fields.list(key, |node, what| {
        if node.is_null() {
            let message = format!("{what}: empty or null section in {key}");
            return Err(ConfigError::at(node.place, message).remedy("remove the empty element"));
        }
        match key {
            "dns_sd_configs" => discovery::read_dns_sd(node, what).map(drop),
            "kubernetes_sd_configs" => check_kubernetes(node, what, base_dir, files),
            "http_sd_configs" => {
                let mut inner = Fields::open(node, what)?;
                read_http(&mut inner, base_dir, &mut Vec::new())?;
                match inner.nonempty("url")? {
                    Some(_) => Ok(()),
                    None => Err(inner.error("URL is missing").remedy("write its `url`")),
                }
            }
            _ => read_http(&mut Fields::open(node, what)?, base_dir, &mut Vec::new()),
        }
    })?;
    Ok(())
}

/// Checks what excludes each other in `kubernetes_sd_configs`.
fn check_kubernetes(
    node: &Node,
    what: &str,
    base_dir: &Path,
    files: &mut Vec<(&'static str, PathBuf)>,
) -> Result<(), ConfigError> {
    const CLIENT: [&str; 6] = [
        "basic_auth",
        "authorization",
        "oauth2",
        "bearer_token",
        "bearer_token_file",
        "tls_config",
    ];
    let mut fields = Fields::open(node, what)?;
    read_http(&mut fields, base_dir, files)?;
    let roles = [
        "pod",
        "service",
        "endpoints",
        "endpointslice",
        "node",
        "ingress",
    ];
    let roles = roles.map(|role| (role, ()));
    if fields.word("role", &roles)?.is_none() {
        return Err(fields
            .error("role missing")
            .remedy("write `role`: one of pod, service, endpoints, endpointslice, node, ingress"));
    }
    let has_server = fields.nonempty("api_server")?.is_some();
    let has_kubeconfig = fields.nonempty("kubeconfig_file")?.is_some();
    let has_client = CLIENT.iter().any(|key| fields.has(key));
    let own = fields.read("namespaces", |node, what| {
        Fields::open(node, what)?.bool("own_namespace")
    })?;
    let in_own_namespace = own.flatten() == Some(true);
    let wrong = if has_kubeconfig && has_server {
        "cannot use 'kubeconfig_file' and 'api_server' simultaneously"
    } else if has_kubeconfig && has_client {
        "cannot use a custom HTTP client configuration together with 'kubeconfig_file'"
    } else if !has_server && has_client {
        "to use custom HTTP client configuration please provide the 'api_server' URL explicitly"
    } else if has_server && in_own_namespace {
        "cannot use 'api_server' and 'namespaces.own_namespace' simultaneously"
    } else if has_kubeconfig && in_own_namespace {
        "cannot use 'kubeconfig_file' and 'namespaces.own_namespace' simultaneously"
    } else {
        return Ok(());
    };
    Err(fields.error(wrong))
}

/// Reads an HTTP client as Prometheus has it; notes the files that promtool looks for.
pub(crate) fn read_http(
    fields: &mut Fields<'_>,
    base_dir: &Path,
    files: &mut Vec<(&'static str, PathBuf)>,
) -> Result<(), ConfigError> {
    const CREDENTIALS: &str = "authorization credentials or bearer token file";
    let token = fields.nonempty("bearer_token")?;
    let token_file = fields.path("bearer_token_file", base_dir)?;
    let has_token = token.is_some() || token_file.is_some();
    let both = "remove one of them";
    if token.is_some() && token_file.is_some() {
        return Err(fields
            .error("at most one of bearer_token & bearer_token_file must be configured")
            .remedy(both));
    }
    let mut kinds = Vec::new();
    if let Some(node) = fields.node("basic_auth") {
        let mut inner = Fields::open(node, "basic_auth")?;
        for pair in [["username", "username_file"], ["password", "password_file"]] {
            let (inline, file) = (inner.nonempty(pair[0])?, inner.nonempty(pair[1])?);
            if inline.is_some() && file.is_some() {
                return Err(inner
                    .error(format!(
                        "at most one of {} & {} must be configured",
                        pair[0], pair[1]
                    ))
                    .remedy(both));
            }
        }
        inner.finish_except(&["username_ref", "password_ref"])?;
        kinds.push("basic_auth");
    }
    if let Some(node) = fields.node("authorization") {
        let mut inner = Fields::open(node, "authorization")?;
        let credentials = inner.nonempty("credentials")?;
        let file = inner.path("credentials_file", base_dir)?;
        if credentials.is_some() && file.is_some() {
            return Err(inner
                .error("at most one of credentials & credentials_file must be configured")
                .remedy(both));
        }
        if inner
            .text("type")?
            .is_some_and(|t| t.trim().eq_ignore_ascii_case("basic"))
        {
            return Err(inner
                .error("authorization type cannot be set to \"basic\"")
                .remedy("use basic_auth instead"));
        }
        inner.finish_except(&["credentials_ref"])?;
        files.extend(file.map(|file| (CREDENTIALS, file)));
        kinds.push("authorization");
    }
    if fields.node("oauth2").is_some() {
        kinds.push("oauth2");
    }
    if has_token {
        kinds.push("bearer_token");
    }
    files.extend(token_file.map(|file| (CREDENTIALS, file)));
    if kinds.len() > 1 {
        return Err(fields
            .error(format!(
                "at most one of basic_auth, authorization, oauth2 & bearer_token must be configured, \
                 not {}",
                kinds.join(" and ")
            ))
            .remedy(both));
    }
    fields.read("tls_config", |node, what| {
        read_tls(node, what, base_dir, files)
    })?;
    for key in HTTP_KEYS {
        fields.node(key);
    }
    Ok(())
}

fn read_tls(
    node: &Node,
    what: &str,
    base_dir: &Path,
    files: &mut Vec<(&'static str, PathBuf)>,
) -> Result<(), ConfigError> {
    let mut fields = Fields::open(node, what)?;
    let cert = fields.path("cert_file", base_dir)?;
    let key = fields.path("key_file", base_dir)?;
    let (inline_key, key_ref) = (fields.nonempty("key")?, fields.nonempty("key_ref")?);
    let (inline_cert, cert_ref) = (fields.nonempty("cert")?, fields.nonempty("cert_ref")?);
    let has_key = inline_key.or(key_ref).is_some() || key.is_some();
    let has_cert = inline_cert.or(cert_ref).is_some() || cert.is_some();
    match (&cert, &key) {
        (Some(cert), _) if !has_key => {
            let message = format!(
                "client cert file {:?} specified without client key file",
                cert.display().to_string()
            );
            return Err(fields.error(message).remedy("write its key_file beside it"));
        }
        (_, Some(key)) if !has_cert => {
            let message = format!(
                "client key file {:?} specified without client cert file",
                key.display().to_string()
            );
            return Err(fields
                .error(message)
                .remedy("write its cert_file beside it"));
        }
        _ => {}
    }
    files.extend(cert.map(|file| ("client cert file", file)));
    files.extend(key.map(|file| ("client key file", file)));
    fields.finish_except(&[
        "ca",
        "ca_file",
        "ca_ref",
        "server_name",
        "insecure_skip_verify",
        "min_version",
        "max_version",
    ])
}
