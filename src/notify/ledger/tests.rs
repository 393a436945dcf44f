//! What is remembered of who was told, also by the next process, told as scripts.

use super::*;
use crate::model::DurationMs;

/// Runs a script: `fire a`, `resolve a`, `pending a`, `forget a`; `reach am a` and `tell am a`
/// (its newest state); `down am`; `at 60` moves the clock (seconds), `tidy` tidies; `old` keeps
/// the newest state for a `late am a`, which tells that; `again` opens the file as a new
/// process does. Returns what there is to tell `am` and `hook` then.
#[track_caller]
fn check(script: &str, expected: &str) {
    let folder = tempfile::tempdir().expect("a folder");
    let mut ledger = Ledger::open(folder.path()).expect("a new ledger");
    let mut now = TimestampMs(0);
    let mut newest: HashMap<&str, Arc<AlertMessage>> = HashMap::new();
    let mut old = newest.clone();
    let begin = |ledger: &Ledger| {
        ledger.set_resolved_max(2);
        for receiver in ["am", "hook"] {
            ledger.known_to(receiver);
        }
    };
    begin(&ledger);
    for step in script.split(", ") {
        let words: Vec<&str> = step.split(' ').collect();
        let labels = |at: usize| Labels::from_pairs([("alertname", words[at])]);
        let mut state = |status| {
            let message = Arc::new(AlertMessage {
                labels: labels(1),
                annotations: Arc::from([]),
                context: None,
                status,
                fired_at: match status {
                    AlertStatus::Firing => now,
                    AlertStatus::Resolved { .. } => newest[words[1]].fired_at,
                },
                valid_for: DurationMs::from_seconds(240),
                expr: Arc::from("x"),
                caused_by: 0,
                caused_at_wall: now,
                backlog: false,
            });
            newest.insert(words[1], Arc::clone(&message));
            ledger.note(&[AlertUpdate::State(message)], now);
        };
        match words[0] {
            "at" => now = TimestampMs(words[1].parse::<i64>().expect("seconds") * 1000),
            "fire" => state(AlertStatus::Firing),
            "resolve" => state(AlertStatus::Resolved { resolved_at: now }),
            "pending" => ledger.note(&[AlertUpdate::Pending(labels(1))], now),
            "forget" => ledger.note(&[AlertUpdate::Forget(labels(1))], now),
            "reach" => ledger.leaving(words[1], &[Arc::clone(&newest[words[2]])]),
            "tell" => {
                ledger.leaving(words[1], &[Arc::clone(&newest[words[2]])]);
                ledger.told(words[1], &[Arc::clone(&newest[words[2]])], now);
            }
            "old" => old = newest.clone(),
            "late" => {
                ledger.leaving(words[1], &[Arc::clone(&old[words[2]])]);
                ledger.told(words[1], &[Arc::clone(&old[words[2]])], now);
            }
            "down" => ledger.end(words[1]),
            "tidy" => ledger.tidy(now),
            "rewrite" => ledger.rewrite().expect("a disk"),
            "again" => {
                let told = |ledger: &Ledger| {
                    ["am", "hook"].map(|receiver| shown(&ledger.known_to(receiver)))
                };
                let opened = Ledger::open(folder.path()).expect("an old ledger");
                begin(&opened);
                // That no engine has vouched for it yet is the only difference.
                opened
                    .inner
                    .lock()
                    .alerts
                    .values_mut()
                    .for_each(|e| e.is_confirmed = true);
                let vouched = ledger.inner.lock().alerts.values().all(|e| e.is_confirmed);
                if vouched {
                    assert_eq!(told(&opened), told(&ledger), "{script}");
                }
                ledger = Ledger::open(folder.path()).expect("an old ledger");
                begin(&ledger);
            }
            other => panic!("{other}"),
        }
    }
    let told = ["am", "hook"].map(|receiver| shown(&ledger.known_to(receiver)));
    assert_eq!(told.join(" | "), expected, "{script}");
}

/// Prints what there is to tell: `a+` for firing, `a-` for resolved, `!` where it is news,
/// `?` where it waits for an engine, `1` where it is told once only.
fn shown(known: &[Known]) -> String {
    let one = |known: &Known| {
        let sign = match known.message.status {
            AlertStatus::Firing => '+',
            AlertStatus::Resolved { .. } => '-',
        };
        let news = match known.memory.told_at {
            None if known.is_dormant() => "?",
            None => "!",
            Some(_) => "",
        };
        let once = if known.is_repeated { "" } else { "1" };
        format!(
            "{}{sign}{news}{once}",
            known.message.labels.value("alertname")
        )
    };
    known.iter().map(one).collect::<Vec<_>>().join(" ")
}

