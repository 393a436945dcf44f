//! Walks a template's tree and writes its text, as Go's `text/template` does.
//!
//! An error says where and in which words of the template it happened. "Where" is the node that
//! was looked at last, which Go keeps as it goes, and so do we, for the texts are compared.
//!
//! Bounds: the text's length, the depth of nesting, the number of steps and of queries.

mod evaluate;

use std::rc::Rc;

use crate::model::labels::quote;
use crate::template::ast::{Branch, List, Located, Node, TemplateCall};
use crate::template::functions::Context;
use crate::template::parse::Trees;
use crate::template::print::action_text;
use crate::template::value::{Data, GoValue};
use crate::template::{TEXT_BYTES_MAX, TemplateError};

/// How deep blocks, parentheses and templates may lie in each other while expanding; beyond it
/// the expansion fails. A template that calls itself ends here.
pub const DEPTH_MAX: usize = 250;

/// How many nodes one expansion may walk; beyond it the expansion fails.
pub const STEPS_MAX: usize = 1_000_000;

type Expanded<T> = Result<T, TemplateError>;

/// What happens after a node.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Flow {
    Next,
    Break,
    Continue,
}

/// Expands the template `name` of `trees`, which were parsed from `text`.
pub fn expand(
    name: &str,
    text: &str,
    trees: &Trees,
    data: Rc<Data>,
    context: Context<'_, '_>,
) -> Expanded<String> {
    let dot = GoValue::Data(data);
    let mut state = State {
        parse_name: name,
        text,
        trees,
        name,
        at: None,
        variables: vec![("$", dot.clone())],
        depth: 0,
        n_steps: 0,
        out: String::new(),
        context,
    };
    if let Some(list) = trees.get(name) {
        state.list(&dot, list)?;
    }
    Ok(state.out)
}

struct State<'t, 'c, 'q> {
    /// The name under which the text was parsed.
    parse_name: &'t str,
    text: &'t str,
    trees: &'t Trees,
    /// The template being expanded.
    name: &'t str,
    /// The node looked at last.
    at: Option<&'t dyn Located>,
    variables: Vec<(&'t str, GoValue)>,
    depth: usize,
    n_steps: usize,
    out: String,
    context: Context<'c, 'q>,
}

impl<'t> State<'t, '_, '_> {
    fn fail<T>(&self, message: impl std::fmt::Display) -> Expanded<T> {
        let name = self.name;
        let Some(node) = self.at else {
            return Err(TemplateError(format!("template: {name}: {message}")));
        };
        let before = &self.text[..node.at().min(self.text.len())];
        let line = 1 + before.matches('\n').count();
        let column = before.len() - before.rfind('\n').map_or(0, |newline| newline + 1);
        let parse_name = self.parse_name;
        let name = quote(name);
        Err(TemplateError(format!(
            "template: {parse_name}:{line}:{column}: executing {name} at <{node}>: {message}"
        )))
    }

    fn step(&mut self) -> Expanded<()> {
        self.n_steps += 1;
        if self.n_steps > STEPS_MAX {
            return self.fail(format!("exceeded maximum number of steps ({STEPS_MAX})"));
        }
        Ok(())
    }

