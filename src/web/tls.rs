//! `tls_server_config` on top of rustls.

use std::path::Path;
use std::sync::Arc;

use rustls::crypto::{CryptoProvider, SupportedKxGroup, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{NamedGroup, RootCertStore, ServerConfig, SupportedCipherSuite, version};

use crate::config::{ClientAuth, SecretSource, TlsServerConfig, TlsVersion};
use crate::web::client_certificate::ClientCertificates;

/// Reads a file that the web configuration names, as text.
pub type ReadFile<'a> = dyn FnMut(&Path) -> std::io::Result<String> + 'a;

/// The configuration of connections, and what of the file could not be followed.
pub struct Built {
    /// What connections are made with.
    pub config: ServerConfig,
    /// What is known to Go and is not spoken here.
    pub left_out: Vec<String>,
}

/// Builds the configuration of connections; an error says which key cannot be used, and why.
pub fn build(tls: &TlsServerConfig, http2: bool, read: &mut ReadFile<'_>) -> Result<Built, String> {
    let mut left_out = Vec::new();
    let provider = Arc::new(provider(tls, &mut left_out)?);
    let mut versions = vec![];
    if tls.max_version >= TlsVersion::Tls13 {
        versions.push(&version::TLS13);
    }
    if tls.min_version <= TlsVersion::Tls12 {
        versions.push(&version::TLS12);
    }
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&versions)
        .map_err(|e| format!("cipher_suites and versions do not go together: {e}"))?;
    let builder = if tls.client_auth == ClientAuth::NoClientCert {
        builder.with_no_client_auth()
    } else {
        let mut roots = RootCertStore::empty();
        if let Some(source) = &tls.client_ca {
            let text = text_of(source, "client_ca_file", read)?;
            for certificate in certificates(&text, "client_ca_file")? {
                let added = roots.add(certificate);
                added.map_err(|e| format!("client_ca_file: {e}"))?;
            }
        }
        let sans = tls.client_allowed_sans.clone();
        let clients = ClientCertificates::new(tls.client_auth, roots, sans, &provider)?;
        builder.with_client_cert_verifier(Arc::new(clients))
    };
    let cert = text_of(&tls.cert, "cert_file", read)?;
    let key = text_of(&tls.key, "key_file", read)?;
    let unusable = |e: &dyn std::fmt::Display| format!("failed to load X509KeyPair: {e}");
    let chain = certificates(&cert, "cert_file")?;
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes())
        .map_err(|_| unusable(&"no private key in PEM is found in key_file"))?;
    let mut config = builder
        .with_single_cert(chain, key)
        .map_err(|e| unusable(&e))?;
    config.ignore_client_order = tls.prefer_server_cipher_suites;
    config.alpn_protocols = match http2 {
        true => vec![b"h2".to_vec(), b"http/1.1".to_vec()],
        false => vec![b"http/1.1".to_vec()],
    };
    Ok(Built { config, left_out })
}

fn text_of(source: &SecretSource, key: &str, read: &mut ReadFile<'_>) -> Result<String, String> {
    match source {
        SecretSource::Inline(secret) => Ok(secret.reveal().to_owned()),
        SecretSource::File(path) => {
            read(path).map_err(|e| format!("failed to read {key} ({}): {e}", path.display()))
        }
    }
}

fn certificates(pem: &str, key: &str) -> Result<Vec<CertificateDer<'static>>, String> {
    let found = CertificateDer::pem_slice_iter(pem.as_bytes()).collect::<Result<Vec<_>, _>>();
    match found {
        Ok(found) if found.is_empty() => Err(format!("{key} holds no certificate; it must be PEM")),
        Ok(found) => Ok(found),
        Err(e) => Err(format!("{key} cannot be read: {e}")),
    }
}

/// Returns the suites and curves of the configuration. As in Go, those of TLS 1.3 cannot be
/// chosen, and stay.
fn provider(tls: &TlsServerConfig, left_out: &mut Vec<String>) -> Result<CryptoProvider, String> {
    let mut provider = ring::default_provider();
    if !tls.cipher_suites.is_empty() {
        let name = |suite: &SupportedCipherSuite| format!("{:?}", suite.suite());
        let is_13 = |suite: &SupportedCipherSuite| suite.tls13().is_some();
        let known = provider.cipher_suites.clone();
        provider.cipher_suites.retain(is_13);
        for wanted in &tls.cipher_suites {
            match known.iter().find(|suite| name(suite) == *wanted) {
                Some(suite) => provider.cipher_suites.push(*suite),
                None if wanted.contains("_WITH_") => left_out.push(wanted.clone()),
                // A suite of TLS 1.3 is there already.
                None => {}
            }
        }
        let has_12 = provider.cipher_suites.iter().any(|suite| !is_13(suite));
        if !has_12 && tls.max_version < TlsVersion::Tls13 {
            return Err("none of cipher_suites is spoken here".to_owned());
        }
    }
    if !tls.curve_preferences.is_empty() {
        let mut groups: Vec<&'static dyn SupportedKxGroup> = Vec::new();
        for wanted in &tls.curve_preferences {
            let group = match wanted.as_str() {
                "CurveP256" => NamedGroup::secp256r1,
                "CurveP384" => NamedGroup::secp384r1,
                "CurveP521" => NamedGroup::secp521r1,
                _ => NamedGroup::X25519,
            };
            match provider
                .kx_groups
                .iter()
                .find(|known| known.name() == group)
            {
                Some(group) => groups.push(*group),
                None => left_out.push(wanted.clone()),
            }
        }
        if groups.is_empty() {
            return Err("none of curve_preferences is spoken here; write X25519".to_owned());
        }
        provider.kx_groups = groups;
    }
    Ok(provider)
}
