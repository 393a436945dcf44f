//! What to do about an expression that does not parse: where it is wrong in the file, and the
//! remedy that Prometheus' message leaves to the reader.
//!
//! The messages are Prometheus' own, so the remedy is found by their words; what is a word of
//! MetricsQL or LogQL is said to be one.

use crate::promql::{ParseError, SignatureTable, suggest};
use crate::yaml::Place;

/// Returns where in the file an expression is wrong and what to do about it.
pub(crate) fn for_expression(
    text: &str,
    error: &ParseError,
    at: Option<Place>,
    functions: &dyn SignatureTable,
) -> String {
    let place = at.map(|at| format!("at {}:{} of this file", at.line, at.column));
    let remedy = remedy_for_expression(text, error, functions);
    let parts: Vec<String> = place.into_iter().chain([remedy]).collect();
    parts.join("; ")
}

/// Returns what to do about an expression that does not parse.
pub fn remedy_for_expression(
    text: &str,
    error: &ParseError,
    functions: &dyn SignatureTable,
) -> String {
    let message = error.message.as_str();
    if let Some(rest) = message.strip_prefix("unknown function with name ") {
        return for_function(rest.trim_matches('"'), functions);
    }
    // What our own functions say of their texts has the remedy in it.
    if error.message.contains("(): ") {
        return "options are one text, `\"name=value,name=value\"`; `burnwatch explain --functions` \
                lists those of each function"
            .to_owned();
    }
    if let Some(dialect) = other_language(text, message) {
        return dialect.to_owned();
    }
    let found = REMEDIES.iter().find(|(words, _)| {
        let mut rest = message;
        words.split('*').all(|word| match rest.find(word) {
            Some(at) => {
                rest = &rest[at + word.len()..];
                true
            }
            None => false,
        })
    });
    found.map_or(
        "an operand, operator or bracket is missing there or just before, or one too many stands \
         there",
        |(_, remedy)| remedy,
    )
    .to_owned()
}

