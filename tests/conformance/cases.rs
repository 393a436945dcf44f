//! The life cycles of the compliance suite for alert generators: series, and when which alert
//! is in which state.
//!
//! The suite's own rule file is not ours to copy; `tests/data/lifecycle/rules.yml` has the same
//! cases under other names. Names and texts are read from whichever file is tested, so the
//! tables hold for both: groups and rules are named by their place.

/// The distance of samples, ms. Places in the tables count samples.
pub const STEP_MS: i64 = 15_000;
/// The interval of every group, ms.
pub const INTERVAL_MS: i64 = 30_000;

/// One group of rules and what is expected of it.
pub struct Case {
    /// What it is about.
    pub about: &'static str,
    /// The place of the group in the file.
    pub group: usize,
    /// What is sent.
    pub series: Vec<SeriesTable>,
    /// What comes of it.
    pub episodes: Vec<Episode>,
    /// Until when there is something to see, in samples.
    pub until: i64,
}

/// A series: the one that a rule selects, with more labels.
pub struct SeriesTable {
    /// The rule whose selector gives name and labels.
    pub rule: usize,
    /// Labels besides.
    pub labels: Vec<(&'static str, String)>,
    /// Labels of the selector that it does not have.
    pub without: &'static [&'static str],
    /// Values, each with the number of samples.
    pub values: Vec<(f64, usize)>,
}

/// An alert from pending to inactive.
pub struct Episode {
    /// The rule.
    pub rule: usize,
    /// Labels besides those of the rule.
    pub labels: &'static [(&'static str, &'static str)],
    /// The sample with which it begins.
    pub active: i64,
    /// When it fires at the earliest, ms after the first sample; `None` when it never does.
    pub fires_ms: Option<i64>,
    /// The sample with which it is over.
    pub over: i64,
    /// Its values, each from a sample on.
    pub values: &'static [(i64, &'static str)],
    /// What stands in the rule's annotations, and what comes of it; `VALUE` is the value, `RULE 0`
    /// the name of the group's first alert.
    pub expanded: Vec<(&'static str, &'static str)>,
}

/// What whole templates come to, in the suite's file and in ours: `…` stands for the rest of it.
const NUMBERS: [(&str, &str); 2] = [
    (
        "{{humanize 1048576}}…",
        "1.049M 1Mi 2m 15s 95.9% 2022-01-25 12:36:43 +0000 UTC",
    ),
    (
        "{{ humanize 2048000 }}…",
        "2.048M, 3Mi, 1h 2m 5s, 12.5%, 2020-09-13 12:26:40 +0000 UTC",
    ),
];
const TEXTS: [(&str, &str); 2] = [
    (
        "{{title \"this part\"}}…",
        "This Part IS TESTING the strings. ::1 127.0.0.1. 7815. replaced text. .",
    ),
    (
        "{{ toUpper \"upper\" }}…",
        "UPPER lower A Title 2001:db8::1 10.0.0.1 3661 a<b>c",
    ),
];
const QUERIED_FIRST: [(&str, &str); 2] = [
    (
        "{{ define \"testtemplate\" }}…",
        "Args are: foo bar 99. first_id:101,101:1,102:2,103:3,",
    ),
    (
        "{{ define \"list\" }}…",
        "three of 7: first 101; 101=1 102=2 103=3",
    ),
];
const QUERIED_LATER: [(&str, &str); 2] = [
    (
        "{{ define \"testtemplate\" }}…",
        "Args are: foo bar 99. first_id:101,101:2,102:4,103:6,",
    ),
    (
        "{{ define \"list\" }}…",
        "three of 7: first 101; 101=2 102=4 103=6",
    ),
];

/// Returns all cases.
pub fn all() -> [Case; 4] {
    [
        new_alerts_and_order(),
        pending_firing_resolved(),
        pending_and_never(),
        zero_and_small_for(),
    ]
}

fn series(rule: usize, values: &[(f64, usize)]) -> SeriesTable {
    SeriesTable {
        rule,
        labels: Vec::new(),
        without: &[],
        values: values.to_vec(),
    }
}

