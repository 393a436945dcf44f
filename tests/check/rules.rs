//! `check rules`

use crate::{BAD, Files, GOOD, SHORT, TWICE};

#[test]
fn files_that_load_are_counted() {
    let files = Files::of(&[("a.yml", GOOD), ("b.yml", SHORT)]);
    files.burnwatch("rules a.yml b.yml").check(
        0,
        "Checking a.yml\n  SUCCESS: 2 rules found\n\nChecking b.yml\n  SUCCESS: 1 rules found\n\n",
        &[],
    );
    let read = files.burnwatch_reading("rules", GOOD);
    read.check(
        0,
        "Checking standard input\n  SUCCESS: 2 rules found\n\n",
        &[],
    );
}

#[test]
fn a_pattern_is_expanded_where_the_shell_has_not() {
    let files = Files::of(&[("r/a.yml", GOOD), ("r/b.yml", SHORT)]);
    let run = files.burnwatch("rules r/*.yml");
    assert_eq!(run.out.matches("SUCCESS").count(), 2, "{run:#?}");
    let none = files.burnwatch("rules r/*.yaml");
    none.check(
        1,
        "Checking r/*.yaml\n",
        &["r/*.yaml:0:0: cannot be read", "hint: look at the path"],
    );
}

#[test]
fn errors_name_place_and_remedy_and_the_next_file_is_checked() {
    let files = Files::of(&[("bad.yml", BAD), ("good.yml", GOOD)]);
    files.burnwatch("rules bad.yml good.yml").check(
        1,
        "Checking bad.yml\nChecking good.yml\n  SUCCESS: 2 rules found\n\n",
        &[
            "  FAILED:\nbad.yml:4:36: ",
            "not a valid duration string: \"5\"",
            "    hint: a unit is missing: `5s`, `5m`?\n",
        ],
    );
    let directory = files.burnwatch("rules .");
    directory.check(
        1,
        "Checking .\n",
        &[
            ".:0:0: this is a directory",
            "hint: name its files, for example ./*.yml",
        ],
    );
}

#[test]
fn a_baseline_that_nobody_gives_is_missed_in_the_servers_words() {
    let rules = "groups:\n- name: g\n  rules:\n  - {record: r, expr: 'drift_psi(x, x:baseline)'}\n";
    let files = Files::of(&[
        ("a.yml", rules),
        ("p.yml", "burnwatch: {baseline_files: [b.yml]}\n"),
        ("own.yml", "baseline_files: [c.yml]\n"),
        ("b.yml", "baseline:\nseries: ['x:baseline{le=\"1\"} 5']\n"),
        ("c.yml", "baseline:\nseries: ['y:baseline{le=\"1\"} 5']\n"),
    ]);
    let out = "Checking a.yml\n  SUCCESS: 1 rules found\n\n";
    let given = files.burnwatch("rules --config=p.yml a.yml");
    given.check(0, out, &[]);
    assert_eq!(given.err, "");
    let warning =
        "  WARNING: a.yml: group \"g\", rule \"r\" reads x:baseline, which no baseline has: ";
    let missed = files.burnwatch("rules --burnwatch.config.file=own.yml a.yml");
    missed.check(0, out, &[warning]);
    // Without a configuration nobody knows.
    let unknown = files.burnwatch("rules a.yml");
    unknown.check(
        0,
        out,
        &["  NOTE: a.yml: group \"g\", rule \"r\" reads x:baseline: --config"],
    );
    assert!(!unknown.err.contains("WARNING"), "{unknown:#?}");
}

#[test]
fn duplicates_are_listed_as_promtool_does() {
    let files = Files::of(&[("t.yml", TWICE)]);
    let told =
        "  FAILED:\nlint error 1 duplicate rule(s) found.\nMetric: a\nLabel(s):\n\tb: 2\n\tz: 1\n";
    let might = "Might cause inconsistency while recording expressions\n";
    files
        .burnwatch("rules t.yml")
        .check(0, "Checking t.yml\n\n", &[told, might]);
    files
        .burnwatch("rules --lint-fatal t.yml")
        .check(3, "Checking t.yml\n\n", &[told]);
    let silent = "Checking t.yml\n  SUCCESS: 2 rules found\n\n";
    files
        .burnwatch("rules --lint=none --lint-fatal t.yml")
        .check(0, silent, &[]);
    // What does not load counts more than what is only odd.
    let files = Files::of(&[("t.yml", TWICE), ("bad.yml", BAD)]);
    let both = files.burnwatch("rules --lint-fatal t.yml bad.yml");
    assert_eq!(both.code, 1, "{both:#?}");
}

