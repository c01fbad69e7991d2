//! Keys in the order of their last use.

use rustc_hash::FxHashMap;
use std::collections::VecDeque;
use std::hash::Hash;

/// A set of keys with values, ordered by when they were last put in. Putting a key in again moves it to the end; the old
/// place stays behind as a mark that is skipped.
#[derive(Clone, Debug)]
pub(super) struct Recency<K, V> {
    live: FxHashMap<K, (u64, V)>,
    order: VecDeque<(u64, K)>,
    clock: u64,
}

impl<K, V> Default for Recency<K, V> {
    fn default() -> Self {
        Self { live: FxHashMap::default(), order: VecDeque::new(), clock: 0 }
    }
}

impl<K: Copy + Eq + Hash, V: Copy> Recency<K, V> {
    pub(super) fn len(&self) -> usize {
        self.live.len()
    }

    /// Puts a key at the end; whether it is new.
    pub(super) fn put(&mut self, key: K, value: V) -> bool {
        self.clock += 1;
        let new = self.live.insert(key, (self.clock, value)).is_none();
        self.order.push_back((self.clock, key));
        if self.order.len() > 2 * self.live.len() + 1024 {
            let live = &self.live;
            self.order.retain(|(stamp, key)| live.get(key).is_some_and(|(at, _)| at == stamp));
        }
        new
    }

    /// The key that was put in longest ago.
    pub(super) fn first(&mut self) -> Option<(K, V)> {
        while let Some(&(stamp, key)) = self.order.front() {
            if let Some(&(at, value)) = self.live.get(&key)
                && at == stamp
            {
                return Some((key, value));
            }
            self.order.pop_front();
        }
        None
    }

    /// Takes that key out.
    pub(super) fn pop(&mut self) -> Option<(K, V)> {
        let first = self.first()?;
        self.live.remove(&first.0);
        self.order.pop_front();
        Some(first)
    }

    /// Takes out all keys that are like this.
    pub(super) fn take_where(&mut self, gone: impl Fn(&K) -> bool) -> Vec<K> {
        let taken =
            self.order.iter().filter(|(stamp, key)| gone(key) && self.live.get(key).is_some_and(|(at, _)| at == stamp));
        let taken: Vec<K> = taken.map(|&(_, key)| key).collect();
        for key in &taken {
            self.live.remove(key);
        }
        taken
    }
}