/// A second alert of a rule joins the first, and a rule behind reads `ALERTS` of both at the
/// same evaluation.
fn new_alerts_and_order() -> Case {
    let variant = |name: &str, values: &[(f64, usize)]| SeriesTable {
        labels: vec![("variant", name.to_owned())],
        ..series(0, values)
    };
    let episode = |labels, active, fires: i64, over| Episode {
        rule: 0,
        labels,
        active,
        fires_ms: Some(fires * STEP_MS),
        over,
        values: &[(0, "11")],
        expanded: Vec::new(),
    };
    Case {
        about: "new alerts beside old ones; a rule that reads ALERTS",
        group: 0,
        series: vec![
            variant("one", &[(1.0, 8), (11.0, 65), (9.0, 21)]),
            variant("two", &[(1.0, 32), (11.0, 33), (9.0, 21)]),
        ],
        episodes: vec![
            episode(&[("variant", "one")], 8, 20, 73),
            episode(&[("variant", "two")], 32, 44, 65),
            Episode {
                rule: 1,
                labels: &[("alertstate", "firing")],
                active: 44,
                fires_ms: Some(44 * STEP_MS),
                over: 65,
                values: &[(0, "2")],
                expanded: vec![
                    ("{{$labels.alertname}}", "RULE 0"),
                    ("{{.Labels.foo}}", "bar"),
                    ("{{ $labels.alertname }}", "RULE 0"),
                    ("{{ .Labels.crew }}", "day"),
                ],
            },
        ],
        until: 94,
    }
}

/// An alert that changes its value, is resolved, and comes again.
fn pending_firing_resolved() -> Case {
    let episode = |active, fires: i64, over, values| Episode {
        rule: 0,
        labels: &[],
        active,
        fires_ms: Some(fires * STEP_MS),
        over,
        values,
        expanded: vec![
            ("{{$value}}", "VALUE"),
            ("{{.Value}}", "VALUE"),
            ("{{ $value }}", "VALUE"),
            ("{{ .Value }}", "VALUE"),
        ],
    };
    Case {
        about: "pending, firing, resolved, and again",
        group: 1,
        series: vec![series(
            0,
            &[
                (3.0, 1),
                (5.0, 3),
                (9.0, 4),
                (11.0, 13),
                (15.0, 32),
                (19.0, 16),
                (9.0, 20),
                (15.0, 45),
                (8.0, 16),
            ],
        )],
        episodes: vec![
            episode(8, 32, 69, &[(0, "11"), (21, "15"), (53, "19")]),
            episode(89, 113, 134, &[(0, "15")]),
        ],
        until: 150,
    }
}

/// An alert that does not last, and one that never begins.
fn pending_and_never() -> Case {
    let values = [(3.0, 1), (5.0, 3), (9.0, 4), (11.0, 11), (9.0, 1)];
    Case {
        about: "pending, then inactive; always inactive",
        group: 2,
        series: vec![series(0, &values), series(1, &values)],
        episodes: vec![Episode {
            rule: 0,
            labels: &[],
            active: 8,
            fires_ms: None,
            over: 19,
            values: &[(0, "11")],
            expanded: Vec::new(),
        }],
        until: 60,
    }
}

/// No `for`, and one shorter than the interval; templates that query.
fn zero_and_small_for() -> Case {
    let values = [
        (3.0, 1),
        (5.0, 3),
        (9.0, 4),
        (15.0, 13),
        (9.0, 72),
        (11.0, 13),
        (9.0, 1),
    ];
    let queried = |n: u32| SeriesTable {
        labels: vec![
            ("for", "template".to_owned()),
            ("id", (100 + n).to_string()),
            ("__value__", format!("val{n}")),
        ],
        without: &["alertname", "use"],
        ..series(0, &[(f64::from(n), 28), (f64::from(2 * n), 201)])
    };
    Case {
        about: "no for; a for shorter than the interval; templates",
        group: 3,
        series: vec![
            series(0, &values),
            series(1, &values),
            queried(1),
            queried(2),
            queried(3),
        ],
        episodes: vec![
            Episode {
                rule: 0,
                labels: &[],
                active: 8,
                fires_ms: Some(8 * STEP_MS),
                over: 21,
                values: &[(0, "15")],
                expanded: [NUMBERS, QUERIED_FIRST].concat(),
            },
            Episode {
                rule: 0,
                labels: &[],
                active: 93,
                fires_ms: Some(93 * STEP_MS),
                over: 106,
                values: &[(0, "11")],
                expanded: [NUMBERS, QUERIED_LATER].concat(),
            },
            Episode {
                rule: 1,
                labels: &[],
                active: 8,
                fires_ms: Some(8 * STEP_MS + INTERVAL_MS),
                over: 21,
                values: &[(0, "15")],
                expanded: TEXTS.to_vec(),
            },
        ],
        until: 127,
    }
}
