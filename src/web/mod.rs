//! The door: connections, TLS, who is let in, and how long anybody may take.
//!
//! What lives here: everything between the socket and the router. What may not: what a request is
//! answered with. [`serve`] holds connections within bounds, [`Web`] is the web configuration
//! that is in force, and its [`guard`](guard::protect) stands before every route.
//! The server starts them.

mod client_certificate;
mod connections;
mod current;
pub mod guard;
mod metrics;
mod people;
mod request_line;
mod serve;
mod sign_in;
mod timeouts;
mod tls;

pub use connections::Bounds;
pub use current::{Web, check_web_config, speaks_tls};
pub use metrics::WebMetrics;
pub use serve::serve;
