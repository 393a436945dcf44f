//! `tls_server_config` against the real server: versions, suites, client certificates, new
//! certificates while it runs.

use std::sync::Arc;

use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, ProtocolVersion};

use crate::pki::{Authority, Pair, connect, get};
use crate::process::{Server, Setup, wait_for};

/// Returns a server's files in place: `web.yml` with more keys of `tls_server_config`.
fn setup(pair: &Pair, more: &str) -> Setup {
    let web = format!(
        "tls_server_config:\n  cert_file: tls/server.crt\n  key_file: tls/server.key\n{more}"
    );
    Setup::new()
        .folder("tls")
        .file("tls/server.crt", &pair.cert)
        .file("tls/server.key", &pair.key)
        .file("web.yml", &web)
        .flag("--web.config.file=web.yml")
}

fn serve(pair: &Pair, more: &str) -> Server {
    setup(pair, more).start()
}

async fn is_ready(server: &Server, config: ClientConfig) -> Result<(), String> {
    let port = server.address().port();
    let answer = get(port, config, "/-/healthy")
        .await
        .map_err(|e| e.to_string())?;
    match answer.starts_with("HTTP/1.1 200 ") {
        true => Ok(()),
        false => Err(answer),
    }
}

#[tokio::test]
async fn a_server_with_a_certificate_speaks_tls_alone() {
    let authority = Authority::new("ours");
    let server = serve(&authority.server(&["localhost"]), "");
    is_ready(&server, authority.trusted(None))
        .await
        .expect("a trusted answer");
    let foreign = Authority::new("foreign");
    let refused = is_ready(&server, foreign.trusted(None)).await;
    assert!(refused.is_err(), "a stranger's certificate would do");
    // In the clear nothing is answered, and nobody hangs.
    let plain = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| server.get("/metrics")));
    assert!(plain.is_err(), "{plain:?}");
}

#[tokio::test]
async fn http2_is_negotiated_unless_it_is_off() {
    let authority = Authority::new("ours");
    let pair = authority.server(&["localhost"]);
    for (more, protocol) in [
        ("", &b"h2"[..]),
        ("http_server_config: {http2: false}\n", b"http/1.1"),
    ] {
        let server = serve(&pair, more);
        let mut config = authority.trusted(None);
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let stream = connect(server.address().port(), config)
            .await
            .expect("connects");
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(protocol), "{more}");
        drop(stream);
        // And it is spoken, by a client that people use.
        let client = reqwest_client(&authority);
        let url = format!("https://localhost:{}/-/healthy", server.address().port());
        let answer = client.get(url).send().await.expect("an answer");
        let is_http2 = answer.version() == reqwest::Version::HTTP_2;
        assert_eq!(
            (answer.status().as_u16(), is_http2),
            (200, protocol == b"h2")
        );
    }
}

fn reqwest_client(authority: &Authority) -> reqwest::Client {
    // Installs the provider of the process.
    burnwatch::notify::http_client::plain().expect("a client");
    let root = reqwest::Certificate::from_pem(authority.pem().as_bytes()).expect("PEM");
    let client = reqwest::Client::builder().no_proxy().tls_certs_only([root]);
    client.build().expect("a client")
}

#[tokio::test]
async fn versions_and_suites_are_those_of_the_file() {
    let authority = Authority::new("ours");
    let pair = authority.server(&["localhost"]);
    let with = |suite: &str, version: &'static rustls::SupportedProtocolVersion| {
        let mut provider = rustls::crypto::ring::default_provider();
        let name = |known: &rustls::SupportedCipherSuite| format!("{:?}", known.suite());
        provider
            .cipher_suites
            .retain(|known| name(known).contains(suite));
        authority.trusted_with(Arc::new(provider), &[version], None)
    };
    let new_only = serve(&pair, "  min_version: TLS13\n");
    let old_only = serve(&pair, "  max_version: TLS12\n");
    let suites = "  cipher_suites: [TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256]\n";
    let one_suite = serve(&pair, suites);
    for (server, suite, version, is_taken) in [
        (&new_only, "AES_128", &TLS13, true),
        (&new_only, "AES_128", &TLS12, false),
        (&old_only, "AES_128", &TLS12, true),
        (&old_only, "AES_128", &TLS13, false),
        (&one_suite, "AES_128", &TLS12, true),
        (&one_suite, "AES_256", &TLS12, false),
        // Suites of TLS 1.3 cannot be chosen, in Go either.
        (&one_suite, "AES_256", &TLS13, true),
    ] {
        let answer = is_ready(server, with(suite, version)).await;
        assert_eq!(answer.is_ok(), is_taken, "{suite} {version:?}: {answer:?}");
    }
    let stream = connect(new_only.address().port(), authority.trusted(None)).await;
    let version = stream.expect("connects").get_ref().1.protocol_version();
    assert_eq!(version, Some(ProtocolVersion::TLSv1_3));
}

