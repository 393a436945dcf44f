//! Every route × method, without credentials, with wrong ones and with each role.
//!
//! The routes are learned from the router itself: one that is new and stands in no list below
//! fails the test before anything is asked.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;

use base64::Engine as _;
use burnwatch::api::QuerySettings;
use burnwatch::clock::SystemClock;
use burnwatch::model::{Dialect, DurationMs};
use burnwatch::server::shards::Share;
use burnwatch::server::{Options, QueryFlags, Server};
use burnwatch::telemetry::BuildInfo;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const HEALTH: &[&str] = &["/-/healthy", "/-/ready"];
const METRICS: &[&str] = &["/metrics"];
const WRITE: &[&str] = &["/api/v1/write"];
/// `GET` looks, anything else tells something.
const LOOK_AND_TELL: &[&str] = &["/api/v1/changes"];
const ADMIN: &[&str] = &[
    "/-/quit",
    "/-/reload",
    "/api/v1/admin/tsdb/clean_tombstones",
    "/api/v1/admin/tsdb/delete_series",
    "/api/v1/admin/tsdb/snapshot",
    "/api/v1/detectors/reset",
];
const READ: &[&str] = &[
    "/",
    "/alerts",
    "/api/v1/alertmanagers",
    "/api/v1/alerts",
    "/api/v1/alerts/{fingerprint}/context",
    "/api/v1/explain",
    "/api/v1/features",
    "/api/v1/format_query",
    "/api/v1/label/{name}/values",
    "/api/v1/labels",
    "/api/v1/metadata",
    "/api/v1/notifications",
    "/api/v1/notifications/live",
    "/api/v1/parse_query",
    "/api/v1/query",
    "/api/v1/query_exemplars",
    "/api/v1/query_range",
    "/api/v1/rules",
    "/api/v1/scrape_pools",
    "/api/v1/scrape_pools/config",
    "/api/v1/series",
    "/api/v1/status/backfill",
    "/api/v1/status/buildinfo",
    "/api/v1/status/config",
    "/api/v1/status/flags",
    "/api/v1/status/ha",
    "/api/v1/status/runtimeinfo",
    "/api/v1/status/tsdb",
    "/api/v1/status/tsdb/blocks",
    "/api/v1/status/walreplay",
    "/api/v1/targets",
    "/api/v1/targets/metadata",
    "/api/v1/targets/relabel_steps",
    "/graph",
    "/query",
    "/rules",
    "/version",
];

const METHODS: [&str; 8] = [
    "GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE",
];

/// What an answer says of the door.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Door {
    /// It was not the door that answered.
    Passed,
    Unauthorized,
    Forbidden,
}

/// A server in this process, over real sockets.
struct World {
    server: Server,
    directory: TempDir,
}

/// Users with passwords equal to their names, and tokens named for their roles.
async fn world(access: &str) -> World {
    let directory = TempDir::new().expect("a directory");
    let file = |name: &str, text: String| {
        let path = directory.path().join(name);
        std::fs::write(&path, text).expect("a file");
        path
    };
    let users: String = ["writer", "reader", "admin", "everything"]
        .map(|name| format!("  {name}: {}\n", bcrypt::hash(name, 4).expect("a hash")))
        .concat();
    let web = file("web.yml", format!("basic_auth_users:\n{users}"));
    file(
        "write.token",
        "token-write\n\nolder-token-write\n".to_owned(),
    );
    let own = file("burnwatch.yml", format!("access:\n{access}"));
    let server = Server::start(Options {
        config_path: None,
        own_config_path: Some(own),
        storage_path: directory.path().join("data"),
        listen: "127.0.0.1:0".to_owned(),
        external_url: None,
        lifecycle: false,
        rules_dialect: Dialect::default(),
        features: Vec::new(),
        web_config_path: Some(web),
        query: QueryFlags::default(),
        cors_origin: None,
        resend_delay: DurationMs::from_seconds(60),
        shards: Some(1),
        share: Share::default(),
        flags: Vec::new(),
        observer: None,
        clock: Arc::new(SystemClock),
    });
    World {
        server: server.await.expect("it starts"),
        directory,
    }
}

const ACCESS: &str = "
  users:
    - {name: writer, roles: [write]}
    - {name: reader, roles: [read]}
    - {name: admin, roles: [admin]}
  tokens:
    - {name: agent, token_file: write.token, roles: [write]}
    - {name: grafana, token: token-read, roles: [read]}
    - {name: ops, token: token-admin, roles: [admin]}
";

