//! Tokens to trees, with the errors of Go's parser word for word.

mod pipeline;

use std::collections::BTreeMap;

use crate::model::labels::quote;
use crate::template::TemplateError;
use crate::template::ast::{Action, Branch, List, Node, TemplateCall};
use crate::template::lex::Lexer;
use crate::template::literal::unquote;
use crate::template::token::{Keyword, Token, TokenKind};

/// How deep parentheses and blocks may be nested together; deeper, the text is refused, so that
/// neither parsing nor expanding overruns the stack.
pub const NESTING_MAX: usize = 100;

/// A text's templates by name: its own and those it defines.
pub type Trees = BTreeMap<String, List>;

/// Parses a text and the templates defined in it. `is_function` knows the functions.
pub fn parse(
    name: &str,
    text: &str,
    is_function: &dyn Fn(&str) -> bool,
) -> Result<Trees, TemplateError> {
    let mut parser = Parser {
        name,
        lexer: Lexer::new(text),
        tokens: Default::default(),
        n_pushed_back: 0,
        scope: Scope::default(),
        trees: Trees::new(),
        is_function,
        nesting: 0,
        action_line: 0,
    };
    let root = parser.root()?;
    parser.add(name.to_owned(), root)?;
    Ok(parser.trees)
}

/// What belongs to the template being parsed, not to the text.
struct Scope {
    variables: Vec<String>,
    range_depth: usize,
}

impl Default for Scope {
    fn default() -> Self {
        Scope {
            variables: vec!["$".to_owned()],
            range_depth: 0,
        }
    }
}

/// What ends a list.
enum ListEnd {
    End,
    Else,
}

impl ListEnd {
    fn text(&self) -> &'static str {
        match self {
            ListEnd::End => "{{end}}",
            ListEnd::Else => "{{else}}",
        }
    }
}

enum Item {
    Node(Node),
    End(ListEnd),
}

type Parsed<T> = Result<T, TemplateError>;

struct Parser<'a> {
    name: &'a str,
    lexer: Lexer<'a>,
    /// The newest token is at 0; tokens that were pushed back lie above it, as in Go, whose
    /// errors carry the line of token 0.
    tokens: [Option<Token>; 3],
    n_pushed_back: usize,
    scope: Scope,
    trees: Trees,
    is_function: &'a dyn Fn(&str) -> bool,
    nesting: usize,
    action_line: usize,
}

