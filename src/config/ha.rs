//! `ha`: pairs of Prometheus servers that send the same series, of which one is listened to.

use serde::Serialize;

use crate::config::ConfigError;
use crate::config::fields::Fields;
use crate::config::serialize;
use crate::model::{DurationMs, METRIC_NAME};
use crate::yaml::Node;

/// Which labels make a replica, and when another is listened to. The defaults are those of Cortex
/// and Mimir.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct HaConfig {
    /// The label that names the cluster; it stays on the series.
    pub cluster_label: String,
    /// The label that names the replica; it is removed.
    pub replica_label: String,
    /// How long nothing must have come from the elected replica before another takes over.
    #[serde(serialize_with = "serialize::duration")]
    pub failover_timeout: DurationMs,
}

pub(crate) fn read(node: &Node, what: &str) -> Result<HaConfig, ConfigError> {
    let mut fields = Fields::open(node, what)?;
    let cluster_label = fields.nonempty("cluster_label")?;
    let replica_label = fields.nonempty("replica_label")?;
    let config = HaConfig {
        cluster_label: cluster_label.unwrap_or_else(|| "cluster".to_owned()),
        replica_label: replica_label.unwrap_or_else(|| "__replica__".to_owned()),
        failover_timeout: fields
            .positive_duration("failover_timeout")?
            .unwrap_or(DurationMs::from_seconds(30)),
    };
    let labels = [&config.cluster_label, &config.replica_label];
    if labels[0] == labels[1] || labels.iter().any(|label| *label == METRIC_NAME) {
        let text = "cluster_label and replica_label must be two labels, and not __name__";
        return Err(fields
            .error(text)
            .remedy("leave them out: they are then cluster and __replica__, as in Mimir"));
    }
    fields.finish()?;
    Ok(config)
}