/// Parts of Prometheus' messages (`*` is any text between two) and what to do about each; the
/// first that fits counts.
const REMEDIES: &[(&str, &str)] = &[
    (
        "function *is not enabled",
        "turn on the feature promql-experimental-functions",
    ),
    (
        "experimental duration expression",
        "turn on the feature promql-duration-expr, or write one literal",
    ),
    (
        "modifier is experimental and not enabled",
        "turn on the feature promql-extended-range-selectors",
    ),
    (
        "fill modifiers are experimental",
        "turn on the feature promql-binop-fill-modifiers",
    ),
    (
        "expression is nested more than",
        "give parts of it a name of their own, by recording rules",
    ),
    (
        "expression chains more than",
        "give parts of it a name of their own, by recording rules",
    ),
    (
        "no expression found",
        "write an expression; a comment alone is none",
    ),
    (
        "expected type range vector in call to function",
        "give it a window: `rate(x[5m])`, or `[5m:1m]` behind what is not a plain selector",
    ),
    (
        "expected type instant vector *got range vector",
        "take the window off, or put a function over time around it: `rate(…[5m])`",
    ),
    (
        "expected type instant vector *got scalar",
        "put `vector(…)` around a number where series are wanted",
    ),
    (
        "expected type scalar *got instant vector",
        "put `scalar(…)` around it; that is NaN unless there is exactly one series",
    ),
    ("expected type string", "write the text in quotes"),
    (
        "expected type ",
        "the argument is of another type than this function takes",
    ),
    (
        "ranges only allowed for vector selectors",
        "a window stands right behind a selector; behind anything else write a subquery: `[5m:1m]`",
    ),
    (
        "ranges only allowed for",
        "a window stands right behind a selector; behind anything else write a subquery: `[5m:1m]`",
    ),
    (
        "no offset modifiers allowed before range",
        "write the window first: `x[5m] offset 1m`",
    ),
    (
        "no @ modifiers allowed before range",
        "write the window first: `x[5m] @ 1609746000`",
    ),
    (
        "offset modifier must be preceded by",
        "write `offset` right behind each selector, or behind a subquery",
    ),
    (
        "@ modifier must be preceded by",
        "write `@` right behind each selector, or behind a subquery",
    ),
    ("may not be set multiple times", "keep one of the two"),
    (
        "subquery is only allowed on instant vector",
        "put a function over time around the inner window first",
    ),
    (
        "vector selector must contain at least one non-empty matcher",
        "add a metric name or a matcher that empty text does not fulfil: `x=~\".+\"`",
    ),
    (
        "metric name must not be set twice",
        "keep the name in front of the braces or the one in them",
    ),
    (
        "bool modifier can only be used on comparison operators",
        "remove `bool`; it turns what a comparison says into 0 or 1",
    ),
    (
        "comparisons between scalars must use BOOL modifier",
        "write `== bool`, `> bool` …: between two numbers there is nothing to filter",
    ),
    (
        "must not occur in ON and GROUP clause at once",
        "a label of `on(…)` is there anyway; take it out of `group_left(…)`",
    ),
    (
        "vector matching only allowed between instant vectors",
        "a number goes with every series: remove `on(…)` or `ignoring(…)`",
    ),
    (
        "set operator *not allowed in binary scalar expression",
        "`and`, `or` and `unless` want series on both sides: `vector(1)`",
    ),
    (
        "no grouping allowed for",
        "`and`, `or` and `unless` take no `group_left` or `group_right`",
    ),
    (
        "binary expression must contain only scalar and instant vector types",
        "put a function over time around a range vector; text takes no operators",
    ),
    (
        "filling in missing series",
        "`fill` goes with arithmetic and comparisons of two vectors",
    ),
    (
        "unary expression only allowed on",
        "a sign stands in front of numbers and instant vectors only",
    ),
    (
        "no arguments for aggregate expression",
        "write what is to be aggregated: `sum(x)`",
    ),
    (
        "wrong number of arguments for aggregate expression",
        "topk, bottomk, quantile, limitk, limit_ratio and count_values take a parameter first: \
         `topk(3, x)`; the others take none",
    ),
    (
        "argument(s) in call to",
        "look the function's arguments up with `burnwatch explain`",
    ),
    ("trailing commas not allowed", "remove the comma"),
    (
        "invalid label name for grouping",
        "a label that is no plain name stands in quotes: `by (\"a.b\")`",
    ),
    ("unclosed left parenthesis", "write the `)` that is missing"),
    (
        "unexpected right parenthesis",
        "remove the `)`, or write the `(` that it closes",
    ),
    ("unclosed left bracket", "write the `]` that is missing"),
    (
        "unexpected left bracket",
        "one window or subquery closes before another opens",
    ),
    (
        "unexpected right bracket",
        "remove the `]`, or write the `[` that it closes",
    ),
    (
        "unexpected end of input inside braces",
        "write the `}` that is missing",
    ),
    (
        "unexpected left brace",
        "write the `}` of the braces before",
    ),
    (
        "label matching operator",
        "a matcher is `name=\"text\"`, with `=`, `!=`, `=~` or `!~`, its text in quotes",
    ),
    (
        "in label matching",
        "a matcher is `name=\"text\"`, with `=`, `!=`, `=~` or `!~`, its text in quotes",
    ),
    (
        "inside braces",
        "within braces stand matchers such as `name=\"text\"`, with commas between them",
    ),
    (
        "unterminated",
        "write the quote that is missing; text within \" or ' must not hold a line break",
    ),
    (
        "escape sequence",
        "in quotes a backslash is written twice: `\\\\d`; or put the text in backquotes",
    ),
    (
        "bad number or duration syntax",
        "write a number, or integers with units: `1h30m`",
    ),
    (
        "error parsing number",
        "write a number such as 1, 0.5, 1e3 or 0x1F",
    ),
    (
        "duration",
        "write integers with units from large to small: `1h30m`, not 0",
    ),
    (
        "error parsing regexp",
        "regular expressions are RE2's, which has no look-around and no back-references",
    ),
    (
        "unexpected \"=\"",
        "comparison is `==`, a matcher is `=`, `!=`, `=~` or `!~`",
    ),
    (
        "unexpected character after '='",
        "comparison is `==`, a matcher is `=`, `!=`, `=~` or `!~`",
    ),
    (
        "unexpected end of input",
        "something is missing at the end: an operand or a bracket",
    ),
];

