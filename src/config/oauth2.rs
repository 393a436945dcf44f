//! `oauth2`: tokens by client credentials, fetched from a server of their own.

use std::path::Path;

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use url::Url;

use crate::config::fields::Fields;
use crate::config::http_client::{HttpClientConfig, read_proxy, read_source, read_url, refuse};
use crate::config::{ConfigError, SecretSource, serialize};
use crate::yaml::Node;

/// Where tokens come from.
#[derive(Clone, Debug, PartialEq)]
pub struct OAuth2Config {
    /// Who we are there.
    pub client_id: String,
    /// Our secret there.
    pub client_secret: SecretSource,
    /// What the token is to be good for.
    pub scopes: Vec<String>,
    /// Where to ask.
    pub token_url: Url,
    /// What else to send along.
    pub endpoint_params: Vec<(String, String)>,
    /// How to speak HTTP with it: TLS and proxy only.
    pub http: HttpClientConfig,
}

impl Serialize for OAuth2Config {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("client_id", &self.client_id)?;
        match &self.client_secret {
            SecretSource::Inline(secret) => map.serialize_entry("client_secret", secret)?,
            SecretSource::File(path) => map.serialize_entry("client_secret_file", path)?,
        }
        if !self.scopes.is_empty() {
            map.serialize_entry("scopes", &self.scopes)?;
        }
        map.serialize_entry("token_url", &serialize::redacted(&self.token_url))?;
        if !self.endpoint_params.is_empty() {
            // Some servers want secrets here; names say enough.
            let shown: Vec<(String, &str)> = self
                .endpoint_params
                .iter()
                .map(|(name, _)| (name.clone(), "<secret>"))
                .collect();
            map.serialize_entry("endpoint_params", &Pairs(&shown))?;
        }
        if self.http.tls_config != Default::default() {
            map.serialize_entry("tls_config", &self.http.tls_config)?;
        }
        if let Some(proxy) = &self.http.proxy_url {
            map.serialize_entry("proxy_url", &serialize::redacted(proxy))?;
        }
        if !self.http.no_proxy.is_empty() {
            map.serialize_entry("no_proxy", &self.http.no_proxy)?;
        }
        if self.http.proxy_from_environment {
            map.serialize_entry("proxy_from_environment", &true)?;
        }
        map.end()
    }
}

struct Pairs<'a>(&'a [(String, &'a str)]);

impl Serialize for Pairs<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serialize::pairs(self.0, serializer)
    }
}

pub(crate) fn read(node: &Node, what: &str, base_dir: &Path) -> Result<OAuth2Config, ConfigError> {
    let mut fields = Fields::open(node, what)?;
    let client_id = fields.nonempty("client_id")?;
    let client_secret = read_source(&mut fields, base_dir, "client_secret", "client_secret_file")?;
    let token_url = fields.read("token_url", read_url)?;
    let grant_type = fields.nonempty("grant_type")?;
    if grant_type.is_some_and(|kind| kind != "client_credentials") {
        return Err(fields
            .error("this grant_type is not supported")
            .remedy("write grant_type: client_credentials, or leave it out"));
    }
    let missing = |what: &str| Err(fields.error(format!("oauth2 {what} must be configured")));
    let Some(client_id) = client_id else {
        return missing("client_id");
    };
    let Some(client_secret) = client_secret else {
        return missing("client_secret or client_secret_file");
    };
    let Some(token_url) = token_url else {
        return missing("token_url");
    };
    let config = OAuth2Config {
        client_id,
        client_secret,
        token_url,
        scopes: fields.texts("scopes")?,
        endpoint_params: fields.text_map("endpoint_params")?,
        http: read_proxy(&mut fields, base_dir)?,
    };
    let jwt = [
        "client_certificate_key_id",
        "client_certificate_key",
        "client_certificate_key_file",
        "signature_algorithm",
        "iss",
        "audience",
        "claims",
    ];
    for key in jwt {
        refuse(
            &mut fields,
            key,
            "belongs to a grant_type that is not supported",
            "use client_id and client_secret",
        )?;
    }
    refuse(
        &mut fields,
        "client_secret_ref",
        "needs a secret manager, which we lack",
        "use the key that ends in _file",
    )?;
    fields.finish()?;
    Ok(config)
}