impl World {
    /// The patterns of all routes, from what the router shows of itself.
    fn patterns(&self) -> BTreeSet<String> {
        let backend = self.server.backend();
        let router = backend.router(QuerySettings::default(), BuildInfo::of_package());
        let shown = format!("{router:?}");
        let paths = shown.split("paths: {").skip(1);
        let inside = paths.filter_map(|rest| rest.split_once('}').map(|_| rest));
        let quoted = inside.flat_map(|rest| {
            // A map of route ids and paths ends before the next field.
            let end = rest.find(" }").unwrap_or(rest.len());
            rest[..end].split('"').skip(1).step_by(2)
        });
        // Below `/api/v1`, and there itself, what is no route is answered as everywhere.
        let is_route = |path: &&str| {
            path.starts_with('/') && !path.contains("__private") && *path != "/api/v1"
        };
        quoted.filter(is_route).map(str::to_owned).collect()
    }

    async fn ask(&self, requests: &[(String, String, Option<String>)]) -> Vec<(u16, String)> {
        let mut answers = Vec::new();
        for (method, path, authorization) in requests {
            answers.push(
                ask(
                    self.server.address(),
                    method,
                    path,
                    authorization.as_deref(),
                )
                .await,
            );
        }
        answers
    }

    async fn door(&self, method: &str, path: &str, authorization: Option<&str>) -> Door {
        let authorization = authorization.map(str::to_owned);
        let request = (method.to_owned(), path.to_owned(), authorization);
        let (status, text) = self.ask(&[request]).await.remove(0);
        match status {
            401 => Door::Unauthorized,
            // HEAD has no body; nothing but the door says 403 to it.
            403 if text.starts_with("Forbidden: ") || method == "HEAD" => Door::Forbidden,
            _ => Door::Passed,
        }
    }

    async fn stop(self) {
        self.server.stop();
        self.server.run().await.expect("it stops in order");
        drop(self.directory);
    }
}

/// Sends one request on a connection of its own.
async fn ask(
    address: SocketAddr,
    method: &str,
    path: &str,
    authorization: Option<&str>,
) -> (u16, String) {
    let mut stream = TcpStream::connect(address).await.expect("connects");
    let authorization =
        authorization.map_or_else(String::new, |value| format!("Authorization: {value}\r\n"));
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: x\r\n{authorization}Content-Length: 0\r\n\
         Connection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await.expect("sends");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.expect("an answer");
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let status = answer.split(' ').nth(1).and_then(|code| code.parse().ok());
    let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    (
        status.unwrap_or_else(|| panic!("{method} {path}: {answer}")),
        body.to_owned(),
    )
}

fn basic(name: &str, password: &str) -> String {
    let pair = format!("{name}:{password}");
    let encoded = base64::engine::general_purpose::STANDARD.encode(pair);
    format!("Basic {encoded}")
}

/// Who asks, and which of the needs that is enough for.
fn callers() -> Vec<(String, &'static str)> {
    let user = |name: &str| basic(name, name);
    let bearer = |token: &str| format!("Bearer {token}");
    vec![
        (user("writer"), "health write"),
        (bearer("token-write"), "health write"),
        (bearer("older-token-write"), "health write"),
        (user("reader"), "health read metrics"),
        (bearer("token-read"), "health read metrics"),
        (user("admin"), "health admin"),
        (bearer("token-admin"), "health admin"),
        (user("everything"), "health read metrics write admin"),
    ]
}

fn strangers() -> Vec<Option<String>> {
    let some = |text: String| Some(text);
    vec![
        None,
        some(basic("everything", "wrong")),
        some(basic("everything", "")),
        some(basic("nobody", "everything")),
        some(basic("", "")),
        some("Basic everything".to_owned()),
        some("Bearer token".to_owned()),
        some("Bearer token-write older-token-write".to_owned()),
        some(format!("Bearer {}", basic("everything", "everything"))),
        some("token-admin".to_owned()),
    ]
}

