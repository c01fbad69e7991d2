//! Least often used first.

use trimtab_core::SimTime;
use trimtab_sched::{NoParams, no_params, typed};

use super::parts::Ranked;
use super::{Eviction, EvictionDef, Order, Use};

pub(super) const DEF: EvictionDef = EvictionDef {
    name: "lfu",
    summary: "least often used first, then least recently released",
    citation: "Mooncake (arXiv 2407.00079, table 1)",
    deviations: &["uses are counted while a run is resident, and forgotten with it"],
    clairvoyant: false,
    params: no_params,
    build: |params, _| typed::<NoParams>(params).map(|_| Order::leaves(Lfu::default())),
};

/// Keys are uses and the time of the last one.
#[derive(Clone, Debug, Default)]
struct Lfu {
    ranked: Ranked<(u64, u64)>,
    uses: u64,
}

impl Eviction for Lfu {
    fn used(&mut self, it: &Use<'_>) {
        for run in it.runs.iter().rev() {
            self.uses += 1;
            let (count, _) = self.ranked.key(run.slot);
            self.ranked.set(run.slot, (count + 1, self.uses));
        }
    }

    fn offer(&mut self, run: u32, loose: u32) {
        self.ranked.offer(run, loose > 0);
    }

    fn victim(&mut self, _: SimTime) -> (u32, u32) {
        self.ranked.victim()
    }

    fn gone(&mut self, run: u32) {
        self.ranked.set(run, Default::default());
    }
}
