//! Sloth's own rules and ours, over the same data.

use std::path::{Path, PathBuf};

use burnwatch::model::DurationMs;
use burnwatch::slo::Options;

use crate::{corpora, example, read, rules, run, without};

/// Requests of which some fail for a while, as every specification of the corpus counts them.
const TRAFFIC: &str = "
rule_files: [rules.yml]
evaluation_interval: 1m
tests:
- interval: 1m
  input_series:
  - {series: 'http_request_duration_seconds_count{job=\"myservice\",code=\"200\"}', values: '0+600x420'}
  - {series: 'http_request_duration_seconds_count{job=\"myservice\",code=\"500\"}', values: '0+0x60 0+30x25 750+0x120 750+3x210'}
  - {series: 'apiserver_request_total{code=\"200\"}', values: '0+60x420'}
  - {series: 'apiserver_request_total{code=\"503\"}', values: '0+0x30 0+60x60 3600+0x330'}
  - {series: 'apiserver_request_duration_seconds_count{verb=\"GET\"}', values: '0+60x420'}
  - {series: 'apiserver_request_duration_seconds_bucket{verb=\"GET\",le=\"0.4\"}', values: '0+60x100 6000+10x60 6600+60x260'}
  - {series: 'unifipoller_client_satisfaction_ratio{client=\"a\"}', values: '0.9x100 0.6x100 0.9x220'}
  - {series: 'unifipoller_client_satisfaction_ratio{client=\"b\"}', values: '0.9x150 0.3x100 0.9x170'}
  promql_expr_test:
  - {expr: vector(1), eval_time: 7h, exp_samples: [{labels: '{}', value: 1}]}
";

/// Splits what the generator wrote into the text of a rule file.
fn generated(path: &Path) -> String {
    let text = std::fs::read_to_string(path).unwrap();
    // The test data stands in templates of Go, in which templates of rules are quoted.
    let text = text.replace("{{ .version }}", "dev");
    let text = text.replace("{{\"{{", "{{").replace("}}\"}}", "}}");
    text.trim_start_matches(['\n'])
        .trim_start_matches("---\n")
        .to_owned()
}

/// Compares what both rule files record and alert; returns how many series that are.
fn check_same(spec: &Path, generated_path: &Path, options: &Options) -> usize {
    let ours = rules(&std::fs::read_to_string(spec).unwrap(), options);
    let theirs = generated(generated_path);
    // What only one of the two says: the command that made it, who made it, our severities.
    let extra = ["cmd", "severity"];
    let is_compared = |labels: &String| {
        let of = |name: &str| labels.contains(&format!("__name__=\"{name}"));
        let is_ours =
            of("slo:time_to_exhaustion") || of("slo:history_shorter") || of("sloth_slo_info");
        !is_ours && (of("slo:") || of("ALERTS"))
    };
    let recorded = |rules: &str| {
        let series = run(rules, TRAFFIC).into_iter();
        let series = series.filter(|(labels, _)| is_compared(labels));
        let mut series: Vec<_> = series
            .map(|(labels, samples)| (without(&labels, &extra), samples))
            .collect();
        series.sort();
        series
    };
    let (ours, theirs) = (recorded(&ours), recorded(&theirs));
    let names = |series: &[(String, Vec<String>)]| {
        series
            .iter()
            .map(|(labels, _)| labels.clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(names(&ours), names(&theirs), "{}", spec.display());
    for (ours, theirs) in ours.iter().zip(&theirs) {
        assert_eq!(ours, theirs, "{}", spec.display());
    }
    ours.len()
}

#[test]
fn values_and_alerts_are_those_of_sloths_own_rules() {
    let Some(corpora) = corpora("Sloth's rules") else {
        return;
    };
    let sloth = corpora.join("sloth");
    let mut pairs: Vec<(PathBuf, PathBuf)> = Vec::new();
    for name in [
        "getting-started.yml",
        "multifile.yml",
        "k8s-getting-started.yml",
        "k8s-home-wifi.yml",
        "kubernetes-apiserver.yml",
        "slo-plugin-getting-started.yml",
        "contrib-slo-plugins.yml",
        "contrib-denominator-corrected.yaml",
    ] {
        let (spec, generated) = (
            sloth.join("spec").join(name),
            sloth.join("generated").join(name),
        );
        // Several documents with rules are no rule file; the first is compared.
        if name != "multifile.yml" {
            pairs.push((spec, generated));
        }
    }
    let data = sloth.join("testdata");
    pairs.push((data.join("in-base.yaml"), data.join("out-base.yaml.tpl")));
    pairs.push((
        data.join("in-base-k8s.yaml"),
        data.join("out-base-k8s.yaml.tpl"),
    ));
    let mut n_series = 0;
    for (spec, generated) in &pairs {
        let n = check_same(spec, generated, &Options::default());
        say!(
            "{}: {n} series are equal",
            spec.file_name().unwrap().to_string_lossy()
        );
        n_series += n;
    }
    assert!(n_series > 100, "only {n_series} series were compared");
}

#[test]
fn every_valid_specification_compiles_and_no_other() {
    let Some(corpora) = corpora("Sloth's specifications") else {
        return;
    };
    let data = corpora.join("sloth/testdata");
    let files = |folder: &str| {
        let mut found: Vec<PathBuf> = std::fs::read_dir(data.join(folder))
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.is_file())
            .collect();
        found.sort();
        found
    };
    let read_file = |path: &PathBuf| read(&std::fs::read_to_string(path).unwrap());
    for path in files("validate/good") {
        let outcome = read_file(&path);
        assert!(outcome.is_ok(), "{}: {:#?}", path.display(), outcome.err());
    }
    let mut n_refused = 0;
    for path in files("validate/bad") {
        // Sloth itself takes 28 days now.
        if path.ends_with("bad-openslo.yaml") {
            continue;
        }
        let outcome = read_file(&path);
        assert!(outcome.is_err(), "{} is taken", path.display());
        n_refused += 1;
    }
    assert!(n_refused >= 6, "{n_refused} were refused");
    for (name, said) in [
        (
            "in-sli-plugin.yaml",
            "what an SLI plugin makes is not known here",
        ),
        (
            "in-invalid-version.yaml",
            "is no specification of objectives",
        ),
    ] {
        let errors = read_file(&data.join(name)).expect_err("refused");
        assert!(
            errors.iter().any(|e| e.message.contains(said)),
            "{name}: {errors:#?}"
        );
    }
}

#[test]
fn alert_windows_change_tiers_and_factors() {
    let windows = read(&example("alert-windows.yml")).unwrap().windows;
    let options = Options {
        catalog: windows,
        period: Some(DurationMs::parse("7d").unwrap()),
        ..Options::default()
    };
    let text = rules(&example("sloth.yml"), &options);
    // 8 % of 7 days in an hour is 13.44 times as fast as allowed.
    for part in [
        "(13.44 * 0.0009999999999999432)",
        "(3.5 * ",
        "(1.4000000000000001 * ",
        "(0.98 * ",
        "ratio_rate1w",
    ] {
        assert!(text.contains(part), "{part}\n{text}");
    }
}

#[test]
fn alert_windows_beside_specifications_hold_for_them() {
    let spec = example("sloth.yml").replace("service: checkout", "service: checkout\nperiod: 7d");
    let both = format!("{}---\n{spec}", example("alert-windows.yml"));
    let beside = rules(&both, &Options::default());
    assert!(beside.contains("(13.44 * "), "{beside}");
}
