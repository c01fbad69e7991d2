//! Intervals, paired comparisons and the length of the warm-up.
//!
//! All intervals are two-sided, at 95 %, over seeds: one number per seed, so that nothing is assumed about how the
//! requests of one run depend on each other.

use rand::RngExt;
use serde::{Deserialize, Serialize};
use trimtab_core::{RngStreams, StreamRng};

/// A mean over seeds and its 95 % interval.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    /// Seeds.
    pub n: usize,
    /// Mean.
    pub mean: f64,
    /// Lower and upper end; absent for a single seed.
    pub ends: Option<(f64, f64)>,
}

impl Interval {
    /// Half of the width.
    pub fn half_width(&self) -> Option<f64> {
        self.ends.map(|(lo, hi)| (hi - lo) / 2.0)
    }
}

/// The mean of one value per seed with its Student t interval; `None` without values.
pub fn t_interval(values: &[f64]) -> Option<Interval> {
    let n = values.len();
    if n == 0 {
        return None;
    }
    let mean = values.iter().sum::<f64>() / n as f64;
    if n == 1 {
        return Some(Interval { n, mean, ends: None });
    }
    let variance = values.iter().map(|v| (v - mean) * (v - mean)).sum::<f64>() / (n - 1) as f64;
    let half = t_quantile(0.975, (n - 1) as f64) * libm::sqrt(variance / n as f64);
    Some(Interval { n, mean, ends: Some((mean - half, mean + half)) })
}

/// Resamples of a bootstrap.
const RESAMPLES: usize = 2_000;

/// A statistic of one value per seed with its percentile bootstrap interval; `None` without values. For statistics that
/// are not means, and for small or skewed samples whose mean is far from normal.
pub fn bootstrap_interval(values: &[f64], statistic: fn(&[f64]) -> f64) -> Option<Interval> {
    let n = values.len();
    if n == 0 {
        return None;
    }
    let mean = statistic(values);
    if n == 1 {
        return Some(Interval { n, mean, ends: None });
    }
    let mut rng: StreamRng = RngStreams::new(0).stream("bootstrap");
    let mut sample = vec![0.0; n];
    let mut drawn: Vec<f64> = (0..RESAMPLES)
        .map(|_| {
            sample.fill_with(|| values[rng.random_range(0..n)]);
            statistic(&sample)
        })
        .collect();
    drawn.sort_by(f64::total_cmp);
    Some(Interval { n, mean, ends: Some((drawn[RESAMPLES / 40], drawn[RESAMPLES - 1 - RESAMPLES / 40])) })
}

/// What a paired comparison says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// The interval of the difference lies on the good side of zero.
    Better,
    /// It lies on the bad side.
    Worse,
    /// It holds zero.
    NotDistinguishable,
    /// One seed has no interval.
    TooFewSeeds,
}

impl Verdict {
    /// In words.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Better => "better",
            Self::Worse => "worse",
            Self::NotDistinguishable => "not distinguishable",
            Self::TooFewSeeds => "too few seeds",
        }
    }
}

/// Two schedulers on the same seeds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Comparison {
    /// Mean difference, with a t interval over seeds.
    pub difference: Interval,
    /// Geometric mean of the ratios of each seed, with a t interval of their logarithms; absent unless all values are
    /// positive.
    pub ratio: Option<Interval>,
    /// The plain answer.
    pub verdict: Verdict,
}

/// Compares values of the same seeds, in the same order. `None` without values.
pub fn compare(ours: &[f64], baseline: &[f64], higher_is_better: bool) -> Option<Comparison> {
    assert_eq!(ours.len(), baseline.len(), "pairs");
    let pairs = || ours.iter().zip(baseline);
    let difference = t_interval(&pairs().map(|(a, b)| a - b).collect::<Vec<_>>())?;
    let positive = pairs().all(|(&a, &b)| a > 0.0 && b > 0.0);
    let logs: Vec<f64> = if positive { pairs().map(|(a, b)| libm::log(a / b)).collect() } else { Vec::new() };
    let ratio = t_interval(&logs).map(|log| Interval {
        n: log.n,
        mean: libm::exp(log.mean),
        ends: log.ends.map(|(lo, hi)| (libm::exp(lo), libm::exp(hi))),
    });
    let verdict = match difference.ends {
        None => Verdict::TooFewSeeds,
        Some((lo, _)) if lo > 0.0 => {
            if higher_is_better {
                Verdict::Better
            } else {
                Verdict::Worse
            }
        }
        Some((_, hi)) if hi < 0.0 => {
            if higher_is_better {
                Verdict::Worse
            } else {
                Verdict::Better
            }
        }
        Some(_) => Verdict::NotDistinguishable,
    };
    Some(Comparison { difference, ratio, verdict })
}

