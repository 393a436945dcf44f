//! `--web.config.file`: TLS and users, in the file that Prometheus and its exporters share.
//!
//! Keys, defaults and what is wrong with them are those of `prometheus/exporter-toolkit`. Reading
//! is pure over the text; that certificates and keys can be used is known once `web` has them.

use std::path::Path;

use crate::config::fields::Fields;
use crate::config::value::{self, parse};
use crate::config::{ConfigError, Secret, SecretSource, TlsVersion};
use crate::model::DurationMs;
use crate::yaml::Node;

/// A whole web configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WebConfig {
    /// `tls_server_config`; `None` is plain HTTP.
    pub tls: Option<TlsServerConfig>,
    /// `http_server_config`
    pub http: HttpServerConfig,
    /// `rate_limit`; `None` where no interval is written.
    pub rate_limit: Option<RateLimit>,
    /// `basic_auth_users`: names and bcrypt hashes, in the order of the file.
    pub users: Vec<(String, Secret)>,
}

/// How to speak TLS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsServerConfig {
    /// Our certificate with what leads to its root, PEM.
    pub cert: SecretSource,
    /// Its key, PEM.
    pub key: SecretSource,
    /// What is asked of clients.
    pub client_auth: ClientAuth,
    /// The authorities that clients' certificates must come from, PEM.
    pub client_ca: Option<SecretSource>,
    /// A client's certificate must bear one of these names; empty: any.
    pub client_allowed_sans: Vec<String>,
    /// The lowest version to speak.
    pub min_version: TlsVersion,
    /// The highest version to speak.
    pub max_version: TlsVersion,
    /// Suites for TLS 1.2 under Go's names, of [`CIPHER_SUITES`]; empty: the default.
    pub cipher_suites: Vec<String>,
    /// Curves under Go's names, of [`CURVES`]; empty: the default.
    pub curve_preferences: Vec<String>,
    /// Whether our order of suites counts, not the client's.
    pub prefer_server_cipher_suites: bool,
}

/// What is asked of clients; Go's `tls.ClientAuthType`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ClientAuth {
    /// Nothing.
    #[default]
    NoClientCert,
    /// A certificate; any will do, and none.
    RequestClientCert,
    /// A certificate; any will do.
    RequireAnyClientCert,
    /// A certificate of our authorities, or none.
    VerifyClientCertIfGiven,
    /// A certificate of our authorities.
    RequireAndVerifyClientCert,
}

impl ClientAuth {
    /// Tells whether what a client gives must come from our authorities.
    pub fn verifies(self) -> bool {
        use ClientAuth::{RequireAndVerifyClientCert, VerifyClientCertIfGiven};
        matches!(self, VerifyClientCertIfGiven | RequireAndVerifyClientCert)
    }

    /// Tells whether a client must give one.
    pub fn requires(self) -> bool {
        use ClientAuth::{RequireAndVerifyClientCert, RequireAnyClientCert};
        matches!(self, RequireAnyClientCert | RequireAndVerifyClientCert)
    }
}

/// `http_server_config`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpServerConfig {
    /// Whether HTTP/2 may be negotiated, which takes TLS.
    pub http2: bool,
    /// Headers of every answer.
    pub headers: Vec<(String, String)>,
}

impl Default for HttpServerConfig {
    fn default() -> Self {
        HttpServerConfig {
            http2: true,
            headers: Vec::new(),
        }
    }
}

/// `rate_limit`: a bucket of `burst` tokens, with a new one every `interval`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateLimit {
    /// The time between two requests.
    pub interval: DurationMs,
    /// How many may come at once.
    pub burst: u64,
}

/// Headers that may be set, and to what; no list means anything.
const HEADERS: [(&str, &[&str]); 5] = [
    ("Strict-Transport-Security", &[]),
    ("X-Content-Type-Options", &["nosniff"]),
    ("X-Frame-Options", &["deny", "sameorigin"]),
    ("X-XSS-Protection", &[]),
    ("Content-Security-Policy", &[]),
];

