//! How values of other modules are written in `/api/v1/status/config`.

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use url::Url;

use crate::model::{DurationMs, Labels};

/// Writes a value as it is shown.
pub(crate) fn shown<T: std::fmt::Display, S: Serializer>(
    value: &T,
    s: S,
) -> Result<S::Ok, S::Error> {
    s.collect_str(value)
}

pub(crate) fn duration<S: Serializer>(value: &DurationMs, s: S) -> Result<S::Ok, S::Error> {
    s.collect_str(value)
}

pub(crate) fn labels<S: Serializer>(value: &Labels, s: S) -> Result<S::Ok, S::Error> {
    s.collect_map(value.iter())
}

/// Writes pairs as a mapping in their order.
pub(crate) fn pairs<V: Serialize, S: Serializer>(
    value: &[(String, V)],
    s: S,
) -> Result<S::Ok, S::Error> {
    let mut map = s.serialize_map(Some(value.len()))?;
    for (key, value) in value {
        map.serialize_entry(key, value)?;
    }
    map.end()
}

/// Writes an URL, its password hidden as Prometheus hides it.
pub(crate) fn url<S: Serializer>(value: &Url, s: S) -> Result<S::Ok, S::Error> {
    s.serialize_str(&redacted(value))
}

pub(crate) fn optional_url<S: Serializer>(value: &Option<Url>, s: S) -> Result<S::Ok, S::Error> {
    match value {
        Some(value) => url(value, s),
        None => s.serialize_none(),
    }
}

/// Writes where an URL leads, and nothing behind: the paths of webhooks are secrets.
pub(crate) fn place_alone<S: Serializer>(value: &Url, s: S) -> Result<S::Ok, S::Error> {
    let place = value.origin().ascii_serialization();
    match value.path() {
        "/" if value.query().is_none() => s.serialize_str(&format!("{place}/")),
        _ => s.serialize_str(&format!("{place}/<secret>")),
    }
}

/// Returns the URL with its password as `xxxxx`.
pub fn redacted(value: &Url) -> String {
    let mut shown = value.clone();
    if shown.password().is_some() {
        // Fails only for URLs that cannot hold a password, and this one does.
        let _ = shown.set_password(Some("xxxxx"));
    }
    shown.to_string()
}
