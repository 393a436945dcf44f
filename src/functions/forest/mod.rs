//! `anomaly_forest`: several series scored together, as points, by random trees.
//!
//! Series that differ in one label alone are one point: `anomaly_forest(v[w], "sensor")` takes
//! all sensors of a machine, in the order of the label's values, and says how odd the newest
//! reading of all of them is.
//!
//! **Points.** There is a point at each instant at which all series of a group have a float. Which
//! series these are says the present: those whose newest float in the window is less than
//! `lookback` older than the newest of the group. One that has gone is left out from then on, one
//! that is new takes part at once; points from before are then others, or none. Nothing is said of
//! a group without a point within `lookback` of the window's end.
//!
//! **Models** begin at boundaries of blocks: see [`model`].
//!
//! What lives here: the function over the samples of a window, and the models. What may not: how
//! samples come, and what is kept between two evaluations, which is `eval::live`'s.

mod drawn_tree;
mod draws;
mod half_space_trees;
mod isolation;
pub mod model;
mod points;
mod random_cut;
mod saved;
pub mod settings;
#[cfg(test)]
mod vectors;

use std::collections::{BTreeMap, HashMap};

use crate::functions::call::{drop_metadata, is_label_name};
use crate::functions::forest::model::{Boundaries, Model};
use crate::functions::forest::settings::Settings;
use crate::functions::formula::check_mode;
use crate::functions::{
    Argument, Call, Element, Function, FunctionError, Output, RangeSeries, RangeVector, Remark,
};
use crate::model::labels::quote;
use crate::model::{FloatPoint, Labels, SampleValue, TimestampMs};
use crate::promql::{Signature, ValueType};

/// The function's name.
pub const NAME: &str = "anomaly_forest";
/// The most series that can be one point.
pub const DIMS_MAX: usize = 256;

/// `anomaly_forest(v[w], "dim", "options")`
pub(super) struct AnomalyForest;

impl Function for AnomalyForest {
    fn signature(&self) -> Signature {
        Signature {
            name: NAME,
            args: &[ValueType::Matrix, ValueType::String, ValueType::String],
            variadic: 1,
            returns: ValueType::Vector,
            experimental: false,
        }
    }

    fn about(&self) -> &'static str {
        "Scores the newest values of several series together, which differ in one label: how odd \
         they are among those of the window."
    }

    fn example(&self) -> &'static str {
        "anomaly_forest(machine_sensor[30d], \"sensor\", \"output=alarm\")"
    }

    fn check_texts(&self, texts: &[&str]) -> Result<(), FunctionError> {
        let dim = texts.first().copied().unwrap_or_default();
        if !is_label_name(dim) {
            return Err(FunctionError(format!(
                "{NAME}(): {} is no label name: the second argument is the label in which the \
                 series of one point differ",
                quote(dim)
            )));
        }
        Settings::parse(texts.get(1).copied().unwrap_or_default()).map(drop)
    }

    fn is_extension(&self) -> bool {
        true
    }

    fn member_label(&self, texts: &[&str]) -> Option<String> {
        texts.first().map(|dim| (*dim).to_owned())
    }

    fn joins_series(&self) -> bool {
        true
    }

    fn learns(&self) -> bool {
        true
    }

    fn call(&self, call: &mut Call<'_>) -> Result<Output, FunctionError> {
        let range = match call.args.get_mut(0) {
            Some(Argument::Matrix(range)) => {
                let empty = RangeVector {
                    series: Vec::new(),
                    ..*range
                };
                std::mem::replace(range, empty)
            }
            _ => return Ok(Output::Vector(Vec::new())),
        };
        check_mode(NAME, &[], range.mode)?;
        let dim = call.text(1).to_owned();
        let settings = Settings::parse(call.text(2))?;
        for series in &range.series {
            if !series.histograms.is_empty() {
                let metric = series.labels.metric_name().to_owned();
                call.remark(0, Remark::HistogramIgnoredInMixedRange { metric });
            }
        }
        let mut elements = Vec::new();
        for (group, series) in groups(&range, &dim)? {
            if let Some(value) = value_of(&group, &series, &range, &settings) {
                elements.push(Element {
                    labels: group,
                    value: SampleValue::Float(value),
                    at: call.at,
                    drop_name: false,
                });
            }
        }
        Ok(Output::Vector(elements))
    }
}

