//! Which workers hold which blocks: the part that all block indexes share.

use rustc_hash::FxHashMap;

/// For each block key, the set of workers. A key names a whole prefix, as [`crate::Arrival::prefix_keys`] does.
#[derive(Debug, Default)]
pub(super) struct Holders {
    /// Words that the longest bit set has; shorter ones end in zeros.
    words: usize,
    sets: FxHashMap<u64, Vec<u64>>,
    alive: Vec<u64>,
}

impl Holders {
    pub(super) fn add(&mut self, key: u64, worker: u32) {
        let (word, bit) = split(worker);
        self.words = self.words.max(word + 1);
        let words = self.words;
        let set = self.sets.entry(key).or_insert_with(|| vec![0; words]);
        if set.len() <= word {
            set.resize(words, 0);
        }
        set[word] |= bit;
    }

    pub(super) fn remove(&mut self, key: u64, worker: u32) {
        let (word, bit) = split(worker);
        if let Some(set) = self.sets.get_mut(&key) {
            if let Some(held) = set.get_mut(word) {
                *held &= !bit;
            }
            if set.iter().all(|&w| w == 0) {
                self.sets.remove(&key);
            }
        }
    }

    /// Consecutive leading keys that each worker holds, indexed by worker; `out` is resized to `workers`.
    pub(super) fn matched(&mut self, keys: impl Iterator<Item = u64>, workers: usize, out: &mut Vec<u32>) {
        out.clear();
        out.resize(workers, 0);
        self.alive.clear();
        self.alive.resize(self.words, u64::MAX);
        let mut depth = 0;
        for key in keys {
            let Some(set) = self.sets.get(&key) else { break };
            let mut any = 0;
            for (word, alive) in self.alive.iter_mut().enumerate() {
                let held = set.get(word).copied().unwrap_or(0);
                settle(*alive & !held, word, depth, out);
                *alive &= held;
                any |= *alive;
            }
            if any == 0 {
                return;
            }
            depth += 1;
        }
        for (word, &alive) in self.alive.iter().enumerate() {
            settle(alive, word, depth, out);
        }
    }
}

/// Records the depth of the workers of these bits.
fn settle(mut bits: u64, word: usize, depth: u32, out: &mut [u32]) {
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
