//! A share of what is scarce for every sender, so that one that floods starves nobody else.
//!
//! Below half of what there is everybody takes what is wanted. Above it nobody may hold more than
//! an equal share of seven eighths, equal among those who hold anything or were refused of late;
//! the last eighth is for whoever holds nothing. So a sender alone gets nearly all, those who all
//! want too much get as much of the engine's time, since a log is taken out in order, and one that
//! sends little finds room at once. Nothing has to be configured.
//!
//! Cost: O(1) amortised for a request and each shard; above half a look at [`SHARES`] counts.

use std::collections::VecDeque;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::ingest::sender::{SHARES, SenderShare};

/// Up to this part of what there is nobody is looked at.
const UNCONTESTED: usize = 2;
/// This part is for those who hold nothing.
const RESERVED: usize = 8;

/// Tells whether a sender that holds `own` may take `wanted` more of `max`, of which `used` is
/// taken by all, `n_active` being the senders that have or want some. Who holds nothing may as
/// long as there is room.
fn is_fair(
    own: usize,
    wanted: usize,
    (used, max): (usize, usize),
    n_active: impl FnOnce() -> usize,
) -> bool {
    own == 0
        || used.saturating_add(wanted) <= max / UNCONTESTED
        || own.saturating_add(wanted) <= (max - max / RESERVED) / n_active().max(1)
}

/// Who has what waiting in the shards' logs.
///
/// A log is first in, first out; so what waits is the newest part of what was appended, and that
/// it has shrunk says whose has been taken out.
#[derive(Debug)]
pub struct LogShares {
    logs: Vec<Ledger>,
    max: usize,
}

#[derive(Debug)]
struct Ledger {
    /// What was appended and not known to be taken out, oldest first; neighbours of one sender
    /// are one.
    entries: VecDeque<(SenderShare, usize)>,
    total: usize,
    by_sender: Box<[usize]>,
    /// All that was ever appended.
    appended: u64,
    /// Who was refused counts as wanting some until so much was appended.
    wants_until: Box<[u64]>,
}

impl LogShares {
    /// Returns the shares of as many logs, in each of which `max` may wait.
    pub fn new(n_logs: usize, max: usize) -> Self {
        let ledger = || Ledger {
            entries: VecDeque::new(),
            total: 0,
            by_sender: vec![0; SHARES].into_boxed_slice(),
            appended: 0,
            wants_until: vec![0; SHARES].into_boxed_slice(),
        };
        LogShares {
            logs: (0..n_logs).map(|_| ledger()).collect(),
            max,
        }
    }

    /// Tells whether a sender may append so much to a log in which `waiting` waits.
    pub fn admits(
        &mut self,
        log: usize,
        sender: SenderShare,
        weight: usize,
        waiting: usize,
    ) -> bool {
        let ledger = &mut self.logs[log];
        ledger.settle(waiting);
        let own = ledger.by_sender[sender.number()];
        is_fair(own, weight, (waiting, self.max), || ledger.n_active(sender))
    }

    /// Notes that a sender was refused, for whatever reason: it is to have its share when it comes
    /// again.
    pub fn refused(&mut self, sender: SenderShare) {
        for ledger in &mut self.logs {
            // By then everything that waits now, and as much again, has been taken out.
            let until = ledger.appended + 2 * self.max as u64;
            ledger.wants_until[sender.number()] = until;
        }
    }

    /// Notes what a sender has appended to a log.
    pub fn appended(&mut self, log: usize, sender: SenderShare, weight: usize) {
        let ledger = &mut self.logs[log];
        ledger.total += weight;
        ledger.appended += weight as u64;
        ledger.by_sender[sender.number()] += weight;
        match ledger.entries.back_mut() {
            Some((newest, waiting)) if *newest == sender => *waiting += weight,
            _ => ledger.entries.push_back((sender, weight)),
        }
    }
}

