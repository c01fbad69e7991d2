//! Exact quantiles and means of integer samples.
//!
//! A quantile is a sample, by nearest rank: the smallest value that at least a share `q` of the samples does not
//! exceed. No interpolation, so a quantile of picoseconds is a whole number of picoseconds that did occur.

/// Mean and quantiles of one quantity, in picoseconds. All zero when there are no samples.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Summary {
    /// How many samples.
    pub n: u64,
    /// Mean, in picoseconds (rounded only when it becomes this float).
    pub mean: f64,
    /// Median.
    pub p50: u64,
    /// 90 % quantile.
    pub p90: u64,
    /// 95 % quantile.
    pub p95: u64,
    /// 99 % quantile.
    pub p99: u64,
    /// Largest sample.
    pub max: u64,
}

impl Summary {
    /// Of these samples, which are sorted in place.
    pub fn of(samples: &mut [u64]) -> Self {
        samples.sort_unstable();
        Self {
            n: samples.len() as u64,
            mean: mean_ps(samples),
            p50: nearest_rank(samples, 500),
            p90: nearest_rank(samples, 900),
            p95: nearest_rank(samples, 950),
            p99: nearest_rank(samples, 990),
            max: samples.last().copied().unwrap_or(0),
        }
    }
}

/// The mean, summed as integers so that the order of the samples does not matter. Zero for no samples.
pub fn mean_ps(samples: &[u64]) -> f64 {
    let sum: u128 = samples.iter().map(|&s| u128::from(s)).sum();
    if samples.is_empty() { 0.0 } else { sum as f64 / samples.len() as f64 }
}

/// The quantile of sorted samples at `per_mille` thousandths. Zero for no samples.
pub fn nearest_rank(sorted: &[u64], per_mille: u32) -> u64 {
    let rank = rank(sorted.len() as u64, per_mille);
    usize::try_from(rank).ok().and_then(|r| sorted.get(r)).copied().unwrap_or(0)
}

/// The position, from 0, of a quantile among `n` sorted samples.
pub(crate) fn rank(n: u64, per_mille: u32) -> u64 {
    (n * u64::from(per_mille)).div_ceil(1000).saturating_sub(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nearest_rank_is_a_sample() {
        let sorted = [10, 20, 30, 40];
        for (per_mille, expected) in [(0, 10), (250, 10), (251, 20), (500, 20), (750, 30), (990, 40), (1000, 40)] {
            assert_eq!(nearest_rank(&sorted, per_mille), expected, "{per_mille}");
        }
        assert_eq!(nearest_rank(&[], 500), 0);
    }
}
