//! The language: text to tree, types, and back to canonical text. No evaluation.
//!
//! `parse(text, &dyn SignatureTable, Features) -> Result<Expr, ParseError>`; the functions are
//! given as a table of signatures, so that this module does not know them.

pub mod ast;
mod check;
#[cfg(test)]
mod generated;
mod lex;
pub mod metric;
mod parse;
mod pretty;
mod print;
mod selectors;
pub mod signature;
mod suggest;
#[cfg(test)]
mod test_functions;
#[cfg(test)]
mod tests;
mod token;

pub use ast::Expr;
pub use check::type_of;
pub use parse::{HEIGHT_MAX, NESTING_MAX};
pub use pretty::pretty;
pub use selectors::{LOOKBACK_DELTA, SelectorUse, selectors};
pub use signature::{Features, Signature, SignatureTable, ValueType};
pub use suggest::suggest;

use crate::model::Matcher;
use ast::Span;

/// Why a text is not an expression; the text of the error is Prometheus' where it has one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct ParseError {
    /// What is wrong, without position and without "parse error: ".
    pub message: String,
    /// Where.
    pub span: Span,
    /// 1-based line of `span.start`; 0 when the text is empty and there is no place in it.
    pub line: usize,
    /// 1-based column of `span.start`, in bytes as Prometheus counts it.
    pub column: usize,
}

impl std::fmt::Display for ParseError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.line {
            0 => write!(f, "unknown position: parse error: {}", self.message),
            line => write!(f, "{line}:{}: parse error: {}", self.column, self.message),
        }
    }
}

/// Parses and type-checks an expression.
pub fn parse(
    text: &str,
    functions: &dyn SignatureTable,
    features: Features,
) -> Result<Expr, ParseError> {
    let mut expr = parse::parse_syntax(text, functions, features)?;
    check::check_types(&mut expr, text, functions)?;
    Ok(expr)
}

/// Parses a series selector without modifiers, as `match[]` has it.
pub fn parse_selector(
    text: &str,
    functions: &dyn SignatureTable,
    features: Features,
) -> Result<Vec<Matcher>, ParseError> {
    parse::parse_selector(text, functions, features)
}

/// Returns the 1-based line and column of a byte of the text; zeros for an empty text.
fn line_and_column(text: &str, at: usize) -> (usize, usize) {
    if text.is_empty() {
        return (0, 0);
    }
    let before = &text.as_bytes()[..at.min(text.len())];
    let line = before.iter().filter(|b| **b == b'\n').count() + 1;
    let column = match before.iter().rposition(|b| *b == b'\n') {
        Some(line_break) => at - line_break,
        None => at + 1,
    };
    (line, column)
}
