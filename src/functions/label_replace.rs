//! `label_replace`: a label from a part of another.

use regex::Regex;

use crate::functions::call::{is_label_name, set_label};
use crate::functions::{Call, Function, FunctionError, Output};
use crate::model::raw_bytes::shown;
use crate::model::regex::{compile_anchored, expand};
use crate::model::{Labels, METRIC_NAME};
use crate::promql::{Signature, ValueType};

/// `label_replace(v, dst, replacement, src, regex)`
pub(super) struct LabelReplace;

impl Function for LabelReplace {
    fn signature(&self) -> Signature {
        Signature {
            name: "label_replace",
            args: &[
                ValueType::Vector,
                ValueType::String,
                ValueType::String,
                ValueType::String,
                ValueType::String,
            ],
            variadic: 0,
            returns: ValueType::Vector,
            experimental: false,
        }
    }

    fn about(&self) -> &'static str {
        "Sets a label to a replacement text, with the groups of a regular expression that \
         matches another label."
    }

    fn example(&self) -> &'static str {
        "label_replace(up, \"host\", \"$1\", \"instance\", \"(.*):.*\")"
    }

    fn check_texts(&self, texts: &[&str]) -> Result<(), FunctionError> {
        let &[target, _, _, pattern] = texts else {
            return Ok(());
        };
        compiled(pattern)?;
        if !is_label_name(target) {
            return Err(FunctionError(format!(
                "invalid destination label name in label_replace(): {}",
                shown(target)
            )));
        }
        Ok(())
    }

    fn call(&self, call: &mut Call<'_>) -> Result<Output, FunctionError> {
        let (target, pattern) = (call.text(1).to_owned(), call.text(4).to_owned());
        let regex = match call.memory.regex.take() {
            Some(regex) => regex,
            None => compiled(&pattern)?,
        };
        let (replacement, source) = (call.text(2).to_owned(), call.text(3).to_owned());
        let mut elements = call.take_vector(0);
        for element in &mut elements {
            if target == METRIC_NAME && regex.is_match(element.labels.value(&source)) {
                element.drop_name = false;
            }
            let replaced = |labels: &Labels| {
                let Some(captures) = regex.captures(labels.value(&source)) else {
                    return Ok(labels.clone());
                };
                set_label(labels, &target, &expand(&replacement, &captures))
            };
            let known = &mut call.memory.labels;
            element.labels = known.try_labels(&element.labels, replaced)?;
        }
        call.memory.regex = Some(regex);
        Ok(Output::Vector(elements))
    }
}

fn compiled(pattern: &str) -> Result<Regex, FunctionError> {
    compile_anchored(pattern).map_err(|_| {
        FunctionError(format!(
            "invalid regular expression in label_replace(): {pattern}"
        ))
    })
}
