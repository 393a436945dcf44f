//! YAML text to a tree whose every node knows its line and column.
//!
//! A rule file is read through this tree rather than through serde, for three reasons: one
//! wrong field must not hide the others, so reading goes on behind an error; Prometheus takes a
//! scalar of any type as the text that was written (`name: 5`), which serde has lost by the time
//! it asks for a string; and every message needs the place of its node. Anchors, aliases and
//! merge keys work as in Prometheus' decoder, and a key that occurs twice is an error.
//!
//! Cost: linear in the text; an aliased node is shared, not copied.

use std::collections::HashMap;
use std::rc::Rc;

use serde_saphyr::granit_parser::{ErrorKind, Event, Marker, Parser, ScalarStyle, options};

/// How deeply collections may nest; a rule file needs six levels, so what is deeper is refused.
const DEPTH_MAX: usize = 64;
/// How many nodes a document may have once its aliases are written out; more is refused, so
/// that a small file of aliases to aliases cannot cost hours.
const NODES_MAX: usize = 5_000_000;
/// How often a line of quoted text may be indented; each time costs reading the text anew, so a
/// file that needs more is refused.
const PADS_MAX: usize = 256;

/// Where a node begins: 1-based line and column, the column in characters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    /// 1-based.
    pub line: usize,
    /// 1-based, in characters.
    pub column: usize,
}

impl From<&Marker> for Place {
    fn from(marker: &Marker) -> Self {
        Place {
            line: marker.line(),
            column: marker.col() + 1,
        }
    }
}

/// Something wrong with the text as YAML.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct YamlError {
    /// Where.
    pub place: Place,
    /// What.
    pub message: String,
}

/// A node and where it begins.
#[derive(Debug)]
pub(crate) struct Node {
    /// What it is.
    pub kind: NodeKind,
    /// Where it begins.
    pub place: Place,
    /// Its nodes with all aliases written out, itself included.
    n_nodes: usize,
}

/// The kinds of nodes.
#[derive(Debug)]
pub(crate) enum NodeKind {
    /// Nothing, `~` or `null`.
    Null,
    /// A scalar as written, its escapes resolved.
    Scalar {
        /// The text.
        text: String,
        /// `true` where quotes, a block style or `!!str` make it text whatever it looks like.
        is_text: bool,
        /// The byte of the source where the text begins, behind a quote or a block's header.
        begins: usize,
    },
    /// A list.
    Sequence(Vec<Rc<Node>>),
    /// Keys and values in the order written, behind them what merge keys add.
    Mapping(Vec<(Rc<Node>, Rc<Node>)>),
}

impl Node {
    /// Returns the node's kind as a message says it.
    pub(crate) fn described(&self) -> String {
        match &self.kind {
            NodeKind::Null => "null".to_owned(),
            NodeKind::Scalar { text, .. } => format!("`{}`", shortened(text)),
            NodeKind::Sequence(_) => "a list".to_owned(),
            NodeKind::Mapping(_) => "a mapping".to_owned(),
        }
    }
}

/// Cuts a text to what a message can show on its line.
pub(crate) fn shortened(text: &str) -> String {
    const CHARS_MAX: usize = 40;
    let line = text.lines().next().unwrap_or("");
    if line.len() == text.trim_end().len() && line.chars().count() <= CHARS_MAX {
        return line.to_owned();
    }
    let head: String = line.chars().take(CHARS_MAX).collect();
    format!("{head}…")
}

/// The first document of a text.
#[derive(Debug)]
pub(crate) struct Document {
    /// Its root; a text without a document has a null one.
    pub root: Rc<Node>,
    /// Tells whether another document, or something that is none, follows.
    pub more: bool,
    /// Repeated keys and wrong merges, in the order met.
    pub problems: Vec<YamlError>,
    source: Source,
}

