//! The answers to the last bodies accepted, so that a request whose answer was lost can be
//! repeated without being written twice or refused as out of order.

use std::collections::{HashMap, VecDeque};

use crate::ingest::answer::WriteAnswer;

/// Bodies remembered. Beyond, the oldest is forgotten; its repetition is then judged sample by
/// sample, as Prometheus would.
const BODIES_MAX: usize = 1024;

/// Answers by the hash of their bodies.
#[derive(Debug, Default)]
pub struct RecentBodies {
    answers: HashMap<u128, WriteAnswer>,
    order: VecDeque<u128>,
}

impl RecentBodies {
    /// Returns the answer to a body seen before.
    pub fn get(&self, body: u128) -> Option<&WriteAnswer> {
        self.answers.get(&body)
    }

    /// Remembers an answer, in place of an earlier one to the same body.
    pub fn insert(&mut self, body: u128, answer: WriteAnswer) {
        if self.answers.insert(body, answer).is_none() {
            self.order.push_back(body);
        }
        if self.order.len() > BODIES_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.answers.remove(&oldest);
        }
    }

    /// Forgets all: under new rules the same body is another matter.
    pub fn clear(&mut self) {
        self.answers.clear();
        self.order.clear();
    }
}
