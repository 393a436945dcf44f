//! Relabelling: a list of steps that rewrite a label set or drop it.
//!
//! The actions, defaults and refusals are Prometheus' (`model/relabel`). Regular expressions are
//! fully anchored and `.` matches a newline.

mod fields;

use md5::{Digest, Md5};
use regex::Regex;
use serde::Serialize;

pub use fields::{ACTIONS, Action, RelabelError, RelabelFields};

use crate::model::regex::{compile_anchored, expand};
use crate::model::{Labels, LabelsBuilder, NameValidation};

/// A step, validated and compiled.
#[derive(Clone, Debug, Serialize)]
#[serde(transparent)]
pub struct RelabelConfig {
    fields: RelabelFields,
    #[serde(skip)]
    regex: Regex,
    #[serde(skip)]
    names: NameValidation,
}

impl PartialEq for RelabelConfig {
    fn eq(&self, other: &Self) -> bool {
        (&self.fields, self.names) == (&other.fields, other.names)
    }
}

impl Eq for RelabelConfig {}

impl RelabelConfig {
    /// Validates and compiles a step.
    pub fn new(fields: RelabelFields, names: NameValidation) -> Result<Self, RelabelError> {
        fields.validate(names)?;
        let regex =
            compile_anchored(&fields.regex).map_err(|e| RelabelError::Regex(e.to_string()))?;
        Ok(RelabelConfig {
            fields,
            regex,
            names,
        })
    }

    fn source(&self, labels: &LabelsBuilder) -> String {
        let names = self.fields.source_labels.as_deref().unwrap_or_default();
        let values: Vec<&str> = names
            .iter()
            .map(|name| labels.get(name).unwrap_or(""))
            .collect();
        values.join(&self.fields.separator)
    }

    /// Applies the step to `labels`; `false` says that the set is dropped.
    fn apply(&self, labels: &mut LabelsBuilder) -> bool {
        let source = self.source(labels);
        let target = self.fields.target_label.as_str();
        let equals_target = |labels: &LabelsBuilder| labels.get(target).unwrap_or("") == source;
        match self.fields.action {
            Action::Keep => return self.regex.is_match(&source),
            Action::Drop => return !self.regex.is_match(&source),
            Action::KeepEqual => return equals_target(labels),
            Action::DropEqual => return !equals_target(labels),
            Action::Replace => self.replace(&source, labels),
            Action::Lowercase => labels.set(target, &map_chars(&source, lower)),
            Action::Uppercase => labels.set(target, &map_chars(&source, upper)),
            Action::HashMod => {
                let hash = hash_mod(&source, self.fields.modulus);
                labels.set(target, &hash.to_string());
            }
            Action::LabelMap => self.map_labels(labels),
            Action::LabelDrop => self.keep_labels(labels, |is_match| !is_match),
            Action::LabelKeep => self.keep_labels(labels, |is_match| is_match),
        }
        true
    }

    fn replace(&self, source: &str, labels: &mut LabelsBuilder) {
        let Some(groups) = self.regex.captures(source) else {
            return;
        };
        let target = expand(&self.fields.target_label, &groups);
        if self.names.is_label_name(&target) {
            labels.set(&target, &expand(&self.fields.replacement, &groups));
        }
    }

    fn map_labels(&self, labels: &mut LabelsBuilder) {
        for (name, value) in labels.build().iter() {
            if let Some(groups) = self.regex.captures(name) {
                let target = expand(&self.fields.replacement, &groups);
                if !target.is_empty() {
                    labels.set(&target, value);
                }
            }
        }
    }

    fn keep_labels(&self, labels: &mut LabelsBuilder, keep: impl Fn(bool) -> bool) {
        for (name, _) in labels.build().iter() {
            if !keep(self.regex.is_match(name)) {
                labels.remove(name);
            }
        }
    }
}

