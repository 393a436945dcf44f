//! The remote-write messages as `prost` reads and writes them.
//!
//! Used where requests are *made* (write-back of recorded samples, `demo`, tests) and as the
//! oracle of the decoder in tests. Receiving does not use them: a message as a tree of `String`s
//! costs an allocation for every label of every sample.

/// Remote write 1.0, package `prometheus`.
pub mod v1 {
    #![allow(missing_docs, reason = "generated; oneof variants carry no comments")]
    include!(concat!(env!("OUT_DIR"), "/prometheus.rs"));
}

/// Remote write 2.0, package `io.prometheus.write.v2`.
pub mod v2 {
    #![allow(missing_docs, reason = "generated; oneof variants carry no comments")]
    include!(concat!(env!("OUT_DIR"), "/io.prometheus.write.v2.rs"));
}
