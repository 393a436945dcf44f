//! What pipelines, fields and calls are worth: types are checked as Go's reflection does.

use crate::model::labels::quote;
use crate::template::TEXT_BYTES_MAX;
use crate::template::ast::{Command, Located, Number, Pipe, Word, WordKind};
use crate::template::expand::{Expanded, State};
use crate::template::functions::{self, Param, Signature};
use crate::template::value::{GoValue, IntType};

impl<'t> State<'t, '_, '_> {
    pub(super) fn pipe(&mut self, dot: &GoValue, pipe: &'t Pipe) -> Expanded<GoValue> {
        self.at = Some(pipe);
        self.deeper()?;
        let mut value: Option<GoValue> = None;
        for command in &pipe.commands {
            self.step()?;
            let result = self.command(dot, command, value)?;
            value = Some(match result {
                GoValue::Nil => GoValue::Invalid,
                result => result,
            });
        }
        self.depth -= 1;
        let value = value.unwrap_or(GoValue::Invalid);
        for name in &pipe.variables {
            if pipe.is_assignment {
                self.assign(name, value.clone())?;
            } else {
                self.variables.push((name, value.clone()));
            }
        }
        Ok(value)
    }

    fn command(
        &mut self,
        dot: &GoValue,
        command: &'t Command,
        last: Option<GoValue>,
    ) -> Expanded<GoValue> {
        let words = &command.words[..];
        let first = &words[0];
        match &first.kind {
            WordKind::Field(names) => self.field_word(dot, first, names, words, last),
            WordKind::Chain(inner, names) => self.chain(dot, first, inner, names, words, last),
            WordKind::Identifier(name) => {
                self.at = Some(first);
                self.function(dot, name, command, words, last)
            }
            WordKind::Pipe(pipe) => {
                self.not_a_function(words, &last)?;
                self.pipe(dot, pipe)
            }
            WordKind::Variable(names) => self.variable(dot, first, names, words, last),
            kind => {
                self.at = Some(first);
                self.not_a_function(words, &last)?;
                match kind {
                    WordKind::Dot => Ok(dot.clone()),
                    WordKind::Nil => self.fail("nil is not a command"),
                    kind => self.constant(kind),
                }
            }
        }
    }

    fn not_a_function(&self, words: &[Word], last: &Option<GoValue>) -> Expanded<()> {
        if words.len() > 1 || last.is_some() {
            let word = &words[0];
            return self.fail(format!("can't give argument to non-function {word}"));
        }
        Ok(())
    }

    /// The value of a constant where no type is asked for.
    fn constant(&self, kind: &WordKind) -> Expanded<GoValue> {
        match kind {
            WordKind::Bool(value) => Ok(GoValue::Bool(*value)),
            WordKind::String { text, .. } => Ok(GoValue::string(text.as_str())),
            WordKind::Number(number) => self.ideal_constant(number),
            _ => Ok(GoValue::Invalid),
        }
    }

    /// A number's type follows from how it is written.
    fn ideal_constant(&self, number: &Number) -> Expanded<GoValue> {
        let text = &number.text;
        let is_hex = text.starts_with("0x") || text.starts_with("0X");
        let is_hex_integer = is_hex && !text.contains(['p', 'P']);
        let looks_float = text.contains(['.', 'e', 'E', 'p', 'P']);
        match (number.int, number.float) {
            (_, Some(float)) if looks_float && !is_hex_integer && !text.starts_with('\'') => {
                Ok(GoValue::Float(float))
            }
            (Some(int), _) => Ok(GoValue::Int(int, IntType::Int)),
            _ if text.ends_with('i') => {
                self.fail(format!("{text}: complex numbers are not supported"))
            }
            _ => self.fail(format!("{text} overflows int")),
        }
    }

    fn field_word(
        &mut self,
        dot: &GoValue,
        word: &'t Word,
        names: &'t [String],
        words: &'t [Word],
        last: Option<GoValue>,
    ) -> Expanded<GoValue> {
        self.at = Some(word);
        self.field_chain(dot, dot.clone(), word, names, words, last)
    }

