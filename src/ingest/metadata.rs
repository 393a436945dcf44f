//! What metrics mean, as senders say it: type, help and unit by metric name.

use dashmap::DashMap;

/// The types in the order of their numbers, the same in both protocols.
const KINDS: [&str; 8] = [
    "unknown",
    "counter",
    "gauge",
    "histogram",
    "gaugehistogram",
    "summary",
    "info",
    "stateset",
];

/// The longest help or unit kept; longer ones are cut. A longer metric name is not kept at all.
const TEXT_BYTES_MAX: usize = 1024;

/// What a metric means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Metadata {
    /// `counter`, `gauge`, …, `unknown`
    pub kind: &'static str,
    /// The help text.
    pub help: String,
    /// The unit.
    pub unit: String,
}

/// Metadata by metric name, the newest of each.
#[derive(Debug)]
pub struct MetadataStore {
    by_metric: DashMap<String, Metadata>,
    metrics_max: usize,
}

impl MetadataStore {
    /// Returns a store of at most `metrics_max` metrics; that of further ones is not kept.
    pub fn new(metrics_max: usize) -> Self {
        MetadataStore {
            by_metric: DashMap::new(),
            metrics_max,
        }
    }

    /// Returns of how many metrics metadata is kept.
    pub fn len(&self) -> usize {
        self.by_metric.len()
    }

    /// Tells whether there is none.
    pub fn is_empty(&self) -> bool {
        self.by_metric.is_empty()
    }

    /// Sets a metric's metadata as it came off the wire; texts that are not UTF-8 are mended.
    pub fn set(&self, metric: &str, kind: u64, help: &[u8], unit: &[u8]) {
        let kind = usize::try_from(kind).ok().and_then(|kind| KINDS.get(kind));
        let kind = kind.copied().unwrap_or(KINDS[0]);
        let says_nothing = kind == KINDS[0] && help.is_empty() && unit.is_empty();
        if metric.is_empty() || metric.len() > TEXT_BYTES_MAX || says_nothing {
            return;
        }
        if let Some(known) = self.by_metric.get(metric) {
            let same = known.kind == kind
                && known.help.as_bytes() == help
                && known.unit.as_bytes() == unit;
            if same {
                return;
            }
        } else if self.by_metric.len() >= self.metrics_max {
            return;
        }
        let text = |bytes: &[u8]| {
            String::from_utf8_lossy(&bytes[..bytes.len().min(TEXT_BYTES_MAX)]).into_owned()
        };
        let metadata = Metadata {
            kind,
            help: text(help),
            unit: text(unit),
        };
        self.by_metric.insert(metric.to_owned(), metadata);
    }

    /// Returns a metric's metadata.
    pub fn get(&self, metric: &str) -> Option<Metadata> {
        self.by_metric.get(metric).map(|found| found.clone())
    }

    /// Returns all metadata, ordered by metric name.
    pub fn all(&self) -> Vec<(String, Metadata)> {
        let pair = |entry: dashmap::mapref::multiple::RefMulti<'_, String, Metadata>| {
            (entry.key().clone(), entry.value().clone())
        };
        let mut all: Vec<_> = self.by_metric.iter().map(pair).collect();
        all.sort_by(|a, b| a.0.cmp(&b.0));
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_metadata_is_kept_within_bounds() {
        let store = MetadataStore::new(2);
        store.set("a", 1, b"first", b"");
        store.set("a", 2, b"second", b"seconds");
        store.set("b", 99, b"\xff", b"");
        store.set("c", 1, b"one too many", b"");
        store.set("", 1, b"nameless", b"");
        store.set("nothing", 0, b"", b"");
        let expected = |kind, help: &str, unit: &str| Metadata {
            kind,
            help: help.to_owned(),
            unit: unit.to_owned(),
        };
        assert_eq!(
            store.all(),
            [
                ("a".to_owned(), expected("gauge", "second", "seconds")),
                ("b".to_owned(), expected("unknown", "\u{fffd}", "")),
            ]
        );
        assert_eq!(store.get("c"), None);
    }
}
