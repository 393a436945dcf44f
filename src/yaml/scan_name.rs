//! Anchors, aliases, tags and directives.

use crate::yaml::YamlError;
use crate::yaml::reader::{Mark, is_blank, is_blank_or_end, is_word};
use crate::yaml::scanner::Scanner;
use crate::yaml::token::{Token, TokenKind};

/// How many digits a number of a version may have.
const VERSION_DIGITS_MAX: usize = 2;

impl Scanner<'_> {
    /// Scans `&name` or `*name`.
    pub(crate) fn scan_anchor(&mut self, is_anchor: bool) -> Result<Token, YamlError> {
        let start = self.reader.mark;
        self.reader.skip();
        let name = self.read_word();
        let next = self.reader.peek();
        if name.is_empty() || !is_blank_or_end(next) && !"?:,]}%@`".contains(next) {
            let problem = "did not find expected alphabetic or numeric character";
            return Err(self.error(start, problem));
        }
        let kind = match is_anchor {
            true => TokenKind::Anchor(name),
            false => TokenKind::Alias(name),
        };
        Ok(self.token(kind, start))
    }

    /// Scans `!suffix`, `!handle!suffix` or `!<uri>`.
    pub(crate) fn scan_tag(&mut self) -> Result<Token, YamlError> {
        let start = self.reader.mark;
        let (handle, suffix) = if self.reader.peek_at(1) == '<' {
            self.reader.skip();
            self.reader.skip();
            let uri = self.scan_uri("", start)?;
            if self.reader.peek() != '>' {
                return Err(self.error(start, "did not find the expected '>'"));
            }
            self.reader.skip();
            (String::new(), uri)
        } else {
            let handle = self.scan_handle(false, start)?;
            if handle.len() > 1 && handle.ends_with('!') {
                let suffix = self.scan_uri("", start)?;
                (handle, suffix)
            } else {
                match self.scan_uri(&handle, start)? {
                    // A lone `!`.
                    suffix if suffix.is_empty() => (String::new(), "!".to_owned()),
                    suffix => ("!".to_owned(), suffix),
                }
            }
        };
        if !is_blank_or_end(self.reader.peek()) {
            return Err(self.error(start, "did not find expected whitespace or line break"));
        }
        Ok(self.token(TokenKind::Tag { handle, suffix }, start))
    }

    /// Scans a line that begins with `%`.
    pub(crate) fn scan_directive(&mut self) -> Result<Token, YamlError> {
        let start = self.reader.mark;
        self.reader.skip();
        let name = self.read_word();
        if name.is_empty() {
            return Err(self.error(start, "could not find expected directive name"));
        }
        if !is_blank_or_end(self.reader.peek()) {
            return Err(self.error(start, "found unexpected non-alphabetical character"));
        }
        let kind = match name.as_str() {
            "YAML" => {
                self.skip_blanks();
                let major = self.scan_version(start)?;
                if self.reader.peek() != '.' {
                    let problem = "did not find expected digit or '.' character";
                    return Err(self.error(start, problem));
                }
                self.reader.skip();
                let minor = self.scan_version(start)?;
                TokenKind::Version { major, minor }
            }
            "TAG" => {
                self.skip_blanks();
                let handle = self.scan_handle(true, start)?;
                if !is_blank(self.reader.peek()) {
                    return Err(self.error(start, "did not find expected whitespace"));
                }
                self.skip_blanks();
                let prefix = self.scan_uri("", start)?;
                if !is_blank_or_end(self.reader.peek()) {
                    let problem = "did not find expected whitespace or line break";
                    return Err(self.error(start, problem));
                }
                TokenKind::TagDirective { handle, prefix }
            }
            _ => return Err(self.error(start, "found unknown directive name")),
        };
        let token = self.token(kind, start);
        self.end_line(start, "did not find expected comment or line break")?;
        Ok(token)
    }

    fn scan_version(&mut self, start: Mark) -> Result<u8, YamlError> {
        let (mut number, mut n_digits) = (0, 0);
        while let Some(digit) = self.reader.peek().to_digit(10) {
            n_digits += 1;
            if n_digits > VERSION_DIGITS_MAX {
                return Err(self.error(start, "found extremely long version number"));
            }
            number = number * 10 + digit as u8;
            self.reader.skip();
        }
        match n_digits {
            0 => Err(self.error(start, "did not find expected version number")),
            _ => Ok(number),
        }
    }

    /// Scans `!`, `!!` or `!name!`; outside a directive `!name` too.
    fn scan_handle(&mut self, in_directive: bool, start: Mark) -> Result<String, YamlError> {
        if self.reader.peek() != '!' {
            return Err(self.error(start, "did not find expected '!'"));
        }
        let mut handle = String::new();
        self.reader.read(&mut handle);
        handle += &self.read_word();
        if self.reader.peek() == '!' {
            self.reader.read(&mut handle);
        } else if in_directive && handle != "!" {
            return Err(self.error(start, "did not find expected '!'"));
        }
        Ok(handle)
    }

    /// Scans the rest of a tag; `head` is what was read of it as a handle.
    fn scan_uri(&mut self, head: &str, start: Mark) -> Result<String, YamlError> {
        let mut bytes: Vec<u8> = head.bytes().skip(1).collect();
        let mut is_any = !head.is_empty();
        loop {
            let c = self.reader.peek();
            if c == '%' {
                self.scan_escaped_char(&mut bytes, start)?;
            } else if is_word(c) || ";/?:@&=+$,.!~*'()[]".contains(c) {
                bytes.push(c as u8);
                self.reader.skip();
            } else {
                break;
            }
            is_any = true;
        }
        match is_any {
            true => Ok(String::from_utf8_lossy(&bytes).into_owned()),
            false => Err(self.error(start, "did not find expected tag URI")),
        }
    }

    /// Scans the `%XX` of one character.
    fn scan_escaped_char(&mut self, out: &mut Vec<u8>, start: Mark) -> Result<(), YamlError> {
        let mut n_left = None;
        while n_left != Some(0) {
            let digits = [self.reader.peek_at(1), self.reader.peek_at(2)];
            let [Some(high), Some(low)] = digits.map(|c| c.to_digit(16)) else {
                return Err(self.error(start, "did not find URI escaped octet"));
            };
            if self.reader.peek() != '%' {
                return Err(self.error(start, "did not find URI escaped octet"));
            }
            let octet = (high * 16 + low) as u8;
            let left = match n_left {
                None => match octet {
                    0..0x80 => 1,
                    0xc0..0xe0 => 2,
                    0xe0..0xf0 => 3,
                    0xf0..0xf8 => 4,
                    _ => {
                        let problem = "found an incorrect leading UTF-8 octet";
                        return Err(self.error(start, problem));
                    }
                },
                Some(_) if octet & 0xc0 != 0x80 => {
                    return Err(self.error(start, "found an incorrect trailing UTF-8 octet"));
                }
                Some(left) => left,
            };
            out.push(octet);
            for _ in 0..3 {
                self.reader.skip();
            }
            n_left = Some(left - 1);
        }
        Ok(())
    }

    fn read_word(&mut self) -> String {
        let mut word = String::new();
        while is_word(self.reader.peek()) {
            self.reader.read(&mut word);
        }
        word
    }

    /// Makes a token that ends here.
    pub(crate) fn token(&self, kind: TokenKind, start: Mark) -> Token {
        Token {
            kind,
            start,
            end: self.reader.mark,
        }
    }
}