/// The quantile of Student's t distribution, for `p` above one half.
pub fn t_quantile(p: f64, freedom: f64) -> f64 {
    let (mut lo, mut hi) = (0.0, 1.0);
    while t_distribution(hi, freedom) < p {
        hi *= 2.0;
    }
    // Halves until neighbouring floats.
    for _ in 0..80 {
        let middle = f64::midpoint(lo, hi);
        if t_distribution(middle, freedom) < p { lo = middle } else { hi = middle }
    }
    hi
}

/// P(T <= t), for t >= 0.
fn t_distribution(t: f64, freedom: f64) -> f64 {
    1.0 - 0.5 * incomplete_beta(freedom / 2.0, 0.5, freedom / (freedom + t * t))
}

/// The regularised incomplete beta function, by its continued fraction (Abramowitz and Stegun 26.5.8).
fn incomplete_beta(a: f64, b: f64, x: f64) -> f64 {
    if x <= 0.0 || x >= 1.0 {
        return if x <= 0.0 { 0.0 } else { 1.0 };
    }
    // The fraction converges fast below the mean of the distribution.
    if x > (a + 1.0) / (a + b + 2.0) {
        return 1.0 - incomplete_beta(b, a, 1.0 - x);
    }
    let front = libm::lgamma(a + b) - libm::lgamma(a) - libm::lgamma(b) + a * libm::log(x) + b * libm::log(1.0 - x);
    // Evaluated from the inside out: 200 terms are far more than any argument here needs.
    let mut fraction = 1.0;
    for term in (1..=200u32).rev() {
        let m = f64::from(term / 2);
        let coefficient = if term % 2 == 0 {
            m * (b - m) * x / ((a + 2.0 * m - 1.0) * (a + 2.0 * m))
        } else {
            -(a + m) * (a + b + m) * x / ((a + 2.0 * m) * (a + 2.0 * m + 1.0))
        };
        fraction = 1.0 + coefficient / fraction;
    }
    libm::exp(front) / (a * fraction)
}

/// The start of the steady part of a series, by MSER-5 (White 1997): the cut, in batches of 5, after which the mean has
/// the smallest standard error. `None` when the best cut is in the second half, or there are fewer than 20 values: then
/// the series does not tell.
pub fn mser(values: &[f64]) -> Option<usize> {
    const BATCH: usize = 5;
    let batches: Vec<f64> = values.chunks_exact(BATCH).map(|b| b.iter().sum::<f64>() / BATCH as f64).collect();
    if batches.len() < 4 {
        return None;
    }
    let center = batches.iter().sum::<f64>() / batches.len() as f64;
    let (mut sum, mut squares) = (0.0, 0.0);
    let mut best = (f64::INFINITY, 0);
    // From the end, so that each suffix costs one step; the shortest suffixes are noise.
    for cut in (0..batches.len()).rev() {
        let value = batches[cut] - center;
        (sum, squares) = (sum + value, squares + value * value);
        let n = (batches.len() - cut) as f64;
        let score = ((squares - sum * sum / n) / (n * n)).max(0.0);
        if n >= 4.0 && score <= best.0 {
            best = (score, cut);
        }
    }
    (best.1 * 2 <= batches.len()).then_some(best.1 * BATCH)
}

#[cfg(test)]
mod tests {
    use super::*;
    use trimtab_core::{exponential, normal};

    fn near(found: f64, expected: f64, tolerance: f64) {
        assert!((found - expected).abs() <= tolerance * expected.abs().max(1e-9), "{found} is not {expected}");
    }

    #[test]
    fn quantiles_of_t_match_the_tables() {
        // NIST/SEMATECH e-Handbook, table 1.3.6.7.2, and the exact values for 1 and 2 degrees of freedom.
        for (p, freedom, expected) in [
            (0.975, 1.0, 12.706_204_736),
            (0.975, 2.0, 4.302_652_730),
            (0.975, 4.0, 2.776),
            (0.975, 9.0, 2.262),
            (0.975, 29.0, 2.045),
            (0.975, 100.0, 1.984),
            (0.95, 5.0, 2.015),
            (0.999, 10.0, 4.143),
        ] {
            near(t_quantile(p, freedom), expected, 4e-4);
        }
        near(t_quantile(0.975, 1.0), 12.706_204_736, 1e-9);
    }

