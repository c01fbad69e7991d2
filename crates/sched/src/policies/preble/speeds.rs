//! Observed decode speeds.

use std::collections::VecDeque;
use trimtab_core::InstanceId;

/// The median time per output token of each instance, over its last requests.
#[derive(Debug)]
pub(in crate::policies) struct Speeds {
    keep: usize,
    initial_ps: u64,
    seen: Vec<Seen>,
}

#[derive(Clone, Debug, Default)]
struct Seen {
    recent: VecDeque<u64>,
    sorted: Vec<u64>,
}

impl Speeds {
    pub(in crate::policies) fn new(keep: usize, initial_ps: u64) -> Self {
        Self { keep, initial_ps, seen: Vec::new() }
    }

    /// Picoseconds per output token.
    pub(in crate::policies) fn get(&self, at: InstanceId) -> u64 {
        let sorted = self.seen.get(at.index()).map_or(&[][..], |seen| &seen.sorted);
        sorted.get(sorted.len() / 2).copied().unwrap_or(self.initial_ps)
    }

    pub(in crate::policies) fn record(&mut self, at: InstanceId, tpot_ps: u64) {
        if self.seen.len() <= at.index() {
            self.seen.resize(at.index() + 1, Seen::default());
        }
        let Seen { recent, sorted } = &mut self.seen[at.index()];
        if recent.len() == self.keep {
            let oldest = recent.pop_front().expect("it is full");
            sorted.remove(sorted.binary_search(&oldest).expect("both hold the same samples"));
        }
        recent.push_back(tpot_ps);
        sorted.insert(sorted.partition_point(|&t| t < tpot_ps), tpot_ps);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_follows_the_last_samples() {
        let mut speeds = Speeds::new(3, 7);
        let at = InstanceId(2);
        assert_eq!(speeds.get(at), 7);
        for (sample, median) in [(5, 5), (1, 5), (9, 5), (9, 9), (9, 9), (2, 9), (3, 3)] {
            speeds.record(at, sample);
            assert_eq!(speeds.get(at), median, "after {sample}");
        }
        assert_eq!(speeds.get(InstanceId(0)), 7);
    }
}