#[test]
fn what_was_told_is_not_news_after_a_restart() {
    check("fire a, tell am a, again", "a+ | a+?");
    check("fire a, tell am a, tell hook a, again, again", "a+ | a+");
    check("fire a, tell am a, resolve a, tell am a, again", "a- | ");
    check("fire a, tell am a, resolve a, again", "a-! | ");
    check("fire a, tell am a, resolve a, rewrite, again", "a-! | ");
    check("fire a, tell am a, resolve a, pending a, again", "a-!1 | ");
    check("fire a, tell am a, forget a, again", " | ");
    check("fire a, tell am a, forget a, fire a, again", "a+? | a+?");
    // It fires anew, of which the receiver has not heard.
    check(
        "fire a, tell am a, resolve a, tell am a, at 9, fire a",
        "a+! | a+!",
    );
}

#[test]
fn nobody_hears_of_the_end_of_what_nobody_can_have_heard_of() {
    check("fire a, resolve a, again", " | ");
    // It may have arrived, although no answer came.
    check("fire a, reach am a, resolve a, again", "a-! | ");
    // An answer that comes after the end.
    check("fire a, old, resolve a, late am a, again", "a-! | ");
    check(
        "fire a, tell am a, old, resolve a, at 9, fire a, late am a",
        "a+! | a+!",
    );
}

/// Catches a firing that outlives its rule, because the file says so.
#[test]
fn a_firing_that_nobody_has_heard_of_waits_for_an_engine_to_vouch_for_it() {
    check("fire a, again", "a+? | a+?");
    check("fire a, reach am a, again", "a+? | a+?");
    check("fire a, again, fire a", "a+! | a+!");
}

#[test]
fn what_ended_is_forgotten_once_everybody_has_heard() {
    let told = "fire a, tell am a, resolve a, tell am a";
    check(&format!("{told}, at 900, tidy, again"), "a- | ");
    check(&format!("{told}, at 901, tidy, again"), " | ");
    // Somebody waits for it, however long.
    check(
        "fire a, tell am a, resolve a, at 99999, tidy, again",
        "a-! | ",
    );
    // Nobody waits for it who is gone.
    check(
        "fire a, tell am a, resolve a, down am, at 901, tidy, again",
        " | ",
    );
    // Of too many the oldest go.
    let many = "fire a, fire b, fire c, tell am a, tell am b, tell am c, resolve a, at 1, \
                resolve b, resolve c, at 950, tidy, again";
    check(many, "b-! c-! | ");
}

/// Catches a disk that is full for a while and leaves half a line, or a memory that ends there.
#[test]
fn a_write_that_fails_is_made_good() {
    let folder = tempfile::tempdir().expect("a folder");
    let ledger = Ledger::open(folder.path()).expect("a new ledger");
    let message = |name: &str| {
        let labels = Labels::from_pairs([("alertname", name)]);
        AlertUpdate::State(Arc::new(AlertMessage {
            labels,
            annotations: Arc::from([]),
            context: None,
            status: AlertStatus::Firing,
            fired_at: TimestampMs(0),
            valid_for: DurationMs(1),
            expr: Arc::from("x"),
            caused_by: 0,
            caused_at_wall: TimestampMs(0),
            backlog: false,
        }))
    };
    // A file that cannot be written to stands for the full disk.
    let path = folder.path().join("ledger.jsonl");
    let broken = std::fs::File::open(&path).expect("the file");
    if let Some(journal) = &mut ledger.inner.lock().journal {
        journal.break_with(broken);
    }
    ledger.note(&[message("a"), message("b")], TimestampMs(0));
    ledger.note(&[message("c")], TimestampMs(0));
    assert_eq!(ledger.failures.get(), 1);
    assert_eq!(
        Ledger::open(folder.path())
            .expect("old")
            .unconfirmed()
            .len(),
        0
    );
    ledger.tidy(TimestampMs(0));
    assert_eq!(
        Ledger::open(folder.path())
            .expect("old")
            .unconfirmed()
            .len(),
        3
    );
}