/// Returns the labels of the group that a series belongs to.
pub fn group_of(labels: &Labels, dim: &str) -> Labels {
    let labels = drop_metadata(labels);
    match labels.get(dim) {
        Some(_) => labels.filter(|name| name != dim),
        None => labels,
    }
}

/// Returns the series with floats by group, those of a group in the order of the dimension label.
fn groups<'r>(
    range: &'r RangeVector<'_>,
    dim: &str,
) -> Result<BTreeMap<Labels, Vec<&'r RangeSeries<'r>>>, FunctionError> {
    let mut groups: BTreeMap<Labels, BTreeMap<&str, &RangeSeries<'_>>> = BTreeMap::new();
    for series in range
        .series
        .iter()
        .filter(|series| !series.floats.is_empty())
    {
        let group = group_of(&series.labels, dim);
        let value = series.labels.value(dim);
        let members = groups.entry(group).or_default();
        if members.insert(value, series).is_some() {
            return Err(FunctionError(format!(
                "{NAME}(): several series of {} have {dim}={}: select one of them, or name \
                 another label",
                group_of(&series.labels, dim),
                quote(value)
            )));
        }
        if members.len() > DIMS_MAX {
            return Err(FunctionError(format!(
                "{NAME}(): more than {DIMS_MAX} series of {} differ in {dim}: select fewer of \
                 them for one point",
                group_of(&series.labels, dim)
            )));
        }
    }
    let groups = groups.into_iter();
    Ok(groups
        .map(|(group, members)| (group, members.into_values().collect()))
        .collect())
}

/// Returns what a group is worth, from its samples in the window.
fn value_of(
    group: &Labels,
    series: &[&RangeSeries<'_>],
    range: &RangeVector<'_>,
    settings: &Settings,
) -> Option<f64> {
    let newest = |series: &&RangeSeries<'_>| series.floats.last().map(|point| point.at);
    let newest_of_all = series.iter().filter_map(newest).max()?;
    let is_present =
        |series: &&&RangeSeries<'_>| newest(series) > Some(newest_of_all - settings.lookback);
    let present: Vec<&[FloatPoint]> = series
        .iter()
        .filter(is_present)
        .map(|series| &*series.floats)
        .collect();
    let (boundaries, after) = (Boundaries::of(range.range()), range.start);
    let boundary = boundaries.first_from(after);
    let mut model = Model::begin(settings, (group, present.len()), (boundaries, boundary));
    let mut last = None;
    let begin = boundary.max(settings.since);
    for (at, point) in points(&present).filter(|(at, _)| *at > begin) {
        model.observe(settings, at, &point);
        last = Some(at);
    }
    model
        .value()
        .filter(|_| last > Some(range.end - settings.lookback))
}

/// Returns the instants at which all series have a float, with these.
fn points<'s>(
    series: &[&'s [FloatPoint]],
) -> impl Iterator<Item = (TimestampMs, Vec<f64>)> + use<'s> {
    let (first, others) = match series.split_first() {
        Some((first, others)) => (*first, others),
        None => (&[][..], &[][..]),
    };
    let by_time = |series: &&'s [FloatPoint]| {
        let pairs = series.iter().map(|point| (point.at, point.value));
        pairs.collect::<HashMap<TimestampMs, f64>>()
    };
    let others: Vec<HashMap<TimestampMs, f64>> = others.iter().map(by_time).collect();
    first.iter().filter_map(move |point| {
        let others = others.iter().map(|series| series.get(&point.at).copied());
        let values = std::iter::once(Some(point.value)).chain(others);
        Some((point.at, values.collect::<Option<Vec<f64>>>()?))
    })
}
