//! The HTTP client fields that every receiver shares.

use std::path::{Path, PathBuf};

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use url::Url;

use crate::config::fields::Fields;
use crate::config::value;
use crate::config::{ConfigError, OAuth2Config, Secret, SecretSource, oauth2, serialize};
use crate::yaml::Node;

/// How to speak HTTP with a receiver.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct HttpClientConfig {
    /// Who we say we are.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub auth: Option<Auth>,
    /// `tls_config`
    #[serde(skip_serializing_if = "TlsConfig::is_default")]
    pub tls_config: TlsConfig,
    /// Whether redirects are followed.
    pub follow_redirects: bool,
    /// Whether HTTP/2 may be negotiated.
    pub enable_http2: bool,
    /// The proxy to go through.
    #[serde(
        serialize_with = "serialize::optional_url",
        skip_serializing_if = "Option::is_none"
    )]
    pub proxy_url: Option<Url>,
    /// Hosts that are reached without the proxy, separated by commas.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub no_proxy: String,
    /// Whether the proxy comes from `HTTP_PROXY` and its like.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub proxy_from_environment: bool,
    /// Headers of every request.
    #[serde(
        serialize_with = "serialize::pairs",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub http_headers: Vec<(String, HeaderValues)>,
}

impl Default for HttpClientConfig {
    fn default() -> Self {
        HttpClientConfig {
            auth: None,
            tls_config: TlsConfig::default(),
            follow_redirects: true,
            enable_http2: true,
            proxy_url: None,
            no_proxy: String::new(),
            proxy_from_environment: false,
            http_headers: Vec::new(),
        }
    }
}

/// Who we say we are.
#[derive(Clone, Debug, PartialEq)]
pub enum Auth {
    /// `basic_auth`
    BasicAuth {
        /// The name.
        username: Option<SecretSource>,
        /// The password.
        password: Option<SecretSource>,
    },
    /// `authorization` (and the older `bearer_token`)
    Authorization {
        /// `Bearer` unless set.
        kind: String,
        /// What follows the type.
        credentials: Option<SecretSource>,
    },
    /// `oauth2`
    OAuth2(Box<OAuth2Config>),
}

impl Serialize for Auth {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut outer = serializer.serialize_map(Some(1))?;
        match self {
            Auth::BasicAuth { username, password } => {
                // The name is no secret.
                let name = match username {
                    Some(SecretSource::Inline(name)) => vec![("username", name.reveal().into())],
                    other => written(other, "username", "username_file"),
                };
                let secret = written(password, "password", "password_file");
                outer.serialize_entry("basic_auth", &Written([name, secret].concat()))?;
            }
            Auth::Authorization { kind, credentials } => {
                let mut inner = vec![("type", kind.clone())];
                inner.extend(written(credentials, "credentials", "credentials_file"));
                outer.serialize_entry("authorization", &Written(inner))?;
            }
            Auth::OAuth2(config) => outer.serialize_entry("oauth2", config)?,
        }
        outer.end()
    }
}

/// Keys and values as they are printed, secrets already hidden.
struct Written(Vec<(&'static str, String)>);

impl Serialize for Written {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(key, value)| (key, value)))
    }
}

/// Returns what is printed of a source: the secret hidden, or the file's path.
fn written(
    source: &Option<SecretSource>,
    key: &'static str,
    file_key: &'static str,
) -> Vec<(&'static str, String)> {
    match source {
        Some(SecretSource::Inline(secret)) => vec![(key, secret.to_string())],
        Some(SecretSource::File(path)) => vec![(file_key, path.display().to_string())],
        None => Vec::new(),
    }
}