/// Applies steps in order; `None` says that the set is dropped.
pub fn relabel(labels: &Labels, steps: &[RelabelConfig]) -> Option<Labels> {
    if steps.is_empty() {
        return Some(labels.clone());
    }
    let mut builder = LabelsBuilder::from(labels);
    let kept = steps.iter().all(|step| step.apply(&mut builder));
    kept.then(|| builder.build())
}

/// Returns the last 8 bytes of the MD5 sum, big-endian, modulo `modulus`.
fn hash_mod(text: &str, modulus: u64) -> u64 {
    let sum: [u8; 16] = Md5::digest(text.as_bytes()).into();
    let (_, last) = sum.split_at(8);
    let number = last
        .iter()
        .fold(0u64, |acc, byte| (acc << 8) | u64::from(*byte));
    number % modulus.max(1)
}

fn map_chars(text: &str, map: impl Fn(char) -> char) -> String {
    text.chars().map(map).collect()
}

/// Go maps rune by rune; where Unicode's full mapping needs several characters, the character
/// stays, except the dotted capital I, whose simple mapping is a plain i.
fn lower(c: char) -> char {
    let mut mapped = c.to_lowercase();
    match (c, mapped.next(), mapped.next()) {
        ('İ', ..) => 'i',
        (_, Some(single), None) => single,
        _ => c,
    }
}

