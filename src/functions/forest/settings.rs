//! The options of `anomaly_forest`, with their defaults and bounds.

use crate::functions::FunctionError;
use crate::functions::anomaly::since;
use crate::functions::forest::NAME;
use crate::functions::options::Options;
use crate::model::{DurationMs, Labels, TimestampMs};

/// The most trees.
const TREES_MAX: usize = 200;
/// The deepest half-space tree.
const HEIGHT_MAX: usize = 12;
/// The most points that a tree is drawn from.
const SAMPLE_SIZE_MAX: usize = 1024;
/// The longest window of half-space trees, and the longest warm-up.
const POINTS_MAX: usize = 10_000_000;
/// The share of the seeds' isolation forest.
const CONTAMINATION: f64 = 0.05;

/// Which model scores.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    HalfSpaceTrees,
    RandomCut,
    Isolation,
}

/// What half-space trees compare with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reference {
    /// All points since the model began, up to the last full window.
    All,
    /// The last full window alone, as in the paper.
    Window,
}

/// What half-space trees make of masses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scoring {
    /// How full the place is at which a path ends.
    Density,
    /// The masses all along a path, as in the paper.
    Mass,
}

/// The options of a call.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    pub(super) kind: Kind,
    pub(super) n_trees: usize,
    pub(super) height: u32,
    pub(super) sample_size: usize,
    pub(super) window_size: u64,
    pub(super) reference: Reference,
    pub(super) scoring: Scoring,
    /// Nothing is said before so many points have been learned.
    pub(super) min_points: u64,
    pub(super) seed: u64,
    /// The share of points that are told as odd; `None` where the score itself is asked for.
    pub(super) contamination: Option<f64>,
    /// How old a point may be and still be the present, ms.
    pub lookback: DurationMs,
    /// Points up to then are not looked at, ms.
    pub since: TimestampMs,
}

impl Settings {
    /// Reads the options.
    pub fn parse(text: &str) -> Result<Self, FunctionError> {
        let mut options = Options::parse(NAME, text)?;
        let kind = options.choice(
            "model",
            &[
                ("half_space_trees", Kind::HalfSpaceTrees),
                ("rcf", Kind::RandomCut),
                ("isolation", Kind::Isolation),
            ],
        )?;
        let n_trees = match kind {
            Kind::HalfSpaceTrees => 50,
            Kind::RandomCut => 30,
            Kind::Isolation => 100,
        };
        let n_trees = options.count("trees", n_trees, 1, TREES_MAX)?;
        let sample_size = options.count("sample_size", 256, 2, SAMPLE_SIZE_MAX)?;
        let (mut height, mut window_size) = (8, 250);
        let (mut reference, mut scoring) = (Reference::All, Scoring::Density);
        if kind == Kind::HalfSpaceTrees {
            height = options.count("height", 8, 1, HEIGHT_MAX)?;
            window_size = options.count("window_size", 250, 2, POINTS_MAX)?;
            let references = [("all", Reference::All), ("window", Reference::Window)];
            reference = options.choice("reference", &references)?;
            let scorings = [("density", Scoring::Density), ("mass", Scoring::Mass)];
            scoring = options.choice("score", &scorings)?;
        }
        let min_points = options.count("min_points", 500, 1, POINTS_MAX)?;
        let seed = options.count("seed", 0, 0, usize::MAX)?;
        let is_alarm = options.choice("output", &[("score", false), ("alarm", true)])?;
        let contamination = options.number(
            "contamination",
            CONTAMINATION,
            "a share above 0 and at most 0.5",
            |share| share > 0.0 && share <= 0.5,
        )?;
        let lookback = options.duration("lookback", DurationMs::from_seconds(300))?;
        let since = since(&mut options)?;
        options.end()?;
        if lookback <= DurationMs::ZERO {
            return Err(FunctionError(format!(
                "{NAME}(): option \"lookback\" is 0, but must be a duration above 0 such as 5m"
            )));
        }
        Ok(Settings {
            kind,
            n_trees,
            height: height as u32,
            sample_size,
            window_size: window_size as u64,
            reference,
            scoring,
            min_points: min_points as u64,
            seed: seed as u64,
            contamination: is_alarm.then_some(contamination),
            lookback,
            since,
        })
    }

    /// Returns the seed of the model of a group that begins at a boundary.
    pub(super) fn seed_of(&self, group: &Labels, boundary: i64) -> u64 {
        let of_group = group.fingerprint() ^ self.seed.rotate_left(32);
        of_group ^ boundary.cast_unsigned().wrapping_mul(0x9e37_79b9_7f4a_7c15)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_that_a_model_does_not_have_are_refused() {
        let error = |text: &str| Settings::parse(text).expect_err(text).0;
        assert_eq!(
            error("model=rcf,height=5"),
            "anomaly_forest(): there is no option \"height\". Known are: model, trees, \
             sample_size, min_points, seed, output, contamination, lookback, since"
        );
        assert!(error("trees=201").contains("a whole number from 1 to 200"));
        assert!(error("contamination=0.6").contains("at most 0.5"));
        assert!(error("lookback=0s").contains("above 0"));
        assert!(error("model=forest").contains("one of half_space_trees, rcf, isolation"));
        assert!(Settings::parse("window_size=1000,reference=window,height=12").is_ok());
    }

    #[test]
    fn each_group_and_block_has_a_seed_of_its_own() {
        let settings = Settings::parse("").expect("all have defaults");
        let other = Settings::parse("seed=1").expect("a seed");
        let [a, b] = ["a", "b"].map(|name| Labels::from_pairs([("pod", name)]));
        let seeds = [
            settings.seed_of(&a, 0),
            settings.seed_of(&b, 0),
            settings.seed_of(&a, 1),
            other.seed_of(&a, 0),
        ];
        let distinct: std::collections::HashSet<u64> = seeds.into_iter().collect();
        assert_eq!(distinct.len(), 4);
    }
}
