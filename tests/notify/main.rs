//! Notifying from outside: recorded traces of Prometheus, and receivers that answer, refuse,
//! fail, hang, or are not there.

mod discovery;
mod receivers;
mod support;
mod traces;
mod webhooks;
mod write_back;
