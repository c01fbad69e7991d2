//! Recursive least squares with forgetting.

/// Learns a linear function of four features from samples, the recent ones first.
#[derive(Clone, Debug)]
pub(super) struct Learner {
    forgetting: f64,
    coefficients: [f64; 4],
    covariance: [[f64; 4]; 4],
}

impl Learner {
    /// All coefficients zero, with this variance.
    pub(super) fn new(forgetting: f64, variance: f64) -> Self {
        let mut covariance = [[0.0; 4]; 4];
        for (at, row) in covariance.iter_mut().enumerate() {
            row[at] = variance;
        }
        Self { forgetting, coefficients: [0.0; 4], covariance }
    }

    pub(super) fn predict(&self, features: &[f64; 4]) -> f64 {
        dot(&self.coefficients, features)
    }

    pub(super) fn learn(&mut self, features: &[f64; 4], value: f64) {
        let spread = self.covariance.map(|row| dot(&row, features));
        let scale = self.forgetting + dot(&spread, features);
        let error = value - self.predict(features);
        for (coefficient, s) in self.coefficients.iter_mut().zip(spread) {
            *coefficient += s / scale * error;
        }
        for (row, s) in self.covariance.iter_mut().zip(spread) {
            for (cell, t) in row.iter_mut().zip(spread) {
                // The variance of a feature that never occurs would grow without bound.
                let grown = (*cell - s * t / scale) / self.forgetting;
                *cell = grown.clamp(-1e9, 1e9);
            }
        }
    }
}

fn dot(a: &[f64; 4], b: &[f64; 4]) -> f64 {
    a.iter().zip(b).map(|(x, y)| x * y).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// With the bias alone the gain is `(1 - l) / (1 - l^t)`: the first sample is adopted, later ones count less.
    #[test]
    fn bias_alone() {
        let (mut learner, forgetting) = (Learner::new(0.992, 1e12), 0.992);
        let (mut expected, mut power) = (0.0, 1.0);
        for n in 0..500 {
            let value = f64::from(n * 37 % 100);
            power *= forgetting;
            expected += (1.0 - forgetting) / (1.0 - power) * (value - expected);
            learner.learn(&[1.0, 0.0, 0.0, 0.0], value);
            assert!((learner.predict(&[1.0, 0.0, 0.0, 0.0]) - expected).abs() < 1e-3, "{n}");
        }
    }

    #[test]
    fn finds_a_linear_function() {
        let mut learner = Learner::new(0.992, 1e6);
        let truth = |f: &[f64; 4]| 3.0 + 0.5 * f[1] - 2.0 * f[2] + 7.0 * f[3];
        for n in 0..300 {
            let f = [1.0, f64::from(n * 7 % 11), f64::from(n * 5 % 13), f64::from(n % 3)];
            learner.learn(&f, truth(&f));
        }
        let unseen = [1.0, 20.0, 30.0, 4.0];
        assert!((learner.predict(&unseen) - truth(&unseen)).abs() < 1e-3, "{}", learner.predict(&unseen));
    }
}
