//! `--web.config.file` as Prometheus takes it: what is refused, headers, users, rate limits.

use std::process::Command;

use base64::Engine as _;

use crate::process::{Server, Setup, wait_for};

fn hash(password: &str) -> String {
    bcrypt::hash(password, 4).expect("a hash")
}

fn setup(web: &str) -> Setup {
    Setup::new()
        .file("web.yml", web)
        .flag("--web.config.file=web.yml")
}

fn status(server: &Server, name: &str, password: &str) -> u16 {
    let pair = base64::engine::general_purpose::STANDARD.encode(format!("{name}:{password}"));
    let header = ("Authorization", format!("Basic {pair}"));
    server
        .send("GET", "/api/v1/rules", &[(header.0, &header.1)], b"")
        .status
}

/// As in exporter-toolkit, all that can be known beforehand is known at the start.
#[test]
fn a_configuration_that_cannot_be_used_is_refused() {
    let refused = |setup: Setup, part: &str| {
        let said = setup.refused();
        assert!(said.contains(part), "{part} is not in:\n{said}");
        assert!(!said.contains("hunter2"), "{said}");
    };
    refused(
        Setup::new().flag("--web.config.file=none.yml"),
        "none.yml: cannot be read",
    );
    refused(
        setup("basic_auth_users: {a: hunter2}"),
        "web.yml:1:23: basic_auth_users",
    );
    refused(
        setup("tls_server_config: {cert_file: a}"),
        "missing one of key or key_file",
    );
    let pair = "tls_server_config: {cert_file: a.crt, key_file: a.key}";
    refused(
        setup(pair),
        "failed to read cert_file (a.crt): No such file",
    );
    let with_files = setup(pair).file("a.crt", "x").file("a.key", "hunter2");
    refused(with_files, "cert_file holds no certificate");
    let nobody = setup("").file("own.yml", "access: {users: [{name: a, roles: [read]}]}");
    refused(
        nobody.flag("--burnwatch.config.file=own.yml"),
        "access.users: \"a\" is none of basic_auth_users",
    );
    let no_file = Setup::new()
        .file(
            "own.yml",
            "access: {tokens: [{name: a, token_file: t, roles: [read]}]}",
        )
        .flag("--burnwatch.config.file=own.yml");
    refused(no_file, "the token of \"a\": t cannot be read");
}

/// The hashes of all versions that tools write; those of `htpasswd` begin with `$2y$`.
#[test]
fn users_come_in_with_their_passwords_and_new_users_without_a_restart() {
    let y = hash("secret-y").replace("$2b$", "$2y$");
    let a = hash("secret-a").replace("$2b$", "$2a$");
    let users = |more: &str| format!("basic_auth_users:\n  y: {y}\n  a: {a}\n{more}");
    let server = setup(&users("")).start();
    assert_eq!(status(&server, "y", "secret-y"), 200);
    assert_eq!(status(&server, "a", "secret-a"), 200);
    assert_eq!(status(&server, "a", "secret-y"), 401);
    assert_eq!(status(&server, "b", "secret-b"), 401);

    server.write_file("web.yml", &users(&format!("  b: {}\n", hash("secret-b"))));
    wait_for("the new user", || {
        (status(&server, "b", "secret-b") == 200).then_some(())
    });
    // What is broken changes nothing, and is told of.
    server.write_file("web.yml", "basic_auth_users: {b: x}");
    wait_for("the refusal", || {
        server
            .log()
            .contains("the old one stays in force")
            .then_some(())
    });
    assert_eq!(status(&server, "b", "secret-b"), 200);
    server.write_file("web.yml", &format!("basic_auth_users:\n  y: {y}\n"));
    wait_for("b to be gone", || {
        (status(&server, "b", "secret-b") == 401).then_some(())
    });
    assert_eq!(status(&server, "y", "secret-y"), 200);
}

