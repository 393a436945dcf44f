//! How the alerts that fire differ from those expected, as `promtool test rules --diff` shows it:
//! both as JSON in one, what is only expected in red, what only fires in green, what is another
//! text in yellow.

use std::collections::BTreeSet;

use crate::engine::expectation::Shown;
use crate::model::labels::quote;
use crate::rule::test_file::Texts;

const EXPECTED: &str = "\u{1b}[0;31m";
const GOT: &str = "\u{1b}[0;32m";
const CHANGED: &str = "\u{1b}[0;33m";
const PLAIN: &str = "\u{1b}[0m";
const INDENT: &str = "    ";

/// Returns both lists in one; the lists are sorted, and elements at the same place are compared.
pub(super) fn difference(expected: &[Shown], got: &[Shown]) -> String {
    let empty = [Shown::default()];
    let expected = if expected.is_empty() {
        &empty
    } else {
        expected
    };
    let got = if got.is_empty() { &empty } else { got };
    let mut out = Writer::default();
    out.open('[');
    for place in 0..expected.len().max(got.len()) {
        out.separate(place);
        match (expected.get(place), got.get(place)) {
            (Some(expected), Some(got)) => out.alert(expected, got),
            (Some(alert), None) => out.within(EXPECTED, |out| out.alert(alert, alert)),
            (None, Some(alert)) => out.within(GOT, |out| out.alert(alert, alert)),
            (None, None) => {}
        }
    }
    out.close(']');
    out.text
}

/// JSON in the making; a colour ends with its line and begins anew on the next.
#[derive(Default)]
struct Writer {
    text: String,
    level: usize,
    colour: Option<&'static str>,
}

impl Writer {
    fn text(&mut self, text: &str) {
        self.text.push_str(text);
    }

    fn line(&mut self) {
        if self.colour.is_some() {
            self.text.push_str(PLAIN);
        }
        self.text.push('\n');
        self.text.push_str(&INDENT.repeat(self.level));
        self.text.push_str(self.colour.unwrap_or(""));
    }

    fn open(&mut self, bracket: char) {
        self.text.push(bracket);
        self.level += 1;
        self.line();
    }

    fn close(&mut self, bracket: char) {
        self.level -= 1;
        self.line();
        self.text.push(bracket);
    }

    /// Goes on to the element at a place.
    fn separate(&mut self, place: usize) {
        if place > 0 {
            self.text.push(',');
            self.line();
        }
    }

    fn within(&mut self, colour: &'static str, write: impl FnOnce(&mut Self)) {
        self.text.push_str(colour);
        self.colour = Some(colour);
        write(self);
        self.colour = None;
        self.text.push_str(PLAIN);
    }

    fn alert(&mut self, expected: &Shown, got: &Shown) {
        self.open('{');
        self.text("\"Annotations\": ");
        self.texts(&expected.annotations, &got.annotations);
        self.separate(1);
        self.text("\"Labels\": ");
        self.texts(&expected.labels, &got.labels);
        self.close('}');
    }

    fn texts(&mut self, expected: &Texts, got: &Texts) {
        let names: BTreeSet<&String> = expected.iter().chain(got).map(|(name, _)| name).collect();
        if names.is_empty() {
            return self.text("{}");
        }
        let value = |texts: &Texts, name: &String| {
            let found = texts.iter().find(|(known, _)| known == name);
            found.map(|(_, value)| quote(value))
        };
        self.open('{');
        for (place, name) in names.into_iter().enumerate() {
            self.separate(place);
            let key = quote(name);
            match (value(expected, name), value(got, name)) {
                (Some(expected), Some(got)) if expected == got => {
                    self.text(&format!("{key}: {got}"));
                }
                (Some(expected), Some(got)) => {
                    self.text(&format!("{key}: {CHANGED}{expected} => {got}{PLAIN}"));
                }
                (Some(expected), None) => {
                    self.text(&format!("{EXPECTED}{key}: {expected}{PLAIN}"));
                }
                (None, Some(got)) => self.text(&format!("{GOT}{key}: {got}{PLAIN}")),
                (None, None) => {}
            }
        }
        self.close('}');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn alert(labels: &[(&str, &str)], annotations: &[(&str, &str)]) -> Shown {
        let texts = |pairs: &[(&str, &str)]| {
            let owned = |(n, v): &(&str, &str)| ((*n).to_owned(), (*v).to_owned());
            pairs.iter().map(owned).collect()
        };
        Shown {
            labels: texts(labels),
            annotations: texts(annotations),
        }
    }

    /// Colours are shown as their letters.
    fn check(expected: &[Shown], got: &[Shown], wanted: &str) {
        let mut shown = difference(expected, got);
        for (colour, letter) in [
            (EXPECTED, "<r>"),
            (GOT, "<g>"),
            (CHANGED, "<y>"),
            (PLAIN, "<>"),
        ] {
            shown = shown.replace(colour, letter);
        }
        assert_eq!(shown, wanted);
    }

    #[test]
    fn what_differs_is_coloured() {
        check(
            &[alert(&[("a", "b"), ("c", "d")], &[("v", "8")])],
            &[alert(&[("a", "b"), ("e", "f")], &[("v", "7\n")])],
            "[\n    {\n        \"Annotations\": {\n            \"v\": <y>\"8\" => \"7\\n\"<>\n        \
             },\n        \"Labels\": {\n            \"a\": \"b\",\n            <r>\"c\": \"d\"<>,\n            \
             <g>\"e\": \"f\"<>\n        }\n    }\n]",
        );
    }

    #[test]
    fn an_alert_that_only_one_side_has_is_coloured_whole() {
        check(
            &[],
            &[alert(&[("a", "b")], &[]), alert(&[("a", "c")], &[])],
            "[\n    {\n        \"Annotations\": {},\n        \"Labels\": {\n            \
             <g>\"a\": \"b\"<>\n        }\n    },\n    <g>{<>\n        <g>\"Annotations\": {},<>\n        \
             <g>\"Labels\": {<>\n            <g>\"a\": \"c\"<>\n        <g>}<>\n    <g>}<>\n]",
        );
    }
}
