//! The gaps between consecutive output tokens, counted without storing each of them.

use crate::quantile::{Summary, rank};

/// The gaps between consecutive output tokens of all requests, exactly.
///
/// A run of decode steps over an unchanged batch yields one gap for each step, as often as there are sequences in the
/// batch. A run in arithmetic progression is one entry here. One whose gaps grow otherwise, by up to 4 ms, is one entry
/// and four bytes for each step; of any other run each step is an entry. Quantiles count inside entries.
#[derive(Clone, Debug)]
pub struct Gaps {
    lines: Vec<Line>,
    curves: Vec<Curve>,
    /// How much longer each step of the curves is than the first of its curve.
    excess: Vec<u32>,
    /// Samples by magnitude (see `bucket`), so that a quantile looks at few entries in detail.
    histogram: Vec<u64>,
    n: u64,
    sum: u128,
    max: u64,
}

/// The gaps `first, first + delta, ...`, `steps` of them, each `weight` times.
#[derive(Clone, Copy, Debug)]
struct Line {
    first: u64,
    delta: u64,
    steps: u32,
    weight: u32,
}

impl Line {
    fn last(&self) -> u64 {
        self.first + self.delta * u64::from(self.steps - 1)
    }
}

/// Gaps that never become shorter, each `weight` times.
#[derive(Clone, Copy, Debug)]
struct Curve {
    first: u64,
    last: u64,
    /// Where its steps are in `Gaps::excess`.
    from: usize,
    steps: u32,
    weight: u32,
}

/// The gaps of one entry.
#[derive(Clone, Copy, Debug)]
enum Entry<'a> {
    Line(Line),
    Curve { first: u64, excess: &'a [u32] },
}

impl Entry<'_> {
    /// How many steps are at most `value`.
    fn steps_up_to(&self, value: u64) -> u64 {
        match self {
            Self::Line(line) => {
                let Some(over) = value.checked_sub(line.first) else { return 0 };
                let after_first = over.checked_div(line.delta).unwrap_or(u64::MAX);
                u64::from(line.steps).min(after_first.saturating_add(1))
            }
            Self::Curve { first, excess } => {
                let Some(over) = value.checked_sub(*first) else { return 0 };
                excess.partition_point(|&excess| u64::from(excess) <= over) as u64
            }
        }
    }
}

/// Mantissa bits of a histogram bucket: 64 buckets to an octave, so most entries fall into one bucket.
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
        Self {
            lines: Vec::new(),
            curves: Vec::new(),
            excess: Vec::new(),
            histogram: vec![0; BUCKETS],
            n: 0,
            sum: 0,
            max: 0,
        }
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
            self.push_line(Line { first, delta, steps: part, weight });
            steps -= u64::from(part);
            if steps > 0 {
                first += delta * u64::from(part);
            }
        }
    }

    /// Adds the gaps of decode steps that end at `ends`, the first of which began at 0, each seen by `weight` sequences.
    pub fn push_ends(&mut self, ends: &[u64], weight: u32) {
        let (Some(&first), Some(&end)) = (ends.first(), ends.last()) else { return };
        let from = self.excess.len();
        self.excess.resize(from + ends.len(), 0);
        let (mut before, mut last, mut grows) = (0, first, weight > 0);
        for (excess, &end) in self.excess[from..].iter_mut().zip(ends) {
            let gap = end - before;
            grows &= gap >= last;
            (before, last) = (end, gap);
            #[expect(clippy::cast_possible_truncation, reason = "no gap of a curve is longer than the last")]
            let longer = gap.wrapping_sub(first) as u32;
            *excess = longer;
        }
        let fits = grows && u32::try_from(last - first).is_ok();
        let Some(steps) = u32::try_from(ends.len()).ok().filter(|_| fits) else {
            self.excess.truncate(from);
            let starts = std::iter::once(0).chain(ends.iter().copied());
            starts.zip(ends).for_each(|(start, &end)| self.push(end - start, 0, 1, weight));
            return;
        };
        let (n, weighs) = (u64::from(steps), u64::from(weight));
        self.add(n, u128::from(end), last, weighs);
        let entry = Entry::Curve { first, excess: &self.excess[from..] };
        count(&mut self.histogram, entry, first, n, weighs);
        self.curves.push(Curve { first, last, from, steps, weight });
    }

    fn push_line(&mut self, line: Line) {
        let (steps, weight) = (u64::from(line.steps), u64::from(line.weight));
        let total = u128::from(line.first) * u128::from(steps)
            + u128::from(line.delta) * (u128::from(steps) * u128::from(steps - 1) / 2);
        self.add(steps, total, line.last(), weight);
        count(&mut self.histogram, Entry::Line(line), line.first, steps, weight);
        self.lines.push(line);
    }

    fn add(&mut self, steps: u64, total: u128, last: u64, weight: u64) {
        self.n += steps * weight;
        self.sum += total * u128::from(weight);
        self.max = self.max.max(last);
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
        // There can be millions of entries, and few reach into the bucket of a quantile: all are looked at once.
        for line in &self.lines {
            for range in &mut ranges {
                range.consider(line.first, line.last(), line.weight, || Entry::Line(*line));
            }
        }
        for curve in &self.curves {
            let excess = || &self.excess[curve.from..curve.from + curve.steps as usize];
            for range in &mut ranges {
                let entry = || Entry::Curve { first: curve.first, excess: excess() };
                range.consider(curve.first, curve.last, curve.weight, entry);
            }
        }
        ranges.map(Range::value)
    }

    /// The bucket that holds the sample of this rank, as yet without its entries.
    fn range_of(&self, rank: u64) -> Range<'_> {
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

