//! The blocks of the requests that a router has in flight.

use std::collections::hash_map::Entry;

use rustc_hash::FxHashMap;
use trimtab_core::InstanceId;

use super::holders::{Alive, Workers, split};

/// For each worker, the distinct blocks of its live requests, counted by request. A block belongs to the requests that
/// pass through it, so what is active of a prompt is always a prefix of it.
#[derive(Debug, Default)]
pub struct ActiveBlocks {
    users: FxHashMap<u64, Users>,
    distinct: Vec<u64>,
    alive: Alive,
}

/// How many live requests of each worker hold a block. Mostly it is one.
#[derive(Debug)]
enum Users {
    One { worker: u32, requests: u32 },
    Many(Box<(Workers, Vec<u32>)>),
}

impl Users {
    /// Whether this is the first of its worker.
    fn add(&mut self, worker: u32) -> bool {
        match self {
            Self::One { worker: only, requests } if *only == worker => {
                *requests += 1;
                *requests == 1
            }
            Self::One { worker: only, requests } => {
                let mut many = (Workers::default(), vec![0; worker.max(*only) as usize + 1]);
                many.0.add(*only);
                many.1[*only as usize] = *requests;
                many.0.add(worker);
                many.1[worker as usize] = 1;
                *self = Self::Many(Box::new(many));
                true
            }
            Self::Many(many) => {
                let (workers, requests) = &mut **many;
                if requests.len() <= worker as usize {
                    requests.resize(worker as usize + 1, 0);
                }
                requests[worker as usize] += 1;
                let first = requests[worker as usize] == 1;
                if first {
                    workers.add(worker);
                }
                first
            }
        }
    }

    /// Whether this was the last of its worker.
    fn remove(&mut self, worker: u32) -> bool {
        match self {
            Self::One { requests, .. } => {
                *requests -= 1;
                *requests == 0
            }
            Self::Many(many) => {
                let (workers, requests) = &mut **many;
                requests[worker as usize] -= 1;
                let last = requests[worker as usize] == 0;
                if last {
                    workers.remove(worker);
                }
                last
            }
        }
    }

    fn is_empty(&self) -> bool {
        match self {
            Self::One { requests, .. } => *requests == 0,
            Self::Many(many) => many.0.is_empty(),
        }
    }

    /// Their workers, of one word.
    fn word(&self, at: usize) -> u64 {
        match self {
            Self::One { worker, .. } => {
                let (word, bit) = split(*worker);
                if word == at { bit } else { 0 }
            }
            Self::Many(many) => many.0.word(at),
        }
    }
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
            let users = self.users.entry(key).or_insert(Users::One { worker: worker.0, requests: 0 });
            self.distinct[worker.index()] += u64::from(users.add(worker.0));
        }
    }

    /// It ends.
    pub fn release(&mut self, worker: InstanceId, keys: &[u64]) {
        for &key in keys {
            let Entry::Occupied(mut users) = self.users.entry(key) else {
                unreachable!("what is released was acquired")
            };
            self.distinct[worker.index()] -= u64::from(users.get_mut().remove(worker.0));
            if users.get().is_empty() {
                users.remove();
            }
        }
    }

    /// How many distinct blocks are active on each worker there is room for.
    pub fn distinct(&self) -> &[u64] {
        &self.distinct
    }

    /// How many of these leading blocks are active on each worker, indexed by worker; `out` is resized.
    pub fn matched(&mut self, keys: &[u64], workers: usize, out: &mut Vec<u32>) {
        let held = keys.iter().map_while(|key| self.users.get(key)).map(|users| |at| users.word(at));
        self.alive.matched(held, workers, out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parts::mix64;

    #[test]
    fn equals_a_list_of_requests() {
        // Few workers share blocks often; many are more than one word of them.
        compare(3);
        compare(130);
    }

    fn compare(workers: u32) {
        let mut active = ActiveBlocks::default();
        active.cover(InstanceId(workers - 1));
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
            active.matched(&keys, workers as usize, &mut out);
            for (w, &matched) in out.iter().enumerate() {
                let has = |key| live.iter().any(|(at, keys)| *at == w && keys.contains(key));
                assert_eq!(matched as usize, keys.iter().take_while(|&key| has(key)).count());
                let mut distinct: Vec<u64> = live.iter().filter(|l| l.0 == w).flat_map(|l| l.1.clone()).collect();
                distinct.sort_unstable();
                distinct.dedup();
                assert_eq!(active.distinct()[w], distinct.len() as u64);
            }
            let worker = usize::try_from(draw(3, workers.into())).unwrap();
            active.acquire(InstanceId::from_index(worker), &keys);
            live.push((worker, keys));
        }
    }
}
