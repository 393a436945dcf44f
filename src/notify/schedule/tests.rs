//! When alerts are sent, told as scripts of what happens and what is sent.

use super::*;

/// Runs a script, a step a line: `fire a 0`, `resolve a 5`, `late-…` for a backlog's state,
/// `text a` for new annotations, `forget a`, `pending a`, `release all`, `send ok` or
/// `send fail`, `at 10` to move the clock (seconds). Returns what every send carried: `a+0` for firing since 0, `a-5` for
/// resolved at 5.
fn run(script: &str, waiting_max: usize) -> String {
    let mut schedule = Schedule::new(DurationMs::from_seconds(60), waiting_max);
    let (mut now, mut out) = (TimestampMs(0), Vec::new());
    for line in script
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
    {
        let words: Vec<&str> = line.split(' ').collect();
        let seconds = |at: usize| {
            let text = words.get(at).copied().unwrap_or("0");
            TimestampMs((text.parse::<f64>().expect("seconds") * 1000.0) as i64)
        };
        let labels = Labels::from_pairs([("alertname", words[1])]);
        let message = |status, fired_at| {
            Arc::new(AlertMessage {
                labels: labels.clone(),
                annotations: Arc::from([]),
                context: None,
                status,
                fired_at,
                valid_for: DurationMs::from_seconds(240),
                expr: Arc::from("x"),
                caused_by: 0,
                caused_at_wall: now,
                backlog: words[0].starts_with("late-"),
            })
        };
        let fired_at = schedule
            .entries
            .get(&labels)
            .map_or(TimestampMs(0), |entry| entry.message.fired_at);
        match words[0].trim_start_matches("late-") {
            "at" => now = seconds(1),
            "forget" => schedule.forget(&labels),
            "pending" => schedule.pending(&labels),
            "release" => schedule.release(),
            "waiting" => out.push(format!("waiting:{}", schedule.n_waiting())),
            "fire" => {
                let n = schedule.state(message(AlertStatus::Firing, seconds(2)), now);
                out.extend((n > 0).then(|| format!("out:{n}")));
            }
            "text" => drop(schedule.state(message(AlertStatus::Firing, fired_at), now)),
            "resolve" => {
                let status = AlertStatus::Resolved {
                    resolved_at: seconds(2),
                };
                schedule.state(message(status, fired_at), now);
            }
            "begin" | "send" => {
                let taken = schedule.take(now, 256);
                let names: Vec<String> = taken.iter().map(print).collect();
                out.push(names.join(" "));
                match words[1] {
                    "ok" => schedule.sent(&taken, now, now),
                    "fail" => schedule.failed(&taken, true),
                    "lost" => schedule.failed(&taken, false),
                    "resolve" | "resolve-lost" => {
                        let status = AlertStatus::Resolved { resolved_at: now };
                        let mut message = (*taken[0].message).clone();
                        message.status = status;
                        schedule.state(Arc::new(message), now);
                        match words[1] {
                            "resolve" => schedule.sent(&taken, now, now),
                            _ => schedule.failed(&taken, false),
                        }
                    }
                    other => panic!("{other}"),
                }
            }
            other => panic!("{other}"),
        }
    }
    out.join(" | ")
}

fn print(outgoing: &Outgoing) -> String {
    let name = outgoing.message.labels.value("alertname");
    match outgoing.message.status {
        AlertStatus::Firing => format!("{name}+{}", outgoing.starts_at.seconds()),
        AlertStatus::Resolved { .. } => format!("{name}-{}", outgoing.ends_at.seconds()),
    }
}

/// A wall clock that is set back must not silence a firing alert until it has come back to
/// where it was: receivers would let it expire.
#[test]
fn a_clock_that_was_set_back_does_not_stop_resends() {
    let check = |script: &str, expected: &str| assert_eq!(run(script, 9), expected, "{script}");
    check(
        "at 9000
         fire a 9000
         send ok
         at 5400
         send ok
         send ok
         at 5461
         send ok",
        "a+9000 | a+5640 |  | a+5701",
    );
}

