//! Requests that wait at the router.

use serde::{Deserialize, Serialize};
use std::cmp::Ordering;
use std::collections::BinaryHeap;
use trimtab_core::SimTime;

/// Which parked request is tried first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Order {
    /// The one that arrived first.
    Fcfs,
    /// The one that arrived last.
    Lcfs,
    /// Weighted shortest processing time: the one with the fewest tokens to compute, where it is cached best.
    Wspt,
}

impl Order {
    /// The key by which the largest goes first. `jump_s`, not negative, is a head start in seconds; `missing` are the
    /// tokens to compute.
    pub fn key(self, arrival: SimTime, jump_s: f64, missing: u32) -> f64 {
        match self {
            Self::Fcfs => jump_s - arrival.as_secs_f64(),
            Self::Lcfs => jump_s + arrival.as_secs_f64(),
            Self::Wspt => (1.0 + jump_s) / f64::from(missing.max(1)),
        }
    }
}

/// A queue of parked requests: strict priority first, then the key, then the order of parking.
#[derive(Debug)]
pub struct Waiting<T> {
    heap: BinaryHeap<Entry<T>>,
    parked: u64,
}

#[derive(Debug)]
struct Entry<T> {
    priority: i64,
    key: f64,
    sequence: u64,
    item: T,
}

impl<T> Default for Waiting<T> {
    fn default() -> Self {
        Self { heap: BinaryHeap::new(), parked: 0 }
    }
}

impl<T> Waiting<T> {
    /// How many wait.
    pub fn len(&self) -> usize {
        self.heap.len()
    }

    /// Whether nobody waits.
    pub fn is_empty(&self) -> bool {
        self.heap.is_empty()
    }

    /// Parks a request. Higher priorities go first, then larger keys.
    pub fn park(&mut self, priority: i64, key: f64, item: T) {
        self.parked += 1;
        self.heap.push(Entry { priority, key, sequence: self.parked, item });
    }

    /// The one whose turn it is.
    pub fn first(&self) -> Option<&T> {
        self.heap.peek().map(|entry| &entry.item)
    }

    /// Takes out the first found that is meant, whoever's turn it is.
    pub fn remove(&mut self, meant: impl Fn(&T) -> bool) -> Option<T> {
        let mut entries = std::mem::take(&mut self.heap).into_vec();
        let found = entries.iter().position(|entry| meant(&entry.item)).map(|at| entries.swap_remove(at).item);
        self.heap = entries.into();
        found
    }

    /// Takes out the one whose turn it is.
    pub fn pop(&mut self) -> Option<T> {
        self.heap.pop().map(|entry| entry.item)
    }
}

impl<T> Ord for Entry<T> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.priority.cmp(&other.priority).then(self.key.total_cmp(&other.key)).then(other.sequence.cmp(&self.sequence))
    }
}

impl<T> PartialOrd for Entry<T> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<T> PartialEq for Entry<T> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl<T> Eq for Entry<T> {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parts::mix64;

    #[test]
    fn orders() {
        // Arrival in seconds, jump, missing tokens, priority.
        let requests =
            [(1.0, 0.0, 500, 0), (2.0, 0.0, 100, 0), (3.0, 1.5, 500, 0), (4.0, 0.0, 0, 0), (5.0, 0.0, 9000, 1)];
        for (order, expected) in
            [(Order::Fcfs, [4, 0, 2, 1, 3]), (Order::Lcfs, [4, 2, 3, 1, 0]), (Order::Wspt, [4, 3, 1, 2, 0])]
        {
            let mut waiting = Waiting::default();
            for (n, (arrival, jump, missing, priority)) in requests.into_iter().enumerate() {
                waiting.park(priority, order.key(SimTime::from_secs_f64(arrival).unwrap(), jump, missing), n);
            }
            assert_eq!(waiting.len(), 5);
            assert_eq!(std::array::from_fn(|_| waiting.pop().unwrap()), expected, "{order:?}");
            assert!(waiting.is_empty());
        }
    }

    #[test]
    fn equals_a_stable_sort() {
        let mut list: Vec<(i64, u64, usize)> = Vec::new();
        let mut waiting = Waiting::default();
        for n in 0..400_usize {
            let draw = mix64(n as u64);
            let (priority, key) = (i64::from(draw.is_multiple_of(3)), draw / 8 % 20);
            list.push((priority, key, n));
            waiting.park(priority, key as f64, n);
        }
        list.sort_by_key(|&(priority, key, _)| std::cmp::Reverse((priority, key)));
        assert_eq!(waiting.first(), Some(&list[0].2));
        let popped: Vec<usize> = std::iter::from_fn(|| waiting.pop()).collect();
        assert_eq!(popped, list.iter().map(|&(_, _, n)| n).collect::<Vec<_>>());
    }
}
