//! A sorted label set in one allocation.
//!
//! Cloning is a reference count, equality is mostly one comparison of bytes, and looking a set up
//! costs the same however long it is, since its hash stands before the texts.
//!
//! A set is written in one of two ways. Usually all pairs lie one after the other, each text behind
//! its length. But the series of one target differ in few of their labels, and there are very many
//! of them: of those only the values are written that differ from a set with the same names, the
//! [`LabelsBase`]. Both are equal, hash alike and read alike; only [`Labels::against`] makes the
//! second kind, and sets made by leaving labels out of one are of it, where that is shorter.
//!
//! Positions and lengths are written as characters of seven bits, which keeps the whole valid
//! UTF-8 and so free of `unsafe`; a single name or value may be up to [`Labels::TEXT_BYTES_MAX`].

use std::cell::Cell;
use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};

use triomphe::{Arc, HeaderSlice};
use xxhash_rust::xxh3::xxh3_64;

use crate::model::labels_builder::LabelsBuilder;

pub use crate::model::labels_iter::LabelsIter;
pub use crate::model::quote::quote;

/// The label that holds the metric name.
pub const METRIC_NAME: &str = "__name__";
/// The label that holds an alert's name.
pub const ALERT_NAME: &str = "alertname";
/// The metric that holds one sample per pending or firing alert.
pub const ALERTS: &str = "ALERTS";
/// The metric that holds since when an alert is active.
pub const ALERTS_FOR_STATE: &str = "ALERTS_FOR_STATE";
/// The label that holds a classic histogram's upper bound.
pub const BUCKET_LABEL: &str = "le";

/// The labels that make a target: what is scraped at once.
pub const TARGET_LABELS: [&str; 2] = ["job", "instance"];

/// A label set: names unique, sorted by name, no empty values.
#[derive(Clone)]
pub struct Labels(Arc<HeaderSlice<Header, str>>);

/// What stands before the texts.
struct Header {
    /// Of all pairs as they are written without a base.
    hash: u64,
    /// What the texts are to be read with.
    base: Option<LabelsBase>,
}

/// A label set that others of the same names are written against, by what differs.
#[derive(Clone)]
pub struct LabelsBase(Arc<Labels>);

impl LabelsBase {
    /// Positions are written as one character of seven bits.
    const LABELS_MAX: usize = 1 << 7;

    /// Returns a copy of a set as a base; `None` where it has too many labels to be one.
    pub fn new(labels: &Labels) -> Option<Self> {
        let fits = labels.len() <= Self::LABELS_MAX;
        fits.then(|| LabelsBase(Arc::new(Labels::from_sorted(labels.iter()))))
    }

    /// Tells whether there are sets that are written against it, besides other clones of it.
    pub fn is_used(&self) -> bool {
        !Arc::is_unique(&self.0)
    }
}

impl PartialEq for Labels {
    fn eq(&self, other: &Self) -> bool {
        let (a, b) = (&*self.0, &*other.0);
        if Arc::ptr_eq(&self.0, &other.0) {
            return true;
        }
        if a.header.hash != b.header.hash {
            return false;
        }
        let are_alike = match (&a.header.base, &b.header.base) {
            (None, None) => true,
            (Some(a), Some(b)) => Arc::ptr_eq(&a.0, &b.0),
            _ => false,
        };
        match are_alike {
            true => a.slice == b.slice,
            false => self.iter().eq(other.iter()),
        }
    }
}

impl Eq for Labels {}

impl Hash for Labels {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.0.header.hash);
    }
}

/// Where sets are written before their length is known.
#[derive(Default)]
struct Scratch {
    /// All pairs.
    pairs: String,
    /// What differs from a base.
    own: String,
}

thread_local! {
    static SCRATCH: Cell<Option<Scratch>> = const { Cell::new(None) };
}

/// More is not kept for the next set.
const SCRATCH_MAX: usize = 1 << 16;

/// Calls `with` with empty texts that have room.
fn with_scratch<T>(with: impl FnOnce(&mut Scratch) -> T) -> T {
    // Taken and put back: `with` may make other sets meanwhile.
    let mut scratch = SCRATCH.take().unwrap_or_default();
    scratch.pairs.clear();
    scratch.own.clear();
    let result = with(&mut scratch);
    if scratch.pairs.capacity().max(scratch.own.capacity()) <= SCRATCH_MAX {
        SCRATCH.set(Some(scratch));
    }
    result
}

