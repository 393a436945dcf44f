//! Models as bytes and back, for checkpoints: what is loaded goes on as what was saved would have.
//!
//! Loading is total: any bytes give a model that can be gone on with, or an error. Trees of an
//! isolation forest are not put: the next point draws the same again from the points that are kept.

use std::sync::Arc;

use crate::functions::forest::draws::Draws;
use crate::functions::forest::half_space_trees::{HalfSpace, HalfSpaceForest, HalfSpaceTrees};
use crate::functions::forest::isolation::IsolationForest;
use crate::functions::forest::model::{Boundaries, Model, Trees};
use crate::functions::forest::points::{KeptPoints, KeptScores, POINTS_MAX, SCORES_MAX};
use crate::functions::forest::random_cut::{CutTree, NONE, Node, RandomCutForest};
use crate::functions::forest::settings::{Kind, Settings};
use crate::model::TimestampMs;
use crate::model::bytes::{ByteReader, ByteWriter, Read};

// What a node of a random cut tree is, by its first byte.
const LEAF: u8 = 0;
const BRANCH: u8 = 1;

/// More has been counted in no life.
const COUNTED_MAX: u64 = 1 << 62;

impl Model {
    /// Puts the model.
    pub fn save(&self, out: &mut ByteWriter) {
        let Model {
            trees,
            first_block_ends: _,
            n_seen,
            has_scored,
            value,
        } = self;
        out.number(*n_seen);
        out.flag(*has_scored);
        out.option(*value, ByteWriter::float);
        match trees {
            Trees::HalfSpace(forest) => forest.save(out),
            Trees::RandomCut(forest) => forest.save(out),
            Trees::Isolation(forest) => {
                forest.draws.save(out);
                forest.kept.save(out);
            }
        }
    }

    /// Takes what [`Model::save`] has put of a model with these settings, of points of `n_dims`
    /// values, that began at a boundary.
    pub fn load(
        settings: &Settings,
        n_dims: usize,
        (boundaries, boundary): (Boundaries, TimestampMs),
        read: &mut ByteReader<'_>,
    ) -> Read<Model> {
        let (n_seen, has_scored) = (counted(read)?, read.flag()?);
        let value = read.option(ByteReader::float)?;
        let trees = match settings.kind {
            Kind::HalfSpaceTrees => {
                Trees::HalfSpace(Arc::new(HalfSpaceForest::load(settings, n_dims, read)?))
            }
            Kind::RandomCut => {
                Trees::RandomCut(Arc::new(RandomCutForest::load(settings, n_dims, read)?))
            }
            Kind::Isolation => Trees::Isolation(Arc::new(IsolationForest {
                draws: Draws::load(read)?,
                kept: KeptPoints::load(n_dims, read)?,
                forest: None,
            })),
        };
        Ok(Model {
            trees,
            first_block_ends: boundaries.next(boundary),
            n_seen,
            has_scored,
            value,
        })
    }
}

/// Takes how many have been counted; there is room to go on.
fn counted(read: &mut ByteReader<'_>) -> Read<u64> {
    let counted = read.number()?;
    match counted <= COUNTED_MAX {
        true => Ok(counted),
        false => Err(read.malformed("how many there have been")),
    }
}

/// Takes so many floats.
fn floats(n_floats: usize, read: &mut ByteReader<'_>) -> Read<Vec<f64>> {
    if n_floats.checked_mul(8).is_none_or(|n| n > read.left()) {
        return Err(read.malformed("as many floats as there are to be"));
    }
    (0..n_floats).map(|_| read.float()).collect()
}

/// Returns how many there are of a sample of at most `max` of what was shown to it.
fn kept_of(n_seen: u64, max: usize) -> usize {
    usize::try_from(n_seen).map_or(max, |n_seen| n_seen.min(max))
}

impl Draws {
    fn save(&self, out: &mut ByteWriter) {
        out.word(self.0);
    }

    fn load(read: &mut ByteReader<'_>) -> Read<Draws> {
        read.word().map(Draws)
    }
}

impl KeptPoints {
    fn save(&self, out: &mut ByteWriter) {
        out.number(self.n_seen);
        self.values.iter().for_each(|value| out.float(*value));
    }

    fn load(n_dims: usize, read: &mut ByteReader<'_>) -> Read<KeptPoints> {
        let n_seen = counted(read)?;
        let values = floats(kept_of(n_seen, POINTS_MAX) * n_dims, read)?;
        Ok(KeptPoints {
            n_dims,
            values,
            n_seen,
        })
    }
}

impl KeptScores {
    fn save(&self, out: &mut ByteWriter) {
        out.number(self.n_seen);
        out.float(self.threshold);
        self.scores.iter().for_each(|score| out.float(*score));
    }

