//! The documents of a text: each a tree and the text it came from.

use std::rc::Rc;

use crate::yaml::parser::{Parsed, Parser};
use crate::yaml::{Node, NodeKind, Place, YamlError};

/// A document of a text.
#[derive(Debug)]
pub struct Document {
    /// Its root; a text without a document has a null one.
    pub root: Rc<Node>,
    /// Tells whether something follows that was not read: another document, or none.
    pub more: bool,
    /// Repeated keys, wrong merges and wrong tags, in the order met.
    pub problems: Vec<YamlError>,
    /// The text as written, but for a byte order mark.
    source: Rc<str>,
}

/// Reads the first document; what follows it is not looked at.
///
/// # Errors
/// Returns where and why the text is not YAML, or which bound it exceeds.
pub fn first_document(text: &str) -> Result<Document, YamlError> {
    let source = without_mark(text);
    let mut parser = Parser::new(&source);
    let first = parser.next_document()?;
    // An error there is of no concern, but something is there.
    let more = first.is_some() && !matches!(parser.next_document(), Ok(None));
    let mut document = Document::of(first, &source);
    document.more = more;
    Ok(document)
}

/// Reads all documents of a text; there is at least one.
///
/// # Errors
/// As [`first_document`], of any of them.
pub fn all_documents(text: &str) -> Result<Vec<Document>, YamlError> {
    let source = without_mark(text);
    let mut parser = Parser::new(&source);
    let mut documents = Vec::new();
    while let Some(parsed) = parser.next_document()? {
        documents.push(Document::of(Some(parsed), &source));
    }
    if documents.is_empty() {
        documents.push(Document::of(None, &source));
    }
    Ok(documents)
}

fn without_mark(text: &str) -> Rc<str> {
    text.strip_prefix('\u{feff}').unwrap_or(text).into()
}

impl Document {
    fn of(parsed: Option<Parsed>, source: &Rc<str>) -> Self {
        let nothing = || Parsed {
            root: Rc::new(Node::leaf(NodeKind::Null, Place { line: 1, column: 1 })),
            problems: Vec::new(),
        };
        let Parsed { root, problems } = parsed.unwrap_or_else(nothing);
        Document {
            root,
            more: false,
            problems,
            source: Rc::clone(source),
        }
    }
}