/// The suites that Go knows and holds for safe.
pub const CIPHER_SUITES: [&str; 13] = [
    "TLS_AES_128_GCM_SHA256",
    "TLS_AES_256_GCM_SHA384",
    "TLS_CHACHA20_POLY1305_SHA256",
    "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA",
    "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA",
    "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA",
    "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA",
    "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
    "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
    "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
    "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384",
    "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256",
    "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
];
/// What HTTP/2 demands of a list of suites: one of these.
const HTTP2_SUITES: [&str; 2] = [
    "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
    "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
];

/// The curves that exporter-toolkit knows.
pub const CURVES: [&str; 4] = ["CurveP256", "CurveP384", "CurveP521", "X25519"];

/// Reads a web configuration; relative paths are relative to `path`'s directory.
pub fn load_web(path: &Path, text: &str) -> Result<WebConfig, ConfigError> {
    let base_dir = path.parent().unwrap_or(Path::new(""));
    let read = || {
        let root = parse(text)?;
        let mut fields = Fields::open(&root, "")?;
        let tls = fields.node("tls_server_config");
        let config = WebConfig {
            tls: match tls {
                Some(node) => read_tls(node, base_dir)?,
                None => None,
            },
            http: fields
                .read("http_server_config", read_http)?
                .unwrap_or_default(),
            rate_limit: fields.read("rate_limit", read_rate_limit)?.flatten(),
            users: fields
                .read("basic_auth_users", read_users)?
                .unwrap_or_default(),
        };
        fields.finish()?;
        if let (Some(tls), Some(node)) = (&config.tls, tls) {
            check_http2_suites(tls, &config.http, node)?;
        }
        Ok(config)
    };
    read().map_err(|e: ConfigError| e.in_file(path))
}

fn read_tls(node: &Node, base_dir: &Path) -> Result<Option<TlsServerConfig>, ConfigError> {
    let mut fields = Fields::open(node, "tls_server_config")?;
    // Where both are written the file counts, as in exporter-toolkit.
    let mut source = |key, file_key| -> Result<Option<SecretSource>, ConfigError> {
        let inline = fields.secret(key)?.map(SecretSource::Inline);
        let file = fields.path(file_key, base_dir)?.map(SecretSource::File);
        Ok(file.or(inline))
    };
    let cert = source("cert", "cert_file")?;
    let key = source("key", "key_file")?;
    let client_ca = source("client_ca", "client_ca_file")?;
    let client_auth = fields.nonempty("client_auth_type")?;
    let client_allowed_sans = fields.texts("client_allowed_sans")?;
    let min_version = fields.read("min_version", |node, what| version(node, what, true))?;
    let max_version = fields.read("max_version", |node, what| version(node, what, false))?;
    let known = |key: &'static str, what: &'static str, names: &'static [&'static str]| {
        move |node: &Node, place: &str| -> Result<String, ConfigError> {
            let text = value::text(node, place)?;
            match names.contains(&text) {
                true => Ok(text.to_owned()),
                false => Err(
                    ConfigError::at(node.place, format!("unknown {what}: {text}"))
                        .remedy(format!("{key} may have {}", names.join(", "))),
                ),
            }
        }
    };
    let suites = known("cipher_suites", "cipher", &CIPHER_SUITES);
    let cipher_suites = fields.list("cipher_suites", suites)?;
    let curves = known("curve_preferences", "curve", &CURVES);
    let curve_preferences = fields.list("curve_preferences", curves)?;
    let prefer_server_cipher_suites = fields.bool("prefer_server_cipher_suites")?.unwrap_or(true);
    let is_meant = [&cert, &key, &client_ca]
        .iter()
        .any(|source| source.is_some());
    let error = |message: &str, remedy: &str| Err(fields.error(message).remedy(remedy));
    if !is_meant && client_auth.is_none() {
        if !client_allowed_sans.is_empty() {
            return error(
                "client_allowed_sans is written, and no certificate",
                "write cert_file and key_file: without them clients are not asked who they are",
            );
        }
        fields.finish()?;
        return Ok(None);
    }
    let Some(cert) = cert else {
        return error(
            "missing one of cert or cert_file",
            "TLS takes both certificate and key",
        );
    };
    let Some(key) = key else {
        return error(
            "missing one of key or key_file",
            "TLS takes both certificate and key",
        );
    };
    let client_auth = match client_auth.as_deref() {
        None | Some("NoClientCert") => ClientAuth::NoClientCert,
        Some("RequestClientCert") => ClientAuth::RequestClientCert,
        // The shorter name is an old one.
        Some("RequireAnyClientCert" | "RequireClientCert") => ClientAuth::RequireAnyClientCert,
        Some("VerifyClientCertIfGiven") => ClientAuth::VerifyClientCertIfGiven,
        Some("RequireAndVerifyClientCert") => ClientAuth::RequireAndVerifyClientCert,
        Some(other) => {
            return error(
                &format!("invalid ClientAuth: {other}"),
                "write one of NoClientCert, RequestClientCert, RequireAnyClientCert, \
                 VerifyClientCertIfGiven, RequireAndVerifyClientCert",
            );
        }
    };
    if client_ca.is_some() && client_auth == ClientAuth::NoClientCert {
        return error(
            "client CA's have been configured without a Client Auth Policy",
            "write client_auth_type: RequireAndVerifyClientCert",
        );
    }
    // The next two are accepted by exporter-toolkit, and let in more than they seem to: names
    // are not looked at, and the system's authorities count.
    if !client_allowed_sans.is_empty() && client_auth == ClientAuth::NoClientCert {
        return error(
            "client_allowed_sans has no effect without a client_auth_type",
            "write client_auth_type: RequireAndVerifyClientCert",
        );
    }
    if client_ca.is_none() && client_auth.verifies() {
        return error(
            "client_auth_type verifies certificates, and there is no client_ca_file",
            "name the authorities that clients' certificates come from",
        );
    }
    let min_version = min_version.unwrap_or(TlsVersion::Tls12);
    let max_version = max_version.unwrap_or(TlsVersion::Tls13);
    if min_version > max_version {
        return error(
            "no supported versions satisfy min_version and max_version",
            "write a max_version that is not below min_version",
        );
    }
    fields.finish()?;
    Ok(Some(TlsServerConfig {
        cert,
        key,
        client_auth,
        client_ca,
        client_allowed_sans,
        min_version,
        max_version,
        cipher_suites,
        curve_preferences,
        prefer_server_cipher_suites,
    }))
}

