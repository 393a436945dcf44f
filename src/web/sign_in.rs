//! Whether a password is right: bcrypt, which is slow on purpose, asked once for each answer.
//!
//! Verdicts are kept under a digest, so that no password stays in memory. One password is hashed
//! at a time, away from the threads that serve; a peer that tries many waits for itself, and is
//! refused beyond a few. Those whose password is known to be right never wait.

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::Semaphore;

use crate::web::people::People;

/// How many verdicts of each kind are kept; all are forgotten when there are more.
const VERDICTS_MAX: usize = 1024;
/// How many passwords of one peer may wait.
const WAITING_PER_PEER: usize = 4;
/// How many passwords may wait.
const WAITING_MAX: usize = 64;

/// What came of a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is right.
    Right,
    /// It is wrong, or there is no such user.
    Wrong,
    /// Too many are being looked at.
    Busy,
}

type Digest = [u8; 32];

/// Looks at passwords.
#[derive(Debug)]
pub struct SignIn {
    verdicts: Mutex<Verdicts>,
    one_at_a_time: Arc<Semaphore>,
    waiting: Mutex<HashMap<IpAddr, usize>>,
}

#[derive(Debug, Default)]
struct Verdicts {
    right: HashSet<Digest>,
    wrong: HashSet<Digest>,
}

impl Default for SignIn {
    fn default() -> Self {
        SignIn {
            verdicts: Mutex::default(),
            one_at_a_time: Arc::new(Semaphore::new(1)),
            waiting: Mutex::default(),
        }
    }
}

impl SignIn {
    /// Says whether `password` is that of `name`. An unknown name takes as long as a known one.
    pub async fn verdict(
        &self,
        people: &People,
        name: &str,
        password: &str,
        peer: IpAddr,
    ) -> Verdict {
        let user = people.user(name);
        let hash = user.map(|user| &user.hash).or(people.slowest_hash());
        let Some(hash) = hash.cloned() else {
            return Verdict::Wrong;
        };
        // The hash is part of what is kept: with a new password the old verdicts fall away.
        let digest = people.digest(&[name, &hash, password]);
        if let Some(verdict) = self.kept(&digest) {
            return verdict;
        }
        let Some(_place) = Place::take(&self.waiting, peer) else {
            return Verdict::Busy;
        };
        let turn = Arc::clone(&self.one_at_a_time).acquire_owned().await;
        let turn = turn.expect("the semaphore is never closed");
        // Somebody may have asked the same meanwhile: a sender opens many connections at once.
        if let Some(verdict) = self.kept(&digest) {
            return verdict;
        }
        let password = password.to_owned();
        let hashed = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            bcrypt::verify(password, &hash).unwrap_or(false)
        });
        let is_right = hashed.await.unwrap_or(false) && user.is_some();
        self.keep(digest, is_right);
        match is_right {
            true => Verdict::Right,
            false => Verdict::Wrong,
        }
    }

    fn kept(&self, digest: &Digest) -> Option<Verdict> {
        let verdicts = self.verdicts.lock();
        if verdicts.right.contains(digest) {
            return Some(Verdict::Right);
        }
        verdicts.wrong.contains(digest).then_some(Verdict::Wrong)
    }

    fn keep(&self, digest: Digest, is_right: bool) {
        let mut verdicts = self.verdicts.lock();
        let kept = match is_right {
            true => &mut verdicts.right,
            false => &mut verdicts.wrong,
        };
        if kept.len() >= VERDICTS_MAX {
            kept.clear();
        }
        kept.insert(digest);
    }
}

/// A place among those who wait; given back when dropped.
struct Place<'a> {
    waiting: &'a Mutex<HashMap<IpAddr, usize>>,
    peer: IpAddr,
}

impl<'a> Place<'a> {
    fn take(waiting: &'a Mutex<HashMap<IpAddr, usize>>, peer: IpAddr) -> Option<Self> {
        let mut counts = waiting.lock();
        let all: usize = counts.values().sum();
        let of_peer = counts.get(&peer).copied().unwrap_or(0);
        if all >= WAITING_MAX || of_peer >= WAITING_PER_PEER {
            return None;
        }
        counts.insert(peer, of_peer + 1);
        drop(counts);
        Some(Place { waiting, peer })
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut counts = self.waiting.lock();
        if let Some(count) = counts.get_mut(&self.peer) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.peer);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Access, Secret};

    const PEER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    fn people(users: &[(&str, &str)]) -> People {
        let hashed = |(name, password): &(&str, &str)| {
            let hash = bcrypt::hash(password, 4).expect("a hash");
            ((*name).to_owned(), Secret::new(hash))
        };
        let users: Vec<_> = users.iter().map(hashed).collect();
        let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, b"key");
        let mut read = |_: &std::path::Path| Err(std::io::ErrorKind::NotFound.into());
        People::new(&users, &Access::default(), &key, &mut read).expect("users")
    }

    #[tokio::test]
    async fn only_the_right_password_of_a_known_user_is_right() {
        let sign_in = SignIn::default();
        let known = people(&[("alice", "secret"), ("bob", "other")]);
        for _ in 0..2 {
            for (name, password, expected) in [
                ("alice", "secret", Verdict::Right),
                ("alice", "other", Verdict::Wrong),
                ("alice", "", Verdict::Wrong),
                ("bob", "other", Verdict::Right),
                ("carol", "other", Verdict::Wrong),
                ("", "", Verdict::Wrong),
            ] {
                let verdict = sign_in.verdict(&known, name, password, PEER).await;
                assert_eq!(verdict, expected, "{name}:{password}");
            }
        }
        // Who has a new password is not let in with the old one, kept or not.
        let later = people(&[("alice", "new")]);
        let old = sign_in.verdict(&later, "alice", "secret", PEER).await;
        assert_eq!(old, Verdict::Wrong);
        let nobody = sign_in.verdict(&people(&[]), "alice", "secret", PEER).await;
        assert_eq!(nobody, Verdict::Wrong);
    }

    /// Catches a peer that keeps others from signing in.
    #[tokio::test]
    async fn a_peer_that_tries_many_waits_for_itself() {
        let sign_in = SignIn::default();
        let known = people(&[("alice", "secret")]);
        let turn = Arc::clone(&sign_in.one_at_a_time).acquire_owned().await;
        let turn = turn.expect("open");
        let mut tries: Vec<_> = (0..WAITING_PER_PEER)
            .map(|n| {
                let (sign_in, known) = (&sign_in, &known);
                Box::pin(async move { sign_in.verdict(known, "alice", &n.to_string(), PEER).await })
            })
            .collect();
        for waiting in &mut tries {
            assert!(futures::poll!(waiting).is_pending());
        }
        let one_more = sign_in.verdict(&known, "alice", "x", PEER).await;
        assert_eq!(one_more, Verdict::Busy);
        let other: IpAddr = [10, 0, 0, 1].into();
        let mut of_other = Box::pin(sign_in.verdict(&known, "alice", "secret", other));
        assert!(futures::poll!(&mut of_other).is_pending());
        drop(turn);
        let (verdict, _) = tokio::join!(of_other, futures::future::join_all(tries));
        assert_eq!(verdict, Verdict::Right);
        assert!(sign_in.waiting.lock().is_empty());
    }
}
