//! Seeded choices.

use rand::RngExt;
use trimtab_core::{InstanceId, RngStreams, StreamRng};

/// Chooses at random where a product does, from the stream `scheduler`. Nothing is drawn where there is no choice.
#[derive(Debug)]
pub struct Ties {
    rng: StreamRng,
    equal: Vec<InstanceId>,
}

impl Ties {
    /// Draws from the run's stream for schedulers.
    pub fn new(streams: &RngStreams) -> Self {
        Self { rng: streams.stream("scheduler"), equal: Vec::new() }
    }

    /// One of these, each as likely as the other.
    pub fn any(&mut self, among: &[InstanceId]) -> Option<InstanceId> {
        match among {
            [] => None,
            &[only] => Some(only),
            _ => Some(among[self.rng.random_range(0..among.len())]),
        }
    }

    /// The one with the smallest key, any of those among equals. `None` for none.
    pub fn least<K: PartialOrd>(
        &mut self,
        among: impl IntoIterator<Item = InstanceId>,
        mut key: impl FnMut(InstanceId) -> K,
    ) -> Option<InstanceId> {
        let mut equal = std::mem::take(&mut self.equal);
        equal.clear();
        let mut least: Option<K> = None;
        for instance in among {
            let k = key(instance);
            match &least {
                Some(least) if k > *least => {}
                Some(least) if k == *least => equal.push(instance),
                _ => {
                    equal.clear();
                    equal.push(instance);
                    least = Some(k);
                }
            }
        }
        let chosen = self.any(&equal);
        self.equal = equal;
        chosen
    }

    /// [`Self::least`] of keys that lie in a list, none of them NaN.
    pub fn least_cost(&mut self, among: &[InstanceId], costs: &[f64]) -> Option<InstanceId> {
        let least = costs.iter().fold(f64::INFINITY, |least, &cost| if cost < least { cost } else { least });
        let mut equal = std::mem::take(&mut self.equal);
        equal.clear();
        #[expect(clippy::float_cmp, reason = "it is one of them")]
        equal.extend(among.iter().zip(costs).filter(|(_, cost)| **cost == least).map(|(instance, _)| *instance));
        let chosen = self.any(&equal);
        self.equal = equal;
        chosen
    }

    /// Uniform in [0, 1).
    pub fn unit(&mut self) -> f64 {
        self.rng.random()
    }

    /// Below `n`, each as likely as the other; `n` must not be zero.
    pub fn below(&mut self, n: usize) -> usize {
        self.rng.random_range(0..n)
    }

    /// One index with probability proportional to its weight; any, when all weights are zero. `None` for none.
    pub fn weighted(&mut self, weights: &[f64]) -> Option<usize> {
        let total: f64 = weights.iter().sum();
        if weights.is_empty() {
            return None;
        }
        if total <= 0.0 {
            return Some(self.below(weights.len()));
        }
        let mut left = self.unit() * total;
        let last = weights.iter().rposition(|&w| w > 0.0);
        weights
            .iter()
            .position(|&w| {
                left -= w;
                left < 0.0
            })
            .or(last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(n: u32) -> Vec<InstanceId> {
        (0..n).map(InstanceId).collect()
    }

    #[test]
    fn least_is_uniform_among_equals_and_reproducible() {
        let keys = [3, 1, 2, 1, 1, 9];
        let mut counts = [0; 6];
        let (mut a, mut b) = (Ties::new(&RngStreams::new(4)), Ties::new(&RngStreams::new(4)));
        for _ in 0..3000 {
            let chosen = a.least(ids(6), |i| keys[i.index()]).unwrap();
            assert_eq!(Some(chosen), b.least_cost(&ids(6), &keys.map(f64::from)));
            counts[chosen.index()] += 1;
        }
        assert_eq!((counts[0], counts[2], counts[5]), (0, 0, 0));
        // Three standard deviations of a binomial with 3000 draws and probability 1/3 are 77.
        assert!([1, 3, 4].iter().all(|&i| i32::abs(counts[i] - 1000) < 78), "{counts:?}");
        assert_eq!(a.least([], |_| 0), None);
        assert_eq!(a.any(&[]), None);
    }

    #[test]
    fn weights_are_probabilities() {
        let mut ties = Ties::new(&RngStreams::new(4));
        let mut counts = [0; 4];
        for _ in 0..8000 {
            counts[ties.weighted(&[1.0, 0.0, 3.0, 4.0]).unwrap()] += 1;
        }
        // Three standard deviations are at most 135.
        for (count, expected) in counts.into_iter().zip([1000, 0, 3000, 4000]) {
            assert!(i32::abs(count - expected) < 136, "{counts:?}");
        }
        assert_eq!(ties.weighted(&[]), None);
        assert!(ties.weighted(&[0.0, 0.0]).is_some());
    }
}
