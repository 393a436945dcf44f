//! A label set that is being put together, pair by pair: sorted from the first, so that building
//! packs what is there and sorts nothing. What a finished set is stands in [`labels`].
//!
//! [`labels`]: crate::model::labels

use crate::model::labels::Labels;

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
