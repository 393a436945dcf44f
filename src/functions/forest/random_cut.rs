//! Random cut forest: a point is odd if keeping it displaces many others.
//!
//! Guha, Mishra, Roy, Schrijvers: "Robust Random Cut Forest Based Anomaly Detection on Streams",
//! ICML 2016. A tree cuts the box around its points in a dimension drawn in proportion to the
//! box's sides, at a place drawn evenly. A point is put in, scored, and stays if it falls into the
//! tree's sample, where it takes the place of another. Its score is the mean over trees of its
//! collusive displacement,
//!
//! ```text
//! max over v from its leaf up to below the root of (points under v's sibling) / (points under v)
//! ```
//!
//! which is above 0 and has no upper end.
//!
//! Each tree has an even sample of its own of all points since the model began, so its size is
//! bounded, and what has been usual for long weighs more than what is recent.

use crate::functions::forest::draws::Draws;
use crate::functions::forest::model::Verdict;
use crate::functions::forest::points::KeptScores;
use crate::functions::forest::settings::Settings;

/// There is no such node.
pub(super) const NONE: u32 = u32::MAX;
/// Sides of boxes are added up in this unit, so that the sum of 256 of them cannot be too large
/// for a float. A power of two, so that nothing is rounded.
const SIDE_UNIT: f64 = 4096.0;

/// A tree is given room for so many nodes at a time: it grows to a known size, and there are many.
const NODES_MORE: usize = 64;

/// A node: a branch with two children, or a leaf where `left` is [`NONE`].
#[derive(Clone, Copy, Debug)]
pub(super) struct Node {
    pub(super) parent: u32,
    pub(super) left: u32,
    pub(super) right: u32,
    /// How many points are under it; those that are alike share a leaf.
    pub(super) n_points: u32,
    /// Of a branch: points up to `cut` in this dimension are on the left.
    pub(super) dim: u32,
    pub(super) cut: f64,
}

/// One tree.
#[derive(Clone, Debug)]
pub(super) struct CutTree {
    pub(super) n_dims: usize,
    pub(super) nodes: Vec<Node>,
    /// The box around each node's points: the least values, then the greatest.
    pub(super) boxes: Vec<f64>,
    pub(super) free: Vec<u32>,
    pub(super) root: u32,
}

impl CutTree {
    pub fn new(n_dims: usize) -> Self {
        CutTree {
            n_dims,
            nodes: Vec::new(),
            boxes: Vec::new(),
            free: Vec::new(),
            root: NONE,
        }
    }

    pub(super) fn node(&self, at: u32) -> Node {
        self.nodes[at as usize]
    }

    fn node_mut(&mut self, at: u32) -> &mut Node {
        &mut self.nodes[at as usize]
    }

    /// Returns the least and the greatest values of a node's points.
    pub(super) fn sides(&self, at: u32) -> (&[f64], &[f64]) {
        let begin = at as usize * 2 * self.n_dims;
        self.boxes[begin..begin + 2 * self.n_dims].split_at(self.n_dims)
    }

    fn sides_mut(&mut self, at: u32) -> (&mut [f64], &mut [f64]) {
        let begin = at as usize * 2 * self.n_dims;
        self.boxes[begin..begin + 2 * self.n_dims].split_at_mut(self.n_dims)
    }

    /// Adds a node whose box is a point.
    fn add(&mut self, node: Node, point: &[f64]) -> u32 {
        let at = match self.free.pop() {
            Some(at) => {
                *self.node_mut(at) = node;
                at
            }
            None => {
                if self.nodes.len() == self.nodes.capacity() {
                    self.nodes.reserve_exact(NODES_MORE);
                    self.boxes.reserve_exact(NODES_MORE * 2 * self.n_dims);
                }
                self.nodes.push(node);
                self.boxes.resize(self.boxes.len() + 2 * self.n_dims, 0.0);
                u32::try_from(self.nodes.len() - 1).unwrap_or(NONE)
            }
        };
        let (least, greatest) = self.sides_mut(at);
        least.copy_from_slice(point);
        greatest.copy_from_slice(point);
        at
    }

