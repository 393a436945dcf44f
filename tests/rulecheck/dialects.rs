//! Fields of other evaluators: refused as Prometheus refuses them, and under their dialect passed
//! over, read or refused with the reason.

use burnwatch::engine::compile;
use burnwatch::functions::Functions;
use burnwatch::model::{
    Dialect, DurationMs, EngineSettings, NameValidation, RuleFormat, RuleSource, TimestampMs,
};
use burnwatch::rule::{ParseOptions, ParsedFile, RuleError, parse_file};

fn parsed(text: &str, dialect: Dialect) -> Result<ParsedFile, Vec<RuleError>> {
    let options = ParseOptions {
        format: RuleFormat {
            dialect,
            ..RuleFormat::default()
        },
        ..ParseOptions::default()
    };
    parse_file("f.yml", text, &Functions, options)
}

fn group(field: &str) -> String {
    format!("groups:\n- name: g\n  {field}\n")
}

/// Every field that the contract names, with a value that its evaluator takes; `true` where that
/// changes nothing here or has a counterpart.
const FIELDS: [(Dialect, &str, bool); 17] = [
    (Dialect::Thanos, "partial_response_strategy: warn", true),
    (Dialect::Mimir, "source_tenants: [a, b]", true),
    (Dialect::Mimir, "evaluation_delay: 1m", true),
    (
        Dialect::Mimir,
        "align_evaluation_time_on_interval: true",
        true,
    ),
    (Dialect::Vmalert, "concurrency: 2", true),
    (Dialect::Vmalert, "eval_offset: 5m", false),
    (Dialect::Vmalert, "eval_delay: 1m", true),
    (Dialect::Vmalert, "eval_alignment: false", true),
    (Dialect::Vmalert, "params: {nocache: ['1']}", false),
    (Dialect::Vmalert, "headers: ['CustomHeader: foo']", true),
    (
        Dialect::Vmalert,
        "notifier_headers: ['TenantID: foo']",
        true,
    ),
    (Dialect::Vmalert, "type: prometheus", true),
    (Dialect::Vmalert, "type: graphite", false),
    (Dialect::Vmalert, "tenant: '1:2'", false),
    (Dialect::Vmalert, "debug: true", true),
    (Dialect::Vmalert, "update_entries_limit: 40", true),
    (
        Dialect::Vmalert,
        "rules: [{record: a, expr: b, debug: true, update_entries_limit: 40}]",
        true,
    ),
];

#[test]
fn prometheus_knows_none_of_them() {
    for (dialect, field, _) in FIELDS {
        for errors in [
            parsed(&group(field), Dialect::Prometheus).expect_err(field),
            other(dialect, field),
        ] {
            for error in errors {
                let hint = error.hint.as_deref().unwrap_or_default();
                assert!(
                    error.message.contains(" not found in rule"),
                    "{field}: {error}"
                );
                assert!(
                    hint.contains(&format!("--rules.dialect={dialect}")),
                    "{field}: {hint}"
                );
            }
        }
    }
}

/// What another evaluator's dialect says of a field.
fn other(dialect: Dialect, field: &str) -> Vec<RuleError> {
    let other = match dialect {
        Dialect::Thanos => Dialect::Mimir,
        _ => Dialect::Thanos,
    };
    parsed(&group(field), other).expect_err(field)
}

#[test]
fn its_dialect_takes_what_is_harmless_and_says_so() {
    for (dialect, field, is_harmless) in FIELDS {
        match (parsed(&group(field), dialect), is_harmless) {
            (Ok(file), true) => {
                assert!(!file.notes.is_empty(), "{field}: no note");
                for note in file.notes {
                    assert!(note.line == 3 && note.column >= 3, "{field}: {note}");
                    assert!(note.message.contains("group \"g\""), "{field}: {note}");
                }
            }
            (Err(errors), false) => {
                assert_eq!(errors.len(), 1, "{field}: {errors:#?}");
                let place = (errors[0].line, errors[0].column);
                assert_eq!(place, (3, 3), "{field}: {errors:#?}");
                assert!(
                    errors[0].message.contains("cannot be kept: "),
                    "{errors:#?}"
                );
                assert!(errors[0].hint.is_some(), "{errors:#?}");
            }
            (Ok(_), false) => panic!("{field} is accepted"),
            (Err(errors), true) => panic!("{field}: {errors:#?}"),
        }
    }
}