    #[test]
    fn intervals_by_hand() {
        // Mean 3, variance 2.5: half width 2.776445 * sqrt(0.5).
        let found = t_interval(&[1.0, 2.0, 3.0, 4.0, 5.0]).unwrap();
        near(found.mean, 3.0, 1e-12);
        near(found.half_width().unwrap(), 1.963_243, 1e-6);
        assert_eq!(t_interval(&[7.0]).unwrap().ends, None);
        assert_eq!(t_interval(&[]), None);
    }

    #[test]
    fn intervals_hold_the_truth_as_often_as_they_say() {
        let mut rng = RngStreams::new(11).stream("coverage");
        let mean = |v: &[f64]| v.iter().sum::<f64>() / v.len() as f64;
        let (mut t, mut bootstrap) = (0, 0);
        for _ in 0..400 {
            let sample: Vec<f64> = (0..10).map(|_| 5.0 + normal(&mut rng)).collect();
            let holds = |interval: Interval| interval.ends.is_some_and(|(lo, hi)| lo <= 5.0 && 5.0 <= hi);
            t += u32::from(holds(t_interval(&sample).unwrap()));
            bootstrap += u32::from(holds(bootstrap_interval(&sample, mean).unwrap()));
        }
        // 380 expected, standard deviation 4.4. The percentile bootstrap is known to be narrow at n = 10 (about 90 %).
        assert!((366..=394).contains(&t), "{t}");
        assert!((340..=385).contains(&bootstrap), "{bootstrap}");
    }

    #[test]
    fn verdicts() {
        let base = [10.0, 12.0, 11.0, 13.0, 9.0];
        let shifted = |by: [f64; 5]| -> Vec<f64> { base.iter().zip(by).map(|(b, d)| b + d).collect() };
        for (ours, higher, expected) in [
            // The seeds differ by more than the schedulers: only pairing sees this.
            (shifted([0.9, 1.0, 1.1, 1.0, 1.0]), true, Verdict::Better),
            (shifted([0.9, 1.0, 1.1, 1.0, 1.0]), false, Verdict::Worse),
            (shifted([-0.9, -1.0, -1.1, -1.0, -1.0]), false, Verdict::Better),
            (shifted([-1.0, 1.0, 0.5, -0.5, 0.1]), true, Verdict::NotDistinguishable),
            (base.to_vec(), true, Verdict::NotDistinguishable),
        ] {
            assert_eq!(compare(&ours, &base, higher).unwrap().verdict, expected, "{ours:?}");
        }
        assert_eq!(compare(&[1.0], &[2.0], true).unwrap().verdict, Verdict::TooFewSeeds);
        assert_eq!(compare(&[], &[], true), None);
    }

    #[test]
    fn ratios_are_paired() {
        let found = compare(&[2.0, 4.0, 8.0], &[1.0, 2.0, 4.0], true).unwrap().ratio.unwrap();
        near(found.mean, 2.0, 1e-12);
        let (lo, hi) = found.ends.unwrap();
        near(lo, 2.0, 1e-9);
        near(hi, 2.0, 1e-9);
        assert_eq!(compare(&[0.0, 1.0], &[1.0, 1.0], true).unwrap().ratio, None);
    }

    #[test]
    fn the_warm_up_is_found() {
        let mut rng = RngStreams::new(3).stream("mser");
        for transient in [0usize, 200, 600] {
            let series: Vec<f64> = (0..4000)
                .map(|i| {
                    exponential(&mut rng) + if i < transient { 8.0 * (1.0 - i as f64 / transient as f64) } else { 0.0 }
                })
                .collect();
            let cut = mser(&series).unwrap();
            assert!(cut <= transient + 200 && cut + transient / 3 + 50 >= transient, "{transient}: {cut}");
        }
        // A queue that only grows has no steady part.
        let growing: Vec<f64> = (0..2000).map(f64::from).collect();
        assert_eq!(mser(&growing), None);
        assert_eq!(mser(&[1.0; 19]), None);
    }
}