fn version(node: &Node, what: &str, is_min: bool) -> Result<TlsVersion, ConfigError> {
    match value::text(node, what)? {
        "TLS13" => Ok(TlsVersion::Tls13),
        "TLS12" => Ok(TlsVersion::Tls12),
        // We do not speak these; as the lowest they allow what 1.2 allows.
        "TLS11" | "TLS10" if is_min => Ok(TlsVersion::Tls12),
        old @ ("TLS11" | "TLS10") => Err(ConfigError::at(
            node.place,
            format!("{what}: {old} is not spoken here"),
        )
        .remedy("write TLS12 or TLS13")),
        other => Err(
            ConfigError::at(node.place, format!("unknown TLS version: {other}"))
                .remedy("write TLS12 or TLS13"),
        ),
    }
}

fn check_http2_suites(
    tls: &TlsServerConfig,
    http: &HttpServerConfig,
    node: &Node,
) -> Result<(), ConfigError> {
    let suites = &tls.cipher_suites;
    let lacks = !suites.is_empty() && !suites.iter().any(|s| HTTP2_SUITES.contains(&s.as_str()));
    if !http.http2 || tls.min_version == TlsVersion::Tls13 || !lacks {
        return Ok(());
    }
    let message = "tls_server_config: TLSConfig.CipherSuites is missing an HTTP/2-required \
                   AES_128_GCM_SHA256 cipher";
    let remedy = format!(
        "add {}, or write http_server_config: {{http2: false}}",
        HTTP2_SUITES.join(" or ")
    );
    Err(ConfigError::at(node.place, message).remedy(remedy))
}

