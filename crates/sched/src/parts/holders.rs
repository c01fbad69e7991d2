//! Which workers hold which blocks: the parts that block indexes share.

use rustc_hash::FxHashMap;

/// A set of workers, as words of 64 of them.
#[derive(Clone, Debug)]
pub(super) enum Workers {
    /// All of one word, as where few workers hold a block: needs no memory of its own.
    OneWord {
        word: usize,
        bits: u64,
    },
    Words(Vec<u64>),
}

impl Default for Workers {
    fn default() -> Self {
        Self::OneWord { word: 0, bits: 0 }
    }
}

impl Workers {
    pub(super) fn add(&mut self, worker: u32) {
        let (at, bit) = split(worker);
        match self {
            Self::OneWord { word, bits } if *word == at || *bits == 0 => (*word, *bits) = (at, *bits | bit),
            Self::OneWord { word, bits } => {
                let mut words = vec![0; at.max(*word) + 1];
                (words[*word], words[at]) = (*bits, bit);
                *self = Self::Words(words);
            }
            Self::Words(words) => {
                if words.len() <= at {
                    words.resize(at + 1, 0);
                }
                words[at] |= bit;
            }
        }
    }

    pub(super) fn remove(&mut self, worker: u32) {
        let (at, bit) = split(worker);
        match self {
            Self::OneWord { word, bits } if *word == at => *bits &= !bit,
            Self::OneWord { .. } => {}
            Self::Words(words) => words.iter_mut().skip(at).take(1).for_each(|bits| *bits &= !bit),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        match self {
            Self::OneWord { bits, .. } => *bits == 0,
            Self::Words(words) => words.iter().all(|&bits| bits == 0),
        }
    }

    pub(super) fn clear(&mut self) {
        match self {
            Self::OneWord { bits, .. } => *bits = 0,
            Self::Words(words) => words.fill(0),
        }
    }

    pub(super) fn word(&self, at: usize) -> u64 {
        match self {
            Self::OneWord { word, bits } => {
                if *word == at {
                    *bits
                } else {
                    0
                }
            }
            Self::Words(words) => words.get(at).copied().unwrap_or(0),
        }
    }
}

/// The workers that hold all blocks looked at so far.
#[derive(Clone, Debug, Default)]
pub(super) struct Alive(Vec<u64>);

impl Alive {
    /// All below a number.
    pub(super) fn fill(&mut self, workers: usize) {
        self.0.clear();
        self.0.resize(workers.div_ceil(64), u64::MAX);
    }

    /// Keeps those that hold the next block too, given as words, and records how deep the others got; whether any are left.
    pub(super) fn keep(&mut self, held: impl Fn(usize) -> u64, depth: u32, out: &mut [u32]) -> bool {
        let mut any = false;
        for (word, alive) in self.0.iter_mut().enumerate() {
            let held = held(word);
            record(*alive & !held, word, depth, out);
            *alive &= held;
            any |= *alive != 0;
        }
        any
    }

    /// How many consecutive leading blocks each worker holds, indexed by worker, when for each block there are the words of
    /// its holders; `out` is resized to `workers`.
    pub(super) fn matched<W: Fn(usize) -> u64>(
        &mut self,
        blocks: impl Iterator<Item = W>,
        workers: usize,
        out: &mut Vec<u32>,
    ) {
        out.clear();
        out.resize(workers, 0);
        self.fill(workers);
        let mut depth = 0;
        for held in blocks {
            if !self.keep(held, depth, out) {
                return;
            }
            depth += 1;
        }
        self.settle(depth, out);
    }

    /// Records how deep all that are left got.
    pub(super) fn settle(&self, depth: u32, out: &mut [u32]) {
        for (word, &alive) in self.0.iter().enumerate() {
            record(alive, word, depth, out);
        }
    }
}

/// For each block key, the set of workers. A key names a whole prefix, as [`crate::Arrival::prefix_keys`] does.
#[derive(Debug, Default)]
pub(super) struct Holders {
    sets: FxHashMap<u64, Workers>,
    alive: Alive,
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
        let held = keys.map_while(|key| self.sets.get(&key)).map(|set| |at| set.word(at));
        self.alive.matched(held, workers, out);
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

/// The word of a worker, and its bit there.
pub(super) fn split(worker: u32) -> (usize, u64) {
    ((worker / 64) as usize, 1 << (worker % 64))
}
