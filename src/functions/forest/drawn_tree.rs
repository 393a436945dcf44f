//! A tree that cuts a sample of points apart at random: what half-space trees and isolation trees
//! have in common.
//!
//! At each node a dimension is drawn in which the node's points differ, and a place between the
//! least and the greatest of them (Liu, Ting, Zhou: "Isolation Forest", ICDM 2008, algorithm 2).

use crate::functions::forest::draws::Draws;
use crate::functions::forest::points::KeptPoints;

/// A node of a tree.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Cut {
    /// Points up to here go left.
    pub threshold: f64,
    /// Which dimension is looked at.
    pub dim: u16,
    /// The left child; 0 where this is a leaf.
    pub left: u16,
    /// The right child.
    pub right: u16,
    /// How many points of the sample are here.
    pub n_points: u16,
}

/// Draws a tree over some points; its root comes first. `depth_max` is at most 15, so that nodes
/// can be numbered in 16 bits.
pub(super) fn draw(
    kept: &KeptPoints,
    points: &mut [u32],
    depth_max: u32,
    draws: &mut Draws,
) -> Vec<Cut> {
    let mut nodes = Vec::new();
    let mut dims: Vec<u16> = (0..kept.n_dims())
        .filter_map(|dim| u16::try_from(dim).ok())
        .collect();
    Drawing {
        kept,
        draws,
        dims: &mut dims,
        nodes: &mut nodes,
    }
    .node(points, depth_max.min(15));
    nodes
}

struct Drawing<'d> {
    kept: &'d KeptPoints,
    draws: &'d mut Draws,
    /// All dimensions, in whatever order.
    dims: &'d mut [u16],
    nodes: &'d mut Vec<Cut>,
}

impl Drawing<'_> {
    fn node(&mut self, points: &mut [u32], depth_left: u32) -> u16 {
        let number = self.nodes.len();
        self.nodes.push(Cut {
            n_points: u16::try_from(points.len()).unwrap_or(u16::MAX),
            ..Cut::default()
        });
        let own = u16::try_from(number).unwrap_or(u16::MAX);
        if depth_left == 0 || points.len() < 2 {
            return own;
        }
        let Some((dim, threshold)) = self.cut(points) else {
            return own;
        };
        let kept = self.kept;
        let n_left = part(points, |point| kept.value(point, dim.into()) <= threshold);
        let (left, right) = points.split_at_mut(n_left);
        let left = self.node(left, depth_left - 1);
        let right = self.node(right, depth_left - 1);
        let node = &mut self.nodes[number];
        (node.dim, node.threshold, node.left, node.right) = (dim, threshold, left, right);
        own
    }

    /// Draws where to cut; nowhere where all points are alike.
    fn cut(&mut self, points: &[u32]) -> Option<(u16, f64)> {
        for n_tried in 0..self.dims.len() {
            let drawn = n_tried + self.draws.below(self.dims.len() - n_tried);
            self.dims.swap(n_tried, drawn);
            let dim = self.dims[n_tried];
            let values = points
                .iter()
                .map(|point| self.kept.value(*point, dim.into()));
            let (least, greatest) = values.fold(
                (f64::INFINITY, f64::NEG_INFINITY),
                |(least, greatest), value| (least.min(value), greatest.max(value)),
            );
            if least < greatest {
                let share = self.draws.share();
                // The sum of two shares, since a difference could be too large for a float.
                let place = least * (1.0 - share) + greatest * share;
                let is_between = place >= least && place < greatest;
                return Some((dim, if is_between { place } else { least }));
            }
        }
        None
    }
}

/// Puts those that go left before the others; returns how many they are.
fn part(points: &mut [u32], goes_left: impl Fn(u32) -> bool) -> usize {
    let mut n_left = 0;
    for place in 0..points.len() {
        if goes_left(points[place]) {
            points.swap(place, n_left);
            n_left += 1;
        }
    }
    n_left
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(points: &[[f64; 2]]) -> KeptPoints {
        let points: Vec<Vec<f64>> = points.iter().map(|point| point.to_vec()).collect();
        KeptPoints::of(&points)
    }

    #[test]
    fn a_tree_parts_all_that_differs() {
        let mut draws = Draws::of(5);
        let points: Vec<[f64; 2]> = (0..50).map(|n| [draws.share(), f64::from(n / 2)]).collect();
        let kept = kept(&points);
        let mut numbers: Vec<u32> = (0..50).collect();
        let nodes = draw(&kept, &mut numbers, 15, &mut draws);
        assert_eq!(nodes.len(), 99, "a leaf for each of 50");
        for point in kept.iter() {
            let mut at = 0;
            while nodes[at].left != 0 {
                let node = nodes[at];
                let goes_left = point[usize::from(node.dim)] <= node.threshold;
                at = usize::from(if goes_left { node.left } else { node.right });
            }
            assert_eq!(nodes[at].n_points, 1);
        }
    }

    #[test]
    fn points_that_are_alike_stay_together_and_extremes_are_cut() {
        let mut draws = Draws::of(6);
        let alike = kept(&[[1.0, 2.0]; 5]);
        assert_eq!(draw(&alike, &mut [0, 1, 2, 3, 4], 8, &mut draws).len(), 1);
        let (low, high) = (f64::MIN, f64::MAX);
        let apart = kept(&[[low, 0.0], [high, 0.0]]);
        for _ in 0..100 {
            let nodes = draw(&apart, &mut [0, 1], 8, &mut draws);
            assert_eq!(nodes.len(), 3);
            assert!(nodes[0].threshold >= low && nodes[0].threshold < high);
        }
    }
}