/// Reads the first document; what follows it is not looked at.
///
/// # Errors
/// Returns where and why the text is not YAML, or which bound it exceeds.
pub(crate) fn first_document(text: &str) -> Result<Document, YamlError> {
    let mut source = Source {
        text: text.strip_prefix('\u{feff}').unwrap_or(text).to_owned(),
        pads: HashMap::new(),
    };
    let mut n_pads = 0;
    loop {
        let mut tree = Tree::default();
        match read_events(&source, &mut tree) {
            Ok(more) => {
                let nothing = || Rc::new(leaf(NodeKind::Null, Place { line: 1, column: 1 }));
                return Ok(Document {
                    root: tree.root.take().unwrap_or_else(nothing),
                    more,
                    problems: tree.problems,
                    source,
                });
            }
            Err(Stop::QuotedIndent(place)) if n_pads < PADS_MAX => {
                source.pad(place);
                n_pads += 1;
            }
            Err(Stop::QuotedIndent(place)) => {
                return Err(YamlError {
                    place,
                    message: "yaml: continuation lines of quoted text are not indented".to_owned(),
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

/// Builds the tree of the first document; tells whether something follows it.
fn read_events(source: &Source, tree: &mut Tree) -> Result<bool, Stop> {
    let text = source.text.as_str();
    let mut events = Parser::new_from_str_with_options(text, options! { emit_comments: false });
    while let Some(event) = events.next_event() {
        let (event, span) = event.map_err(|e| match e.kind() {
            ErrorKind::InvalidQuotedScalarIndent => Stop::QuotedIndent(Place::from(e.marker())),
            _ => Stop::Wrong(YamlError {
                place: source.written(Place::from(e.marker())),
                message: format!("yaml: {}", e.info()),
            }),
        })?;
        match event {
            // An error behind the first document is of no concern, but something is there.
            Event::DocumentEnd => {
                let next = events.next_event();
                return Ok(!matches!(next, Some(Ok((Event::StreamEnd, _))) | None));
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
    Ok(false)
}

/// A text as the parser wants it.
///
/// Prometheus' parser takes lines that continue quoted text wherever they begin, ours wants them
/// indented. White space in front of such a line means nothing, so it is put there, and taken
/// off the columns again.
#[derive(Debug)]
struct Source {
    text: String,
    /// How many spaces were put in front of a line.
    pads: HashMap<usize, usize>,
}

impl Source {
    /// Puts spaces in front of a line.
    fn pad(&mut self, place: Place) {
        const SPACES: &str = "                                                                ";
        let mut lines = self.text.match_indices('\n').map(|(at, _)| at + 1);
        let start = match place.line {
            0 | 1 => Some(0),
            line => lines.nth(line - 2),
        };
        self.text
            .insert_str(start.unwrap_or(self.text.len()), SPACES);
        *self.pads.entry(place.line).or_default() += SPACES.len();
    }

    /// Returns a place as it is in the text as written.
    fn written(&self, place: Place) -> Place {
        let pad = self.pads.get(&place.line).copied().unwrap_or(0);
        Place {
            line: place.line,
            column: place.column.saturating_sub(pad).max(1),
        }
    }
}

impl Document {
    /// Returns the place in the file of the character at `at` bytes of a scalar's text, or `None`
    /// where the two differ by more than white space (escapes).
    ///
    /// Literal, folded and plain scalars keep every character that is not white space, so both are
    /// walked side by side without white space.
    pub(crate) fn place_within(&self, begins: usize, text: &str, at: usize) -> Option<Place> {
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

/// A collection whose end has not come yet.
struct Open {
    place: Place,
    anchor: usize,
    is_mapping: bool,
    children: Vec<Rc<Node>>,
}

/// The tree as far as its events have come.
#[derive(Default)]
struct Tree {
    root: Option<Rc<Node>>,
    open: Vec<Open>,
    anchors: HashMap<usize, Rc<Node>>,
    problems: Vec<YamlError>,
}

impl Tree {
    fn take(&mut self, event: Event<'_>, place: Place, begins: usize) -> Result<(), YamlError> {
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let tag = tag.as_ref().and_then(|tag| tag.core_suffix());
                let is_text = style != ScalarStyle::Plain || tag == Some("str");
                let kind = if !is_text && is_null(&text) {
                    NodeKind::Null
                } else {
                    let quoted =
                        matches!(style, ScalarStyle::SingleQuoted | ScalarStyle::DoubleQuoted);
                    NodeKind::Scalar {
                        text: text.into_owned(),
                        is_text,
                        begins: begins + usize::from(quoted),
                    }
                };
                self.put(Rc::new(leaf(kind, place)), anchor)
            }
            Event::SequenceStart(_, anchor, _) => self.begin(place, anchor, false),
            Event::MappingStart(_, anchor, _) => self.begin(place, anchor, true),
            Event::SequenceEnd | Event::MappingEnd => self.end(),
            Event::Alias(anchor) => {
                let Some(node) = self.anchors.get(&anchor).map(Rc::clone) else {
                    let message = "yaml: anchor contains itself".to_owned();
                    return Err(YamlError { place, message });
                };
                self.put(node, 0)
            }
            _ => Ok(()),
        }
    }

    fn begin(&mut self, place: Place, anchor: usize, is_mapping: bool) -> Result<(), YamlError> {
        if self.open.len() >= DEPTH_MAX {
            let message = format!("yaml: nested deeper than {DEPTH_MAX} levels");
            return Err(YamlError { place, message });
        }
        self.open.push(Open {
            place,
            anchor,
            is_mapping,
            children: Vec::new(),
        });
        Ok(())
    }

    fn end(&mut self) -> Result<(), YamlError> {
        let Some(open) = self.open.pop() else {
            return Ok(());
        };
        let n_nodes = open
            .children
            .iter()
            .fold(1, |sum: usize, child| sum.saturating_add(child.n_nodes));
        if n_nodes > NODES_MAX {
            let message = format!(
                "yaml: more than {NODES_MAX} nodes with aliases written out: excessive aliasing"
            );
            let place = open.place;
            return Err(YamlError { place, message });
        }
        let kind = if open.is_mapping {
            NodeKind::Mapping(self.pairs(&open.children))
        } else {
            NodeKind::Sequence(open.children)
        };
        let node = Node {
            kind,
            place: open.place,
            n_nodes,
        };
        self.put(Rc::new(node), open.anchor)
    }

    fn put(&mut self, node: Rc<Node>, anchor: usize) -> Result<(), YamlError> {
        if anchor != 0 {
            self.anchors.insert(anchor, Rc::clone(&node));
        }
        match self.open.last_mut() {
            Some(open) => open.children.push(node),
            None => self.root = Some(node),
        }
        Ok(())
    }

    /// Pairs up keys and values, notes repeated keys and resolves merge keys: what is written
    /// wins over what is merged, and an earlier merge over a later one.
    fn pairs(&mut self, children: &[Rc<Node>]) -> Vec<(Rc<Node>, Rc<Node>)> {
        let mut seen: HashMap<String, usize> = HashMap::new();
        let mut pairs = Vec::with_capacity(children.len() / 2);
        let mut merged = Vec::new();
        for pair in children.chunks_exact(2) {
            let (key, value) = (&pair[0], &pair[1]);
            if let NodeKind::Scalar { text, is_text, .. } = &key.kind {
                if let Some(line) = seen.insert(text.clone(), key.place.line) {
                    let key_text = crate::model::labels::quote(text);
                    self.problems.push(YamlError {
                        place: key.place,
                        message: format!("mapping key {key_text} already defined at line {line}"),
                    });
                    continue;
                }
                if text == "<<" && !is_text {
                    self.merge(value, &mut merged);
                    continue;
                }
            }
            pairs.push((Rc::clone(key), Rc::clone(value)));
        }
        for (key, value) in merged {
            if let NodeKind::Scalar { text, .. } = &key.kind
                && seen.insert(text.clone(), key.place.line).is_none()
            {
                pairs.push((key, value));
            }
        }
        pairs
    }

    fn merge(&mut self, value: &Rc<Node>, merged: &mut Vec<(Rc<Node>, Rc<Node>)>) {
        let wrong = |node: &Node| YamlError {
            place: node.place,
            message: "map merge requires map or sequence of maps as the value".to_owned(),
        };
        match &value.kind {
            NodeKind::Mapping(pairs) => merged.extend(pairs.iter().cloned()),
            NodeKind::Sequence(maps) => {
                for map in maps {
                    match &map.kind {
                        NodeKind::Mapping(pairs) => merged.extend(pairs.iter().cloned()),
                        _ => self.problems.push(wrong(map)),
                    }
                }
            }
            _ => self.problems.push(wrong(value)),
        }
    }
}

/// Returns the place of the `|` or `>` in front of a block scalar whose text begins at a byte
/// and line: that is where Prometheus says the scalar stands.
fn block_header(source: &str, begins: usize, line_of_text: usize) -> Option<Place> {
    let before = source.get(..begins)?;
    let above = before[..before.rfind('\n')?].trim_end();
    let n_lines_between = before[above.len()..].matches('\n').count();
    let line = &above[above.rfind('\n').map_or(0, |at| at + 1)..];
    let is_header = |at: usize| {
        let rest =
            line[at + 1..].trim_start_matches(|c: char| c.is_ascii_digit() || "+-".contains(c));
        line[..at]
            .chars()
            .next_back()
            .is_none_or(char::is_whitespace)
            && (rest.is_empty()
                || rest.starts_with([' ', '\t']) && rest.trim_start().starts_with('#'))
    };
    let mut candidates = line.match_indices(['|', '>']).map(|(at, _)| at);
    let at = candidates.find(|at| is_header(*at))?;
    Some(Place {
        line: line_of_text.saturating_sub(n_lines_between),
        column: line[..at].chars().count() + 1,
    })
}

fn leaf(kind: NodeKind, place: Place) -> Node {
    Node {
        kind,
        place,
        n_nodes: 1,
    }
}

fn is_null(text: &str) -> bool {
    matches!(text, "" | "~" | "null" | "Null" | "NULL")
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
                    out += &format!("; {}: {}", problem.place.line, problem.message);
                }
                out + if document.more { "; more" } else { "" }
            }
            Err(e) => format!("{}:{}: {}", e.place.line, e.place.column, e.message),
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
    fn bounds_hold() {
        let deep = "[".repeat(100) + &"]".repeat(100);
        let error = first_document(&deep).expect_err("too deep");
        assert!(error.message.contains("nested deeper"), "{error:?}");
        let mut bomb = "- &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for level in 1..9 {
            let below = format!("*a{}", level - 1);
            bomb += &format!("- &a{level} [{}]\n", vec![below; 10].join(", "));
        }
        let error = first_document(&bomb).expect_err("too many");
        assert!(error.message.contains("excessive aliasing"), "{error:?}");
    }
}
