//! No secret is told: a configuration full of marked ones, and everything that the process says.

use std::fmt::Write as _;
use std::process::Command;

use tempfile::TempDir;

use crate::process::{Server, Setup, now_ms, wait_for};
use crate::sender::{Protocol, Series};

/// What every secret has in it, and nothing else. The parts have one each, so that a finding
/// says which.
const MARK: &str = "s3cr3t";

/// Every place in which a configuration may hold a secret. Nobody listens on port 1, so that
/// sending fails and is told of.
fn config() -> String {
    let mut text = String::from("alerting:\n  alertmanagers:\n");
    let _ = write!(
        text,
        "  - static_configs: [{{targets: ['127.0.0.1:1']}}]\n    authorization: {{credentials: \
         {MARK}-am-token}}\n"
    );
    let _ = write!(
        text,
        "  - http_sd_configs:\n    - url: http://u:{MARK}-sd-url@127.0.0.1:1/sd\n      bearer_token: \
         {MARK}-sd-token\n"
    );
    let _ = write!(
        text,
        "burnwatch:\n  webhooks:\n  - url: \
         http://u:{MARK}-hook-user@127.0.0.1:1/{MARK}-hook-path?t={MARK}-q\n    basic_auth: \
         {{username: user, password: {MARK}-hook-password}}\n    http_headers: {{X-Key: {{secrets: \
         [{MARK}-hook-header]}}}}\n"
    );
    // A proxy that is not there, and a key that is none.
    let _ = write!(
        text,
        "  - url: https://127.0.0.1:1/a\n    name: proxied\n    proxy_url: \
         http://u:{MARK}-proxy@127.0.0.1:1\n  - url: https://127.0.0.1:1/b\n    name: keyed\n    \
         tls_config: {{ca: {MARK}-ca, cert: {MARK}-cert, key: {MARK}-key}}\n"
    );
    let _ = write!(
        text,
        "  - url: http://127.0.0.1:1/hook\n    name: oauth\n    oauth2:\n      client_id: id\n      \
         client_secret: {MARK}-oauth\n      token_url: http://127.0.0.1:1/token\n      \
         endpoint_params: {{password: {MARK}-param}}\n"
    );
    let _ = write!(
        text,
        "  write_back:\n  - url: http://u:{MARK}-write-user@127.0.0.1:1/write\n    \
         authorization: {{credentials: {MARK}-write-token}}\n"
    );
    let _ = write!(
        text,
        "  backfill:\n    url: http://u:{MARK}-read-user@127.0.0.1:1/read\n    \
         bearer_token: {MARK}-read-token\n"
    );
    let _ = write!(
        text,
        "  access:\n    tokens:\n    - {{name: all, token: {MARK}-token, roles: [read, write, \
         admin]}}\n    - {{name: file, token_file: token, roles: [read]}}\n"
    );
    text
}

fn web() -> String {
    let hash = bcrypt::hash(format!("{MARK}-web-password"), 4).expect("a hash");
    format!("basic_auth_users:\n  alice: {hash}\n")
}

fn find(what: &str, text: &str, wrong: &mut Vec<String>) {
    let told = text
        .lines()
        .filter(|line| line.contains(MARK) || line.contains("$2b$04$"));
    wrong.extend(told.map(|line| format!("{what}: {line}")));
}

fn get(server: &Server, path: &str, token: &str) -> String {
    let bearer = format!("Bearer {token}");
    server
        .send("GET", path, &[("Authorization", &bearer)], b"")
        .text
}

