//! Mistakes in specifications: each is told with its place and a remedy.

use crate::{compiled, corpora, example, read};
use burnwatch::slo::Options;

/// Checks what is said about a text: place and message, and that there is a remedy.
fn check(text: &str, place: &str, said: &str) {
    let errors = read(text).expect_err(text);
    let found = errors.iter().find(|e| e.to_string().contains(said));
    let Some(error) = found else {
        panic!("{said} is not said of\n{text}\n{errors:#?}");
    };
    assert!(
        error.to_string().starts_with(&format!("{place}: ")),
        "{error}\n{text}"
    );
    assert!(
        error.hint.as_ref().is_some_and(|hint| !hint.is_empty()),
        "{error:?}"
    );
}

fn own(slo: &str) -> String {
    format!(
        "version: burnwatch/v1\nservice: s\nslos:\n- {}\n",
        slo.replace('\n', "\n  ")
    )
}

const RATIO: &str = "sli: {ratio: {errors: e_total, total: t_total}}";

#[test]
fn objectives_that_leave_no_budget() {
    let with = |objective: &str| own(&format!("name: a\nobjective: {objective}\n{RATIO}"));
    check(
        &with("100"),
        "5:14",
        "an objective of 100 % leaves no error budget",
    );
    check(
        &with("0"),
        "5:14",
        "an objective of 0 % is met whatever happens",
    );
    check(
        &with("101"),
        "5:14",
        "an objective is a share of events in %",
    );
    check(
        &with("-1"),
        "5:14",
        "an objective is a share of events in %",
    );
    check(
        &with("much"),
        "5:14",
        "objective must be a number, found `much`",
    );
    check(&with("99.9%"), "5:14", "objective must be a number");
    check(&with("NaN"), "5:14", "objective must be a number");
    check(
        &own(&format!("name: a\n{RATIO}")),
        "4:3",
        "has no objective",
    );
}

#[test]
fn fields_that_are_not_known() {
    check(
        &own(&format!("name: a\nobjektive: 99\n{RATIO}")),
        "5:3",
        "field objektive not found in SLO \"a\"",
    );
    check(
        "version: burnwatch/v1\nservice: s\nslo: []\n",
        "3:1",
        "field slo not found",
    );
    let sloth = example("sloth.yml");
    check(
        &sloth.replace("error_query", "errors_query"),
        "11:9",
        "field errors_query not found in events",
    );
    let pyrra = example("pyrra.yml");
    check(
        &pyrra.replacen("window: 4w", "windows_: 4w", 1),
        "11:3",
        "field windows_ not found",
    );
    let openslo = example("openslo.yml");
    check(
        &openslo.replacen("timeWindow:", "timeWindows:", 1),
        "10:3",
        "field timeWindows not found",
    );
}

#[test]
fn queries_that_are_none() {
    let sloth = example("sloth.yml");
    check(
        &sloth.replace("orders_total[{{.window}}]))", "orders_total[{{.window}}]"),
        "12:22",
        "parse error",
    );
    check(
        &sloth.replace("orders_total[{{.window}}]", "orders_total[5m]"),
        "12:22",
        "has no {{.window}}",
    );
    check(
        &sloth.replace("{{.window}}", "{{.period}}"),
        "11:22",
        "{{.period}} is not known",
    );
    check(
        &own("name: a\nobjective: 99\nsli: {ratio: {errors: 'sum(e)', total: t}}"),
        "6:25",
        "no selector of series",
    );
    check(
        &own("name: a\nobjective: 99\nsli: {ratio: {errors: '{job=\"x\"}', total: t}}"),
        "6:25",
        "names no metric",
    );
    check(
        &own(
            "name: a\nobjective: 99\nsli: {latency: {histogram: x_seconds_bucket, threshold: 1s}}",
        ),
        "6:18",
        "x_seconds_bucket is a part of a histogram",
    );
    check(
        &own("name: a\nobjective: 99\nsli: {quality: {measure: psi}}"),
        "6:18",
        "needs above or below",
    );
    check(
        &own("name: a\nobjective: 99\nsli: {quality: {measure: '1 + 1', above: 1}}"),
        "6:18",
        "must be a vector",
    );
}

