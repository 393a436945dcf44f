//! Random numbers for the stories: seeded, so that the same seed tells the same story.

/// A seeded generator with the distributions that the stories draw from.
pub struct Random(fastrand::Rng);

impl Random {
    /// Returns a generator; the same seed gives the same numbers.
    pub fn new(seed: u64) -> Self {
        Random(fastrand::Rng::with_seed(seed))
    }

    /// Draws from a normal distribution (Box and Muller's method).
    pub fn normal(&mut self, mean: f64, deviation: f64) -> f64 {
        let radius = (-2.0 * (1.0 - self.0.f64()).ln()).sqrt();
        mean + deviation * radius * (std::f64::consts::TAU * self.0.f64()).cos()
    }

    /// Draws from a Poisson distribution; above 50 by its normal approximation.
    pub fn poisson(&mut self, mean: f64) -> u64 {
        if mean <= 0.0 {
            return 0;
        }
        if mean > 50.0 {
            return self.normal(mean, mean.sqrt()).round().max(0.0) as u64;
        }
        let (limit, mut count, mut product) = ((-mean).exp(), 0, self.0.f64());
        while product > limit {
            count += 1;
            product *= self.0.f64();
        }
        count
    }

    /// Draws how many of `trials` succeed with `probability` each, by the usual approximations.
    pub fn binomial(&mut self, trials: u64, probability: f64) -> u64 {
        if probability > 0.5 {
            return trials - self.binomial(trials, 1.0 - probability);
        }
        let mean = trials as f64 * probability;
        if mean < 30.0 {
            return self.poisson(mean).min(trials);
        }
        let drawn = self
            .normal(mean, (mean * (1.0 - probability)).sqrt())
            .round();
        (drawn.max(0.0) as u64).min(trials)
    }
}
