//! Receiving: from a remote-write request to entries in the shards' logs.
//!
//! [`router`] is the HTTP side, [`Node`] everything behind it. A request is decoded and routed
//! by whoever received it, many at a time and without locks ([`decode`], [`route_table`]); then,
//! under the node's one lock and never across an await, its samples are judged against the newest
//! of their series ([`series_table`]), stamped ([`sequencer`]) and appended to the logs of all
//! shards that read them. The engines read those logs; nothing here waits for them.
//!
//! What is scarce is shared among senders ([`fair_share`]), and a sender may have a quota
//! ([`quota`]): one that floods is told to come again, and starves nobody else.

pub mod answer;
pub mod census;
pub mod collect;
pub mod commit;
pub mod decode;
pub mod fair_share;
pub mod identity;
pub mod limits;
pub mod metadata;
pub mod metrics;
pub mod node;
pub mod quota;
pub mod received;
pub mod recent;
pub mod rejection;
pub mod remote_write;
pub mod replica;
pub mod restore;
pub mod route;
pub mod route_table;
pub mod sender;
pub mod sequencer;
pub mod series_owners;
pub mod series_table;

pub use answer::{Promised, Refusal, WriteAnswer, Written};
pub use limits::{Limits, PerSender};
pub use metadata::{Metadata, MetadataStore};
pub use metrics::{IngestMetrics, Sender};
pub use node::{Node, NodeSettings};
pub use received::{Protocol, Received};
pub use remote_write::{IngestState, Origin, Receive, router};
pub use replica::{Election, ReplicaSettings};
pub use restore::HeardSeries;
pub use route::{ReadSet, ShardId};
pub use sender::{AuthenticatedUser, SenderShare};
pub use series_owners::SenderNumber;