impl Ledger {
    /// Returns how many senders have something waiting, or want to; the one that asks does.
    fn n_active(&self, asking: SenderShare) -> usize {
        let counts = self.by_sender.iter().zip(&self.wants_until).enumerate();
        let active = counts.filter(|(number, (own, wants_until))| {
            **own > 0 || **wants_until > self.appended || *number == asking.number()
        });
        active.count()
    }

    /// Forgets the oldest until no more is left than waits.
    fn settle(&mut self, waiting: usize) {
        let mut taken_out = self.total.saturating_sub(waiting);
        self.total -= taken_out;
        while taken_out > 0 {
            let Some((sender, oldest)) = self.entries.front_mut() else {
                return;
            };
            let taken = taken_out.min(*oldest);
            *oldest -= taken;
            taken_out -= taken;
            self.by_sender[sender.number()] -= taken;
            if *oldest == 0 {
                self.entries.pop_front();
            }
        }
    }
}

/// How much is under way, and of whom.
#[derive(Debug)]
struct Pool {
    max: usize,
    taken: Mutex<Taken>,
}

#[derive(Debug)]
struct Taken {
    used: usize,
    by_sender: Box<[usize]>,
}

impl Pool {
    fn new(max: usize) -> Self {
        Pool {
            max,
            taken: Mutex::new(Taken {
                used: 0,
                by_sender: vec![0; SHARES].into_boxed_slice(),
            }),
        }
    }

    /// Takes `wanted` for a request that holds `held` already.
    fn take(&self, sender: SenderShare, held: usize, wanted: usize) -> bool {
        let taken = &mut *self.taken.lock();
        let own = taken.by_sender[sender.number()];
        // Like an empty log, which takes any one request.
        let is_alone = taken.used == held;
        let has_room = taken.used.saturating_add(wanted) <= self.max;
        let n_active = || taken.by_sender.iter().filter(|held| **held > 0).count();
        let may = is_alone || (has_room && is_fair(own, wanted, (taken.used, self.max), n_active));
        if may {
            taken.used += wanted;
            taken.by_sender[sender.number()] += wanted;
        }
        may
    }

    fn give_back(&self, sender: SenderShare, amount: usize) {
        let taken = &mut *self.taken.lock();
        taken.by_sender[sender.number()] -= amount;
        taken.used -= amount;
    }
}

/// The requests under way and the memory that they take.
#[derive(Clone, Debug)]
pub struct InFlightRequests {
    requests: Arc<Pool>,
    bytes: Arc<Pool>,
}

impl InFlightRequests {
    /// Returns that none is under way, of so many requests and bytes at most.
    pub fn new(requests_max: usize, bytes_max: usize) -> Self {
        InFlightRequests {
            requests: Arc::new(Pool::new(requests_max)),
            bytes: Arc::new(Pool::new(bytes_max)),
        }
    }

    /// Begins a request; `None` when there are too many, of all or of this sender.
    pub fn begin(&self, sender: SenderShare) -> Option<InFlight> {
        self.requests.take(sender, 0, 1).then(|| InFlight {
            all: self.clone(),
            sender,
            bytes: 0,
        })
    }

    /// Returns how many requests are under way, and the bytes that they take.
    pub fn used(&self) -> (usize, usize) {
        let used = |pool: &Pool| pool.taken.lock().used;
        (used(&self.requests), used(&self.bytes))
    }
}

/// A request under way; it counts until it is dropped.
#[derive(Debug)]
pub struct InFlight {
    all: InFlightRequests,
    sender: SenderShare,
    bytes: usize,
}