    fn deeper(&mut self) -> Expanded<()> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return self.fail(format!("exceeded maximum template depth ({DEPTH_MAX})"));
        }
        Ok(())
    }

    fn write(&mut self, text: &str) -> Expanded<()> {
        if self.out.len() + text.len() > TEXT_BYTES_MAX {
            return self.fail(format!("the text is longer than {TEXT_BYTES_MAX} bytes"));
        }
        self.out.push_str(text);
        Ok(())
    }

    fn list(&mut self, dot: &GoValue, list: &'t List) -> Expanded<Flow> {
        self.deeper()?;
        for node in &list.nodes {
            self.step()?;
            let flow = self.node(dot, node)?;
            if flow != Flow::Next {
                self.depth -= 1;
                return Ok(flow);
            }
        }
        self.depth -= 1;
        Ok(Flow::Next)
    }

    fn node(&mut self, dot: &GoValue, node: &'t Node) -> Expanded<Flow> {
        match node {
            Node::Text(text) => self.write(text)?,
            Node::Action(action) => {
                self.at = Some(action);
                let value = self.pipe(dot, &action.pipe)?;
                if action.pipe.variables.is_empty() {
                    self.at = Some(action);
                    self.write(&action_text(&value))?;
                }
            }
            Node::If(branch) => return self.branch(dot, branch, false),
            Node::With(branch) => return self.branch(dot, branch, true),
            Node::Range(branch) => return self.range(dot, branch),
            Node::Template(call) => self.template(dot, call)?,
            Node::Break => return Ok(Flow::Break),
            Node::Continue => return Ok(Flow::Continue),
        }
        Ok(Flow::Next)
    }

    fn branch(&mut self, dot: &GoValue, branch: &'t Branch, sets_dot: bool) -> Expanded<Flow> {
        let n_variables = self.variables.len();
        let value = self.pipe(dot, &branch.pipe)?;
        let flow = match (value.is_true(), &branch.else_list) {
            (true, _) if sets_dot => self.list(&value, &branch.list)?,
            (true, _) => self.list(dot, &branch.list)?,
            (false, Some(list)) => self.list(dot, list)?,
            (false, None) => Flow::Next,
        };
        self.variables.truncate(n_variables);
        Ok(flow)
    }

    fn range(&mut self, dot: &GoValue, branch: &'t Branch) -> Expanded<Flow> {
        let n_variables = self.variables.len();
        let value = self.pipe(dot, &branch.pipe)?;
        let ran = match &value {
            GoValue::Int(number, int_type) => {
                if branch.pipe.variables.len() > 1 {
                    let message = "to iterate over more than one variable";
                    return self.fail(format!("can't use {number} {message}"));
                }
                let element = |at| (GoValue::Invalid, GoValue::Int(at, *int_type));
                self.iterate(branch, (0..*number).map(element))?
            }
            GoValue::QueryResult(elements) => {
                let element = |(idx, sample): (usize, &Rc<_>)| {
                    (GoValue::int(idx), GoValue::Sample(Rc::clone(sample)))
                };
                self.iterate(branch, elements.iter().enumerate().map(element))?
            }
            GoValue::Labels(labels) => {
                let element =
                    |(name, value): (&str, &str)| (GoValue::string(name), GoValue::string(value));
                self.iterate(branch, labels.iter().map(element))?
            }
            GoValue::Args(args) => {
                let element = |(name, value): (&String, &GoValue)| {
                    (GoValue::string(name.as_str()), value.clone())
                };
                self.iterate(branch, args.entries.iter().map(element))?
            }
            GoValue::Invalid | GoValue::Nil => false,
            value => {
                let text = action_text(value);
                return self.fail(format!("range can't iterate over {text}"));
            }
        };
        let mut flow = Flow::Next;
        if let (false, Some(list)) = (ran, &branch.else_list) {
            flow = self.list(dot, list)?;
        }
        self.variables.truncate(n_variables);
        Ok(flow)
    }

    /// Walks the body once for each element; tells whether there was any.
    fn iterate(
        &mut self,
        branch: &'t Branch,
        elements: impl Iterator<Item = (GoValue, GoValue)>,
    ) -> Expanded<bool> {
        let n_variables = self.variables.len();
        let names = &branch.pipe.variables;
        let mut ran = false;
        for (index, element) in elements {
            ran = true;
            self.step()?;
            // With two variables the index comes first; with one it is the element.
            let values = [&element, &index];
            for (back, (name, value)) in names.iter().rev().zip(values).enumerate() {
                if branch.pipe.is_assignment {
                    self.assign(name, value.clone())?;
                } else {
                    self.variables[n_variables - 1 - back].1 = value.clone();
                }
            }
            let flow = self.list(&element, &branch.list)?;
            self.variables.truncate(n_variables);
            if flow == Flow::Break {
                break;
            }
        }
        Ok(ran)
    }

    fn template(&mut self, dot: &GoValue, call: &'t TemplateCall) -> Expanded<()> {
        self.at = Some(call);
        let Some((name, list)) = self.trees.get_key_value(&call.name) else {
            return self.fail(format!("template {} not defined", quote(&call.name)));
        };
        self.deeper()?;
        let dot = match &call.pipe {
            Some(pipe) => self.pipe(dot, pipe)?,
            None => GoValue::Invalid,
        };
        // A called template sees no variables but `$`.
        let variables = std::mem::replace(&mut self.variables, vec![("$", dot.clone())]);
        let (caller, at) = (std::mem::replace(&mut self.name, name), self.at);
        self.list(&dot, list)?;
        (self.variables, self.name, self.at) = (variables, caller, at);
        self.depth -= 1;
        Ok(())
    }

    fn assign(&mut self, name: &str, value: GoValue) -> Expanded<()> {
        match self.variables.iter_mut().rev().find(|(n, _)| *n == name) {
            Some(variable) => variable.1 = value,
            None => return self.fail(format!("undefined variable: {name}")),
        }
        Ok(())
    }
}
