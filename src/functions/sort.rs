//! `sort`, `sort_desc`, `sort_by_label`, `sort_by_label_desc`: the order of an instant result.

use std::cmp::Ordering;

use crate::functions::annotation::Remark;
use crate::functions::{Argument, Call, Element, Function, FunctionError, Output};
use crate::promql::{Signature, ValueType};

/// One of the four.
pub(super) struct Sort {
    name: &'static str,
    about: &'static str,
    example: &'static str,
    by_label: bool,
    descending: bool,
}

pub(super) static SORT: Sort = Sort {
    name: "sort",
    about: "Orders the elements by value, smallest first, NaN last.",
    example: "sort(node_load1)",
    by_label: false,
    descending: false,
};

pub(super) static SORT_DESC: Sort = Sort {
    name: "sort_desc",
    about: "Orders the elements by value, largest first, NaN last.",
    example: "sort_desc(node_load1)",
    by_label: false,
    descending: true,
};

pub(super) static SORT_BY_LABEL: Sort = Sort {
    name: "sort_by_label",
    about: "Orders the elements by the values of labels, numbers in them by size.",
    example: "sort_by_label(up, \"instance\")",
    by_label: true,
    descending: false,
};

pub(super) static SORT_BY_LABEL_DESC: Sort = Sort {
    name: "sort_by_label_desc",
    about: "Orders the elements by the values of labels, numbers in them by size, last first.",
    example: "sort_by_label_desc(up, \"instance\")",
    by_label: true,
    descending: true,
};

impl Function for Sort {
    fn signature(&self) -> Signature {
        Signature {
            name: self.name,
            args: if self.by_label {
                &[ValueType::Vector, ValueType::String]
            } else {
                &[ValueType::Vector]
            },
            variadic: if self.by_label { -1 } else { 0 },
            returns: ValueType::Vector,
            experimental: self.by_label,
        }
    }

    fn about(&self) -> &'static str {
        self.about
    }

    fn example(&self) -> &'static str {
        self.example
    }

    fn call(&self, call: &mut Call<'_>) -> Result<Output, FunctionError> {
        if call.is_range {
            let place = call.span;
            call.annotations.add(Remark::SortInRangeQuery, place);
        }
        let mut elements = call.take_vector(0);
        if self.by_label {
            let texts = call.args.iter().filter_map(|argument| match argument {
                Argument::String(name) => Some(name.as_str()),
                _ => None,
            });
            let names: Vec<&str> = texts.collect();
            sort_by_labels(&mut elements, &names, self.descending);
        } else {
            elements.retain(|element| element.value.as_float().is_some());
            elements.sort_by(|a, b| by_value(self.descending, a, b));
        }
        Ok(Output::Vector(elements))
    }
}

fn by_value(descending: bool, a: &Element, b: &Element) -> Ordering {
    let value = |element: &Element| element.value.as_float().unwrap_or(f64::NAN);
    let (a, b) = (value(a), value(b));
    match (a.is_nan(), b.is_nan()) {
        (true, true) => Ordering::Equal,
        (true, false) => Ordering::Greater,
        (false, true) => Ordering::Less,
        (false, false) => {
            let order = a.partial_cmp(&b).expect("neither is NaN");
            if descending { order.reverse() } else { order }
        }
    }
}

/// Up to this many elements Go sorts by insertion.
const INSERTION_MAX: usize = 12;

/// Sorts by labels. Where a label is absent, or numbers differ in zeros before them, Prometheus'
/// comparison is no order; then the result is what Go's insertion leaves, as far as Go inserts.
fn sort_by_labels(elements: &mut [Element], names: &[&str], descending: bool) {
    if elements.len() > INSERTION_MAX {
        elements.sort_by(|a, b| {
            let order = by_labels(names, a, b);
            if descending { order.reverse() } else { order }
        });
        return;
    }
    let is_before = |a: &Element, b: &Element| {
        for name in names {
            let (a, b) = (a.labels.value(name), b.labels.value(name));
            if a != b {
                return natural_before(a, b) != descending;
            }
        }
        (a.labels < b.labels) != descending
    };
    for end in 1..elements.len() {
        let mut at = end;
        while at > 0 && is_before(&elements[at], &elements[at - 1]) {
            elements.swap(at, at - 1);
            at -= 1;
        }
    }
}