fn routes() -> Vec<(&'static str, &'static str)> {
    let of = |need, list: &'static [&'static str]| list.iter().map(move |path| (*path, need));
    of("health", HEALTH)
        .chain(of("metrics", METRICS))
        .chain(of("write", WRITE))
        .chain(of("look and tell", LOOK_AND_TELL))
        .chain(of("admin", ADMIN))
        .chain(of("read", READ))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_route_and_method_is_for_those_alone_who_may() {
    let world = world(ACCESS).await;
    let known: BTreeSet<String> = routes()
        .iter()
        .map(|(path, _)| (*path).to_owned())
        .collect();
    assert_eq!(
        world.patterns(),
        known,
        "the router's paths and the lists of this file: say what a new route needs"
    );
    let mut wrong = Vec::new();
    for (pattern, need) in routes() {
        let path = pattern
            .replace("{name}", "job")
            .replace("{fingerprint}", "0123456789abcdef");
        for method in METHODS {
            let need = match (need, method) {
                ("look and tell", "GET" | "HEAD" | "OPTIONS") => "read",
                ("look and tell", _) => "write",
                (need, _) => need,
            };
            for stranger in strangers() {
                let door = world.door(method, &path, stranger.as_deref()).await;
                if door != Door::Unauthorized {
                    wrong.push(format!("{method} {path} by {stranger:?}: {door:?}"));
                }
            }
            for (caller, needs) in callers() {
                let may = needs.split(' ').any(|known| known == need);
                let expected = if may { Door::Passed } else { Door::Forbidden };
                let door = world.door(method, &path, Some(&caller)).await;
                if door != expected {
                    wrong.push(format!("{method} {path} by {needs}: {door:?}"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    world.stop().await;
}

/// Catches a path that leads past the door by its spelling, and one that tells strangers what
/// there is.
#[tokio::test(flavor = "multi_thread")]
async fn no_spelling_of_a_path_leads_past_the_door() {
    let world = world(ACCESS).await;
    for path in [
        "/nothing",
        "//",
        "//api/v1/query?query=up",
        "/api/v1/query/",
        "/api/v1/Query?query=up",
        "/API/V1/QUERY",
        "/api/v1/%71uery?query=up",
        "/api/v1/../v1/query",
        "/./metrics",
        "/metrics/",
        "/metrics;x",
        "/-/healthy/../../metrics",
        "/-/healthy/",
        "/api/v1",
        "/api/v1/",
        "http://x/metrics",
        "*",
    ] {
        for method in METHODS {
            let door = world.door(method, path, None).await;
            assert_eq!(door, Door::Unauthorized, "{method} {path}");
        }
    }
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_what_is_opened_is_open() {
    let open = format!("{ACCESS}  open: [health, metrics]\n");
    let world = world(&open).await;
    for (path, need) in routes() {
        let path = path
            .replace("{name}", "job")
            .replace("{fingerprint}", "0123456789abcdef");
        let expected = match need {
            "health" | "metrics" => Door::Passed,
            _ => Door::Unauthorized,
        };
        assert_eq!(world.door("GET", &path, None).await, expected, "{path}");
        let stranger = basic("nobody", "x");
        let door = world.door("GET", &path, Some(&stranger)).await;
        assert_eq!(door, expected, "{path}");
    }
    world.stop().await;
}

/// A stranger is told how to sign in, and nothing else.
#[tokio::test(flavor = "multi_thread")]
async fn a_stranger_learns_nothing_but_how_to_sign_in() {
    let world = world(ACCESS).await;
    let mut stream = TcpStream::connect(world.server.address())
        .await
        .expect("connects");
    let request = "GET /api/v1/rules HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    stream.write_all(request.as_bytes()).await.expect("sends");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("an answer");
    let answer = answer.to_lowercase();
    assert!(
        answer.contains("\r\nwww-authenticate: basic\r\n"),
        "{answer}"
    );
    assert!(
        answer.contains("\r\nwww-authenticate: bearer\r\n"),
        "{answer}"
    );
    assert!(answer.ends_with("\r\n\r\nunauthorized\n"), "{answer}");
    world.stop().await;
}

/// A page that somebody has open in a browser must not use the password that the browser keeps.
#[tokio::test(flavor = "multi_thread")]
async fn a_page_of_another_site_may_not_change_anything() {
    let world = world(ACCESS).await;
    let everything = basic("everything", "everything");
    for (site, path, method, expected) in [
        ("cross-site", "/-/reload", "POST", Door::Forbidden),
        ("same-site", "/-/reload", "PUT", Door::Forbidden),
        ("cross-site", "/api/v1/write", "POST", Door::Forbidden),
        ("same-origin", "/-/reload", "POST", Door::Passed),
        ("none", "/-/reload", "POST", Door::Passed),
        ("cross-site", "/api/v1/rules", "GET", Door::Passed),
    ] {
        let with_site = format!("{everything}\r\nSec-Fetch-Site: {site}");
        let door = world.door(method, path, Some(&with_site)).await;
        assert_eq!(door, expected, "{method} {path} from {site}");
    }
    world.stop().await;
}