/// Counts the steps of an entry in the buckets that they fall into.
fn count(histogram: &mut [u64], entry: Entry<'_>, first: u64, steps: u64, weight: u64) {
    let mut counted = 0;
    let mut at = bucket(first);
    while counted < steps {
        let upto = if at + 1 < BUCKETS { entry.steps_up_to(bucket_floor(at + 1) - 1) } else { steps };
        histogram[at] += (upto - counted) * weight;
        counted = upto;
        at += 1;
    }
}

/// Where a quantile lies: its bucket, from the smallest to the largest value.
struct Range<'a> {
    low: u64,
    high: u64,
    /// The quantile is the sample of this number, from 1, among those inside.
    wanted: u64,
    /// The entries that reach inside, each with its weight and how many of its steps are below.
    inside: Vec<(Entry<'a>, u32, u64)>,
}

impl<'a> Range<'a> {
    fn consider(&mut self, first: u64, last: u64, weight: u32, entry: impl FnOnce() -> Entry<'a>) {
        if first <= self.high && last >= self.low {
            let entry = entry();
            let below = self.low.checked_sub(1).map_or(0, |below| entry.steps_up_to(below));
            self.inside.push((entry, weight, below));
        }
    }

    fn value(self) -> u64 {
        let (mut low, mut high) = (self.low, self.high);
        while low < high {
            let middle = low + (high - low) / 2;
            let counts = self
                .inside
                .iter()
                .map(|(entry, weight, below)| (entry.steps_up_to(middle) - below) * u64::from(*weight));
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
    use crate::quantile::nearest_rank;
    use proptest::prelude::*;

    #[test]
    fn buckets_are_monotone_and_tight() {
        for value in (0..2000).chain([u64::MAX / 3, u64::MAX - 1, u64::MAX]) {
            let b = bucket(value);
            assert!(bucket_floor(b) <= value && b < BUCKETS);
            assert!(b + 1 == BUCKETS || value < bucket_floor(b + 1));
        }
    }

    #[test]
    fn the_step_after_the_last_need_not_fit() {
        let mut gaps = Gaps::new();
        gaps.push(u64::MAX, 1, 1, 1);
        assert_eq!(gaps.summary().max, u64::MAX);
    }

    proptest! {
        #[test]
        fn gaps_equal_the_listed_samples(
            lines in prop::collection::vec((0u64..5_000_000, 0u64..2000, 1u64..60, 0u32..4), 0..40),
            // Gaps that grow; one of them in ten is shorter than the one before, or too much longer to be an excess.
            curves in prop::collection::vec((0u64..5_000_000, prop::collection::vec(0u64..3000, 0..70), 0u32..4, 0u32..10), 0..40),
            per_mille in 0u32..=1000,
        ) {
            let mut gaps = Gaps::new();
            let mut all = vec![];
            for (first, delta, steps, weight) in lines {
                gaps.push(first, delta, steps, weight);
                for step in 0..steps {
                    all.extend((0..weight).map(|_| first + delta * step));
                }
            }
            for (first, growth, weight, odd) in curves {
                let (mut gap, mut end, mut ends) = (first, 0, vec![]);
                for growth in growth {
                    gap = match odd {
                        0 => first / 2 + growth,
                        1 => gap + growth * (1 << 22),
                        _ => gap + growth,
                    };
                    end += gap;
                    ends.push(end);
                    all.extend((0..weight).map(|_| gap));
                }
                gaps.push_ends(&ends, weight);
            }
            let summary = Summary::of(&mut all);
            prop_assert_eq!(gaps.summary(), summary);
            prop_assert_eq!(gaps.quantiles([per_mille]), [nearest_rank(&all, per_mille)]);
        }
    }
}
