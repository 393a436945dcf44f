//! Second opinions: other people's parsers and template engines asked the same, where they are
//! known to be right; where they are not, each fault is named.

#[macro_use]
#[path = "../support/say.rs"]
mod say;

mod corpora;
mod promql;
mod templates;
