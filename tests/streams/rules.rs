//! The rules that the streams go through: the bundled ones, and the detectors of BASELINES.md said
//! as rules, to stand beside them.

use std::path::Path;

/// The alerts of rules/drift.yml, and the signal that each looks at in the words of truth.json.
pub const DRIFT_ALERTS: &[(&str, &str)] = &[
    ("ClassMixShift", "class"),
    ("ConfidenceShift", "confidence"),
    ("EmbeddingShift", "embedding"),
    ("AccuracyShift", "accuracy"),
];

/// The alert of rules/anomaly.yml that the benchmark's series go through.
pub const NAB_ALERT: &str = "UnusualValue";

/// A detector that is not bundled.
pub struct Detector {
    pub alert: &'static str,
    /// As the table names it.
    pub name: &'static str,
    pub expr: &'static str,
    pub hold: &'static str,
}

const fn detector(
    alert: &'static str,
    name: &'static str,
    expr: &'static str,
    hold: &'static str,
) -> Detector {
    Detector {
        alert,
        name,
        expr,
        hold,
    }
}

/// Detectors of single values.
pub const NAB_DETECTORS: &[Detector] = &[
    detector(
        "Z3",
        "anomaly_zscore(v[1d]), 3",
        "abs(anomaly_zscore(watched_value[1d])) > 3",
        "",
    ),
    detector(
        "Z7",
        "anomaly_zscore(v[1d]), 7.23",
        "abs(anomaly_zscore(watched_value[1d])) > 7.23",
        "",
    ),
    detector(
        "Mad",
        "anomaly_mad(v[1d]), 3.5",
        "abs(anomaly_mad(watched_value[1d])) > 3.5",
        "",
    ),
    detector(
        "Ewma",
        "anomaly_ewma(v[2d], alpha=0.05), 3",
        "abs(anomaly_ewma(watched_value[2d], \"alpha=0.05\")) > 3",
        "",
    ),
];

/// Drift detectors with the first three days as reference.
pub const DRIFT_DETECTORS: &[Detector] = &[
    detector(
        "PsiClassHourly",
        "PSI class hourly > 0.2 for 1h",
        "drift_psi(sum by (model, class) (increase(predictions_by_class_total[1h])), \
         sum by (model, class) (increase(predictions_by_class_total[3d] @ 1700697600)), \"label=class\") > 0.2",
        "for: 1h",
    ),
    detector(
        "PsiConfidenceHourly",
        "PSI confidence hourly > 0.2 for 1h",
        "drift_psi(sum by (model, le) (increase(prediction_confidence_bucket[1h])), \
         sum by (model, le) (increase(prediction_confidence_bucket[3d] @ 1700697600))) > 0.2",
        "for: 1h",
    ),
    detector(
        "PsiClassDaily",
        "PSI class of a day > 0.1",
        "drift_psi(sum by (model, class) (increase(predictions_by_class_total[1d])), \
         sum by (model, class) (increase(predictions_by_class_total[3d] @ 1700697600)), \"label=class\") > 0.1",
        "",
    ),
    detector(
        "KsConfidenceDaily",
        "KS confidence of a day, p < 0.05",
        "drift_ks_pvalue(sum by (model, le) (increase(prediction_confidence_bucket[1d])), \
         sum by (model, le) (increase(prediction_confidence_bucket[3d] @ 1700697600))) < 0.05",
        "",
    ),
    detector(
        "KsConfidenceHourly",
        "KS confidence hourly, p < 0.01 for 1h",
        "drift_ks_pvalue(sum by (model, le) (increase(prediction_confidence_bucket[1h])), \
         sum by (model, le) (increase(prediction_confidence_bucket[3d] @ 1700697600))) < 0.01",
        "for: 1h",
    ),
    detector(
        "Chi2ClassHourly",
        "chi2 class hourly, p < 0.001",
        "drift_chi2_pvalue(sum by (model, class) (increase(predictions_by_class_total[1h])), \
         sum by (model, class) (increase(predictions_by_class_total[3d] @ 1700697600)), \"label=class\") < 0.001",
        "",
    ),
    detector(
        "AccuracyRatio",
        "accuracy < 0.95 baseline for 30m",
        "increase(feedback_correct_total[1h]) / increase(feedback_total[1h]) < 0.95 * \
         increase(feedback_correct_total[3d] @ 1700697600) / increase(feedback_total[3d] @ 1700697600)",
        "for: 30m",
    ),
];

/// Returns the text of a bundled rule file.
pub fn bundled(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("rules")
        .join(name);
    std::fs::read_to_string(path).unwrap()
}

/// Returns a rule file of detectors.
pub fn detector_rules(detectors: &[Detector]) -> String {
    let mut text = "groups:\n- name: detectors\n  interval: 5m\n  rules:\n".to_owned();
    for one in detectors {
        text += &format!("  - alert: {}\n    expr: '{}'\n", one.alert, one.expr);
        if !one.hold.is_empty() {
            text += &format!("    {}\n", one.hold);
        }
    }
    text
}