/// Functions of older versions or other languages of which there is more to say than a name.
const RENAMED: &[(&str, &str)] = &[
    (
        "holt_winters",
        "it is called `double_exponential_smoothing` since Prometheus 3",
    ),
    ("median", "a MetricsQL function; write `quantile(0.5, …)`"),
    ("lag", "a MetricsQL function; write `time() - timestamp(…)`"),
    ("union", "a MetricsQL function; write `a or b`"),
    (
        "interpolate",
        "a MetricsQL function; PromQL does not fill gaps",
    ),
    (
        "count_eq_over_time",
        "a MetricsQL function; write `sum_over_time((x == bool 1)[5m:])`",
    ),
    (
        "share_gt_over_time",
        "a MetricsQL function; write `avg_over_time((x > bool 1)[5m:])`",
    ),
    (
        "default_rollup",
        "a MetricsQL function; write `last_over_time(x[5m])`",
    ),
    ("rollup_rate", "a MetricsQL function; write `rate(x[5m])`"),
];

/// Functions that MetricsQL has and PromQL has not.
const METRICSQL: &[&str] = &[
    "aggr_over_time",
    "alias",
    "any",
    "ascent_over_time",
    "buckets_limit",
    "changes_prometheus",
    "count_gt_over_time",
    "count_le_over_time",
    "count_ne_over_time",
    "decreases_over_time",
    "delta_prometheus",
    "deriv_fast",
    "descent_over_time",
    "distinct",
    "distinct_over_time",
    "drop_common_labels",
    "drop_empty_series",
    "duration_over_time",
    "geomean",
    "geomean_over_time",
    "histogram",
    "histogram_over_time",
    "histogram_share",
    "hoeffding_bound_lower",
    "hoeffding_bound_upper",
    "ideriv",
    "increase_prometheus",
    "increase_pure",
    "increases_over_time",
    "integrate",
    "keep_last_value",
    "keep_next_value",
    "label_copy",
    "label_del",
    "label_graphite_group",
    "label_keep",
    "label_lowercase",
    "label_map",
    "label_match",
    "label_mismatch",
    "label_move",
    "label_set",
    "label_transform",
    "label_uppercase",
    "label_value",
    "labels_equal",
    "lifetime",
    "limit_offset",
    "median_over_time",
    "mode",
    "mode_over_time",
    "now",
    "prometheus_buckets",
    "quantiles",
    "quantiles_over_time",
    "rand",
    "rate_over_sum",
    "rate_prometheus",
    "remove_resets",
    "scrape_interval",
    "share",
    "share_eq_over_time",
    "share_le_over_time",
    "smooth_exponential",
    "stale_samples_over_time",
    "sum2",
    "sum2_over_time",
    "tfirst_over_time",
    "timestamp_with_name",
    "timezone_offset",
    "tlast_change_over_time",
    "tlast_over_time",
    "tmax_over_time",
    "tmin_over_time",
    "ttf",
    "zscore",
    "zscore_over_time",
];

/// How families of such functions begin.
const METRICSQL_FAMILIES: &[&str] = &[
    "rollup", "range_", "running_", "topk_", "bottomk_", "bitmap_", "outlier", "rand_",
];

fn for_function(name: &str, functions: &dyn SignatureTable) -> String {
    if let Some((_, hint)) = RENAMED.iter().find(|(old, _)| *old == name) {
        return (*hint).to_owned();
    }
    let is_of_family = METRICSQL_FAMILIES
        .iter()
        .any(|family| name.starts_with(family));
    if METRICSQL.contains(&name) || is_of_family {
        return "a function of MetricsQL, which VictoriaMetrics alone evaluates".to_owned();
    }
    match suggest(name, functions) {
        Some(close) => format!("did you mean `{close}`?"),
        None => "PromQL has no such function; a metric is not called".to_owned(),
    }
}