impl InFlight {
    /// Takes so many bytes more for the request; `false` when there are none left for it.
    pub fn take_bytes(&mut self, bytes: usize) -> bool {
        let is_taken = self.all.bytes.take(self.sender, self.bytes, bytes);
        if is_taken {
            self.bytes += bytes;
        }
        is_taken
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.all.bytes.give_back(self.sender, self.bytes);
        self.all.requests.give_back(self.sender, 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ingest::decode::HashKey;

    fn share(name: &str) -> SenderShare {
        SenderShare::of(name, &HashKey::new(7))
    }

    /// Senders ask in turn for 10 of a log of 1,000 that nobody reads, until none gets any more.
    /// Returns what each then has.
    fn flooded_by(names: &[&str]) -> (LogShares, Vec<usize>, usize) {
        let mut shares = LogShares::new(1, 1_000);
        let (mut held, mut waiting) = (vec![0; names.len()], 0);
        loop {
            let before = waiting;
            for (name, held) in names.iter().zip(&mut held) {
                if waiting + 10 <= 1_000 && shares.admits(0, share(name), 10, waiting) {
                    shares.appended(0, share(name), 10);
                    *held += 10;
                    waiting += 10;
                }
            }
            if waiting == before {
                return (shares, held, waiting);
            }
        }
    }

    #[test]
    fn floods_leave_room_for_whoever_has_nothing_waiting() {
        for (names, expected) in [
            (&["a"][..], vec![870]),
            (&["a", "b"], vec![430, 430]),
            (&["a", "b", "c"], vec![290, 290, 290]),
        ] {
            let (mut shares, held, waiting) = flooded_by(names);
            assert_eq!(held, expected);
            assert!(!shares.admits(0, share("a"), 10, waiting));
            assert!(shares.admits(0, share("small"), 10, waiting));
        }
    }

    #[test]
    fn what_the_engine_takes_out_is_given_back_to_whose_it_was() {
        let mut shares = LogShares::new(1, 80);
        let (a, b) = (share("a"), share("b"));
        for (sender, weight) in [(a, 10), (a, 20), (b, 30)] {
            shares.appended(0, sender, weight);
        }
        // Of 70 each may have 35.
        assert!(shares.admits(0, a, 5, 60));
        assert!(!shares.admits(0, a, 6, 60));
        assert!(shares.admits(0, b, 5, 60));
        assert!(!shares.admits(0, b, 6, 60));
        // The engine has taken all of the first's, and 5 of the second's.
        assert!(shares.admits(0, a, 55, 25), "it has nothing waiting");
        assert!(shares.admits(0, b, 15, 25), "less than half is taken");
        assert!(shares.admits(0, b, 45, 25), "it is alone");
        assert!(!shares.admits(0, b, 46, 25));
    }

    /// Where a flood holds everything, one refusal of another makes it give way.
    #[test]
    fn who_was_refused_is_waited_for() {
        let mut shares = LogShares::new(1, 80);
        let (flood, other) = (share("flood"), share("other"));
        shares.appended(0, flood, 60);
        assert!(shares.admits(0, flood, 10, 60));
        shares.refused(other);
        assert!(!shares.admits(0, flood, 10, 60));
        // Until so much has gone through that it will not come again.
        for _ in 0..8 {
            shares.appended(0, flood, 20);
        }
        assert!(shares.admits(0, flood, 10, 60));
    }

    #[test]
    fn requests_under_way_are_shared_too() {
        let requests = InFlightRequests::new(10, 1_000);
        let mut flood: Vec<InFlight> = std::iter::from_fn(|| requests.begin(share("a"))).collect();
        assert_eq!(flood.len(), 9);
        let mut small = requests.begin(share("b")).expect("one is free");
        assert!(requests.begin(share("a")).is_none());
        // Each may have 437 once half is taken.
        assert!(flood[0].take_bytes(100));
        assert!(small.take_bytes(300));
        assert!(small.take_bytes(100));
        assert!(!small.take_bytes(100), "the rest is for the other");
        assert!(flood[1].take_bytes(100));
        assert_eq!(requests.used(), (10, 600));
        drop((small, flood));
        assert_eq!(requests.used(), (0, 0));
        assert!(
            requests
                .begin(share("a"))
                .is_some_and(|mut one| one.take_bytes(600) && one.take_bytes(5_000)),
            "one request alone may be as large as the limits of requests allow"
        );
    }
}
