//! What was refused of a request, counted by reason, with the first series of each as example.

use std::fmt;

/// Why a series, a sample or an exemplar was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Reason {
    /// No metric name, or an empty one.
    MissingName,
    /// A label without a name.
    EmptyLabelName,
    /// The same label twice.
    DuplicateLabel,
    /// A label that is not UTF-8.
    InvalidUtf8,
    /// More labels than the limit.
    TooManyLabels,
    /// A label name longer than the limit.
    LabelNameTooLong,
    /// A label value longer than the limit.
    LabelValueTooLong,
    /// A reference that is not in the symbol table, or an odd number of references.
    BadSymbolRef,
    /// A series of remote write 2.0 with neither samples nor histograms.
    NoSamples,
    /// A new series beyond the limit of series.
    TooManySeries,
    /// A new series of a sender that has brought as many as it may.
    TooManySeriesOfSender,
    /// A timestamp too far ahead of the wall clock.
    TooFarInFuture,
    /// A timestamp before 1970.
    BeforeEpoch,
    /// Older than the series' newest sample, and no out-of-order window is set.
    OutOfOrder,
    /// Older than the out-of-order window.
    TooOld,
    /// Another value at the series' newest timestamp.
    DuplicateTimestamp,
    /// A native histogram that contradicts itself.
    BadHistogram,
    /// An exemplar older than the one before it.
    OutOfOrderExemplar,
}

impl Reason {
    /// All reasons, in the order in which they are told.
    pub const ALL: [Reason; 18] = [
        Reason::MissingName,
        Reason::EmptyLabelName,
        Reason::DuplicateLabel,
        Reason::InvalidUtf8,
        Reason::TooManyLabels,
        Reason::LabelNameTooLong,
        Reason::LabelValueTooLong,
        Reason::BadSymbolRef,
        Reason::NoSamples,
        Reason::TooManySeries,
        Reason::TooManySeriesOfSender,
        Reason::TooFarInFuture,
        Reason::BeforeEpoch,
        Reason::OutOfOrder,
        Reason::TooOld,
        Reason::DuplicateTimestamp,
        Reason::BadHistogram,
        Reason::OutOfOrderExemplar,
    ];

    /// Returns the word used in metrics and answers.
    pub fn name(self) -> &'static str {
        match self {
            Reason::MissingName => "missing_name",
            Reason::EmptyLabelName => "empty_label_name",
            Reason::DuplicateLabel => "duplicate_label",
            Reason::InvalidUtf8 => "invalid_utf8",
            Reason::TooManyLabels => "too_many_labels",
            Reason::LabelNameTooLong => "label_name_too_long",
            Reason::LabelValueTooLong => "label_value_too_long",
            Reason::BadSymbolRef => "bad_symbol_ref",
            Reason::NoSamples => "no_samples",
            Reason::TooManySeries => "too_many_series",
            Reason::TooManySeriesOfSender => "too_many_series_of_sender",
            Reason::TooFarInFuture => "too_far_in_future",
            Reason::BeforeEpoch => "before_epoch",
            Reason::OutOfOrder => "out_of_order",
            Reason::TooOld => "too_old",
            Reason::DuplicateTimestamp => "duplicate_timestamp",
            Reason::BadHistogram => "bad_histogram",
            Reason::OutOfOrderExemplar => "out_of_order_exemplar",
        }
    }

    /// Returns what is wrong, for people.
    pub fn about(self) -> &'static str {
        match self {
            Reason::MissingName => "the label __name__ is missing or empty",
            Reason::EmptyLabelName => "a label has no name",
            Reason::DuplicateLabel => "a label occurs twice",
            Reason::InvalidUtf8 => "a label is not valid UTF-8",
            Reason::TooManyLabels => "too many labels",
            Reason::LabelNameTooLong => "a label name is too long",
            Reason::LabelValueTooLong => "a label value is too long",
            Reason::BadSymbolRef => "a symbol reference is out of range or has no pair",
            Reason::NoSamples => "neither samples nor histograms",
            Reason::TooManySeries => "the limit of series is reached",
            Reason::TooManySeriesOfSender => {
                "the sender has brought as many series as it may (limits: per_sender: series)"
            }
            Reason::TooFarInFuture => "timestamp is too far in the future",
            Reason::BeforeEpoch => "timestamp is before 1970",
            Reason::OutOfOrder => "out of order sample",
            Reason::TooOld => "too old sample: behind the out-of-order window",
            Reason::DuplicateTimestamp => "duplicate sample for timestamp with another value",
            Reason::BadHistogram => "invalid native histogram",
            Reason::OutOfOrderExemplar => "out of order exemplar",
        }
    }

    /// Tells whether the labels are at fault: such samples are what Prometheus counts as
    /// `remote_write_invalid_labels_samples`.
    pub fn is_about_labels(self) -> bool {
        self <= Reason::BadSymbolRef
    }
}