    /// Takes the scores where there is a threshold at all.
    fn load(settings: &Settings, read: &mut ByteReader<'_>) -> Read<Option<KeptScores>> {
        let Some(contamination) = settings.contamination else {
            return Ok(None);
        };
        let (n_seen, threshold) = (counted(read)?, read.float()?);
        Ok(Some(KeptScores {
            contamination,
            scores: floats(kept_of(n_seen, SCORES_MAX), read)?,
            n_seen,
            threshold,
        }))
    }
}

impl HalfSpaceForest {
    fn save(&self, out: &mut ByteWriter) {
        let HalfSpaceForest {
            kept,
            draws,
            forest,
            next_draw,
            scores,
        } = self;
        draws.save(out);
        kept.save(out);
        out.number(*next_draw);
        out.option(forest.as_ref(), |out, forest| {
            out.number(forest.n_in_window);
            forest.trees.iter().for_each(|nodes| {
                out.list(nodes.iter(), |out, node| node.save(out));
            });
            // There are scores where there are trees.
            scores.iter().for_each(|scores| scores.save(out));
        });
    }

    fn load(settings: &Settings, n_dims: usize, read: &mut ByteReader<'_>) -> Read<Self> {
        let draws = Draws::load(read)?;
        let kept = KeptPoints::load(n_dims, read)?;
        let next_draw = read.number()?;
        let forest = read.option(|read| {
            let n_in_window = counted(read)?;
            let trees: Read<Vec<Vec<HalfSpace>>> = (0..settings.n_trees)
                .map(|_| HalfSpace::load_tree(n_dims, read))
                .collect();
            let windows = (settings.window_size, settings.reference);
            let mut forest =
                HalfSpaceTrees::new(trees?, settings.height, windows, settings.scoring);
            forest.n_in_window = n_in_window;
            Ok((forest, KeptScores::load(settings, read)?))
        })?;
        let (forest, scores) = forest.unzip();
        Ok(HalfSpaceForest {
            kept,
            draws,
            forest,
            next_draw,
            scores: scores.flatten(),
        })
    }
}

impl HalfSpace {
    /// Puts a node. The left child is the next one.
    fn save(&self, out: &mut ByteWriter) {
        let masses = [self.mass, self.learned].map(|mass| u64::from(mass.to_bits()));
        out.word(masses[0] << 32 | masses[1]);
        if self.left == 0 {
            return out.number(0);
        }
        out.number(self.right.into());
        out.number(self.dim.into());
        out.float(self.threshold);
    }

    /// Takes the nodes of a tree.
    fn load_tree(n_dims: usize, read: &mut ByteReader<'_>) -> Read<Vec<HalfSpace>> {
        let n_nodes = read.count(9)?;
        (0..n_nodes)
            .map(|own| HalfSpace::load(own, (n_nodes, n_dims), read))
            .collect()
    }

    /// Takes a node, whose children come later: whoever goes down a tree comes to an end.
    fn load(
        own: usize,
        (n_nodes, n_dims): (usize, usize),
        read: &mut ByteReader<'_>,
    ) -> Read<HalfSpace> {
        let masses = read.word()?;
        let mut node = HalfSpace {
            mass: f32::from_bits((masses >> 32) as u32),
            learned: f32::from_bits(masses as u32),
            ..HalfSpace::default()
        };
        let right = read.place()?;
        if right == 0 {
            return Ok(node);
        }
        let dim = read.place()?;
        node.threshold = read.float()?;
        match [own + 1, right, dim].map(u16::try_from) {
            [Ok(left), Ok(right), Ok(number)]
                if left < right && usize::from(right) < n_nodes && dim < n_dims =>
            {
                (node.left, node.right, node.dim) = (left, right, number);
                Ok(node)
            }
            _ => Err(read.malformed("a node of a tree")),
        }
    }
}

impl RandomCutForest {
    fn save(&self, out: &mut ByteWriter) {
        let RandomCutForest {
            draws,
            trees,
            n_seen,
            scores,
        } = self;
        draws.save(out);
        out.number(*n_seen);
        trees.iter().for_each(|(tree, leaves)| {
            let numbers = tree.save(out);
            for leaf in leaves {
                out.number(numbers[*leaf as usize].into());
            }
        });
        scores.iter().for_each(|scores| scores.save(out));
    }

    fn load(settings: &Settings, n_dims: usize, read: &mut ByteReader<'_>) -> Read<Self> {
        let (draws, n_seen) = (Draws::load(read)?, counted(read)?);
        let n_kept = kept_of(n_seen, settings.sample_size);
        let trees: Read<Vec<(CutTree, Vec<u32>)>> = (0..settings.n_trees)
            .map(|_| {
                let tree = CutTree::load(n_dims, settings.sample_size, read)?;
                let leaves = tree.load_leaves(n_kept, read)?;
                Ok((tree, leaves))
            })
            .collect();
        Ok(RandomCutForest {
            draws,
            trees: trees?,
            n_seen,
            scores: KeptScores::load(settings, read)?,
        })
    }
}

