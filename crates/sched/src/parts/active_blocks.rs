//! The blocks of the requests that a router has in flight.

use rustc_hash::FxHashMap;
use trimtab_core::InstanceId;

use super::holders::Holders;

/// For each worker, the distinct blocks of its live requests, counted by request. A block belongs to the requests that
/// pass through it, so what is active of a prompt is always a prefix of it.
#[derive(Debug, Default)]
pub struct ActiveBlocks {
    requests: FxHashMap<(u64, u32), u32>,
    distinct: Vec<u64>,
    holders: Holders,
}

impl ActiveBlocks {
    /// Makes room for workers up to this one.
    pub fn cover(&mut self, highest: InstanceId) {
        if self.distinct.len() <= highest.index() {
            self.distinct.resize(highest.index() + 1, 0);
        }
    }

    /// A request with these blocks begins on a worker.
    pub fn acquire(&mut self, worker: InstanceId, keys: &[u64]) {
        self.cover(worker);
        for &key in keys {
            let requests = self.requests.entry((key, worker.0)).or_insert(0);
            *requests += 1;
            if *requests == 1 {
                self.holders.add(key, worker.0);
                self.distinct[worker.index()] += 1;
            }
        }
    }

    /// It ends.
    pub fn release(&mut self, worker: InstanceId, keys: &[u64]) {
        for &key in keys {
            let requests = self.requests.get_mut(&(key, worker.0)).expect("what is released was acquired");
            *requests -= 1;
            if *requests == 0 {
                self.requests.remove(&(key, worker.0));
                self.holders.remove(key, worker.0);
                self.distinct[worker.index()] -= 1;
            }
        }
    }

    /// How many distinct blocks are active on each worker there is room for.
    pub fn distinct(&self) -> &[u64] {
        &self.distinct
    }

    /// How many of these leading blocks are active on each worker, indexed by worker; `out` is resized.
    pub fn matched(&mut self, keys: &[u64], workers: usize, out: &mut Vec<u32>) {
        self.holders.matched(keys.iter().copied(), workers, out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parts::mix64;

    #[test]
    fn equals_a_list_of_requests() {
        let mut active = ActiveBlocks::default();
        active.cover(InstanceId(2));
        let mut live: Vec<(usize, Vec<u64>)> = Vec::new();
        let mut out = Vec::new();
        for n in 0..2000_u64 {
            let draw = |k: u64, below: u64| mix64(n * 8 + k) % below;
            if live.len() > 20 {
                let at = usize::try_from(draw(0, live.len() as u64)).unwrap();
                let (worker, keys) = live.swap_remove(at);
                active.release(InstanceId::from_index(worker), &keys);
            }
            let family = draw(1, 4);
            // A chain: each key stands for all before it.
            let keys: Vec<u64> = (0..draw(2, 9)).map(|d| if d < 4 { family * 10 + d } else { n * 100 + d }).collect();
            active.matched(&keys, 3, &mut out);
            for (w, &matched) in out.iter().enumerate() {
                let has = |key| live.iter().any(|(at, keys)| *at == w && keys.contains(key));
                assert_eq!(matched as usize, keys.iter().take_while(|&key| has(key)).count());
                let mut distinct: Vec<u64> = live.iter().filter(|l| l.0 == w).flat_map(|l| l.1.clone()).collect();
                distinct.sort_unstable();
                distinct.dedup();
                assert_eq!(active.distinct()[w], distinct.len() as u64);
            }
            let worker = usize::try_from(draw(3, 3)).unwrap();
            active.acquire(InstanceId::from_index(worker), &keys);
            live.push((worker, keys));
        }
    }
}
