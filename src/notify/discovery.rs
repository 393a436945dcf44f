//! Finding Alertmanagers: what the configuration names, what files, the DNS and web pages say.
//!
//! [`run`] keeps looking and tells of every change; [`resolve`] is pure and turns what was
//! found into push URLs, relabelling on the way. A source that fails keeps what it last said.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use futures::FutureExt as _;
use futures::future::BoxFuture;
use hickory_resolver::TokioResolver;
use hickory_resolver::proto::rr::{Name, RData, RecordType};
use parking_lot::Mutex;
use tracing::warn;

use crate::config::{
    AlertmanagerConfig, Discovery, DnsRecordType, DnsSdConfig, FileSdConfig, HttpSdConfig,
    TargetGroup, expand_patterns, read_target_groups,
};
use crate::model::{Labels, LabelsBuilder};
use crate::notify::http_client::HttpClient;
use crate::relabel::relabel;

/// How often discovered files are looked at for changes.
const FILE_LOOK: Duration = Duration::from_secs(5);
/// How long fetching a page of targets may take.
const PAGE_TIMEOUT: Duration = Duration::from_secs(30);
/// The largest file of targets, in bytes; a larger one is not read.
const FILE_BYTES_MAX: u64 = 16 << 20;

/// One receiver as a source names it: `__address__`, meta labels and the group's labels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found(pub Labels);

/// What became of what was found; URLs are in order and unique.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Resolved {
    /// Push URLs to send to.
    pub active: Vec<String>,
    /// Push URLs that relabelling dropped.
    pub dropped: Vec<String>,
    /// What cannot be used, and why.
    pub refused: Vec<String>,
}

/// Tells whether everything is written in the configuration.
pub fn is_static(discovery: &Discovery) -> bool {
    discovery.file_sd_configs.is_empty()
        && discovery.dns_sd_configs.is_empty()
        && discovery.http_sd_configs.is_empty()
}

/// Returns what is written in the configuration.
pub fn static_groups(discovery: &Discovery) -> Vec<Found> {
    let groups = discovery.static_configs.iter();
    groups.flat_map(|group| found(group, &[])).collect()
}

fn found(group: &TargetGroup, meta: &[(&str, &str)]) -> Vec<Found> {
    let of_target = |target: &String| {
        let mut labels = LabelsBuilder::default();
        for (name, value) in &group.labels {
            labels.set(name, value);
        }
        for (name, value) in meta {
            labels.set(name, value);
        }
        // A target's own labels win over its group's.
        labels.set("__address__", target);
        Found(labels.build())
    };
    group.targets.iter().map(of_target).collect()
}

/// Turns what was found into push URLs.
pub fn resolve(all: &[Found], config: &AlertmanagerConfig) -> Resolved {
    let prefix = config.path_prefix.trim_matches('/');
    let path = match prefix {
        "" => "/api/v2/alerts".to_owned(),
        prefix => format!("/{prefix}/api/v2/alerts"),
    };
    let mut resolved = Resolved::default();
    let push_unique = |urls: &mut Vec<String>, url: String| {
        if !urls.contains(&url) {
            urls.push(url);
        }
    };
    for Found(labels) in all {
        let mut builder = LabelsBuilder::default();
        builder.set("__scheme__", config.scheme.name());
        builder.set("__alerts_path__", &path);
        for (name, value) in labels.iter() {
            builder.set(name, value);
        }
        let before = builder.build();
        let Some(after) = relabel(&before, &config.relabel_configs) else {
            push_unique(&mut resolved.dropped, push_url(&before));
            continue;
        };
        let (address, url) = (after.value("__address__"), push_url(&after));
        if address.contains('/') {
            let reason = format!("{address:?} is not a valid hostname");
            resolved.refused.push(reason);
        } else if let Err(e) = url::Url::parse(&url) {
            resolved.refused.push(format!("{url:?} is not an URL: {e}"));
        } else {
            push_unique(&mut resolved.active, url);
        }
    }
    resolved
}

fn push_url(labels: &Labels) -> String {
    let value = |name| labels.value(name);
    let (scheme, address) = (value("__scheme__"), value("__address__"));
    format!("{scheme}://{address}{}", value("__alerts_path__"))
}

/// What each source said last, in the order of the configuration.
struct Board<S> {
    by_source: Mutex<Vec<Vec<Found>>>,
    sync: S,
}

impl<S: Fn(Vec<Found>)> Board<S> {
    fn set(&self, source: usize, groups: Vec<Found>) {
        let mut by_source = self.by_source.lock();
        if by_source[source] == groups {
            return;
        }
        by_source[source] = groups;
        let all = by_source.concat();
        drop(by_source);
        (self.sync)(all);
    }
}

