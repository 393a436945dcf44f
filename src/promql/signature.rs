//! What the checker must know of a function; the functions themselves live elsewhere.

/// The four types of PromQL.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "each is its own name")]
pub enum ValueType {
    Scalar,
    String,
    Vector,
    Matrix,
}

impl ValueType {
    /// Returns the words Prometheus' error texts use.
    pub fn documented(self) -> &'static str {
        match self {
            ValueType::Scalar => "scalar",
            ValueType::String => "string",
            ValueType::Vector => "instant vector",
            ValueType::Matrix => "range vector",
        }
    }
}

/// A function's name and types.
#[derive(Clone, Copy, Debug)]
pub struct Signature {
    /// The name as a user types it.
    pub name: &'static str,
    /// The types of the arguments, the optional ones last.
    pub args: &'static [ValueType],
    /// Prometheus' `Variadic`: 0 = exactly `args`; n > 0 = the last n may be left out … up to
    /// `args.len() - 1 + n` in all; -1 = the last may be left out or repeat without end.
    pub variadic: i32,
    /// What it returns.
    pub returns: ValueType,
    /// `true` when Prometheus has it behind `promql-experimental-functions`.
    pub experimental: bool,
}

/// The functions that an expression may call.
pub trait SignatureTable {
    /// Returns the signature of `name`.
    fn signature(&self, name: &str) -> Option<Signature>;
    /// Refuses the texts among the arguments of a call, in their order, where they are known to be
    /// wrong without an evaluation.
    fn check_texts(&self, _name: &str, _texts: &[&str]) -> Result<(), String> {
        Ok(())
    }
    /// Returns all names, for "did you mean".
    fn names(&self) -> Vec<&'static str>;
}

/// Which of Prometheus' `--enable-feature` switches for the language are on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Features {
    /// `promql-experimental-functions`
    pub experimental_functions: bool,
    /// `promql-duration-expr`
    pub duration_expr: bool,
    /// `promql-extended-range-selectors`
    pub extended_range_selectors: bool,
    /// `promql-binop-fill-modifiers`
    pub binop_fill_modifiers: bool,
    /// `promql-delayed-name-removal`: names go at the end of a query instead of with each
    /// operation.
    pub delayed_name_removal: bool,
    /// `st-storage`: the start timestamps of samples are kept.
    pub start_timestamps_kept: bool,
    /// `use-start-timestamps`: functions over counters make use of those kept.
    pub start_timestamps_used: bool,
    /// `type-and-unit-labels`: the label `__type__` says whether a metric is a counter.
    pub type_and_unit_labels: bool,
}

impl Features {
    /// All on by which more can be written; those by which the same is answered otherwise are
    /// off, as they are by default.
    pub const ALL: Features = Features {
        experimental_functions: true,
        duration_expr: true,
        extended_range_selectors: true,
        binop_fill_modifiers: true,
        delayed_name_removal: false,
        start_timestamps_kept: false,
        start_timestamps_used: false,
        type_and_unit_labels: false,
    };
}