    fn add_leaf(&mut self, parent: u32, point: &[f64]) -> u32 {
        let leaf = Node {
            parent,
            left: NONE,
            right: NONE,
            n_points: 1,
            dim: 0,
            cut: 0.0,
        };
        self.add(leaf, point)
    }

    pub(super) fn is_leaf(&self, at: u32) -> bool {
        self.node(at).left == NONE
    }

    fn child(&self, at: u32, point: &[f64]) -> u32 {
        let node = self.node(at);
        match point[node.dim as usize] <= node.cut {
            true => node.left,
            false => node.right,
        }
    }

    /// Puts a point in; returns its leaf.
    pub fn insert(&mut self, point: &[f64], draws: &mut Draws) -> u32 {
        if self.root == NONE {
            self.root = self.add_leaf(NONE, point);
            return self.root;
        }
        let mut leaf = self.root;
        while !self.is_leaf(leaf) {
            leaf = self.child(leaf, point);
        }
        if self.sides(leaf).0 == point {
            self.count_up(leaf, point);
            return leaf;
        }
        let mut at = self.root;
        loop {
            let (dim, cut) = self.draw_cut(at, point, draws);
            let (least, greatest) = self.sides(at);
            let is_apart = cut < least[dim] || cut >= greatest[dim];
            // Two points that differ are apart wherever their box is cut.
            if is_apart || self.is_leaf(at) {
                return self.part(at, point, (dim, cut));
            }
            at = self.child(at, point);
        }
    }

    /// Draws a cut of the box around a node and a point.
    fn draw_cut(&self, at: u32, point: &[f64], draws: &mut Draws) -> (usize, f64) {
        let (least, greatest) = self.sides(at);
        let bounds = |dim: usize| (least[dim].min(point[dim]), greatest[dim].max(point[dim]));
        let side = |dim: usize| {
            let (low, high) = bounds(dim);
            high / SIDE_UNIT - low / SIDE_UNIT
        };
        let total: f64 = (0..self.n_dims).map(side).sum();
        let mut left = draws.share() * total;
        let mut chosen = (0, 0.0);
        for dim in 0..self.n_dims {
            let side = side(dim);
            if side > 0.0 {
                chosen = (dim, (left / side).min(1.0));
                if left < side {
                    break;
                }
            }
            left -= side;
        }
        let (dim, share) = chosen;
        let (low, high) = bounds(dim);
        let cut = low * (1.0 - share) + high * share;
        (dim, if cut >= low && cut < high { cut } else { low })
    }

    /// Puts a new leaf beside a node, under a branch that takes the node's place.
    fn part(&mut self, at: u32, point: &[f64], (dim, cut): (usize, f64)) -> u32 {
        let old = self.node(at);
        let branch = Node {
            parent: old.parent,
            left: at,
            right: NONE,
            n_points: old.n_points,
            dim: u32::try_from(dim).unwrap_or(0),
            cut,
        };
        let branch = self.add(branch, point);
        let leaf = self.add_leaf(branch, point);
        let is_left = point[dim] <= cut;
        let node = self.node_mut(branch);
        (node.left, node.right) = if is_left { (leaf, at) } else { (at, leaf) };
        self.replace_child(old.parent, at, branch);
        self.node_mut(at).parent = branch;
        self.surround(branch);
        self.node_mut(branch).n_points += 1;
        self.count_up(old.parent, point);
        leaf
    }

    fn replace_child(&mut self, parent: u32, old: u32, new: u32) {
        if parent == NONE {
            self.root = new;
            return;
        }
        let parent = self.node_mut(parent);
        match parent.left == old {
            true => parent.left = new,
            false => parent.right = new,
        }
    }

    /// Counts a point in a node and all above it.
    fn count_up(&mut self, mut at: u32, point: &[f64]) {
        while at != NONE {
            let (least, greatest) = self.sides_mut(at);
            for (dim, value) in point.iter().enumerate() {
                least[dim] = least[dim].min(*value);
                greatest[dim] = greatest[dim].max(*value);
            }
            let node = self.node_mut(at);
            node.n_points += 1;
            at = node.parent;
        }
    }

