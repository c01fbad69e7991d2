//! Which workers hold which blocks: the parts that block indexes share.

use rustc_hash::FxHashMap;

/// A set of workers. The first 64 need no memory of their own.
#[derive(Clone, Debug, Default)]
pub(super) struct Bits {
    first: u64,
    more: Vec<u64>,
}

impl Bits {
    pub(super) fn add(&mut self, worker: u32) {
        let (word, bit) = split(worker);
        let Some(word) = word.checked_sub(1) else {
            self.first |= bit;
            return;
        };
        if self.more.len() <= word {
            self.more.resize(word + 1, 0);
        }
        self.more[word] |= bit;
    }

    fn remove(&mut self, worker: u32) {
        let (word, bit) = split(worker);
        let held = match word.checked_sub(1) {
            None => Some(&mut self.first),
            Some(word) => self.more.get_mut(word),
        };
        if let Some(held) = held {
            *held &= !bit;
        }
    }

    fn is_empty(&self) -> bool {
        self.first == 0 && self.more.iter().all(|&word| word == 0)
    }

    pub(super) fn clear(&mut self) {
        self.first = 0;
        self.more.fill(0);
    }

    /// The workers below a number.
    pub(super) fn fill(&mut self, workers: usize) {
        self.first = u64::MAX;
        self.more.clear();
        self.more.resize(workers.div_ceil(64).saturating_sub(1), u64::MAX);
    }

    /// Keeps those that hold the next block too, and records how deep the others got; whether any are left.
    pub(super) fn keep(&mut self, held: &Self, depth: u32, out: &mut [u32]) -> bool {
        record(self.first & !held.first, 0, depth, out);
        self.first &= held.first;
        let mut any = self.first != 0;
        for (word, alive) in self.more.iter_mut().enumerate() {
            let held = held.more.get(word).copied().unwrap_or(0);
            record(*alive & !held, word + 1, depth, out);
            *alive &= held;
            any |= *alive != 0;
        }
        any
    }

    /// Records how deep all that are left got.
    pub(super) fn settle(&self, depth: u32, out: &mut [u32]) {
        record(self.first, 0, depth, out);
        for (word, &alive) in self.more.iter().enumerate() {
            record(alive, word + 1, depth, out);
        }
    }
}

/// For each block key, the set of workers. A key names a whole prefix, as [`crate::Arrival::prefix_keys`] does.
#[derive(Debug, Default)]
pub(super) struct Holders {
    sets: FxHashMap<u64, Bits>,
    alive: Bits,
}

impl Holders {
    pub(super) fn add(&mut self, key: u64, worker: u32) {
        self.sets.entry(key).or_default().add(worker);
    }

    pub(super) fn remove(&mut self, key: u64, worker: u32) {
        if let Some(set) = self.sets.get_mut(&key) {
            set.remove(worker);
            if set.is_empty() {
                self.sets.remove(&key);
            }
        }
    }

    /// Consecutive leading keys that each worker holds, indexed by worker; `out` is resized to `workers`.
    pub(super) fn matched(&mut self, keys: impl Iterator<Item = u64>, workers: usize, out: &mut Vec<u32>) {
        out.clear();
        out.resize(workers, 0);
        self.alive.fill(workers);
        let mut depth = 0;
        for key in keys {
            let Some(set) = self.sets.get(&key) else { break };
            if !self.alive.keep(set, depth, out) {
                return;
            }
            depth += 1;
        }
        self.alive.settle(depth, out);
    }
}

/// Records the depth of the workers of these bits.
fn record(mut bits: u64, word: usize, depth: u32, out: &mut [u32]) {
    while depth > 0 && bits != 0 {
        let worker = word * 64 + bits.trailing_zeros() as usize;
        if let Some(matched) = out.get_mut(worker) {
            *matched = depth;
        }
        bits &= bits - 1;
    }
}

fn split(worker: u32) -> (usize, u64) {
    ((worker / 64) as usize, 1 << (worker % 64))
}