fn read_http(node: &Node, what: &str) -> Result<HttpServerConfig, ConfigError> {
    let mut fields = Fields::open(node, what)?;
    let http2 = fields.bool("http2")?.unwrap_or(true);
    let headers = fields.text_map("headers")?;
    for (name, value) in &headers {
        let Some((_, values)) = HEADERS.iter().find(|(known, _)| known == name) else {
            let known = HEADERS.map(|(name, _)| name).join(", ");
            return Err(fields
                .error(format!("HTTP header {name:?} can not be configured"))
                .remedy(format!("headers may have {known}")));
        };
        if !values.is_empty() && !values.contains(&value.as_str()) {
            return Err(fields.error(format!(
                "invalid value for {name}. Expected one of: {values:?}, but got: {value:?}"
            )));
        }
        if http::HeaderValue::from_str(value).is_err() {
            return Err(fields.error(format!("the value of {name} cannot be sent in a header")));
        }
    }
    fields.finish()?;
    Ok(HttpServerConfig { http2, headers })
}

fn read_rate_limit(node: &Node, what: &str) -> Result<Option<RateLimit>, ConfigError> {
    let mut fields = Fields::open(node, what)?;
    let interval = fields.duration("interval")?.unwrap_or(DurationMs::ZERO);
    let burst = fields.number("burst")?.unwrap_or(0);
    fields.finish()?;
    Ok((interval != DurationMs::ZERO).then_some(RateLimit { interval, burst }))
}

fn read_users(node: &Node, what: &str) -> Result<Vec<(String, Secret)>, ConfigError> {
    let mut users = Vec::new();
    for (name, node) in value::entries(node, what)? {
        let hash = value::text(node, what)?;
        if let Some(wrong) = wrong_hash(hash) {
            // The hash is not repeated: it may be a password that somebody forgot to hash.
            let message = format!(
                "{what}: the hash of {:?}: crypto/bcrypt: {wrong}",
                name.text
            );
            return Err(ConfigError::at(node.place, message)
                .remedy("write the output of: htpasswd -nBC 10 \"\" | tr -d ':\\n'"));
        }
        users.push((name.text.to_owned(), Secret::new(hash)));
    }
    Ok(users)
}

