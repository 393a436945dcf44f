//! RE2's syntax into a syntax tree, as Go's `regexp/syntax` reads it with Perl's extensions.

use std::collections::BTreeSet;
use std::fmt;

use regex_syntax::hir::{Capture, Dot, Hir, Look, Repetition};

use crate::model::raw_bytes::{has_raw_bytes, shown};
use crate::model::regex::class::{CharRanges, named_class, perl_class, unicode_class};
use crate::model::regex::escape::character_escape;

/// How many groups may lie inside each other. Go allows 1000; later stages recurse over the tree,
/// so the bound is lower here.
pub const NESTING_MAX: usize = 250;

/// The highest repeat count, also of repeats inside repeats multiplied, as in Go.
const REPEAT_MAX: usize = 1000;

/// Why a pattern cannot be read, with the part that is to blame.
#[derive(Debug, PartialEq, Eq)]
pub struct SyntaxError {
    problem: &'static str,
    part: String,
}

impl fmt::Display for SyntaxError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: `{}`", self.problem, self.part)
    }
}

pub(super) type Result<T> = std::result::Result<T, SyntaxError>;

pub(super) fn refuse<T>(problem: &'static str, part: impl Into<String>) -> Result<T> {
    Err(SyntaxError {
        problem,
        part: part.into(),
    })
}

/// What `(?imsU)` sets.
#[derive(Clone, Copy)]
struct Flags {
    fold_case: bool,
    multi_line: bool,
    dot_newline: bool,
    swap_greed: bool,
}

/// A piece of a concatenation and how often its repeats repeat, multiplied.
struct Piece {
    tree: Hir,
    repeats: usize,
}

/// An open group.
struct Group {
    /// The flags to return to.
    flags: Flags,
    /// The number and name when it captures.
    capture: Option<(u32, Option<Box<str>>)>,
    alternatives: Vec<Hir>,
    pieces: Vec<Piece>,
    repeats: usize,
}

struct Parser<'a> {
    pattern: &'a str,
    rest: &'a str,
    flags: Flags,
    groups: Vec<Group>,
    n_captures: u32,
    names: BTreeSet<&'a str>,
}

/// Reads a pattern; the tree matches whole texts only, and `.` any character.
pub fn parse(pattern: &str) -> Result<Hir> {
    let tree = parse_tree(pattern, true)?;
    Ok(Hir::concat(vec![
        Hir::look(Look::Start),
        tree,
        Hir::look(Look::End),
    ]))
}

/// Reads a pattern; the tree matches anywhere in a text, and `.` any character but a newline.
pub fn parse_unanchored(pattern: &str) -> Result<Hir> {
    parse_tree(pattern, false)
}

fn parse_tree(pattern: &str, dot_newline: bool) -> Result<Hir> {
    if has_raw_bytes(pattern) {
        return refuse("invalid UTF-8", shown(pattern));
    }
    let flags = Flags {
        fold_case: false,
        multi_line: false,
        dot_newline,
        swap_greed: false,
    };
    let mut parser = Parser {
        pattern,
        rest: pattern,
        flags,
        groups: vec![Group::new(flags, None)],
        n_captures: 0,
        names: BTreeSet::new(),
    };
    parser.parse_all()?;
    match parser.groups.pop() {
        Some(group) if parser.groups.is_empty() => Ok(group.close().tree),
        _ => refuse("missing closing )", pattern),
    }
}

impl Group {
    fn new(flags: Flags, capture: Option<(u32, Option<Box<str>>)>) -> Self {
        Group {
            flags,
            capture,
            alternatives: Vec::new(),
            pieces: Vec::new(),
            repeats: 1,
        }
    }

    /// Ends an alternative.
    fn bar(&mut self) {
        let repeats = self.pieces.iter().map(|piece| piece.repeats).max();
        self.repeats = self.repeats.max(repeats.unwrap_or(1));
        let pieces = self.pieces.drain(..).map(|piece| piece.tree).collect();
        self.alternatives.push(Hir::concat(pieces));
    }