/// The example of a reason: at most this many bytes of the series are told.
const EXAMPLE_BYTES_MAX: usize = 512;

/// One reason's share of what was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// Why.
    pub reason: Reason,
    /// Samples, histograms or exemplars refused; a series without samples counts for one.
    pub n_samples: u64,
    /// The first series it came up with.
    example: Example,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Example {
    /// The series as far as it can be shown.
    Shown(String),
    /// Its position in the request, and what to say behind its labels. Labels are not kept for
    /// every sample; the request is looked at again when there is something to tell.
    At { ordinal: u32, detail: String },
}

/// What was refused of one request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rejections {
    refused: Vec<Refused>,
}

impl Rejections {
    /// Tells whether something was refused because of who sent it.
    pub fn are_of_sender(&self) -> bool {
        let mut reasons = self.refused.iter().map(|refused| refused.reason);
        reasons.any(|reason| reason == Reason::TooManySeriesOfSender)
    }

    /// Counts a refusal; `example`, the series, is asked only for the first of its reason.
    pub fn add(&mut self, reason: Reason, n_samples: u64, example: impl FnOnce() -> String) {
        self.count(reason, n_samples, || Example::Shown(shortened(example())));
    }

    /// Counts a refusal of the series at a position of the request; `detail` is put behind the
    /// series when it is named.
    pub fn add_of_series(
        &mut self,
        reason: Reason,
        n_samples: u64,
        ordinal: u32,
        detail: impl FnOnce() -> String,
    ) {
        self.count(reason, n_samples, || Example::At {
            ordinal,
            detail: detail(),
        });
    }

    fn count(&mut self, reason: Reason, n_samples: u64, example: impl FnOnce() -> Example) {
        match self.refused.iter_mut().find(|r| r.reason == reason) {
            Some(refused) => refused.n_samples += n_samples,
            None => self.refused.push(Refused {
                reason,
                n_samples,
                example: example(),
            }),
        }
    }

    /// Returns the positions of series that are yet to be named, ascending.
    pub fn unnamed(&self) -> Vec<u32> {
        let at = self.refused.iter().filter_map(|r| match r.example {
            Example::At { ordinal, .. } => Some(ordinal),
            Example::Shown(_) => None,
        });
        let mut unnamed: Vec<u32> = at.collect();
        unnamed.sort_unstable();
        unnamed.dedup();
        unnamed
    }

    /// Names the series at a position.
    pub fn name(&mut self, named: u32, series: &str) {
        for refused in &mut self.refused {
            if let Example::At { ordinal, detail } = &refused.example
                && *ordinal == named
            {
                refused.example = Example::Shown(shortened(format!("{series}{detail}")));
            }
        }
    }

    /// Tells whether all was well.
    pub fn is_empty(&self) -> bool {
        self.refused.is_empty()
    }

    /// Iterates over the reasons that came up.
    pub fn iter(&self) -> impl Iterator<Item = &Refused> {
        self.refused.iter()
    }

    /// Forgets everything, keeping the memory.
    pub fn clear(&mut self) {
        self.refused.clear();
    }
}

fn shortened(mut text: String) -> String {
    if text.len() > EXAMPLE_BYTES_MAX {
        let mut end = EXAMPLE_BYTES_MAX;
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        text.truncate(end);
        text.push('…');
    }
    text
}

impl fmt::Display for Rejections {
    /// One line a reason: `out_of_order: 3 refused: out of order sample; first: {__name__="up"}`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut refused: Vec<_> = self.refused.iter().collect();
        refused.sort_by_key(|r| r.reason);
        for r in refused {
            let (name, about, n) = (r.reason.name(), r.reason.about(), r.n_samples);
            let example = match &r.example {
                Example::Shown(example) => example.as_str(),
                Example::At { detail, .. } => detail.as_str(),
            };
            writeln!(f, "{name}: {n} refused: {about}; first: {example}")?;
        }
        Ok(())
    }
}
