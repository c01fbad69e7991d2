//! Block keys with a time to live: what Dynamo's router believes when workers publish no events.

use rustc_hash::FxHashMap;
use std::collections::VecDeque;
use trimtab_core::{InstanceId, SimTime};

use super::holders::{Alive, Workers};

/// Blocks that were sent to workers within the last `ttl`, at most `capacity` (block, worker) pairs of them.
#[derive(Debug)]
pub struct BlockTtl {
    ttl: SimTime,
    bucket: SimTime,
    capacity: usize,
    pruned: usize,
    /// In the order of expiry.
    batches: VecDeque<Batch>,
    /// The number of the first batch.
    first: u64,
    blocks: FxHashMap<u64, Holders>,
    pairs: usize,
    alive: Alive,
    held: Workers,
}

/// The blocks of one prompt, deepest first: the order in which they are forgotten.
#[derive(Debug)]
struct Batch {
    expiry: SimTime,
    worker: u32,
    keys: Vec<u64>,
    /// How many are forgotten already.
    gone: usize,
}

/// The workers that hold a block, each with the last batch that brought it. Most blocks have one.
#[derive(Debug)]
struct Holders {
    one: (u32, u64),
    more: Vec<(u32, u64)>,
}

impl Holders {
    fn iter(&self) -> impl Iterator<Item = &(u32, u64)> {
        std::iter::once(&self.one).chain(&self.more)
    }

    /// Notes the batch; whether the worker is new.
    fn put(&mut self, worker: u32, batch: u64) -> bool {
        let known = std::iter::once(&mut self.one).chain(&mut self.more).find(|holder| holder.0 == worker);
        if let Some(holder) = known {
            holder.1 = batch;
            return false;
        }
        self.more.push((worker, batch));
        true
    }
}

impl BlockTtl {
    /// An index that, when it outgrows `capacity`, forgets what expires first until `prune_to` of it is left.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share of a count")]
    pub fn new(ttl: SimTime, capacity: usize, prune_to: f64) -> Self {
        Self {
            ttl,
            bucket: SimTime(1),
            capacity,
            pruned: (capacity as f64 * prune_to.clamp(0.0, 1.0)) as usize,
            batches: VecDeque::new(),
            first: 0,
            blocks: FxHashMap::default(),
            pairs: 0,
            alive: Alive::default(),
            held: Workers::default(),
        }
    }

    /// The same, with expiries rounded up to multiples of `bucket`.
    #[must_use]
    pub fn in_buckets(self, bucket: SimTime) -> Self {
        Self { bucket: bucket.max(SimTime(1)), ..self }
    }

    /// These blocks were sent to a worker. All expire at the same time, and the deepest are forgotten first.
    pub fn insert(&mut self, now: SimTime, worker: InstanceId, keys: impl DoubleEndedIterator<Item = u64>) {
        self.expire(now);
        let exact = now.checked_add(self.ttl).unwrap_or(SimTime::MAX);
        let expiry = SimTime(exact.0.checked_next_multiple_of(self.bucket.0).unwrap_or(u64::MAX));
        let batch = self.first + self.batches.len() as u64;
        let keys: Vec<u64> = keys.rev().collect();
        for &key in &keys {
            let mut new = false;
            let holders = self.blocks.entry(key).or_insert_with(|| {
                new = true;
                Holders { one: (worker.0, batch), more: Vec::new() }
            });
            self.pairs += usize::from(new || holders.put(worker.0, batch));
        }
        self.batches.push_back(Batch { expiry, worker: worker.0, keys, gone: 0 });
        if self.pairs > self.capacity {
            while self.pairs > self.pruned {
                self.forget_first();
            }
        }
    }

    /// Consecutive leading blocks that each worker is believed to hold, indexed by worker; `out` is resized. A look
    /// refreshes nothing.
    pub fn matched(&mut self, now: SimTime, keys: impl Iterator<Item = u64>, workers: usize, out: &mut Vec<u32>) {
        self.expire(now);
        out.clear();
        out.resize(workers, 0);
        self.alive.fill(workers);
        let mut depth = 0;
        for key in keys {
            let Some(holders) = self.blocks.get(&key) else { break };
            self.held.clear();
            holders.iter().for_each(|&(worker, _)| self.held.add(worker));
            if !self.alive.keep(|at| self.held.word(at), depth, out) {
                return;
            }
            depth += 1;
        }
        self.alive.settle(depth, out);
    }

    /// How many (block, worker) pairs are remembered.
    pub fn len(&self) -> usize {
        self.pairs
    }

