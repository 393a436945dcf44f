//! What is counted at the door.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// Why somebody was not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The peer has as many connections as it may.
    Connections,
    /// The TLS handshake failed or took too long.
    Handshake,
    /// No credentials, or wrong ones.
    Unauthorized,
    /// Somebody who may do something else.
    Forbidden,
    /// Too many passwords are being looked at.
    Busy,
    /// `rate_limit` of the web configuration.
    RateLimit,
    /// A page of another site sent a browser here.
    CrossSite,
}

impl Refusal {
    fn name(self) -> &'static str {
        match self {
            Refusal::Connections => "connections_per_peer",
            Refusal::Handshake => "tls_handshake",
            Refusal::Unauthorized => "unauthorized",
            Refusal::Forbidden => "forbidden",
            Refusal::Busy => "busy",
            Refusal::RateLimit => "rate_limit",
            Refusal::CrossSite => "cross_site",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RefusalLabels {
    reason: &'static str,
}

/// What is counted at the door.
#[derive(Clone, Debug, Default)]
pub struct WebMetrics {
    refused: Family<RefusalLabels, Counter>,
    connections: Gauge,
    config_is_good: Gauge,
}

impl WebMetrics {
    /// Registers the metrics.
    pub fn register(&self, registry: &mut Registry) {
        registry.register(
            "burnwatch_web_refused",
            "Number of connections and requests that were not let in",
            self.refused.clone(),
        );
        registry.register(
            "burnwatch_web_connections",
            "Number of connections that are open",
            self.connections.clone(),
        );
        registry.register(
            "burnwatch_web_config_last_reload_successful",
            "Whether the web configuration and the files it names are the ones in force",
            self.config_is_good.clone(),
        );
    }

    pub(super) fn refused(&self, refusal: Refusal) {
        let reason = refusal.name();
        self.refused.get_or_create(&RefusalLabels { reason }).inc();
    }

    pub(super) fn connections(&self) -> &Gauge {
        &self.connections
    }

    pub(super) fn config_is_good(&self, is_good: bool) {
        self.config_is_good.set(i64::from(is_good));
    }
}
