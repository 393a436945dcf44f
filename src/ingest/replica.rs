//! Which of the replicas that scrape the same targets is listened to.
//!
//! Two Prometheus servers of a pair send the same series, told apart by a replica label among
//! their external labels; a cluster label says which pair they are of. That is the convention of
//! Cortex and Mimir (`cluster`, `__replica__`), and so is the rule here: the first replica of a
//! cluster to come is elected, requests of the others are answered 2xx, counted and dropped, and
//! when nothing has come from the elected one for the failover time-out (30 s), the next request of
//! another elects that one. A request is taken to be one replica's as a whole: its first series
//! says whose. The replica label itself is removed, so the series go on when the other takes over.
//!
//! One thing is stricter than there. A replica takes over only with a request that brings something
//! newer than all that was taken from the one before: one that is behind would otherwise be refused
//! sample by sample as out of order, though nothing is missing.
//!
//! The door decides, by the wall clock of the requests. What is dropped is not in the log, so a
//! replay needs to know nothing of it.
//!
//! Cost: a look at the first series of a request and one short lock.

use std::collections::BTreeMap;

use parking_lot::Mutex;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use crate::ingest::decode::labels::RawLabels;
use crate::ingest::decode::wire::DecodeError;
use crate::ingest::decode::{DecodeBuffers, v1, v2};
use crate::ingest::node::Protocol;
use crate::model::{DurationMs, Labels, TimestampMs};

/// Which labels make a replica, and when another is listened to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplicaSettings {
    /// The label that names the cluster; it stays.
    pub cluster_label: String,
    /// The label that names the replica; it is removed.
    pub replica_label: String,
    /// How long nothing must have come from the elected replica before another takes over.
    pub failover_timeout: DurationMs,
    /// The most clusters; a request of one more is refused.
    pub clusters_max: usize,
}

impl ReplicaSettings {
    /// Returns labels without the replica label, if they are those of a replica.
    pub fn without_replica(&self, labels: Labels) -> Labels {
        let is_replica =
            labels.get(&self.replica_label).is_some() && labels.get(&self.cluster_label).is_some();
        match is_replica {
            true => labels.filter(|name| name != self.replica_label),
            false => labels,
        }
    }
}

/// The replica that a request comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replica {
    /// Its cluster.
    pub cluster: String,
    /// Its name in the cluster.
    pub replica: String,
}

/// Returns whose request a body of at most `items_max` items is, by its first series; `None` where
/// that has not both labels.
pub fn replica_of(
    body: &[u8],
    protocol: Protocol,
    buffers: &mut DecodeBuffers,
    items_max: usize,
    settings: &ReplicaSettings,
) -> Result<Option<Replica>, DecodeError> {
    let names = [&settings.cluster_label, &settings.replica_label].map(String::as_str);
    let mut found = None;
    let mut look = |labels: &RawLabels<'_>| {
        let text = |value: &[u8]| {
            let text = std::str::from_utf8(value).ok()?;
            (!text.is_empty()).then(|| text.to_owned())
        };
        let [cluster, replica] = labels.values_of(names)?.map(|value| value.and_then(text));
        let both = cluster.zip(replica);
        found = both.map(|(cluster, replica)| Replica { cluster, replica });
        Ok(())
    };
    buffers.begin(items_max);
    match protocol {
        Protocol::V1 => v1::first_labels(body)?.map_or(Ok(()), |labels| look(&labels))?,
        Protocol::V2 => v2::first_labels(body, buffers, look)?,
    }
    Ok(found)
}

/// What becomes of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is taken.
    Taken,
    /// Another replica is listened to: answered 2xx, counted and dropped.
    Dropped,
    /// There are as many clusters as there may be.
    TooManyClusters,
}