    /// Makes a branch's box that of its children; tells whether it was another.
    pub(super) fn surround(&mut self, at: u32) -> bool {
        let node = self.node(at);
        let mut has_changed = false;
        for dim in 0..self.n_dims {
            let (left, right) = (self.sides(node.left), self.sides(node.right));
            let low = left.0[dim].min(right.0[dim]);
            let high = left.1[dim].max(right.1[dim]);
            let (least, greatest) = self.sides_mut(at);
            has_changed |= least[dim] != low || greatest[dim] != high;
            (least[dim], greatest[dim]) = (low, high);
        }
        has_changed
    }

    /// Takes one point of a leaf out.
    pub fn remove(&mut self, leaf: u32) {
        let gone = self.node(leaf);
        let mut at = gone.parent;
        if gone.n_points > 1 {
            self.node_mut(leaf).n_points -= 1;
        } else {
            self.free.push(leaf);
            if gone.parent == NONE {
                self.root = NONE;
                return;
            }
            let parent = self.node(gone.parent);
            let sibling = if parent.left == leaf {
                parent.right
            } else {
                parent.left
            };
            self.node_mut(sibling).parent = parent.parent;
            self.replace_child(parent.parent, gone.parent, sibling);
            self.free.push(gone.parent);
            at = parent.parent;
            let mut above = at;
            while above != NONE && self.surround(above) {
                above = self.node(above).parent;
            }
        }
        while at != NONE {
            let node = self.node_mut(at);
            node.n_points -= 1;
            at = node.parent;
        }
    }

    /// Returns the collusive displacement of a leaf.
    pub fn displacement(&self, leaf: u32) -> f64 {
        let (mut at, mut most) = (leaf, 0.0f64);
        loop {
            let node = self.node(at);
            if node.parent == NONE {
                return most;
            }
            let parent = self.node(node.parent);
            let sibling = if parent.left == at {
                parent.right
            } else {
                parent.left
            };
            let displaced = f64::from(self.node(sibling).n_points) / f64::from(node.n_points);
            most = most.max(displaced);
            at = node.parent;
        }
    }
}

/// A model that begins with nothing.
#[derive(Clone, Debug)]
pub(super) struct RandomCutForest {
    pub(super) draws: Draws,
    /// Each tree, and the leaves of its sample.
    pub(super) trees: Vec<(CutTree, Vec<u32>)>,
    pub(super) n_seen: u64,
    pub(super) scores: Option<KeptScores>,
}

impl RandomCutForest {
    pub fn begin(settings: &Settings, n_dims: usize, seed: u64) -> Self {
        let tree = (CutTree::new(n_dims), Vec::new());
        let scores = |contamination| KeptScores::of(contamination, std::iter::empty());
        RandomCutForest {
            draws: Draws::of(seed),
            trees: vec![tree; settings.n_trees],
            n_seen: 0,
            scores: settings.contamination.map(scores),
        }
    }