/// Looks for receivers until dropped; `sync` is told of all of them whenever one source says
/// something new.
pub async fn run<S>(discovery: Discovery, sync: S)
where
    S: Fn(Vec<Found>) + Send + Sync + 'static,
{
    let n_sources = 1
        + discovery.file_sd_configs.len()
        + discovery.dns_sd_configs.len()
        + discovery.http_sd_configs.len();
    let mut by_source = vec![Vec::new(); n_sources];
    by_source[0] = static_groups(&discovery);
    let board = Arc::new(Board {
        by_source: Mutex::new(by_source),
        sync,
    });
    let mut tasks: Vec<BoxFuture<'static, ()>> = Vec::new();
    for config in discovery.file_sd_configs {
        let (board, source) = (Arc::clone(&board), tasks.len() + 1);
        tasks.push(run_files(config, move |groups| board.set(source, groups)).boxed());
    }
    for config in discovery.dns_sd_configs {
        let (board, source) = (Arc::clone(&board), tasks.len() + 1);
        tasks.push(run_dns(config, move |groups| board.set(source, groups)).boxed());
    }
    for config in discovery.http_sd_configs {
        let (board, source) = (Arc::clone(&board), tasks.len() + 1);
        tasks.push(run_page(config, move |groups| board.set(source, groups)).boxed());
    }
    futures::future::join_all(tasks).await;
}

/// A discovered file and what it last said.
#[derive(Default)]
struct SeenFile {
    path: PathBuf,
    changed_at: Option<SystemTime>,
    groups: Vec<Found>,
}

async fn run_files(config: FileSdConfig, set: impl Fn(Vec<Found>)) {
    let refresh = config.refresh_interval.to_std();
    let mut seen: Vec<SeenFile> = Vec::new();
    let mut since_refresh = refresh;
    loop {
        let is_refresh = since_refresh >= refresh;
        if is_refresh {
            since_refresh = Duration::ZERO;
        }
        let (patterns, known) = (config.files.clone(), seen);
        let looked =
            tokio::task::spawn_blocking(move || look_at_files(&patterns, known, is_refresh));
        seen = looked.await.unwrap_or_default();
        set(seen.iter().flat_map(|file| file.groups.clone()).collect());
        let pause = FILE_LOOK.min(refresh);
        tokio::time::sleep(pause).await;
        since_refresh += pause;
    }
}

/// Reads files that are new or have changed; with `is_refresh`, all of them. A file that cannot
/// be read or parsed keeps what it said before; one that is gone says nothing.
fn look_at_files(patterns: &[PathBuf], known: Vec<SeenFile>, is_refresh: bool) -> Vec<SeenFile> {
    let paths = expand_patterns(patterns).unwrap_or_else(|e| {
        warn!(%e, "file discovery");
        Vec::new()
    });
    let mut known = known;
    let mut seen = Vec::new();
    for path in paths {
        let at = known.iter().position(|file| file.path == path);
        let mut file = at.map(|at| known.swap_remove(at)).unwrap_or_default();
        file.path = path;
        let changed_at = std::fs::metadata(&file.path).and_then(|meta| meta.modified());
        let changed_at = changed_at.ok();
        if is_refresh || changed_at != file.changed_at {
            file.changed_at = changed_at;
            match read_file(&file.path) {
                Ok(groups) => file.groups = groups,
                Err(reason) => {
                    warn!(path = %file.path.display(), reason, "file discovery keeps what was before");
                }
            }
        }
        seen.push(file);
    }
    seen
}

fn read_file(path: &PathBuf) -> Result<Vec<Found>, String> {
    let size = std::fs::metadata(path).map_err(|e| e.to_string())?.len();
    if size > FILE_BYTES_MAX {
        return Err(format!("the file is larger than {FILE_BYTES_MAX} bytes"));
    }
    let text = std::fs::read_to_string(path).map_err(|e| e.to_string())?;
    let groups = read_target_groups(&text).map_err(|e| e.to_string())?;
    let name = path.display().to_string();
    let meta = [("__meta_filepath", name.as_str())];
    Ok(groups
        .iter()
        .flat_map(|group| found(group, &meta))
        .collect())
}

async fn run_page(config: HttpSdConfig, set: impl Fn(Vec<Found>)) {
    let client = HttpClient::new(config.http.clone());
    // It is shown where relabelling looks, and in the log.
    let url = crate::config::redacted(&config.url);
    loop {
        let page = client.get_text(&config.url, PAGE_TIMEOUT).await;
        let groups = page
            .map_err(|e| e.to_string())
            .and_then(|text| read_target_groups(&text).map_err(|e| e.to_string()));
        match groups {
            Ok(groups) => {
                let meta = [("__meta_url", url.as_str())];
                set(groups
                    .iter()
                    .flat_map(|group| found(group, &meta))
                    .collect());
            }
            Err(reason) => warn!(url, reason, "http discovery keeps what was before"),
        }
        tokio::time::sleep(config.refresh_interval.to_std()).await;
    }
}

async fn run_dns(config: DnsSdConfig, set: impl Fn(Vec<Found>)) {
    let mut by_name: Vec<Vec<Found>> = vec![Vec::new(); config.names.len()];
    loop {
        // Built anew each time, so that a changed resolv.conf counts.
        match TokioResolver::builder_tokio().and_then(|builder| builder.build()) {
            Ok(resolver) => {
                for (name, groups) in config.names.iter().zip(&mut by_name) {
                    match look_up(&resolver, name, &config).await {
                        Ok(found) => *groups = found,
                        Err(reason) => {
                            warn!(name, reason, "dns discovery keeps what was before");
                        }
                    }
                }
                set(by_name.concat());
            }
            Err(e) => warn!(%e, "dns discovery has no resolver"),
        }
        tokio::time::sleep(config.refresh_interval.to_std()).await;
    }
}

