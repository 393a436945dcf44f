//! Isolation forest: a point is odd where few random cuts part it from all others.
//!
//! Liu, Ting, Zhou: "Isolation Forest", ICDM 2008. With `h` the depth of the leaf that a point
//! comes to and `n` how many of the `sample_size` points of its tree are there, the score is
//!
//! ```text
//! 2 ^ (− mean over trees of (h + c(n)) / c(sample_size))
//! c(n) = 2 (ln(n − 1) + 0.5772156649015329) − 2 (n − 1) / n,  c(2) = 1,  c(n ≤ 1) = 0
//! ```
//!
//! `c(n)` is the mean depth of a leaf among `n` points. About 0.5 is ordinary, 1 is as odd as can
//! be. The forest does not learn once it is drawn.

use crate::functions::forest::drawn_tree::{Cut, draw};
use crate::functions::forest::draws::Draws;
use crate::functions::forest::model::Verdict;
use crate::functions::forest::points::{KeptPoints, KeptScores};
use crate::functions::forest::settings::Settings;

/// Euler's constant, as scikit-learn has it.
const EULER: f64 = 0.577_215_664_901_532_9;

/// Trees over samples of one set of points.
#[derive(Clone, Debug)]
pub(super) struct IsolationTrees {
    /// Nodes of each tree, the root first.
    pub trees: Vec<Vec<Cut>>,
    /// How many points each tree was drawn from.
    pub sample_size: usize,
}

impl IsolationTrees {
    /// Draws trees.
    fn draw(settings: &Settings, kept: &KeptPoints, draws: &mut Draws) -> Self {
        let sample_size = settings.sample_size.min(kept.len());
        let depth_max = sample_size.next_power_of_two().ilog2();
        let trees = (0..settings.n_trees).map(|_| {
            let mut points = kept.some(sample_size, draws);
            draw(kept, &mut points, depth_max, draws)
        });
        IsolationTrees {
            trees: trees.collect(),
            sample_size,
        }
    }

    /// Scores a point.
    pub fn score(&self, point: &[f64]) -> f64 {
        let depths = self.trees.iter().map(|nodes| {
            let (mut at, mut depth) = (0, 0.0);
            while let Some(node) = nodes.get(at) {
                if node.left == 0 {
                    return depth + mean_depth(usize::from(node.n_points));
                }
                depth += 1.0;
                let is_left = point[usize::from(node.dim)] <= node.threshold;
                at = usize::from(if is_left { node.left } else { node.right });
            }
            depth
        });
        let mean = depths.sum::<f64>() / self.trees.len() as f64;
        // Of a single point nothing can be told apart.
        match mean_depth(self.sample_size) {
            0.0 => 0.5,
            expected => (-mean / expected).exp2(),
        }
    }
}

/// Returns the mean depth of a leaf of a tree that parts `n` points.
fn mean_depth(n: usize) -> f64 {
    let points = n as f64;
    match n {
        0 | 1 => 0.0,
        2 => 1.0,
        _ => 2.0 * ((points - 1.0).ln() + EULER) - 2.0 * (points - 1.0) / points,
    }
}

/// A model that is trained on the points of one block and scores those behind it.
#[derive(Clone, Debug)]
pub(super) struct IsolationForest {
    pub(super) kept: KeptPoints,
    /// As it is before trees are drawn, and stays: the same trees can be drawn again.
    pub(super) draws: Draws,
    pub(super) forest: Option<(IsolationTrees, Option<KeptScores>)>,
}

impl IsolationForest {
    pub fn begin(n_dims: usize, seed: u64) -> Self {
        IsolationForest {
            kept: KeptPoints::new(n_dims),
            draws: Draws::of(seed),
            forest: None,
        }
    }

    /// Keeps a point to be trained with, or scores it once `is_trained`.
    pub fn observe(
        &mut self,
        settings: &Settings,
        point: &[f64],
        is_trained: bool,
    ) -> Option<Verdict> {
        if !is_trained {
            self.kept.offer(point, &mut self.draws);
            return None;
        }
        if self.kept.len() < 2 {
            return None;
        }
        if self.forest.is_none() {
            let mut draws = self.draws.clone();
            let trees = IsolationTrees::draw(settings, &self.kept, &mut draws);
            let scores = settings.contamination.map(|contamination| {
                KeptScores::of(
                    contamination,
                    self.kept.iter().map(|point| trees.score(point)),
                )
            });
            self.forest = Some((trees, scores));
        }
        let (trees, scores) = self.forest.as_ref()?;
        let score = trees.score(point);
        let is_rare = scores.as_ref().is_some_and(|scores| scores.is_rare(score));
        Some(Verdict { score, is_rare })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::functions::forest::vectors::{numbers, read};

    #[test]
    fn recorded_scores_of_given_trees() {
        let vectors = read(include_str!(
            "../../../tests/data/ml/isolation_forest.jsonl"
        ));
        assert_eq!(vectors.len(), 20);
        for vector in vectors {
            let trees = vector.trees().iter().map(|nodes| {
                let nodes = nodes.as_array().expect("nodes").iter().map(numbers);
                let cut = |node: Vec<f64>| Cut {
                    threshold: node[1],
                    dim: node[0].max(0.0) as u16,
                    left: node[2].max(0.0) as u16,
                    right: node[3].max(0.0) as u16,
                    n_points: node[4] as u16,
                };
                nodes.map(cut).collect()
            });
            let forest = IsolationTrees {
                trees: trees.collect(),
                sample_size: vector.arg("max_samples") as usize,
            };
            // scikit-learn looks at 32 bits of a value.
            let narrowed = |point: &Vec<f64>| -> Vec<f64> {
                point.iter().map(|value| f64::from(*value as f32)).collect()
            };
            let points = vector.points();
            let scores = points.iter().map(|point| forest.score(&narrowed(point)));
            vector.check(&scores.collect::<Vec<f64>>());
        }
    }

    #[test]
    fn depths_of_few_points() {
        assert_eq!([0, 1, 2].map(mean_depth), [0.0, 0.0, 1.0]);
        // Of three points one is a cut away and two are two: 5 / 3 by the formula of harmonic
        // numbers, which the logarithm stands for.
        assert!((mean_depth(3) - 1.207_392_357_589_622).abs() < 1e-12);
    }
}
