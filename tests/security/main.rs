//! Nothing let in: each line of docs/SECURITY.md, held against the real server.
//!
//! Certificates, passwords and tokens are made while the tests run; none lie in the repository.

#[allow(dead_code, reason = "shared with tests/server, which uses the rest")]
#[path = "../server/process.rs"]
mod process;
#[allow(dead_code, reason = "shared with tests/server, which uses the rest")]
#[path = "../server/sender.rs"]
mod sender;

mod deploy;
mod oauth2;
mod outgoing;
mod pages;
mod pki;
mod routes;
mod secrets;
mod slow;
mod smuggling;
mod threats;
mod tls;
mod web_config;