impl Parser<'_> {
    fn next(&mut self) -> Token {
        if self.n_pushed_back > 0 {
            self.n_pushed_back -= 1;
        } else {
            self.tokens[0] = Some(self.lexer.next_token());
        }
        self.tokens[self.n_pushed_back]
            .clone()
            .expect("what was pushed back is there")
    }

    fn push_back(&mut self) {
        self.n_pushed_back += 1;
    }

    fn peek(&mut self) -> Token {
        let token = self.next();
        self.push_back();
        token
    }

    fn next_non_space(&mut self) -> Token {
        loop {
            let token = self.next();
            if token.kind != TokenKind::Space {
                return token;
            }
        }
    }

    fn peek_non_space(&mut self) -> Token {
        let token = self.next_non_space();
        self.push_back();
        token
    }

    fn fail<T>(&self, message: impl std::fmt::Display) -> Parsed<T> {
        let line = self.tokens[0].as_ref().map_or(0, |token| token.line);
        Err(TemplateError(format!(
            "template: {}:{line}: {message}",
            self.name
        )))
    }

    fn unexpected<T>(&self, token: &Token, context: &str) -> Parsed<T> {
        if token.kind != TokenKind::Error {
            return self.fail(format!("unexpected {token} in {context}"));
        }
        let mut extra = String::new();
        if self.action_line != 0 && self.action_line != token.line {
            // Go avoids "action in action".
            let link = if token.text.ends_with(" action") {
                ""
            } else {
                " in action"
            };
            extra = format!("{link} started at {}:{}", self.name, self.action_line);
        }
        self.fail(format!("{token}{extra}"))
    }

    fn expect(&mut self, kind: TokenKind, context: &str) -> Parsed<()> {
        let token = self.next_non_space();
        if token.kind != kind {
            return self.unexpected(&token, context);
        }
        Ok(())
    }

    fn deeper(&mut self) -> Parsed<()> {
        self.nesting += 1;
        if self.nesting > NESTING_MAX {
            return self.fail("max expression depth exceeded");
        }
        Ok(())
    }

    /// Adds a finished template; a blank one does not replace another.
    fn add(&mut self, name: String, list: List) -> Parsed<()> {
        match self.trees.get(&name) {
            Some(known) if !known.is_blank() => {
                if !list.is_blank() {
                    let name = quote(&name);
                    return self.fail(format!("template: multiple definition of template {name}"));
                }
            }
            _ => drop(self.trees.insert(name, list)),
        }
        Ok(())
    }

    /// The whole text; only here may `define` stand.
    fn root(&mut self) -> Parsed<List> {
        let mut list = List::default();
        loop {
            let token = self.peek();
            if token.kind == TokenKind::End {
                return Ok(list);
            }
            if token.kind == TokenKind::LeftDelimiter {
                self.next();
                if self.next_non_space().kind == TokenKind::Keyword(Keyword::Define) {
                    self.definition()?;
                    continue;
                }
                self.tokens[1] = Some(token);
                self.n_pushed_back = 2;
            }
            match self.text_or_action()? {
                Item::Node(node) => list.nodes.push(node),
                Item::End(end) => return self.fail(format!("unexpected {}", end.text())),
            }
        }
    }

    fn definition(&mut self) -> Parsed<()> {
        const CONTEXT: &str = "define clause";
        let token = self.next_non_space();
        let name = self.template_name(&token, CONTEXT)?;
        self.expect(TokenKind::RightDelimiter, CONTEXT)?;
        let list = self.own_scope(CONTEXT)?;
        self.add(name, list)
    }

    /// The body of `define` or `block`: variables outside are not seen.
    fn own_scope(&mut self, context: &str) -> Parsed<List> {
        let outer = std::mem::take(&mut self.scope);
        let (list, end) = self.item_list()?;
        if let ListEnd::Else = end {
            return self.fail(format!("unexpected {} in {context}", end.text()));
        }
        self.scope = outer;
        Ok(list)
    }

    fn item_list(&mut self) -> Parsed<(List, ListEnd)> {
        let mut list = List::default();
        while self.peek_non_space().kind != TokenKind::End {
            match self.text_or_action()? {
                Item::Node(node) => list.nodes.push(node),
                Item::End(end) => return Ok((list, end)),
            }
        }
        self.fail("unexpected EOF")
    }

    fn text_or_action(&mut self) -> Parsed<Item> {
        let token = self.next_non_space();
        match token.kind {
            TokenKind::Text => Ok(Item::Node(Node::Text(token.text))),
            TokenKind::LeftDelimiter => {
                self.action_line = token.line;
                let item = self.action()?;
                self.action_line = 0;
                Ok(item)
            }
            _ => self.unexpected(&token, "input"),
        }
    }

    fn action(&mut self) -> Parsed<Item> {
        let token = self.next_non_space();
        let TokenKind::Keyword(keyword) = token.kind else {
            return self.plain_action();
        };
        let node = match keyword {
            Keyword::Block => self.block()?,
            Keyword::Break => self.loop_control("{{break}}", Node::Break)?,
            Keyword::Continue => self.loop_control("{{continue}}", Node::Continue)?,
            Keyword::Else => return self.else_clause().map(Item::End),
            Keyword::End => {
                self.expect(TokenKind::RightDelimiter, "end")?;
                return Ok(Item::End(ListEnd::End));
            }
            Keyword::If => Node::If(self.branch("if")?),
            Keyword::Range => Node::Range(self.branch("range")?),
            Keyword::With => Node::With(self.branch("with")?),
            Keyword::Template => self.template_call()?,
            Keyword::Dot | Keyword::Define | Keyword::Nil => return self.plain_action(),
        };
        Ok(Item::Node(node))
    }

    fn plain_action(&mut self) -> Parsed<Item> {
        self.push_back();
        let at = self.peek().at;
        let pipe = self.pipeline("command", TokenKind::RightDelimiter)?;
        Ok(Item::Node(Node::Action(Action { at, pipe })))
    }

    fn loop_control(&mut self, text: &str, node: Node) -> Parsed<Node> {
        let token = self.next_non_space();
        if token.kind != TokenKind::RightDelimiter {
            return self.unexpected(&token, text);
        }
        if self.scope.range_depth == 0 {
            return self.fail(format!("{text} outside {{{{range}}}}"));
        }
        Ok(node)
    }

    /// `else`, with `if` or `with` left for the branch that it belongs to.
    fn else_clause(&mut self) -> Parsed<ListEnd> {
        let next = self.peek_non_space().kind;
        let chained = [Keyword::If, Keyword::With].map(TokenKind::Keyword);
        if !chained.contains(&next) {
            self.expect(TokenKind::RightDelimiter, "else")?;
        }
        Ok(ListEnd::Else)
    }

    fn branch(&mut self, context: &'static str) -> Parsed<Branch> {
        self.deeper()?;
        let n_variables = self.scope.variables.len();
        let pipe = self.pipeline(context, TokenKind::RightDelimiter)?;
        let is_range = usize::from(context == "range");
        self.scope.range_depth += is_range;
        let (list, end) = self.item_list()?;
        self.scope.range_depth -= is_range;
        let else_list = match end {
            ListEnd::End => None,
            ListEnd::Else => Some(self.else_list(context)?),
        };
        self.scope.variables.truncate(n_variables);
        self.nesting -= 1;
        Ok(Branch {
            pipe,
            list,
            else_list,
        })
    }

    /// What follows `else`; `else if` is an `if` of its own that shares the `end`.
    fn else_list(&mut self, context: &'static str) -> Parsed<List> {
        let chained = match (context, self.peek().kind) {
            ("if", TokenKind::Keyword(Keyword::If)) => Some(Node::If as fn(Branch) -> Node),
            ("with", TokenKind::Keyword(Keyword::With)) => Some(Node::With as fn(Branch) -> Node),
            _ => None,
        };
        if let Some(node) = chained {
            self.next();
            let nodes = vec![node(self.branch(context)?)];
            return Ok(List { nodes });
        }
        let (list, end) = self.item_list()?;
        if let ListEnd::Else = end {
            return self.fail(format!("expected end; found {}", end.text()));
        }
        Ok(list)
    }

    /// `{{block "name" pipe}}…{{end}}` defines a template and calls it.
    fn block(&mut self) -> Parsed<Node> {
        const CONTEXT: &str = "block clause";
        self.deeper()?;
        let token = self.next_non_space();
        let name = self.template_name(&token, CONTEXT)?;
        let pipe = self.pipeline(CONTEXT, TokenKind::RightDelimiter)?;
        let list = self.own_scope(CONTEXT)?;
        self.add(name.clone(), list)?;
        self.nesting -= 1;
        Ok(Node::Template(TemplateCall {
            at: token.at,
            name,
            pipe: Some(pipe),
        }))
    }

    fn template_call(&mut self) -> Parsed<Node> {
        const CONTEXT: &str = "template clause";
        let token = self.next_non_space();
        let name = self.template_name(&token, CONTEXT)?;
        let mut pipe = None;
        if self.next_non_space().kind != TokenKind::RightDelimiter {
            self.push_back();
            pipe = Some(self.pipeline(CONTEXT, TokenKind::RightDelimiter)?);
        }
        Ok(Node::Template(TemplateCall {
            at: token.at,
            name,
            pipe,
        }))
    }

    fn template_name(&mut self, token: &Token, context: &str) -> Parsed<String> {
        match token.kind {
            TokenKind::String | TokenKind::RawString => match unquote(&token.text) {
                Some(name) => Ok(name),
                None => self.fail("invalid syntax"),
            },
            _ => self.unexpected(token, context),
        }
    }
}
