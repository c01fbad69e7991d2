//! SIEVE: a hand sweeps the insertion order and spares, once, what was used since it last came by.

use trimtab_core::SimTime;
use trimtab_sched::{NoParams, no_params, typed};

use super::parts::{ByRun, Ranked};
use super::{Eviction, EvictionDef, Order, Use};

pub(super) const DEF: EvictionDef = EvictionDef {
    name: "sieve",
    summary: "insertion order, swept by a hand that spares once what was used since",
    citation: "SIEVE (NSDI 2024)",
    deviations: &["the hand passes over what is not a leaf or is pinned, and leaves its mark alone"],
    clairvoyant: false,
    params: no_params,
    build: |params, _| typed::<NoParams>(params).map(|_| Order::leaves(Sieve::default())),
};

/// Keys are times of insertion, from 1.
#[derive(Clone, Debug, Default)]
struct Sieve {
    ranked: Ranked<u64>,
    visited: ByRun<bool>,
    inserted: u64,
    hand: u64,
}

impl Eviction for Sieve {
    fn used(&mut self, it: &Use<'_>) {
        for run in it.runs.iter().rev() {
            if self.ranked.key(run.slot) == 0 {
                self.inserted += 1;
                self.ranked.set(run.slot, self.inserted);
            } else {
                *self.visited.at(run.slot) = true;
            }
        }
    }

    fn offer(&mut self, run: u32, loose: u32) {
        self.ranked.offer(run, loose > 0);
    }

    fn victim(&mut self, _: SimTime) -> (u32, u32) {
        loop {
            let next = self.ranked.from(self.hand).or_else(|| self.ranked.first());
            let (inserted, run) = next.expect("something is on offer");
            self.hand = inserted;
            if !std::mem::take(self.visited.at(run)) {
                return (run, u32::MAX);
            }
            self.hand += 1;
        }
    }

    fn gone(&mut self, run: u32) {
        self.ranked.set(run, 0);
        *self.visited.at(run) = false;
    }
}