#[test]
fn alerts_are_sent_when_prometheus_sends_them() {
    let check = |script: &str, expected: &str| assert_eq!(run(script, 10), expected, "{script}");
    // At once, then when more than the delay has passed.
    check(
        "fire a 0\nsend ok\nat 60\nsend ok\nat 60.001\nsend ok",
        "a+0 |  | a+0",
    );
    // New texts wait for the resend.
    check("fire a 0\nsend ok\nat 5\ntext a\nsend ok", "a+0 | ");
    // Resolved: at once, at each delay, until 15 minutes have passed.
    check(
        "fire a 0\nsend ok\nat 10\nresolve a 10\nsend ok\nat 71\nsend ok\nat 900\nsend ok\n\
         at 961\nsend ok\nat 2000\nsend ok",
        "a+0 | a-10 | a-10 | a-10 |  | ",
    );
    // Fires again after its resolution.
    check(
        "fire a 0\nsend ok\nat 10\nresolve a 10\nsend ok\nat 12\nfire a 12\nsend ok",
        "a+0 | a-10 | a+12",
    );
    // A failed send is due again; a newer state takes its place.
    check(
        "fire a 0\nsend fail\nat 1\nsend fail\nat 2\nresolve a 2\nsend ok",
        "a+0 | a+0 | a-2",
    );
    // A state that changed under way is sent again.
    check("fire a 0\nat 3\nbegin resolve\nsend ok", "a+0 | a-3");
    check("fire a 0\nforget a\nsend ok", "");
    // A resolution is not repeated once the alert is pending again, but it is told.
    check(
        "fire a 0\nsend ok\nresolve a 5\nsend ok\npending a\nat 100\nsend ok",
        "a+0 | a-0 | ",
    );
    check(
        "fire a 0\nsend ok\nresolve a 0\npending a\nsend fail\nsend ok\nat 100\nsend ok",
        "a+0 | a-0 | a-0 | ",
    );
    check("fire a 0\nsend ok\nforget a\nat 100\nsend ok", "a+0 | ");
    // A resolution whose firing an earlier process sent.
    check("resolve a 0\nsend ok", "a-0");
}

#[test]
fn a_backlog_is_coalesced_to_the_newest_state() {
    let check = |script: &str, expected: &str| assert_eq!(run(script, 10), expected, "{script}");
    check("at 10\nlate-fire a 0\nsend ok\nat 11\nsend ok", " | a+0");
    check("at 10\nlate-fire a 0\nlate-resolve a 5\nat 12\nsend ok", "");
    check(
        "at 10\nlate-fire a 0\nlate-resolve a 5\nlate-fire a 7\nat 11\nsend ok",
        "a+7",
    );
    // What is held does not hold up what is not.
    check("at 10\nlate-fire a 0\nfire b 10\nsend ok", "b+10");
    // At the end nothing waits for a newer state, and nothing is repeated before its time.
    check(
        "at 10\nfire b 10\nsend ok\nlate-fire a 0\nrelease all\nsend ok\nsend ok",
        "b+10 | a+0 | ",
    );
}

#[test]
fn the_oldest_go_when_too_many_wait_and_come_back_by_the_resend_rule() {
    assert_eq!(
        run("fire a 0\nfire b 0\nfire c 0\nsend ok\nat 61\nsend ok", 2),
        "out:1 | b+0 c+0 | a+0 b+0 c+0"
    );
}

#[test]
fn news_go_before_what_is_due_again_and_repetitions_are_pushed_out_first() {
    let script = "fire a 0\nfire b 0\nsend ok\nat 61\nbegin fail\nfire c 61\nsend ok";
    assert_eq!(run(script, 3), "a+0 b+0 | a+0 b+0 | c+61 a+0 b+0");
    assert_eq!(run(script, 2), "a+0 b+0 | a+0 b+0 | out:1 | c+61 b+0");
    assert_eq!(run(script, 1), "out:1 | b+0 | a+0 b+0 | out:2 | c+61");
}

#[test]
fn what_cannot_have_arrived_was_not_heard() {
    let check = |script: &str, expected: &str| assert_eq!(run(script, 10), expected, "{script}");
    // There was no connection, so there is nothing to take back.
    check("fire a 0\nsend lost\nat 2\nresolve a 2\nsend ok", "a+0 | ");
    check("fire a 0\nbegin resolve-lost\nsend ok", "a+0 | ");
    // It may have arrived once; the connection that failed later changes nothing.
    check(
        "fire a 0\nsend fail\nsend lost\nresolve a 2\nat 2\nsend ok",
        "a+0 | a+0 | a-2",
    );
    check(
        "fire a 0\nsend ok\nresolve a 0\nsend lost\nsend ok",
        "a+0 | a-0 | a-0",
    );
}