    fn close(mut self) -> Piece {
        self.bar();
        let sub = Hir::alternation(self.alternatives);
        let tree = match self.capture {
            None => sub,
            Some((index, name)) => Hir::capture(Capture {
                index,
                name,
                sub: Box::new(sub),
            }),
        };
        Piece {
            tree,
            repeats: self.repeats,
        }
    }
}

impl<'a> Parser<'a> {
    fn parse_all(&mut self) -> Result<()> {
        // The text from the repetition just read on; empty behind anything else.
        let mut last_repeat = "";
        while let Some(c) = self.rest.chars().next() {
            let before = self.rest;
            let mut repeat = "";
            match c {
                '(' if before.starts_with("(?") => self.perl_group()?,
                '(' => {
                    self.skip(1);
                    self.open_capture(None)?;
                }
                ')' => self.close_group()?,
                '|' => {
                    self.skip(1);
                    self.group().bar();
                }
                '^' | '$' | '.' => self.symbol(c),
                '[' => self.bracket_class()?,
                '*' | '+' | '?' => {
                    self.skip(1);
                    let (min, max) = match c {
                        '*' => (0, None),
                        '+' => (1, None),
                        _ => (0, Some(1)),
                    };
                    self.repeat(min, max, false, before, last_repeat)?;
                    repeat = before;
                }
                '{' => {
                    if self.counted_repeat(last_repeat)? {
                        repeat = before;
                    }
                }
                '\\' => self.escape()?,
                c => {
                    self.skip(c.len_utf8());
                    self.literal(c as u32);
                }
            }
            last_repeat = repeat;
        }
        Ok(())
    }

    fn skip(&mut self, n_bytes: usize) {
        self.rest = &self.rest[n_bytes..];
    }

    fn group(&mut self) -> &mut Group {
        self.groups.last_mut().expect("the outermost stays open")
    }

    fn push(&mut self, tree: Hir) {
        self.group().pieces.push(Piece { tree, repeats: 1 });
    }

    fn literal(&mut self, code: u32) {
        match char::from_u32(code) {
            Some(c) if !self.flags.fold_case => {
                let text = c.to_string();
                self.push(Hir::literal(text.into_bytes()));
            }
            // What is no character, a surrogate, is in no text: the empty class.
            _ => {
                let mut class = CharRanges::default();
                class.add(code, code, self.flags.fold_case);
                self.push(class.tree());
            }
        }
    }

    fn symbol(&mut self, c: char) {
        self.skip(1);
        let tree = match (c, self.flags.multi_line, self.flags.dot_newline) {
            ('^', false, _) => Hir::look(Look::Start),
            ('^', true, _) => Hir::look(Look::StartLF),
            ('$', false, _) => Hir::look(Look::End),
            ('$', true, _) => Hir::look(Look::EndLF),
            (_, _, true) => Hir::dot(Dot::AnyChar),
            (_, _, false) => Hir::dot(Dot::AnyCharExceptLF),
        };
        self.push(tree);
    }

    fn open(&mut self, capture: Option<(u32, Option<Box<str>>)>) -> Result<()> {
        if self.groups.len() > NESTING_MAX {
            return refuse("expression nests too deeply", self.pattern);
        }
        self.groups.push(Group::new(self.flags, capture));
        Ok(())
    }

    fn open_capture(&mut self, name: Option<&'a str>) -> Result<()> {
        self.n_captures += 1;
        // Go lets names occur twice or start with a digit, the tree does not; such a group keeps
        // its number only.
        let name = name
            .filter(|name| !name.starts_with(|c: char| c.is_ascii_digit()))
            .filter(|name| self.names.insert(name));
        self.open(Some((self.n_captures, name.map(Box::from))))
    }

