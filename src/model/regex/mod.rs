//! Regular expressions as Prometheus has them: RE2's language, fully anchored, `.` matching newlines.
//!
//! Rust's `regex` shares RE2's automata but not its dialect: `{name}`, `[[a]`, `[a&&b]`, `\d`, `\Q`
//! and others mean something else there or nothing at all. So a pattern is read by RE2's rules into
//! a syntax tree (`syntax`) and only the tree is handed on. Errors are worded as Go words them.
//!
//! Most patterns in rules are plain texts or lists of them, and these need no automaton.
//!
//! Cost: O(value) per match; a list of texts is O(log texts) comparisons.

mod class;
mod escape;
mod expand;
mod property;
mod syntax;

pub use expand::expand;

use regex_syntax::hir::Hir;

use crate::model::MatcherError;

/// How many bytes a compiled automaton may take; a pattern that needs more is refused, as Go
/// refuses it ("expression too large"), with a bound of its own.
const AUTOMATON_BYTES_MAX: usize = 64 << 20;

/// A pattern that is ready to match whole label values.
#[derive(Clone, Debug)]
pub struct LabelRegex {
    form: Form,
}

#[derive(Clone, Debug)]
enum Form {
    /// `a|b|c`, sorted and without doubles.
    Literals(Box<[String]>),
    /// `.*`
    Anything,
    /// `.+`
    NotEmpty,
    /// All others.
    Automaton(regex::Regex),
}

impl LabelRegex {
    /// Compiles a pattern.
    pub fn new(pattern: &str) -> Result<Self, MatcherError> {
        let form = match pattern {
            ".*" => Form::Anything,
            ".+" => Form::NotEmpty,
            _ => match literals(pattern) {
                Some(mut literals) => {
                    literals.sort();
                    literals.dedup();
                    Form::Literals(literals.into())
                }
                None => Form::Automaton(compile_anchored(pattern)?),
            },
        };
        Ok(LabelRegex { form })
    }

    /// Tells whether the pattern matches the whole of `value`.
    pub fn is_match(&self, value: &str) -> bool {
        match &self.form {
            Form::Literals(literals) => literals
                .binary_search_by(|literal| literal.as_str().cmp(value))
                .is_ok(),
            Form::Anything => true,
            Form::NotEmpty => !value.is_empty(),
            Form::Automaton(regex) => regex.is_match(value),
        }
    }
}

/// Compiles a pattern, fully anchored, for those who need what its groups matched.
pub fn compile_anchored(pattern: &str) -> Result<regex::Regex, MatcherError> {
    build(pattern, syntax::parse(pattern))
}

/// Compiles a pattern as Go's `regexp.Compile` does: it matches anywhere, `.` no newline.
pub fn compile_unanchored(pattern: &str) -> Result<regex::Regex, MatcherError> {
    build(pattern, syntax::parse_unanchored(pattern))
}

fn build(
    pattern: &str,
    tree: Result<Hir, syntax::SyntaxError>,
) -> Result<regex::Regex, MatcherError> {
    let tree = tree.map_err(|e| MatcherError::Regex(e.to_string()))?;
    // The tree may lie deeper than the pattern, which has a bound of its own.
    const TREE_NESTING_MAX: u32 = 4 * syntax::NESTING_MAX as u32;
    regex::RegexBuilder::new(&tree.to_string())
        .nest_limit(TREE_NESTING_MAX)
        .size_limit(AUTOMATON_BYTES_MAX)
        .build()
        .map_err(|_| MatcherError::Regex(format!("expression too large: `{pattern}`")))
}