    /// Learns a point, and scores it if that is wanted.
    pub fn observe(
        &mut self,
        settings: &Settings,
        point: &[f64],
        is_scored: bool,
    ) -> Option<Verdict> {
        let mut total = 0.0;
        for (tree, leaves) in &mut self.trees {
            let place = self
                .draws
                .place_in_sample(self.n_seen, settings.sample_size);
            if place.is_none() && !is_scored {
                continue;
            }
            let leaf = tree.insert(point, &mut self.draws);
            if is_scored {
                total += tree.displacement(leaf);
            }
            match place.map(|place| leaves.get_mut(place)) {
                None => tree.remove(leaf),
                Some(None) => leaves.push(leaf),
                Some(Some(kept)) => tree.remove(std::mem::replace(kept, leaf)),
            }
        }
        self.n_seen += 1;
        if !is_scored {
            return None;
        }
        let score = total / self.trees.len() as f64;
        let scores = self.scores.as_mut();
        let is_rare = scores.is_some_and(|scores| {
            let is_rare = scores.is_rare(score);
            scores.offer(score, &mut self.draws);
            is_rare
        });
        Some(Verdict { score, is_rare })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::functions::forest::vectors::read;
    use serde_json::Value as Json;

    /// Adds a tree of nested objects, leaves with the points in them; returns its number.
    fn add(json: &Json, parent: u32, tree: &mut CutTree, leaves: &mut Vec<(usize, u32)>) -> u32 {
        let at = tree.add_leaf(parent, &[]);
        if let Some(points) = json.get("i") {
            let points = points.as_array().expect("points");
            tree.node_mut(at).n_points = points.len() as u32;
            let number = |point: &Json| point.as_u64().expect("a number") as usize;
            leaves.extend(points.iter().map(|point| (number(point), at)));
        } else {
            let [left, right] = ["l", "r"].map(|side| add(&json[side], at, tree, leaves));
            let n_points = tree.node(left).n_points + tree.node(right).n_points;
            let node = tree.node_mut(at);
            (node.left, node.right, node.n_points) = (left, right, n_points);
        }
        at
    }

    #[test]
    fn recorded_displacements_in_given_trees() {
        let vectors = read(include_str!("../../../tests/data/ml/rcf_codisp.jsonl"));
        assert_eq!(vectors.len(), 19);
        for vector in vectors {
            let (mut tree, mut leaves) = (CutTree::new(0), Vec::new());
            add(&vector.inputs["tree"], NONE, &mut tree, &mut leaves);
            leaves.sort_unstable();
            let scores = leaves.iter().map(|(_, leaf)| tree.displacement(*leaf));
            vector.check(&scores.collect::<Vec<f64>>());
        }
    }

    /// Goes through a tree and holds it against the points that ought to be in it.
    fn check(tree: &CutTree, at: u32, parent: u32) -> u32 {
        let node = tree.node(at);
        assert_eq!(node.parent, parent);
        let (least, greatest) = tree.sides(at);
        if tree.is_leaf(at) {
            assert_eq!(least, greatest);
            return node.n_points;
        }
        let dim = node.dim as usize;
        let [left, right] = [node.left, node.right].map(|child| tree.sides(child));
        assert!(left.1[dim] <= node.cut && right.0[dim] > node.cut);
        for dim in 0..tree.n_dims {
            assert_eq!(least[dim], left.0[dim].min(right.0[dim]));
            assert_eq!(greatest[dim], left.1[dim].max(right.1[dim]));
        }
        let n_points = check(tree, node.left, at) + check(tree, node.right, at);
        assert_eq!(node.n_points, n_points);
        n_points
    }

    #[test]
    fn points_come_and_go_and_the_tree_stays_whole() {
        let (mut tree, mut draws) = (CutTree::new(2), Draws::of(4));
        let mut leaves: Vec<u32> = Vec::new();
        for round in 0..3_000 {
            let is_wild = round % 500 == 0;
            let mut value = |n: usize| {
                let coarse = draws.below(n) as f64;
                if is_wild {
                    coarse * f64::MAX / 6.0
                } else {
                    coarse
                }
            };
            // Coarse values, so that many points are alike.
            let point = [value(6), value(5)];
            leaves.push(tree.insert(&point, &mut draws));
            if leaves.len() > 40 || (round > 2_900 && leaves.len() > 1) {
                let gone = draws.below(leaves.len());
                tree.remove(leaves.swap_remove(gone));
                if round > 2_900 && leaves.len() > 1 {
                    tree.remove(leaves.swap_remove(0));
                }
            }
            assert_eq!(check(&tree, tree.root, NONE) as usize, leaves.len());
        }
        while let Some(leaf) = leaves.pop() {
            tree.remove(leaf);
        }
        assert_eq!(tree.root, NONE);
        assert!(tree.nodes.len() < 200, "places are used again");
    }
}
