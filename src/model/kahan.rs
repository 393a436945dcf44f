//! Compensated summation after Kahan, with Neumaier's improvement.
//!
//! Prometheus adds floats this way wherever a sum or mean runs over samples; the order of the
//! operations below is its order, so that results agree bit for bit.

/// A sum with what rounding has lost from it so far.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct KahanSum {
    /// The rounded sum.
    pub sum: f64,
    /// What is to be added to it.
    pub compensation: f64,
}

impl KahanSum {
    /// Starts from a first value, without loss.
    pub fn new(first: f64) -> Self {
        KahanSum {
            sum: first,
            compensation: 0.0,
        }
    }

    /// Returns the sum after adding `value`.
    #[must_use]
    pub fn plus(self, value: f64) -> Self {
        let KahanSum { sum, compensation } = self;
        let total = sum + value;
        let compensation = if total.is_infinite() {
            0.0
        } else if sum.abs() >= value.abs() {
            compensation + ((sum - total) + value)
        } else {
            compensation + ((value - total) + sum)
        };
        KahanSum {
            sum: total,
            compensation,
        }
    }

    /// Returns the sum with the compensation applied.
    pub fn value(self) -> f64 {
        self.sum + self.compensation
    }
}

/// A mean that is a plain sum divided at the end, as long as the sum does not overflow, and an
/// incremental mean from there on.
#[derive(Clone, Copy, Debug)]
pub struct KahanMean {
    sum: KahanSum,
    count: f64,
    incremental: bool,
}

impl KahanMean {
    /// Starts from a first value.
    pub fn new(first: f64) -> Self {
        KahanMean {
            sum: KahanSum::new(first),
            count: 1.0,
            incremental: false,
        }
    }

    /// Adds a value.
    pub fn add(&mut self, value: f64) {
        self.count += 1.0;
        if !self.incremental {
            let sum = self.sum.plus(value);
            if !sum.sum.is_infinite() {
                self.sum = sum;
                return;
            }
            self.incremental = true;
            self.sum.sum /= self.count - 1.0;
            self.sum.compensation /= self.count - 1.0;
        }
        let weight = (self.count - 1.0) / self.count;
        let scaled = KahanSum {
            sum: weight * self.sum.sum,
            compensation: weight * self.sum.compensation,
        };
        self.sum = scaled.plus(value / self.count);
    }

    /// Returns the mean.
    pub fn value(&self) -> f64 {
        if self.incremental {
            return self.sum.value();
        }
        self.sum.sum / self.count + self.sum.compensation / self.count
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_terms_survive_large_ones() {
        let check = |values: &[f64], expected: f64| {
            let sum = values
                .iter()
                .fold(KahanSum::default(), |sum, v| sum.plus(*v));
            assert_eq!(sum.value(), expected, "{values:?}");
        };
        check(&[1.0, 1e100, 1.0, -1e100], 2.0);
        check(&[0.1; 10], 1.0);
    }

    #[test]
    fn means_survive_overflowing_sums() {
        let mut mean = KahanMean::new(f64::MAX);
        mean.add(f64::MAX);
        assert_eq!(mean.value(), f64::MAX);
    }
}
