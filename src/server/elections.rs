//! Which replicas were elected, in a small file: a restart must not let another take over that has
//! the same samples at slightly other instants.
//!
//! The file is written within a second of an election and every 15 s besides. One that cannot be
//! read costs nothing but that: whoever comes first is elected.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use tracing::warn;

use crate::ingest::{Election, Node};
use crate::model::TimestampMs;

const FORMAT: &str = "burnwatch-ha";
const VERSION: u32 = 1;
/// How often it is looked whether another was elected.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How many looks pass at most without the file being written.
const LOOKS_MAX: u32 = 15;

#[derive(Debug, Serialize, Deserialize)]
struct Elections {
    format: String,
    version: u32,
    clusters: Vec<Cluster>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Cluster {
    cluster: String,
    elected: String,
    elected_at_ms: i64,
    changes: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    newest_ms: Option<i64>,
}

fn path_in(storage: &Path) -> PathBuf {
    storage.join("ha.json")
}

/// Lets a node know what an earlier process had elected.
pub fn restore(node: &Node, storage: &Path, now: TimestampMs) {
    let Some(replicas) = node.replicas() else {
        return;
    };
    let path = path_in(storage);
    let text = match std::fs::read(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return,
        Err(error) => {
            warn!(file = %path.display(), %error, "elections of replicas cannot be read");
            return;
        }
    };
    let read = serde_json::from_slice::<Elections>(&text);
    let elections = match read {
        Ok(read) if read.format == FORMAT && read.version == VERSION => read,
        _ => {
            warn!(
                file = %path.display(),
                "this does not say which replicas were elected, or is of another version: \
                 whoever comes first is elected"
            );
            return;
        }
    };
    let election = |cluster: Cluster| {
        let election = Election {
            elected: cluster.elected,
            elected_at: TimestampMs(cluster.elected_at_ms),
            last_seen: now,
            n_changes: cluster.changes,
            newest: cluster.newest_ms.map(TimestampMs),
            other: None,
        };
        (cluster.cluster, election)
    };
    replicas.restore(elections.clusters.into_iter().map(election).collect(), now);
}

fn save(node: &Node, storage: &Path) -> anyhow::Result<()> {
    let Some(replicas) = node.replicas() else {
        return Ok(());
    };
    let cluster = |(cluster, election): (String, Election)| Cluster {
        cluster,
        elected: election.elected,
        elected_at_ms: election.elected_at.0,
        changes: election.n_changes,
        newest_ms: election.newest.map(|newest| newest.0),
    };
    let elections = Elections {
        format: FORMAT.to_owned(),
        version: VERSION,
        clusters: replicas.elections().into_iter().map(cluster).collect(),
    };
    let (path, new) = (path_in(storage), storage.join("ha.json.new"));
    let text = serde_json::to_vec(&elections)?;
    std::fs::write(&new, text).with_context(|| format!("cannot write {}", new.display()))?;
    std::fs::rename(&new, &path).with_context(|| format!("cannot write {}", path.display()))
}

/// Keeps the file up to date until the server stops.
pub async fn keep(node: Arc<Node>, storage: PathBuf, mut stopped: watch::Receiver<bool>) {
    if node.replicas().is_none() {
        return;
    }
    let (mut saved, mut n_looks) = (None, 0);
    loop {
        let is_last = tokio::select! {
            () = tokio::time::sleep(LOOK_EVERY) => false,
            _ = stopped.wait_for(|stopped| *stopped) => true,
        };
        let version = node.replicas().map(|replicas| replicas.version());
        n_looks += 1;
        if is_last || version != saved || n_looks >= LOOKS_MAX {
            (saved, n_looks) = (version, 0);
            let (node, storage) = (Arc::clone(&node), storage.clone());
            let written = tokio::task::spawn_blocking(move || save(&node, &storage)).await;
            if let Ok(Err(error)) = written {
                saved = None;
                warn!(%error, "elections of replicas are not kept");
            }
        }
        if is_last {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ingest::replica::{Replica, Verdict};
    use crate::ingest::{NodeSettings, ReplicaSettings};
    use crate::model::DurationMs;

    fn node() -> Arc<Node> {
        let settings = NodeSettings {
            replicas: Some(ReplicaSettings {
                cluster_label: "cluster".to_owned(),
                replica_label: "__replica__".to_owned(),
                failover_timeout: DurationMs::from_seconds(30),
                clusters_max: 10,
            }),
            ..NodeSettings::default()
        };
        Node::new(Vec::new(), settings, 1)
    }

    /// Tells whether a replica is taken at a second, its samples being as new.
    fn is_taken(node: &Node, replica: &str, second: i64) -> bool {
        let at = TimestampMs(second * 1_000);
        let from = Replica {
            cluster: "c".to_owned(),
            replica: replica.to_owned(),
        };
        let replicas = node.replicas().expect("told apart");
        let verdict = replicas.judge(&from, at, || Some(at));
        if verdict == Verdict::Taken {
            replicas.took(&from, at, at);
        }
        verdict == Verdict::Taken
    }

    #[test]
    fn after_a_restart_the_same_replica_is_listened_to() {
        let folder = tempfile::tempdir().expect("a folder");
        let first = node();
        assert!(is_taken(&first, "a", 0) && !is_taken(&first, "b", 1));
        save(&first, folder.path()).expect("a disk");
        for text in [
            None,
            Some("{"),
            Some("{\"format\":\"burnwatch-ha\",\"version\":2}"),
        ] {
            let next = node();
            if let Some(text) = text {
                std::fs::write(path_in(folder.path()), text).expect("a disk");
            }
            restore(&next, folder.path(), TimestampMs(100_000));
            // Of a file that says nothing, whoever comes first is elected.
            assert_eq!(is_taken(&next, "b", 129), text.is_some(), "{text:?}");
        }
    }
}
