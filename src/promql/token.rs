//! Tokens, and the words Prometheus' errors use for them.

use crate::model::labels::quote;
use crate::promql::ast::{AggregateOp, BinaryOp, Span};

/// What a token is; its text is the query's text at its span.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenKind {
    /// The end of the text.
    Eof,
    /// `,`
    Comma,
    /// `:` between range and step.
    Colon,
    /// `(`
    LeftParen,
    /// `)`
    RightParen,
    /// `{`
    LeftBrace,
    /// `}`
    RightBrace,
    /// `[`
    LeftBracket,
    /// `]`
    RightBracket,
    /// `=`
    Equal,
    /// `=~`
    Matches,
    /// `!~`
    NotMatches,
    /// `@`
    At,
    /// An infix operator; `!=` is also a label matching operator.
    Operator(BinaryOp),
    /// A name without a colon that is no keyword.
    Identifier,
    /// A name with a colon.
    MetricIdentifier,
    /// A number, `Inf`, `NaN`.
    Number,
    /// `1h30m`
    Duration,
    /// A text with its quotes.
    String,
    /// `sum`, `topk`, ...
    Aggregate(AggregateOp),
    /// `by`, `offset`, ...
    Keyword(Keyword),
    /// `start`, `end`, `step`, `range`: words that name a function or a place on the time axis.
    Preprocessor(Preprocessor),
}

/// Words with a meaning of their own; most may also name a metric or a label.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "each is its own name")]
pub enum Keyword {
    Offset,
    Smoothed,
    Anchored,
    By,
    Without,
    On,
    Ignoring,
    GroupLeft,
    GroupRight,
    Fill,
    FillLeft,
    FillRight,
    Bool,
}

/// Words that stand for a property of the query.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "each is its own name")]
pub enum Preprocessor {
    Start,
    End,
    Step,
    Range,
}

/// A token and its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Token {
    /// What it is.
    pub kind: TokenKind,
    /// Where it stands.
    pub span: Span,
}

/// Returns what a word means outside of braces; case does not matter.
pub fn keyword(word: &str) -> Option<TokenKind> {
    // The longest keyword is `count_values`.
    const LEN_MAX: usize = 12;
    if word.len() > LEN_MAX {
        return None;
    }
    let word = word.to_ascii_lowercase();
    if let Some((_, op)) = AggregateOp::ALL.iter().find(|(name, _)| *name == word) {
        return Some(TokenKind::Aggregate(*op));
    }
    Some(match word.as_str() {
        "and" => TokenKind::Operator(BinaryOp::And),
        "or" => TokenKind::Operator(BinaryOp::Or),
        "unless" => TokenKind::Operator(BinaryOp::Unless),
        "atan2" => TokenKind::Operator(BinaryOp::Atan2),
        "offset" => TokenKind::Keyword(Keyword::Offset),
        "smoothed" => TokenKind::Keyword(Keyword::Smoothed),
        "anchored" => TokenKind::Keyword(Keyword::Anchored),
        "by" => TokenKind::Keyword(Keyword::By),
        "without" => TokenKind::Keyword(Keyword::Without),
        "on" => TokenKind::Keyword(Keyword::On),
        "ignoring" => TokenKind::Keyword(Keyword::Ignoring),
        "group_left" => TokenKind::Keyword(Keyword::GroupLeft),
        "group_right" => TokenKind::Keyword(Keyword::GroupRight),
        "fill" => TokenKind::Keyword(Keyword::Fill),
        "fill_left" => TokenKind::Keyword(Keyword::FillLeft),
        "fill_right" => TokenKind::Keyword(Keyword::FillRight),
        "bool" => TokenKind::Keyword(Keyword::Bool),
        "start" => TokenKind::Preprocessor(Preprocessor::Start),
        "end" => TokenKind::Preprocessor(Preprocessor::End),
        "step" => TokenKind::Preprocessor(Preprocessor::Step),
        "range" => TokenKind::Preprocessor(Preprocessor::Range),
        "inf" | "nan" => TokenKind::Number,
        _ => return None,
    })
}

impl Token {
    /// Describes the token as Prometheus' "unexpected ..." errors do.
    pub fn describe(&self, query: &str) -> String {
        let text = &query[self.span.start..self.span.end];
        match self.kind {
            TokenKind::Eof => "end of input".to_owned(),
            TokenKind::Identifier => format!("identifier {}", quote(text)),
            TokenKind::MetricIdentifier => format!("metric identifier {}", quote(text)),
            TokenKind::String => format!("string {}", shortened(text)),
            TokenKind::Number => format!("number {}", shortened(text)),
            TokenKind::Duration => format!("duration {}", shortened(text)),
            TokenKind::Keyword(_) => format!("<{text}>"),
            TokenKind::Aggregate(_) => format!("<aggr:{text}>"),
            TokenKind::Operator(_) | TokenKind::At | TokenKind::Matches | TokenKind::NotMatches => {
                format!("<op:{text}>")
            }
            _ => shortened(text),
        }
    }
}

/// Quotes a text; of one longer than ten bytes only the first ten characters.
fn shortened(text: &str) -> String {
    const SHOWN_CHARS_MAX: usize = 10;
    if text.len() <= SHOWN_CHARS_MAX {
        return quote(text);
    }
    let head: String = text.chars().take(SHOWN_CHARS_MAX).collect();
    format!("{}...", quote(&head))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_keywords_in_any_case() {
        let check = |word: &str, expected: Option<TokenKind>| assert_eq!(keyword(word), expected);
        check("SUM", Some(TokenKind::Aggregate(AggregateOp::Sum)));
        check("Inf", Some(TokenKind::Number));
        check("Atan2", Some(TokenKind::Operator(BinaryOp::Atan2)));
        check("rate", None);
        check("count_values_", None);
    }

    #[test]
    fn long_tokens_are_shortened() {
        assert_eq!(shortened("\"short\""), r#""\"short\"""#);
        assert_eq!(shortened("12345678901"), r#""1234567890"..."#);
    }
}
