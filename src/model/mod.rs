//! Plain values that every other module speaks: labels, matchers, samples, time, entries.
//!
//! What may live here: values without behaviour that needs a clock, a file or a socket.
//! What may not: anything that knows a wire format, a rule file or an evaluation.

pub mod alert;
pub mod block_list;
pub mod bytes;
pub mod change;
pub mod context_settings;
pub mod derived_labels;
pub mod detector_reset;
pub mod elementary;
pub mod entry;
pub mod exact_sum;
pub mod float;
pub mod histogram;
pub mod kahan;
pub mod labels;
pub mod labels_builder;
mod labels_iter;
pub mod matcher;
pub mod past;
pub mod quote;
pub mod raw_bytes;
pub mod regex;
pub mod rule_format;
pub mod sample;
mod saved_rules;
pub mod settings;
pub mod spelling;
pub mod start_times;
pub mod time;
pub mod value;

pub use alert::{AlertMessage, AlertStatus};
pub use block_list::BlockList;
pub use change::Change;
pub use context_settings::{ContextPart, ContextParts, ContextSettings, InfoMetric, UnknownPart};
pub use derived_labels::{DerivedLabels, LabelsMap};
pub use detector_reset::{DetectorReset, RuleKey};
pub use entry::{Batch, Entry, Generation, RuleSource, SeriesDefinition, SeriesHandle, Stamp};
pub use exact_sum::ExactSum;
pub use histogram::{CounterResetHint, FloatHistogram, Span as BucketSpan};
pub use labels::{
    ALERT_NAME, ALERTS, ALERTS_FOR_STATE, BUCKET_LABEL, Labels, METRIC_NAME, TARGET_LABELS,
};
pub use labels_builder::LabelsBuilder;
pub use matcher::{MatchOp, Matcher, MatcherError};
pub use past::{Past, PastError, PastSeries};
pub use rule_format::{Dialect, NameValidation, RuleFormat, UnknownDialect};
pub use sample::{
    FloatPoint, HistogramPoint, Point, STALE_NAN_BITS, SampleValue, is_stale_nan, stale_nan,
};
pub use settings::{EngineSettings, EvaluationMode, Grid, GroupKey, ModeOverride};
pub use start_times::{ListedStarts, NO_START, StartTimes, StartsInOrder};
pub use time::{DurationMs, TimestampMs};
pub use value::{SeriesPoints, Value, VectorElement};
