//! What an `eval` of promqltest expects, compared with what came out.

use burnwatch::eval::Outcome;
use burnwatch::model::{FloatHistogram, Labels, SampleValue, SeriesPoints, Value};

use crate::notation::Point;
use crate::script::{Eval, When};

/// Compares remarks; where `eval` says nothing of a kind, any will do.
pub fn check_remarks<T>(eval: &Eval, outcome: &Outcome<T>) -> Result<(), String> {
    let expect = &eval.expect;
    let (warnings, infos) = (&outcome.warnings, &outcome.infos);
    let checks = [
        (warnings, &expect.warn, expect.no_warn, expect.some_warn),
        (infos, &expect.info, expect.no_info, expect.some_info),
    ];
    for (found, wanted, none, some) in checks {
        if (none && !found.is_empty()) || (some && found.is_empty()) {
            return Err(format!("unexpected remarks {found:?}"));
        }
        let all_found = wanted
            .iter()
            .all(|p| found.iter().any(|text| p.matches(text)));
        let all_wanted = found
            .iter()
            .all(|text| wanted.iter().any(|p| p.matches(text)));
        let agree = wanted.is_empty() || (all_found && all_wanted);
        if !agree {
            return Err(format!("remarks {found:?}, wanted {wanted:?}"));
        }
    }
    Ok(())
}

/// Compares a result.
pub fn check_value(eval: &Eval, value: &Value) -> Result<(), String> {
    match value {
        Value::Scalar(got) => match eval.scalar {
            Some(wanted) if almost_equal(*got, wanted) => Ok(()),
            wanted => Err(format!("scalar {got}, wanted {wanted:?}")),
        },
        Value::String(got) => match &eval.expect.string {
            Some(wanted) if wanted == got => Ok(()),
            wanted => Err(format!("string {got:?}, wanted {wanted:?}")),
        },
        Value::Vector(_) | Value::Matrix(_) if eval.scalar.is_some() => {
            Err(format!("{value:?}, wanted scalar {:?}", eval.scalar))
        }
        Value::Vector(elements) => {
            let got: Vec<(&Labels, &SampleValue)> =
                elements.iter().map(|e| (&e.labels, &e.value)).collect();
            check_vector(eval, &got, eval.expect.ordered)
                .map_err(|text| format!("{text}: {elements:?}"))
        }
        Value::Matrix(_) if eval.expect.ordered => Err("a matrix has no order".to_owned()),
        Value::Matrix(series) => check_matrix(eval, series),
    }
}

/// Compares the elements of an instant, with their order where it counts.
pub fn check_vector(
    eval: &Eval,
    got: &[(&Labels, &SampleValue)],
    ordered: bool,
) -> Result<(), String> {
    let wanted = &eval.series;
    if got.len() != wanted.len() {
        return Err(format!("{} elements, wanted {}", got.len(), wanted.len()));
    }
    for (index, (labels, value)) in got.iter().enumerate() {
        let Some(at) = wanted.iter().position(|(other, _)| other == *labels) else {
            return Err(format!("{labels} is not wanted"));
        };
        if ordered && at != index {
            return Err(format!("{labels} at {index}, wanted at {at}"));
        }
        let point = wanted[at].1.first().unwrap_or(&Point::Omitted);
        if !same_value(value, point) {
            return Err(format!("{labels} {value:?}, wanted {point:?}"));
        }
    }
    Ok(())
}

fn check_matrix(eval: &Eval, series: &[SeriesPoints]) -> Result<(), String> {
    let (start, end, step) = match (eval.expect.range_vector, &eval.when) {
        (Some(times), _) => times,
        (None, When::Range { start, end, step }) => (*start, *end, *step),
        (None, When::Instant(_)) => return Err(format!("matrix {series:?}")),
    };
    let mut wanted: Vec<(Labels, Vec<(i64, &Point)>)> = Vec::new();
    for (labels, points) in &eval.series {
        let timed = (0..).map(|index| start + index * step).zip(points);
        if start + (points.len() as i64 - 1) * step > end {
            return Err(format!("{labels} has more points than there are instants"));
        }
        let present = timed.filter(|(_, point)| !matches!(point, Point::Omitted));
        wanted.push((labels.clone(), present.collect()));
    }
    if !series.is_sorted_by(|a, b| a.labels <= b.labels) {
        return Err(format!("not in the order of labels: {series:?}"));
    }
    if series.len() != wanted.len() {
        return Err(format!(
            "{} series, wanted {}: {series:?}",
            series.len(),
            wanted.len()
        ));
    }
    for found in series {
        let Some((_, points)) = wanted.iter().find(|(labels, _)| *labels == found.labels) else {
            return Err(format!("{} is not wanted", found.labels));
        };
        let same_length = points.len() == found.points.len();
        let mut pairs = found.points.iter().zip(points);
        if !same_length || !pairs.all(|(p, (at, w))| p.at.0 == *at && same_value(&p.value, w)) {
            return Err(format!(
                "{} {:?}, wanted {points:?}",
                found.labels, found.points
            ));
        }
    }
    Ok(())
}

fn same_value(got: &SampleValue, wanted: &Point) -> bool {
    let Point::Value { value, hint_set } = wanted else {
        return false;
    };
    match (got, value) {
        (SampleValue::Float(a), SampleValue::Float(b)) => almost_equal(*a, *b),
        (SampleValue::Histogram(a), SampleValue::Histogram(b)) => same_histogram(a, b, *hint_set),
        _ => false,
    }
}

fn same_histogram(got: &FloatHistogram, wanted: &FloatHistogram, hint_set: bool) -> bool {
    let (mut a, mut b) = (got.clone(), wanted.clone());
    a.compact();
    b.compact();
    let near = |a: &[f64], b: &[f64]| {
        a.len() == b.len() && a.iter().zip(b).all(|(a, b)| almost_equal(*a, *b))
    };
    a.schema == b.schema
        && near(
            &[a.count, a.sum, a.zero_count],
            &[b.count, b.sum, b.zero_count],
        )
        && a.zero_threshold == b.zero_threshold
        && a.custom_values == b.custom_values
        && a.positive_spans == b.positive_spans
        && a.negative_spans == b.negative_spans
        && near(&a.positive_buckets, &b.positive_buckets)
        && near(&a.negative_buckets, &b.negative_buckets)
        && (!hint_set || a.counter_reset_hint == b.counter_reset_hint)
}

/// Compares as the original runner does: relative to the sum, with room for 1e-6.
fn almost_equal(a: f64, b: f64) -> bool {
    if a == b || (a.is_nan() && b.is_nan()) {
        return true;
    }
    let sum = a.abs() + b.abs();
    let difference = (a - b).abs();
    if a == 0.0 || b == 0.0 || sum < f64::MIN_POSITIVE {
        return difference < 1e-6 * f64::MIN_POSITIVE;
    }
    difference / sum.min(f64::MAX) < 1e-6
}