#[test]
fn advice_is_given_when_asked_for_and_fails_only_when_fatal() {
    let files = Files::of(&[("s.yml", SHORT)]);
    let out = "Checking s.yml\n  SUCCESS: 1 rules found\n\n";
    let silent = files.burnwatch("rules --lint-fatal s.yml");
    silent.check(0, out, &[]);
    assert!(!silent.err.contains("ADVICE"), "{silent:#?}");
    for lint in ["all", "short-hold", "record-name,short-hold"] {
        let run = files.burnwatch(&format!("rules --lint={lint} s.yml"));
        let said = "  ADVICE: s.yml:7:10: group \"g\", rule 1, \"Down\": `for: 30s` is rounded up";
        run.check(0, out, &[said, "(short-hold)\n    hint: write `for: 1m`"]);
        let fatal = files.burnwatch(&format!("rules --lint={lint} --lint-fatal s.yml"));
        assert_eq!(fatal.code, 3, "{fatal:#?}");
    }
    let other = files.burnwatch("rules --lint=never-true --lint-fatal s.yml");
    other.check(0, out, &[]);
    // Information never fails.
    let info = "groups: [{name: g, rules: [{record: plain, expr: up}]}]";
    let files = Files::of(&[("i.yml", info)]);
    let run = files.burnwatch("rules --lint=all --lint-fatal i.yml");
    assert_eq!(run.code, 0, "{run:#?}");
    run.check_said(&["  INFO: i.yml:1:37: ", "(record-name)"]);
}

#[test]
fn intervals_come_from_flags_or_a_configuration() {
    let rule = "groups: [{name: g, rules: [{alert: A, expr: 'rate(x_total{job=\"slow\"}[2m]) > 0', for: 20s}]}]";
    let config = "global: {scrape_interval: 10s, evaluation_interval: 30s}\nscrape_configs:\n\
                  - {job_name: slow, scrape_interval: 1m}\n";
    let files = Files::of(&[("r.yml", rule), ("p.yml", config)]);
    let run = files.burnwatch("rules --lint=all r.yml");
    assert!(!run.err.contains("ADVICE"), "{run:#?}");
    let run = files.burnwatch("rules --lint=all --config=p.yml r.yml");
    run.check_said(&[
        "every 1m (p.yml)",
        "(short-window)",
        "evaluated every 30s",
        "(short-hold)",
    ]);
    let run = files.burnwatch("rules --lint=all --scrape-interval=45s r.yml");
    run.check_said(&["every 45s (--scrape-interval)"]);
    let run = files.burnwatch("rules --scrape-interval=0s r.yml");
    assert_eq!(run.code, 2, "{run:#?}");
    run.check_said(&["it must be more than 0"]);
    let run = files.burnwatch("rules --config=none.yml r.yml");
    assert_eq!(run.code, 1, "{run:#?}");
    run.check_said(&["--config: none.yml: cannot be read"]);
}

#[test]
fn unknown_names_are_warned_of_as_promtool_does() {
    let files = Files::of(&[("a.yml", GOOD)]);
    let run = files.burnwatch("rules --lint=short-windows --enable-feature=x a.yml");
    let expected = "WARNING: unknown lint option: \"short-windows\"\n    hint: did you mean \
                    short-window?\n  WARNING: Unknown feature passed to --enable-feature: x\n\
                    Checking a.yml\n  SUCCESS: 2 rules found\n\n";
    run.check(0, expected, &[]);
}

#[test]
fn fields_of_others_are_passed_over_when_asked() {
    let thanos = "groups: [{name: g, partial_response_strategy: warn, rules: [{record: 'a:b:c', expr: up}]}]";
    let files = Files::of(&[("t.yml", thanos)]);
    let refused = files.burnwatch("rules t.yml");
    refused.check(1, "Checking t.yml\n", &["--rules.dialect=thanos"]);
    let out = "Checking t.yml\n  SUCCESS: 1 rules found\n\n";
    let said = "  NOTE: t.yml:1:20: ";
    files
        .burnwatch("rules --rules.dialect=thanos t.yml")
        .check(0, out, &[said]);
    files
        .burnwatch("rules --ignore-unknown-fields t.yml")
        .check(0, out, &[]);
}
