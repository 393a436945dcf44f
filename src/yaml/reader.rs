//! The characters of a text, one after the other, and where each stands.

use crate::yaml::Place;

/// A position in a text; line and column count from 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Mark {
    /// How many characters stand before it.
    pub index: usize,
    pub line: usize,
    /// In characters.
    pub column: usize,
    /// How many bytes stand before it.
    pub byte: usize,
}

impl From<Mark> for Place {
    fn from(mark: Mark) -> Self {
        Place {
            line: mark.line + 1,
            column: mark.column + 1,
        }
    }
}

/// A text and how far it has been read.
#[derive(Debug)]
pub(crate) struct Reader<'a> {
    text: &'a str,
    /// The next character.
    pub mark: Mark,
    /// How many line breaks were read since the last character that is no white space.
    pub n_breaks: usize,
    /// Whether the text goes on with a character that YAML forbids.
    pub is_cut: bool,
}

/// What stands behind the last character.
const END: char = '\0';

impl<'a> Reader<'a> {
    /// Begins at the start of a text.
    pub(crate) fn new(text: &'a str) -> Self {
        let forbidden = text.find(|c| !is_allowed(c));
        Reader {
            text: &text[..forbidden.unwrap_or(text.len())],
            mark: Mark::default(),
            n_breaks: 0,
            is_cut: forbidden.is_some(),
        }
    }

    /// Returns the next character.
    pub(crate) fn peek(&self) -> char {
        self.peek_at(0)
    }

    /// Returns the character behind `n` others.
    pub(crate) fn peek_at(&self, n: usize) -> char {
        let rest = &self.text[self.mark.byte..];
        rest.chars().nth(n).unwrap_or(END)
    }

    /// Tells whether the text goes on with these characters.
    pub(crate) fn starts_with(&self, wanted: &str) -> bool {
        self.text[self.mark.byte..].starts_with(wanted)
    }

    /// Tells whether `---` or `...` stands here, alone at the start of a line.
    pub(crate) fn is_at_document_indicator(&self) -> bool {
        let indicates = self.starts_with("---") || self.starts_with("...");
        self.mark.column == 0 && indicates && is_blank_or_end(self.peek_at(3))
    }

    /// Goes past a character that is no line break.
    pub(crate) fn skip(&mut self) {
        let c = self.peek();
        if c == END {
            return;
        }
        if !is_blank(c) {
            self.n_breaks = 0;
        }
        self.mark.index += 1;
        self.mark.column += 1;
        self.mark.byte += c.len_utf8();
    }

    /// Goes past a character that is no line break and appends it.
    pub(crate) fn read(&mut self, out: &mut String) {
        let c = self.peek();
        if c != END {
            out.push(c);
        }
        self.skip();
    }

    /// Goes past a line break, if there is one, and appends it: `\n` for all but the two of
    /// Unicode that are kept.
    pub(crate) fn read_break(&mut self, out: &mut String) {
        let c = self.peek();
        if !is_break(c) {
            return;
        }
        out.push(match c {
            '\u{2028}' | '\u{2029}' => c,
            _ => '\n',
        });
        self.skip_break();
    }

    /// Goes past a line break, if there is one.
    pub(crate) fn skip_break(&mut self) {
        let c = self.peek();
        if !is_break(c) {
            return;
        }
        let n_chars = if self.starts_with("\r\n") { 2 } else { 1 };
        self.mark.index += n_chars;
        self.mark.byte += c.len_utf8() + n_chars - 1;
        self.mark.column = 0;
        self.mark.line += 1;
        self.n_breaks += 1;
    }

    /// Goes to the end of the line.
    pub(crate) fn skip_line(&mut self) {
        while !is_break_or_end(self.peek()) {
            self.skip();
        }
    }
}

/// Tells whether YAML allows a character at all.
fn is_allowed(c: char) -> bool {
    matches!(
        c,
        '\t' | '\n' | '\r' | ' '..='~' | '\u{85}' | '\u{a0}'..='\u{fffd}' | '\u{10000}'..
    )
}

pub(crate) fn is_blank(c: char) -> bool {
    matches!(c, ' ' | '\t')
}

pub(crate) fn is_break(c: char) -> bool {
    matches!(c, '\r' | '\n' | '\u{85}' | '\u{2028}' | '\u{2029}')
}

pub(crate) fn is_end(c: char) -> bool {
    c == END
}

pub(crate) fn is_break_or_end(c: char) -> bool {
    is_break(c) || is_end(c)
}

pub(crate) fn is_blank_or_end(c: char) -> bool {
    is_blank(c) || is_break_or_end(c)
}

/// Tells whether a character may stand in a name of an anchor or directive.
pub(crate) fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | '-')
}
