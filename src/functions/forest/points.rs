//! Points that are kept to draw trees from, and scores that are kept to know which are rare.

use crate::functions::forest::draws::Draws;
use crate::functions::quantile::quantile;

/// So many points are kept of all that a model has seen.
pub(super) const POINTS_MAX: usize = 1024;
/// So many scores.
pub(super) const SCORES_MAX: usize = 1024;
/// After so many scores the threshold is found anew.
const SCORES_PER_THRESHOLD: u64 = 256;

/// An even sample of points, one beside the other.
#[derive(Clone, Debug)]
pub(super) struct KeptPoints {
    pub(super) n_dims: usize,
    pub(super) values: Vec<f64>,
    pub(super) n_seen: u64,
}

impl KeptPoints {
    pub fn new(n_dims: usize) -> Self {
        KeptPoints {
            n_dims: n_dims.max(1),
            values: Vec::new(),
            n_seen: 0,
        }
    }

    /// Takes points as they are.
    #[cfg(test)]
    pub fn of(points: &[Vec<f64>]) -> Self {
        let mut kept = KeptPoints::new(points.first().map_or(1, Vec::len));
        kept.values = points.concat();
        kept.n_seen = points.len() as u64;
        kept
    }

    /// Shows a point to the sample.
    pub fn offer(&mut self, point: &[f64], draws: &mut Draws) {
        let place = draws.place_in_sample(self.n_seen, POINTS_MAX);
        self.n_seen += 1;
        let Some(place) = place else { return };
        match self
            .values
            .get_mut(place * self.n_dims..(place + 1) * self.n_dims)
        {
            Some(kept) => kept.copy_from_slice(point),
            None => self.values.extend_from_slice(point),
        }
    }

    /// Returns how many it was shown.
    pub fn n_seen(&self) -> u64 {
        self.n_seen
    }

    /// Returns how many there are.
    pub fn len(&self) -> usize {
        self.values.len() / self.n_dims
    }

    pub fn n_dims(&self) -> usize {
        self.n_dims
    }

    /// Returns a value of a point.
    pub fn value(&self, point: u32, dim: usize) -> f64 {
        self.values[point as usize * self.n_dims + dim]
    }

    /// Returns all points.
    pub fn iter(&self) -> impl Iterator<Item = &[f64]> {
        self.values.chunks_exact(self.n_dims)
    }

    /// Returns the numbers of `size` points, or of all if there are fewer, each at most once.
    pub fn some(&self, size: usize, draws: &mut Draws) -> Vec<u32> {
        let n_points = u32::try_from(self.len()).unwrap_or(u32::MAX);
        let mut numbers: Vec<u32> = (0..n_points).collect();
        let size = size.min(numbers.len());
        for place in 0..size {
            let other = place + draws.below(numbers.len() - place);
            numbers.swap(place, other);
        }
        numbers.truncate(size);
        numbers
    }
}

/// An even sample of scores, and the score that a share of them is above.
#[derive(Clone, Debug)]
pub(super) struct KeptScores {
    pub(super) contamination: f64,
    pub(super) scores: Vec<f64>,
    pub(super) n_seen: u64,
    pub(super) threshold: f64,
}

impl KeptScores {
    /// Begins with scores that points have got.
    pub fn of(contamination: f64, scores: impl Iterator<Item = f64>) -> Self {
        let scores: Vec<f64> = scores.collect();
        let mut kept = KeptScores {
            contamination,
            n_seen: scores.len() as u64,
            scores,
            threshold: f64::INFINITY,
        };
        kept.find_threshold();
        kept
    }

    /// Tells whether a score is above the threshold.
    pub fn is_rare(&self, score: f64) -> bool {
        score > self.threshold
    }

    /// Shows a score to the sample.
    pub fn offer(&mut self, score: f64, draws: &mut Draws) {
        let place = draws.place_in_sample(self.n_seen, SCORES_MAX);
        self.n_seen += 1;
        if let Some(place) = place {
            match self.scores.get_mut(place) {
                Some(kept) => *kept = score,
                None => self.scores.push(score),
            }
        }
        if self.n_seen.is_multiple_of(SCORES_PER_THRESHOLD) {
            self.find_threshold();
        }
    }

    fn find_threshold(&mut self) {
        if !self.scores.is_empty() {
            let mut sorted = self.scores.clone();
            self.threshold = quantile(1.0 - self.contamination, &mut sorted);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_of_points_is_of_points_that_came() {
        let (mut kept, mut draws) = (KeptPoints::new(2), Draws::of(1));
        for number in 0..5_000 {
            let number = f64::from(number);
            kept.offer(&[number, -number], &mut draws);
        }
        assert_eq!((kept.len(), kept.n_seen()), (POINTS_MAX, 5_000));
        assert!(kept.iter().all(|point| point[0] == -point[1]));
        let mean = kept.iter().map(|point| point[0]).sum::<f64>() / POINTS_MAX as f64;
        assert!((2_300.0..2_700.0).contains(&mean), "{mean}");
        let mut some = kept.some(100, &mut draws);
        some.sort_unstable();
        some.dedup();
        assert_eq!(some.len(), 100);
    }

    #[test]
    fn a_share_of_scores_is_rare() {
        let (mut draws, mut kept) = (Draws::of(2), KeptScores::of(0.05, std::iter::empty()));
        assert!(!kept.is_rare(f64::MAX));
        let mut n_rare = 0;
        for number in 0..20_000 {
            let score = draws.share();
            n_rare += u32::from(number >= 10_000 && kept.is_rare(score));
            kept.offer(score, &mut draws);
        }
        // 500 of 10,000, give or take the sample's own error.
        assert!((350..650).contains(&n_rare), "{n_rare}");
    }
}
