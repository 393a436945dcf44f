//! `label_join`: a label from several others.

use crate::functions::call::{is_label_name, set_label};
use crate::functions::{Call, Function, FunctionError, Output};
use crate::model::raw_bytes::shown;
use crate::model::{Labels, METRIC_NAME};
use crate::promql::{Signature, ValueType};

/// `label_join(v, dst, separator, src, …)`
pub(super) struct LabelJoin;

impl Function for LabelJoin {
    fn signature(&self) -> Signature {
        Signature {
            name: "label_join",
            args: &[
                ValueType::Vector,
                ValueType::String,
                ValueType::String,
                ValueType::String,
            ],
            variadic: -1,
            returns: ValueType::Vector,
            experimental: false,
        }
    }

    fn about(&self) -> &'static str {
        "Sets a label to the values of other labels with a separator between them."
    }

    fn example(&self) -> &'static str {
        "label_join(up, \"target\", \"/\", \"job\", \"instance\")"
    }

    fn check_texts(&self, texts: &[&str]) -> Result<(), FunctionError> {
        let sources = texts.iter().skip(2).map(|source| ("source", source));
        let target = texts.iter().take(1).map(|target| ("destination", target));
        for (which, name) in sources.chain(target) {
            if !is_label_name(name) {
                return Err(FunctionError(format!(
                    "invalid {which} label name in label_join(): {}",
                    shown(name)
                )));
            }
        }
        Ok(())
    }

    fn call(&self, call: &mut Call<'_>) -> Result<Output, FunctionError> {
        let (target, separator) = (call.text(1).to_owned(), call.text(2).to_owned());
        let texts = 3..call.args.len();
        let sources: Vec<String> = texts.map(|at| call.text(at).to_owned()).collect();
        let mut elements = call.take_vector(0);
        for element in &mut elements {
            let joined = |labels: &Labels| {
                let values: Vec<&str> = sources.iter().map(|s| labels.value(s)).collect();
                set_label(labels, &target, &values.join(&separator))
            };
            let known = &mut call.memory.labels;
            element.labels = known.try_labels(&element.labels, joined)?;
            if target == METRIC_NAME {
                element.drop_name = false;
            }
        }
        Ok(Output::Vector(elements))
    }
}
