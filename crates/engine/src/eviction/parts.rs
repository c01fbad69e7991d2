//! What several policies are made of.

use std::collections::BTreeSet;
use std::fmt::Debug;

/// Values by run number, made when first asked for.
#[derive(Clone, Debug, Default)]
pub(super) struct ByRun<T> {
    list: Vec<T>,
}

impl<T: Clone + Default> ByRun<T> {
    pub(super) fn at(&mut self, run: u32) -> &mut T {
        let index = run as usize;
        if index >= self.list.len() {
            self.list.resize(index + 1, T::default());
        }
        &mut self.list[index]
    }
}

/// Runs by a key; of those on offer the smallest key goes first. Every change costs the logarithm of how many there are.
#[derive(Clone, Debug, Default)]
pub(super) struct Ranked<K> {
    keys: ByRun<(K, bool)>,
    offered: BTreeSet<(K, u32)>,
}

impl<K: Copy + Default + Ord + Debug> Ranked<K> {
    pub(super) fn set(&mut self, run: u32, key: K) {
        let (old, offered) = std::mem::replace(self.keys.at(run), (key, false));
        if offered {
            self.offered.remove(&(old, run));
            self.offer(run, true);
        }
    }

    pub(super) fn offer(&mut self, run: u32, on: bool) {
        let (key, offered) = self.keys.at(run);
        if std::mem::replace(offered, on) != on {
            if on {
                self.offered.insert((*key, run));
            } else {
                self.offered.remove(&(*key, run));
            }
        }
    }

    pub(super) fn key(&mut self, run: u32) -> K {
        self.keys.at(run).0
    }

    pub(super) fn first(&self) -> Option<(K, u32)> {
        self.offered.first().copied()
    }

    /// The first one at or after a key.
    pub(super) fn from(&self, key: K) -> Option<(K, u32)> {
        self.offered.range((key, 0)..).next().copied()
    }

    /// The run that goes first, all of it.
    pub(super) fn victim(&self) -> (u32, u32) {
        let (_, run) = self.first().expect("something is on offer");
        (run, u32::MAX)
    }
}

/// Runs in no order, to draw from.
#[derive(Clone, Debug, Default)]
pub(super) struct Pool {
    list: Vec<u32>,
    /// Where each run is in the list, and 1; 0 if it is not.
    places: ByRun<usize>,
}

impl Pool {
    pub(super) fn insert(&mut self, run: u32) {
        let place = self.places.at(run);
        if *place == 0 {
            self.list.push(run);
            *place = self.list.len();
        }
    }

    pub(super) fn remove(&mut self, run: u32) {
        let place = std::mem::take(self.places.at(run));
        if place > 0 {
            self.list.swap_remove(place - 1);
            if let Some(&moved) = self.list.get(place - 1) {
                *self.places.at(moved) = place;
            }
        }
    }

    pub(super) fn list(&self) -> &[u32] {
        &self.list
    }
}
