//! The queries that a template is known to make: whoever routes series must know them.

use std::collections::BTreeSet;

use crate::template::ast::{List, Node, Pipe, Word, WordKind};
use crate::template::parse::Trees;

/// Returns the texts of the `query` calls whose argument is written out.
pub fn constant_queries(trees: &Trees) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    trees
        .values()
        .for_each(|list| queries_of_list(list, &mut found));
    found
}

fn queries_of_list(list: &List, found: &mut BTreeSet<String>) {
    for node in &list.nodes {
        match node {
            Node::Text(_) | Node::Break | Node::Continue => {}
            Node::Action(action) => queries_of_pipe(&action.pipe, found),
            Node::Template(call) => call.pipe.iter().for_each(|p| queries_of_pipe(p, found)),
            Node::If(branch) | Node::Range(branch) | Node::With(branch) => {
                queries_of_pipe(&branch.pipe, found);
                queries_of_list(&branch.list, found);
                branch
                    .else_list
                    .iter()
                    .for_each(|l| queries_of_list(l, found));
            }
        }
    }
}

fn queries_of_pipe(pipe: &Pipe, found: &mut BTreeSet<String>) {
    let mut before: Option<&Word> = None;
    for command in &pipe.commands {
        let is_query = matches!(&command.words[0].kind,
            WordKind::Identifier(name) if name == "query");
        let argument = command.words.get(1).or(before);
        if let (true, Some(WordKind::String { text, .. })) = (is_query, argument.map(|w| &w.kind)) {
            found.insert(text.clone());
        }
        command
            .words
            .iter()
            .for_each(|word| queries_of_word(word, found));
        before = (command.words.len() == 1).then(|| &command.words[0]);
    }
}

fn queries_of_word(word: &Word, found: &mut BTreeSet<String>) {
    match &word.kind {
        WordKind::Pipe(pipe) => queries_of_pipe(pipe, found),
        WordKind::Chain(word, _) => queries_of_word(word, found),
        _ => {}
    }
}