#[test]
fn names_and_references() {
    let twice = format!(
        "{}- name: a\n  objective: 99\n  {RATIO}\n",
        own(&format!("name: a\nobjective: 99\n{RATIO}"))
    );
    check(
        &twice,
        "7:3",
        "has two objectives named \"a\", the first at line 4",
    );
    let openslo = example("openslo.yml");
    check(
        &openslo.replace("indicatorRef: answered", "indicatorRef: asked"),
        "9:17",
        "there is no SLI \"asked\" in this file",
    );
    check(
        &openslo.replace("type: Prometheus", "type: Datadog"),
        "27:9",
        "whose queries are no PromQL",
    );
    check(
        &own(&format!("name: a b\nobjective: 99\n{RATIO}")),
        "4:3",
        "is no name of a service or an objective",
    );
    check(
        &own(&format!("name: a\nobjective: 99\nby: [slo]\n{RATIO}")),
        "4:3",
        "\"slo\" is what the objective's own series have",
    );
    check(
        &own(&format!("name: a\nobjective: 99\nperiod: 5m\n{RATIO}")),
        "4:3",
        "is shorter than any window",
    );
    check(
        &own(&format!(
            "name: a\nobjective: 99\nmaintenance: sum(x)\n{RATIO}"
        )),
        "6:16",
        "maintenance of SLO \"a\"",
    );
    check(
        &format!("{}---\nx: 1\n", example("predictor.yml")),
        "44:1",
        "is no specification of objectives",
    );
}

#[test]
fn tiers_that_cannot_fire_are_left_out_and_said() {
    let notes = |objective: &str, more: &str| {
        let compiled = compiled(
            &own(&format!("name: a\nobjective: {objective}\n{RATIO}{more}")),
            &Options::default(),
        );
        let notes: Vec<String> = compiled.notes.iter().map(ToString::to_string).collect();
        (compiled.slos[0].tiers.len(), notes.join("\n"))
    };
    let (n, said) = notes("93", "");
    assert_eq!(n, 3);
    assert!(
        said.contains("4:3: s/a: the P1 tier of burn 14.4 over 1h is left out: it can never fire"),
        "{said}"
    );
    assert_eq!(notes("99.9", ""), (4, String::new()));
    let (n, said) = notes("99.9", "\nwindows: [{burn: 720, window: 1h}]");
    assert_eq!(n, 1);
    assert!(
        said.contains("fires when 100 % of the budget is spent"),
        "{said}"
    );
    assert!(
        said.contains("has one window: it goes on for up to 1 h after the trouble ends"),
        "{said}"
    );
}

/// Documents of OpenSLO that name other tools' queries are refused for that, and nothing else.
#[test]
fn openslos_own_examples_are_understood() {
    fn below(path: &std::path::Path, found: &mut Vec<std::path::PathBuf>) {
        for entry in std::fs::read_dir(path).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => below(&path, found),
                false => found.push(path),
            }
        }
    }
    let Some(corpora) = corpora("OpenSLO's examples") else {
        return;
    };
    let mut files = Vec::new();
    below(&corpora.join("openslo"), &mut files);
    files.sort();
    let (mut n_read, mut n_foreign) = (0, 0);
    for path in files {
        let text = std::fs::read_to_string(&path).unwrap();
        let Err(errors) = read(&text) else {
            n_read += 1;
            continue;
        };
        let expected = [
            "whose queries are no PromQL",
            "of openslo.com/v2alpha is not known",
            "in this file",
            // A threshold without the value it is held against, and a file that is no YAML.
            "has no value",
            "has no rawType",
            "Timeslices need a timeSliceTarget",
            "is no specification of objectives",
            "not found in",
            "has no op",
        ];
        for error in &errors {
            let is_expected = expected.iter().any(|said| error.message.contains(said));
            assert!(is_expected, "{}: {error}", path.display());
        }
        say!("{}: {}", path.display(), errors[0]);
        n_foreign += 1;
    }
    say!("OpenSLO: {n_read} files are read, {n_foreign} are refused with a reason");
    assert!(n_read >= 10, "{n_read}");
}
