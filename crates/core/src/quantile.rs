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
fn rank(n: u64, per_mille: u32) -> u64 {
    (n * u64::from(per_mille)).div_ceil(1000).saturating_sub(1)
}

/// The gaps between consecutive output tokens of all requests, exactly, without storing each of them.
///
/// A run of decode steps over an unchanged batch yields gaps in arithmetic progression, each as often as there are
/// sequences in the batch. One such run is one entry here; quantiles count inside entries.
#[derive(Clone, Debug)]
pub struct Gaps {
    runs: Vec<Run>,
    /// Samples by magnitude (see `bucket`), so that a quantile looks at few runs in detail.
    histogram: Vec<u64>,
    n: u64,
    sum: u128,
    max: u64,
}

/// The gaps `first, first + delta, ...`, `steps` of them, each `weight` times.
#[derive(Clone, Copy, Debug)]
struct Run {
    first: u64,
    delta: u64,
    steps: u32,
    weight: u32,
}

impl Run {
    fn last(&self) -> u64 {
        self.first + self.delta * u64::from(self.steps - 1)
    }

    /// How many steps are at most `value`.
    fn steps_up_to(&self, value: u64) -> u64 {
        let Some(over) = value.checked_sub(self.first) else { return 0 };
        let after_first = over.checked_div(self.delta).unwrap_or(u64::MAX);
        u64::from(self.steps).min(after_first.saturating_add(1))
    }
}

/// Mantissa bits of a histogram bucket: 64 buckets to an octave, so most runs fall into one bucket.
const MANTISSA_BITS: u32 = 6;

/// The bucket of a value; larger values never have smaller buckets.
fn bucket(value: u64) -> usize {
    let magnitude = 64 - value.leading_zeros();
    if magnitude <= MANTISSA_BITS {
        return usize::try_from(value).expect("below 64");
    }
    let shift = magnitude - 1 - MANTISSA_BITS;
    let mantissa = (value >> shift) & ((1 << MANTISSA_BITS) - 1);
    (((shift + 1) as usize) << MANTISSA_BITS) + usize::try_from(mantissa).expect("below 64")
}

/// The smallest value of a bucket.
fn bucket_floor(bucket: usize) -> u64 {
    let (octave, mantissa) = (bucket >> MANTISSA_BITS, (bucket & ((1 << MANTISSA_BITS) - 1)) as u64);
    if octave == 0 { mantissa } else { ((1 << MANTISSA_BITS) + mantissa) << (octave - 1) }
}

/// One more than the bucket of `u64::MAX`.
const BUCKETS: usize = (64 - MANTISSA_BITS as usize + 1) << MANTISSA_BITS;

impl Default for Gaps {
    fn default() -> Self {
        Self { runs: Vec::new(), histogram: vec![0; BUCKETS], n: 0, sum: 0, max: 0 }
    }
}

impl Gaps {
    /// No gaps yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds the gaps `first, first + delta, ...` of `steps` decode steps, each seen by `weight` sequences.
    pub fn push(&mut self, first: u64, delta: u64, steps: u64, weight: u32) {
        if weight == 0 {
            return;
        }
        let (mut first, mut steps) = (first, steps);
        // A run longer than 2^32 - 1 steps is stored in parts.
        while steps > 0 {
            let part = u32::try_from(steps).unwrap_or(u32::MAX);
            self.push_run(Run { first, delta, steps: part, weight });
            first += delta * u64::from(part);
            steps -= u64::from(part);
        }
    }

    fn push_run(&mut self, run: Run) {
        let (steps, weight, last) = (u64::from(run.steps), u64::from(run.weight), run.last());
        self.n += steps * weight;
        let total = u128::from(run.first) * u128::from(steps)
            + u128::from(run.delta) * (u128::from(steps) * u128::from(steps - 1) / 2);
        self.sum += total * u128::from(weight);
        self.max = self.max.max(last);
        let mut counted = 0;
        let mut at = bucket(run.first);
        while counted < steps {
            let upto = if at + 1 < BUCKETS { run.steps_up_to(bucket_floor(at + 1) - 1) } else { steps };
            self.histogram[at] += (upto - counted) * weight;
            counted = upto;
            at += 1;
        }
        self.runs.push(run);
    }