/// Returns the texts of `a|b|c`, `(a|b|c)` or `(?:a|b|c)` when nothing else is in the pattern.
fn literals(pattern: &str) -> Option<Vec<String>> {
    let inner = pattern
        .strip_prefix("(?:")
        .or_else(|| pattern.strip_prefix('('))
        .and_then(|rest| rest.strip_suffix(')'))
        .unwrap_or(pattern);
    let mut found = vec![String::new()];
    let mut chars = inner.chars();
    while let Some(c) = chars.next() {
        let literal = match c {
            '|' => {
                found.push(String::new());
                continue;
            }
            '\\' => chars.next().filter(char::is_ascii_punctuation)?,
            '.' | '+' | '*' | '?' | '(' | ')' | '[' | ']' | '{' | '}' | '^' | '$' => return None,
            c => c,
        };
        found.last_mut().expect("never empty").push(literal);
    }
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(pattern: &str, matching: &[&str], others: &[&str]) {
        let regex = LabelRegex::new(pattern).unwrap_or_else(|e| panic!("{pattern}: {e}"));
        for value in matching {
            assert!(regex.is_match(value), "{pattern} should match {value:?}");
        }
        for value in others {
            assert!(
                !regex.is_match(value),
                "{pattern} should not match {value:?}"
            );
        }
    }

    fn check_refused(pattern: &str, expected: &str) {
        let error = LabelRegex::new(pattern).expect_err(pattern);
        let expected = format!("error parsing regexp: {expected}");
        assert_eq!(error.to_string(), expected, "{pattern}");
    }

    #[test]
    fn patterns_match_whole_values() {
        check("a", &["a"], &["", "ab", "ba"]);
        check("a|bc|", &["a", "bc", ""], &["b", "abc"]);
        check("(a|b)", &["a", "b"], &["(a", "ab"]);
        check("(?:10\\.0|x)", &["10.0", "x"], &["1000"]);
    }

    #[test]
    fn plain_texts_need_no_automaton() {
        let check = |pattern: &str, expected: Option<&[&str]>| {
            let regex = LabelRegex::new(pattern).expect(pattern);
            let found = match &regex.form {
                Form::Literals(literals) => Some(literals.iter().map(String::as_str).collect()),
                _ => None::<Vec<&str>>,
            };
            assert_eq!(found.as_deref(), expected, "{pattern}");
        };
        check("b|a|b", Some(&["a", "b"]));
        check("", Some(&[""]));
        check("(a|b)", Some(&["a", "b"]));
        check("(a)|(b)", None);
        check("a.b", None);
    }

    #[test]
    fn the_dialect_is_re2() {
        check(".*", &["", "a\nb"], &[]);
        check(".+", &["a\nb"], &[""]);
        check("a.b", &["a\nb", "aéb"], &["ab"]);
        check("(?-s)a.b", &["axb"], &["a\nb"]);
        check("/v2/{name}/{1", &["/v2/{name}/{1"], &[]);
        check("a{,2}", &["a{,2}"], &["aa"]);
        check("a{2}|b{1,}|c{0,1}", &["aa", "b", "bb", "c", ""], &["a"]);
        check(r"\d+", &["12"], &["٣", "a"]);
        check(r"\w+", &["a_1"], &["é"]);
        check(r"\s", &[" ", "\t", "\x0c"], &["\u{a0}", "\x0b"]);
        check(r".*\bb\b.*", &["a b c", "éb"], &["ab"]);
        check(r"é\Bé", &["éé"], &[]);
        check("[[a]", &["[", "a"], &["[[a]"]);
        check("[a&&b]", &["a", "&", "b"], &[]);
        check("[+--a~~]", &["-", ",", "a", "~"], &["b"]);
        check("[]a]", &["]", "a"], &[]);
        check("[^]a]", &["b", "\n"], &["]", "a"]);
        check("[a-]", &["a", "-"], &["b"]);
        check("[[:alpha:]_]+", &["aZ_"], &["1"]);
        check("[[:^alpha:]]", &["1", "é"], &["a"]);
        check("[[:word:]]", &["_"], &["-"]);
        check(r"[\d\-x]", &["1", "-", "x"], &["y"]);
        check(r"\Qa.b\E+", &["a.b", "a.bb"], &["axb"]);
        check(r"\Qa.b", &["a.b"], &["axb"]);
        check(r"\x41\x{1F600}\101\_", &["A😀A_"], &[]);
        check(r"\pN+", &["1٣"], &["a"]);
        check(r"\p{Greek}\P{^L}", &["αa"], &["aα"]);
        check("(?i)straSSe|k", &["STRASSE", "k", "K", "\u{212a}"], &["x"]);
        check("a(?i)b|c", &["ab", "aB", "C"], &["A", "Ab"]);
        check("(?i:a)b", &["Ab"], &["AB"]);
        check("(?i)[^a]", &["b"], &["a", "A"]);
        check(r"(?i)\W", &["-"], &["k", "\u{212a}"]);
        check("(?P<n>a)(?<m>b)(?P<n>c)", &["abc"], &[]);
        check("(?m)^a$\n^b$", &["a\nb"], &["ab"]);
        check("^a$", &["a"], &["a\n"]);
        check(r"\Aa\z", &["a"], &[]);
        check("(|a)+", &["", "aa"], &["b"]);
        check("a??b", &["b", "ab"], &[]);
        check("^*a", &["a"], &[]);
        check("#a b", &["#a b"], &["#ab"]);
        check(r"[^\x00-\x{10FFFF}]|a", &["a"], &["b"]);
    }

    #[test]
    fn errors_are_worded_as_in_go() {
        check_refused("(", "missing closing ): `(`");
        check_refused("a)", "unexpected ): `a)`");
        check_refused("a(b|c))", "unexpected ): `a(b|c))`");
        check_refused("*", "missing argument to repetition operator: `*`");
        check_refused("(+?)", "missing argument to repetition operator: `+?`");
        check_refused("a|{2}", "missing argument to repetition operator: `{2}`");
        check_refused("a**", "invalid nested repetition operator: `**`");
        check_refused("a{2}+?b", "invalid nested repetition operator: `{2}+?`");
        check_refused("x{1001}", "invalid repeat count: `{1001}`");
        check_refused("x{3,2}", "invalid repeat count: `{3,2}`");
        check_refused("x{9999999999}", "invalid repeat count: `{9999999999}`");
        check_refused("(x{100}){11}", "invalid repeat count: `{11}`");
        check_refused("[a", "missing closing ]: `[a`");
        check_refused("b[]", "missing closing ]: `[]`");
        check_refused("[b-a]", "invalid character class range: `b-a`");
        check_refused("[[:foo:]]", "invalid character class range: `[:foo:]`");
        check_refused(r"\p{Foo}", r"invalid character class range: `\p{Foo}`");
        check_refused(
            r"\p{White_Space}",
            r"invalid character class range: `\p{White_Space}`",
        );
        check_refused(r"\p{L", r"invalid character class range: `\p{L`");
        check_refused(r"\C", r"invalid escape sequence: `\C`");
        check_refused(r"a\Z", r"invalid escape sequence: `\Z`");
        check_refused(r"\8", r"invalid escape sequence: `\8`");
        check_refused(r"\1", r"invalid escape sequence: `\1`");
        check_refused(r"\xg1", r"invalid escape sequence: `\xg1`");
        check_refused(r"\x{110000}", r"invalid escape sequence: `\x{110000`");
        check_refused("a.\\", "trailing backslash at end of expression: ``");
        check_refused("(?=a)", "invalid or unsupported Perl syntax: `(?=`");
        check_refused("(?i", "invalid or unsupported Perl syntax: `(?i`");
        check_refused("(?P<n", "invalid named capture: `(?P<n`");
        check_refused("(?P<a b>x)", "invalid named capture: `(?P<a b>`");
        check_refused(
            &"(".repeat(100_000),
            &format!("expression nests too deeply: `{}`", "(".repeat(100_000)),
        );
    }

    #[test]
    fn groups_can_be_read() {
        let regex = compile_anchored("(?P<host>[^:]+)(:(\\d+))?").expect("compiles");
        let groups = regex.captures("db:9100").expect("matches");
        assert_eq!((&groups["host"], &groups[3]), ("db", "9100"));
    }
}
