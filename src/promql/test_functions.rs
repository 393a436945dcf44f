//! The functions of Prometheus 3.12 as the parser's tests need them: names and types, no code.

use crate::promql::signature::{Signature, SignatureTable, ValueType};

/// Name, types of the arguments, `variadic`, type of the result, experimental. A type is one letter:
/// `v` instant vector, `m` range vector, `s` scalar, `t` text.
const FUNCTIONS: &[(&str, &str, i32, char, bool)] = &[
    ("abs", "v", 0, 'v', false),
    ("absent", "v", 0, 'v', false),
    ("absent_over_time", "m", 0, 'v', false),
    ("acos", "v", 0, 'v', false),
    ("acosh", "v", 0, 'v', false),
    ("asin", "v", 0, 'v', false),
    ("asinh", "v", 0, 'v', false),
    ("atan", "v", 0, 'v', false),
    ("atanh", "v", 0, 'v', false),
    ("avg_over_time", "m", 0, 'v', false),
    ("ceil", "v", 0, 'v', false),
    ("changes", "m", 0, 'v', false),
    ("clamp", "vss", 0, 'v', false),
    ("clamp_max", "vs", 0, 'v', false),
    ("clamp_min", "vs", 0, 'v', false),
    ("cos", "v", 0, 'v', false),
    ("cosh", "v", 0, 'v', false),
    ("count_over_time", "m", 0, 'v', false),
    ("day_of_month", "v", 1, 'v', false),
    ("day_of_week", "v", 1, 'v', false),
    ("day_of_year", "v", 1, 'v', false),
    ("days_in_month", "v", 1, 'v', false),
    ("deg", "v", 0, 'v', false),
    ("delta", "m", 0, 'v', false),
    ("deriv", "m", 0, 'v', false),
    ("double_exponential_smoothing", "mss", 0, 'v', true),
    ("end", "", 0, 's', true),
    ("exp", "v", 0, 'v', false),
    ("first_over_time", "m", 0, 'v', true),
    ("floor", "v", 0, 'v', false),
    ("histogram_avg", "v", 0, 'v', false),
    ("histogram_count", "v", 0, 'v', false),
    ("histogram_fraction", "ssv", 0, 'v', false),
    ("histogram_quantile", "sv", 0, 'v', false),
    ("histogram_quantiles", "vtss", 9, 'v', true),
    ("histogram_stddev", "v", 0, 'v', false),
    ("histogram_stdvar", "v", 0, 'v', false),
    ("histogram_sum", "v", 0, 'v', false),
    ("hour", "v", 1, 'v', false),
    ("idelta", "m", 0, 'v', false),
    ("increase", "m", 0, 'v', false),
    ("info", "vv", 1, 'v', true),
    ("irate", "m", 0, 'v', false),
    ("label_join", "vttt", -1, 'v', false),
    ("label_replace", "vtttt", 0, 'v', false),
    ("last_over_time", "m", 0, 'v', false),
    ("ln", "v", 0, 'v', false),
    ("log10", "v", 0, 'v', false),
    ("log2", "v", 0, 'v', false),
    ("mad_over_time", "m", 0, 'v', true),
    ("max_over_time", "m", 0, 'v', false),
    ("min_over_time", "m", 0, 'v', false),
    ("minute", "v", 1, 'v', false),
    ("month", "v", 1, 'v', false),
    ("pi", "", 0, 's', false),
    ("predict_linear", "ms", 0, 'v', false),
    ("present_over_time", "m", 0, 'v', false),
    ("quantile_over_time", "sm", 0, 'v', false),
    ("rad", "v", 0, 'v', false),
    ("range", "", 0, 's', true),
    ("rate", "m", 0, 'v', false),
    ("resets", "m", 0, 'v', false),
    ("round", "vs", 1, 'v', false),
    ("scalar", "v", 0, 's', false),
    ("sgn", "v", 0, 'v', false),
    ("sin", "v", 0, 'v', false),
    ("sinh", "v", 0, 'v', false),
    ("sort", "v", 0, 'v', false),
    ("sort_by_label", "vt", -1, 'v', true),
    ("sort_by_label_desc", "vt", -1, 'v', true),
    ("sort_desc", "v", 0, 'v', false),
    ("sqrt", "v", 0, 'v', false),
    ("start", "", 0, 's', true),
    ("stddev_over_time", "m", 0, 'v', false),
    ("stdvar_over_time", "m", 0, 'v', false),
    ("step", "", 0, 's', true),
    ("sum_over_time", "m", 0, 'v', false),
    ("tan", "v", 0, 'v', false),
    ("tanh", "v", 0, 'v', false),
    ("time", "", 0, 's', false),
    ("timestamp", "v", 0, 'v', false),
    ("ts_of_first_over_time", "m", 0, 'v', true),
    ("ts_of_last_over_time", "m", 0, 'v', true),
    ("ts_of_max_over_time", "m", 0, 'v', true),
    ("ts_of_min_over_time", "m", 0, 'v', true),
    ("vector", "s", 0, 'v', false),
    ("year", "v", 1, 'v', false),
];

/// Prometheus' functions.
pub struct PrometheusFunctions;

fn value_type(letter: char) -> ValueType {
    match letter {
        'v' => ValueType::Vector,
        'm' => ValueType::Matrix,
        's' => ValueType::Scalar,
        _ => ValueType::String,
    }
}

/// Returns argument types without allocating: a slice of one of the few runs that occur.
fn argument_types(letters: &str) -> &'static [ValueType] {
    use ValueType::{Matrix as M, Scalar as S, String as T, Vector as V};
    const RUNS: &[(&str, &[ValueType])] = &[
        ("", &[]),
        ("m", &[M]),
        ("ms", &[M, S]),
        ("mss", &[M, S, S]),
        ("s", &[S]),
        ("sm", &[S, M]),
        ("ssv", &[S, S, V]),
        ("sv", &[S, V]),
        ("v", &[V]),
        ("vs", &[V, S]),
        ("vss", &[V, S, S]),
        ("vt", &[V, T]),
        ("vtss", &[V, T, S, S]),
        ("vttt", &[V, T, T, T]),
        ("vtttt", &[V, T, T, T, T]),
        ("vv", &[V, V]),
    ];
    RUNS.iter()
        .find(|(run, _)| *run == letters)
        .expect("listed")
        .1
}

impl SignatureTable for PrometheusFunctions {
    fn signature(&self, name: &str) -> Option<Signature> {
        let row = FUNCTIONS.iter().find(|row| row.0 == name)?;
        Some(Signature {
            name: row.0,
            args: argument_types(row.1),
            variadic: row.2,
            returns: value_type(row.3),
            experimental: row.4,
        })
    }

    fn names(&self) -> Vec<&'static str> {
        FUNCTIONS.iter().map(|row| row.0).collect()
    }
}