#[test]
fn nothing_that_is_said_has_a_secret_in_it() {
    let rules =
        "groups: [{name: g, rules: [{alert: High, expr: level > 5}, {record: r, expr: level}]}]";
    let token = format!("{MARK}-token");
    let server = Setup::with_config(&config(), rules)
        .file("web.yml", &web())
        .file("token", &format!("{MARK}-token-file"))
        .flag("--web.config.file=web.yml")
        .flag("--web.enable-lifecycle")
        .flag("--log.level=debug")
        .start();
    let bearer = format!("Bearer {token}");
    let at = now_ms() - 10_000;
    for after in [0, 3_000] {
        let body = Protocol::V2.body(&[Series::new("level").float(at + after, 9.0)]);
        let headers = [
            ("Authorization", bearer.as_str()),
            ("Content-Type", Protocol::V2.content_type()),
        ];
        let reply = server.send("POST", "/api/v1/write", &headers, &body);
        assert_eq!(reply.status, 204, "{}", reply.text);
    }
    // Each kind of receiver has failed, and has been told of.
    for receiver in [
        "/api/v2/alerts",
        "receiver=webhook:webhook",
        "receiver=webhook:keyed",
        "receiver=webhook:oauth",
        "receiver=webhook:proxied",
        "receiver=write_back",
        "http discovery",
    ] {
        wait_for(receiver, || {
            let log = server.log().to_lowercase();
            let failed = |line: &str| line.contains(receiver) && line.contains("warn");
            log.lines().any(failed).then_some(())
        });
    }
    // Somebody signs in with a password and with wrong ones.
    let pair = |text: String| {
        use base64::Engine as _;
        format!(
            "Basic {}",
            base64::engine::general_purpose::STANDARD.encode(text)
        )
    };
    for (value, status) in [
        (pair(format!("alice:{MARK}-web-password")), 200),
        (pair(format!("alice:{MARK}-wrong")), 401),
        (pair(format!("{MARK}-name:x")), 401),
        (format!("Bearer {MARK}-wrong"), 401),
    ] {
        let reply = server.send("GET", "/version", &[("Authorization", &value)], b"");
        assert_eq!(reply.status, status, "{value}");
    }
    let mut wrong = Vec::new();
    for path in [
        "/",
        "/metrics",
        "/graph",
        "/api/v1/status/backfill",
        "/api/v1/status/config",
        "/api/v1/status/flags",
        "/api/v1/status/runtimeinfo",
        "/api/v1/alertmanagers",
        "/api/v1/alerts",
        "/api/v1/rules",
        "/api/v1/notifications",
        "/api/v1/targets",
        "/api/v1/features",
    ] {
        let text = get(&server, path, &token);
        assert!(!text.is_empty(), "{path}");
        find(path, &text, &mut wrong);
    }
    let shown = get(&server, "/api/v1/status/config", &token);
    assert!(
        shown.contains("<secret>"),
        "the configuration is shown: {shown}"
    );
    // A reload that is refused, at a line with a secret.
    server.write_file(
        "prometheus.yml",
        &format!("burnwatch: {{access: {{tokens: {MARK}-moved}}}}"),
    );
    let reply = server.send("POST", "/-/reload", &[("Authorization", &bearer)], b"");
    assert_eq!(reply.status, 500);
    find("reload", &reply.text, &mut wrong);
    server.write_file(
        "web.yml",
        &format!("basic_auth_users: {{alice: {MARK}-unhashed}}"),
    );
    wait_for("the refusal", || {
        server
            .log()
            .contains("web configuration refused")
            .then_some(())
    });
    find("log", &server.log(), &mut wrong);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The checks' output goes into the logs of CI.
#[test]
fn a_check_tells_no_secret() {
    let directory = TempDir::new().expect("a directory");
    let check = |command: &str, name: &str, text: &str, wrong: &mut Vec<String>| {
        let path = directory.path().join(name);
        std::fs::write(&path, text).expect("a file");
        let output = Command::new(env!("CARGO_BIN_EXE_burnwatch"))
            .args(["check", command])
            .arg(&path)
            .output()
            .expect("it runs");
        let said = [output.stdout, output.stderr].concat();
        find(command, &String::from_utf8_lossy(&said), wrong);
        output.status.success()
    };
    let mut wrong = Vec::new();
    std::fs::write(directory.path().join("rules.yml"), "groups: []").expect("a file");
    let whole = format!("rule_files: [rules.yml]\n{}", config());
    assert!(check("config", "prometheus.yml", &whole, &mut wrong));
    assert!(check("web-config", "web.yml", &web(), &mut wrong));
    // Secrets where something else is expected, as when a line is indented wrongly.
    for text in [
        format!("burnwatch: {{webhooks: [{{url: '{MARK}', bearer_token: {MARK}}}]}}"),
        format!("burnwatch: {{webhooks: [{{url: 'http://a', bearer_token: [{MARK}]}}]}}"),
        format!("burnwatch: {{webhooks: [{{url: 'http://a', basic_auth: {MARK}}}]}}"),
        format!(
            "burnwatch: {{webhooks: [{{url: 'http://a', bearer_token: {MARK}, bearer_token_file: f}}]}}"
        ),
        format!("burnwatch: {{access: {{tokens: [{{name: a, token: {MARK}, roles: [x]}}]}}}}"),
    ] {
        assert!(!check("config", "bad.yml", &text, &mut wrong), "{text}");
    }
    let unhashed = format!("basic_auth_users: {{a: {MARK}}}");
    assert!(!check("web-config", "bad.yml", &unhashed, &mut wrong));
    let key = format!("tls_server_config: {{cert: {MARK}, key: {MARK}}}");
    assert!(!check("web-config", "bad.yml", &key, &mut wrong));
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