/// An hour without its receiver, which is tried every five seconds: whatever the alerts do
/// meanwhile, each is owed one state, the newest.
#[test]
fn after_an_hours_outage_the_newest_state_of_each_alert_is_sent_once() {
    let story = |minute: i64| match minute {
        1 => "fire new 60\nfire again 60\nfire flaps 60",
        2 => "resolve known 120\nresolve again 120",
        3 => "fire again 180\nfire short 180",
        4 => "resolve short 240",
        _ if minute % 2 == 0 => "resolve flaps 0\nfire steady 0",
        _ => "fire flaps 3000",
    };
    for (fault, expected) in [
        // `short` came and went unheard; `flaps` stands where it stood last.
        ("lost", "known-120 new+60 again+180 flaps+3000"),
        // Everything may have arrived, so every end is told.
        ("fail", "known-120 new+60 again+180 short-240 flaps+3000"),
    ] {
        let mut script = "fire known 0\nfire again 0\nfire steady 0\nsend ok\n".to_owned();
        for minute in 1..60 {
            script.push_str(&format!("at {}\n{}\n", minute * 60, story(minute)));
            for attempt in 0..12 {
                let at = minute * 60 + attempt * 5;
                script.push_str(&format!("at {at}\nsend {fault}\n"));
            }
        }
        script.push_str("at 3600\nsend ok\nsend ok\nwaiting all");
        let out = run(&script, 1_000);
        let mut sends: Vec<&str> = out.rsplit(" | ").collect();
        assert_eq!(sends.remove(0), "waiting:0", "{fault}");
        assert_eq!(sends.remove(0), "", "{fault}");
        let mut news: Vec<&str> = sends.remove(0).split(' ').collect();
        // The steady one is due again, as every minute.
        assert!(news.contains(&"steady+0"), "{fault}: {news:?}");
        news.retain(|sent| *sent != "steady+0");
        let mut expected: Vec<&str> = expected.split(' ').collect();
        news.sort_unstable();
        expected.sort_unstable();
        assert_eq!(news, expected, "{fault}");
        let most = sends.iter().map(|sent| sent.split(' ').count()).max();
        assert!(most <= Some(6), "one state an alert: {most:?}");
    }
}

#[test]
fn what_an_earlier_process_told_is_taken_up() {
    use crate::notify::ledger::Memory;
    let recalled = |resolved: Option<i64>, knows_firing, told_at: Option<i64>, at: i64| {
        let mut schedule = Schedule::new(DurationMs::from_seconds(60), 10);
        let seconds = |s: i64| TimestampMs(s * 1000);
        let status = resolved.map_or(AlertStatus::Firing, |at| AlertStatus::Resolved {
            resolved_at: seconds(at),
        });
        let known = Known {
            message: Arc::new(AlertMessage {
                labels: Labels::from_pairs([("alertname", "a")]),
                annotations: Arc::from([]),
                context: None,
                status,
                fired_at: seconds(0),
                valid_for: DurationMs::from_seconds(240),
                expr: Arc::from("x"),
                caused_by: 0,
                caused_at_wall: seconds(0),
                backlog: true,
            }),
            since: seconds(resolved.unwrap_or(0)),
            is_repeated: true,
            is_confirmed: true,
            memory: Memory {
                knows_firing,
                told_at: told_at.map(seconds),
            },
        };
        schedule.recall(&known, seconds(100));
        let now = seconds(100 + at);
        let taken = schedule.take(now, 10);
        let news = |o: &Outgoing| if o.is_new { "!" } else { "" };
        let all: Vec<String> = taken.iter().map(|o| print(o) + news(o)).collect();
        all.join(" ")
    };
    // Told long ago: it is repeated at once, lest it expire. Told of late: in its time.
    assert_eq!(recalled(None, true, Some(10), 0), "a+0");
    assert_eq!(recalled(None, true, Some(90), 0), "");
    assert_eq!(recalled(None, true, Some(90), 51), "a+0");
    // Not told: it waits a moment for what the engines say.
    assert_eq!(recalled(None, false, None, 0), "");
    assert_eq!(recalled(None, false, None, 1), "a+0!");
    assert_eq!(recalled(Some(50), true, None, 1), "a-50!");
    assert_eq!(recalled(Some(50), false, Some(60), 21), "a-50");
}

#[test]
fn a_resolution_never_ends_in_the_future() {
    assert_eq!(
        run("fire a 0\nsend ok\nat 10\nresolve a 12\nsend ok", 2),
        "a+0 | a-10"
    );
}
