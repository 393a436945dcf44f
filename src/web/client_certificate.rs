//! Clients' certificates: Go's five ways of asking for one, and the names that it may bear.

use std::net::IpAddr;
use std::sync::Arc;

use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{
    CryptoProvider, WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature,
};
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, RootCertStore,
    SignatureScheme,
};
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::config::ClientAuth;

/// Asks clients for a certificate, and judges what they give.
#[derive(Debug)]
pub struct ClientCertificates {
    auth: ClientAuth,
    /// Where certificates must come from our authorities.
    authorities: Option<Arc<dyn ClientCertVerifier>>,
    /// One of these names must be in it; empty: any will do.
    allowed_sans: Vec<String>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl ClientCertificates {
    /// Returns the verifier; `roots` are the authorities, used where `auth` verifies.
    pub fn new(
        auth: ClientAuth,
        roots: RootCertStore,
        allowed_sans: Vec<String>,
        provider: &Arc<CryptoProvider>,
    ) -> Result<Self, String> {
        let authorities = if auth.verifies() {
            let roots = Arc::new(roots);
            let builder = WebPkiClientVerifier::builder_with_provider(roots, Arc::clone(provider));
            // Whether one is required is decided below.
            let verifier = builder.allow_unauthenticated().build();
            Some(verifier.map_err(|e| format!("client_ca: {e}"))? as Arc<dyn ClientCertVerifier>)
        } else {
            None
        };
        Ok(ClientCertificates {
            auth,
            authorities,
            allowed_sans,
            algorithms: provider.signature_verification_algorithms,
        })
    }
}

impl ClientCertVerifier for ClientCertificates {
    fn offer_client_auth(&self) -> bool {
        self.auth != ClientAuth::NoClientCert
    }

    fn client_auth_mandatory(&self) -> bool {
        // Names can only be allowed to those who show one.
        self.auth.requires() || !self.allowed_sans.is_empty()
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        let authorities = self.authorities.as_ref();
        authorities.map_or(&[], |authorities| authorities.root_hint_subjects())
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        if let Some(authorities) = &self.authorities {
            authorities.verify_client_cert(end_entity, intermediates, now)?;
        }
        if !self.allowed_sans.is_empty() {
            let names = names_of(end_entity)?;
            if !names.iter().any(|name| self.allowed_sans.contains(name)) {
                let refused = CertificateError::ApplicationVerificationFailure;
                return Err(Error::InvalidCertificate(refused));
            }
        }
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

/// Returns the alternative names of a certificate as exporter-toolkit compares them: hosts,
/// e-mail addresses, IP addresses and URIs as they are written.
fn names_of(certificate: &CertificateDer<'_>) -> Result<Vec<String>, Error> {
    let bad = || Error::InvalidCertificate(CertificateError::BadEncoding);
    let (_, certificate) = X509Certificate::from_der(certificate).map_err(|_| bad())?;
    let extension = certificate.subject_alternative_name().map_err(|_| bad())?;
    let names = extension
        .iter()
        .flat_map(|found| &found.value.general_names);
    Ok(names
        .filter_map(|name| match name {
            GeneralName::DNSName(text) | GeneralName::RFC822Name(text) | GeneralName::URI(text) => {
                Some((*text).to_owned())
            }
            GeneralName::IPAddress(bytes) => match bytes.len() {
                4 => <[u8; 4]>::try_from(*bytes).ok().map(IpAddr::from),
                16 => <[u8; 16]>::try_from(*bytes).ok().map(IpAddr::from),
                _ => None,
            }
            .map(|address| address.to_string()),
            _ => None,
        })
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_four_kinds_of_names_are_read() {
        let key = rcgen::KeyPair::generate().expect("a key");
        let hosts = vec![
            "a.example".to_owned(),
            "10.0.0.1".to_owned(),
            "::1".to_owned(),
        ];
        let mut params = rcgen::CertificateParams::new(hosts).expect("names");
        for name in ["x@a.example", "spiffe://a/b"] {
            let text = name.try_into().expect("ASCII");
            params.subject_alt_names.push(match name.contains('@') {
                true => rcgen::SanType::Rfc822Name(text),
                false => rcgen::SanType::URI(text),
            });
        }
        let certificate = params.self_signed(&key).expect("a certificate");
        let names = names_of(certificate.der()).expect("a certificate");
        assert_eq!(
            names,
            [
                "a.example",
                "10.0.0.1",
                "::1",
                "x@a.example",
                "spiffe://a/b"
            ]
        );
        assert!(names_of(&CertificateDer::from(vec![1, 2, 3])).is_err());
    }
}