    fn close_group(&mut self) -> Result<()> {
        if self.groups.len() < 2 {
            return refuse("unexpected )", self.pattern);
        }
        self.skip(1);
        let group = self.groups.pop().expect("at least two");
        self.flags = group.flags;
        let piece = group.close();
        self.group().pieces.push(piece);
        Ok(())
    }

    /// Reads `(?P<name>`, `(?<name>`, `(?flags)` or `(?flags:`.
    fn perl_group(&mut self) -> Result<()> {
        let start = self.rest;
        for opening in ["(?P<", "(?<"] {
            let Some(named) = start.strip_prefix(opening).filter(|rest| !rest.is_empty()) else {
                continue;
            };
            let Some(end) = named.find('>') else {
                return refuse("invalid named capture", start);
            };
            let name = &named[..end];
            let is_word = |c: char| c == '_' || c.is_ascii_alphanumeric();
            if name.is_empty() || !name.chars().all(is_word) {
                return refuse("invalid named capture", &start[..opening.len() + end + 1]);
            }
            self.skip(opening.len() + end + 1);
            return self.open_capture(Some(name));
        }
        self.skip(2);
        let (mut flags, mut on, mut saw_flag) = (self.flags, true, false);
        while let Some(c) = self.rest.chars().next() {
            self.skip(c.len_utf8());
            match c {
                'i' => flags.fold_case = on,
                'm' => flags.multi_line = on,
                's' => flags.dot_newline = on,
                'U' => flags.swap_greed = on,
                '-' if on => {
                    (on, saw_flag) = (false, false);
                    continue;
                }
                ':' if on || saw_flag => {
                    self.open(None)?;
                    self.flags = flags;
                    return Ok(());
                }
                ')' if on || saw_flag => {
                    self.flags = flags;
                    return Ok(());
                }
                _ => break,
            }
            saw_flag = true;
        }
        let read = start.len() - self.rest.len();
        refuse("invalid or unsupported Perl syntax", &start[..read])
    }

    /// Reads `{n}`, `{n,}`, `{n,m}`; anything else after `{` makes it a literal.
    fn counted_repeat(&mut self, last_repeat: &str) -> Result<bool> {
        let before = self.rest;
        let Some((min, max, len)) = repeat_counts(before) else {
            self.skip(1);
            self.literal('{' as u32);
            return Ok(false);
        };
        let too_many = |n: usize| n > REPEAT_MAX;
        if too_many(min) || max.is_some_and(|max| too_many(max) || min > max) {
            return refuse("invalid repeat count", &before[..len]);
        }
        self.skip(len);
        self.repeat(min, max, true, before, last_repeat)?;
        Ok(true)
    }

    /// Repeats the last piece; `before` is the text from the operator on.
    fn repeat(
        &mut self,
        min: usize,
        max: Option<usize>,
        counted: bool,
        before: &str,
        last_repeat: &str,
    ) -> Result<()> {
        let mut greedy = !self.flags.swap_greed;
        if self.rest.starts_with('?') {
            self.skip(1);
            greedy = !greedy;
        }
        let behind = self.rest.len();
        if !last_repeat.is_empty() {
            let part = &last_repeat[..last_repeat.len() - behind];
            return refuse("invalid nested repetition operator", part);
        }
        let part = &before[..before.len() - behind];
        let Some(Piece { tree, mut repeats }) = self.group().pieces.pop() else {
            return refuse("missing argument to repetition operator", part);
        };
        if counted {
            repeats *= max.unwrap_or(min).max(1);
            let counts = min >= 2 || max.is_some_and(|max| max >= 2);
            if counts && repeats > REPEAT_MAX {
                return refuse("invalid repeat count", part);
            }
        }
        let bound = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        let tree = Hir::repetition(Repetition {
            min: bound(min),
            max: max.map(bound),
            greedy,
            sub: Box::new(tree),
        });
        self.group().pieces.push(Piece { tree, repeats });
        Ok(())
    }