impl Labels {
    /// The longest name or value that a label set can hold, in bytes.
    pub const TEXT_BYTES_MAX: usize = (1 << 21) - 1;

    /// Returns the empty label set.
    pub fn empty() -> Self {
        Labels::from_sorted(std::iter::empty())
    }

    /// Builds a label set from pairs in any order; a later pair replaces an earlier one of the
    /// same name, and a pair with an empty value removes it.
    pub fn from_pairs<N: AsRef<str>, V: AsRef<str>>(
        pairs: impl IntoIterator<Item = (N, V)>,
    ) -> Self {
        let mut builder = LabelsBuilder::default();
        for (name, value) in pairs {
            builder.set(name.as_ref(), value.as_ref());
        }
        builder.build()
    }

    /// Builds from pairs that are already sorted by name, unique and without empty values.
    pub fn from_sorted<'a>(pairs: impl Iterator<Item = (&'a str, &'a str)>) -> Self {
        with_scratch(|scratch| {
            for (name, value) in pairs {
                push_text(&mut scratch.pairs, name);
                push_text(&mut scratch.pairs, value);
            }
            let hash = xxh3_64(scratch.pairs.as_bytes());
            Labels::written(hash, None, &scratch.pairs)
        })
    }

    /// Builds from pairs that are already sorted by name, unique and without empty values, by what
    /// differs from `base`; `None` where names differ.
    pub fn from_sorted_against(pairs: &[(&str, &str)], base: &LabelsBase) -> Option<Self> {
        with_scratch(|scratch| {
            let mut of_base = base.0.iter();
            for (position, (name, value)) in (0_u8..).zip(pairs) {
                let (base_name, base_value) = of_base.next()?;
                if base_name != *name {
                    return None;
                }
                push_text(&mut scratch.pairs, name);
                push_text(&mut scratch.pairs, value);
                if base_value != *value {
                    push_at(&mut scratch.own, position, value);
                }
            }
            let hash = xxh3_64(scratch.pairs.as_bytes());
            let is_whole = of_base.next().is_none();
            is_whole.then(|| Labels::written(hash, Some(base.clone()), &scratch.own))
        })
    }

    fn written(hash: u64, base: Option<LabelsBase>, texts: &str) -> Self {
        Labels(Arc::from_header_and_str(Header { hash, base }, texts))
    }

    /// Returns the same set, written by what differs from `base`; as it is where names differ.
    pub fn against(&self, base: &LabelsBase) -> Self {
        with_scratch(|scratch| {
            let (mut own, mut position) = (self.iter(), 0);
            for (name, value) in base.0.iter() {
                match own.next() {
                    Some((own_name, _)) if own_name != name => return self.clone(),
                    Some((_, own_value)) if own_value != value => {
                        push_at(&mut scratch.own, position, own_value);
                    }
                    Some(_) => {}
                    None => return self.clone(),
                }
                position += 1;
            }
            match own.next() {
                Some(_) => self.clone(),
                None => Labels::written(self.0.header.hash, Some(base.clone()), &scratch.own),
            }
        })
    }

    /// Returns the value of `name`, or `None` where the set has no such label.
    pub fn get(&self, name: &str) -> Option<&str> {
        for (key, value) in self.iter() {
            match key.cmp(name) {
                Ordering::Less => {}
                Ordering::Equal => return Some(value),
                Ordering::Greater => return None,
            }
        }
        None
    }

    /// Returns the value of `name`, or the empty text: PromQL makes no difference.
    pub fn value(&self, name: &str) -> &str {
        self.get(name).unwrap_or("")
    }

    /// Returns the metric name, or the empty text.
    pub fn metric_name(&self) -> &str {
        self.value(METRIC_NAME)
    }

    /// Iterates over `(name, value)` in the order of names.
    pub fn iter(&self) -> LabelsIter<'_> {
        let texts = &self.0.slice;
        match &self.0.header.base {
            None => LabelsIter {
                pairs: texts,
                own: "",
                position: 0,
            },
            Some(base) => LabelsIter {
                pairs: &base.0.0.slice,
                own: texts,
                position: 0,
            },
        }
    }

    /// Returns the number of labels.
    pub fn len(&self) -> usize {
        self.iter().count()
    }

    /// Tells whether there are no labels.
    pub fn is_empty(&self) -> bool {
        self.iter().next().is_none()
    }

    /// Returns the heap bytes of the set; what it is written against counts for itself.
    pub fn heap_bytes(&self) -> usize {
        size_of::<usize>() + size_of::<Header>() + self.0.slice.len()
    }

    /// Returns the set with only those labels for which `keep` is true.
    pub fn filter(&self, mut keep: impl FnMut(&str) -> bool) -> Self {
        let Some(base) = &self.0.header.base else {
            return Labels::from_sorted(self.iter().filter(|(name, _)| keep(name)));
        };
        with_scratch(|Scratch { pairs, own }| {
            let mut iter = self.iter();
            while let Some((position, is_own, (name, value))) = iter.next_at() {
                // What was left out before has no value.
                let is_kept = !value.is_empty() && keep(name);
                if is_kept {
                    push_text(pairs, name);
                    push_text(pairs, value);
                }
                match (is_kept, is_own) {
                    (false, _) => push_at(own, position, ""),
                    (true, true) => push_at(own, position, value),
                    (true, false) => {}
                }
            }
            let hash = xxh3_64(pairs.as_bytes());
            match 2 * own.len() < pairs.len() {
                true => Labels::written(hash, Some(base.clone()), own),
                false => Labels::written(hash, None, pairs),
            }
        })
    }

    /// Returns the set without the metric name.
    pub fn without_name(&self) -> Self {
        if self.get(METRIC_NAME).is_none() {
            return self.clone();
        }
        self.filter(|name| name != METRIC_NAME)
    }

    /// Returns the set with `name` set to `value` (removed where `value` is empty).
    pub fn with(&self, name: &str, value: &str) -> Self {
        self.overlaid(&[(name, value)])
    }

    /// Returns the set with other pairs besides and instead of its own; they are sorted by name, each
    /// name once, and an empty value removes.
    pub fn overlaid<V: AsRef<str>>(&self, pairs: &[(&str, V)]) -> Self {
        debug_assert!(pairs.is_sorted_by(|a, b| a.0 < b.0), "sorted by name");
        let mut own = self.iter().peekable();
        let mut above = pairs
            .iter()
            .map(|(name, value)| (*name, value.as_ref()))
            .peekable();
        let merged = std::iter::from_fn(|| match (own.peek(), above.peek()) {
            (Some((name, _)), Some((laid, _))) => match name.cmp(laid) {
                Ordering::Less => own.next(),
                Ordering::Equal => own.next().and_then(|_| above.next()),
                Ordering::Greater => above.next(),
            },
            (Some(_), None) => own.next(),
            (None, _) => above.next(),
        });
        Labels::from_sorted(merged.filter(|(_, value)| !value.is_empty()))
    }

    /// Returns Prometheus' hash of the set: xxh64 over `name 0xff value 0xff …`.
    pub fn hash64(&self) -> u64 {
        let mut hasher = xxhash_rust::xxh64::Xxh64::new(0);
        for (name, value) in self.iter() {
            hasher.update(name.as_bytes());
            hasher.update(&[0xff]);
            hasher.update(value.as_bytes());
            hasher.update(&[0xff]);
        }
        hasher.digest()
    }

    /// Returns Alertmanager's fingerprint: FNV-1a 64 over `name 0xff value 0xff …`.
    pub fn fingerprint(&self) -> u64 {
        let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
        let mut add = |byte: u8| hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        for (name, value) in self.iter() {
            name.bytes().for_each(&mut add);
            add(0xff);
            value.bytes().for_each(&mut add);
            add(0xff);
        }
        hash
    }
}

