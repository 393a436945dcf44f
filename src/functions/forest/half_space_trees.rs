//! Half-space trees: a point is odd where few points have been.
//!
//! Tan, Ting, Liu: "Fast Anomaly Detection for Streaming Data", IJCAI 2011. The mass `r` of a node
//! is how many points of the reference have passed it; a point's path down a tree ends behind the
//! first node with `r < 0.1 · reference`, or at a leaf. Depth 0 is the root. A point is scored
//! before it is learned; both scores are in `[0, 1]`, the higher the odder.
//!
//! ```text
//! score=density:  1 / (1 + geometric mean over trees of 2^depth · (r + 0.5) / reference)
//!                 with r and depth of the node at which the path ends
//! score=mass:     1 − Σ over trees Σ over the path of r · 2^depth
//!                     / (trees · reference · (2^(height+1) − 1))
//! ```
//!
//! `mass` is what river 0.26 computes. In its sum a few trees whose deepest node is full outweigh
//! all others; in a geometric mean none does, so that fewer trees do, and one half is the score
//! of a place that is as full as if all points lay evenly.
//!
//! The other difference from the paper is where the cuts are. There a dimension's work range is
//! guessed once and halved, so one wild value early on leaves all others in one half for ever. Here
//! trees are drawn from points that have come ([`drawn_tree`](crate::functions::forest)), of the
//! first `window_size` and again whenever there are twice as many. What both are worth is in
//! docs/FOREST.md.

use crate::functions::forest::drawn_tree::draw;
use crate::functions::forest::draws::Draws;
use crate::functions::forest::model::Verdict;
use crate::functions::forest::points::{KeptPoints, KeptScores};
use crate::functions::forest::settings::{Reference, Scoring, Settings};

/// A path ends where this share of the reference is not reached.
const ENDS_BELOW: f64 = 0.1;

/// A node.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct HalfSpace {
    /// Points below it go left.
    pub threshold: f64,
    /// Which dimension is looked at.
    pub dim: u16,
    /// The left child; 0 where this is a leaf.
    pub left: u16,
    /// The right child.
    pub right: u16,
    /// How many points of the reference have passed.
    pub(super) mass: f32,
    /// How many have passed since.
    pub(super) learned: f32,
}

impl HalfSpace {
    #[inline]
    fn child(&self, point: &[f64]) -> usize {
        let is_left = point[usize::from(self.dim)] < self.threshold;
        usize::from(if is_left { self.left } else { self.right })
    }
}

/// A point's way through one tree.
struct Path {
    ends_below: f64,
    has_ended: bool,
    /// 2^depth of the next node.
    weight: f64,
    /// Σ r · 2^depth.
    weighted: f64,
    /// r · 2^depth of the last node.
    last: (f64, f64),
}

impl Path {
    /// Passes a node. Behind the end of the path nothing is added, though the point is learned.
    #[inline]
    fn pass(&mut self, node: &HalfSpace) {
        if self.has_ended {
            return;
        }
        let mass = f64::from(node.mass);
        self.weighted += mass * self.weight;
        self.last = (mass, self.weight);
        self.weight *= 2.0;
        self.has_ended = mass < self.ends_below;
    }
}

/// What a point's ways through all trees come to.
struct Sum {
    scoring: Scoring,
    reference: f64,
    total: f64,
}

impl Sum {
    fn new(scoring: Scoring) -> Sum {
        Sum {
            scoring,
            reference: 0.0,
            total: 0.0,
        }
    }

    /// Begins the way through a tree; the reference is the mass of its root.
    fn path(&mut self, nodes: &[HalfSpace]) -> Path {
        self.reference = f64::from(nodes.first().map_or(0.0, |root| root.mass));
        Path {
            ends_below: ENDS_BELOW * self.reference,
            has_ended: false,
            weight: 1.0,
            weighted: 0.0,
            last: (0.0, 1.0),
        }
    }

    fn add(&mut self, path: &Path) {
        let (mass, weight) = path.last;
        self.total += match self.scoring {
            Scoring::Density => ((mass + 0.5) * weight).ln(),
            Scoring::Mass => path.weighted,
        };
    }

