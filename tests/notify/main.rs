//! Notifying from outside: receivers that answer, refuse, fail, hang, or are not there.

mod discovery;
mod latency;
mod receivers;
mod support;
mod webhooks;
mod write_back;
