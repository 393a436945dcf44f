//! Reads the keys of a mapping one by one and refuses those nobody asked for.

use std::path::{Path, PathBuf};

use crate::config::value::{self, Key};
use crate::config::{ConfigError, Secret};
use crate::model::DurationMs;
use crate::model::spelling::nearest;
use crate::yaml::Node;

/// The keys of one mapping. Every getter takes its key; [`Fields::finish`] refuses the rest.
pub struct Fields<'a> {
    node: &'a Node,
    place: String,
    entries: Vec<(Key<'a>, &'a Node)>,
    known: Vec<&'static str>,
}

impl<'a> Fields<'a> {
    /// Opens a mapping; `place` names it in errors (`global`, `alerting.alertmanagers[]`).
    pub fn open(node: &'a Node, place: impl Into<String>) -> Result<Self, ConfigError> {
        let place = place.into();
        Ok(Fields {
            node,
            entries: value::entries(node, &place)?,
            place,
            known: Vec::new(),
        })
    }

    /// Returns the mapping's name in errors.
    pub fn place(&self) -> &str {
        &self.place
    }

    /// Returns an error that points at the mapping.
    pub fn error(&self, message: impl Into<String>) -> ConfigError {
        let message = format!("{}: {}", self.place, message.into());
        ConfigError::at(self.node.place, message)
    }

