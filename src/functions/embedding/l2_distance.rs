//! `drift_l2_distance`: the Euclidean distance of two embeddings.
//!
//! √Σ (x − y)². Differences are scaled by the largest first, so that squares neither overflow nor
//! vanish.

use crate::functions::embedding::EmbeddingFunction;

pub(in crate::functions) static L2_DISTANCE: EmbeddingFunction = EmbeddingFunction {
    name: "drift_l2_distance",
    about: "Returns the Euclidean distance of two embeddings that have a series for each value of \
            the label.",
    example: "drift_l2_distance(avg_over_time(embedding_mean[1h]), \
              avg_over_time(embedding_mean[1h] offset 1w), \"dim\")",
    formula: |pairs| {
        let differences = || pairs.iter().map(|(x, y)| (x - y).abs());
        let largest = differences().fold(0.0, f64::max);
        if largest == 0.0 || largest.is_infinite() {
            return largest;
        }
        largest
            * differences()
                .map(|d| (d / largest).powi(2))
                .sum::<f64>()
                .sqrt()
    },
};
