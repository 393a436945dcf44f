//! When groups are sent, told as scripts of what happens and what is sent.

use super::*;

/// Runs a script, a step a line: `fire a g`, `resolve a g` (alert and its group), `text`,
/// `late-…` for a backlog's state, `forget a g`, `at 10` (seconds), `send ok`, `send fail`,
/// `drain ok`. Returns what every send carried.
#[track_caller]
fn check(settings: impl FnOnce(&mut GroupSettings), script: &str, expected: &str) {
    let mut out = Vec::new();
    run(settings, script, &mut out);
    assert_eq!(out.join(" | "), expected, "{script}");
}

#[track_caller]
fn run(settings: impl FnOnce(&mut GroupSettings), script: &str, out: &mut Vec<String>) {
    let mut chosen = GroupSettings {
        group_by: Some(vec!["group".to_owned()]),
        group_wait: DurationMs::ZERO,
        repeat_interval: DurationMs::ZERO,
        send_resolved: true,
        waiting_max: 100,
    };
    settings(&mut chosen);
    let mut groups = Groups::new(chosen);
    let mut now = TimestampMs(0);
    for line in script.split(", ") {
        let words: Vec<&str> = line.split(' ').collect();
        let group = words.get(2).copied().unwrap_or("g");
        let labels = Labels::from_pairs([("alertname", words[1]), ("group", group)]);
        let mut state = |status| {
            let message = AlertMessage {
                labels: labels.clone(),
                annotations: Arc::from([]),
                context: None,
                status,
                fired_at: TimestampMs(0),
                valid_for: DurationMs::from_seconds(240),
                expr: Arc::from("x"),
                caused_by: 0,
                caused_at_wall: now,
                backlog: words[0].starts_with("late-"),
            };
            let n = groups.state(Arc::new(message), labels.clone(), now);
            out.extend((n > 0).then(|| format!("out:{n}")));
        };
        match words[0].trim_start_matches("late-") {
            "at" => now = TimestampMs(words[1].parse::<i64>().expect("seconds") * 1000),
            "fire" => state(AlertStatus::Firing),
            "resolve" => state(AlertStatus::Resolved { resolved_at: now }),
            "forget" => groups.forget(&labels),
            "send" | "drain" => {
                let batch = groups.take(now, words[0] == "drain");
                let print = |alert: &Told| {
                    let sign = match alert.message.status {
                        AlertStatus::Firing => '+',
                        AlertStatus::Resolved { .. } => '-',
                    };
                    format!("{}{sign}", alert.labels.value("alertname"))
                };
                let alerts = batch
                    .iter()
                    .flat_map(|batch| batch.alerts.iter().map(print));
                out.push(alerts.collect::<Vec<_>>().join(" "));
                match (batch, words[1]) {
                    (Some(batch), "ok") => groups.sent(batch, now, now),
                    (Some(batch), "refuse") => groups.refused(batch, now, now),
                    (Some(batch), "lose") => groups.failed(batch, false, now),
                    (Some(batch), _) => groups.failed(batch, true, now),
                    (None, _) => {}
                }
            }
            other => panic!("{other}"),
        }
    }
}

#[test]
fn at_the_end_news_go_without_company_and_nothing_is_repeated() {
    check(
        |s| s.group_wait = DurationMs::from_seconds(3600),
        "fire a g, fire b g, fire c h, send ok, drain ok, drain ok, drain ok",
        " | a+ b+ | c+ | ",
    );
    check(
        |s| s.repeat_interval = DurationMs::from_seconds(3600),
        "fire a, send ok, resolve a, drain fail, drain ok, drain ok",
        "a+ | a- | a- | ",
    );
}

#[test]
fn a_group_is_sent_whole_when_there_is_news() {
    check(
        |_| {},
        "fire a, fire b, send ok, send ok, fire a, send ok, resolve a, send ok, send ok, \
         fire c, send ok",
        "a+ b+ |  |  | a- b+ |  | b+ c+",
    );
    check(
        |_| {},
        "fire a g, fire b h, send ok, send ok, send ok",
        "a+ | b+ | ",
    );
    check(|_| {}, "fire a, send fail, send ok, send ok", "a+ | a+ | ");
    check(
        |s| s.group_by = None,
        "fire a, fire b, send ok, send ok",
        "a+ | b+",
    );
}

#[test]
fn the_first_notification_waits_and_firing_groups_repeat() {
    check(
        |s| s.group_wait = DurationMs::from_seconds(5),
        "fire a, send ok, at 3, fire b, at 5, send ok, fire c, send ok",
        " | a+ b+ | a+ b+ c+",
    );
    check(
        |s| s.repeat_interval = DurationMs::from_seconds(60),
        "fire a, send ok, at 59, send ok, at 60, send ok, resolve a, send ok, at 200, send ok",
        "a+ |  | a+ | a- | ",
    );
}

#[test]
fn nobody_hears_of_the_end_of_what_nobody_heard_of() {
    check(|_| {}, "fire a, resolve a, send ok", "");
    check(|_| {}, "late-fire a, late-resolve a, at 5, send ok", "");
    check(|_| {}, "late-fire a, send ok, at 1, send ok", " | a+");
    check(|_| {}, "fire a, send fail, resolve a, send ok", "a+ | a-");
    check(|_| {}, "fire a, send ok, forget a, at 9, send ok", "a+ | ");
    check(
        |s| s.send_resolved = false,
        "fire a, send ok, resolve a, send ok",
        "a+ | ",
    );
    // An earlier process told of the firing.
    check(|_| {}, "resolve a, send ok", "a-");
}

#[test]
fn what_cannot_have_arrived_was_not_heard_and_what_is_refused_is_offered_again() {
    check(|_| {}, "fire a, send lose, resolve a, send ok", "a+ | ");
    check(
        |_| {},
        "fire a, send fail, send lose, resolve a, send ok",
        "a+ | a+ | a-",
    );
    check(
        |_| {},
        "fire a, send refuse, at 299, send ok, at 300, send ok, send ok",
        "a+ |  | a+ | ",
    );
    check(
        |_| {},
        "fire a g, fire b h, send refuse, send ok, at 300, send ok",
        "a+ | b+ | a+",
    );
}

/// An hour without its receiver, which is tried every minute.
#[test]
fn after_an_hours_outage_each_group_is_sent_once_as_it_stands() {
    for (fault, expected) in [("lose", "new+ old- | "), ("fail", "new+ old- short- | ")] {
        let mut script = "fire old, send ok, at 60, resolve old, fire new".to_owned();
        for minute in 2..60 {
            script.push_str(&format!(", at {}, send {fault}", minute * 60));
            match minute {
                10 => script.push_str(", fire short"),
                20 => script.push_str(", resolve short"),
                30 => script.push_str(", fire flaps"),
                _ if minute > 30 && minute % 2 == 1 => script.push_str(", forget flaps"),
                _ => {}
            }
        }
        script.push_str(", at 3600, send ok, send ok");
        let mut chosen = Vec::new();
        run(|_| {}, &script, &mut chosen);
        assert_eq!(chosen[chosen.len() - 2..].join(" | "), expected, "{fault}");
    }
}

#[test]
fn the_oldest_are_not_told_of_when_too_many_wait() {
    check(
        |s| s.waiting_max = 1,
        "fire a g, fire b h, send ok, send ok",
        "out:1 | b+ | ",
    );
}
