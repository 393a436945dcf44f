//! The last argument of functions that are not Prometheus': a text of options, `"name=value,…"`.
//!
//! A function takes out of [`Options`] what it knows and then calls [`Options::end`], which
//! refuses the rest, so that a misspelled option is an error and not silently the default. All
//! options have defaults; an empty text is none.

use crate::functions::FunctionError;
use crate::model::DurationMs;
use crate::model::spelling::nearest;

/// The options of one call, in the order written.
#[derive(Debug)]
pub struct Options<'a> {
    function: &'static str,
    given: Vec<Given<'a>>,
    /// The names asked for so far: what the function knows.
    known: Vec<&'static str>,
}

#[derive(Debug)]
struct Given<'a> {
    name: &'a str,
    value: &'a str,
    is_taken: bool,
}

impl<'a> Options<'a> {
    /// Takes `text` apart; fails on what has no `=`, and on a name that is there twice.
    pub fn parse(function: &'static str, text: &'a str) -> Result<Self, FunctionError> {
        let mut given: Vec<Given<'a>> = Vec::new();
        for part in text.split(',').map(str::trim) {
            if part.is_empty() {
                continue;
            }
            let Some((name, value)) = part.split_once('=') else {
                return Err(FunctionError(format!(
                    "{function}(): option {part:?} has no value: write it as \"{part}=VALUE\""
                )));
            };
            let (name, value) = (name.trim(), value.trim());
            if given.iter().any(|other| other.name == name) {
                return Err(FunctionError(format!(
                    "{function}(): option {name:?} is given twice: leave one of them out"
                )));
            }
            given.push(Given {
                name,
                value,
                is_taken: false,
            });
        }
        Ok(Options {
            function,
            given,
            known: Vec::new(),
        })
    }

    /// Returns the text of an option, if it is given.
    pub fn text(&mut self, name: &'static str) -> Option<&'a str> {
        self.known.push(name);
        let found = self.given.iter_mut().find(|given| given.name == name)?;
        found.is_taken = true;
        Some(found.value)
    }

    /// Returns what is chosen among named things, the first where nothing is.
    pub fn choice<T: Copy>(
        &mut self,
        name: &'static str,
        among: &[(&'static str, T)],
    ) -> Result<T, FunctionError> {
        let Some(value) = self.text(name) else {
            return Ok(among[0].1);
        };
        if let Some((_, chosen)) = among.iter().find(|(known, _)| *known == value) {
            return Ok(*chosen);
        }
        let names: Vec<&str> = among.iter().map(|(known, _)| *known).collect();
        Err(self.wrong(name, value, &format!("one of {}", names.join(", "))))
    }

    /// Returns a number for which `is_good`, `default` where none is given; `expected` says in
    /// words what that is ("a number above 0").
    pub fn number(
        &mut self,
        name: &'static str,
        default: f64,
        expected: &str,
        is_good: impl Fn(f64) -> bool,
    ) -> Result<f64, FunctionError> {
        let Some(value) = self.text(name) else {
            return Ok(default);
        };
        match value.parse() {
            Ok(number) if is_good(number) => Ok(number),
            _ => Err(self.wrong(name, value, expected)),
        }
    }

    /// Returns a whole number from `least` to `most`, `default` where none is given.
    pub fn count(
        &mut self,
        name: &'static str,
        default: usize,
        least: usize,
        most: usize,
    ) -> Result<usize, FunctionError> {
        let Some(value) = self.text(name) else {
            return Ok(default);
        };
        match value.parse() {
            Ok(number) if (least..=most).contains(&number) => Ok(number),
            _ => {
                let expected = format!("a whole number from {least} to {most}");
                Err(self.wrong(name, value, &expected))
            }
        }
    }

    /// Returns a duration as PromQL writes it, `default` where none is given. In ms.
    pub fn duration(
        &mut self,
        name: &'static str,
        default: DurationMs,
    ) -> Result<DurationMs, FunctionError> {
        let Some(value) = self.text(name) else {
            return Ok(default);
        };
        DurationMs::parse(value).map_err(|_| self.wrong(name, value, "a duration such as 30m"))
    }

    /// Refuses what nobody has asked for.
    pub fn end(self) -> Result<(), FunctionError> {
        let Some(unknown) = self.given.iter().find(|given| !given.is_taken) else {
            return Ok(());
        };
        let hint = nearest(unknown.name, self.known.iter().copied())
            .map(|name| format!(" Did you mean {name:?}?"))
            .unwrap_or_default();
        Err(FunctionError(format!(
            "{}(): there is no option {:?}.{hint} Known are: {}",
            self.function,
            unknown.name,
            self.known.join(", ")
        )))
    }

    fn wrong(&self, name: &str, value: &str, expected: &str) -> FunctionError {
        FunctionError(format!(
            "{}(): option {name:?} is {value:?}, but must be {expected}",
            self.function
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq)]
    struct Read {
        base: u8,
        alpha: f64,
        bins: usize,
        hold: DurationMs,
    }

    fn read(text: &str) -> Result<Read, String> {
        let read = |text| {
            let mut options = Options::parse("f", text)?;
            let read = Read {
                base: options.choice("base", &[("e", 0), ("2", 2)])?,
                alpha: options.number("alpha", 0.5, "a number above 0", |number| number > 0.0)?,
                bins: options.count("bins", 10, 2, 100)?,
                hold: options.duration("hold", DurationMs(0))?,
            };
            options.end()?;
            Ok(read)
        };
        read(text).map_err(|error: FunctionError| error.0)
    }

    #[test]
    fn what_is_not_given_has_its_default() {
        let defaults = Read {
            base: 0,
            alpha: 0.5,
            bins: 10,
            hold: DurationMs(0),
        };
        assert_eq!(read("").as_ref(), Ok(&defaults));
        assert_eq!(
            read(" base = 2, hold=1h30m,"),
            Ok(Read {
                base: 2,
                hold: DurationMs(5_400_000),
                ..defaults
            })
        );
    }

    #[test]
    fn what_is_wrong_is_named_with_its_remedy() {
        let cases = [
            (
                "base",
                r#"f(): option "base" has no value: write it as "base=VALUE""#,
            ),
            (
                "base=3",
                r#"f(): option "base" is "3", but must be one of e, 2"#,
            ),
            (
                "base=2,base=e",
                r#"f(): option "base" is given twice: leave one of them out"#,
            ),
            (
                "alpha=0",
                r#"f(): option "alpha" is "0", but must be a number above 0"#,
            ),
            (
                "alpha=NaN",
                r#"f(): option "alpha" is "NaN", but must be a number above 0"#,
            ),
            (
                "bins=1",
                r#"f(): option "bins" is "1", but must be a whole number from 2 to 100"#,
            ),
            (
                "hold=1",
                r#"f(): option "hold" is "1", but must be a duration such as 30m"#,
            ),
            (
                "alhpa=1",
                r#"f(): there is no option "alhpa". Did you mean "alpha"? Known are: base, alpha, bins, hold"#,
            ),
        ];
        for (text, expected) in cases {
            assert_eq!(read(text), Err(expected.to_owned()), "{text}");
        }
    }
}
