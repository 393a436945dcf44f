//! An error in an expression, with the line it is in and a caret under the place.

use crate::promql::ParseError;

/// How much of a line is shown, in characters.
const WIDTH_MAX: usize = 100;
/// How much of it is shown before the place.
const BEFORE: usize = 60;

/// Writes an error with its line, a caret under the place, and what to do about it.
pub fn point(text: &str, error: &ParseError, remedy: Option<&str>) -> String {
    let mut written = error.to_string();
    if error.line > 0 {
        let start = error.span.start.min(text.len());
        let line_start = text[..text.floor_char_boundary(start)]
            .rfind('\n')
            .map_or(0, |at| at + 1);
        let line = text[line_start..].lines().next().unwrap_or("");
        let before = text[line_start..text.floor_char_boundary(start)]
            .chars()
            .count();
        let end = text.floor_char_boundary(error.span.end.clamp(start, text.len()));
        let length = text[text.floor_char_boundary(start)..end]
            .lines()
            .next()
            .unwrap_or("");
        let skipped = before.saturating_sub(BEFORE);
        let shown: String = line
            .chars()
            .skip(skipped)
            .take(WIDTH_MAX)
            .map(|c| if c.is_control() { ' ' } else { c })
            .collect();
        let n_carets = length.chars().count().clamp(1, WIDTH_MAX - BEFORE);
        let margin = " ".repeat(error.line.to_string().len());
        let cut = if skipped > 0 { "…" } else { "" };
        let indent = " ".repeat(before - skipped + cut.chars().count());
        written += &format!(
            "\n{margin} |\n{} | {cut}{shown}\n{margin} | {indent}{}",
            error.line,
            "^".repeat(n_carets)
        );
        if let Some(remedy) = remedy {
            written += &format!("\n{margin} = hint: {remedy}");
        }
    } else if let Some(remedy) = remedy {
        written += &format!("\n  = hint: {remedy}");
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::functions::Functions;
    use crate::promql::{Features, parse};

    fn check(text: &str, expected: &str) {
        let error = parse(text, &Functions, Features::default()).expect_err(text);
        assert_eq!(point(text, &error, Some("so")), expected);
    }

    #[test]
    fn the_place_is_pointed_at() {
        check(
            "sum(x) > foo(y)",
            "1:10: parse error: unknown function with name \"foo\"\n  |\n1 | sum(x) > foo(y)\n  |          ^^^\n  = hint: so",
        );
        check(
            "a +\n\tbäh(b)",
            "2:3: parse error: unexpected character: 'ä'\n  |\n2 |  bäh(b)\n  |   ^^^^^\n  = hint: so",
        );
        check(
            "",
            "unknown position: parse error: no expression found in input\n  = hint: so",
        );
    }

    #[test]
    fn of_a_long_line_only_the_surroundings_are_shown() {
        let text = format!("{}foo(y){}", "x + ".repeat(100), " + x".repeat(100));
        let error = parse(&text, &Functions, Features::default()).expect_err("unknown");
        let pointed = point(&text, &error, None);
        let lines: Vec<&str> = pointed.lines().collect();
        assert_eq!(
            lines[2].chars().count(),
            "1 | …".chars().count() + WIDTH_MAX
        );
        let at = lines[3].find('^').expect("a caret");
        let under: String = lines[2].chars().skip(at).take(3).collect();
        assert_eq!(under, "foo");
    }
}