impl CutTree {
    /// Puts the nodes, each before those under it, the left ones first; boxes follow from the
    /// points. Returns the number that each node has among these, by its place.
    fn save(&self, out: &mut ByteWriter) -> Vec<u32> {
        let mut numbers = vec![NONE; self.nodes.len()];
        let mut n_put = 0;
        out.count(self.nodes.len() - self.free.len());
        let mut to_put: Vec<u32> = Some(self.root)
            .filter(|at| *at != NONE)
            .into_iter()
            .collect();
        while let Some(at) = to_put.pop() {
            numbers[at as usize] = n_put;
            n_put += 1;
            let node = self.node(at);
            if self.is_leaf(at) {
                out.byte(LEAF);
                out.number(node.n_points.into());
                let (point, _) = self.sides(at);
                point.iter().for_each(|value| out.float(*value));
            } else {
                out.byte(BRANCH);
                out.number(node.dim.into());
                out.float(node.cut);
                to_put.extend([node.right, node.left]);
            }
        }
        numbers
    }

    /// Takes a tree of at most so many points.
    fn load(n_dims: usize, points_max: usize, read: &mut ByteReader<'_>) -> Read<CutTree> {
        let n_nodes = read.count(2)?;
        if n_nodes > 2 * points_max {
            return Err(read.malformed("a tree of as many points as are sampled"));
        }
        let mut tree = CutTree::new(n_dims);
        let mut points: Vec<Option<Vec<f64>>> = Vec::with_capacity(n_nodes);
        // Whose child comes next, and which.
        let mut open = vec![(NONE, true)];
        for at in 0..n_nodes {
            let at = u32::try_from(at).unwrap_or(NONE);
            let (parent, is_left) = open.pop().ok_or_else(|| read.malformed("no more nodes"))?;
            let mut node = Node {
                parent,
                left: NONE,
                right: NONE,
                n_points: 0,
                dim: 0,
                cut: 0.0,
            };
            match read.byte()? {
                LEAF => {
                    node.n_points = read.small()?;
                    if !(1..=points_max).contains(&(node.n_points as usize)) {
                        return Err(read.malformed("a leaf with some points"));
                    }
                    points.push(Some(floats(n_dims, read)?));
                }
                BRANCH => {
                    (node.dim, node.cut) = (read.small()?, read.float()?);
                    if node.dim as usize >= n_dims {
                        return Err(read.malformed("a dimension"));
                    }
                    points.push(None);
                    open.extend([(at, false), (at, true)]);
                }
                _ => return Err(read.malformed("a leaf or a branch")),
            }
            tree.nodes.push(node);
            match (parent, is_left) {
                (NONE, _) => tree.root = at,
                (parent, true) => tree.nodes[parent as usize].left = at,
                (parent, false) => tree.nodes[parent as usize].right = at,
            }
        }
        if n_nodes > 0 && !open.is_empty() {
            return Err(read.malformed("both sides of each branch"));
        }
        tree.boxes = vec![0.0; n_nodes * 2 * n_dims];
        // Whoever is below comes later.
        for (at, point) in points.iter().enumerate().rev() {
            let number = u32::try_from(at).unwrap_or(NONE);
            match point {
                Some(point) => {
                    let begin = at * 2 * n_dims;
                    tree.boxes[begin..begin + n_dims].copy_from_slice(point);
                    tree.boxes[begin + n_dims..begin + 2 * n_dims].copy_from_slice(point);
                }
                None => {
                    tree.surround(number);
                    let Node { left, right, .. } = tree.node(number);
                    tree.nodes[at].n_points = tree.node(left).n_points + tree.node(right).n_points;
                }
            }
        }
        Ok(tree)
    }

    /// Takes the leaves of so many points: as many of each as it has.
    fn load_leaves(&self, n_points: usize, read: &mut ByteReader<'_>) -> Read<Vec<u32>> {
        if n_points > read.left() {
            return Err(read.malformed("as many leaves as there are points"));
        }
        let leaves: Read<Vec<u32>> = (0..n_points).map(|_| read.small()).collect();
        let leaves = leaves?;
        let mut n_of = vec![0; self.nodes.len()];
        for leaf in &leaves {
            match n_of.get_mut(*leaf as usize) {
                Some(n_of) if self.is_leaf(*leaf) => *n_of += 1,
                _ => return Err(read.malformed("a leaf")),
            }
        }
        let is_whole = |(at, n_of): (usize, &u32)| {
            let node = &self.nodes[at];
            node.left != NONE || node.n_points == *n_of
        };
        match n_of.iter().enumerate().all(is_whole) {
            true => Ok(leaves),
            false => Err(read.malformed("the leaf of each point")),
        }
    }
}
