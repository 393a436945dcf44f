//! Killed at any moment, under load, again and again, a server is what its undisturbed twin is.
//!
//! Two real servers are fed the same requests. One is killed (`kill -9`) at random moments: while it
//! reads a request, writes its log, evaluates, writes a checkpoint, or loads one. Whoever sends does
//! what senders do: what was not answered is sent again until it is. In the end, and after every
//! tenth start, every sample that was answered 2xx is there and alerts are the same, `activeAt`
//! included. Checkpoints are written all the time, so that most starts go on from one.
//!
//! Five kills; with `BURNWATCH_DEEP=1` 200. `BURNWATCH_SEED` repeats a run's moments, as far as two
//! processes can.

#![allow(clippy::unwrap_used, reason = "a test may stop at once")]

#[macro_use]
#[path = "../support/say.rs"]
mod say;
#[path = "../server/process.rs"]
#[allow(dead_code, reason = "the tests of the server use the rest")]
mod process;
#[path = "../server/sender.rs"]
#[allow(dead_code, reason = "the tests of the server use the rest")]
mod sender;

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::Value;

use crate::process::{Server, Setup, now_ms, wait_for};
use crate::sender::{Protocol, Series};

const RULES: &str = "
groups:
- name: levels
  interval: 15s
  rules:
  - alert: High
    expr: level > 7
    for: 3m
    annotations: {summary: '{{ $labels.instance }} is at {{ $value }}'}
  - alert: Kept
    expr: level > 8
    keep_firing_for: 5m
  - record: job:level:max
    expr: max by (job) (level)
- name: rates
  interval: 30s
  rules:
  - alert: Busy
    expr: sum by (job) (rate(hits_total[5m])) > 4
    for: 2m
  - alert: Burning
    expr: increase(hits_total[2h]) > 1000 and rate(hits_total[5m]) > 0.2
    for: 1m
  - alert: Chained
    expr: job:level:max > 8
    for: 1m
  - alert: Peaks
    expr: max_over_time(rate(hits_total[1m])[10m:1m]) > 0.6
";

const STEP: i64 = 15_000;
/// Series of each metric: enough that a kill hits requests half-way.
const N_INSTANCES: usize = 150;

/// All that is scraped at an instant, in requests as a sender splits them.
fn requests(from: i64, number: i64) -> Vec<Vec<u8>> {
    let at = from + number * STEP;
    let series = (0..N_INSTANCES).flat_map(|instance| {
        let mut noise = fastrand::Rng::with_seed(instance as u64 * 7919 + number as u64 / 9);
        let named = |name: &str| {
            let instance = format!("i{instance}");
            Series::new(name)
                .label("instance", &instance)
                .label("job", if instance.len() % 2 == 0 { "a" } else { "b" })
        };
        // A counter that begins anew now and then, and a level that stays for a while.
        let counted = number % (100 + instance as i64);
        let hits = (counted * (instance as i64 % 13)) as f64;
        let level = f64::from(noise.u8(0..10));
        [
            named("hits_total").float(at, hits),
            named("level").float(at, level),
        ]
    });
    let series: Vec<Series> = series.collect();
    let bodies = series.chunks(100).map(|some| Protocol::V2.body(some));
    bodies.collect()
}

/// Sends a body; the status where there was an answer.
fn try_send(address: SocketAddr, body: &[u8]) -> Option<u16> {
    let mut stream = TcpStream::connect(address).ok()?;
    stream
        .set_read_timeout(Some(Duration::from_secs(60)))
        .ok()?;
    let head = format!(
        "POST /api/v1/write HTTP/1.1\r\nHost: x\r\nContent-Encoding: snappy\r\nContent-Type: \
         {}\r\nX-Prometheus-Remote-Write-Version: 2.0.0\r\nContent-Length: {}\r\nConnection: \
         close\r\n\r\n",
        Protocol::V2.content_type(),
        body.len()
    );
    stream.write_all(head.as_bytes()).ok()?;
    stream.write_all(body).ok()?;
    let mut reply = Vec::new();
    stream.read_to_end(&mut reply).ok()?;
    let reply = std::str::from_utf8(&reply).ok()?;
    reply.contains("\r\n\r\n").then_some(())?;
    reply.split(' ').nth(1)?.parse().ok()
}

/// The alerts as the API tells them, in order.
fn alerts(server: &Server) -> Vec<Value> {
    let data = server.data("alerts");
    let mut alerts = data["alerts"].as_array().unwrap().clone();
    alerts.sort_by_key(Value::to_string);
    alerts
}

fn wait_ready(server: &Server) {
    wait_for("the server to be ready", || {
        (server.get("/-/ready").status == 200).then_some(())
    });
}

