//! Character classes: ranges, and the names RE2 knows for sets of characters.

use regex_syntax::hir::{Class, ClassUnicode, ClassUnicodeRange, Hir};

use crate::model::regex::property::property;
use crate::model::regex::syntax::{Result, refuse};

/// A set of characters.
#[derive(Clone, Debug)]
pub struct CharRanges {
    class: ClassUnicode,
}

impl Default for CharRanges {
    /// The empty set.
    fn default() -> Self {
        CharRanges {
            class: ClassUnicode::empty(),
        }
    }
}

impl CharRanges {
    fn from_ascii(ranges: &[(char, char)]) -> Self {
        let range = |(low, high): &(char, char)| ClassUnicodeRange::new(*low, *high);
        CharRanges {
            class: ClassUnicode::new(ranges.iter().map(range)),
        }
    }

    /// Adds code points; with `fold` also those that differ by case only. Surrogates, which are
    /// in no text, are left out.
    pub fn add(&mut self, low: u32, high: u32, fold: bool) {
        const BEFORE_SURROGATES: u32 = 0xD7FF;
        const BEHIND_SURROGATES: u32 = 0xE000;
        let mut added = ClassUnicode::empty();
        for (low, high) in [
            (low, high.min(BEFORE_SURROGATES)),
            (low.max(BEHIND_SURROGATES), high),
        ] {
            if low <= high
                && let (Some(low), Some(high)) = (char::from_u32(low), char::from_u32(high))
            {
                added.push(ClassUnicodeRange::new(low, high));
            }
        }
        if fold {
            added.case_fold_simple();
        }
        self.class.union(&added);
    }

    /// Adds another set.
    pub fn union(&mut self, other: &CharRanges) {
        self.class.union(&other.class);
    }

    /// Swaps what is in and what is not.
    pub fn negate(&mut self) {
        self.class.negate();
    }

    fn named(mut self, fold: bool, negated: bool) -> Self {
        if fold {
            self.class.case_fold_simple();
        }
        if negated {
            self.class.negate();
        }
        self
    }

    /// Returns the tree that matches one character of the set.
    pub fn tree(self) -> Hir {
        Hir::class(Class::Unicode(self.class))
    }
}

const DIGIT: &[(char, char)] = &[('0', '9')];
const SPACE: &[(char, char)] = &[('\t', '\n'), ('\x0c', '\r'), (' ', ' ')];
const WORD: &[(char, char)] = &[('0', '9'), ('A', 'Z'), ('_', '_'), ('a', 'z')];

/// POSIX' classes; all are ASCII.
const NAMED: &[(&str, &[(char, char)])] = &[
    ("alnum", &[('0', '9'), ('A', 'Z'), ('a', 'z')]),
    ("alpha", &[('A', 'Z'), ('a', 'z')]),
    ("ascii", &[('\0', '\x7f')]),
    ("blank", &[('\t', '\t'), (' ', ' ')]),
    ("cntrl", &[('\0', '\x1f'), ('\x7f', '\x7f')]),
    ("digit", DIGIT),
    ("graph", &[('!', '~')]),
    ("lower", &[('a', 'z')]),
    ("print", &[(' ', '~')]),
    ("punct", &[('!', '/'), (':', '@'), ('[', '`'), ('{', '~')]),
    ("space", &[('\t', '\r'), (' ', ' ')]),
    ("upper", &[('A', 'Z')]),
    ("word", WORD),
    ("xdigit", &[('0', '9'), ('A', 'F'), ('a', 'f')]),
];

/// Reads `\d`, `\D`, `\s`, `\S`, `\w`, `\W`, all ASCII, and returns what follows.
pub fn perl_class(text: &str, fold: bool) -> Option<(CharRanges, &str)> {
    let letter = *text.strip_prefix('\\')?.as_bytes().first()?;
    let ranges = match letter.to_ascii_lowercase() {
        b'd' => DIGIT,
        b's' => SPACE,
        b'w' => WORD,
        _ => return None,
    };
    let class = CharRanges::from_ascii(ranges).named(fold, letter.is_ascii_uppercase());
    Some((class, &text[2..]))
}

/// Reads `[:alpha:]` or `[:^alpha:]` inside a class and returns what follows.
pub fn named_class(text: &str, fold: bool) -> Result<Option<(CharRanges, &str)>> {
    let Some(end) = text.strip_prefix("[:").and_then(|name| name.find(":]")) else {
        return Ok(None);
    };
    let (whole, rest) = text.split_at(end + 4);
    let name = &whole[2..end + 2];
    let plain = name.strip_prefix('^').unwrap_or(name);
    match NAMED.iter().find(|(known, _)| *known == plain) {
        None => refuse("invalid character class range", whole),
        Some((_, ranges)) => {
            let class = CharRanges::from_ascii(ranges).named(fold, plain != name);
            Ok(Some((class, rest)))
        }
    }
}

/// Reads `\pN`, `\p{Greek}`, `\P{^L}` and returns what follows.
pub fn unicode_class(text: &str, fold: bool) -> Result<Option<(CharRanges, &str)>> {
    let mut negated = text.starts_with(r"\P");
    if !negated && !text.starts_with(r"\p") {
        return Ok(None);
    }
    let first_len = text[2..].chars().next().map_or(0, char::len_utf8);
    let (whole, name) = if text[2..].starts_with('{') {
        match text.find('}') {
            None => return refuse("invalid character class range", text),
            Some(end) => (&text[..=end], &text[3..end]),
        }
    } else {
        (&text[..2 + first_len], &text[2..2 + first_len])
    };
    let plain = name.strip_prefix('^').unwrap_or(name);
    negated ^= plain != name;
    match property(plain) {
        None => refuse("invalid character class range", whole),
        Some(class) => {
            let class = CharRanges { class }.named(fold, negated);
            Ok(Some((class, &text[whole.len()..])))
        }
    }
}
