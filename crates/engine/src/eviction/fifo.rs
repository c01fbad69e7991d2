//! What came first goes first.

use trimtab_core::SimTime;
use trimtab_sched::{NoParams, no_params, typed};

use super::parts::Ranked;
use super::{Eviction, EvictionDef, Order, Use};

pub(super) const DEF: EvictionDef = EvictionDef {
    name: "fifo",
    summary: "what became resident first goes first, however often it was used",
    citation: "folklore; the baseline of S3-FIFO (SOSP 2023)",
    deviations: &["a prefix waits for what continues it, so that the order is that of insertion among leaves only"],
    clairvoyant: false,
    params: no_params,
    build: |params, _| typed::<NoParams>(params).map(|_| Order::leaves(Fifo::default())),
};

/// Keys are times of insertion, from 1.
#[derive(Clone, Debug, Default)]
struct Fifo {
    ranked: Ranked<u64>,
    inserted: u64,
}

impl Eviction for Fifo {
    fn used(&mut self, it: &Use<'_>) {
        for run in it.runs.iter().rev() {
            if self.ranked.key(run.slot) == 0 {
                self.inserted += 1;
                self.ranked.set(run.slot, self.inserted);
            }
        }
    }

    fn offer(&mut self, run: u32, loose: u32) {
        self.ranked.offer(run, loose > 0);
    }

    fn victim(&mut self, _: SimTime) -> (u32, u32) {
        self.ranked.victim()
    }

    fn gone(&mut self, run: u32) {
        self.ranked.set(run, 0);
    }
}
