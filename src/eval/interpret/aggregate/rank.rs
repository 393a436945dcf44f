//! `topk`, `bottomk`, `limitk`, `limit_ratio`: some elements of each group, as they are.

use std::cmp::Ordering;

use crate::eval::EvalError;
use crate::eval::interpret::Interpreter;
use crate::eval::interpret::aggregate::Groups;
use crate::functions::call::plain;
use crate::functions::{Element, Remark};
use crate::model::float::format_general;
use crate::model::{DerivedLabels, Labels};
use crate::promql::ast::{Aggregate, AggregateOp, Span};

impl Interpreter<'_> {
    /// Keeps at most `k` elements of each group.
    pub(super) fn pick(
        &mut self,
        (aggregate, keys): (&Aggregate, &mut DerivedLabels),
        k: f64,
        elements: Vec<Element>,
        span: Span,
    ) -> Result<Vec<Element>, EvalError> {
        if k < 1.0 {
            return Ok(Vec::new());
        }
        let refused = |text: String| Err(EvalError::Execution(text));
        if k.is_nan() {
            return refused("Parameter value is NaN".to_owned());
        }
        if k >= i64::MAX as f64 {
            return refused(format!(
                "Scalar value {} overflows int64",
                format_general(k)
            ));
        }
        let k = (k as usize).min(elements.len());
        let mut groups: Groups<Vec<Element>> = Groups::new(aggregate, keys);
        for element in elements {
            if aggregate.op != AggregateOp::Limitk && element.value.as_float().is_none() {
                let aggregation = aggregate.op.name();
                let remark = Remark::HistogramIgnoredInAggregation { aggregation };
                self.annotations.add(remark, span);
                continue;
            }
            let group = groups.find_or_insert(&element.labels, Vec::new);
            match aggregate.op {
                AggregateOp::Limitk if group.len() < k => group.push(element),
                AggregateOp::Limitk => {}
                op => Heap { op, k }.offer(group, element),
            }
        }
        let mut out = Vec::new();
        for (_, mut group) in groups.finish() {
            if aggregate.op != AggregateOp::Limitk {
                group.sort_by(|a, b| best_first(aggregate.op, a, b));
            }
            out.append(&mut group);
        }
        Ok(out)
    }

    /// Keeps about a share of all elements, the same ones every time: negative ratios keep the
    /// complement.
    pub(super) fn sample(
        &mut self,
        aggregate: &Aggregate,
        ratio: f64,
        elements: Vec<Element>,
    ) -> Result<Vec<Element>, EvalError> {
        if ratio == 0.0 {
            return Ok(Vec::new());
        }
        if ratio.is_nan() {
            return Err(EvalError::Execution("Ratio value is NaN".to_owned()));
        }
        let capped_to = ratio.clamp(-1.0, 1.0);
        if capped_to != ratio {
            let place = aggregate.parameter.as_ref().map(|p| plain(p).span);
            let remark = Remark::InvalidRatio {
                got: ratio,
                capped_to,
            };
            self.annotations
                .add_parameter(remark, place.unwrap_or_default());
        }
        let is_kept = |element: &Element| {
            let offset = stored_hash(&element.labels) as f64 / u64::MAX as f64;
            if capped_to >= 0.0 {
                offset < capped_to
            } else {
                offset >= 1.0 + capped_to
            }
        };
        let mut keys = DerivedLabels::default();
        let mut groups: Groups<Vec<Element>> = Groups::new(aggregate, &mut keys);
        for element in elements.into_iter().filter(is_kept) {
            let labels = element.labels.clone();
            groups.find_or_insert(&labels, Vec::new).push(element);
        }
        Ok(groups.finish().flat_map(|(_, group)| group).collect())
    }
}

/// Hashes labels as Prometheus keeps them in memory: each text behind its length in one byte,
/// or from 255 on in a byte of 255 and three more, the lowest first.
fn stored_hash(labels: &Labels) -> u64 {
    let mut hasher = xxhash_rust::xxh64::Xxh64::new(0);
    for text in labels.iter().flat_map(|(name, value)| [name, value]) {
        match u8::try_from(text.len()) {
            Ok(length) if length < u8::MAX => hasher.update(&[length]),
            _ => {
                let length = (text.len() as u32).to_le_bytes();
                hasher.update(&[u8::MAX, length[0], length[1], length[2]]);
            }
        }
        hasher.update(text.as_bytes());
    }
    hasher.digest()
}

fn value(element: &Element) -> f64 {
    element.value.as_float().unwrap_or(f64::NAN)
}

fn best_first(op: AggregateOp, a: &Element, b: &Element) -> Ordering {
    let (a, b) = (value(a), value(b));
    match (a.is_nan(), b.is_nan()) {
        (true, true) => Ordering::Equal,
        (true, false) => Ordering::Greater,
        (false, true) => Ordering::Less,
        (false, false) => {
            let ascending = a.partial_cmp(&b).expect("neither is NaN");
            if op == AggregateOp::Topk {
                ascending.reverse()
            } else {
                ascending
            }
        }
    }
}

/// A binary heap of the best `k`, the worst on top.
///
/// It is written out because among equal values its shape decides which one stays, and that is
/// to be the one that Prometheus keeps.
struct Heap {
    op: AggregateOp,
    k: usize,
}

impl Heap {
    fn offer(&self, heap: &mut Vec<Element>, element: Element) {
        if heap.len() < self.k {
            let last = heap.len();
            heap.push(element);
            self.rise(heap, last);
            return;
        }
        let (worst, new) = (value(&heap[0]), value(&element));
        let is_better = match self.op {
            AggregateOp::Topk => worst < new,
            _ => worst > new,
        };
        if is_better || (worst.is_nan() && !new.is_nan()) {
            heap[0] = element;
            self.sink(heap, 0);
        }
    }

    /// Tells whether `a` belongs above `b`: it is worse.
    fn is_above(&self, a: &Element, b: &Element) -> bool {
        let (a, b) = (value(a), value(b));
        match self.op {
            _ if a.is_nan() => true,
            AggregateOp::Topk => a < b,
            _ => a > b,
        }
    }

    fn rise(&self, heap: &mut [Element], mut at: usize) {
        while at > 0 {
            let parent = (at - 1) / 2;
            if !self.is_above(&heap[at], &heap[parent]) {
                break;
            }
            heap.swap(at, parent);
            at = parent;
        }
    }

    fn sink(&self, heap: &mut [Element], mut at: usize) {
        loop {
            let left = 2 * at + 1;
            if left >= heap.len() {
                break;
            }
            let right = left + 1;
            let child = if right < heap.len() && self.is_above(&heap[right], &heap[left]) {
                right
            } else {
                left
            };
            if !self.is_above(&heap[child], &heap[at]) {
                break;
            }
            heap.swap(at, child);
            at = child;
        }
    }
}
