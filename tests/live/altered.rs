//! The comparison sees: with one of the two sides altered the property does not hold.

use std::cell::Cell;

use burnwatch::model::{Entry, TimestampMs, is_stale_nan};
use proptest::test_runner::{Config, TestCaseError, TestError, TestRunner};

use crate::equal::{Alter, cases, check};

/// Changes the samples of every so manieth request.
fn change(
    (number, each): (usize, usize),
    entry: &Entry,
    how: impl Fn(&mut burnwatch::model::Batch),
) -> Entry {
    let mut entry = entry.clone();
    if let Entry::Samples { batch, .. } = &mut entry
        && number % each == 0
    {
        how(batch);
    }
    entry
}

fn is_found(what: &str, alter: Alter<'_>) {
    let mut runner = TestRunner::new(Config {
        cases: 100,
        max_shrink_iters: 0,
        failure_persistence: None,
        ..Config::default()
    });
    let n_tried = Cell::new(0);
    let outcome = runner.run(&cases(), |case| {
        n_tried.set(n_tried.get() + 1);
        check(&case, alter).map(|_| ()).map_err(TestCaseError::fail)
    });
    assert!(
        matches!(outcome, Err(TestError::Fail(..))),
        "{what} was not noticed in {} streams: {outcome:?}",
        n_tried.get()
    );
    say!("{what} is noticed in stream {}", n_tried.get());
}

#[test]
fn one_side_altered_is_noticed() {
    is_found("a lost sample", &|number, entry| {
        change((number, 5), entry, |batch| {
            batch.floats.pop();
        })
    });
    is_found("a value off by one bit", &|number, entry| {
        change((number, 5), entry, |batch| {
            if let Some((_, _, value)) = batch.floats.first_mut().filter(|f| !is_stale_nan(f.2)) {
                *value = f64::from_bits(value.to_bits() ^ 1);
            }
        })
    });
    is_found("a timestamp off by a millisecond", &|number, entry| {
        change((number, 2), entry, |batch| {
            for (_, at, _) in &mut batch.floats {
                *at = TimestampMs(at.0 - 1);
            }
        })
    });
    is_found("a lost stale marker", &|number, entry| {
        change((number, 1), entry, |batch| {
            batch.floats.retain(|(_, _, value)| !is_stale_nan(*value));
        })
    });
    is_found("a lost native histogram", &|number, entry| {
        change((number, 3), entry, |batch| batch.histograms.clear())
    });
}
