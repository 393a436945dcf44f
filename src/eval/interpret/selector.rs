//! The leaves: instant selectors and range selectors.

use crate::eval::interpret::{Interpreter, n_samples_in, weight};
use crate::eval::{EvalError, InstantSample, Source};
use crate::functions::{Element, RangeSeries, RangeVector, cut_to_window};
use crate::model::{DurationMs, TimestampMs};
use crate::promql::ast::{MatrixSelector, RangeMode, Span, VectorSelector};

impl<'a> Interpreter<'a> {
    /// Returns the newest sample of each series within the lookback.
    pub(super) fn eval_vector(
        &mut self,
        selector: &VectorSelector,
        span: Span,
        at: TimestampMs,
    ) -> Result<Vec<Element>, EvalError> {
        if selector.mode == RangeMode::Smoothed {
            return self.smoothed_vector(selector, span, at);
        }
        self.newest_samples(selector, at, |sample| sample.at)
    }

    /// Returns the newest sample of each series, with `time` as the time of each element.
    pub(super) fn newest_samples(
        &mut self,
        selector: &VectorSelector,
        at: TimestampMs,
        time: fn(&InstantSample) -> TimestampMs,
    ) -> Result<Vec<Element>, EvalError> {
        let samples_at = self.resolve(selector.at, self.offset(&selector.offset)?, at);
        let window = (samples_at - self.options.lookback, samples_at);
        Ok(self.newest_within(selector, window, time))
    }

    /// Returns the newest samples as `timestamp` sees them. With both `@` and `offset`,
    /// Prometheus fetches the samples of the moved instant but looks from the instant of `@`.
    pub(super) fn samples_for_timestamp(
        &mut self,
        selector: &VectorSelector,
        at: TimestampMs,
        time: fn(&InstantSample) -> TimestampMs,
    ) -> Result<Vec<Element>, EvalError> {
        if selector.at.is_none() {
            return self.newest_samples(selector, at, time);
        }
        let offset = self.offset(&selector.offset)?;
        let looked_from = self.resolve(selector.at, DurationMs::ZERO, at);
        let fetched_to = looked_from - offset;
        let after = looked_from.max(fetched_to) - self.options.lookback;
        let until = looked_from.min(fetched_to);
        if after >= until {
            return Ok(Vec::new());
        }
        Ok(self.newest_within(selector, (after, until), time))
    }

    fn newest_within(
        &mut self,
        selector: &VectorSelector,
        (after, samples_at): (TimestampMs, TimestampMs),
        time: fn(&InstantSample) -> TimestampMs,
    ) -> Vec<Element> {
        let samples = self.source.instant(selector, after, samples_at);
        let n_samples = samples.iter().map(|sample| weight(&sample.value)).sum();
        self.count(n_samples, selector.at.is_some());
        let elements = samples.into_iter().map(|sample| Element {
            at: time(&sample),
            labels: sample.labels,
            value: sample.value,
            drop_name: false,
        });
        let mut elements: Vec<Element> = elements.collect();
        self.reduce_elements(selector, &mut elements, (after, samples_at));
        elements
    }

    /// Returns the samples of a window. An anchored or smoothed window holds what lies around
    /// it, too, for the functions that make use of it.
    pub(super) fn eval_window(
        &mut self,
        matrix: &MatrixSelector,
        at: TimestampMs,
    ) -> Result<RangeVector<'a>, EvalError> {
        let selector = &matrix.selector;
        let range = self.positive(&matrix.range)?;
        let end = self.resolve(selector.at, self.offset(&selector.offset)?, at);
        let start = end - range;
        let lookback = self.options.lookback;
        let (after, until) = match selector.mode {
            RangeMode::Plain => (start, end),
            RangeMode::Anchored => (start - lookback, end),
            RangeMode::Smoothed => (start - lookback, end + lookback),
        };
        let series = self.read(selector, after, until)?;
        self.count_window(&series, until, selector.at.is_some());
        Ok(RangeVector {
            series,
            start,
            end,
            mode: selector.mode,
        })
    }

    /// Returns a range selector's own value. Anchored and smoothed ones are cut to the window,
    /// with a sample at each edge.
    pub(super) fn eval_matrix(
        &mut self,
        matrix: &MatrixSelector,
        at: TimestampMs,
    ) -> Result<RangeVector<'a>, EvalError> {
        let mut window = self.eval_window(matrix, at)?;
        if window.mode != RangeMode::Plain {
            let n_read = window.series.iter().map(n_samples_in).sum();
            let smoothed = window.mode == RangeMode::Smoothed;
            for series in &mut window.series {
                refuse_histograms(series, window.mode)?;
                let edges = (window.start, window.end);
                series.floats = cut_to_window(&series.floats, edges, smoothed).into();
            }
            window.series.retain(|series| !series.is_empty());
            self.recount_window(n_read, &window);
        }
        Ok(window)
    }

    /// Reads the samples in `(after, until]`.
    pub(super) fn read(
        &mut self,
        selector: &VectorSelector,
        after: TimestampMs,
        until: TimestampMs,
    ) -> Result<Vec<RangeSeries<'a>>, EvalError> {
        let source: &'a dyn Source = self.source;
        let mut series = source.range(selector, after, until);
        if !self.options.features.start_timestamps_used {
            series.iter_mut().for_each(|series| series.starts = None);
        }
        self.reduce_window(selector, &mut series, (after, until));
        self.hold(series.iter().map(n_samples_in).sum())?;
        Ok(series)
    }
}

fn refuse_histograms(series: &RangeSeries<'_>, mode: RangeMode) -> Result<(), EvalError> {
    if series.histograms.is_empty() {
        return Ok(());
    }
    let word = match mode {
        RangeMode::Anchored => "anchored",
        _ => "smoothed",
    };
    let text = format!("{word} modifier is not supported with histograms");
    Err(EvalError::Execution(text))
}
