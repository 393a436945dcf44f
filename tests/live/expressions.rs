//! Random expressions over the series of the streams.

use proptest::prelude::*;
use proptest::sample::select;
use proptest::strategy::BoxedStrategy;

/// An expression as text.
pub type Text = BoxedStrategy<String>;

const WINDOWS: [&str; 9] = [
    "1m", "30s", "15s", "5m", "2m", "299999ms", "20m", "1h", "10s",
];
const OFFSETS: [&str; 12] = [
    "",
    "",
    "",
    "",
    "",
    "",
    " offset 30s",
    " offset 5m",
    " offset -30s",
    " offset 15s",
    " offset 10m",
    " offset -5m",
];
const MATCHERS: [&str; 12] = [
    "",
    "",
    "",
    "",
    "",
    "",
    "",
    "",
    r#"{job="a"}"#,
    r#"{instance!="1"}"#,
    r#"{status=~"o.*|"}"#,
    r#"{job="none"}"#,
];
const NAMES: [&str; 14] = [
    "c", "c", "g", "g", "g", "d", "d", "m", "h", "i", "b_bucket", "r0", "r1", "c",
];
/// Functions of a window whose values follow from its edges, or are one of its samples.
const EXACT: [&str; 15] = [
    "rate",
    "increase",
    "delta",
    "irate",
    "idelta",
    "changes",
    "resets",
    "count_over_time",
    "last_over_time",
    "first_over_time",
    "present_over_time",
    "min_over_time",
    "max_over_time",
    "ts_of_last_over_time",
    "absent_over_time",
];
const MORE_EXACT: [&str; 3] = [
    "ts_of_first_over_time",
    "ts_of_max_over_time",
    "ts_of_min_over_time",
];
/// Detectors that go from sample to sample, with options that suit few of them.
const DETECTORS: [&str; 8] = [
    "anomaly_ewma({}, \"alpha=0.3,min_samples=2\")",
    "anomaly_ewma({}, \"output=mean,min_samples=0,since=3600100\")",
    "anomaly_holt_winters({}, \"m=2,min_samples=1\")",
    "change_cusum({}, \"mu=2,sigma=3,h=2,hold=20s\")",
    "change_cusum({}, \"train=0.2,min_samples=2,h=1,output=pos\")",
    "change_page_hinkley({}, \"min_instances=2,threshold=1,hold=45s\")",
    "change_adwin({}, \"clock=1,grace_period=1,min_window_length=1,delta=0.9,hold=1m\")",
    "change_adwin({}, \"train=0.3,output=width\")",
];
/// Scores from sums that may be added in another order.
const SCORES: [&str; 4] = [
    "anomaly_zscore({}, \"min_samples=2\")",
    "anomaly_mad({}, \"min_samples=2\")",
    "anomaly_seasonal({}, \"season=hour_of_day,min_samples=2\")",
    "forecast_error({}, \"horizon=30s,output=forecast\")",
];
/// Functions whose sums may be added in another order.
const NEAR: [&str; 6] = [
    "sum_over_time",
    "avg_over_time",
    "stddev_over_time",
    "stdvar_over_time",
    "deriv",
    "mad_over_time",
];

fn of(texts: &'static [&'static str]) -> impl Strategy<Value = String> {
    select(texts).prop_map(str::to_owned)
}

