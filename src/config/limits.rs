//! `limits`: a bound on everything that can grow, each with a name, a default and what happens
//! at it. [`LIMITS`] is the one list; reading, printing and the documentation come from it.

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use crate::config::ConfigError;
use crate::config::fields::Fields;
use crate::config::value;
use crate::model::DurationMs;
use crate::yaml::Node;

/// How a limit is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LimitKind {
    /// A whole number.
    Count,
    /// Bytes, `32MB` being allowed.
    Bytes,
    /// A duration, kept in ms.
    Duration,
}

/// One bound: its name, its default and what happens at it.
#[derive(Clone, Copy, Debug)]
pub struct Limit {
    /// Its key under `limits:`.
    pub name: &'static str,
    /// How it is written.
    pub kind: LimitKind,
    /// Its value where none is written; ms for durations.
    pub default: u64,
    /// What it bounds and what happens at it.
    pub about: &'static str,
}

type Count = usize;
type Bytes = usize;
type Duration = DurationMs;

/// A limit's value as a plain number: ms for durations.
trait LimitValue {
    fn from_number(number: u64) -> Self;
    fn number(&self) -> u64;
}

impl LimitValue for usize {
    fn from_number(number: u64) -> Self {
        usize::try_from(number).unwrap_or(usize::MAX)
    }

    fn number(&self) -> u64 {
        u64::try_from(*self).unwrap_or(u64::MAX)
    }
}

impl LimitValue for DurationMs {
    fn from_number(number: u64) -> Self {
        DurationMs(i64::try_from(number).unwrap_or(i64::MAX))
    }

    fn number(&self) -> u64 {
        u64::try_from(self.0).unwrap_or(0)
    }
}