/// Go's five ways of asking for a certificate, and who gets through each.
#[tokio::test]
async fn client_certificates_are_asked_for_in_five_ways() {
    let authority = Authority::new("ours");
    let pair = authority.server(&["localhost"]);
    let ours = authority.client(&["sender.example"]);
    let foreign = Authority::new("foreign").client(&["sender.example"]);
    let of_server = authority.server(&["sender.example"]);
    let clients = [
        ("none", None),
        ("ours", Some(&ours)),
        ("foreign", Some(&foreign)),
        ("a server's", Some(&of_server)),
    ];
    for (auth, with_ca, taken) in [
        (
            "NoClientCert",
            false,
            ["none", "ours", "foreign", "a server's"].as_slice(),
        ),
        (
            "RequestClientCert",
            true,
            &["none", "ours", "foreign", "a server's"],
        ),
        (
            "RequireAnyClientCert",
            true,
            &["ours", "foreign", "a server's"],
        ),
        ("VerifyClientCertIfGiven", true, &["none", "ours"]),
        ("RequireAndVerifyClientCert", true, &["ours"]),
    ] {
        let ca = if with_ca {
            "  client_ca_file: tls/ca.crt\n"
        } else {
            ""
        };
        let more = format!("  client_auth_type: {auth}\n{ca}");
        let server = setup(&pair, &more)
            .file("tls/ca.crt", &authority.pem())
            .start();
        for (name, client) in clients {
            let answer = is_ready(&server, authority.trusted(client)).await;
            assert_eq!(
                answer.is_ok(),
                taken.contains(&name),
                "{auth}, {name}: {answer:?}"
            );
        }
    }
}

#[tokio::test]
async fn a_clients_certificate_bears_an_allowed_name() {
    let authority = Authority::new("ours");
    let pair = authority.server(&["localhost"]);
    let more = "  client_auth_type: VerifyClientCertIfGiven\n  client_ca_file: tls/ca.crt\n  \
                client_allowed_sans: [sender.example, 10.0.0.7]\n";
    let server = setup(&pair, more)
        .file("tls/ca.crt", &authority.pem())
        .start();
    for (names, is_taken) in [
        (&["sender.example"][..], true),
        (&["other.example", "sender.example"], true),
        (&["10.0.0.7"], true),
        (&["other.example"], false),
        (&["sub.sender.example"], false),
        (&["SENDER.example"], false),
        (&["10.0.0.8"], false),
    ] {
        let client = authority.client(names);
        let answer = is_ready(&server, authority.trusted(Some(&client))).await;
        assert_eq!(answer.is_ok(), is_taken, "{names:?}: {answer:?}");
    }
    // Who shows none bears no name.
    assert!(is_ready(&server, authority.trusted(None)).await.is_err());
}

/// Certificates that expire are replaced while the server runs; a file that is no certificate
/// leaves the old one in force.
#[tokio::test]
async fn a_new_certificate_counts_without_a_restart() {
    let first = Authority::new("first");
    let second = Authority::new("second");
    let server = serve(&first.server(&["localhost"]), "");
    is_ready(&server, first.trusted(None))
        .await
        .expect("the first");
    server.write_file("tls/server.crt", "no certificate");
    wait_for("the file to be refused", || {
        server
            .log()
            .contains("the old one stays in force")
            .then_some(())
    });
    is_ready(&server, first.trusted(None))
        .await
        .expect("still the first");

    let pair = second.server(&["localhost"]);
    server.write_file("tls/server.crt", &pair.cert);
    server.write_file("tls/server.key", &pair.key);
    let started = std::time::Instant::now();
    while let Err(error) = is_ready(&server, second.trusted(None)).await {
        assert!(started.elapsed() < crate::process::PATIENCE, "{error}");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    assert!(is_ready(&server, first.trusted(None)).await.is_err());
}