fn push_text(packed: &mut String, text: &str) {
    debug_assert!(text.len() <= Labels::TEXT_BYTES_MAX, "checked at the door");
    // Six bits a character, the low ones first; the seventh says that more follow.
    let mut length = text.len();
    while length >= 1 << 6 {
        packed.push(char::from((length & 0x3f) as u8 | 1 << 6));
        length >>= 6;
    }
    packed.push(char::from(length as u8));
    packed.push_str(text);
}

/// Writes the value that stands at a position instead of the base's; none where it is empty.
fn push_at(texts: &mut String, position: u8, value: &str) {
    texts.push(char::from(position));
    push_text(texts, value);
}

impl Ord for Labels {
    fn cmp(&self, other: &Self) -> Ordering {
        // What is the same, hashes tell.
        if self == other {
            return Ordering::Equal;
        }
        let (mut a, mut b) = (self.iter(), other.iter());
        if let (Some(base), Some(other)) = (&self.0.header.base, &other.0.header.base)
            && Arc::ptr_eq(&base.0, &other.0)
        {
            LabelsIter::skip_alike(&mut a, &mut b);
        }
        a.cmp(b)
    }
}

impl PartialOrd for Labels {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for Labels {
    /// Prints `name{a="b", c="d"}` as Prometheus does; names that are not identifiers are quoted.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.metric_name();
        let plain_name = is_legacy_metric_name(name);
        if plain_name {
            f.write_str(name)?;
        }
        let mut separator = "";
        let rest = || self.iter().filter(|(key, _)| *key != METRIC_NAME);
        let quoted_name = !name.is_empty() && !plain_name;
        if !quoted_name && rest().next().is_none() && !name.is_empty() {
            return Ok(());
        }
        f.write_str("{")?;
        if quoted_name {
            write!(f, "{}", quote(name))?;
            separator = ", ";
        }
        for (key, value) in rest() {
            f.write_str(separator)?;
            if is_legacy_label_name(key) {
                f.write_str(key)?;
            } else {
                f.write_str(&quote(key))?;
            }
            write!(f, "={}", quote(value))?;
            separator = ", ";
        }
        f.write_str("}")
    }
}