macro_rules! limits {
    ($($(#[doc = $about:literal])+ $name:ident: $kind:ident = $default:expr;)+) => {
        /// Every bound, with its value. 0 means "no limit" where its text says so.
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub struct Limits {
            $($(#[doc = $about])+ pub $name: $kind,)+
            /// What one sender may send.
            pub per_sender: PerSenderLimits,
        }

        impl Default for Limits {
            fn default() -> Self {
                Limits {
                    $($name: LimitValue::from_number($default),)+
                    per_sender: PerSenderLimits::default(),
                }
            }
        }

        /// Every bound, in the order of the documentation.
        pub const LIMITS: &[Limit] = &[
            $(Limit {
                name: stringify!($name),
                kind: LimitKind::$kind,
                default: $default,
                about: concat!($($about),+),
            },)+
        ];

        impl Limits {
            fn set(&mut self, name: &str, number: u64) {
                match name {
                    $(stringify!($name) => self.$name = LimitValue::from_number(number),)+
                    _ => {}
                }
            }

            fn values(&self) -> Vec<u64> {
                vec![$(self.$name.number(),)+]
            }
        }
    };
}

limits! {
    /// A request body as it comes, in bytes. Larger: 413.
    request_bytes: Bytes = 32 << 20;
    /// A request body when decompressed, in bytes. Larger: 413.
    request_decoded_bytes: Bytes = 128 << 20;
    /// Series, samples, exemplars, histogram buckets and symbols of one request. More: 413.
    request_items: Count = 1_000_000;
    /// Labels of one series. More: the series is refused with 400.
    labels_per_series: Count = 128;
    /// A label's name, in bytes. Longer: the series is refused with 400.
    label_name_bytes: Bytes = 1_024;
    /// A label's value, in bytes. Longer: the series is refused with 400.
    label_value_bytes: Bytes = 16 << 10;
    /// How far ahead of the wall clock a sample may be. Further: it is refused with 400.
    future: Duration = 600_000;
    /// Series that rules read. More: new ones are refused with 400 until others expire.
    series: Count = 5_000_000;
    /// Samples that an engine may lag behind its log. More: requests are answered 503.
    log_samples: Count = 5_000_000;
    /// The files of a shard's log that are still needed, in bytes. More: requests are answered
    /// 503. 0 means no limit.
    log_bytes: Bytes = 64 << 30;
    /// The files of a shard's log where `log_retention` keeps them. More: the oldest are deleted.
    /// 0 means no limit.
    log_retention_bytes: Bytes = 16 << 30;
    /// Metrics whose metadata is kept. More: the metadata of new ones is dropped.
    metadata: Count = 50_000;
    /// Samples that one query may load. More: the query fails.
    query_samples: Count = 50_000_000;
    /// How long a query may take. Longer: it is answered 503.
    query_timeout: Duration = 120_000;
    /// Queries that run at a time. More: they wait, within their timeout.
    query_concurrency: Count = 20;
    /// Alerts that wait for one Alertmanager or webhook. More: the oldest are dropped.
    notification_queue: Count = 10_000;
    /// Ticks that a group makes when the clock leaps. More: they count as missed.
    missed_ticks: Count = 1_000;
    /// Steps of one subquery, in rules and queries. More: the evaluation fails.
    subquery_points: Count = 1_000_000;
    /// Elements that one rule may yield, beside the group's own limit. More: the rule fails.
    rule_elements: Count = 1_000_000;
    /// Elements and samples that a group's rules may look at in a second of its interval; 0 = no limit.
    /// More: ticks are skipped until it is made up for, and count as missed.
    group_work: Count = 5_000_000;
    /// Changes that are remembered, told by `POST /api/v1/changes`. More: the oldest are forgotten.
    changes: Count = 1_000;
    /// How long a change is remembered, in event time. Longer: it is forgotten.
    changes_age: Duration = 604_800_000;
    /// Alerts of one rule that begin to fire at one instant and whose values are read for their
    /// context. More: the others have a context without values.
    context_alerts: Count = 100;
    /// Samples that are read for one context. More: its history has fewer points, or none.
    context_samples: Count = 1_000_000;
    /// Alerts of the last 24 hours that a shard remembers. More: the oldest are forgotten.
    recent_alerts: Count = 1_000;
    /// Connections that are open at a time. More: they wait to be accepted.
    connections: Count = 512;
    /// Connections of one peer that are open at a time. More: they are closed at once.
    connections_per_peer: Count = 256;
    /// How long a TLS handshake or the head of a request may take. Longer: the connection ends.
    head_timeout: Duration = 10_000;
    /// How long the body of a request may take. Longer: 503, and the connection ends.
    body_timeout: Duration = 60_000;
    /// How long a connection may stay open without a request. Longer: it ends.
    keep_alive: Duration = 300_000;
    /// How long a peer may leave 16 KiB of an answer lying. Longer: the connection ends.
    answer_stall: Duration = 30_000;
    /// HA clusters whose replicas are told apart. More: a further one's requests are refused with 400.
    ha_clusters: Count = 1_000;
    /// Requests that are received at a time. More: they are answered 503.
    requests_in_flight: Count = 256;
    /// Memory of these requests, bodies and what they are decoded to. More: they are answered 503.
    in_flight_bytes: Bytes = 1 << 30;
}

/// What one sender may send; more is answered 429. A sender is told apart by the header named
/// here, else by whom it was authenticated as, else by its address.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct PerSenderLimits {
    /// Samples a second; 0 = as many as it can.
    pub samples_per_second: u64,
    /// Samples at once, saved up while it sent less; 0 = ten seconds' worth.
    pub burst: u64,
    /// Series that rules read and that it was the first to send; 0 = any number. More: new ones
    /// are refused with 400.
    pub series: u64,
    /// A request header that names the sender; to be set by a proxy that can be trusted.
    pub header: String,
}

fn read_per_sender(node: &Node, what: &str) -> Result<PerSenderLimits, ConfigError> {
    let mut fields = Fields::open(node, what)?;
    let header = fields.read("header", |node, what| {
        let text = value::text(node, what)?;
        match text.is_empty() || http::HeaderName::try_from(text).is_ok() {
            true => Ok(text.to_owned()),
            false => Err(ConfigError::at(
                node.place,
                format!("{what}: {text:?} is no header's name"),
            )
            .remedy("write a name such as X-Scope-OrgID")),
        }
    })?;
    let limits = PerSenderLimits {
        samples_per_second: fields.number("samples_per_second")?.unwrap_or_default(),
        burst: fields.number("burst")?.unwrap_or_default(),
        series: fields.number("series")?.unwrap_or_default(),
        header: header.unwrap_or_default(),
    };
    fields.finish()?;
    Ok(limits)
}

pub(crate) fn read(node: &Node, what: &str) -> Result<Limits, ConfigError> {
    let mut fields = Fields::open(node, what)?;
    let mut limits = Limits::default();
    for limit in LIMITS {
        let value = match limit.kind {
            LimitKind::Count => fields.number(limit.name)?,
            LimitKind::Bytes => fields.bytes(limit.name)?,
            LimitKind::Duration => fields.duration(limit.name)?.map(|value| value.number()),
        };
        if let Some(value) = value {
            limits.set(limit.name, value);
        }
    }
    if let Some(per_sender) = fields.read("per_sender", read_per_sender)? {
        limits.per_sender = per_sender;
    }
    fields.finish()?;
    Ok(limits)
}

impl Serialize for Limits {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(LIMITS.len() + 1))?;
        for (limit, value) in LIMITS.iter().zip(self.values()) {
            match limit.kind {
                LimitKind::Duration => {
                    map.serialize_entry(limit.name, &DurationMs::from_number(value).to_string())?;
                }
                _ => map.serialize_entry(limit.name, &value)?,
            }
        }
        map.serialize_entry("per_sender", &self.per_sender)?;
        map.end()
    }
}
