//! The rule files that come with the binary; `burnwatch rules export DIR` writes them out.

/// `(file name, text)` of every bundled rule file, sorted by name.
pub const RULES: [(&str, &str); 14] = [
    ("anomaly.yml", include_str!("../rules/anomaly.yml")),
    ("calibration.yml", include_str!("../rules/calibration.yml")),
    ("cascades.yml", include_str!("../rules/cascades.yml")),
    ("criteria.yml", include_str!("../rules/criteria.yml")),
    (
        "distributions.yml",
        include_str!("../rules/distributions.yml"),
    ),
    ("drift.yml", include_str!("../rules/drift.yml")),
    ("feedback.yml", include_str!("../rules/feedback.yml")),
    ("forecasts.yml", include_str!("../rules/forecasts.yml")),
    (
        "infrastructure.yml",
        include_str!("../rules/infrastructure.yml"),
    ),
    ("maintenance.yml", include_str!("../rules/maintenance.yml")),
    ("meta.yml", include_str!("../rules/meta.yml")),
    ("quality.yml", include_str!("../rules/quality.yml")),
    ("service.yml", include_str!("../rules/service.yml")),
    ("slo.yml", include_str!("../rules/slo.yml")),
];