impl fmt::Debug for Labels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Tells whether `name` is `[a-zA-Z_:][a-zA-Z0-9_:]*`.
pub fn is_legacy_metric_name(name: &str) -> bool {
    let tail = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b':';
    let bytes = name.as_bytes();
    !bytes.is_empty() && !bytes[0].is_ascii_digit() && bytes.iter().all(|b| tail(*b))
}

/// Tells whether `name` is `[a-zA-Z_][a-zA-Z0-9_]*`.
pub fn is_legacy_label_name(name: &str) -> bool {
    is_legacy_metric_name(name) && !name.contains(':')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn labels_are_sorted_unique_and_without_empty_values() {
        let labels = Labels::from_pairs([("b", "2"), ("a", "1"), ("c", ""), ("b", "3")]);
        assert_eq!(labels.to_string(), r#"{a="1", b="3"}"#);
        assert_eq!(labels.get("b"), Some("3"));
        assert_eq!(labels.get("c"), None);
        assert_eq!(labels.with("a", ""), Labels::from_pairs([("b", "3")]));
    }

    #[test]
    fn labels_print_as_prometheus_prints_them() {
        let check = |pairs: &[(&str, &str)], text: &str| {
            assert_eq!(Labels::from_pairs(pairs.iter().copied()).to_string(), text);
        };
        check(&[], "{}");
        check(&[("__name__", "up")], "up");
        check(&[("__name__", "up"), ("job", "a\"b")], r#"up{job="a\"b"}"#);
        check(&[("__name__", "é t"), ("x", "1")], r#"{"é t", x="1"}"#);
    }

    #[test]
    fn long_texts_survive() {
        let long = "x".repeat(300_000);
        let labels = Labels::from_pairs([("a", long.as_str()), ("b", "é")]);
        assert_eq!(labels.get("a").map(str::len), Some(300_000));
        assert_eq!(labels.get("b"), Some("é"));
    }

    #[test]
    fn pairs_are_laid_over_a_set_as_if_set_one_by_one() {
        let labels = Labels::from_pairs([("__name__", "up"), ("b", "2"), ("d", "4")]);
        let check = |pairs: &[(&str, &str)]| {
            let mut one_by_one = LabelsBuilder::from(&labels);
            pairs
                .iter()
                .for_each(|(name, value)| one_by_one.set(name, value));
            let (one_by_one, overlaid) = (one_by_one.build(), labels.overlaid(pairs));
            assert_eq!(overlaid, one_by_one, "{pairs:?}");
            assert_eq!(hash(&overlaid), hash(&one_by_one));
        };
        check(&[]);
        check(&[("__name__", ""), ("a", "1"), ("c", "3"), ("e", "5")]);
        check(&[("b", "9"), ("d", ""), ("e", "")]);
        check(&[("__name__", "x"), ("b", ""), ("d", "")]);
    }

    fn hash(labels: &Labels) -> u64 {
        let hasher = std::hash::BuildHasherDefault::<std::hash::DefaultHasher>::default();
        std::hash::BuildHasher::hash_one(&hasher, labels)
    }

    #[test]
    fn equal_sets_have_equal_hashes_however_they_were_made() {
        let labels = Labels::from_pairs([("a", "1"), ("b", "2")]);
        let same = Labels::from_pairs([("b", "2"), ("c", "3"), ("a", "1")]).with("c", "");
        assert_eq!((hash(&labels), &labels), (hash(&same), &same));
        let other = labels.with("a", "2");
        assert_ne!(hash(&labels), hash(&other));
        assert!(labels != other && !labels.is_empty());
        assert!(labels.filter(|_| false).is_empty() && Labels::empty().is_empty());
    }

    proptest! {
        #[test]
        fn a_set_written_against_another_is_the_same_set(
            values in prop::collection::vec((0u8..3, 0u8..3), 0..12),
            long in 0usize..5_000,
            dropped in any::<u16>(),
        ) {
            let text = |value: u8| match value {
                0 => "short".to_owned(),
                1 => "é".repeat(long),
                _ => "x".repeat(63 + usize::from(value) % 3),
            };
            let set = |of: fn(&(u8, u8)) -> u8| {
                let values = values.iter().map(of).enumerate();
                // Some values are empty, so that the names may differ.
                Labels::from_pairs(values.map(|(n, value)| (format!("n{n:02}"), text(value))))
            };
            let (plain, other) = (set(|two| two.0), set(|two| two.1));
            let base = LabelsBase::new(&other).expect("it has few labels");
            let against = plain.against(&base);
            prop_assert_eq!(base.is_used(), against.0.header.base.is_some());
            let has_names_of = |other: &Labels| plain.iter().map(|l| l.0).eq(other.iter().map(|l| l.0));
            prop_assert_eq!(base.is_used(), has_names_of(&other));
            let pairs: Vec<_> = plain.iter().collect();
            let written = Labels::from_sorted_against(&pairs, &base);
            prop_assert_eq!(written.is_some(), base.is_used());
            prop_assert!(written.is_none_or(|written| written.0.slice == against.0.slice));
            let same = |a: &Labels, b: &Labels| {
                a == b
                    && hash(a) == hash(b)
                    && a.cmp(b) == Ordering::Equal
                    && a.iter().eq(b.iter())
                    && (a.len(), a.is_empty()) == (b.len(), b.is_empty())
                    && a.iter().all(|(name, value)| b.get(name) == Some(value))
            };
            prop_assert!(same(&plain, &against) && same(&against, &against.clone()));
            prop_assert_eq!(against.cmp(&other), plain.cmp(&other));
            let third = set(|two| two.0.max(two.1)).against(&base);
            prop_assert_eq!(against.cmp(&third), plain.iter().cmp(third.iter()));
            let without = third.filter(|name| name != "n02");
            prop_assert_eq!(without.cmp(&against), without.iter().cmp(plain.iter()));
            prop_assert_eq!(against == other, plain == other);
            let keep = |name: &str| {
                let n: u32 = name[1..].parse().expect("a number");
                dropped >> n & 1 == 0
            };
            let (left, of_plain) = (against.filter(keep), plain.filter(keep));
            prop_assert!(same(&left, &of_plain), "{left} for {of_plain}");
            prop_assert_eq!(left == against, of_plain == plain);
            let twice = against.filter(|name| keep(name) && name != "n01");
            prop_assert!(same(&left.filter(|name| name != "n01"), &twice));
            prop_assert!(same(&left.against(&base), &left));
        }
    }

    #[test]
    fn what_all_series_of_a_target_share_is_written_once() {
        let series = |n: usize| {
            let pairs = [
                ("__name__", "http_requests_total".to_owned()),
                ("handler", format!("/v1/{n}")),
                ("instance", "10.0.0.1:9090".to_owned()),
                ("job", "model-server".to_owned()),
                ("pod", "model-server-7d4b9c6f5-000001".to_owned()),
            ];
            Labels::from_pairs(pairs)
        };
        let base = LabelsBase::new(&series(0)).expect("it has few labels");
        let against = series(1).against(&base);
        assert_eq!(against.heap_bytes(), 24 + 2 + "/v1/1".len());
        let nameless = against.without_name();
        assert_eq!(nameless.heap_bytes(), 24 + 2 + 2 + "/v1/1".len());
        assert_eq!(nameless, series(1).without_name());
        drop((against, nameless));
        assert!(!base.is_used());
    }
}