    fn chain(
        &mut self,
        dot: &GoValue,
        word: &'t Word,
        inner: &'t Word,
        names: &'t [String],
        words: &'t [Word],
        last: Option<GoValue>,
    ) -> Expanded<GoValue> {
        self.at = Some(word);
        let receiver = self.argument(dot, Param::Value, inner)?;
        self.field_chain(dot, receiver, word, names, words, last)
    }

    fn variable(
        &mut self,
        dot: &GoValue,
        word: &'t Word,
        names: &'t [String],
        words: &'t [Word],
        last: Option<GoValue>,
    ) -> Expanded<GoValue> {
        self.at = Some(word);
        let found = self.variables.iter().rev().find(|(n, _)| *n == names[0]);
        let Some((_, value)) = found else {
            return self.fail(format!("undefined variable: {}", names[0]));
        };
        let value = value.clone();
        if names.len() == 1 {
            self.not_a_function(words, &last)?;
            return Ok(value);
        }
        self.field_chain(dot, value, word, &names[1..], words, last)
    }

    /// `.X.Y.Z`, where only the last name can take arguments.
    fn field_chain(
        &mut self,
        dot: &GoValue,
        mut receiver: GoValue,
        word: &'t Word,
        names: &'t [String],
        words: &'t [Word],
        last: Option<GoValue>,
    ) -> Expanded<GoValue> {
        let Some((last_name, names)) = names.split_last() else {
            return Ok(receiver);
        };
        for name in names {
            receiver = self.field(dot, &receiver, word, name, &[], None)?;
        }
        self.field(dot, &receiver, word, last_name, words, last)
    }

    fn field(
        &mut self,
        dot: &GoValue,
        receiver: &GoValue,
        word: &'t Word,
        name: &'t str,
        words: &'t [Word],
        last: Option<GoValue>,
    ) -> Expanded<GoValue> {
        let has_arguments = words.len() > 1 || last.is_some();
        if let GoValue::Invalid = receiver {
            return Ok(GoValue::Invalid);
        }
        if let GoValue::Nil = receiver {
            return self.fail(format!("nil pointer evaluating interface {{}}.{name}"));
        }
        if let Some(method) = functions::method(receiver, name) {
            let arguments = self.arguments(dot, &method.signature, words, last)?;
            return match (method.body)(receiver, &arguments) {
                Ok(value) => self.checked(value),
                Err(message) => {
                    self.at = Some(word);
                    self.fail(format!("error calling {name}: {message}"))
                }
            };
        }
        let is_map = matches!(receiver, GoValue::Labels(_) | GoValue::Args(_));
        match functions::field(receiver, name) {
            Some(_) if has_arguments && is_map => {
                self.fail(format!("{name} is not a method but has arguments"))
            }
            Some(_) if has_arguments => self.fail(format!(
                "{name} has arguments but cannot be invoked as function"
            )),
            Some(value) => Ok(value),
            None => self.fail(format!(
                "can't evaluate field {name} in type {}",
                receiver.type_name()
            )),
        }
    }

    fn function(
        &mut self,
        dot: &GoValue,
        name: &'t str,
        node: &'t dyn Located,
        words: &'t [Word],
        last: Option<GoValue>,
    ) -> Expanded<GoValue> {
        let Some(function) = functions::find(name) else {
            return self.fail(format!("{} is not a defined function", quote(name)));
        };
        if let "and" | "or" = name {
            return self.short_circuit(dot, &function.signature, words, last);
        }
        let arguments = self.arguments(dot, &function.signature, words, last)?;
        match (function.body)(&mut self.context, arguments) {
            Ok(value) => self.checked(value),
            Err(message) => {
                self.at = Some(node);
                self.fail(format!("error calling {name}: {message}"))
            }
        }
    }

    /// Refuses a text that has grown beyond all bounds.
    fn checked(&self, value: GoValue) -> Expanded<GoValue> {
        match &value {
            GoValue::String(text) | GoValue::Html(text) if text.len() > TEXT_BYTES_MAX => {
                self.fail(format!("the text is longer than {TEXT_BYTES_MAX} bytes"))
            }
            _ => Ok(value),
        }
    }

