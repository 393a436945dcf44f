//! Twice as much as can be evaluated: what is refused is to come again, what is accepted is there,
//! nobody starves, and nothing grows.
//!
//! A node, its log and an engine on one thread, that take turns as the story says: a round is a
//! second of the wall clock, in which senders offer what they have and the engine takes as many
//! samples as it can. No clock is read, so every figure is the same on every machine. What needs a
//! process is in `tests/server/limits.rs`; the same for minutes is `cargo bench --bench soak`.

mod fairness;
mod soak;
mod world;
