//! What a template shows of its alert: labels by name, and the value.
//!
//! Only what is shown whatever happens counts: a label that an `if` or `with` asks for first is
//! known to be missing at times, and within `range` and `with` the dot is something else.

use std::collections::BTreeSet;

use crate::template::ast::{List, Node, Pipe, Word, WordKind};

/// What a text shows.
#[derive(Debug, Default)]
pub struct Uses {
    /// Labels of `$labels` and `.Labels`.
    pub labels: BTreeSet<String>,
    /// Whether `$value` or `.Value` is printed.
    pub value: bool,
}

/// Returns what a text shows.
pub fn uses(list: &List) -> Uses {
    let mut found = Uses::default();
    let mut asked = BTreeSet::new();
    of_list(list, true, &mut found, &mut asked);
    found.labels.retain(|label| !asked.contains(label));
    found
}

fn of_list(list: &List, is_top: bool, found: &mut Uses, asked: &mut BTreeSet<String>) {
    for node in &list.nodes {
        match node {
            Node::Text(_) | Node::Break | Node::Continue | Node::Template(_) => {}
            Node::Action(action) => of_pipe(&action.pipe, is_top, found),
            Node::If(branch) => {
                asked.extend(labels_of(&branch.pipe));
                of_list(&branch.list, is_top, found, asked);
                let others = branch.else_list.iter();
                others.for_each(|list| of_list(list, is_top, found, asked));
            }
            Node::Range(branch) | Node::With(branch) => {
                asked.extend(labels_of(&branch.pipe));
                of_list(&branch.list, false, found, asked);
                let others = branch.else_list.iter();
                others.for_each(|list| of_list(list, is_top, found, asked));
            }
        }
    }
}

fn labels_of(pipe: &Pipe) -> BTreeSet<String> {
    let mut found = Uses::default();
    of_pipe(pipe, true, &mut found);
    found.labels
}

fn of_pipe(pipe: &Pipe, is_top: bool, found: &mut Uses) {
    // What is assigned may be asked for later on.
    if !pipe.variables.is_empty() {
        return;
    }
    for command in &pipe.commands {
        if let [function, map, key] = command.words.as_slice()
            && matches!(&function.kind, WordKind::Identifier(name) if name == "index")
            && is_labels(map, is_top)
            && let WordKind::String { text, .. } = &key.kind
        {
            found.labels.insert(text.clone());
        }
        let words = command.words.iter();
        words.for_each(|word| of_word(word, is_top, found));
    }
}

fn is_labels(word: &Word, is_top: bool) -> bool {
    match &word.kind {
        WordKind::Variable(names) => names.len() == 1 && names[0] == "$labels",
        WordKind::Field(names) => is_top && names.len() == 1 && names[0] == "Labels",
        _ => false,
    }
}

fn of_word(word: &Word, is_top: bool, found: &mut Uses) {
    match &word.kind {
        WordKind::Variable(names) => match names.as_slice() {
            [map, label] if map == "$labels" => {
                found.labels.insert(label.clone());
            }
            [value] if value == "$value" => found.value = true,
            _ => {}
        },
        WordKind::Field(names) if is_top => match names.as_slice() {
            [map, label] if map == "Labels" => {
                found.labels.insert(label.clone());
            }
            [value] if value == "Value" => found.value = true,
            _ => {}
        },
        WordKind::Pipe(pipe) => of_pipe(pipe, is_top, found),
        WordKind::Chain(word, _) => of_word(word, is_top, found),
        _ => {}
    }
}
