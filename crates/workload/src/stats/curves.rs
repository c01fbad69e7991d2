//! What a figure of the statistics draws: curves, thinned out to what can be seen.

use super::{LruPoint, ratio};

/// Points of a curve.
const POINTS: u64 = 200;
/// Caches below one in so many of all blocks hardly differ.
pub(super) const LEAST: u64 = 1000;

/// Curves over all prefixes; a block stands for the prefix that ends with it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Curves {
    /// LRU capacities from a thousandth of all unique blocks to all of them, evenly by ratio.
    pub lru: Vec<LruPoint>,
    /// Rank of a prefix, from 1, and how many requests have it, most common first; ranks evenly by ratio.
    pub popularity: Vec<(u64, u64)>,
    /// Time until a block is used again in milliseconds, and the share of all hits that waited no longer.
    pub reuse_ms: Vec<(u64, f64)>,
}

/// Whole numbers from 1 to `last`, about evenly by ratio.
pub(super) fn log_spaced(last: u64) -> Vec<u64> {
    let mut numbers = vec![1];
    let mut at = 1;
    while at < last {
        // At least the next number, at most the last; a 200th of the way in the logarithm.
        let grown = libm::ceil(at as f64 * libm::pow(last as f64, 1.0 / POINTS as f64));
        at = whole(grown).max(at + 1).min(last);
        numbers.push(at);
    }
    numbers.truncate(usize::try_from(last).unwrap_or(usize::MAX));
    numbers
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a positive number below 2^53")]
fn whole(value: f64) -> u64 {
    value as u64
}

/// Ranks of counts in falling order.
pub(super) fn popularity(counts: &[u64]) -> Vec<(u64, u64)> {
    let at = |rank: u64| usize::try_from(rank - 1).ok().and_then(|index| counts.get(index)).copied();
    log_spaced(counts.len() as u64).into_iter().filter_map(|rank| at(rank).map(|count| (rank, count))).collect()
}

/// The distribution of sorted values that count several times.
pub(super) fn distribution(sorted: &[(u64, u32)]) -> Vec<(u64, f64)> {
    let total: u64 = sorted.iter().map(|&(_, weight)| u64::from(weight)).sum();
    let (mut upto, mut last) = (0, 0);
    let mut points: Vec<(u64, f64)> = Vec::new();
    for (index, &(value, weight)) in sorted.iter().enumerate() {
        upto += u64::from(weight);
        let ends = sorted.get(index + 1).is_none_or(|next| next.0 != value);
        if ends && ((upto - last) * POINTS >= total || upto == total || points.is_empty()) {
            points.push((value, ratio(upto, total)));
            last = upto;
        }
    }
    points
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_points_that_reach_both_ends() {
        for (last, expected) in [(0, 0), (1, 1), (3, 3), (100, 100), (1_000_000, 240)] {
            let numbers = log_spaced(last);
            assert!(numbers.len() <= expected && numbers.is_sorted_by(|a, b| a < b), "{last}: {}", numbers.len());
            assert_eq!(
                (numbers.first(), numbers.last()),
                (Some(&1).filter(|_| last > 0), Some(&last).filter(|_| last > 0))
            );
        }
        assert_eq!(popularity(&[9, 4, 1]), [(1, 9), (2, 4), (3, 1)]);
    }

    #[test]
    fn shares_count_weights_and_end_with_everything() {
        assert_eq!(distribution(&[(0, 1), (0, 1), (5, 2)]), [(0, 0.5), (5, 1.0)]);
        let many: Vec<(u64, u32)> = (0..10_000).map(|value| (value, 3)).collect();
        let points = distribution(&many);
        assert!(points.len() <= 202 && points.last() == Some(&(9999, 1.0)), "{}", points.len());
    }
}
