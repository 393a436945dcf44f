//! What to do about a template that does not parse.
//!
//! The messages are those of Go's text/template, so the remedy is found by their words.

use crate::model::spelling::nearest;
use crate::template;

/// Returns the remedy.
pub(crate) fn for_template(message: &str) -> String {
    let function = message.split_once("function \"");
    if let Some((name, " not defined")) = function.and_then(|(_, rest)| rest.split_once('"')) {
        return match nearest(name, template::function_names()) {
            Some(close) => format!("did you mean `{close}`?"),
            None => {
                "text stands in quotes, variables begin with `$`: `$labels`, `$value`".to_owned()
            }
        };
    }
    let found = REMEDIES.iter().find(|(words, _)| message.contains(words));
    found
        .map_or(
            "between `{{` and `}}` stands a function with its arguments, or if, with, range, \
             define, template or end",
            |(_, remedy)| remedy,
        )
        .to_owned()
}

/// Parts of Go's messages and what to do about each; the first that fits counts.
const REMEDIES: &[(&str, &str)] = &[
    (
        "undefined variable",
        "the variables are $labels, $value, $externalLabels and $externalURL",
    ),
    (
        "unexpected \"*\"",
        "templates do not calculate; do that in the expression, or in a `query`",
    ),
    (
        "unexpected \"/\"",
        "templates do not calculate; do that in the expression, or in a `query`",
    ),
    (
        "bad character U+002A",
        "templates do not calculate; do that in the expression, or in a `query`",
    ),
    (
        "bad character U+002F",
        "templates do not calculate; do that in the expression, or in a `query`",
    ),
    (
        "bad character U+002D",
        "a name with other characters than letters, digits and `_` is read by `index`: \
         `{{ index $labels \"a-b\" }}`",
    ),
    (
        "bad character",
        "a name holds letters, digits and `_`; of a label with others: `{{ index $labels \"a.b\" }}`",
    ),
    ("unclosed action", "write the `}}` that is missing"),
    ("unclosed comment", "write the `*/}}` that is missing"),
    ("comment ends before", "`}}` stands right behind `*/`"),
    ("unclosed left paren", "write the `)` that is missing"),
    (
        "unexpected right paren",
        "remove the `)`, or write the `(` that it closes",
    ),
    ("unterminated", "write the quote that is missing"),
    (
        "malformed character constant",
        "text stands in double quotes; in single ones one character",
    ),
    (
        "unrecognized character",
        "text stands in quotes; functions are called as `name argument`",
    ),
    ("unexpected EOF", "write the `{{ end }}` that is missing"),
    (
        "unexpected {{end}}",
        "remove the `{{ end }}`, or write the `{{ if … }}` that it closes",
    ),
    (
        "unexpected {{else}}",
        "`{{ else }}` stands within `if`, `with` or `range`, once",
    ),
    ("expected end", "write the `{{ end }}` that is missing"),
    (
        "missing value for",
        "write a condition or value: `{{ if $value }}`",
    ),
    (
        "outside {{range}}",
        "`break` and `continue` stand within `{{ range … }}`",
    ),
    (
        "too many declarations",
        "one variable is set at a time, in `range` two",
    ),
    (
        "range can only initialize",
        "write `:=`: `{{ range $i, $x := … }}`",
    ),
    ("non executable command", "behind a `|` stands a function"),
    (
        "unexpected . after term",
        "put the value in parentheses: `(…).Field`",
    ),
    ("nil is not a command", "`nil` is no value to print or pipe"),
    (
        "multiple definition",
        "give each `define` a name of its own",
    ),
    ("bad number syntax", "write a number such as 1, 0.5 or 1e3"),
    (
        "unexpected \"|\"",
        "write a function or value between the pipes",
    ),
    (
        "empty command",
        "write a function or value between the pipes",
    ),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::template::Template;

    /// Returns the cases whose hint is another one than expected.
    fn misses(cases: &[(&str, &str)]) -> Vec<String> {
        let mut misses = Vec::new();
        for (text, expected) in cases {
            let error = Template::parse("t", text).expect_err(text);
            let hint = for_template(&error.0);
            if !hint.contains(expected) {
                misses.push(format!("{text}: {}: {hint}", error.0));
            }
        }
        misses
    }

    /// Each message has its remedy; one that no longer fits falls back to the general one, and
    /// this fails.
    #[test]
    fn every_message_has_its_remedy() {
        let misses = misses(&[
            ("{{ $label.x }}", "$labels, $value"),
            ("{{ humanise 1 }}", "did you mean `humanize`?"),
            ("{{ nosuchthing }}", "text stands in quotes"),
            ("{{ $value * 2 }}", "do not calculate"),
            ("{{ $labels.a-b }}", "`index`"),
            ("{{ $labels.a# }}", "`{{ index $labels"),
            ("{{ $value", "`}}` that is missing"),
            ("{{/* c }}", "`*/}}` that is missing"),
            ("{{ (1 }}", "`)` that is missing"),
            ("{{ ) }}", "remove the `)`"),
            ("{{ \"a }}", "quote that is missing"),
            ("{{ 'ab' }}", "one character"),
            ("{{ \u{1} }}", "name argument"),
            ("{{ if 1 }}", "`{{ end }}` that is missing"),
            ("{{ end }}", "remove the `{{ end }}`"),
            ("{{ else }}", "once"),
            ("{{ if }}", "a condition or value"),
            ("{{ break }}", "within `{{ range … }}`"),
            ("{{ $a, $b := 1 }}", "one variable"),
            ("{{ 1 | 2 }}", "stands a function"),
            ("{{ true.x }}", "in parentheses"),
            ("{{ 1 | nil }}", "stands a function"),
            (
                "{{ define \"a\" }}x{{ end }}{{ define \"a\" }}y{{ end }}",
                "a name of its own",
            ),
            ("{{ 1x }}", "write a number"),
            ("{{ | }}", "value"),
            ("{{ 1, 2 }}", "between `{{` and `}}`"),
        ]);
        assert!(misses.is_empty(), "{misses:#?}");
    }
}
