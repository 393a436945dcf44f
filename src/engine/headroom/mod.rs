//! How long a part of a rule that found nothing cannot find anything, whatever comes.
//!
//! When a rule over ratios of counters' growth is evaluated, it is known what its sums may come to
//! while samples leave ([`SumBounds`]); here follows how much its counters may grow meanwhile
//! ([`Headroom`]), and what they do grow by is added up as samples come ([`Gains`]). Until the one is
//! used up by the other, or time is, neither arrivals nor ticks evaluate that part.
//!
//! What may not live here: which parts there are (`partitions`), how sums are bounded (`eval::live`).
//! Headroom is no state: without it everything is evaluated, with the same effects.

mod find;
mod parts;

use smallvec::SmallVec;

use crate::engine::partitions::PartId;
use crate::history::SeriesHistory;
use crate::model::{Labels, Matcher, SampleValue, TimestampMs};
use crate::promql::ast::VectorSelector;

/// The number of a [`Channel`].
pub type ChannelId = u32;

/// So many evaluations pass before a part is tried again that had no headroom.
const TRIED_AGAIN_AFTER: u8 = 8;

/// What has to happen before a part is evaluated again.
#[derive(Clone, Debug)]
pub struct Headroom {
    /// It is, from this place of the frontier on, ms.
    until: TimestampMs,
    /// Or when counters have gained more than this, since they are counted.
    limits: SmallVec<[(ChannelId, f64); 1]>,
    /// Before it is tried again to find any.
    n_untried: u8,
}

impl Default for Headroom {
    fn default() -> Self {
        Headroom {
            until: TimestampMs::MIN,
            limits: SmallVec::new(),
            n_untried: 0,
        }
    }
}

impl Headroom {
    fn endless() -> Headroom {
        Headroom {
            until: TimestampMs::MAX,
            ..Headroom::default()
        }
    }

    /// There is none any more.
    pub fn lose(&mut self) {
        self.until = TimestampMs::MIN;
    }

    /// None, and it is not tried again for a while.
    fn not_found() -> Headroom {
        Headroom {
            n_untried: TRIED_AGAIN_AFTER,
            ..Headroom::default()
        }
    }

    /// Tells whether it is worth while to look for some, and counts that it was asked.
    pub fn is_tried(&mut self) -> bool {
        let is_tried = self.n_untried == 0;
        self.n_untried = self.n_untried.saturating_sub(1);
        is_tried
    }

    /// Tells whether there is some at a place of the frontier, ms.
    pub fn is_there(&self, at: TimestampMs, gains: &Gains, part: Option<PartId>) -> bool {
        let is_within = |(channel, limit): &(ChannelId, f64)| gains.of(*channel, part) <= *limit;
        at < self.until && self.limits.iter().all(is_within)
    }

    /// Returns what is left as long as both are there.
    fn and(mut self, other: Headroom) -> Headroom {
        self.until = self.until.min(other.until);
        self.limits.extend(other.limits);
        self
    }
}

/// Counters of which it is added up what they gain, part by part.
#[derive(Clone, Debug, Default)]
struct Channel {
    matchers: Vec<Matcher>,
    class: Option<u32>,
    /// By part; one where there are none.
    gains: Vec<f64>,
}

/// What counters have gained since they were first counted.
#[derive(Clone, Debug, Default)]
pub struct Gains {
    channels: Vec<Channel>,
}

impl Gains {
    /// Returns the channel of a selector's counters, by the parts of a label set.
    pub fn channel(&mut self, selector: &VectorSelector, class: Option<u32>) -> ChannelId {
        let known = self.known(selector, class);
        known.unwrap_or_else(|| {
            self.channels.push(Channel {
                matchers: selector.matchers.clone(),
                class,
                gains: Vec::new(),
            });
            self.channels.len() as ChannelId - 1
        })
    }

    fn known(&self, selector: &VectorSelector, class: Option<u32>) -> Option<ChannelId> {
        let is_it =
            |channel: &Channel| channel.class == class && channel.matchers == selector.matchers;
        let at = self.channels.iter().position(is_it)?;
        ChannelId::try_from(at).ok()
    }

    /// Returns the label set whose parts a channel is added up by.
    pub fn class(&self, channel: ChannelId) -> Option<u32> {
        self.channels.get(channel as usize)?.class
    }

    /// Tells whether a series is among a channel's counters.
    pub fn counts(&self, channel: ChannelId, labels: &Labels) -> bool {
        let channel = self.channels.get(channel as usize);
        channel.is_some_and(|channel| channel.matchers.iter().all(|m| m.matches_labels(labels)))
    }

    /// Returns what all channels are, so that it can be told whether they are the same elsewhere.
    pub fn texts(&self) -> impl Iterator<Item = String> {
        let text = |channel: &Channel| format!("{:?} {:?}", channel.class, channel.matchers);
        self.channels.iter().map(text)
    }

    /// Begins to count anew; headroom that was found before is of no use then.
    pub fn forget(&mut self) {
        self.channels
            .iter_mut()
            .for_each(|channel| channel.gains.clear());
    }

    /// Returns what a part's counters have gained.
    #[inline]
    fn of(&self, channel: ChannelId, part: Option<PartId>) -> f64 {
        let channel = self.channels.get(channel as usize);
        let gained = channel.and_then(|channel| channel.gains.get(part.unwrap_or(0) as usize));
        gained.copied().unwrap_or(0.0)
    }

    /// Adds what one of them has gained, rounded up.
    #[inline]
    pub fn add(&mut self, channel: ChannelId, part: Option<PartId>, gain: f64) {
        let Some(channel) = self.channels.get_mut(channel as usize) else {
            return;
        };
        let part = part.unwrap_or(0) as usize;
        if part >= channel.gains.len() {
            channel.gains.resize(part + 1, 0.0);
        }
        let gained = &mut channel.gains[part];
        let sum = *gained + gain;
        *gained = match sum - *gained < gain {
            true => sum.next_up(),
            false => sum,
        };
    }
}

/// Returns by how much a counter grows with the sample that comes behind its past; `None` where that is
/// not known, or it is none. `ends` says that the sample is a stale marker.
#[inline]
pub fn gain_of(history: &SeriesHistory, value: &SampleValue, ends: bool) -> Option<f64> {
    if ends {
        return Some(0.0);
    }
    let SampleValue::Float(value) = value else {
        return None;
    };
    // A series that begins, or comes back from sleep, may be of a group that was not there.
    let newest = history.newest_if_float()?;
    let gain = match *value < newest.value {
        true => *value,
        false => *value - newest.value,
    };
    (gain >= 0.0 && gain.is_finite()).then_some(gain)
}
