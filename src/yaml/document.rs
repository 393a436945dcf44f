//! The documents of a text: each a tree and the text it came from.
//!
//! Cost: linear in the text; an aliased node is shared, not copied.

use std::rc::Rc;

use serde_saphyr::granit_parser::{ErrorKind, Event, Parser, ScalarStyle, options};

use crate::yaml::source::{Source, block_header};
use crate::yaml::tree::Tree;
use crate::yaml::{Node, NodeKind, Place, YamlError, YamlErrorKind};

/// How often a line of quoted text may be indented; each time costs reading the text anew, so a
/// file that needs more is refused.
const PADS_MAX: usize = 256;

/// A document of a text.
#[derive(Debug)]
pub struct Document {
    /// Its root; a text without a document has a null one.
    pub root: Rc<Node>,
    /// Tells whether something follows that was not read: another document, or none.
    pub more: bool,
    /// Repeated keys and wrong merges, in the order met.
    pub problems: Vec<YamlError>,
    source: Rc<Source>,
}

/// Reads the first document; what follows it is not looked at.
///
/// # Errors
/// Returns where and why the text is not YAML, or which bound it exceeds.
pub fn first_document(text: &str) -> Result<Document, YamlError> {
    let mut documents = read(text, 1)?;
    Ok(documents.swap_remove(0))
}

/// Reads all documents of a text; there is at least one.
///
/// # Errors
/// As [`first_document`], of any of them.
pub fn all_documents(text: &str) -> Result<Vec<Document>, YamlError> {
    read(text, usize::MAX)
}

/// Reads the first documents of a text, one at least and `n_max` at most.
fn read(text: &str, n_max: usize) -> Result<Vec<Document>, YamlError> {
    let mut source = Source::new(text);
    let mut n_pads = 0;
    loop {
        match read_events(&source, n_max) {
            Ok((trees, more)) => {
                let source = Rc::new(source);
                let n_trees = trees.len();
                let document = |(idx, tree): (usize, Tree)| Document {
                    root: tree.root.unwrap_or_else(nothing),
                    more: more && idx + 1 == n_trees,
                    problems: tree.problems,
                    source: Rc::clone(&source),
                };
                return Ok(trees.into_iter().enumerate().map(document).collect());
            }
            Err(Stop::QuotedIndent(place)) if n_pads < PADS_MAX => {
                source.pad(place);
                n_pads += 1;
            }
            Err(Stop::QuotedIndent(place)) => {
                let reason = "continuation lines of quoted text are not indented";
                return Err(YamlError {
                    place,
                    kind: YamlErrorKind::Syntax(reason.to_owned()),
                });
            }
            Err(Stop::Wrong(e)) => return Err(e),
        }
    }
}

/// Why the events of a text ended early.
enum Stop {
    /// A line continues quoted text without being indented beyond the block it stands in.
    QuotedIndent(Place),
    /// Anything else.
    Wrong(YamlError),
}

/// The root of a text without a document.
fn nothing() -> Rc<Node> {
    Rc::new(Node::leaf(NodeKind::Null, Place { line: 1, column: 1 }))
}

/// Builds the trees of the first documents, one at least and `n_max` at most; tells whether
/// something follows them.
fn read_events(source: &Source, n_max: usize) -> Result<(Vec<Tree>, bool), Stop> {
    let mut trees = Vec::new();
    let mut tree = Tree::default();
    let text = source.text.as_str();
    let mut events = Parser::new_from_str_with_options(text, options! { emit_comments: false });
    while let Some(event) = events.next_event() {
        let (event, span) = event.map_err(|e| match e.kind() {
            ErrorKind::InvalidQuotedScalarIndent => Stop::QuotedIndent(Place::from(e.marker())),
            _ => Stop::Wrong(YamlError {
                place: source.written(Place::from(e.marker())),
                kind: YamlErrorKind::Syntax(e.info().to_owned()),
            }),
        })?;
        match event {
            Event::DocumentEnd => {
                trees.push(std::mem::take(&mut tree));
                if trees.len() == n_max {
                    // An error there is of no concern, but something is there.
                    let next = events.next_event();
                    let more = !matches!(next, Some(Ok((Event::StreamEnd, _))) | None);
                    return Ok((trees, more));
                }
            }
            Event::StreamEnd => break,
            event => {
                let begins = span.start.byte_offset().unwrap_or(text.len());
                let start = Place::from(&span.start);
                let is_block = matches!(
                    &event,
                    Event::Scalar(_, ScalarStyle::Literal | ScalarStyle::Folded, ..)
                );
                let header = is_block.then(|| block_header(text, begins, start.line));
                let place = source.written(header.flatten().unwrap_or(start));
                tree.take(event, place, begins).map_err(Stop::Wrong)?;
            }
        }
    }
    if trees.is_empty() {
        trees.push(tree);
    }
    Ok((trees, false))
}

impl Document {
    /// Returns the place in the file of the character at `at` bytes of a scalar's text, or `None`
    /// where the two differ by more than white space (escapes).
    ///
    /// Literal, folded and plain scalars keep every character that is not white space, so both are
    /// walked side by side without white space.
    pub fn place_within(&self, begins: usize, text: &str, at: usize) -> Option<Place> {
        let source = self.source.text.as_str();
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
        Some(self.source.written(Place {
            line: source[..found].matches('\n').count() + 1,
            column: source[line_start..found].chars().count() + 1,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
            r#"["null"@1:8, {"a"@1:14: null@1:15}@1:14]@1:1"#,
        );
    }

    #[test]
    fn aliases_and_merges() {
        check("[&x a, *x]", r#"["a"@1:5, "a"@1:5]@1:1"#);
        check(
            "- &r {a: 1, b: 2}\n- {<<: *r, b: 3}\n",
            r#"[{"a"@1:7: "1"@1:10, "b"@1:13: "2"@1:16}@1:6, {"b"@2:12: "3"@2:15, "a"@1:7: "1"@1:10}@2:3]@1:1"#,
        );
        check("&a [*a]", "1:5: yaml: anchor contains itself");
        check(
            "<<: 5",
            "{}@1:1; 1: map merge requires map or sequence of maps as the value",
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

    #[test]
    fn a_key_occurs_once() {
        check(
            "a: 1\nb: 2\na: 3\n",
            r#"{"a"@1:1: "1"@1:4, "b"@2:1: "2"@2:4}@1:1; 3: mapping key "a" already defined at line 1"#,
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
            &[r#"["a"@1:6]@1:1"#, r#"["b c"@3:3]@3:1"#, "null@5:4"],
        );
        assert!(all_documents("a: 1\n---\n}{").is_err());
    }

    #[test]
    fn bounds_hold() {
        let deep = "[".repeat(100) + &"]".repeat(100);
        let error = first_document(&deep).expect_err("too deep");
        assert!(error.to_string().contains("nested deeper"), "{error:?}");
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
