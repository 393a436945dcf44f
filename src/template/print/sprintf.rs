//! `Sprintf`: verbs with flags, width, precision and argument numbers.

use crate::template::TEXT_BYTES_MAX;
use crate::template::print::{Spec, printed, typed_text};
use crate::template::value::GoValue;

/// Go's own limit on a width or a precision.
const WIDTH_MAX: i64 = 1_000_000;

/// `Sprintf`; stops early beyond [`TEXT_BYTES_MAX`], which the caller refuses. With Go's texts for what is wrong (`%!d(string=x)`, `%!s(MISSING)`, …).
pub fn sprintf(format: &str, values: &[GoValue]) -> String {
    let mut printf = Printf {
        rest: format,
        values,
        next: 0,
        reordered: false,
        good_index: true,
        out: String::with_capacity(format.len()),
    };
    while let Some(at) = printf.rest.find('%') {
        printf.out.push_str(&printf.rest[..at]);
        printf.rest = &printf.rest[at + 1..];
        printf.verb();
        if printf.out.len() > TEXT_BYTES_MAX {
            return printf.out;
        }
    }
    let tail = printf.rest;
    printf.out.push_str(tail);
    if !printf.reordered && printf.next < values.len() {
        let plain = Spec::default();
        let extra = values[printf.next..]
            .iter()
            .map(|value| typed_text(value, &plain));
        let extra = extra.collect::<Vec<_>>().join(", ");
        printf.out.push_str(&format!("%!(EXTRA {extra})"));
    }
    printf.out
}

struct Printf<'a> {
    rest: &'a str,
    values: &'a [GoValue],
    next: usize,
    reordered: bool,
    good_index: bool,
    out: String,
}

impl<'a> Printf<'a> {
    fn take(&mut self, wanted: char) -> bool {
        match self.rest.strip_prefix(wanted) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn verb(&mut self) {
        let mut spec = self.flags();
        self.good_index = true;
        let mut after_index = self.argument_index();
        if self.take('*') {
            match self.int_argument() {
                Some(width) => {
                    spec.minus |= width < 0;
                    spec.width = usize::try_from(width.unsigned_abs()).ok();
                }
                None => self.out.push_str("%!(BADWIDTH)"),
            }
            after_index = false;
        } else {
            spec.width = self.number();
            if after_index && spec.width.is_some() {
                self.good_index = false;
            }
        }
        if self.take('.') {
            if after_index {
                self.good_index = false;
            }
            after_index = self.argument_index();
            if self.take('*') {
                match self.int_argument() {
                    Some(precision) => spec.precision = usize::try_from(precision).ok(),
                    None => self.out.push_str("%!(BADPREC)"),
                }
                after_index = false;
            } else {
                spec.precision = Some(self.number().unwrap_or(0));
            }
        }
        if !after_index {
            self.argument_index();
        }
        let Some(verb) = self.rest.chars().next() else {
            self.out.push_str("%!(NOVERB)");
            return;
        };
        self.rest = &self.rest[verb.len_utf8()..];
        if spec.minus {
            spec.zero = false;
        }
        self.print(verb, &spec);
    }

    fn print(&mut self, verb: char, spec: &Spec) {
        if verb == '%' {
            self.out.push('%');
        } else if !self.good_index {
            self.out.push_str(&format!("%!{verb}(BADINDEX)"));
        } else if let Some(value) = self.values.get(self.next) {
            self.out.push_str(&printed(value, verb, spec));
            self.next += 1;
        } else {
            self.out.push_str(&format!("%!{verb}(MISSING)"));
        }
    }

    fn flags(&mut self) -> Spec {
        let mut spec = Spec::default();
        loop {
            match self.rest.bytes().next() {
                Some(b'#') => spec.sharp = true,
                Some(b'0') => spec.zero = true,
                Some(b'+') => spec.plus = true,
                Some(b'-') => spec.minus = true,
                Some(b' ') => spec.space = true,
                _ => return spec,
            }
            self.rest = &self.rest[1..];
        }
    }

    /// Takes digits. As in Go, more digits behind a number that is too large swallow the rest of
    /// the format, and so the verb.
    fn number(&mut self) -> Option<usize> {
        let n_digits = self.rest.bytes().take_while(u8::is_ascii_digit).count();
        let (digits, rest) = self.rest.split_at(n_digits);
        self.rest = rest;
        let mut number: Option<i64> = None;
        for digit in digits.bytes() {
            let before = number.unwrap_or(0);
            if before > WIDTH_MAX {
                self.rest = "";
                return None;
            }
            number = Some(before * 10 + i64::from(digit - b'0'));
        }
        number.and_then(|number| usize::try_from(number).ok())
    }

    /// Takes `[3]` and goes to that argument.
    fn argument_index(&mut self) -> bool {
        let Some(inner) = self.rest.strip_prefix('[') else {
            return false;
        };
        self.reordered = true;
        let Some((digits, rest)) = inner.split_once(']') else {
            self.good_index = false;
            self.rest = inner;
            return false;
        };
        self.rest = rest;
        match digits.parse::<usize>() {
            Ok(number) if (1..=self.values.len()).contains(&number) => {
                self.next = number - 1;
                true
            }
            _ => {
                self.good_index = false;
                true
            }
        }
    }

    fn int_argument(&mut self) -> Option<i64> {
        let value = self.values.get(self.next);
        if value.is_some() {
            self.next += 1;
        }
        match value {
            Some(GoValue::Int(value, _)) if value.abs() <= WIDTH_MAX => Some(*value),
            _ => None,
        }
    }
}