#[test]
fn a_delay_is_the_query_offset() {
    let check = |dialect, fields: &str, expected: Result<i64, &str>| {
        let outcome = parsed(&group(fields), dialect);
        match (outcome, expected) {
            (Ok(file), Ok(seconds)) => {
                let offset = file.groups[0].query_offset;
                assert_eq!(offset, Some(DurationMs::from_seconds(seconds)), "{fields}");
            }
            (Err(errors), Err(words)) => {
                assert!(errors[0].message.contains(words), "{fields}: {errors:#?}");
            }
            (outcome, _) => panic!("{fields}: {outcome:?}"),
        }
    };
    check(Dialect::Mimir, "evaluation_delay: 90s", Ok(90));
    check(Dialect::Vmalert, "eval_delay: 30s", Ok(30));
    check(
        Dialect::Mimir,
        "evaluation_delay: 1m\n  query_offset: 60s",
        Ok(60),
    );
    check(
        Dialect::Mimir,
        "evaluation_delay: 1m\n  query_offset: 2m",
        Err("differ: 1m and 2m"),
    );
    check(
        Dialect::Mimir,
        "evaluation_delay: 5",
        Err("not a valid duration string"),
    );
}

#[test]
fn values_that_the_evaluator_refuses_are_refused() {
    let check = |dialect, field: &str, expected: &str| {
        let errors = parsed(&group(field), dialect).expect_err(field);
        assert!(errors[0].message.contains(expected), "{field}: {errors:#?}");
        assert!(errors[0].hint.is_some(), "{field}");
    };
    check(
        Dialect::Thanos,
        "partial_response_strategy: maybe",
        "must be `warn` or `abort`, found",
    );
    check(
        Dialect::Mimir,
        "source_tenants: a",
        "must be a list of texts, found `a`",
    );
    check(
        Dialect::Vmalert,
        "concurrency: x",
        "must be an integer, found `x`",
    );
    check(
        Dialect::Mimir,
        "source_tenants: [a, b]\n  rules: [{record: r, expr: 'sum by (__tenant_id__) (up)'}]",
        "reads __tenant_id__, which series have in Mimir alone",
    );
    check(
        Dialect::Vmalert,
        "concurency: 1",
        "field concurency not found in rule group",
    );
}

/// The words at the top of a file of mimirtool's.
#[test]
fn a_namespace_is_passed_over() {
    let text = "namespace: team\ngroups: []\n";
    let errors = parsed(text, Dialect::Prometheus).expect_err("refused");
    assert!(
        errors[0]
            .hint
            .as_deref()
            .is_some_and(|hint| hint.contains("=mimir"))
    );
    let notes = parsed(text, Dialect::Mimir).expect("accepted").notes;
    assert_eq!((notes[0].line, notes[0].column), (1, 1));
}

/// What the engine makes of the settings: the format reaches the files, notes come back, and an
/// aligned group ticks at multiples of its interval.
#[test]
fn the_engine_reads_files_as_its_settings_say() {
    let compiled = |text: &str, rule_format| {
        let settings = EngineSettings {
            rule_format,
            ..EngineSettings::default()
        };
        let files = vec![("f.yml".to_owned(), text.to_owned())];
        compile(&RuleSource { files, settings })
    };
    let mimir = RuleFormat {
        dialect: Dialect::Mimir,
        ..RuleFormat::default()
    };
    let aligned = group("align_evaluation_time_on_interval: true\n  interval: 5m");
    assert!(compiled(&aligned, RuleFormat::default()).is_err());
    let rules = compiled(&aligned, mimir).expect("accepted");
    assert!(
        rules.notes[0].starts_with("f.yml:3:3: group \"g\": `align_"),
        "{:?}",
        rules.notes
    );
    let next = rules.groups[0].grid.next_after(TimestampMs(1));
    assert_eq!(next, TimestampMs(300_000));

    let dashed = group("rules: [{record: a-b, expr: up, labels: {c-d: e}}]");
    assert!(compiled(&dashed, RuleFormat::default()).is_ok());
    let legacy = RuleFormat {
        names: NameValidation::Legacy,
        ..RuleFormat::default()
    };
    let errors = compiled(&dashed, legacy).expect_err("refused");
    let messages: Vec<&str> = errors.iter().map(|e| e.message.as_str()).collect();
    assert_eq!(
        messages,
        [
            "group \"g\", rule 1, \"a-b\": invalid recording rule name: a-b",
            "group \"g\", rule 1, \"a-b\": invalid label name: c-d",
        ]
    );
    let unknown = group("owner: me\n  rules: [{record: a, expr: b, ticket: 5}]");
    assert!(compiled(&unknown, RuleFormat::default()).is_err());
    let lenient = RuleFormat {
        ignore_unknown_fields: true,
        ..RuleFormat::default()
    };
    assert!(compiled(&unknown, lenient).is_ok());
}
