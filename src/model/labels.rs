//! A sorted label set in one allocation.
//!
//! All pairs lie in one `Arc<str>`, each text behind its length, so that cloning is a
//! reference count, equality is one comparison of bytes, and a series costs one allocation.
//! Before them stands a hash of them, so that looking a set up costs the same however long it is.
//! Hash and lengths are written as characters of seven bits, which keeps the whole valid UTF-8
//! and so free of `unsafe`; a single name or value may be up to [`Labels::TEXT_BYTES_MAX`].

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use xxhash_rust::xxh3::xxh3_64;

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

/// Eight characters of seven bits before the pairs: their hash.
const HASH_BYTES: usize = 8;

/// A label set: names unique, sorted by name, no empty values.
#[derive(Clone)]
pub struct Labels(Arc<str>);

impl PartialEq for Labels {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || self.0 == other.0
    }
}

impl Eq for Labels {}

impl Hash for Labels {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let bytes = self.0.as_bytes().first_chunk::<HASH_BYTES>();
        state.write_u64(u64::from_le_bytes(
            *bytes.expect("every set begins with its hash"),
        ));
    }
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
        let mut packed = " ".repeat(HASH_BYTES);
        for (name, value) in pairs {
            push_text(&mut packed, name);
            push_text(&mut packed, value);
        }
        let hash = xxh3_64(&packed.as_bytes()[HASH_BYTES..]).to_le_bytes();
        let hash = hash.map(|byte| byte & 0x7f);
        let hash = std::str::from_utf8(&hash).expect("seven bits are ASCII");
        packed.replace_range(..HASH_BYTES, hash);
        Labels(Arc::from(packed))
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
        LabelsIter {
            rest: &self.0[HASH_BYTES..],
        }
    }

    /// Returns the number of labels.
    pub fn len(&self) -> usize {
        self.iter().count()
    }

    /// Tells whether there are no labels.
    pub fn is_empty(&self) -> bool {
        self.0.len() == HASH_BYTES
    }

    /// Returns the heap bytes of the set.
    pub fn heap_bytes(&self) -> usize {
        self.0.len() + 16
    }

    /// Returns the set with only those labels for which `keep` is true.
    pub fn filter(&self, mut keep: impl FnMut(&str) -> bool) -> Self {
        Labels::from_sorted(self.iter().filter(|(name, _)| keep(name)))
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
        let mut builder = LabelsBuilder::from(self);
        builder.set(name, value);
        builder.build()
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
    let length = text.len().min(Labels::TEXT_BYTES_MAX);
    for shift in [14, 7, 0] {
        packed.push(char::from(((length >> shift) & 0x7f) as u8));
    }
    packed.push_str(text);
}

/// Iterates over the pairs of a [`Labels`].
#[derive(Clone)]
pub struct LabelsIter<'a> {
    rest: &'a str,
}

impl<'a> LabelsIter<'a> {
    fn text(&mut self) -> &'a str {
        let head = self.rest.as_bytes();
        let length =
            (usize::from(head[0]) << 14) | (usize::from(head[1]) << 7) | usize::from(head[2]);
        let (text, rest) = self.rest[3..].split_at(length);
        self.rest = rest;
        text
    }
}

impl<'a> Iterator for LabelsIter<'a> {
    type Item = (&'a str, &'a str);

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        Some((self.text(), self.text()))
    }
}

impl Ord for Labels {
    fn cmp(&self, other: &Self) -> Ordering {
        self.iter().cmp(other.iter())
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

/// Collects pairs and builds a [`Labels`].
#[derive(Clone, Debug, Default)]
pub struct LabelsBuilder {
    pairs: Vec<(String, String)>,
}

impl From<&Labels> for LabelsBuilder {
    fn from(labels: &Labels) -> Self {
        let owned = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
        LabelsBuilder {
            pairs: labels.iter().map(owned).collect(),
        }
    }
}

impl LabelsBuilder {
    /// Sets `name` to `value`; an empty value removes the label.
    pub fn set(&mut self, name: &str, value: &str) {
        match self
            .pairs
            .binary_search_by(|(key, _)| key.as_str().cmp(name))
        {
            Ok(at) if value.is_empty() => drop(self.pairs.remove(at)),
            Ok(at) => self.pairs[at].1 = value.to_owned(),
            Err(_) if value.is_empty() => {}
            Err(at) => self.pairs.insert(at, (name.to_owned(), value.to_owned())),
        }
    }

    /// Removes the label `name`.
    pub fn remove(&mut self, name: &str) {
        self.set(name, "");
    }

    /// Returns the value of `name` so far.
    pub fn get(&self, name: &str) -> Option<&str> {
        let at = self
            .pairs
            .binary_search_by(|(key, _)| key.as_str().cmp(name))
            .ok()?;
        Some(&self.pairs[at].1)
    }

    /// Returns the finished label set.
    pub fn build(&self) -> Labels {
        Labels::from_sorted(
            self.pairs
                .iter()
                .map(|(name, value)| (name.as_str(), value.as_str())),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
    fn equal_sets_have_equal_hashes_however_they_were_made() {
        let hash = |labels: &Labels| {
            std::hash::BuildHasher::hash_one(
                &std::hash::BuildHasherDefault::<std::hash::DefaultHasher>::default(),
                labels,
            )
        };
        let labels = Labels::from_pairs([("a", "1"), ("b", "2")]);
        let same = Labels::from_pairs([("b", "2"), ("c", "3"), ("a", "1")]).with("c", "");
        assert_eq!((hash(&labels), &labels), (hash(&same), &same));
        let other = labels.with("a", "2");
        assert_ne!(hash(&labels), hash(&other));
        assert!(labels != other && !labels.is_empty());
        assert!(labels.filter(|_| false).is_empty() && Labels::empty().is_empty());
    }

    #[test]
    fn texts_are_quoted_as_in_go() {
        let check = |text: &str, expected: &str| assert_eq!(quote(text), expected, "{text:?}");
        check("a\"b\\c", r#""a\"b\\c""#);
        check("\n\u{1}\u{7f}", r#""\n\x01\x7f""#);
        check("é e\u{301} 世", "\"é e\u{301} 世\"");
        check("\u{a0}\u{feff}\u{85}", r#""\u00a0\ufeff\u0085""#);
        check("\u{10ffff}😀", "\"\\U0010ffff😀\"");
    }
}
