//! "Did you mean": the known name that an unknown one was probably meant to be.

use crate::model::spelling::nearest;
use crate::promql::ast::AggregateOp;
use crate::promql::signature::SignatureTable;

/// Words that other languages have, or older versions had, for what PromQL calls otherwise.
const OTHER_WORDS: &[(&str, &str)] = &[
    ("average", "avg"),
    ("average_over_time", "avg_over_time"),
    ("ceiling", "ceil"),
    ("first", "first_over_time"),
    ("histogram_percentile", "histogram_quantile"),
    ("holt_winters", "double_exponential_smoothing"),
    ("last", "last_over_time"),
    ("len", "count"),
    ("length", "count"),
    ("log", "ln"),
    ("mean", "avg"),
    ("mean_over_time", "avg_over_time"),
    ("median", "quantile"),
    ("now", "time"),
    ("percentile", "quantile"),
    ("sign", "sgn"),
    ("std", "stddev"),
    ("stdev", "stddev"),
    ("total", "sum"),
    ("var", "stdvar"),
    ("variance", "stdvar"),
];

/// Returns the function or aggregation that `name` was probably meant to be, if one is near.
pub fn suggest(name: &str, functions: &dyn SignatureTable) -> Option<String> {
    let name = name.to_ascii_lowercase();
    let mut known = functions.names();
    known.extend(AggregateOp::ALL.iter().map(|(name, _)| *name));
    if let Some((_, meant)) = OTHER_WORDS.iter().find(|(other, _)| *other == name)
        && known.contains(meant)
    {
        return Some((*meant).to_owned());
    }
    nearest(&name, known).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::promql::test_functions::PrometheusFunctions;

    #[test]
    fn near_names_are_suggested() {
        let check = |name: &str, expected: Option<&str>| {
            let found = suggest(name, &PrometheusFunctions);
            assert_eq!(found.as_deref(), expected, "{name}");
        };
        check("mean", Some("avg"));
        check("holt_winters", Some("double_exponential_smoothing"));
        check("rat", Some("rate"));
        check("raet", Some("rate"));
        check("RATE", Some("rate"));
        check("averge_over_time", Some("avg_over_time"));
        check("histogram_quantil", Some("histogram_quantile"));
        check("cuont", Some("count"));
        check("no_such_function", None);
        check("", None);
        check(&"x".repeat(100_000), None);
    }
}
