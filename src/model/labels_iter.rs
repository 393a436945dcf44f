//! The pairs of a label set in their order, read from either of the ways in which it is written.
//!
//! Called by [`Labels`](crate::model::Labels), which says what the two ways are.

/// Takes a text from the front of others.
#[inline]
fn take_text<'a>(texts: &mut &'a str) -> &'a str {
    let (mut length, mut shift, mut at) = (0, 0, 0);
    for byte in texts.bytes() {
        length |= usize::from(byte & 0x3f) << shift;
        (shift, at) = (shift + 6, at + 1);
        if byte < 1 << 6 {
            break;
        }
    }
    let (text, rest) = texts[at..].split_at(length);
    *texts = rest;
    text
}

/// Iterates over the pairs of a [`Labels`](crate::model::Labels).
#[derive(Clone)]
pub struct LabelsIter<'a> {
    /// Of the set, or of the one that it is written against.
    pub(super) pairs: &'a str,
    /// The values that differ from those, each behind its position.
    pub(super) own: &'a str,
    pub(super) position: u8,
}

impl<'a> LabelsIter<'a> {
    /// Returns the next pair, its position in the base, and whether its value differs from there;
    /// the value is empty where the set has no such label.
    #[inline]
    pub(super) fn next_at(&mut self) -> Option<(u8, bool, (&'a str, &'a str))> {
        if self.pairs.is_empty() {
            return None;
        }
        let name = take_text(&mut self.pairs);
        let value = take_text(&mut self.pairs);
        let position = self.position;
        // Nobody looks at the position where there are no values of its own.
        self.position = position.wrapping_add(1);
        if self.own.as_bytes().first() != Some(&position) {
            return Some((position, false, (name, value)));
        }
        self.own = &self.own[1..];
        let value = take_text(&mut self.own);
        Some((position, true, (name, value)))
    }

    /// Goes on in two sets that are written against one base to the first pair in which they differ.
    pub(super) fn skip_alike(a: &mut Self, b: &mut Self) {
        let next_own = |texts: &mut &'a str| {
            let position = texts.bytes().next()?;
            *texts = &texts[1..];
            Some((position, take_text(texts)))
        };
        let position = loop {
            let (mut rest_of_a, mut rest_of_b) = (a.own, b.own);
            match (next_own(&mut rest_of_a), next_own(&mut rest_of_b)) {
                (Some(of_a), Some(of_b)) if of_a == of_b => {
                    (a.own, b.own) = (rest_of_a, rest_of_b);
                }
                (Some((of_a, _)), Some((of_b, _))) => break of_a.min(of_b),
                (Some((position, _)), None) | (None, Some((position, _))) => break position,
                (None, None) => {
                    (a.pairs, b.pairs) = ("", "");
                    return;
                }
            }
        };
        for _ in 0..2 * u32::from(position) {
            take_text(&mut a.pairs);
        }
        b.pairs = a.pairs;
        (a.position, b.position) = (position, position);
    }
}

impl<'a> Iterator for LabelsIter<'a> {
    type Item = (&'a str, &'a str);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let (_, _, (name, value)) = self.next_at()?;
            if !value.is_empty() {
                return Some((name, value));
            }
        }
    }
}