impl Document {
    /// Returns the place in the file of the character at `at` bytes of a scalar's text, or `None`
    /// where the two differ by more than white space (escapes).
    ///
    /// Literal, folded and plain scalars keep every character that is not white space, so both are
    /// walked side by side without white space.
    pub fn place_within(&self, begins: usize, text: &str, at: usize) -> Option<Place> {
        let source = &*self.source;
        let before = text.get(..at)?;
        let mut walk = source.get(begins..)?.char_indices();
        let mut found = begins;
        let visible = |c: &char| !c.is_whitespace();
        for wanted in before.chars().filter(visible) {
            let (offset, got) = walk.find(|(_, c)| visible(c))?;
            if got != wanted {
                return None;
            }
            found = begins + offset + got.len_utf8();
        }
        // The character itself, unless the place is the end of the text.
        if text[at..].chars().any(|c| visible(&c)) {
            found = begins + walk.find(|(_, c)| visible(c))?.0;
        }
        let line_start = source[..found].rfind('\n').map_or(0, |at| at + 1);
        Some(Place {
            line: source[..found].matches('\n').count() + 1,
            column: source[line_start..found].chars().count() + 1,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::yaml::PROBLEMS_MAX;

    /// Prints a tree in one line: `{key@line:column: value, …}`.
    fn printed(node: &Node) -> String {
        let place = format!("@{}:{}", node.place.line, node.place.column);
        match &node.kind {
            NodeKind::Null => format!("null{place}"),
            NodeKind::Scalar { text, .. } => format!("{text:?}{place}"),
            NodeKind::Sequence(items) => {
                let items: Vec<String> = items.iter().map(|item| printed(item)).collect();
                format!("[{}]{place}", items.join(", "))
            }
            NodeKind::Mapping(pairs) => {
                let pairs: Vec<String> = pairs
                    .iter()
                    .map(|(key, value)| format!("{}: {}", printed(key), printed(value)))
                    .collect();
                format!("{{{}}}{place}", pairs.join(", "))
            }
        }
    }

    fn check(text: &str, expected: &str) {
        let outcome = match first_document(text) {
            Ok(document) => {
                let mut out = printed(&document.root);
                for problem in &document.problems {
                    out += &format!("; {}: {}", problem.place.line, problem);
                }
                out + if document.more { "; more" } else { "" }
            }
            Err(e) => format!("{}:{}: {}", e.place.line, e.place.column, e),
        };
        assert_eq!(outcome, expected, "{text:?}");
    }

    #[test]
    fn every_node_knows_where_it_begins() {
        check("a: b\n", r#"{"a"@1:1: "b"@1:4}@1:1"#);
        check("- x\n- 'y'\n", r#"["x"@1:3, "y"@2:3]@1:1"#);
        check("a: |\n  b\n  c\n", r#"{"a"@1:1: "b\nc\n"@1:4}@1:1"#);
        check(
            "\u{feff}a: {b: 1}\r\n",
            r#"{"a"@1:1: {"b"@1:5: "1"@1:8}@1:4}@1:1"#,
        );
    }

    #[test]
    fn scalars_stay_as_written() {
        check(
            "[5, 1.50, 0x1F, yes]",
            r#"["5"@1:2, "1.50"@1:5, "0x1F"@1:11, "yes"@1:17]@1:1"#,
        );
        check(
            "[null, ~, '', 'null']",
            r#"[null@1:2, null@1:8, ""@1:11, "null"@1:15]@1:1"#,
        );
        check(
            "[!!str null, a: ]",
            r#"["null"@1:2, {"a"@1:14: null@1:17}@1:14]@1:1"#,
        );
    }

    #[test]
    fn aliases_and_merges() {
        check("[&x a, *x]", r#"["a"@1:2, "a"@1:2]@1:1"#);
        check(
            "- &r {a: 1, b: 2}\n- {<<: *r, b: 3}\n",
            r#"[{"a"@1:7: "1"@1:10, "b"@1:13: "2"@1:16}@1:3, {"b"@2:12: "3"@2:15, "a"@1:7: "1"@1:10}@2:3]@1:1"#,
        );
        check("&a [*a]", "1:5: yaml: anchor 'a' value contains itself");
        check(
            "<<: 5",
            "{}@1:1; 1: yaml: map merge requires map or sequence of maps as the value",
        );
    }

    #[test]
    fn quoted_text_may_continue_anywhere() {
        check(
            "a:\n  b: \"one\n  two\nthree\"\n  c: d\n",
            r#"{"a"@1:1: {"b"@2:3: "one two three"@2:6, "c"@5:3: "d"@5:6}@2:3}@1:1"#,
        );
        check("- 'one\ntwo'\n", r#"["one two"@1:3]@1:1"#);
    }

    #[test]
    fn a_place_within_a_text_is_found_in_the_file() {
        let check = |file: &str, text: &str, at: usize, expected: Option<(usize, usize)>| {
            let document = first_document(file).expect("YAML");
            let NodeKind::Mapping(pairs) = &document.root.kind else {
                panic!("no mapping: {file:?}");
            };
            let NodeKind::Scalar {
                text: read, begins, ..
            } = &pairs[0].1.kind
            else {
                panic!("no scalar: {file:?}");
            };
            assert_eq!(read, text, "{file:?}");
            let place = document.place_within(*begins, text, at);
            assert_eq!(place.map(|p| (p.line, p.column)), expected, "{file:?}");
        };
        check("a: b + c\n", "b + c", 4, Some((1, 8)));
        check("a: 'b + c'\n", "b + c", 0, Some((1, 5)));
        check("a: |\n  b\n    + c\n", "b\n  + c\n", 6, Some((3, 7)));
        check("a: >\n  b\n  + c\n", "b + c\n", 4, Some((3, 5)));
        check("a: b\n  + c\n", "b + c", 5, Some((2, 6)));
        check("a: 'b\n+ c'\n", "b + c", 4, Some((2, 3)));
        check("a: \"b\\n+ c\"\n", "b\n+ c", 4, None);
    }

    /// What is wrong is said with the line that Prometheus' decoder names and where it really is.
    #[test]
    fn what_is_no_yaml_is_refused_in_prometheus_words() {
        check(
            "a: b\n c: d\n",
            "2:3: yaml: line 2: mapping values are not allowed in this context",
        );
        check(
            "a:\n  - b\n c: d\n",
            "3:2: yaml: line 2: did not find expected key",
        );
        check(
            "a: [b\nc: d\n",
            "2:2: yaml: line 1: did not find expected ',' or ']'",
        );
        check(
            "a: {b: c\n",
            "1:4: yaml: line 1: did not find expected ',' or '}'",
        );
        check(
            "a: @b\n",
            "1:4: yaml: found character that cannot start any token",
        );
        check(
            "- a\n- `b`\n",
            "2:3: yaml: line 2: found character that cannot start any token",
        );
        check(
            "a:\n\tb: c\n",
            "2:1: yaml: line 2: found character that cannot start any token",
        );
        check(
            "a: b\n\t\n",
            "2:1: yaml: line 2: found a tab character that violates indentation",
        );
        check(
            "a: 'b\n",
            "1:4: yaml: line 2: found unexpected end of stream",
        );
        check("a: \"\\q\"\n", "1:5: yaml: found unknown escape character");
        check(
            "a: \"\\xq\"\n",
            "1:7: yaml: did not find expected hexdecimal number",
        );
        check(
            "a: |x\n",
            "1:5: yaml: did not find expected comment or line break",
        );
        check(
            "a: |0\n",
            "1:5: yaml: found an indentation indicator equal to 0",
        );
        check(
            "a: &\n",
            "1:5: yaml: did not find expected alphabetic or numeric character",
        );
        check("a: *b\n", "1:4: yaml: unknown anchor 'b' referenced");
        check("a: !x!y z\n", "1:4: yaml: found undefined tag handle");
        check(
            "%YAML 1.2\n---\na\n",
            "1:1: yaml: found incompatible YAML document",
        );
        check(
            "a: b\u{1}c\n",
            "1:5: yaml: control characters are not allowed",
        );
        check(
            "a b\nc: d\n",
            "2:2: yaml: line 2: mapping values are not allowed in this context",
        );
        check(
            "a: b\n- c\n",
            "2:1: yaml: line 1: did not find expected key",
        );
        check(
            "a: - b\n",
            "1:4: yaml: block sequence entries are not allowed in this context",
        );
    }

    #[test]
    fn a_scalar_is_what_its_tag_says() {
        check(
            "a: !!int x",
            r#"{"a"@1:1: "x"@1:4}@1:1; 1: yaml: cannot decode !!str `x` as a !!int"#,
        );
        check("a: !!int 5", r#"{"a"@1:1: "5"@1:4}@1:1"#);
        check("a: !!str", r#"{"a"@1:1: ""@1:4}@1:1"#);
        check("a: !!binary aGk=", r#"{"a"@1:1: "hi"@1:4}@1:1"#);
        check("a: !own 5", r#"{"a"@1:1: "5"@1:4}@1:1"#);
    }

    #[test]
    fn a_key_occurs_once() {
        check(
            "a: 1\nb: 2\na: 3\n",
            r#"{"a"@1:1: "1"@1:4, "b"@2:1: "2"@2:4}@1:1; 3: mapping key "a" already defined at line 1"#,
        );
        check(
            "{a: 1, a: 2, a: 3}",
            r#"{"a"@1:2: "1"@1:5}@1:1; 1: mapping key "a" already defined at line 1; 1: mapping key "a" already defined at line 1; 1: mapping key "a" already defined at line 1"#,
        );
    }

    #[test]
    fn only_the_first_document_counts() {
        check("", "null@1:1");
        check("# nothing\n", "null@1:1");
        check("---\na: 1\n", r#"{"a"@2:1: "1"@2:4}@2:1"#);
        check("a: 1\n---\nb: 2\n", r#"{"a"@1:1: "1"@1:4}@1:1; more"#);
        check("a: 1\n---\n}{", r#"{"a"@1:1: "1"@1:4}@1:1; more"#);
    }

    #[test]
    fn all_documents_are_read_where_that_is_asked_for() {
        let check = |text: &str, expected: &[&str]| {
            let documents = all_documents(text).expect("YAML");
            let printed: Vec<String> = documents.iter().map(|d| printed(&d.root)).collect();
            assert_eq!(printed, expected, "{text:?}");
            assert!(documents.iter().all(|d| !d.more), "{text:?}");
        };
        check("", &["null@1:1"]);
        check(
            "a: 1\n---\nb: 2\n",
            &[r#"{"a"@1:1: "1"@1:4}@1:1"#, r#"{"b"@3:1: "2"@3:4}@3:1"#],
        );
        check(
            "- &x a\n---\n- 'b\nc'\n---\n",
            &[r#"["a"@1:3]@1:1"#, r#"["b c"@3:3]@3:1"#, "null@6:1"],
        );
        assert!(all_documents("a: 1\n---\n}{").is_err());
    }

    #[test]
    fn bounds_hold() {
        let deep = "[".repeat(100) + &"]".repeat(100);
        let error = first_document(&deep).expect_err("too deep");
        assert!(error.to_string().contains("nested deeper"), "{error:?}");
        let repeated = "a: 1\n".repeat(20_000);
        let document = first_document(&repeated).expect("YAML");
        assert_eq!(document.problems.len(), PROBLEMS_MAX);
        let mut bomb = "- &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for level in 1..9 {
            let below = format!("*a{}", level - 1);
            bomb += &format!("- &a{level} [{}]\n", vec![below; 10].join(", "));
        }
        let error = first_document(&bomb).expect_err("too many");
        assert!(
            error.to_string().contains("excessive aliasing"),
            "{error:?}"
        );
    }
}