fn check(server: &Server, twin: &Server, until: i64, said: &str) {
    wait_ready(server);
    let (ours, theirs) = (alerts(server), alerts(twin));
    let differing = ours.iter().zip(&theirs).find(|(a, b)| a != b);
    assert!(
        ours.len() == theirs.len() && differing.is_none(),
        "{said}: {} alerts for {}, {differing:#?}",
        ours.len(),
        theirs.len()
    );
    for query in [
        "count_over_time(level[12h])",
        "sum_over_time(level[12h])",
        "count_over_time(hits_total[12h])",
        "{job=~\".+\"}",
    ] {
        assert_eq!(
            server.query(query, until),
            twin.query(query, until),
            "{said}: {query}"
        );
    }
}

/// Tells whether a server went on from a checkpoint, as far as it has come.
fn is_restored(server: &Server) -> bool {
    server.log().contains("a checkpoint is loaded")
}

#[test]
fn killed_again_and_again_it_is_what_its_twin_is() {
    let deep = std::env::var_os("BURNWATCH_DEEP").is_some();
    let n_kills = if deep { 200 } else { 5 };
    let seed = std::env::var("BURNWATCH_SEED")
        .ok()
        .and_then(|seed| seed.parse().ok());
    let seed: u64 = seed.unwrap_or_else(|| fastrand::u64(..));
    say!("BURNWATCH_SEED={seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    // Written all the time: a kill meets one half-way as often as not.
    let often = "burnwatch: {checkpoint_interval: 150ms, retention: 12h}\n";
    let url = "--web.external-url=http://burnwatch.test/";
    let twin = Setup::with_config("burnwatch: {retention: 12h}\n", RULES)
        .flag(url)
        .start();
    let mut server = Setup::with_config(often, RULES).flag(url).start();
    let from = now_ms() - 11 * 3_600_000;
    let (mut number, mut n_restored) = (0, 0);
    for kill in 0..n_kills {
        let address = server.address();
        let n_scrapes = random.i64(3..12);
        let sending: Vec<Vec<u8>> = (number..number + n_scrapes)
            .flat_map(|number| requests(from, number))
            .collect();
        number += n_scrapes;
        for body in &sending {
            assert_eq!(try_send(twin.address(), body), Some(204));
        }
        // One thread sends until nobody answers; meanwhile the server is killed.
        let moment = Duration::from_micros(random.u64(0..400_000));
        let bodies = sending.clone();
        let sender = std::thread::spawn(move || {
            let answered = |body: &&Vec<u8>| try_send(address, body) == Some(204);
            bodies.iter().take_while(answered).count()
        });
        std::thread::sleep(moment);
        n_restored += u32::from(is_restored(&server));
        server = server.killed().start();
        let n_answered = sender.join().unwrap();
        // What was not answered comes again, the first of it perhaps for the second time.
        for body in &sending[n_answered..] {
            let sent = wait_for("the rest to be taken", || {
                try_send(server.address(), body).filter(|status| *status != 503)
            });
            assert_eq!(sent, 204, "kill {kill}");
        }
        if kill % 10 == 9 || kill + 1 == n_kills {
            check(
                &server,
                &twin,
                from + number * STEP,
                &format!("kill {kill}"),
            );
        }
    }
    n_restored += u32::from(is_restored(&server));
    let n_alerts = alerts(&twin).len();
    say!(
        "{n_kills} kills, {n_restored} starts from a checkpoint, {number} scrapes, {n_alerts} alerts"
    );
    assert!(n_alerts > 10, "there is something to compare: {n_alerts}");
    assert!(n_restored > 0, "some start goes on from a checkpoint");
}

#[test]
fn a_stop_writes_a_checkpoint_and_a_damaged_one_is_passed_over() {
    let mut server = Setup::with_rules(RULES).start();
    let twin = Setup::with_rules(RULES).start();
    let from = now_ms() - 3_600_000;
    for round in 0..3 {
        for body in (round * 20..round * 20 + 20).flat_map(|number| requests(from, number)) {
            for server in [&server, &twin] {
                assert_eq!(try_send(server.address(), &body), Some(204));
            }
        }
        server.signal("TERM");
        assert!(server.wait_for_end().success());
        let names = server.files("data/checkpoints/0");
        assert_eq!(names.len(), (round as usize + 1).min(2), "{names:?}");
        if round == 2 {
            // The newest is damaged: the one before it, and the log from there on.
            let newest = format!("data/checkpoints/0/{}", names[1]);
            server.write_file(&newest, "burnwatch state");
        }
        server = server.killed().start();
        wait_ready(&server);
        check(
            &server,
            &twin,
            from + (round + 1) * 20 * STEP,
            &format!("round {round}"),
        );
        let unusable = server.metric("burnwatch_checkpoint_unusable");
        assert_eq!(unusable, Some(if round == 2 { 1.0 } else { 0.0 }));
        assert_eq!(server.metric("burnwatch_checkpoint_restored"), Some(1.0));
    }
    let said = server.log();
    assert!(said.contains("a checkpoint is of no use"), "{said}");
}
