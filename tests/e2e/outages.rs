//! A real Alertmanager that is away while alerts come and go, and a burnwatch that is killed
//! meanwhile.

use crate::exporter::Exporter;
use crate::processes::{Stack, wait_for};
use crate::webhook::Webhook;
use crate::{active, stack_or_skip, time_ms};

const RULES: &str = "
groups:
- name: outages
  interval: 1s
  rules:
  - {alert: EndsMeanwhile, expr: e2e_ends > 5}
  - {alert: StartsMeanwhile, expr: e2e_starts > 5}
  - {alert: ComesAndGoes, expr: e2e_comes_and_goes > 5}
  - {alert: GoesOn, expr: e2e_goes_on > 5}
";

/// Catches an end that is lost with the process that knew of it, a firing that nobody hears of,
/// and people who are told of what came and went, or a second time of what they know.
#[test]
fn what_happens_while_alertmanager_is_away_and_burnwatch_is_killed_is_told_when_both_are_back() {
    let Some((prometheus, alertmanager)) = stack_or_skip("outages") else {
        return;
    };
    let exporter = Exporter::start();
    let (by_alertmanager, by_burnwatch) = (Webhook::start(), Webhook::start());
    for name in ["e2e_starts", "e2e_comes_and_goes"] {
        exporter.set(name, Some(1.0));
    }
    for name in ["e2e_ends", "e2e_goes_on"] {
        exporter.set(name, Some(9.0));
    }
    let mut stack = Stack::start(
        &prometheus,
        &alertmanager,
        RULES,
        exporter.port(),
        by_alertmanager.port(),
        by_burnwatch.port(),
    );
    for name in ["EndsMeanwhile", "GoesOn"] {
        wait_for(&format!("{name} notified by Alertmanager"), || {
            by_alertmanager.seen(name, "firing")
        });
        wait_for(&format!("{name} told by burnwatch's webhook"), || {
            by_burnwatch.seen(name, "firing")
        });
    }

    stack.end_alertmanager();
    exporter.set("e2e_ends", Some(1.0));
    exporter.set("e2e_starts", Some(9.0));
    exporter.set("e2e_comes_and_goes", Some(9.0));
    for name in ["StartsMeanwhile", "ComesAndGoes"] {
        wait_for(
            &format!("{name} told by the webhook, which is there"),
            || by_burnwatch.seen(name, "firing"),
        );
    }
    exporter.set("e2e_comes_and_goes", Some(1.0));
    let ended = ["EndsMeanwhile", "ComesAndGoes"].map(|name| {
        wait_for(&format!("{name} resolved by the webhook"), || {
            by_burnwatch.seen(name, "resolved")
        })
    });

    stack.kill_burnwatch();
    stack.start_burnwatch();
    stack.start_alertmanager(&alertmanager, by_alertmanager.port());
    for name in ["StartsMeanwhile", "GoesOn"] {
        wait_for(&format!("{name} in Alertmanager"), || {
            active(&stack, name).pop()
        });
    }
    wait_for("StartsMeanwhile notified by Alertmanager", || {
        by_alertmanager.seen("StartsMeanwhile", "firing")
    });
    let told = wait_for("EndsMeanwhile resolved by Alertmanager", || {
        by_alertmanager.seen("EndsMeanwhile", "resolved")
    });
    assert_eq!(time_ms(&told, "endsAt"), time_ms(&ended[0], "endsAt"));
    // It came and went while there was no connection.
    assert_eq!(by_alertmanager.times("ComesAndGoes", "firing"), 0);
    assert_eq!(by_alertmanager.times("ComesAndGoes", "resolved"), 0);
    // The webhook was there all the time: of what had ended it heard once.
    assert_eq!(by_burnwatch.times("EndsMeanwhile", "resolved"), 1);
    assert_eq!(by_burnwatch.times("ComesAndGoes", "resolved"), 1);
}