/// A cluster and who is listened to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Election {
    /// The elected replica.
    pub elected: String,
    /// Since when, by the wall clock.
    pub elected_at: TimestampMs,
    /// When something came from it last, by the wall clock.
    pub last_seen: TimestampMs,
    /// How often another took over.
    pub n_changes: u64,
    /// The newest sample that was taken, never ahead of the wall clock.
    pub newest: Option<TimestampMs>,
    /// Another replica that came last, and when.
    pub other: Option<(String, TimestampMs)>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ClusterLabel {
    cluster: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReplicaLabels {
    cluster: String,
    replica: String,
}

/// Who is listened to.
#[derive(Debug)]
pub struct Replicas {
    settings: ReplicaSettings,
    elections: Mutex<Elections>,
    changes: Family<ClusterLabel, Counter>,
    elected: Family<ReplicaLabels, Gauge>,
    last_seen: Family<ClusterLabel, Gauge<f64, std::sync::atomic::AtomicU64>>,
    dropped: Family<ClusterLabel, Counter>,
    of_none: Counter,
    refused: Counter,
}

#[derive(Debug, Default)]
struct Elections {
    by_cluster: BTreeMap<String, Election>,
    /// Grows when another replica is elected.
    version: u64,
}

impl Replicas {
    /// Returns a tracker that has heard of nobody.
    pub fn new(settings: ReplicaSettings) -> Self {
        Replicas {
            settings,
            elections: Mutex::default(),
            changes: Family::default(),
            elected: Family::default(),
            last_seen: Family::default(),
            dropped: Family::default(),
            of_none: Counter::default(),
            refused: Counter::default(),
        }
    }

    /// Registers the metrics.
    pub fn register(&self, registry: &mut Registry) {
        registry.register(
            "burnwatch_ha_elected_replica_changes",
            "How often another replica of a cluster was elected, the first time included",
            self.changes.clone(),
        );
        registry.register(
            "burnwatch_ha_elected_replica",
            "1 for the replica of a cluster that is listened to",
            self.elected.clone(),
        );
        registry.register(
            "burnwatch_ha_elected_replica_timestamp_seconds",
            "Wall clock of the last request of the replica that is listened to",
            self.last_seen.clone(),
        );
        registry.register(
            "burnwatch_ha_deduplicated_samples",
            "Samples dropped because another replica of the cluster is listened to",
            self.dropped.clone(),
        );
        registry.register(
            "burnwatch_ha_requests_without_replica",
            "Requests whose first series has no cluster and replica label, and which are taken",
            self.of_none.clone(),
        );
        registry.register(
            "burnwatch_ha_requests_refused",
            "Requests refused because there are as many clusters as there may be",
            self.refused.clone(),
        );
    }

    /// Returns the settings.
    pub fn settings(&self) -> &ReplicaSettings {
        &self.settings
    }

    /// Decides about a request that comes at `wall`; `newest` finds the newest timestamp in it,
    /// and is asked only when its replica could take over.
    pub fn judge(
        &self,
        from: &Replica,
        wall: TimestampMs,
        newest: impl FnOnce() -> Option<TimestampMs>,
    ) -> Verdict {
        let mut elections = self.elections.lock();
        let n_clusters = elections.by_cluster.len();
        let Some(election) = elections.by_cluster.get_mut(&from.cluster) else {
            if n_clusters >= self.settings.clusters_max {
                self.refused.inc();
                return Verdict::TooManyClusters;
            }
            let election = Election {
                elected: from.replica.clone(),
                elected_at: wall,
                last_seen: wall,
                n_changes: 0,
                newest: None,
                other: None,
            };
            elections.by_cluster.insert(from.cluster.clone(), election);
            elections.version += 1;
            self.note_election(from, None, wall);
            return Verdict::Taken;
        };
        // After a wall clock that was ahead is set right, a dead replica must not seem alive until
        // the time comes at which it was heard of.
        election.last_seen = election.last_seen.min(wall);
        if election.elected == from.replica {
            election.last_seen = wall;
            self.note_seen(&from.cluster, wall);
            return Verdict::Taken;
        }
        election.other = Some((from.replica.clone(), wall));
        let is_silent = wall - election.last_seen >= self.settings.failover_timeout;
        if !is_silent || newest().is_none_or(|newest| Some(newest) <= election.newest) {
            return Verdict::Dropped;
        }
        let before = std::mem::replace(&mut election.elected, from.replica.clone());
        election.other = None;
        (election.elected_at, election.last_seen) = (wall, wall);
        election.n_changes += 1;
        elections.version += 1;
        self.note_election(from, Some(before), wall);
        Verdict::Taken
    }

    /// Notes the newest timestamp of a request that was taken at `wall`.
    pub fn took(&self, from: &Replica, newest: TimestampMs, wall: TimestampMs) {
        let mut elections = self.elections.lock();
        if let Some(election) = elections.by_cluster.get_mut(&from.cluster) {
            // A sample of the future must not keep all others from taking over until then.
            election.newest = election.newest.max(Some(newest.min(wall)));
        }
    }

    /// Counts what a dropped request held.
    pub fn add_dropped(&self, from: &Replica, n_samples: u64) {
        let cluster = from.cluster.clone();
        let dropped = self.dropped.get_or_create(&ClusterLabel { cluster });
        dropped.inc_by(n_samples);
    }

    /// Counts a request of no replica.
    pub fn add_of_none(&self) {
        self.of_none.inc();
    }

    /// Returns all clusters and who is listened to, by name.
    pub fn elections(&self) -> Vec<(String, Election)> {
        let elections = self.elections.lock();
        let all = elections.by_cluster.iter();
        all.map(|(cluster, election)| (cluster.clone(), election.clone()))
            .collect()
    }

    /// Returns a number that grows when another replica is elected.
    pub fn version(&self) -> u64 {
        self.elections.lock().version
    }

    /// Takes up the elections of an earlier process, at `wall`: a replica that it listened to has
    /// the whole time-out to come again.
    pub fn restore(&self, elections: Vec<(String, Election)>, wall: TimestampMs) {
        let mut into = self.elections.lock();
        for (cluster, mut election) in elections.into_iter().take(self.settings.clusters_max) {
            election.last_seen = wall;
            let replica = election.elected.clone();
            let from = Replica {
                cluster: cluster.clone(),
                replica,
            };
            self.note_election(&from, None, wall);
            into.by_cluster.insert(cluster, election);
        }
    }

    fn note_election(&self, from: &Replica, before: Option<String>, wall: TimestampMs) {
        let cluster = from.cluster.clone();
        let labels = |replica: &str| ReplicaLabels {
            cluster: cluster.clone(),
            replica: replica.to_owned(),
        };
        if let Some(before) = before {
            self.elected.remove(&labels(&before));
        }
        self.elected.get_or_create(&labels(&from.replica)).set(1);
        let label = ClusterLabel {
            cluster: cluster.clone(),
        };
        self.changes.get_or_create(&label).inc();
        // So that rates over it work from the start.
        self.dropped.get_or_create(&label).inc_by(0);
        self.note_seen(&from.cluster, wall);
    }

    fn note_seen(&self, cluster: &str, wall: TimestampMs) {
        let cluster = cluster.to_owned();
        let seen = self.last_seen.get_or_create(&ClusterLabel { cluster });
        seen.set(wall.seconds());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Plays requests, `<replica><second>` or `<replica><second>@<newest sample>` (a sample is as
    /// new as its request otherwise), of one cluster; returns those that were taken.
    fn play(requests: &str) -> String {
        let replicas = Replicas::new(ReplicaSettings {
            cluster_label: "cluster".to_owned(),
            replica_label: "__replica__".to_owned(),
            failover_timeout: DurationMs::from_seconds(30),
            clusters_max: 2,
        });
        let mut taken = Vec::new();
        for request in requests.split(' ') {
            let (replica, rest) = request.split_at(1);
            let seconds = |text: &str| TimestampMs(text.parse::<i64>().expect("seconds") * 1000);
            let (at, newest) = rest.split_once('@').unwrap_or((rest, rest));
            let (at, newest) = (seconds(at), seconds(newest));
            let from = Replica {
                cluster: "c".to_owned(),
                replica: replica.to_owned(),
            };
            if replicas.judge(&from, at, || Some(newest)) == Verdict::Taken {
                replicas.took(&from, newest, at);
                taken.push(request);
            }
        }
        taken.join(" ")
    }

    #[test]
    fn one_replica_is_listened_to_and_another_after_the_time_out() {
        let check = |requests: &str, expected: &str| assert_eq!(play(requests), expected);
        check("a0 b1 a5 b6 a10 b11", "a0 a5 a10");
        // Whoever comes first.
        check("b0 a1 b5", "b0 b5");
        // Nothing from it for as long as the time-out, and not a moment less.
        check("a0 b29 b30 a31 b35", "a0 b30 b35");
        check("a0 a20 b30 b49 b50", "a0 a20 b50");
        // One that comes again waits its turn.
        check("a0 b30 a40 b45 a74 a75", "a0 b30 b45 a75");
        // A third may be the one.
        check("a0 b10 c30 b31 c32", "a0 c30 c32");
    }

    /// Catches a replica that is behind and whose samples would all be refused.
    #[test]
    fn a_replica_that_is_behind_takes_over_when_it_has_caught_up() {
        assert_eq!(
            play("a0@0 a10@9 b40@5 b41@9 b42@10 b43@20"),
            "a0@0 a10@9 b42@10 b43@20"
        );
        // A sample of the future does not keep others out until then.
        assert_eq!(play("a0@600 b30@29 b31@30"), "a0@600 b30@29 b31@30");
    }

    #[test]
    fn a_wall_clock_that_is_set_back_does_not_keep_a_dead_replica_elected() {
        assert_eq!(play("a1000 b100 b129 b130@2000"), "a1000 b130@2000");
    }

    #[test]
    fn clusters_are_bounded_and_elections_are_taken_up() {
        let settings = ReplicaSettings {
            cluster_label: "cluster".to_owned(),
            replica_label: "__replica__".to_owned(),
            failover_timeout: DurationMs::from_seconds(30),
            clusters_max: 2,
        };
        let from = |cluster: &str, replica: &str| Replica {
            cluster: cluster.to_owned(),
            replica: replica.to_owned(),
        };
        let first = Replicas::new(settings.clone());
        let second = |s: i64| TimestampMs(s * 1000);
        let newest = || Some(second(1000));
        assert_eq!(
            first.judge(&from("x", "a"), second(0), newest),
            Verdict::Taken
        );
        assert_eq!(
            first.judge(&from("y", "b"), second(0), newest),
            Verdict::Taken
        );
        let third = first.judge(&from("z", "a"), second(0), newest);
        assert_eq!(third, Verdict::TooManyClusters);
        assert_eq!(first.version(), 2);

        let later = Replicas::new(settings);
        later.restore(first.elections(), second(100));
        for (at, expected) in [(129, Verdict::Dropped), (130, Verdict::Taken)] {
            assert_eq!(later.judge(&from("x", "b"), second(at), newest), expected);
        }
    }
}
