//! A flood against the real process, of at least twice what it takes: the rest is refused before
//! memory grows, what it has accepted it has, and alerts of another sender leave all the same.
//!
//! `cargo bench --bench soak` does it for minutes with an optimised build.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::process::{Reply, Server, Setup, now_ms, wait_for};
use crate::receiver::Receiver;
use crate::sender::{Protocol, Series};

const LOG_SAMPLES: f64 = 5_000.0;
const PER_REQUEST: usize = 100;
/// The flood lasts so long at least, and until twice what was taken has come.
const FLOOD: Duration = Duration::from_secs(5);
const FLOOD_MAX: Duration = Duration::from_secs(30);
/// What the process may grow by meanwhile; about 20 MB are usual.
const GROWN_BYTES_MAX: f64 = 128e6;

/// Rules that make every sample of the flood dear.
fn rules() -> String {
    let dear = (0..15).map(|n| {
        format!("  - {{record: 'dear:{n}', expr: 'quantile_over_time(0.{n:02}, flood[10m])'}}\n")
    });
    let dear: String = dear.collect();
    format!(
        "groups:\n- name: flood\n  interval: 1s\n  rules:\n{dear}- name: others\n  interval: 1s\n  \
         rules:\n  - {{alert: High, expr: level > 5}}\n"
    )
}

fn send(server: &Server, tenant: &str, series: &[Series]) -> Reply {
    let headers = [
        ("Content-Type", Protocol::V2.content_type()),
        ("X-Scope-OrgID", tenant),
    ];
    server.send(
        "POST",
        "/api/v1/write",
        &headers,
        &Protocol::V2.body(series),
    )
}

/// Ends the flood when what watches it ends, however that may be: else its senders would never.
struct End<'a>(&'a AtomicBool);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn a_flood_is_refused_in_part_and_the_rest_is_kept_and_others_are_served() {
    let alertmanager = Receiver::start();
    let config = format!(
        "alerting:\n  alertmanagers:\n  - static_configs: [{{targets: ['{}']}}]\nburnwatch:\n  \
         limits:\n    log_samples: {LOG_SAMPLES}\n    per_sender: {{header: X-Scope-OrgID}}\n",
        alertmanager.address()
    );
    let server = Setup::with_config(&config, &rules()).start();
    let (accepted, refused) = (AtomicU64::new(0), AtomicU64::new(0));
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for tenant in ["flood-a", "flood-b"] {
            let (server, accepted, refused, is_over) = (&server, &accepted, &refused, &is_over);
            scope.spawn(move || {
                let mut last = 0;
                while !is_over.load(Ordering::Relaxed) {
                    // Two scrapes of one instant would be one.
                    last = now_ms().max(last + 1);
                    let series = (0..PER_REQUEST).map(|n| {
                        let named = Series::new("flood").label("n", &n.to_string());
                        named.label("tenant", tenant).float(last, n as f64)
                    });
                    let reply = send(server, tenant, &series.collect::<Vec<_>>());
                    match reply.status {
                        204 => accepted.fetch_add(PER_REQUEST as u64, Ordering::Relaxed),
                        503 => {
                            assert!(reply.headers.contains_key("retry-after"));
                            refused.fetch_add(1, Ordering::Relaxed)
                        }
                        other => panic!("{other}: {}", reply.text),
                    };
                }
            });
        }
        let end = End(&is_over);
        let began = Instant::now();
        let (mut most_waiting, mut n_refused) = (0.0_f64, 0);
        let memory = || server.metric("process_resident_memory_bytes");
        let at_first = memory().expect("a metric");
        let is_double = || {
            let taken = accepted.load(Ordering::Relaxed);
            refused.load(Ordering::Relaxed) * PER_REQUEST as u64 >= taken
        };
        while began.elapsed() < FLOOD || !is_double() {
            let level = Series::new("level").label("job", "others");
            match send(&server, "others", &[level.float(now_ms(), 9.0)]).status {
                204 => accepted.fetch_add(1, Ordering::Relaxed),
                _ => {
                    n_refused += 1;
                    0
                }
            };
            let waiting = server.metric("burnwatch_log_waiting_samples{shard=\"0\"}");
            most_waiting = most_waiting.max(waiting.unwrap_or(0.0));
            if began.elapsed() > FLOOD_MAX {
                break;
            }
            // A scrape now and then, each of its own instant.
            std::thread::sleep(Duration::from_millis(50));
        }
        let (is_double, grown) = (is_double(), memory().expect("a metric") - at_first);
        drop(end);
        say!("{most_waiting} samples waited at most, and {grown} bytes of memory came");
        assert!(is_double, "less than twice what was taken has come");
        assert!(grown < GROWN_BYTES_MAX, "{grown} bytes of memory came");
        let told = "while and after the flood";
        assert!(
            most_waiting <= LOG_SAMPLES + PER_REQUEST as f64,
            "{most_waiting} {told}"
        );
        assert_eq!(n_refused, 0, "who has nothing waiting is heard");
    });
    alertmanager.wait_firing("High");
    let accepted = accepted.load(Ordering::Relaxed) as f64;
    wait_for("all that was accepted to be applied", || {
        let applied = server.metric("burnwatch_samples_applied_total");
        let applied = applied.unwrap_or(0.0);
        assert!(applied <= accepted, "{applied} of {accepted}");
        (applied == accepted).then_some(())
    });
    let refused = refused.load(Ordering::Relaxed);
    assert!(refused > 0);
    say!("{accepted} samples accepted and applied, {refused} requests refused");
    let server = server.killed().start();
    wait_for("the server to be ready", || {
        (server.get("/-/ready").status == 200).then_some(())
    });
    let kept = server.query(
        "sum(count_over_time({__name__=~\"flood|level\"}[10m]))",
        now_ms(),
    );
    assert_eq!(kept, [format!("{{}} {accepted}")]);
}