/// Tells whether Prometheus puts `a` before `b`, which is another text.
fn natural_before(a: &str, b: &str) -> bool {
    let (a, b): (Vec<&str>, Vec<&str>) = (pieces(a).collect(), pieces(b).collect());
    for (at, piece) in a.iter().enumerate() {
        let Some(other) = b.get(at) else {
            return false;
        };
        let is_same = match (piece.parse::<i64>(), other.parse::<i64>()) {
            (Ok(x), Ok(y)) if x != y => return x < y,
            (Ok(_), Ok(_)) => true,
            _ if piece != other => return piece < other,
            _ => true,
        };
        if is_same && at + 1 == a.len() {
            return true;
        }
        if is_same && at + 1 == b.len() {
            return false;
        }
    }
    false
}

fn by_labels(names: &[&str], a: &Element, b: &Element) -> Ordering {
    for name in names {
        let (a, b) = (a.labels.value(name), b.labels.value(name));
        if a != b {
            return natural(a, b);
        }
    }
    a.labels.cmp(&b.labels)
}

/// Compares texts in pieces of digits and of other characters, digits by their number: `a2` is
/// before `a10`.
fn natural(a: &str, b: &str) -> Ordering {
    let (mut a_pieces, mut b_pieces) = (pieces(a), pieces(b));
    loop {
        let (a_piece, b_piece) = match (a_pieces.next(), b_pieces.next()) {
            (None, None) => return a.cmp(b),
            (None, Some(_)) => return Ordering::Less,
            (Some(_), None) => return Ordering::Greater,
            (Some(a_piece), Some(b_piece)) => (a_piece, b_piece),
        };
        let is_number = |piece: &str| piece.starts_with(|c: char| c.is_ascii_digit());
        let order = if is_number(a_piece) && is_number(b_piece) {
            let significant = |piece: &str| piece.trim_start_matches('0').to_owned();
            let (x, y) = (significant(a_piece), significant(b_piece));
            let by_size = x.len().cmp(&y.len()).then_with(|| x.cmp(&y));
            // Of equal numbers the shorter text comes first.
            by_size.then(a_piece.len().cmp(&b_piece.len()))
        } else {
            a_piece.cmp(b_piece)
        };
        if order != Ordering::Equal {
            return order;
        }
    }
}

fn pieces(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let first_is_digit = rest.chars().next()?.is_ascii_digit();
        let end = rest
            .find(|c: char| c.is_ascii_digit() != first_is_digit)
            .unwrap_or(rest.len());
        let (piece, tail) = rest.split_at(end);
        rest = tail;
        Some(piece)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_in_texts_compare_by_size() {
        let mut texts = ["cpu10", "cpu2", "10", "9", "cpu", "a1b20", "a1b3", ""];
        texts.sort_by(|a, b| natural(a, b));
        assert_eq!(
            texts,
            ["", "9", "10", "a1b3", "a1b20", "cpu", "cpu2", "cpu10"]
        );
    }

    #[test]
    fn what_prometheus_cannot_order_stays_where_it_inserts_it() {
        let element = |b: &str, a: &str| Element {
            labels: crate::model::Labels::from_pairs([("a", a), ("b", b)]),
            value: crate::model::SampleValue::Float(0.0),
            at: crate::model::TimestampMs(0),
            drop_name: false,
        };
        let check = |given: &[(&str, &str)], descending: bool, expected: &[(&str, &str)]| {
            let mut elements: Vec<Element> = given.iter().map(|(b, a)| element(b, a)).collect();
            sort_by_labels(&mut elements, &["b", "a"], descending);
            let found = elements
                .iter()
                .map(|e| (e.labels.value("b"), e.labels.value("a")));
            assert_eq!(found.collect::<Vec<_>>(), expected);
        };
        check(
            &[("2", ""), ("10", ""), ("1", "")],
            false,
            &[("1", ""), ("2", ""), ("10", "")],
        );
        check(
            &[("2", ""), ("10", ""), ("1", "")],
            true,
            &[("10", ""), ("2", ""), ("1", "")],
        );
        // An absent label is before none, and none is before it.
        check(
            &[("x", ""), ("", "y"), ("w", "")],
            false,
            &[("x", ""), ("", "y"), ("w", "")],
        );
        check(&[("x", ""), ("", "y")], true, &[("", "y"), ("x", "")]);
        // Numbers that differ in zeros alone are each before the other.
        check(&[("1", ""), ("01", "")], false, &[("01", ""), ("1", "")]);
    }
}
