//! Notifying from outside: receivers that answer, refuse, fail, hang, or are not there.

mod discovery;
mod faulty;
mod latency;
mod outages;
mod receivers;
mod restarts;
mod support;
mod webhooks;
mod write_back;
