//! Notifying from outside: receivers that answer, refuse, fail, hang, or are not there.

mod discovery;
mod receivers;
mod support;
mod webhooks;
mod write_back;
