//! The tree of a template. Nodes know where they stand, and print themselves as Go's do, for
//! the errors of an expansion quote them.

use std::fmt;

use crate::model::labels::quote;

/// Nodes one after another.
#[derive(Clone, Debug, Default)]
pub struct List {
    /// In order.
    pub nodes: Vec<Node>,
}

/// Text or an action.
#[derive(Clone, Debug)]
pub enum Node {
    /// Text outside of actions.
    Text(String),
    /// `{{pipeline}}`
    Action(Action),
    /// `{{if}}`
    If(Branch),
    /// `{{range}}`
    Range(Branch),
    /// `{{with}}`
    With(Branch),
    /// `{{template "name" pipeline}}`
    Template(TemplateCall),
    /// `{{break}}`
    Break,
    /// `{{continue}}`
    Continue,
}

/// `{{pipeline}}`
#[derive(Clone, Debug)]
pub struct Action {
    /// Byte position in the text.
    pub at: usize,
    /// What it evaluates.
    pub pipe: Pipe,
}

/// What `if`, `range` and `with` have in common.
#[derive(Clone, Debug)]
pub struct Branch {
    /// What decides.
    pub pipe: Pipe,
    /// Where the pipeline is not empty.
    pub list: List,
    /// Where it is.
    pub else_list: Option<List>,
}

/// `{{template "name" pipeline}}`
#[derive(Clone, Debug)]
pub struct TemplateCall {
    /// Byte position in the text.
    pub at: usize,
    /// The called template's name.
    pub name: String,
    /// What becomes its dot.
    pub pipe: Option<Pipe>,
}

/// Commands, each getting the one before as its last argument.
#[derive(Clone, Debug)]
pub struct Pipe {
    /// Byte position in the text.
    pub at: usize,
    /// `true` for `$x = …`, `false` for `$x := …`.
    pub is_assignment: bool,
    /// The variables that get the value, `$` included.
    pub variables: Vec<String>,
    /// The commands in order, at least one.
    pub commands: Vec<Command>,
}

/// A function, method or value with its arguments.
#[derive(Clone, Debug)]
pub struct Command {
    /// Byte position in the text.
    pub at: usize,
    /// The words, at least one.
    pub words: Vec<Word>,
}

/// One word of a command and where it stands.
#[derive(Clone, Debug)]
pub struct Word {
    /// Byte position in the text.
    pub at: usize,
    /// What it is.
    pub kind: WordKind,
}

/// What a word of a command is.
#[derive(Clone, Debug)]
pub enum WordKind {
    /// `true`, `false`
    Bool(bool),
    /// `.`
    Dot,
    /// `nil`
    Nil,
    /// A number.
    Number(Number),
    /// A text, and how it was written.
    String {
        /// With quotes.
        quoted: String,
        /// Without.
        text: String,
    },
    /// `.a.b`: the names without dots.
    Field(Vec<String>),
    /// `$x.a`: the variable with `$`, then names without dots.
    Variable(Vec<String>),
    /// A function's name.
    Identifier(String),
    /// `(pipeline).a.b`
    Chain(Box<Word>, Vec<String>),
    /// `(pipeline)`
    Pipe(Pipe),
}

/// A number as written and as what it can be taken.
#[derive(Clone, Debug)]
pub struct Number {
    /// As written.
    pub text: String,
    /// As an integer, where it is one that fits.
    pub int: Option<i64>,
    /// As a float.
    pub float: Option<f64>,
}

/// A node that an error can quote.
pub trait Located: fmt::Display {
    /// Returns its byte position in the text.
    fn at(&self) -> usize;
}

macro_rules! located {
    ($($node:ty),*) => {
        $(impl Located for $node {
            fn at(&self) -> usize {
                self.at
            }
        })*
    };
}
located!(Action, TemplateCall, Pipe, Command, Word);

impl List {
    /// Tells whether there is nothing but space.
    pub fn is_blank(&self) -> bool {
        let blank = |node: &Node| matches!(node, Node::Text(text) if text.trim().is_empty());
        self.nodes.iter().all(blank)
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{{{{{}}}}}", self.pipe)
    }
}

impl fmt::Display for TemplateCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{{{{template {}", quote(&self.name))?;
        if let Some(pipe) = &self.pipe {
            write!(f, " {pipe}")?;
        }
        f.write_str("}}")
    }
}

impl fmt::Display for Pipe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.variables.is_empty() {
            f.write_str(&self.variables.join(", "))?;
            f.write_str(if self.is_assignment { " = " } else { " := " })?;
        }
        for (idx, command) in self.commands.iter().enumerate() {
            if idx > 0 {
                f.write_str(" | ")?;
            }
            fmt::Display::fmt(command, f)?;
        }
        Ok(())
    }
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (idx, word) in self.words.iter().enumerate() {
            if idx > 0 {
                f.write_str(" ")?;
            }
            match &word.kind {
                WordKind::Pipe(pipe) => write!(f, "({pipe})")?,
                _ => fmt::Display::fmt(word, f)?,
            }
        }
        Ok(())
    }
}

impl fmt::Display for Word {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            WordKind::Bool(value) => write!(f, "{value}"),
            WordKind::Dot => f.write_str("."),
            WordKind::Nil => f.write_str("nil"),
            WordKind::Number(number) => f.write_str(&number.text),
            WordKind::String { quoted, .. } => f.write_str(quoted),
            WordKind::Field(names) => names.iter().try_for_each(|name| write!(f, ".{name}")),
            WordKind::Variable(names) => f.write_str(&names.join(".")),
            WordKind::Identifier(name) => f.write_str(name),
            WordKind::Chain(word, names) => {
                match &word.kind {
                    WordKind::Pipe(pipe) => write!(f, "({pipe})")?,
                    _ => fmt::Display::fmt(word, f)?,
                }
                names.iter().try_for_each(|name| write!(f, ".{name}"))
            }
            WordKind::Pipe(pipe) => fmt::Display::fmt(pipe, f),
        }
    }
}
