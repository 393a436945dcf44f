//! What an engine remembers for contexts, within bounds: changes, recent alerts, and the contexts
//! of alerts that fire, as the text in which they were told.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::context::annotations::annotations;
use crate::context::build::Context;
use crate::context::changes::Changes;
use crate::context::json::to_json;
use crate::context::recent::RecentAlerts;
use crate::model::Labels;
use crate::model::bytes::{ByteReader, ByteWriter, Read};

/// A context as text.
#[derive(Clone, Debug, PartialEq)]
pub struct BuiltContext {
    /// As annotations.
    pub annotations: Vec<(String, String)>,
    /// As JSON.
    pub json: Arc<str>,
}

impl BuiltContext {
    /// Writes a context.
    pub fn of(context: &Context) -> Self {
        BuiltContext {
            annotations: annotations(context),
            json: Arc::from(to_json(context)),
        }
    }
}

/// What an engine remembers for contexts.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ContextState {
    /// What somebody told was changed.
    pub changes: Changes,
    /// The alerts of the last 24 hours.
    pub recent: RecentAlerts,
    /// The contexts of alerts that fire.
    pub built: BTreeMap<Labels, BuiltContext>,
    /// How many contexts were built.
    pub n_built: u64,
    /// How many samples were read for them.
    pub n_samples: u64,
}

impl ContextState {
    /// Puts everything.
    pub fn save(&self, out: &mut ByteWriter) {
        let ContextState {
            changes,
            recent,
            built,
            n_built,
            n_samples,
        } = self;
        changes.save(out);
        recent.save(out);
        out.list(built.iter(), |out, (labels, built)| {
            out.labels(labels);
            out.list(built.annotations.iter(), |out, (name, text)| {
                out.text(name);
                out.text(text);
            });
            out.text(&built.json);
        });
        out.number(*n_built);
        out.number(*n_samples);
    }

    /// Takes what [`ContextState::save`] has put.
    pub fn load(read: &mut ByteReader<'_>) -> Read<ContextState> {
        Ok(ContextState {
            changes: Changes::load(read)?,
            recent: RecentAlerts::load(read)?,
            built: read.list(3, |read| {
                let labels = read.labels()?;
                let built = BuiltContext {
                    annotations: read.list(2, |read| Ok((read.string()?, read.string()?)))?,
                    json: Arc::from(read.text()?),
                };
                Ok((labels, built))
            })?,
            n_built: read.number()?,
            n_samples: read.number()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Change, DurationMs, TimestampMs};

    #[test]
    fn what_was_saved_is_loaded() {
        let labels = Labels::from_pairs([("alertname", "A"), ("job", "a")]);
        let change = Change {
            at: TimestampMs(7),
            kind: "config".to_owned(),
            labels: labels.clone(),
            version: "v".to_owned(),
            text: "t".to_owned(),
            link: "http://l".to_owned(),
        };
        let mut state = ContextState::default();
        let bounds = (9, DurationMs::from_seconds(9));
        state.changes.add(&change, TimestampMs(8), bounds);
        state
            .recent
            .fired(labels.clone(), labels.clone(), TimestampMs(1), 9);
        state.recent.ended(&labels, TimestampMs(2));
        let built = BuiltContext {
            annotations: vec![("a".to_owned(), "b".to_owned())],
            json: Arc::from("{}"),
        };
        state.built.insert(labels, built);
        (state.n_built, state.n_samples) = (1, 2);
        let mut out = ByteWriter::default();
        state.save(&mut out);
        let bytes = out.into_bytes();
        let mut read = ByteReader::new(&bytes);
        assert_eq!(ContextState::load(&mut read), Ok(state));
        assert_eq!(read.end(), Ok(()));
        for cut in 0..bytes.len() {
            assert!(ContextState::load(&mut ByteReader::new(&bytes[..cut])).is_err());
        }
    }
}
