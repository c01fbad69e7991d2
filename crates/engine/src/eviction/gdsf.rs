//! Greedy dual by size and frequency: what is cheap to compute again and seldom used goes first.

use trimtab_core::SimTime;
use trimtab_sched::{NoParams, no_params, typed};

use super::parts::Ranked;
use super::{CacheContext, Eviction, EvictionDef, Order, Use};

pub(super) const DEF: EvictionDef = EvictionDef {
    name: "gdsf",
    summary: "lowest uses times recompute time of a block, on top of what the last victim was worth",
    citation: "greedy dual size frequency (Cherkasova, HP Labs 1998), cost from the step cost",
    deviations: &["every block takes the same room, so that the cost per byte is the time to compute a block at its place"],
    clairvoyant: false,
    params: no_params,
    build: |params, context| {
        let NoParams {} = typed(params)?;
        Ok(Order::leaves(Gdsf { context: context.clone(), ranked: Ranked::default(), uses: 0, floor: 0 }))
    },
};

/// Keys are worth, time of the last use, and uses.
#[derive(Clone)]
struct Gdsf {
    context: CacheContext,
    ranked: Ranked<(u64, u64, u64)>,
    uses: u64,
    /// The worth of the last victim.
    floor: u64,
}

impl std::fmt::Debug for Gdsf {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Gdsf").field("ranked", &self.ranked).finish_non_exhaustive()
    }
}

impl Eviction for Gdsf {
    fn used(&mut self, it: &Use<'_>) {
        for run in it.runs.iter().rev() {
            self.uses += 1;
            let (.., before) = self.ranked.key(run.slot);
            let worth = self.context.recompute_ps(run.first).saturating_mul(before + 1).saturating_add(self.floor);
            self.ranked.set(run.slot, (worth, self.uses, before + 1));
        }
    }

    fn offer(&mut self, run: u32, loose: u32) {
        self.ranked.offer(run, loose > 0);
    }

    fn victim(&mut self, _: SimTime) -> (u32, u32) {
        let ((worth, ..), run) = self.ranked.first().expect("something is on offer");
        self.floor = self.floor.max(worth);
        (run, u32::MAX)
    }

    fn gone(&mut self, run: u32) {
        self.ranked.set(run, Default::default());
    }
}