/// `tls_config`; a PEM text is written in the configuration or read from a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsConfig {
    /// The authorities to trust instead of the system's.
    pub ca: Option<SecretSource>,
    /// The client's certificate.
    pub cert: Option<SecretSource>,
    /// The client's key.
    pub key: Option<SecretSource>,
    /// The name that the receiver's certificate must bear, where it is not the host's.
    pub server_name: String,
    /// Whether any certificate will do.
    pub insecure_skip_verify: bool,
    /// The lowest version to speak.
    pub min_version: Option<TlsVersion>,
    /// The highest version to speak.
    pub max_version: Option<TlsVersion>,
}

impl Serialize for TlsConfig {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        // A certificate is no secret, but hiding it keeps the page short.
        let sources = [
            written(&self.ca, "ca", "ca_file"),
            written(&self.cert, "cert", "cert_file"),
            written(&self.key, "key", "key_file"),
        ];
        for (key, value) in sources.concat() {
            map.serialize_entry(key, &value)?;
        }
        if !self.server_name.is_empty() {
            map.serialize_entry("server_name", &self.server_name)?;
        }
        map.serialize_entry("insecure_skip_verify", &self.insecure_skip_verify)?;
        for (key, version) in [
            ("min_version", self.min_version),
            ("max_version", self.max_version),
        ] {
            if let Some(version) = version {
                map.serialize_entry(key, &version)?;
            }
        }
        map.end()
    }
}

impl TlsConfig {
    fn is_default(&self) -> bool {
        *self == TlsConfig::default()
    }
}

/// A version of TLS that we speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[allow(missing_docs, reason = "each is its own name")]
pub enum TlsVersion {
    #[serde(rename = "TLS12")]
    Tls12,
    #[serde(rename = "TLS13")]
    Tls13,
}

/// The values of one header, in this order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct HeaderValues {
    /// Shown in the configuration.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub values: Vec<String>,
    /// Not shown.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub secrets: Vec<Secret>,
    /// Read from files at every request.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<PathBuf>,
}

/// Headers that change the connection or are set otherwise.
const RESERVED_HEADERS: [&str; 18] = [
    "authorization",
    "host",
    "content-encoding",
    "content-length",
    "content-type",
    "user-agent",
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "www-authenticate",
    "accept-encoding",
    "x-prometheus-remote-write-version",
    "x-prometheus-remote-read-version",
    "x-prometheus-scrape-timeout-seconds",
    "x-amz-date",
    "x-amz-security-token",
    "x-amz-content-sha256",
];

/// Reads the HTTP client fields that stand among a receiver's own.
pub(crate) fn read(
    fields: &mut Fields<'_>,
    base_dir: &Path,
    enable_http2_default: bool,
) -> Result<HttpClientConfig, ConfigError> {
    let config = HttpClientConfig {
        auth: read_auth(fields, base_dir)?,
        follow_redirects: fields.bool("follow_redirects")?.unwrap_or(true),
        enable_http2: fields.bool("enable_http2")?.unwrap_or(enable_http2_default),
        http_headers: fields
            .read("http_headers", |node, what| {
                read_headers(node, what, base_dir)
            })?
            .unwrap_or_default(),
        ..read_proxy(fields, base_dir)?
    };
    Ok(config)
}

/// Reads how to reach a server: TLS and proxy.
pub(crate) fn read_proxy(
    fields: &mut Fields<'_>,
    base_dir: &Path,
) -> Result<HttpClientConfig, ConfigError> {
    let config = HttpClientConfig {
        tls_config: fields
            .read("tls_config", |node, what| read_tls(node, what, base_dir))?
            .unwrap_or_default(),
        proxy_url: fields.read("proxy_url", read_url)?,
        no_proxy: fields.text("no_proxy")?.unwrap_or_default(),
        proxy_from_environment: fields.bool("proxy_from_environment")?.unwrap_or(false),
        ..HttpClientConfig::default()
    };
    refuse(
        fields,
        "proxy_connect_header",
        "is not supported",
        "remove it",
    )?;
    check_proxy(fields, &config)?;
    Ok(config)
}

