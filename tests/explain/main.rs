//! `burnwatch explain`: what it says is true, and its help runs.

#[macro_use]
#[path = "../support/say.rs"]
mod say;

mod help;
mod laws;
#[path = "../server/process.rs"]
#[allow(dead_code, reason = "the tests of the server use more of it")]
mod process;
#[path = "../server/sender.rs"]
#[allow(dead_code, reason = "the tests of the server use more of it")]
mod sender;
mod server;