fn upper(c: char) -> char {
    let mut mapped = c.to_uppercase();
    match (mapped.next(), mapped.next()) {
        (Some(single), None) => single,
        _ => c,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(edit: impl FnOnce(&mut RelabelFields)) -> RelabelFields {
        let mut fields = RelabelFields::default();
        edit(&mut fields);
        fields
    }

    fn sources(names: &[&str]) -> Option<Vec<String>> {
        Some(names.iter().map(|name| (*name).to_owned()).collect())
    }

    fn set(pairs: &[(&str, &str)]) -> Labels {
        Labels::from_pairs(pairs.iter().copied())
    }

    #[track_caller]
    fn check(fields: RelabelFields, input: &[(&str, &str)], expected: Option<&[(&str, &str)]>) {
        let step = RelabelConfig::new(fields, NameValidation::Utf8).expect("valid");
        assert_eq!(relabel(&set(input), &[step]), expected.map(set));
    }

    #[test]
    fn replace_fills_target_and_replacement_from_the_match() {
        let fields = |regex: &str, target: &str, replacement: &str| {
            step(|f| {
                f.source_labels = sources(&["a", "b"]);
                f.regex = regex.to_owned();
                f.target_label = target.to_owned();
                f.replacement = replacement.to_owned();
            })
        };
        let input = [("a", "foo"), ("b", "bar")];
        let check = |regex, target, replacement, name: &str, value: &str| {
            let expected = set(&input).with(name, value);
            let step = RelabelConfig::new(fields(regex, target, replacement), NameValidation::Utf8);
            assert_eq!(
                relabel(&set(&input), &[step.expect("valid")]),
                Some(expected)
            );
        };
        check("f(.*);(.*)r", "c", "ch${1}-ch$2", "c", "choo-chba");
        check("(?P<x>f.*);.*", "${x}_", "$x$$", "foo_", "foo$");
        check("no", "c", "x", "c", "");
        check("f.*;.*", "a", "$9", "a", "");
        check("f.*;.*", "c", "$1x${2", "c", "${2");
        check("f.*;.*", "c", "$", "c", "$");
        check("f.*;.*", "$1", "x", "c", "");
    }

    #[test]
    fn a_default_step_copies_and_an_empty_source_clears() {
        let copy = |from: &str| {
            step(|f| {
                f.source_labels = sources(&[from]);
                f.target_label = "b".to_owned();
            })
        };
        check(
            copy("a"),
            &[("a", "1\n2")],
            Some(&[("a", "1\n2"), ("b", "1\n2")]),
        );
        check(copy("x"), &[("a", "1"), ("b", "2")], Some(&[("a", "1")]));
    }

    #[test]
    fn keep_and_drop_decide_about_the_whole_set() {
        let fields = |action, regex: &str| {
            step(|f| {
                f.source_labels = sources(&["a"]);
                f.regex = regex.to_owned();
                f.action = action;
            })
        };
        let input: &[(&str, &str)] = &[("a", "foo")];
        check(fields(Action::Keep, "fo.*"), input, Some(input));
        check(fields(Action::Keep, "o+"), input, None);
        check(fields(Action::Drop, "fo.*"), input, None);
        check(fields(Action::Drop, "o+"), input, Some(input));
        let equal = |action| {
            step(|f| {
                f.source_labels = sources(&["a"]);
                f.target_label = "b".to_owned();
                f.action = action;
            })
        };
        let same: &[(&str, &str)] = &[("a", "1"), ("b", "1")];
        check(equal(Action::KeepEqual), same, Some(same));
        check(equal(Action::KeepEqual), input, None);
        check(equal(Action::DropEqual), same, None);
        check(equal(Action::DropEqual), input, Some(input));
    }

    #[test]
    fn hashmod_agrees_with_prometheus() {
        // The numbers come from another implementation of MD5.
        let fields = |modulus| {
            step(|f| {
                f.source_labels = sources(&["c"]);
                f.target_label = "d".to_owned();
                f.modulus = modulus;
                f.action = Action::HashMod;
            })
        };
        check(
            fields(1000),
            &[("c", "10.0.0.1:80")],
            Some(&[("c", "10.0.0.1:80"), ("d", "629")]),
        );
        check(
            fields(1000),
            &[("c", "two\nlines")],
            Some(&[("c", "two\nlines"), ("d", "651")]),
        );
    }

    #[test]
    fn label_names_are_mapped_dropped_and_kept() {
        let fields = |action, regex: &str, replacement: &str| {
            step(|f| {
                f.regex = regex.to_owned();
                f.replacement = replacement.to_owned();
                f.action = action;
            })
        };
        let input: &[(&str, &str)] = &[("b1", "x"), ("b2", "y"), ("c", "z")];
        let mapped: &[(&str, &str)] = &[
            ("b1", "x"),
            ("b2", "y"),
            ("c", "z"),
            ("m1", "x"),
            ("m2", "y"),
        ];
        check(fields(Action::LabelMap, "b(.)", "m$1"), input, Some(mapped));
        check(
            fields(Action::LabelDrop, "b.", "$1"),
            input,
            Some(&[("c", "z")]),
        );
        check(
            fields(Action::LabelKeep, "b.", "$1"),
            input,
            Some(&[("b1", "x"), ("b2", "y")]),
        );
    }

    #[test]
    fn case_is_changed_character_by_character() {
        let fields = |action| {
            step(|f| {
                f.source_labels = sources(&["a"]);
                f.target_label = "a".to_owned();
                f.action = action;
            })
        };
        check(
            fields(Action::Lowercase),
            &[("a", "ÄbİΣ")],
            Some(&[("a", "äbiσ")]),
        );
        check(
            fields(Action::Uppercase),
            &[("a", "äßb")],
            Some(&[("a", "ÄßB")]),
        );
    }

    #[test]
    fn steps_run_in_order_until_one_drops_the_set() {
        let add = step(|f| {
            f.target_label = "b".to_owned();
            f.replacement = "2".to_owned();
        });
        let drop = step(|f| {
            f.source_labels = sources(&["b"]);
            f.regex = "2".to_owned();
            f.action = Action::Drop;
        });
        let steps: Vec<RelabelConfig> = [add, drop]
            .into_iter()
            .map(|fields| RelabelConfig::new(fields, NameValidation::Utf8).expect("valid"))
            .collect();
        let labels = set(&[("a", "1")]);
        assert_eq!(relabel(&labels, &steps[..1]), Some(labels.with("b", "2")));
        assert_eq!(relabel(&labels, &steps), None);
    }
}
