//! What leaves: TLS and credentials towards Alertmanagers, webhooks and remote write, against a
//! server that speaks TLS with certificates of its own.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use burnwatch::config::{self, Source};
use burnwatch::notify::departure::Departure;
use burnwatch::notify::http_client::HttpClient;
use bytes::Bytes;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use crate::pki::{Authority, Pair};
use crate::process::{Setup, now_ms, wait_for};
use crate::sender::{Protocol, Series};

/// A server that notes requests and answers each in the same way.
pub struct Sink {
    pub port: u16,
    seen: Arc<Mutex<Vec<String>>>,
}

/// What a sink answers to a request.
pub type Answering = Arc<dyn Fn(&str) -> String + Send + Sync>;

/// Answers 200 with a body.
pub fn ok(body: &str) -> String {
    let length = body.len();
    format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}")
}

impl Sink {
    /// Starts a sink without TLS.
    pub async fn plain(answer: Answering) -> Sink {
        Sink::start(None, answer).await
    }

    /// Starts a sink with TLS that asks for a certificate of `clients`, where that is given.
    pub async fn with_tls(pair: &Pair, clients: Option<&Authority>) -> Sink {
        let config = server_config(pair, clients);
        Sink::start(Some(Arc::new(config)), Arc::new(|_| ok(""))).await
    }

    async fn start(tls: Option<Arc<ServerConfig>>, answer: Answering) -> Sink {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let port = listener.local_addr().expect("bound").port();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let noted = Arc::clone(&seen);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (noted, answer) = (Arc::clone(&noted), Arc::clone(&answer));
                let tls = tls.clone();
                tokio::spawn(async move {
                    match tls {
                        None => serve(stream, &noted, &answer).await,
                        // A client that does not trust us is gone already.
                        Some(tls) => match TlsAcceptor::from(tls).accept(stream).await {
                            Ok(stream) => serve(stream, &noted, &answer).await,
                            Err(_) => return,
                        },
                    }
                });
            }
        });
        Sink { port, seen }
    }

    /// Returns the requests so far, head and body.
    pub fn seen(&self) -> Vec<String> {
        self.seen.lock().expect("no panic holds it").clone()
    }
}

async fn serve(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    noted: &Mutex<Vec<String>>,
    answer: &Answering,
) {
    let mut came = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&came).into_owned();
        if let Some((head, _)) = text.split_once("\r\n\r\n") {
            let lower = head.to_ascii_lowercase();
            let length = lower
                .lines()
                .find_map(|l| l.strip_prefix("content-length: "));
            let length: usize = length.and_then(|n| n.parse().ok()).unwrap_or(0);
            let head_bytes = came
                .windows(4)
                .position(|b| b == b"\r\n\r\n")
                .expect("a head")
                + 4;
            if came.len() >= head_bytes + length {
                noted.lock().expect("no panic holds it").push(text.clone());
                let _ = stream.write_all(answer(&text).as_bytes()).await;
                let _ = stream.shutdown().await;
                return;
            }
        }
        let mut buffer = [0; 4096];
        match stream.read(&mut buffer).await {
            Ok(0) | Err(_) => return,
            Ok(n) => came.extend_from_slice(&buffer[..n]),
        }
    }
}

fn server_config(pair: &Pair, clients: Option<&Authority>) -> ServerConfig {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .expect("versions");
    let builder = match clients {
        None => builder.with_no_client_auth(),
        Some(authority) => {
            let mut roots = RootCertStore::empty();
            let root = CertificateDer::from_pem_slice(authority.pem().as_bytes()).expect("PEM");
            roots.add(root).expect("a root");
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
            builder.with_client_cert_verifier(verifier.build().expect("a verifier"))
        }
    };
    let chain = CertificateDer::pem_slice_iter(pair.cert.as_bytes());
    let chain = chain.collect::<Result<Vec<_>, _>>().expect("PEM");
    let key = PrivateKeyDer::from_pem_slice(pair.key.as_bytes()).expect("PEM");
    builder.with_single_cert(chain, key).expect("a pair")
}

/// Returns a client with the HTTP fields of a receiver, written as in the configuration.
pub fn client(directory: &Path, fields: &str) -> HttpClient {
    let text = format!("burnwatch:\n  webhooks:\n  - url: http://unused\n{fields}");
    let path = directory.join("prometheus.yml");
    let source = Source {
        path: &path,
        text: &text,
    };
    let config = config::load(source, None, &|_| None).unwrap_or_else(|e| panic!("{e}\n{text}"));
    HttpClient::new(config.burnwatch.webhooks[0].http.clone())
}

/// Posts a few bytes.
pub async fn post(client: &HttpClient, url: &str) -> Result<u16, String> {
    let url = url.parse().expect("a URL");
    let body = Bytes::from_static(b"{}");
    let (timeout, departure) = (Duration::from_secs(30), Departure::default());
    let posted = client.post(&url, &[], body, timeout, &departure).await;
    posted
        .map(|answer| answer.status)
        .map_err(|e| e.to_string())
}

