//! `drift_cosine_similarity`: the cosine of the angle between two embeddings.
//!
//! x·y / (|x| |y|), cut to [−1, 1]. Both are scaled to a largest coordinate of 1 first, so that
//! squares neither overflow nor vanish.

use crate::functions::embedding::EmbeddingFunction;

pub(in crate::functions) static COSINE_SIMILARITY: EmbeddingFunction = EmbeddingFunction {
    name: "drift_cosine_similarity",
    about: "Returns the cosine similarity of two embeddings that have a series for each value of \
            the label: 1 if they point the same way.",
    example: "drift_cosine_similarity(avg_over_time(embedding_mean[1h]), \
              avg_over_time(embedding_mean[1h] offset 1w), \"dim\")",
    formula: |pairs| {
        let largest = |of: fn(&(f64, f64)) -> f64| pairs.iter().map(of).fold(0.0, f64::max);
        let scale = (largest(|pair| pair.0.abs()), largest(|pair| pair.1.abs()));
        if scale.0 == 0.0 || scale.1 == 0.0 {
            return f64::NAN;
        }
        let (mut product, mut x_square, mut y_square) = (0.0, 0.0, 0.0);
        for (x, y) in pairs {
            let (x, y) = (x / scale.0, y / scale.1);
            product += x * y;
            x_square += x * x;
            y_square += y * y;
        }
        (product / (x_square.sqrt() * y_square.sqrt())).clamp(-1.0, 1.0)
    },
};