/// Says what is wrong with a bcrypt hash, in the words of Go's package.
fn wrong_hash(hash: &str) -> Option<&'static str> {
    const LENGTH: usize = 60;
    let bytes = hash.as_bytes();
    let [b'$', version, minor_or_dollar, ..] = bytes else {
        return Some("hashedSecret too short to be a bcrypted password");
    };
    if bytes.len() < LENGTH {
        return Some("hashedSecret too short to be a bcrypted password");
    }
    let has_minor = b"aby".contains(minor_or_dollar);
    if *version != b'2' || !has_minor || bytes[3] != b'$' {
        return Some("bcrypt hashes must begin with $2a$, $2b$ or $2y$");
    }
    let cost: Option<u32> = hash.get(4..6).and_then(|digits| digits.parse().ok());
    let is_in_range = cost.is_some_and(|cost| (4..=31).contains(&cost)) && bytes[6] == b'$';
    let is_base64 = |byte: &u8| byte.is_ascii_alphanumeric() || b"./".contains(byte);
    if !is_in_range {
        return Some("cost is outside allowed inclusive range 4..31");
    }
    if bytes.len() > LENGTH || !bytes[7..].iter().all(is_base64) {
        return Some("the text behind the cost is no salt and hash");
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    const HASH: &str = "$2y$10$X0h1gDsPszWURQaxFh.zoubFi6DXncSjhoQNJgRrnGs7EsimhC7zG";

    fn load(text: &str) -> Result<WebConfig, ConfigError> {
        load_web(Path::new("/etc/web.yml"), text)
    }

    #[test]
    fn nothing_written_is_plain_http_for_everybody() {
        for text in [
            "",
            "tls_server_config:\n",
            "tls_server_config: {min_version: TLS13}",
        ] {
            assert_eq!(load(text).expect(text), WebConfig::default(), "{text}");
        }
    }

    #[test]
    fn every_documented_key_is_read() {
        let text = format!(
            "tls_server_config:
  cert_file: server.crt
  key: inline
  client_auth_type: RequireClientCert
  client_ca_file: /ca.pem
  client_allowed_sans: [a.example]
  min_version: TLS10
  max_version: TLS13
  cipher_suites: [TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256]
  prefer_server_cipher_suites: false
  curve_preferences: [X25519]
http_server_config:
  http2: false
  headers: {{X-Frame-Options: deny, Strict-Transport-Security: max-age=1}}
basic_auth_users:
  alice: {HASH}
rate_limit: {{interval: 1s, burst: 3}}
"
        );
        let config = load(&text).expect("documented keys");
        let tls = config.tls.expect("TLS");
        assert_eq!(tls.cert, SecretSource::File("/etc/server.crt".into()));
        assert_eq!(tls.key, SecretSource::Inline(Secret::new("inline")));
        assert_eq!(tls.client_ca, Some(SecretSource::File("/ca.pem".into())));
        assert_eq!(tls.client_auth, ClientAuth::RequireAnyClientCert);
        assert_eq!(tls.min_version, TlsVersion::Tls12);
        assert!(!tls.prefer_server_cipher_suites && !config.http.http2);
        assert_eq!(config.http.headers.len(), 2);
        assert_eq!(config.users, [("alice".to_owned(), Secret::new(HASH))]);
        let interval = DurationMs::from_seconds(1);
        assert_eq!(config.rate_limit, Some(RateLimit { interval, burst: 3 }));
    }

    /// The words are those of exporter-toolkit's own tests, where it has the error.
    #[test]
    fn errors_are_those_of_the_exporter_toolkit() {
        let tls = |keys: &str| format!("tls_server_config: {{{keys}}}");
        let pair = |keys: &str| tls(&format!("cert_file: c, key_file: k, {keys}"));
        let headers = |text: &str| format!("http_server_config: {{headers: {{{text}}}}}");
        let cases = [
            ("tls_config: {}".to_owned(), "unknown key \"tls_config\""),
            ("[]".to_owned(), "must be a mapping"),
            (tls("key_file: k"), "missing one of cert or cert_file"),
            (
                tls("cert_file: '', key_file: k"),
                "missing one of cert or cert_file",
            ),
            (tls("cert_file: c"), "missing one of key or key_file"),
            (
                tls("client_auth_type: RequestClientCert"),
                "missing one of cert or cert_file",
            ),
            (
                pair("client_auth_type: Sometimes"),
                "invalid ClientAuth: Sometimes",
            ),
            (
                pair("client_ca_file: ca"),
                "client CA's have been configured without a Client Auth Policy",
            ),
            (
                pair("client_allowed_sans: [a]"),
                "has no effect without a client_auth_type",
            ),
            (
                pair("client_auth_type: VerifyClientCertIfGiven"),
                "there is no client_ca_file",
            ),
            (
                pair("cipher_suites: [TLS_FAST]"),
                "unknown cipher: TLS_FAST",
            ),
            (pair("curve_preferences: [P1]"), "unknown curve: P1"),
            (pair("min_version: TLS14"), "unknown TLS version: TLS14"),
            (pair("max_version: TLS11"), "TLS11 is not spoken here"),
            (
                pair("min_version: TLS13, max_version: TLS12"),
                "no supported versions satisfy",
            ),
            (
                pair("cipher_suites: [TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA]"),
                "TLSConfig.CipherSuites is missing an HTTP/2-required",
            ),
            (
                headers("X-Frame-Options: maybe"),
                "invalid value for X-Frame-Options",
            ),
            (
                headers("Server: x"),
                "HTTP header \"Server\" can not be configured",
            ),
            (
                "basic_auth_users: {a: hunter2}".to_owned(),
                "hashedSecret too short to be a bcrypted password",
            ),
            (
                format!("basic_auth_users: {{a: {}}}", HASH.replace("$10$", "$99$")),
                "4..31",
            ),
            (
                format!("basic_auth_users: {{a: {}}}", HASH.replace("$2y$", "$1y$")),
                "$2a$",
            ),
        ];
        for (text, part) in cases {
            let error = load(&text).expect_err(&text).to_string();
            assert!(error.contains(part), "{text}: {error}");
            assert!(error.starts_with("/etc/web.yml"), "{error}");
            assert!(!error.contains("hunter2"), "{error}");
        }
    }
}