/// Refuses a key that Prometheus knows and we do not do.
pub(crate) fn refuse(
    fields: &mut Fields<'_>,
    key: &'static str,
    why: &str,
    remedy: &str,
) -> Result<(), ConfigError> {
    match fields.node(key) {
        Some(node) => Err(
            ConfigError::at(node.place, format!("{}: {key} {why}", fields.place())).remedy(remedy),
        ),
        None => Ok(()),
    }
}

fn check_proxy(fields: &Fields<'_>, config: &HttpClientConfig) -> Result<(), ConfigError> {
    let has_url = config.proxy_url.is_some();
    let has_exceptions = !config.no_proxy.is_empty();
    let wrong = match (config.proxy_from_environment, has_url, has_exceptions) {
        (true, true, _) => {
            "if proxy_from_environment is configured, proxy_url must not be configured"
        }
        (true, _, true) => {
            "if proxy_from_environment is configured, no_proxy must not be configured"
        }
        (false, false, true) => "if no_proxy is configured, proxy_url must also be configured",
        _ => return Ok(()),
    };
    Err(fields.error(wrong))
}

/// Reads a pair such as `password` and `password_file`, of which one may be written.
pub(crate) fn read_source(
    fields: &mut Fields<'_>,
    base_dir: &Path,
    key: &'static str,
    file_key: &'static str,
) -> Result<Option<SecretSource>, ConfigError> {
    let inline = fields.secret(key)?;
    let file = fields.path(file_key, base_dir)?;
    match (inline, file) {
        (Some(_), Some(_)) => Err(fields.error(format!(
            "at most one of {key} & {file_key} must be configured"
        ))),
        (Some(secret), None) => Ok(Some(SecretSource::Inline(secret))),
        (None, file) => Ok(file.map(SecretSource::File)),
    }
}

fn read_auth(fields: &mut Fields<'_>, base_dir: &Path) -> Result<Option<Auth>, ConfigError> {
    let oauth2 = fields.read("oauth2", |node, what| {
        Ok(Auth::OAuth2(Box::new(oauth2::read(node, what, base_dir)?)))
    })?;
    let basic = fields.read("basic_auth", |node, what| {
        let mut inner = Fields::open(node, what)?;
        let auth = Auth::BasicAuth {
            username: read_source(&mut inner, base_dir, "username", "username_file")?,
            password: read_source(&mut inner, base_dir, "password", "password_file")?,
        };
        refuse_refs(&mut inner, &["username_ref", "password_ref"])?;
        inner.finish()?;
        Ok(auth)
    })?;
    let authorization = fields.read("authorization", |node, what| {
        let mut inner = Fields::open(node, what)?;
        let kind = inner.text("type")?.unwrap_or_default().trim().to_owned();
        if kind.eq_ignore_ascii_case("basic") {
            return Err(ConfigError::at(
                node.place,
                format!("{what}: type cannot be set to \"basic\""),
            )
            .remedy("use basic_auth instead"));
        }
        let auth = Auth::Authorization {
            kind: if kind.is_empty() { bearer() } else { kind },
            credentials: read_source(&mut inner, base_dir, "credentials", "credentials_file")?,
        };
        refuse_refs(&mut inner, &["credentials_ref"])?;
        inner.finish()?;
        Ok(auth)
    })?;
    let token = read_source(fields, base_dir, "bearer_token", "bearer_token_file")?;
    let bearer_token = token.map(|token| Auth::Authorization {
        kind: bearer(),
        credentials: Some(token),
    });
    let mut found = [basic, authorization, oauth2, bearer_token]
        .into_iter()
        .flatten();
    let auth = found.next();
    if found.next().is_some() {
        return Err(fields.error(
            "at most one of basic_auth, authorization, oauth2, bearer_token & bearer_token_file \
             must be configured",
        ));
    }
    Ok(auth)
}

fn bearer() -> String {
    "Bearer".to_owned()
}