    fn score(&self, n_trees: usize, height: u32) -> f64 {
        if self.reference == 0.0 {
            return 0.0;
        }
        let mean = self.total / n_trees as f64;
        match self.scoring {
            Scoring::Density => 1.0 / (1.0 + mean.exp() / self.reference),
            Scoring::Mass => {
                let most = f64::from((1u32 << (height + 1)) - 1);
                1.0 - mean / (self.reference * most)
            }
        }
    }
}

/// Trees and the masses of their nodes.
#[derive(Clone, Debug)]
pub(super) struct HalfSpaceTrees {
    /// Nodes of each tree, the root first.
    pub trees: Vec<Vec<HalfSpace>>,
    pub height: u32,
    pub window_size: u64,
    pub reference: Reference,
    pub scoring: Scoring,
    pub(super) n_in_window: u64,
}

impl HalfSpaceTrees {
    /// Takes trees that have seen nothing.
    pub fn new(
        trees: Vec<Vec<HalfSpace>>,
        height: u32,
        (window_size, reference): (u64, Reference),
        scoring: Scoring,
    ) -> Self {
        HalfSpaceTrees {
            trees,
            height,
            window_size,
            reference,
            scoring,
            n_in_window: 0,
        }
    }

    /// Scores a point and learns it; the score is 0 as long as there is no reference.
    pub fn score_and_learn(&mut self, point: &[f64]) -> f64 {
        let mut sum = Sum::new(self.scoring);
        for nodes in &mut self.trees {
            let mut path = sum.path(nodes);
            let mut at = 0;
            while let Some(node) = nodes.get_mut(at) {
                node.learned += 1.0;
                path.pass(node);
                if node.left == 0 {
                    break;
                }
                at = node.child(point);
            }
            sum.add(&path);
        }
        let score = sum.score(self.trees.len(), self.height);
        self.n_in_window += 1;
        if self.n_in_window >= self.window_size {
            self.n_in_window = 0;
            self.renew_reference();
        }
        score
    }

    /// Scores a point without learning it.
    fn score(&self, point: &[f64]) -> f64 {
        let mut sum = Sum::new(self.scoring);
        for nodes in &self.trees {
            let mut path = sum.path(nodes);
            let mut at = 0;
            while let Some(node) = nodes.get(at) {
                path.pass(node);
                if node.left == 0 {
                    break;
                }
                at = node.child(point);
            }
            sum.add(&path);
        }
        sum.score(self.trees.len(), self.height)
    }

    fn renew_reference(&mut self) {
        for node in self.trees.iter_mut().flatten() {
            node.mass = node.learned;
            if self.reference == Reference::Window {
                node.learned = 0.0;
            }
        }
    }

    /// Lets some points stand for all that a model has seen.
    fn learn_anew(&mut self, kept: &KeptPoints) {
        let stands_for = match self.reference {
            Reference::All => kept.n_seen(),
            Reference::Window => self.window_size,
        };
        let weight = (stands_for as f64 / kept.len().max(1) as f64) as f32;
        for nodes in &mut self.trees {
            for point in kept.iter() {
                let mut at = 0;
                while let Some(node) = nodes.get_mut(at) {
                    node.learned += weight;
                    if node.left == 0 {
                        break;
                    }
                    at = node.child(point);
                }
            }
        }
        self.renew_reference();
        self.n_in_window = 0;
    }
}

/// A model that begins with nothing.
#[derive(Clone, Debug)]
pub(super) struct HalfSpaceForest {
    pub(super) kept: KeptPoints,
    pub(super) draws: Draws,
    pub(super) forest: Option<HalfSpaceTrees>,
    /// With so many points trees are drawn.
    pub(super) next_draw: u64,
    pub(super) scores: Option<KeptScores>,
}