/// Every key of `tls_config` does what it says: with it the sink is reached, without it not.
#[tokio::test(flavor = "multi_thread")]
async fn each_key_of_tls_config_counts() {
    let directory = tempfile::tempdir().expect("a directory");
    let (authority, foreign) = (Authority::new("ours"), Authority::new("foreign"));
    let ours = authority.client(&["burnwatch"]);
    for (name, text) in [
        ("ca.pem", authority.pem()),
        ("foreign.pem", foreign.pem()),
        ("cert.pem", ours.cert.clone()),
        ("key.pem", ours.key.clone()),
        ("foreign-cert.pem", foreign.client(&["burnwatch"]).cert),
    ] {
        std::fs::write(directory.path().join(name), text).expect("a file");
    }
    let inline = |key: &str, pem: &str| {
        let indented: String = pem
            .lines()
            .map(|line| format!("        {line}\n"))
            .collect();
        format!("{key}: |\n{indented}")
    };
    let plain = Sink::with_tls(&authority.server(&["localhost"]), None).await;
    let mutual = Sink::with_tls(&authority.server(&["localhost"]), Some(&authority)).await;
    let named = Sink::with_tls(&authority.server(&["am.example"]), None).await;
    let tls = |keys: &str| {
        format!(
            "    tls_config:\n      {}\n",
            keys.replace('\n', "\n      ")
        )
    };
    let pair = "cert_file: cert.pem\nkey_file: key.pem";
    for (sink, fields, reached) in [
        (&plain, String::new(), false),
        (&plain, tls("ca_file: ca.pem"), true),
        (
            &plain,
            format!("    tls_config:\n      {}", inline("ca", &authority.pem())),
            true,
        ),
        (&plain, tls("ca_file: foreign.pem"), false),
        (&plain, tls("insecure_skip_verify: true"), true),
        (&plain, tls("ca_file: ca.pem\nmin_version: TLS13"), true),
        (&plain, tls("ca_file: ca.pem\nmax_version: TLS12"), true),
        (&mutual, tls("ca_file: ca.pem"), false),
        (&mutual, tls(&format!("ca_file: ca.pem\n{pair}")), true),
        (&named, tls("ca_file: ca.pem"), false),
        (
            &named,
            tls("ca_file: ca.pem\nserver_name: am.example"),
            true,
        ),
        (
            &named,
            tls("ca_file: ca.pem\nserver_name: other.example"),
            false,
        ),
    ] {
        let url = format!("https://localhost:{}/hook", sink.port);
        let n_before = sink.seen().len();
        let posted = post(&client(directory.path(), &fields), &url).await;
        assert_eq!(posted == Ok(200), reached, "{fields}: {posted:?}");
        assert_eq!(
            sink.seen().len() - n_before,
            usize::from(reached),
            "{fields}"
        );
    }
}

/// What is sent along: credentials and headers, from the file as it is now.
#[tokio::test(flavor = "multi_thread")]
async fn each_way_of_saying_who_we_are_is_sent() {
    let directory = tempfile::tempdir().expect("a directory");
    std::fs::write(directory.path().join("secret"), "from-file\n").expect("a file");
    let sink = Sink::plain(Arc::new(|_| ok(""))).await;
    for (fields, header) in [
        (
            "basic_auth: {username: a, password: b}",
            "authorization: Basic YTpi",
        ),
        (
            "basic_auth: {username: a, password_file: secret}",
            "authorization: Basic YTpmcm9tLWZpbGU=",
        ),
        ("authorization: {credentials: c}", "authorization: Bearer c"),
        (
            "authorization: {type: Token, credentials_file: secret}",
            "authorization: Token from-file",
        ),
        (
            "bearer_token_file: secret",
            "authorization: Bearer from-file",
        ),
        ("http_headers: {X-A: {values: [b]}}", "x-a: b"),
        ("http_headers: {X-A: {secrets: [c]}}", "x-a: c"),
        ("http_headers: {X-A: {files: [secret]}}", "x-a: from-file"),
    ] {
        let client = client(directory.path(), &format!("    {fields}\n"));
        let url = format!("http://localhost:{}/hook", sink.port);
        assert_eq!(post(&client, &url).await, Ok(200), "{fields}");
        let seen = sink.seen().pop().expect("a request");
        let is_sent = seen.lines().any(|line| line.eq_ignore_ascii_case(header));
        assert!(is_sent, "{fields}: {seen}");
    }
    // A secret with a line break would begin a header of its own.
    std::fs::write(directory.path().join("secret"), "a\r\nX-Injected: 1\n").expect("a file");
    let n_before = sink.seen().len();
    for fields in [
        "bearer_token_file: secret",
        "http_headers: {X-A: {files: [secret]}}",
    ] {
        let client = client(directory.path(), &format!("    {fields}\n"));
        let url = format!("http://localhost:{}/hook", sink.port);
        let refused = post(&client, &url).await.expect_err(fields);
        assert!(refused.contains("a header cannot be sent"), "{refused}");
    }
    assert_eq!(sink.seen().len(), n_before);
}

