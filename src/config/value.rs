//! What a node of the file is read as: a text, a list, a mapping, one of several words.

use std::rc::Rc;

use crate::config::ConfigError;
use crate::yaml::{Node, NodeKind, Place, YamlError, YamlErrorKind, first_document};

/// A key of a mapping and where it stands.
#[derive(Clone, Copy, Debug)]
pub struct Key<'a> {
    /// Where it begins.
    pub place: Place,
    /// Its text.
    pub text: &'a str,
}

/// Parses the first document of `text`; an empty text is a null node.
pub fn parse(text: &str) -> Result<Rc<Node>, ConfigError> {
    let document = first_document(text)?;
    // Prometheus' decoder of this file, unlike that of rule files, takes several merge keys.
    let is_merge = |kind: &YamlErrorKind| matches!(kind, YamlErrorKind::RepeatedKey { key, .. } if key == "<<");
    let problems = document.problems.into_iter();
    let first = problems
        .filter(|problem| !is_merge(&problem.kind))
        .min_by_key(|problem| problem.place);
    match first {
        Some(problem) => Err(problem.into()),
        None => Ok(document.root),
    }
}

impl From<YamlError> for ConfigError {
    fn from(error: YamlError) -> Self {
        let at = |message: &str| ConfigError::at(error.place, message);
        match &error.kind {
            YamlErrorKind::Syntax(_) => at(&error.to_string()),
            YamlErrorKind::TooDeep => at("nested too deeply"),
            YamlErrorKind::TooLarge => at("the document is too large"),
            YamlErrorKind::AliasWithinAnchor(_) => {
                at("this alias names an anchor that is not complete")
            }
            YamlErrorKind::UnknownAnchor(name) => {
                at(&format!("no anchor &{name} stands before this alias"))
            }
            YamlErrorKind::WrongTag { tag, .. } => at(&format!("this is no {tag}")),
            YamlErrorKind::WrongBinary => at("this is no base64"),
            YamlErrorKind::CollectionAsKey(_) => at("a key must be text"),
            YamlErrorKind::RepeatedKey { key, .. } => {
                at(&format!("key {key:?} stands here twice")).remedy("remove one of the two")
            }
            YamlErrorKind::MergeOfNoMapping => at("what is merged must be a mapping"),
        }
    }
}

fn described(node: &Node) -> &'static str {
    match node.kind {
        NodeKind::Null => "nothing",
        NodeKind::Scalar { .. } => "a single value",
        NodeKind::Sequence(_) => "a list",
        NodeKind::Mapping(_) => "a mapping",
    }
}

fn is_not(node: &Node, what: &str, expected: &str) -> ConfigError {
    let message = format!("{what} must be {expected}, not {}", described(node));
    ConfigError::at(node.place, message)
}

/// Returns the text of a scalar; nothing is the empty text.
pub fn text<'a>(node: &'a Node, what: &str) -> Result<&'a str, ConfigError> {
    match &node.kind {
        NodeKind::Scalar { text, .. } => Ok(text),
        NodeKind::Null => Ok(""),
        _ => Err(is_not(node, what, "a text")),
    }
}

/// Returns the elements of a list; nothing is the empty list.
pub fn list<'a>(node: &'a Node, what: &str) -> Result<&'a [Rc<Node>], ConfigError> {
    match &node.kind {
        NodeKind::Sequence(nodes) => Ok(nodes),
        NodeKind::Null => Ok(&[]),
        _ => Err(is_not(node, what, "a list").remedy("begin each element with \"- \"")),
    }
}

/// Returns the entries of a mapping, in the order of the document and behind them what is
/// merged; nothing is the empty mapping.
pub fn entries<'a>(node: &'a Node, what: &str) -> Result<Vec<(Key<'a>, &'a Node)>, ConfigError> {
    let pairs = match &node.kind {
        NodeKind::Mapping(pairs) => pairs.as_slice(),
        NodeKind::Null => &[],
        _ => return Err(is_not(node, what, "a mapping")),
    };
    let entry = |(key, node): &'a (Rc<Node>, Rc<Node>)| {
        let text = text(key, "a key")?;
        let place = key.place;
        Ok((Key { place, text }, &**node))
    };
    pairs.iter().map(entry).collect()
}

/// Reads one of several words from a node.
pub fn word<T: Copy>(node: &Node, what: &str, words: &[(&str, T)]) -> Result<T, ConfigError> {
    let text = text(node, what)?;
    if let Some((_, value)) = words.iter().find(|(word, _)| *word == text) {
        return Ok(*value);
    }
    let known: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
    let message = format!("{what}: {text:?} is not known");
    Err(ConfigError::at(node.place, message).remedy(format!("write one of {}", known.join(", "))))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn print(node: &Node) -> String {
        match &node.kind {
            NodeKind::Null => "~".to_owned(),
            NodeKind::Scalar { text, .. } => text.clone(),
            NodeKind::Sequence(nodes) => {
                let items: Vec<String> = nodes.iter().map(|node| print(node)).collect();
                format!("[{}]", items.join(" "))
            }
            NodeKind::Mapping(_) => {
                let items: Vec<String> = entries(node, "")
                    .expect("keys are texts")
                    .iter()
                    .map(|(key, node)| format!("{}={}", key.text, print(node)))
                    .collect();
                format!("{{{}}}", items.join(" "))
            }
        }
    }

    #[test]
    fn documents_become_trees() {
        let check = |text: &str, expected: &str| {
            assert_eq!(print(&parse(text).expect(text)), expected, "{text}");
        };
        check("", "~");
        check("# only a comment\n", "~");
        check("a: 0123\nb: [x, 'null', null]\n", "{a=0123 b=[x null ~]}");
        check(
            "a: &x {k: 1, l: 2}\nb:\n  <<: *x\n  l: 3\n",
            "{a={k=1 l=2} b={l=3 k=1}}",
        );
        check(
            "a: [&x {k: 1}, &y {k: 2, l: 2}]\nb: {<<: *x, <<: *y}\n",
            "{a=[{k=1} {k=2 l=2}] b={k=1 l=2}}",
        );
        check("a: 1\n---\nb: 2\n", "{a=1}");
    }

    #[test]
    fn errors_name_line_and_column() {
        let check = |text: &str, line: usize, column: usize, part: &str| {
            let root = parse(text);
            let error = root
                .and_then(|root| entries(&root, "the file").map(drop))
                .expect_err(text);
            assert_eq!(
                (error.line, error.column),
                (line, column),
                "{text}: {error}"
            );
            assert!(error.message.contains(part), "{error}");
        };
        check("a: 1\nb: 2\na: 3\n", 3, 1, "stands here twice");
        check("a: [1\n", 1, 4, "yaml: ");
        check("? [a]\n: 1\n", 1, 3, "a key must be a text");
        check("&a [*a]", 1, 5, "an anchor that is not complete");
        check("<<: 5", 1, 5, "what is merged must be a mapping");
    }
}