    /// Mean and quantiles of all gaps.
    pub fn summary(&self) -> Summary {
        let [p50, p90, p95, p99] = self.quantiles([500, 900, 950, 990]);
        Summary {
            n: self.n,
            mean: if self.n == 0 { 0.0 } else { self.sum as f64 / self.n as f64 },
            p50,
            p90,
            p95,
            p99,
            max: self.max,
        }
    }

    /// The quantiles at `per_mille` thousandths; zero when there are no gaps.
    pub fn quantiles<const N: usize>(&self, per_mille: [u32; N]) -> [u64; N] {
        if self.n == 0 {
            return [0; N];
        }
        let mut ranges = per_mille.map(|per_mille| self.range_of(rank(self.n, per_mille)));
        // There can be millions of runs, and few reach into the bucket of a quantile: all are looked at once.
        for run in &self.runs {
            for range in &mut ranges {
                if run.first <= range.high && run.last() >= range.low {
                    let below = range.low.checked_sub(1).map_or(0, |below| run.steps_up_to(below));
                    range.inside.push((*run, below));
                }
            }
        }
        ranges.map(Range::value)
    }

    /// The bucket that holds the sample of this rank, as yet without its runs.
    fn range_of(&self, rank: u64) -> Range {
        let mut before = 0;
        let at = self
            .histogram
            .iter()
            .position(|&count| {
                let found = rank < before + count;
                before += if found { 0 } else { count };
                found
            })
            .expect("the rank lies within the samples");
        let mut high = self.max;
        if at + 1 < BUCKETS {
            high = high.min(bucket_floor(at + 1) - 1);
        }
        Range { low: bucket_floor(at), high, wanted: rank - before + 1, inside: Vec::new() }
    }
}

/// Where a quantile lies: its bucket, from the smallest to the largest value.
struct Range {
    low: u64,
    high: u64,
    /// The quantile is the sample of this number, from 1, among those inside.
    wanted: u64,
    /// The runs that reach inside, each with how many of its steps are below.
    inside: Vec<(Run, u64)>,
}

impl Range {
    fn value(self) -> u64 {
        let (mut low, mut high) = (self.low, self.high);
        while low < high {
            let middle = low + (high - low) / 2;
            let counts =
                self.inside.iter().map(|(run, below)| (run.steps_up_to(middle) - below) * u64::from(run.weight));
            if counts.sum::<u64>() >= self.wanted {
                high = middle;
            } else {
                low = middle + 1;
            }
        }
        low
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn nearest_rank_is_a_sample() {
        let sorted = [10, 20, 30, 40];
        for (per_mille, expected) in [(0, 10), (250, 10), (251, 20), (500, 20), (750, 30), (990, 40), (1000, 40)] {
            assert_eq!(nearest_rank(&sorted, per_mille), expected, "{per_mille}");
        }
        assert_eq!(nearest_rank(&[], 500), 0);
    }

    #[test]
    fn buckets_are_monotone_and_tight() {
        for value in (0..2000).chain([u64::MAX / 3, u64::MAX - 1, u64::MAX]) {
            let b = bucket(value);
            assert!(bucket_floor(b) <= value && b < BUCKETS);
            assert!(b + 1 == BUCKETS || value < bucket_floor(b + 1));
        }
    }

    proptest! {
        #[test]
        fn gaps_equal_the_listed_samples(
            runs in prop::collection::vec((0u64..5_000_000, 0u64..2000, 1u64..60, 0u32..4), 1..40),
            per_mille in 0u32..=1000,
        ) {
            let mut gaps = Gaps::new();
            let mut all = vec![];
            for (first, delta, steps, weight) in runs {
                gaps.push(first, delta, steps, weight);
                for step in 0..steps {
                    all.extend((0..weight).map(|_| first + delta * step));
                }
            }
            let summary = Summary::of(&mut all);
            prop_assert_eq!(gaps.summary(), summary);
            prop_assert_eq!(gaps.quantiles([per_mille]), [nearest_rank(&all, per_mille)]);
        }
    }
}