/// Tells which other language an expression is written in, where a word of it says so.
fn other_language(text: &str, message: &str) -> Option<&'static str> {
    if text.contains("{{") || text.contains("<%") || text.contains("${") {
        return Some("this looks like a template; render it before loading it");
    }
    if text.contains("$__") || text.contains("[$") || text.contains("$interval") {
        return Some(
            "this looks like a query of Grafana's; write what its `$` variables stand for",
        );
    }
    let is_metricsql = ["keep_metric_names", " ifnot ", " default ", "with ("]
        .iter()
        .any(|word| text.to_lowercase().contains(word));
    if is_metricsql && message.starts_with("unexpected") {
        return Some("this looks like MetricsQL, which VictoriaMetrics alone evaluates");
    }
    let is_logql = [
        "|=",
        "|~",
        "| json",
        "| logfmt",
        "!~ `",
        "| unwrap",
        "| line_format",
    ]
    .iter()
    .any(|word| text.contains(word));
    if is_logql && message.starts_with("unexpected") {
        return Some("this looks like LogQL, which Loki's ruler alone evaluates");
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::functions::Functions;
    use crate::promql::{Features, parse};

    /// Returns the cases whose hint is another one than expected.
    fn misses(cases: &[(&str, &str)]) -> Vec<String> {
        let mut misses = Vec::new();
        for (text, expected) in cases {
            let error = parse(text, &Functions, Features::default()).expect_err(text);
            let hint = for_expression(text, &error, None, &Functions);
            if !hint.contains(expected) {
                misses.push(format!("{text}: {error}: {hint}"));
            }
        }
        misses
    }

    /// Each message of the parser's has its remedy; one that no longer fits falls back to the
    /// general one, and this fails.
    #[test]
    fn every_message_has_its_remedy() {
        let misses = misses(&[
            ("sort_by_label(x, \"a\")", "promql-experimental-functions"),
            ("rate(x[2*5m])", "promql-duration-expr"),
            ("x smoothed", "promql-extended-range-selectors"),
            ("x + on(a) fill(0) y", "promql-binop-fill-modifiers"),
            ("# nothing", "a comment alone is none"),
            ("rate(x)", "give it a window"),
            ("abs(x[5m])", "take the window off"),
            ("sum(x[5m])", "take the window off"),
            ("sum(1)", "`vector(…)`"),
            ("vector(x)", "`scalar(…)`"),
            ("label_replace(x, 1, \"\", \"\", \"\")", "in quotes"),
            ("sum(x)[5m]", "subquery"),
            ("x offset 1m [5m]", "the window first"),
            ("sum(x) offset 5m", "right behind each selector"),
            ("sum(x) @ 5", "right behind each selector"),
            ("x offset 5m offset 5m", "keep one of the two"),
            ("x[5m][5m:1m]", "inner window"),
            ("{}", "empty text does not fulfil"),
            ("a{__name__=\"b\"}", "in front of the braces"),
            ("a + bool b", "remove `bool`"),
            ("1 == 2", "== bool"),
            ("a + on(b) group_left(b) c", "out of `group_left(…)`"),
            ("1 + on(a) x", "a number goes with every series"),
            ("1 and x", "series on both sides"),
            ("a and on(b) group_left c", "take no `group_left`"),
            ("x[5m] + 1", "around a range vector"),
            ("-\"a\"", "a sign"),
            ("sum()", "to be aggregated"),
            ("topk(x)", "a parameter first"),
            ("abs(x, y)", "arguments"),
            ("abs(x,)", "remove the comma"),
            ("sum(x", "`)` that is missing"),
            ("x)", "remove the `)`"),
            ("x[5m", "`]` that is missing"),
            ("x]", "remove the `]`"),
            ("x{", "`}` that is missing"),
            ("x{a}", "a matcher is"),
            ("x{a=b}", "a matcher is"),
            ("x{a=~\"(\"}", "RE2"),
            ("\"a", "quote that is missing"),
            ("x{a=~\"\\d\"}", "written twice"),
            ("1x", "write a number"),
            ("0x", "write a number"),
            ("x[0s]", "from large to small"),
            ("x = 1", "comparison is `==`"),
            ("x +", "missing at the end"),
            ("x y", "an operand, operator or bracket"),
        ]);
        assert!(misses.is_empty(), "{misses:#?}");
    }

    #[test]
    fn other_languages_are_named() {
        let misses = misses(&[
            ("avvg(x)", "did you mean `avg`?"),
            ("nosuchthing(x)", "no such function"),
            ("lag(x[5m])", "MetricsQL"),
            ("range_median(x)", "MetricsQL"),
            ("label_set(x, \"a\", \"b\")", "MetricsQL"),
            ("x default 0", "MetricsQL"),
            ("{{ x }}", "template"),
            ("rate(x[$__rate_interval])", "Grafana"),
            ("rate({a=\"b\"} |= \"error\" [5m])", "LogQL"),
        ]);
        assert!(misses.is_empty(), "{misses:#?}");
    }
}