#[tokio::test(flavor = "multi_thread")]
async fn proxies_are_used_and_passed_by() {
    let directory = tempfile::tempdir().expect("a directory");
    let proxy = Sink::plain(Arc::new(|_| ok(""))).await;
    let target = Sink::plain(Arc::new(|_| ok(""))).await;
    let url = format!("http://127.0.0.1:{}/hook", target.port);
    let through = format!("    proxy_url: http://u:p@127.0.0.1:{}\n", proxy.port);
    let through_client = client(directory.path(), &through);
    assert_eq!(post(&through_client, &url).await, Ok(200));
    let seen = proxy.seen().remove(0);
    assert!(
        seen.starts_with(&format!("POST {url} HTTP/1.1\r\n")),
        "{seen}"
    );
    assert!(
        seen.to_lowercase()
            .contains("\r\nproxy-authorization: basic dtpw"),
        "{seen}"
    );
    assert!(target.seen().is_empty());
    let around = client(
        directory.path(),
        &format!("{through}    no_proxy: 127.0.0.1\n"),
    );
    assert_eq!(post(&around, &url).await, Ok(200));
    assert_eq!((proxy.seen().len(), target.seen().len()), (1, 1));
    // Credentials for the proxy are not for the target.
    assert!(
        !target.seen()[0]
            .to_lowercase()
            .contains("proxy-authorization")
    );
}

/// A receiver that sends us elsewhere must not get our secrets there.
#[tokio::test(flavor = "multi_thread")]
async fn secrets_stay_behind_when_a_redirect_leads_elsewhere() {
    let directory = tempfile::tempdir().expect("a directory");
    let elsewhere = Sink::plain(Arc::new(|_| ok(""))).await;
    let to = format!("http://localhost:{}/taken", elsewhere.port);
    let redirect = format!(
        "HTTP/1.1 307 Temporary Redirect\r\nLocation: {to}\r\nContent-Length: 0\r\nConnection: \
         close\r\n\r\n"
    );
    let first = Sink::plain(Arc::new(move |_| redirect.clone())).await;
    let url = format!("http://127.0.0.1:{}/hook", first.port);
    for (fields, is_followed) in [
        ("basic_auth: {username: a, password: b}", true),
        ("authorization: {credentials: s3cr3t}", true),
        ("http_headers: {X-Key: {secrets: [s3cr3t]}}", false),
        ("follow_redirects: false", false),
    ] {
        let n_before = elsewhere.seen().len();
        let _ = post(&client(directory.path(), &format!("    {fields}\n")), &url).await;
        let came = elsewhere.seen().split_off(n_before);
        assert_eq!(!came.is_empty(), is_followed, "{fields}");
        for request in came {
            let lower = request.to_lowercase();
            let is_bare = !lower.contains("authorization") && !lower.contains("s3cr3t");
            assert!(is_bare, "{fields}: {request}");
        }
    }
}

/// The same through the real server: an alert and its samples reach an Alertmanager, a webhook
/// and a remote write endpoint that want a certificate of us and a password.
#[tokio::test(flavor = "multi_thread")]
async fn alerts_and_samples_leave_by_mutual_tls() {
    let authority = Authority::new("ours");
    let sink = Sink::with_tls(&authority.server(&["localhost"]), Some(&authority)).await;
    let ours = authority.client(&["burnwatch"]);
    let http = "tls_config: {ca_file: ca.pem, cert_file: cert.pem, key_file: key.pem}, \
                basic_auth: {username: a, password: b}";
    let port = sink.port;
    let config = format!(
        "alerting: {{alertmanagers: [{{scheme: https, static_configs: [{{targets: \
         ['localhost:{port}']}}], {http}}}]}}\nburnwatch:\n  webhooks: [{{url: \
         'https://localhost:{port}/hook', {http}}}]\n  write_back: [{{url: \
         'https://localhost:{port}/write', {http}}}]\n"
    );
    let rules = "groups: [{name: g, rules: [{alert: High, expr: level > 5}]}]";
    let server = Setup::with_config(&config, rules)
        .file("ca.pem", &authority.pem())
        .file("cert.pem", &ours.cert)
        .file("key.pem", &ours.key)
        .start();
    let at = now_ms() - 10_000;
    server.write(Protocol::V2, &[Series::new("level").float(at, 9.0)]);
    server.write(Protocol::V2, &[Series::new("level").float(at + 3_000, 9.0)]);
    for path in ["/api/v2/alerts", "/hook", "/write"] {
        wait_for(path, || {
            let seen = sink.seen();
            let request = seen
                .iter()
                .find(|r| r.starts_with(&format!("POST {path} ")))?;
            let lower = request.to_lowercase();
            assert!(
                lower.contains("\r\nauthorization: basic ytpi\r\n"),
                "{request}"
            );
            Some(())
        });
    }
}
