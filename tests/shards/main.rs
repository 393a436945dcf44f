//! Several shards send what one sends, in one process and between processes.
//!
//! Requests go through the real door ([`burnwatch::ingest::Node`]) into recorded logs, the logs
//! through engines; nothing here waits for a clock or a thread. `processes` sets up as many
//! nodes as there are processes, each with its share of the groups and its own shards.
//!
//! What was broken on purpose in `src`, and made the tests fail:
//!
//! | test | broken |
//! |---|---|
//! | ticks | `ticks_when_settled` off; no common start of event time; refused samples unheard; components cut; first ticks told for the whole engine |
//! | arrivals | components cut; a shard's selectors not routed |

mod arrivals;
mod load;
mod processes;
mod reload;
mod ticks;
