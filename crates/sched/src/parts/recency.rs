//! Keys in the order of their last use.

use rustc_hash::FxHashMap;
use std::collections::VecDeque;
use std::hash::Hash;

/// A set of keys, ordered by when they were last put in. Putting a key in again moves it to the end; the old place stays
/// behind as a mark that is skipped.
#[derive(Clone, Debug)]
pub(super) struct Recency<K> {
    live: FxHashMap<K, u64>,
    order: VecDeque<(u64, K)>,
    clock: u64,
}

impl<K> Default for Recency<K> {
    fn default() -> Self {
        Self { live: FxHashMap::default(), order: VecDeque::new(), clock: 0 }
    }
}

impl<K: Copy + Eq + Hash> Recency<K> {
    pub(super) fn len(&self) -> usize {
        self.live.len()
    }

    /// Puts a key at the end; whether it is new.
    pub(super) fn put(&mut self, key: K) -> bool {
        self.clock += 1;
        let new = self.live.insert(key, self.clock).is_none();
        self.order.push_back((self.clock, key));
        if self.order.len() > 2 * self.live.len() + 1024 {
            let live = &self.live;
            self.order.retain(|(stamp, key)| live.get(key) == Some(stamp));
        }
        new
    }

    /// Takes out the key that was put in longest ago.
    pub(super) fn pop(&mut self) -> Option<K> {
        loop {
            let (stamp, key) = self.order.pop_front()?;
            if self.live.get(&key) == Some(&stamp) {
                self.live.remove(&key);
                return Some(key);
            }
        }
    }
}