    /// Whether nothing is remembered.
    pub fn is_empty(&self) -> bool {
        self.pairs == 0
    }

    /// Forgets a worker.
    pub fn remove_worker(&mut self, worker: InstanceId) {
        for (batch, number) in self.batches.iter_mut().zip(self.first..) {
            if batch.worker == worker.0 {
                for key in batch.keys.drain(..).skip(batch.gone) {
                    self.pairs -= usize::from(forget(&mut self.blocks, key, worker.0, number));
                }
                batch.gone = 0;
            }
        }
    }

    fn expire(&mut self, now: SimTime) {
        while self.batches.front().is_some_and(|batch| batch.expiry <= now) {
            self.forget_first();
        }
    }

    /// Forgets the block that is next to go, or drops a batch that has none left.
    fn forget_first(&mut self) {
        let batch = self.batches.front_mut().expect("what is remembered is in a batch");
        if let Some(&key) = batch.keys.get(batch.gone) {
            batch.gone += 1;
            self.pairs -= usize::from(forget(&mut self.blocks, key, batch.worker, self.first));
        } else {
            self.batches.pop_front();
            self.first += 1;
        }
    }
}

/// Takes a worker off a block, unless a later batch brought it anew; whether it did.
fn forget(blocks: &mut FxHashMap<u64, Holders>, key: u64, worker: u32, batch: u64) -> bool {
    let Some(holders) = blocks.get_mut(&key) else { return false };
    if holders.one == (worker, batch) {
        if let Some(other) = holders.more.pop() {
            holders.one = other;
        } else {
            blocks.remove(&key);
        }
        return true;
    }
    let at = holders.more.iter().position(|&holder| holder == (worker, batch));
    at.map(|at| holders.more.swap_remove(at)).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parts::mix64;

    /// The same with one list, sorted before each pruning.
    struct Naive {
        ttl: SimTime,
        bucket: u64,
        capacity: usize,
        inserted: u64,
        /// Worker, key, expiry, number of the insertion, depth.
        list: Vec<(u32, u64, SimTime, u64, usize)>,
    }

    impl Naive {
        fn insert(&mut self, now: SimTime, worker: u32, keys: &[u64]) {
            self.inserted += 1;
            self.list.retain(|e| e.2 > now);
            for (depth, &key) in keys.iter().enumerate() {
                self.list.retain(|e| (e.0, e.1) != (worker, key));
                let expiry = SimTime((now + self.ttl).0.div_ceil(self.bucket) * self.bucket);
                self.list.push((worker, key, expiry, self.inserted, depth));
            }
            if self.list.len() > self.capacity {
                self.list.sort_by_key(|e| (e.2, e.3, std::cmp::Reverse(e.4)));
                self.list.drain(..self.list.len() - self.capacity * 8 / 10);
            }
        }

        fn matched(&self, now: SimTime, keys: &[u64], workers: u32) -> Vec<u32> {
            let holds = |w, key| self.list.iter().any(|e| e.0 == w && e.1 == key && e.2 > now);
            let depth = |w| keys.iter().take_while(|&&key| holds(w, key)).count();
            (0..workers).map(|w| u32::try_from(depth(w)).unwrap()).collect()
        }
    }

    #[test]
    fn equals_a_sorted_list() {
        for (ttl, capacity, bucket) in [(50, 1000, 1), (1000, 60, 1), (200, 30, 7), (60, 900, 40)] {
            let ttl = SimTime(ttl);
            let mut index = BlockTtl::new(ttl, capacity, 0.8).in_buckets(SimTime(bucket));
            let mut naive = Naive { ttl, bucket, capacity, inserted: 0, list: Vec::new() };
            let (mut out, mut now) = (Vec::new(), SimTime(0));
            for n in 0..1500_u64 {
                let draw = |k: u64, below: u64| mix64(n * 8 + k) % below;
                now += SimTime(draw(0, 12));
                let family = draw(1, 5);
                let keys: Vec<u64> =
                    (0..draw(2, 7)).map(|d| if d < 3 { family * 100 + d } else { n % 30 * 1000 + d }).collect();
                let worker = u32::try_from(draw(3, 4)).unwrap();
                index.matched(now, keys.iter().copied(), 4, &mut out);
                assert_eq!(out, naive.matched(now, &keys, 4), "{n}");
                index.insert(now, InstanceId(worker), keys.iter().copied());
                naive.insert(now, worker, &keys);
                if n % 113 == 0 {
                    index.remove_worker(InstanceId(worker));
                    naive.list.retain(|e| e.0 != worker);
                }
                assert_eq!(index.len(), naive.list.len(), "{n}");
            }
        }
    }
}
