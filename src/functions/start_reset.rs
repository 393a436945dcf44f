//! What start timestamps say of a counter: whether it began anew between two samples.
//!
//! The start of a later sample points before the earlier one (the counter goes on), behind it
//! (it began anew), or at it: then it is a series of deltas, each a counter of its own, unless
//! the earlier start is not known.

use crate::model::{NO_START, TimestampMs};

/// When a sample was taken, and since when its counter had been counting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Counted {
    /// When it was taken, ms.
    pub at: TimestampMs,
    /// Since when, ms; [`NO_START`] when it does not say.
    pub start: TimestampMs,
}

impl Counted {
    /// Tells whether the counter began anew between `previous` and this sample.
    pub(super) fn began_after(self, previous: Counted) -> bool {
        // A start at the sample itself means "not known"; one behind it means nothing.
        if self.start == NO_START || self.start >= self.at {
            return false;
        }
        if self.start != previous.at {
            return self.start > previous.at;
        }
        previous.start != NO_START && previous.start < previous.at
    }

    /// Tells whether this sample claims to have been counting before `previous`, though not
    /// since the same instant.
    pub(super) fn overlaps(self, previous: Counted) -> bool {
        self.start != NO_START && self.start < previous.at && self.start != previous.start
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn starts_tell_resets_and_overlaps() {
        // (start, at) of the earlier sample, of the later one; reset, overlap.
        let cases = [
            ((0, 10), (0, 20), false, false),
            ((5, 10), (5, 20), false, false),
            ((5, 10), (15, 20), true, false),
            ((5, 10), (10, 20), true, false),
            ((0, 10), (10, 20), false, false),
            ((10, 10), (10, 20), false, false),
            ((12, 10), (10, 20), false, false),
            ((5, 10), (20, 20), false, false),
            ((5, 10), (25, 20), false, false),
            ((5, 10), (7, 20), false, true),
            ((0, 10), (7, 20), false, true),
            ((-20, -10), (-15, 0), false, true),
        ];
        let counted = |(start, at): (i64, i64)| Counted {
            at: TimestampMs(at),
            start: TimestampMs(start),
        };
        for (earlier, later, reset, overlap) in cases {
            let (previous, sample) = (counted(earlier), counted(later));
            assert_eq!(sample.began_after(previous), reset, "{earlier:?} {later:?}");
            assert_eq!(sample.overlaps(previous), overlap, "{earlier:?} {later:?}");
        }
    }
}
