//! Errors of a latency predictor: what a scheduler sees of the step cost when it cannot see it exactly.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use trimtab_core::{InstanceId, RequestId, RngStreams, StreamRng, normal};

/// How wrong predicted times are.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct PredictionError {
    /// Mean of predicted over true time; 1 for none.
    pub bias: f64,
    /// Standard deviation of the logarithm of predicted over true time; 0 for none.
    pub sigma: f64,
    /// Whether a request's error differs between instances. When it does not, it cannot change which instance looks best.
    pub per_instance: bool,
}

impl Default for PredictionError {
    /// None.
    fn default() -> Self {
        Self { bias: 1.0, sigma: 0.0, per_instance: true }
    }
}

impl PredictionError {
    /// Whether it is in range: a bias above 0 and at most 1000, a sigma from 0 to 5.
    pub fn is_sound(&self) -> bool {
        self.bias > 0.0 && self.bias <= 1e3 && (0.0..=5.0).contains(&self.sigma)
    }

    /// Whether predicted times are the true ones.
    pub fn is_none(&self) -> bool {
        *self == Self { per_instance: self.per_instance, ..Self::default() }
    }
}

/// Turns true times into predicted ones.
///
/// The error is lognormal with mean `bias`. It depends on the seed, the request and the instance alone, not on how often
/// or in which order a scheduler asks, so that every scheduler meets the same errors.
#[derive(Clone, Debug)]
pub struct Predictor {
    error: PredictionError,
    stream: StreamRng,
}

impl Predictor {
    /// With errors from the stream `predictor`; `None` when `error` is not sound.
    pub fn new(error: PredictionError, streams: &RngStreams) -> Option<Self> {
        error.is_sound().then(|| Self { error, stream: streams.stream("predictor") })
    }

    /// The predicted time for a true time, both in picoseconds.
    pub fn predict(&self, ps: u64, request: RequestId, instance: InstanceId) -> u64 {
        if self.error.is_none() {
            return ps;
        }
        let predicted = libm::round(ps as f64 * self.factor(request, instance));
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates; never negative")]
        let whole = predicted as u64;
        whole
    }

    /// Predicted over true time.
    fn factor(&self, request: RequestId, instance: InstanceId) -> f64 {
        // A block of 16 words of the stream for every pair of ids: room for four tries of the polar method, and a fifth
        // that reads into the next block is still the same on every run.
        let instance = if self.error.per_instance { instance.0 } else { 0 };
        let block = (u128::from(request.0) << 32) | u128::from(instance);
        let mut stream = self.stream.clone();
        stream.set_word_pos(block * 16);
        let sigma = self.error.sigma;
        self.error.bias * libm::exp(sigma * normal(&mut stream) - sigma * sigma / 2.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: u64 = 3_600_000_000_000_000;

    fn predictor(bias: f64, sigma: f64, per_instance: bool, seed: u64) -> Predictor {
        Predictor::new(PredictionError { bias, sigma, per_instance }, &RngStreams::new(seed)).unwrap()
    }

    #[test]
    fn errors_have_the_stated_mean_and_spread() {
        for (bias, sigma) in [(1.0, 0.0), (1.3, 0.0), (1.0, 0.3), (0.7, 0.5)] {
            let predictor = predictor(bias, sigma, true, 1);
            let n = 40_000;
            let factors = (0..n).map(|i| predictor.predict(HOUR, RequestId(i), InstanceId(i % 7)) as f64 / HOUR as f64);
            let (mut sum, mut log, mut log2) = (0.0, 0.0, 0.0);
            for factor in factors {
                let l = libm::log(factor);
                (sum, log, log2) = (sum + factor, log + l, log2 + l * l);
            }
            let n = f64::from(n);
            // Five standard errors.
            assert!(
                (sum / n / bias - 1.0).abs() <= 5.0 * sigma / n.sqrt() + 1e-9,
                "bias {bias} sigma {sigma}: {}",
                sum / n
            );
            let spread = (log2 / n - (log / n) * (log / n)).max(0.0).sqrt();
            assert!((spread - sigma).abs() <= 5.0 * sigma / n.sqrt() + 1e-6, "bias {bias} sigma {sigma}: {spread}");
        }
    }

    #[test]
    fn errors_depend_on_the_ids_alone() {
        let (a, b) = (predictor(1.1, 0.4, true, 9), predictor(1.1, 0.4, true, 9));
        let ask = |p: &Predictor, r, i| p.predict(HOUR, RequestId(r), InstanceId(i));
        let forward: Vec<u64> = (0..50).map(|r| ask(&a, r, r % 3)).collect();
        let mut backward: Vec<u64> = (0..50).rev().map(|r| ask(&b, r, r % 3)).collect();
        backward.reverse();
        assert_eq!(forward, backward);
        assert_ne!(ask(&a, 1, 0), ask(&a, 1, 1));
        assert_ne!(ask(&a, 1, 0), ask(&predictor(1.1, 0.4, true, 10), 1, 0));
        let common = predictor(1.1, 0.4, false, 9);
        assert_eq!(ask(&common, 1, 0), ask(&common, 1, 1));
    }

    #[test]
    fn impossible_errors_are_refused() {
        for (bias, sigma) in [(0.0, 0.1), (-1.0, 0.1), (f64::NAN, 0.1), (1.0, -0.1), (1.0, f64::NAN), (1.0, 6.0)] {
            let error = PredictionError { bias, sigma, per_instance: true };
            assert!(Predictor::new(error, &RngStreams::new(1)).is_none(), "{error:?}");
        }
    }
}
