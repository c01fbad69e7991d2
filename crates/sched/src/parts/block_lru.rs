//! A least-recently-used set of block keys for each worker: the approximate index of llm-d's prefix scorer.

use trimtab_core::InstanceId;

use super::holders::Holders;
use super::recency::Recency;

/// What a router believes each worker to hold, from what it sent there: the last `capacity` block keys of each.
#[derive(Debug)]
pub struct BlockLru {
    capacity: usize,
    workers: Vec<Recency<u64>>,
    holders: Holders,
}

impl BlockLru {
    /// An index that remembers so many blocks for each worker.
    pub fn new(capacity: usize) -> Self {
        Self { capacity, workers: Vec::new(), holders: Holders::default() }
    }

    /// These blocks were sent to a worker, used in this order.
    pub fn insert(&mut self, worker: InstanceId, keys: impl Iterator<Item = u64>) {
        self.insert_within(worker, keys, self.capacity);
    }

    /// The same, for a worker whose capacity is known to be another one.
    pub fn insert_within(&mut self, worker: InstanceId, keys: impl Iterator<Item = u64>, capacity: usize) {
        if self.workers.len() <= worker.index() {
            self.workers.resize_with(worker.index() + 1, Recency::default);
        }
        let own = &mut self.workers[worker.index()];
        for key in keys {
            if own.put(key) {
                self.holders.add(key, worker.0);
            }
            while own.len() > capacity {
                let oldest = own.pop().expect("more than none");
                self.holders.remove(oldest, worker.0);
            }
        }
    }

    /// Consecutive leading blocks that each worker is believed to hold, indexed by worker; `out` is resized. A look
    /// refreshes nothing.
    pub fn matched(&mut self, keys: impl Iterator<Item = u64>, workers: usize, out: &mut Vec<u32>) {
        self.holders.matched(keys, workers, out);
    }

    /// How many blocks a worker is believed to hold.
    pub fn held(&self, worker: InstanceId) -> usize {
        self.workers.get(worker.index()).map_or(0, Recency::len)
    }

    /// Forgets a worker.
    pub fn remove_worker(&mut self, worker: InstanceId) {
        if let Some(own) = self.workers.get_mut(worker.index()) {
            while let Some(key) = own.pop() {
                self.holders.remove(key, worker.0);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parts::mix64;

    /// The same with a vector for each worker.
    #[derive(Default)]
    struct Naive {
        lists: Vec<Vec<u64>>,
    }

    impl Naive {
        fn insert(&mut self, worker: usize, keys: &[u64], capacity: usize) {
            for &key in keys {
                self.lists[worker].retain(|&k| k != key);
                self.lists[worker].push(key);
                let excess = self.lists[worker].len().saturating_sub(capacity);
                self.lists[worker].drain(..excess);
            }
        }

        fn matched(&self, keys: &[u64]) -> Vec<u32> {
            let depth = |list: &Vec<u64>| keys.iter().take_while(|&key| list.contains(key)).count();
            self.lists.iter().map(|list| u32::try_from(depth(list)).unwrap()).collect()
        }
    }

    #[test]
    fn equals_a_list_for_each_worker() {
        // Seventy workers need two words of a bit set.
        for (workers, capacity) in [(3, 1), (3, 12), (70, 40)] {
            let mut index = BlockLru::new(capacity);
            let mut naive = Naive { lists: vec![Vec::new(); workers] };
            let mut out = Vec::new();
            for n in 0..1500_u64 {
                let draw = |k: u64, below: u64| mix64(n * 8 + k) % below;
                // Chains of a family share heads.
                let family = draw(0, 4);
                let keys: Vec<u64> =
                    (0..draw(1, 9)).map(|d| if d < 3 { family * 100 + d } else { n % 40 * 1000 + d }).collect();
                let worker = usize::try_from(draw(2, workers as u64)).unwrap();
                index.insert(InstanceId::from_index(worker), keys.iter().copied());
                naive.insert(worker, &keys, capacity);
                if n % 97 == 0 {
                    index.remove_worker(InstanceId::from_index(worker));
                    naive.lists[worker].clear();
                }
                index.matched(keys.iter().copied(), workers, &mut out);
                assert_eq!(out, naive.matched(&keys), "{n}");
                assert_eq!(index.held(InstanceId::from_index(worker)), naive.lists[worker].len());
            }
        }
    }
}
