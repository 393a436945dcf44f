//! Who brought each series, where a sender may bring only so many.
//!
//! A series counts for the sender whose request was the first to hold it, until it is forgotten;
//! whoever else sends it later brings nothing. After a start nobody has brought what is known from
//! before; such a series counts for the first to send it again, who is not refused for that.
//!
//! Senders have numbers, so that a series costs two bytes. Those who have brought nothing are
//! forgotten when there are many; senders beyond the bound share a number, and so a limit.
//!
//! Called by the table of series, under the node's lock; requests ask the node for their number.

use std::collections::HashMap;

use crate::ingest::Node;

/// Senders with a number of their own.
const SENDERS_MAX: usize = 10_000;

/// The number of a sender; nobody's by default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SenderNumber(u16);

/// Nobody has brought it.
const NOBODY: SenderNumber = SenderNumber(0);
/// Somebody has who has no number of his own.
const OTHERS: SenderNumber = SenderNumber(1);

/// Who brought the series at each place.
#[derive(Debug)]
pub struct SeriesOwners {
    limit: usize,
    by_name: HashMap<String, SenderNumber>,
    /// By number: how many series.
    n_series: Vec<usize>,
    free: Vec<SenderNumber>,
    of_place: Vec<SenderNumber>,
}

impl SeriesOwners {
    /// Lets every sender bring so many.
    pub fn new(limit: usize) -> Self {
        SeriesOwners {
            limit,
            by_name: HashMap::new(),
            n_series: vec![0; 2],
            free: Vec::new(),
            of_place: Vec::new(),
        }
    }

    /// Returns the number of a sender.
    pub fn number(&mut self, name: &str) -> SenderNumber {
        if let Some(number) = self.by_name.get(name) {
            return *number;
        }
        if self.by_name.len() >= SENDERS_MAX {
            let SeriesOwners {
                by_name,
                n_series,
                free,
                ..
            } = self;
            by_name.retain(|_, number| {
                let has_any = n_series[usize::from(number.0)] > 0;
                if !has_any {
                    free.push(*number);
                }
                has_any
            });
        }
        if self.by_name.len() >= SENDERS_MAX {
            return OTHERS;
        }
        let number = self.free.pop().unwrap_or_else(|| {
            self.n_series.push(0);
            // Few enough for 16 bits, by the bound on senders.
            SenderNumber((self.n_series.len() - 1) as u16)
        });
        self.by_name.insert(name.to_owned(), number);
        number
    }

    /// Returns how many series a sender has brought.
    pub fn n_series(&self, sender: SenderNumber) -> usize {
        let n_series = self.n_series.get(usize::from(sender.0));
        n_series.copied().unwrap_or_default()
    }

    /// Tells whether a sender may bring another series.
    pub fn may_bring(&self, sender: SenderNumber) -> bool {
        self.n_series(sender) < self.limit
    }

    /// A sender sends the series at a place, which counts for it if for nobody else.
    #[inline]
    pub fn heard(&mut self, place: u32, sender: SenderNumber) {
        let place = place as usize;
        if place >= self.of_place.len() {
            self.of_place.resize(place + 1, NOBODY);
        }
        if self.of_place[place] == NOBODY {
            self.of_place[place] = sender;
            self.count(sender, true);
        }
    }

    /// The series at a place is forgotten.
    pub fn forgotten(&mut self, place: u32) {
        let owner = self.of_place.get_mut(place as usize);
        let owner = owner.map(std::mem::take).unwrap_or_default();
        self.count(owner, false);
    }

    fn count(&mut self, sender: SenderNumber, has_come: bool) {
        let counted = self.n_series.get_mut(usize::from(sender.0));
        let Some(n_series) = counted.filter(|_| sender != NOBODY) else {
            return;
        };
        *n_series = match has_come {
            true => *n_series + 1,
            false => n_series.saturating_sub(1),
        };
    }
}

impl Node {
    /// Returns the number of a sender for the series that it brings, where these are limited.
    pub fn number_of(&self, sender: &str) -> SenderNumber {
        match self.limits().per_sender.series {
            0 => SenderNumber::default(),
            _ => self.locked.lock().writer.series.sender(sender),
        }
    }

    /// Returns how many series a sender has brought, where that is limited.
    pub fn n_series_of(&self, sender: SenderNumber) -> Option<usize> {
        match self.limits().per_sender.series {
            0 => None,
            _ => self.locked.lock().writer.series.n_series_of(sender),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_series_counts_for_who_brought_it_until_it_is_forgotten() {
        let mut owners = SeriesOwners::new(2);
        let (a, b) = (owners.number("a"), owners.number("b"));
        assert_eq!(owners.number("a"), a);
        for (place, sender) in [(0, a), (7, a), (7, b), (3, b)] {
            owners.heard(place, sender);
        }
        assert_eq!((owners.n_series(a), owners.n_series(b)), (2, 1));
        assert!(!owners.may_bring(a) && owners.may_bring(b));
        owners.forgotten(7);
        owners.forgotten(7);
        assert!(owners.may_bring(a));
        // The place is another's now.
        owners.heard(7, b);
        assert_eq!((owners.n_series(a), owners.n_series(b)), (1, 2));
    }

    #[test]
    fn names_without_end_do_not_fill_the_memory() {
        let mut owners = SeriesOwners::new(1);
        let stays = owners.number("stays");
        owners.heard(0, stays);
        for n in 0..3 * SENDERS_MAX {
            owners.number(&n.to_string());
        }
        assert!(owners.by_name.len() <= SENDERS_MAX && owners.n_series.len() <= SENDERS_MAX + 2);
        assert_eq!(owners.number("stays"), stays);
        // All of them bring something: a further one shares what others have.
        for n in 0..SENDERS_MAX as u32 + 1 {
            let number = owners.number(&format!("with {n}"));
            owners.heard(n + 1, number);
        }
        assert_eq!(owners.number("one more"), OTHERS);
        assert!(!owners.may_bring(OTHERS));
    }
}