fn refuse_refs(fields: &mut Fields<'_>, keys: &[&'static str]) -> Result<(), ConfigError> {
    keys.iter().try_for_each(|key| {
        let remedy = "use the key that ends in _file";
        refuse(fields, key, "needs a secret manager, which we lack", remedy)
    })
}

fn read_tls(node: &Node, what: &str, base_dir: &Path) -> Result<TlsConfig, ConfigError> {
    let mut fields = Fields::open(node, what)?;
    let tls = TlsConfig {
        ca: read_source(&mut fields, base_dir, "ca", "ca_file")?,
        cert: read_source(&mut fields, base_dir, "cert", "cert_file")?,
        key: read_source(&mut fields, base_dir, "key", "key_file")?,
        server_name: fields.text("server_name")?.unwrap_or_default(),
        insecure_skip_verify: fields.bool("insecure_skip_verify")?.unwrap_or(false),
        min_version: fields.read("min_version", read_tls_version)?,
        max_version: fields.read("max_version", read_tls_version)?,
    };
    refuse_refs(&mut fields, &["ca_ref", "cert_ref", "key_ref"])?;
    if tls.cert.is_some() != tls.key.is_some() {
        return Err(fields
            .error("exactly one of cert and key is configured")
            .remedy("a client certificate needs both"));
    }
    if tls
        .min_version
        .zip(tls.max_version)
        .is_some_and(|(min, max)| min > max)
    {
        return Err(fields.error("min_version is above max_version"));
    }
    fields.finish()?;
    Ok(tls)
}

fn read_tls_version(node: &Node, what: &str) -> Result<TlsVersion, ConfigError> {
    // TLS 1.0 and 1.1 are valid in Prometheus; as a minimum they are no tighter than 1.2 is.
    if what.ends_with("min_version") && matches!(value::text(node, what)?, "TLS10" | "TLS11") {
        return Ok(TlsVersion::Tls12);
    }
    value::word(
        node,
        what,
        &[("TLS12", TlsVersion::Tls12), ("TLS13", TlsVersion::Tls13)],
    )
}

fn read_headers(
    node: &Node,
    what: &str,
    base_dir: &Path,
) -> Result<Vec<(String, HeaderValues)>, ConfigError> {
    let mut headers = Vec::new();
    for (key, node) in value::entries(node, what)? {
        check_header(key.text).map_err(|message| ConfigError::at(key.place, message))?;
        let mut fields = Fields::open(node, format!("{what}.{}", key.text))?;
        let values = HeaderValues {
            values: fields.texts("values")?,
            secrets: fields.list("secrets", |node, what| {
                Ok(Secret::new(value::text(node, what)?))
            })?,
            files: fields.list("files", |node, what| {
                Ok(base_dir.join(value::text(node, what)?))
            })?,
        };
        fields.finish()?;
        headers.push((key.text.to_owned(), values));
    }
    Ok(headers)
}

/// Says why a header may not be set.
pub(crate) fn check_header(name: &str) -> Result<(), String> {
    if RESERVED_HEADERS.contains(&name.to_lowercase().as_str()) {
        return Err(format!("setting header {name:?} is not allowed"));
    }
    match http::HeaderName::from_bytes(name.as_bytes()) {
        Ok(_) => Ok(()),
        Err(_) => Err(format!("{name:?} is not a header name")),
    }
}

/// Reads an absolute URL.
pub(crate) fn read_url(node: &Node, what: &str) -> Result<Url, ConfigError> {
    let text = value::text(node, what)?;
    let url = Url::parse(text).ok().filter(|url| url.has_host());
    url.ok_or_else(|| {
        ConfigError::at(node.place, format!("{what}: {text:?} is not an URL"))
            .remedy("write it with scheme and host, such as http://host:9093/path")
    })
}

/// The same for an URL whose path may be a secret: what is written is not repeated.
pub(crate) fn read_hidden_url(node: &Node, what: &str) -> Result<Url, ConfigError> {
    read_url(node, what).map_err(|mut error| {
        error.message = format!("{what}: this is not an URL");
        error
    })
}