    /// Tells whether `key` is written and not null.
    pub fn has(&self, key: &str) -> bool {
        let is_written = |(name, node): &(Key<'_>, &Node)| name.text == key && !node.is_null();
        self.entries.iter().any(is_written)
    }

    /// Returns the node under `key`, also where it is null.
    pub fn node_or_null(&mut self, key: &'static str) -> Option<&'a Node> {
        if !self.known.contains(&key) {
            self.known.push(key);
        }
        let found = self.entries.iter().find(|(name, _)| name.text == key);
        found.map(|(_, node)| *node)
    }

    /// Returns the node under `key`; null counts as not written.
    pub fn node(&mut self, key: &'static str) -> Option<&'a Node> {
        self.node_or_null(key).filter(|node| !node.is_null())
    }

    /// Takes every key for which `is_mine` is true.
    pub fn matching(&mut self, is_mine: impl Fn(&str) -> bool) -> Vec<(Key<'a>, &'a Node)> {
        let mine = self.entries.iter().filter(|(key, _)| is_mine(key.text));
        mine.copied().collect()
    }

    fn name(&self, key: &str) -> String {
        if self.place.is_empty() {
            key.to_owned()
        } else {
            format!("{}.{key}", self.place)
        }
    }

    /// Reads a value by `read`, which is told the value's full name for its errors.
    pub fn read<T>(
        &mut self,
        key: &'static str,
        read: impl FnOnce(&'a Node, &str) -> Result<T, ConfigError>,
    ) -> Result<Option<T>, ConfigError> {
        let name = self.name(key);
        self.node(key).map(|node| read(node, &name)).transpose()
    }

    /// Reads a list, each element by `read`.
    pub fn list<T>(
        &mut self,
        key: &'static str,
        mut read: impl FnMut(&'a Node, &str) -> Result<T, ConfigError>,
    ) -> Result<Vec<T>, ConfigError> {
        let name = self.name(key);
        let element_name = format!("{name}[]");
        let Some(node) = self.node(key) else {
            return Ok(Vec::new());
        };
        let elements = value::list(node, &name)?.iter();
        elements.map(|node| read(node, &element_name)).collect()
    }

    /// Reads a list of texts.
    pub fn texts(&mut self, key: &'static str) -> Result<Vec<String>, ConfigError> {
        self.list(key, |node, what| value::text(node, what).map(str::to_owned))
    }

    /// Reads a mapping of texts, in the order of the document.
    pub fn text_map(&mut self, key: &'static str) -> Result<Vec<(String, String)>, ConfigError> {
        let pairs = self.read(key, |node, what| {
            let entries = value::entries(node, what)?.into_iter();
            entries
                .map(|(key, node)| Ok((key.text.to_owned(), value::text(node, what)?.to_owned())))
                .collect()
        })?;
        Ok(pairs.unwrap_or_default())
    }

    /// Reads a text; an empty one is returned as such.
    pub fn text(&mut self, key: &'static str) -> Result<Option<String>, ConfigError> {
        self.read(key, |node, what| value::text(node, what).map(str::to_owned))
    }

    /// Reads a text, an empty one being nothing.
    pub fn nonempty(&mut self, key: &'static str) -> Result<Option<String>, ConfigError> {
        Ok(self.text(key)?.filter(|text| !text.is_empty()))
    }

    /// Reads a secret, an empty one being nothing.
    pub fn secret(&mut self, key: &'static str) -> Result<Option<Secret>, ConfigError> {
        Ok(self.nonempty(key)?.map(Secret::new))
    }

    /// Reads a path, relative ones being joined to `base_dir`.
    pub fn path(
        &mut self,
        key: &'static str,
        base_dir: &Path,
    ) -> Result<Option<PathBuf>, ConfigError> {
        Ok(self.nonempty(key)?.map(|path| base_dir.join(path)))
    }

    /// Reads a duration such as `1h30m`.
    pub fn duration(&mut self, key: &'static str) -> Result<Option<DurationMs>, ConfigError> {
        self.read(key, |node, what| {
            DurationMs::parse(value::text(node, what)?).map_err(|e| {
                ConfigError::at(node.place, format!("{what}: {e}"))
                    .remedy("write a number with a unit: ms, s, m, h, d, w, y")
            })
        })
    }

    /// Reads a duration that must not be zero.
    pub fn positive_duration(
        &mut self,
        key: &'static str,
    ) -> Result<Option<DurationMs>, ConfigError> {
        let at = self.node(key);
        let value = self.duration(key)?;
        match (at, value) {
            (Some(node), Some(DurationMs(0))) => Err(ConfigError::at(
                node.place,
                format!("{} must be more than 0", self.name(key)),
            )),
            _ => Ok(value),
        }
    }

    /// Reads a truth value; `yes`, `no`, `on` and `off` count, as in Prometheus.
    pub fn bool(&mut self, key: &'static str) -> Result<Option<bool>, ConfigError> {
        self.read(key, |node, what| {
            match value::text(node, what)?.to_lowercase().as_str() {
                "true" | "yes" | "on" | "y" => Ok(true),
                "false" | "no" | "off" | "n" => Ok(false),
                other => Err(ConfigError::at(
                    node.place,
                    format!("{what}: {other:?} is neither true nor false"),
                )
                .remedy("write true or false")),
            }
        })
    }

    /// Reads a whole number of at least 0; `1_000` is 1000.
    pub fn number(&mut self, key: &'static str) -> Result<Option<u64>, ConfigError> {
        self.read(key, |node, what| {
            let text = value::text(node, what)?;
            text.replace('_', "").parse().map_err(|_| {
                ConfigError::at(
                    node.place,
                    format!("{what}: {text:?} is not a whole number"),
                )
                .remedy("write digits only, such as 10000")
            })
        })
    }

    /// Reads a size in bytes: a number, or one with `KB`, `MB`, `GB` (powers of 1024).
    pub fn bytes(&mut self, key: &'static str) -> Result<Option<u64>, ConfigError> {
        self.read(key, |node, what| {
            let text = value::text(node, what)?.replace('_', "");
            let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
            let factor = match text[digits.len()..].to_ascii_uppercase().as_str() {
                "" | "B" => Some(1u64),
                "KB" | "KIB" => Some(1 << 10),
                "MB" | "MIB" => Some(1 << 20),
                "GB" | "GIB" => Some(1 << 30),
                "TB" | "TIB" => Some(1 << 40),
                _ => None,
            };
            let number: Option<u64> = digits.trim().parse().ok();
            number
                .zip(factor)
                .and_then(|(number, factor)| number.checked_mul(factor))
                .ok_or_else(|| {
                    ConfigError::at(node.place, format!("{what}: {text:?} is not a size"))
                        .remedy("write bytes, or a number with KB, MB, GB or TB")
                })
        })
    }

    /// Reads one of several words.
    pub fn word<T: Copy>(
        &mut self,
        key: &'static str,
        words: &[(&str, T)],
    ) -> Result<Option<T>, ConfigError> {
        self.read(key, |node, what| value::word(node, what, words))
    }

    /// Refuses keys that no getter asked for and that are none of `others`.
    pub fn finish_except(mut self, others: &[&'static str]) -> Result<(), ConfigError> {
        let others = others.iter().filter(|key| !self.known.contains(key));
        let others: Vec<&'static str> = others.copied().collect();
        self.known.extend(others);
        let is_unknown = |entry: &&(Key<'_>, &Node)| !self.known.contains(&entry.0.text);
        let Some((key, _)) = self.entries.iter().find(is_unknown) else {
            return Ok(());
        };
        let place = if self.place.is_empty() {
            "the file".to_owned()
        } else {
            self.place.clone()
        };
        let error = ConfigError::at(key.place, format!("unknown key {:?} in {place}", key.text));
        Err(
            error.remedy(match nearest(key.text, self.known.iter().copied()) {
                Some(name) => format!("did you mean {name:?}?"),
                None => format!("remove it; known keys are {}", self.known.join(", ")),
            }),
        )
    }

    /// Refuses keys that no getter asked for.
    pub fn finish(self) -> Result<(), ConfigError> {
        self.finish_except(&[])
    }
}
