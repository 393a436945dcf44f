//! Receiving: from a remote-write request to entries in the shards' logs.
//!
//! [`router`] is the HTTP side, [`Node`] everything behind it. A request is decoded and routed
//! by whoever received it, many at a time and without locks ([`decode`], [`route_table`]); then,
//! under the node's one lock and never across an await, its samples are judged against the newest
//! of their series ([`series_table`]), stamped ([`sequencer`]) and appended to the logs of all
//! shards that read them. The engines read those logs; nothing here waits for them.

pub mod answer;
pub mod collect;
pub mod commit;
pub mod decode;
pub mod identity;
pub mod limits;
pub mod metadata;
pub mod metrics;
pub mod node;
pub mod oldest;
pub mod recent;
pub mod rejection;
pub mod remote_write;
pub mod restore;
pub mod route;
pub mod route_table;
pub mod sequencer;
pub mod series_table;

pub use answer::{WriteAnswer, Written};
pub use limits::Limits;
pub use metadata::{Metadata, MetadataStore};
pub use metrics::{IngestMetrics, Sender};
pub use node::{Node, NodeSettings, Protocol, Received};
pub use remote_write::{IngestState, Receive, router};
pub use restore::HeardSeries;
pub use route::{ReadSet, ShardId};