    /// `and` and `or` evaluate no more arguments than they need.
    fn short_circuit(
        &mut self,
        dot: &GoValue,
        signature: &Signature,
        words: &'t [Word],
        last: Option<GoValue>,
    ) -> Expanded<GoValue> {
        self.check_count(signature, words, &last)?;
        let mut value = GoValue::Invalid;
        for word in words.iter().skip(1) {
            value = self.argument(dot, Param::Value, word)?;
            if value.is_true() == (signature.name == "or") {
                return Ok(value);
            }
        }
        Ok(last.unwrap_or(value))
    }

    fn check_count(
        &self,
        signature: &Signature,
        words: &[Word],
        last: &Option<GoValue>,
    ) -> Expanded<()> {
        let (name, wanted) = (signature.name, signature.params.len());
        let n_words = words.len().saturating_sub(1);
        let got = n_words + usize::from(last.is_some());
        if signature.variadic.is_some() && got < wanted {
            return self.fail(format!(
                "wrong number of args for {name}: want at least {wanted} got {n_words}"
            ));
        }
        if signature.variadic.is_none() && got != wanted {
            return self.fail(format!(
                "wrong number of args for {name}: want {wanted} got {got}"
            ));
        }
        Ok(())
    }

    /// Evaluates the words after the first, and adds the value of the command before.
    fn arguments(
        &mut self,
        dot: &GoValue,
        signature: &Signature,
        words: &'t [Word],
        last: Option<GoValue>,
    ) -> Expanded<Vec<GoValue>> {
        self.check_count(signature, words, &last)?;
        let param = |idx: usize| {
            let fixed = signature.params.get(idx).copied();
            fixed.or(signature.variadic).unwrap_or(Param::Any)
        };
        let mut arguments = Vec::with_capacity(words.len());
        for (idx, word) in words.iter().skip(1).enumerate() {
            arguments.push(self.argument(dot, param(idx), word)?);
        }
        if let Some(last) = last {
            arguments.push(self.validate(last, param(arguments.len()))?);
        }
        Ok(arguments)
    }

    fn argument(&mut self, dot: &GoValue, param: Param, word: &'t Word) -> Expanded<GoValue> {
        self.at = Some(word);
        let value = match &word.kind {
            WordKind::Dot => dot.clone(),
            WordKind::Nil => {
                return match param.nil() {
                    Some(nil) => Ok(nil),
                    None => self.fail(format!("cannot assign nil to {}", param.type_name())),
                };
            }
            WordKind::Field(names) => self.field_word(dot, word, names, &[], None)?,
            WordKind::Variable(names) => self.variable(dot, word, names, &[], None)?,
            WordKind::Pipe(pipe) => self.pipe(dot, pipe)?,
            WordKind::Identifier(name) => self.function(dot, name, word, &[], None)?,
            WordKind::Chain(inner, names) => self.chain(dot, word, inner, names, &[], None)?,
            kind => return self.constant_argument(param, word, kind),
        };
        self.validate(value, param)
    }

    fn constant_argument(&self, param: Param, word: &Word, kind: &WordKind) -> Expanded<GoValue> {
        match (param, kind) {
            (Param::Any | Param::Value, kind) => self.constant(kind),
            (Param::String, WordKind::String { text, .. }) => Ok(GoValue::string(text.as_str())),
            (Param::String, _) => self.fail(format!("expected string; found {word}")),
            (Param::Int | Param::Duration, WordKind::Number(number)) if number.int.is_some() => {
                Ok(param.int_value(number.int.unwrap_or(0)))
            }
            (Param::Int | Param::Duration, _) => {
                self.fail(format!("expected integer; found {word}"))
            }
            (param, _) => {
                let name = param.type_name();
                self.fail(format!("can't handle {word} for arg of type {name}"))
            }
        }
    }

    /// Holds a value against the type that is asked for.
    fn validate(&self, value: GoValue, param: Param) -> Expanded<GoValue> {
        if let GoValue::Invalid = value {
            return match param.nil() {
                Some(nil) => Ok(nil),
                None => self.fail(format!("invalid value; expected {}", param.type_name())),
            };
        }
        let got = value.type_name();
        match param.accept(value) {
            Some(value) => Ok(value),
            None => self.fail(format!(
                "wrong type for value; expected {}; got {got}",
                param.type_name()
            )),
        }
    }
}