    fn escape(&mut self) -> Result<()> {
        let start = self.rest;
        let look = match start.as_bytes().get(1) {
            Some(b'A') => Look::Start,
            Some(b'z') => Look::End,
            Some(b'b') => Look::WordAscii,
            Some(b'B') => Look::WordAsciiNegate,
            Some(b'C') => return refuse("invalid escape sequence", r"\C"),
            Some(b'Q') => {
                let quoted = &start[2..];
                let (text, rest) = quoted.split_once(r"\E").unwrap_or((quoted, ""));
                text.chars().for_each(|c| self.literal(c as u32));
                self.rest = rest;
                return Ok(());
            }
            _ => {
                let fold = self.flags.fold_case;
                if let Some((class, rest)) = class_escape(start, fold)? {
                    self.rest = rest;
                    self.push(class.tree());
                } else {
                    let (code, rest) = character_escape(start)?;
                    self.rest = rest;
                    self.literal(code);
                }
                return Ok(());
            }
        };
        self.skip(2);
        self.push(Hir::look(look));
        Ok(())
    }

    fn bracket_class(&mut self) -> Result<()> {
        let start = self.rest;
        self.skip(1);
        let negated = self.rest.starts_with('^');
        if negated {
            self.skip(1);
        }
        let fold = self.flags.fold_case;
        let mut class = CharRanges::default();
        // The first `]` is a character of the class.
        let mut first = true;
        while first || !self.rest.starts_with(']') {
            first = false;
            let found = match named_class(self.rest, fold)? {
                None => class_escape(self.rest, fold)?,
                found => found,
            };
            if let Some((found, rest)) = found {
                class.union(&found);
                self.rest = rest;
                continue;
            }
            let range = self.rest;
            let low = self.class_character(start)?;
            let mut high = low;
            if self.rest.len() >= 2 && self.rest.starts_with('-') && !self.rest.starts_with("-]") {
                self.skip(1);
                high = self.class_character(start)?;
                if high < low {
                    let part = &range[..range.len() - self.rest.len()];
                    return refuse("invalid character class range", part);
                }
            }
            class.add(low, high, fold);
        }
        self.skip(1);
        if negated {
            class.negate();
        }
        self.push(class.tree());
        Ok(())
    }

    /// Reads one character of the class that starts at `class`.
    fn class_character(&mut self, class: &str) -> Result<u32> {
        let Some(c) = self.rest.chars().next() else {
            return refuse("missing closing ]", class);
        };
        if c == '\\' {
            let (code, rest) = character_escape(self.rest)?;
            self.rest = rest;
            return Ok(code);
        }
        self.skip(c.len_utf8());
        Ok(c as u32)
    }
}

/// Reads `\pN`, `\p{Greek}`, `\d` and the like at the start of `text`.
fn class_escape(text: &str, fold: bool) -> Result<Option<(CharRanges, &str)>> {
    match unicode_class(text, fold)? {
        None => Ok(perl_class(text, fold)),
        found => Ok(found),
    }
}

/// Returns the counts of `{n}`, `{n,}`, `{n,m}` and the length of its text.
fn repeat_counts(text: &str) -> Option<(usize, Option<usize>, usize)> {
    let inside = text.strip_prefix('{')?;
    let inside = &inside[..inside.find('}')?];
    let (min, max) = match inside.split_once(',') {
        None => (count(inside)?, Some(count(inside)?)),
        Some((min, "")) => (count(min)?, None),
        Some((min, max)) => (count(min)?, Some(count(max)?)),
    };
    Some((min, max, inside.len() + 2))
}

/// Reads digits without leading zeros; a number too big to hold is the biggest there is.
fn count(digits: &str) -> Option<usize> {
    let leading_zero = digits.len() > 1 && digits.starts_with('0');
    if digits.is_empty() || leading_zero || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    Some(digits.parse().unwrap_or(usize::MAX))
}