fn name() -> Text {
    prop_oneof![
        20 => of(&NAMES),
        1 => Just("ALERTS".to_owned()),
        1 => Just(r#"{__name__=~"c|d"}"#.to_owned()),
        1 => Just(r#"{__name__=~"[gm]",job="a"}"#.to_owned()),
    ]
    .boxed()
}

fn series() -> Text {
    (name(), of(&MATCHERS))
        .prop_map(|(name, matchers)| match name.starts_with('{') {
            true => name,
            false => format!("{name}{matchers}"),
        })
        .boxed()
}

fn selector() -> Text {
    prop_oneof![
        15 => (series(), of(&OFFSETS)).prop_map(|(series, offset)| format!("{series}{offset}")),
        1 => series().prop_map(|series| format!("{series} @ 3600100")),
    ]
    .boxed()
}

fn window() -> Text {
    prop_oneof![
        20 => (series(), of(&WINDOWS), of(&OFFSETS))
            .prop_map(|(series, window, offset)| format!("{series}[{window}]{offset}")),
        1 => (series(), of(&WINDOWS))
            .prop_map(|(series, window)| format!("{series}[{window}] @ 3600200")),
    ]
    .boxed()
}

/// Returns calls that learn what is usual, whose values are exact.
pub fn detector() -> Text {
    let of_window = (of(&DETECTORS), window());
    prop_oneof![
        2 => of_window.prop_map(|(call, window)| call.replace("{}", &window)),
        1 => forest(),
    ]
    .boxed()
}

fn window_call() -> Text {
    prop_oneof![
        15 => (of(&EXACT), window()).prop_map(|(function, window)| format!("{function}({window})")),
        2 => (of(&MORE_EXACT), window())
            .prop_map(|(function, window)| format!("{function}({window})")),
        2 => (of(&DETECTORS), window()).prop_map(|(call, window)| call.replace("{}", &window)),
    ]
    .boxed()
}

/// Returns calls that take series together, of models that know what is usual after few points.
pub fn forest() -> Text {
    let dims = of(&["instance", "instance", "status", "job", "le", "__name__"]);
    let models = of(&[
        "trees=3,window_size=4",
        "trees=3,window_size=3,reference=window,height=3",
        "trees=2,window_size=6,score=mass,seed=3",
        "model=isolation,trees=3",
        "model=rcf,trees=2",
    ]);
    let outputs = of(&[
        "",
        ",output=alarm,contamination=0.3",
        ",lookback=40s",
        ",since=3600120",
    ]);
    (window(), dims, models, outputs)
        .prop_map(|(window, dim, model, output)| {
            let options = format!("{model},sample_size=6,min_points=4{output}");
            format!("anomaly_forest({window}, \"{dim}\", \"{options}\")")
        })
        .boxed()
}

fn leaf() -> Text {
    prop_oneof![
        4 => selector(),
        9 => window_call(),
        1 => forest(),
        1 => selector().prop_map(|selector| format!("timestamp({selector})")),
        1 => selector().prop_map(|selector| format!("absent({selector})")),
    ]
    .boxed()
}

fn grouping() -> Text {
    of(&[
        " by (job)",
        "",
        " by (instance)",
        " by (job, instance)",
        " without (status)",
        " without (instance, le)",
        " by (status)",
    ])
    .boxed()
}

fn aggregated(inner: Text) -> Text {
    let plain = of(&[
        "sum", "count", "avg", "min", "max", "group", "stddev", "stdvar",
    ]);
    let ranked = of(&["topk", "bottomk", "limitk"]);
    prop_oneof![
        9 => (plain, grouping(), inner.clone())
            .prop_map(|(op, by, inner)| format!("{op}{by} ({inner})")),
        1 => (ranked, grouping(), inner.clone())
            .prop_map(|(op, by, inner)| format!("{op}{by} (2, {inner})")),
        1 => (grouping(), inner.clone())
            .prop_map(|(by, inner)| format!("quantile{by} (0.4, {inner})")),
        1 => (grouping(), inner)
            .prop_map(|(by, inner)| format!(r#"count_values{by} ("v", {inner})"#)),
    ]
    .boxed()
}

/// Returns one aggregation over several windows of the same series, as burn rates are.
fn burn_rates() -> Text {
    let plain = of(&["sum", "sum", "count", "avg", "max", "stdvar"]);
    let functions = of(&[
        "rate",
        "rate",
        "increase",
        "delta",
        "irate",
        "last_over_time",
    ]);
    let windows = prop::collection::vec(of(&WINDOWS), 2..5);
    let operators = of(&[" + ", " - ", " or ", " / "]);
    let leaf = (functions, series(), of(&OFFSETS));
    (plain, grouping(), leaf, windows, operators)
        .prop_map(|(op, by, (function, series, offset), windows, operator)| {
            let sum = |window| format!("{op}{by} ({function}({series}[{window}]{offset}))");
            let sums: Vec<String> = windows.into_iter().map(sum).collect();
            sums.join(&operator)
        })
        .boxed()
}

fn joined(left: Text, right: Text) -> Text {
    let operators = of(&[
        "/", "-", ">", "and", "or", "unless", "+", "== bool", "*", "!=",
    ]);
    let on = of(&["", " on (job, instance)", " on (job)", " ignoring (status)"]);
    let many = of(&["", "", " group_left (version)", " group_right ()"]);
    (left, operators, on, many, right)
        .prop_map(|(left, operator, on, many, right)| {
            let is_set = matches!(operator.as_str(), "and" | "or" | "unless");
            let many = if is_set || on.is_empty() { "" } else { &many };
            format!("({left}) {operator}{on}{many} ({right})")
        })
        .boxed()
}

fn subquery(inner: Text) -> Text {
    let over = of(&[
        "max_over_time",
        "min_over_time",
        "last_over_time",
        "count_over_time",
        "rate",
    ]);
    let ranges = of(&[
        "[2m:15s]",
        "[1m:10s]",
        "[5m:1m] offset 1m",
        "[90s:]",
        "[30s:7s]",
    ]);
    (over, inner, ranges)
        .prop_map(|(over, inner, range)| format!("{over}(({inner}){range})"))
        .boxed()
}

fn quantile() -> Text {
    prop_oneof![
        (of(&WINDOWS), of(&["le", "le, job", "le, instance"])).prop_map(|(window, by)| format!(
            "histogram_quantile(0.9, sum by ({by}) (rate(b_bucket[{window}])))"
        )),
        (of(&["rate", "increase", "delta"]), of(&WINDOWS)).prop_map(|(function, window)| format!(
            "histogram_quantile(0.5, {function}(h[{window}]))"
        )),
        of(&WINDOWS).prop_map(|window| format!("histogram_count(sum(rate(h[{window}])))")),
    ]
    .boxed()
}

/// Functions that compare groups of two vectors, which differ in time or in what they hold.
fn compared() -> Text {
    let of_histograms = of(&[
        "drift_psi",
        "drift_ks",
        "drift_js",
        "drift_kl",
        "drift_wasserstein",
        "drift_hellinger",
        "drift_chi2",
        "drift_chi2_pvalue",
        "drift_ks_pvalue",
        "calibration_error",
        "quality_auc",
    ]);
    let of_categories = of(&["drift_psi", "drift_total_variation", "drift_js"]);
    let of_embeddings = of(&["drift_cosine_similarity", "drift_l2_distance"]);
    let counted = || of(&["rate", "increase", "delta", "last_over_time"]);
    let names = of(&[
        "b_bucket",
        "b_bucket",
        "h",
        "c",
        r#"{__name__=~"h|b_bucket"}"#,
    ]);
    prop_oneof![
        4 => (of_histograms, counted(), names, of(&WINDOWS), of(&OFFSETS)).prop_map(
            |(drift, counted, name, window, offset)| format!(
                "{drift}({counted}({name}[{window}]), {counted}({name}[{window}]{offset}))"
            )
        ),
        2 => (of_categories, counted(), of(&WINDOWS), of(&OFFSETS), of(&["status", "instance"]))
            .prop_map(|(drift, counted, window, offset, label)| format!(
                r#"{drift}({counted}(c[{window}]), {counted}(c[{window}]{offset}), "label={label}")"#
            )),
        2 => (of_embeddings, selector(), of(&OFFSETS), of(&["instance", "job", "status"]))
            .prop_map(|(drift, current, offset, label)| format!(
                r#"{drift}({current}, g{offset}, "{label}")"#
            )),
        1 => (counted(), of(&WINDOWS), of(&["status", "instance", "le"])).prop_map(
            |(counted, window, label)| format!(
                r#"quality_entropy({counted}(c[{window}]), "{label}", "output=uniformity")"#
            )
        ),
    ]
    .boxed()
}

/// Returns expressions that are worth the same bits by either source.
pub fn exact() -> Text {
    let simple = prop_oneof![
        6 => leaf(),
        6 => aggregated(leaf()),
        2 => quantile(),
        1 => compared(),
    ]
    .boxed();
    prop_oneof![
        4 => leaf(),
        6 => aggregated(leaf()),
        1 => quantile(),
        2 => compared(),
        2 => burn_rates(),
        4 => joined(simple.clone(), simple.clone()),
        1 => subquery(simple.clone()),
        1 => aggregated(joined(leaf(), leaf())),
        1 => (simple.clone(), 0u8..4).prop_map(|(inner, n)| format!("{n} - ({inner})")),
        1 => (simple, select(&["time() - ", "-", "abs", "hour() * ", "scalar"][..]))
            .prop_map(|(inner, before)| match before {
                "scalar" => format!("vector(scalar({inner}))"),
                before => format!("{before}({inner})"),
            }),
    ]
    .boxed()
}

/// Returns expressions whose values may differ by rounding.
pub fn near() -> Text {
    let call = prop_oneof![
        8 => (of(&NEAR), window()).prop_map(|(function, window)| format!("{function}({window})")),
        1 => window().prop_map(|window| format!("predict_linear({window}, 60)")),
        2 => (of(&SCORES), window()).prop_map(|(call, window)| call.replace("{}", &window)),
        1 => window().prop_map(|window| format!("quantile_over_time(0.3, {window})")),
        1 => window()
            .prop_map(|window| format!("double_exponential_smoothing({window}, 0.5, 0.5)")),
    ];
    let outer = (of(&["sum", "max", "avg"]), grouping());
    (call, prop::option::of(outer))
        .prop_map(|(call, outer)| match outer {
            Some((op, by)) => format!("{op}{by} ({call})"),
            None => call,
        })
        .boxed()
}