impl HalfSpaceForest {
    pub fn begin(settings: &Settings, n_dims: usize, seed: u64) -> Self {
        HalfSpaceForest {
            kept: KeptPoints::new(n_dims),
            draws: Draws::of(seed),
            forest: None,
            next_draw: settings.window_size,
            scores: None,
        }
    }

    /// Scores a point, if there are trees, and learns it.
    pub fn observe(&mut self, settings: &Settings, point: &[f64]) -> Option<Verdict> {
        let verdict = self.forest.as_mut().map(|forest| {
            let score = forest.score_and_learn(point);
            let scores = self.scores.as_mut();
            let is_rare = scores.is_some_and(|scores| {
                let is_rare = scores.is_rare(score);
                scores.offer(score, &mut self.draws);
                is_rare
            });
            Verdict { score, is_rare }
        });
        self.kept.offer(point, &mut self.draws);
        if self.kept.n_seen() == self.next_draw {
            self.draw(settings);
            self.next_draw = match settings.reference {
                Reference::All => self.next_draw.saturating_mul(2),
                Reference::Window => u64::MAX,
            };
        }
        verdict
    }

    fn draw(&mut self, settings: &Settings) {
        let (kept, draws) = (&self.kept, &mut self.draws);
        let trees = (0..settings.n_trees).map(|_| {
            let mut points = kept.some(settings.sample_size, draws);
            let nodes = draw(kept, &mut points, settings.height, draws);
            let nodes = nodes.iter().map(|node| HalfSpace {
                threshold: node.threshold.next_up(),
                dim: node.dim,
                left: node.left,
                right: node.right,
                ..HalfSpace::default()
            });
            nodes.collect()
        });
        let windows = (settings.window_size, settings.reference);
        let mut forest =
            HalfSpaceTrees::new(trees.collect(), settings.height, windows, settings.scoring);
        forest.learn_anew(kept);
        self.scores = settings.contamination.map(|contamination| {
            KeptScores::of(contamination, kept.iter().map(|point| forest.score(point)))
        });
        self.forest = Some(forest);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::functions::forest::vectors::read;
    use serde_json::Value as Json;

    /// Adds a tree of nested objects to its nodes; returns its number.
    fn add(tree: &Json, nodes: &mut Vec<HalfSpace>) -> u16 {
        let number = nodes.len();
        nodes.push(HalfSpace::default());
        if tree.get("f").is_some() {
            let (left, right) = (add(&tree["l"], nodes), add(&tree["r"], nodes));
            nodes[number] = HalfSpace {
                threshold: tree["t"].as_f64().expect("a threshold"),
                dim: tree["f"].as_u64().expect("a dimension") as u16,
                left,
                right,
                ..HalfSpace::default()
            };
        }
        number as u16
    }

    #[test]
    fn recorded_scores_of_given_trees() {
        let vectors = read(include_str!(
            "../../../tests/data/ml/half_space_trees.jsonl"
        ));
        assert_eq!(vectors.len(), 19);
        for vector in vectors {
            let trees = vector.trees().iter().map(|tree| {
                let mut nodes = Vec::new();
                add(tree, &mut nodes);
                nodes
            });
            let windows = (vector.arg("window_size"), Reference::Window);
            let height = vector.arg("height") as u32;
            let mut forest = HalfSpaceTrees::new(trees.collect(), height, windows, Scoring::Mass);
            let points = vector.points();
            let scores = points.iter().map(|point| {
                let score = forest.score(point);
                assert_eq!(score, forest.score_and_learn(point), "{}", vector.id);
                score
            });
            vector.check(&scores.collect::<Vec<f64>>());
        }
    }

    #[test]
    fn masses_are_of_the_window_or_of_all() {
        let tree = vec![HalfSpace::default()];
        let mass = |reference: Reference| {
            let mut forest =
                HalfSpaceTrees::new(vec![tree.clone()], 1, (10, reference), Scoring::Density);
            for _ in 0..25 {
                forest.score_and_learn(&[0.0]);
            }
            forest.trees[0][0].mass
        };
        assert_eq!(mass(Reference::Window), 10.0);
        assert_eq!(mass(Reference::All), 20.0);
    }
}