async fn look_up(
    resolver: &TokioResolver,
    name: &str,
    config: &DnsSdConfig,
) -> Result<Vec<Found>, String> {
    let record_type = match config.record_type {
        DnsRecordType::Srv => RecordType::SRV,
        DnsRecordType::A => RecordType::A,
        DnsRecordType::Aaaa => RecordType::AAAA,
        DnsRecordType::Mx => RecordType::MX,
        DnsRecordType::Ns => RecordType::NS,
    };
    let lookup = match resolver.lookup(name, record_type).await {
        Ok(lookup) => lookup,
        // The name exists no more, or has no such records: that is an answer.
        Err(e) if e.is_nx_domain() || e.is_no_records_found() => return Ok(Vec::new()),
        Err(e) => return Err(e.to_string()),
    };
    let mut all = Vec::new();
    for record in lookup.answers() {
        all.extend(found_in_record(&record.data, name, config.port));
    }
    all.sort_by(|Found(a), Found(b)| a.cmp(b));
    Ok(all)
}

fn found_in_record(data: &RData, name: &str, port: u16) -> Option<Found> {
    let mut labels = LabelsBuilder::default();
    labels.set("__meta_dns_name", name);
    let host = |name: &Name| name.to_string().trim_end_matches('.').to_owned();
    let address = match data {
        RData::SRV(srv) => {
            labels.set("__meta_dns_srv_record_target", &srv.target.to_string());
            labels.set("__meta_dns_srv_record_port", &srv.port.to_string());
            format!("{}:{}", host(&srv.target), srv.port)
        }
        RData::MX(mx) => {
            labels.set("__meta_dns_mx_record_target", &mx.exchange.to_string());
            format!("{}:{port}", host(&mx.exchange))
        }
        RData::NS(ns) => {
            labels.set("__meta_dns_ns_record_target", &ns.0.to_string());
            format!("{}:{port}", host(&ns.0))
        }
        RData::A(a) => format!("{}:{port}", a.0),
        RData::AAAA(aaaa) => format!("[{}]:{port}", aaaa.0),
        // An alias on the way to the records asked for.
        _ => return None,
    };
    labels.set("__address__", &address);
    Some(Found(labels.build()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::NameValidation;
    use crate::relabel::{Action, RelabelConfig, RelabelFields};

    fn group(targets: &[&str], labels: &[(&str, &str)]) -> TargetGroup {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        TargetGroup {
            targets: targets.iter().map(|target| (*target).to_owned()).collect(),
            labels: labels.iter().map(owned).collect(),
        }
    }

    #[test]
    fn targets_become_push_urls() {
        let drop_spare = RelabelFields {
            source_labels: Some(vec!["role".to_owned()]),
            regex: "spare".to_owned(),
            action: Action::Drop,
            ..RelabelFields::default()
        };
        let step = RelabelConfig::new(drop_spare, NameValidation::Utf8).expect("valid");
        let config = AlertmanagerConfig {
            path_prefix: "am/".to_owned(),
            relabel_configs: vec![step],
            ..AlertmanagerConfig::default()
        };
        let all = [
            found(
                &group(&["a:9093", "b", "a:9093"], &[("__scheme__", "https")]),
                &[],
            ),
            found(&group(&["c:80"], &[("role", "spare")]), &[]),
            found(&group(&["http://d"], &[]), &[]),
            found(&group(&["e:1"], &[("__alerts_path__", "/x")]), &[]),
        ];
        let resolved = resolve(&all.concat(), &config);
        let expected = [
            "https://a:9093/am/api/v2/alerts",
            "https://b/am/api/v2/alerts",
            "http://e:1/x",
        ];
        assert_eq!(resolved.active, expected);
        assert_eq!(resolved.dropped, ["http://c:80/am/api/v2/alerts"]);
        assert_eq!(resolved.refused, ["\"http://d\" is not a valid hostname"]);
    }

    #[test]
    fn dns_records_become_targets() {
        use hickory_resolver::proto::rr::rdata::{A, CNAME, SRV};
        let name = |text: &str| Name::from_ascii(text).expect("a name");
        let check = |data: RData, expected: Option<&str>| {
            let found = found_in_record(&data, "am.example", 9093);
            let labels = found.map(|Found(labels)| labels.to_string());
            assert_eq!(labels.as_deref(), expected);
        };
        check(
            RData::SRV(SRV::new(1, 1, 9094, name("am-0.example."))),
            Some(
                r#"{__address__="am-0.example:9094", __meta_dns_name="am.example", __meta_dns_srv_record_port="9094", __meta_dns_srv_record_target="am-0.example."}"#,
            ),
        );
        check(
            RData::A(A::new(10, 0, 0, 1)),
            Some(r#"{__address__="10.0.0.1:9093", __meta_dns_name="am.example"}"#),
        );
        check(RData::CNAME(CNAME(name("x."))), None);
    }
}