/// A token in a file is replaced without a restart, and both are valid in between.
#[test]
fn tokens_change_without_a_restart() {
    let server = Setup::new()
        .file(
            "own.yml",
            "access: {tokens: [{name: a, token_file: t, roles: [read]}]}",
        )
        .file("t", "first\n")
        .flag("--burnwatch.config.file=own.yml")
        .start();
    let status = |token: &str| {
        let header = format!("Bearer {token}");
        server
            .send("GET", "/api/v1/rules", &[("Authorization", &header)], b"")
            .status
    };
    assert_eq!(
        (status("first"), status("second"), status("")),
        (200, 401, 401)
    );
    server.write_file("t", "first\nsecond\n");
    wait_for("the second", || (status("second") == 200).then_some(()));
    assert_eq!(status("first"), 200);
    server.write_file("t", "second\n");
    wait_for("the first to be gone", || {
        (status("first") == 401).then_some(())
    });
    // A file that is empty for a moment locks nobody out, and lets nobody in.
    server.write_file("t", "\n");
    wait_for("the refusal", || {
        server.log().contains("is empty").then_some(())
    });
    assert_eq!((status("second"), status("")), (200, 401));
}

#[test]
fn headers_go_out_with_everything() {
    let web = format!(
        "http_server_config:\n  headers:\n    X-Frame-Options: deny\n    \
         Strict-Transport-Security: max-age=31536000\nbasic_auth_users:\n  a: {}\n",
        hash("a")
    );
    let server = setup(&web).start();
    for (method, path, status) in [("GET", "/", 401), ("POST", "/api/v1/write", 401)] {
        let reply = server.send(method, path, &[], b"");
        assert_eq!(reply.status, status);
        assert_eq!(reply.headers["x-frame-options"], "deny", "{path}");
        assert_eq!(
            reply.headers["strict-transport-security"],
            "max-age=31536000"
        );
    }
}

#[test]
fn requests_beyond_the_rate_are_told_so() {
    let server = setup("rate_limit: {interval: 1h, burst: 2}").start();
    let statuses = [(); 4].map(|()| server.get("/-/healthy").status);
    assert_eq!(statuses, [200, 200, 429, 429]);
}

/// A reload takes up new roles with everything else, or nothing.
#[test]
fn a_reload_takes_up_new_roles() {
    let own = |roles: &str, more: &str| {
        format!("access: {{tokens: [{{name: a, token: t, roles: [{roles}]}}]}}\n{more}")
    };
    let server = Setup::new()
        .file("own.yml", &own("read", ""))
        .flag("--burnwatch.config.file=own.yml")
        .flag("--web.enable-lifecycle")
        .start();
    let send = |method, path| {
        server
            .send(method, path, &[("Authorization", "Bearer t")], b"")
            .status
    };
    assert_eq!(send("POST", "/-/reload"), 403);
    server.write_file("own.yml", &own("admin", "watch: ['{']"));
    server.signal("HUP");
    wait_for("the refusal", || {
        server.log().contains("reload refused").then_some(())
    });
    assert_eq!(
        (send("GET", "/api/v1/rules"), send("POST", "/-/reload")),
        (200, 403)
    );
    server.write_file("own.yml", &own("admin", ""));
    server.signal("HUP");
    wait_for("the new role", || {
        (send("POST", "/-/reload") == 200).then_some(())
    });
    assert_eq!(send("GET", "/api/v1/rules"), 403);
}

/// `burnwatch check web-config` stands in promtool's place.
#[test]
fn a_web_configuration_can_be_checked_beforehand() {
    let directory = tempfile::tempdir().expect("a directory");
    let check = |text: &str| {
        let path = directory.path().join("web.yml");
        std::fs::write(&path, text).expect("a file");
        let output = Command::new(env!("CARGO_BIN_EXE_burnwatch"))
            .args(["check", "web-config"])
            .arg(&path)
            .output()
            .expect("it runs");
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8(said).expect("text");
        (
            output.status.code(),
            said.replace(&path.display().to_string(), "web.yml"),
        )
    };
    assert_eq!(check(""), (Some(0), "web.yml SUCCESS\n".to_owned()));
    let (code, said) = check("basic_auth_users: {a: hunter2}");
    assert_eq!(code, Some(1));
    assert!(
        said.starts_with("web.yml FAILED: web.yml:1:23: basic_auth_users"),
        "{said}"
    );
    assert!(!said.contains("hunter2"), "{said}");
    let (code, said) = check("tls_server_config: {cert_file: none.crt, key_file: k}");
    assert_eq!(code, Some(1));
    assert!(said.contains("failed to read cert_file"), "{said}");
}
