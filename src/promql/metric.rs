//! A metric with its labels: `up{job="a"}`, `{"a metric", x="y"}`; no expression, for every
//! label has one value.

use crate::model::METRIC_NAME;
use crate::promql::ast::Span;
use crate::promql::lex::{LexError, Lexer};
use crate::promql::parse::{literal, may_name_metric};
use crate::promql::token::{Token, TokenKind};
use crate::promql::{ParseError, line_and_column};

/// Names and values in the order of the text; a name may stand twice.
pub type Pairs = Vec<(String, String)>;

/// Parses a metric that is the whole of `text`.
pub fn parse_metric(text: &str) -> Result<Pairs, ParseError> {
    let mut reader = Reader::new(text)?;
    let pairs = reader.metric()?;
    match reader.next.kind {
        TokenKind::Eof => Ok(pairs),
        _ => Err(reader.unexpected("", "")),
    }
}

/// Parses the metric at the beginning of a line of values; returns where it ends.
pub fn parse_metric_of_series(text: &str) -> Result<(Pairs, usize), ParseError> {
    let begins = |c: char| c.is_ascii_alphabetic() || matches!(c, '_' | ':' | '{');
    if !text.starts_with(begins) {
        return Ok((Pairs::new(), 0));
    }
    let mut reader = Reader::new(text)?;
    let next = reader.next;
    // Braces belong to a name only if they stand close to it.
    if may_name_metric(next.kind) && !text[next.span.end..].starts_with('{') {
        let name = text[next.span.start..next.span.end].to_owned();
        return Ok((vec![(METRIC_NAME.to_owned(), name)], next.span.end));
    }
    if !may_name_metric(next.kind) && next.kind != TokenKind::LeftBrace {
        return Err(reader.unexpected("", ""));
    }
    let pairs = reader.metric_until_brace()?;
    Ok((pairs, reader.last_end))
}

struct Reader<'a> {
    text: &'a str,
    lexer: Lexer<'a>,
    next: Token,
    last_end: usize,
}

impl<'a> Reader<'a> {
    fn new(text: &'a str) -> Result<Self, ParseError> {
        let mut lexer = Lexer::new(text);
        let next = lexer.next_token().map_err(|e| lex_error(text, &e))?;
        Ok(Reader {
            text,
            lexer,
            next,
            last_end: 0,
        })
    }

    fn take(&mut self) -> Result<Token, ParseError> {
        let text = self.text;
        let next = self.lexer.next_token().map_err(|e| lex_error(text, &e))?;
        let taken = std::mem::replace(&mut self.next, next);
        self.last_end = taken.span.end;
        Ok(taken)
    }

    fn text_of(&self, token: Token) -> &'a str {
        &self.text[token.span.start..token.span.end]
    }

    fn unexpected(&self, context: &str, expected: &str) -> ParseError {
        let mut message = format!("unexpected {}", self.next.describe(self.text));
        if !context.is_empty() {
            message.push_str(&format!(" in {context}"));
        }
        if !expected.is_empty() {
            message.push_str(&format!(", expected {expected}"));
        }
        error(self.text, message, self.next.span)
    }

    fn metric(&mut self) -> Result<Pairs, ParseError> {
        let pairs = self.metric_until_brace()?;
        if self.next.kind == TokenKind::RightBrace {
            self.take()?;
        }
        Ok(pairs)
    }

    /// Stops before the closing brace, so that nothing behind it is read as an expression;
    /// `last_end` is then behind it.
    fn metric_until_brace(&mut self) -> Result<Pairs, ParseError> {
        let mut pairs = Pairs::new();
        if may_name_metric(self.next.kind) {
            let name = self.take()?;
            pairs.push((METRIC_NAME.to_owned(), self.text_of(name).to_owned()));
        }
        if self.next.kind != TokenKind::LeftBrace {
            return Ok(pairs);
        }
        self.take()?;
        while self.next.kind != TokenKind::RightBrace {
            pairs.push(self.label()?);
            match self.next.kind {
                TokenKind::Comma => drop(self.take()?),
                TokenKind::RightBrace => {}
                _ => return Err(self.unexpected("label set", "\",\" or \"}\"")),
            }
        }
        self.last_end = self.next.span.end;
        Ok(pairs)
    }

    fn label(&mut self) -> Result<(String, String), ParseError> {
        const CONTEXT: &str = "label set";
        let label = self.next;
        let name = match label.kind {
            TokenKind::Identifier => self.text_of(label).to_owned(),
            TokenKind::String => literal::unquote(self.text_of(label)),
            _ => return Err(self.unexpected(CONTEXT, "identifier or \"}\"")),
        };
        self.take()?;
        match self.next.kind {
            TokenKind::Equal => self.take()?,
            // A lone quoted text is the metric's name.
            _ if label.kind == TokenKind::String => return Ok((METRIC_NAME.to_owned(), name)),
            _ => return Err(self.unexpected(CONTEXT, "\"=\"")),
        };
        if self.next.kind != TokenKind::String {
            return Err(self.unexpected(CONTEXT, "string"));
        }
        let value = self.take()?;
        Ok((name, literal::unquote(self.text_of(value))))
    }
}

fn lex_error(text: &str, e: &LexError) -> ParseError {
    let span = Span {
        start: e.start,
        end: e.start,
    };
    error(text, e.message.clone(), span)
}

fn error(text: &str, message: String, span: Span) -> ParseError {
    let (line, column) = line_and_column(text, span.start);
    ParseError {
        message,
        span,
        line,
        column,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_metric_is_labels() {
        let check = |text: &str, expected: &str| {
            let pairs = parse_metric(text).expect(text);
            let texts: Vec<String> = pairs.iter().map(|(n, v)| format!("{n}={v}")).collect();
            assert_eq!(texts.join(" "), expected, "{text}");
        };
        check("up", "__name__=up");
        check(" sum { a = 'b' , } ", "__name__=sum a=b");
        check("{\"a b\", \"c d\"=`e`}", "__name__=a b c d=e");
        check("{}", "");
        check("", "");
    }

    #[test]
    fn what_is_no_metric_is_refused_in_the_words_of_prometheus() {
        let check = |text: &str, expected: &str| {
            assert_eq!(parse_metric(text).expect_err(text).to_string(), expected);
        };
        check(
            "x{a=~\"b\"}",
            "1:4: parse error: unexpected <op:=~> in label set, expected \"=\"",
        );
        check(
            "x{a=b}",
            "1:5: parse error: unexpected identifier \"b\" in label set, expected string",
        );
        check(
            "x{\"a\"=5",
            "1:7: parse error: unexpected character inside braces: '5'",
        );
        check("x{} 5", "1:5: parse error: unexpected number \"5\"");
        check(
            "x{",
            "1:3: parse error: unexpected end of input inside braces",
        );
    }

    #[test]
    fn in_a_line_of_values_a_metric_ends_where_they_begin() {
        let check = |text: &str, values: &str| {
            let (_, end) = parse_metric_of_series(text).expect(text);
            assert_eq!(&text[end..], values);
        };
        check("up 1 2", " 1 2");
        check("up{a=\"b\"} {{sum:1}}", " {{sum:1}}");
        check("up {a=\"b\"} 1", " {a=\"b\"} 1");
        check("1 2", "1 2");
    }
}
