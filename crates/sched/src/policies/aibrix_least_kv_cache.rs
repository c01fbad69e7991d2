//! AIBrix `least-kv-cache`: the smallest share of KV cache in use.

use crate::parts::Ties;
use crate::{Actions, Arrival, ClusterView, Decision, Scheduler, SchedulerDef, Signals, no_params, typed};

/// AIBrix `least-kv-cache` in the registry.
pub(super) const DEF: SchedulerDef = SchedulerDef {
    name: "aibrix-least-kv-cache",
    summary: "the smallest share of KV cache in use as scraped, ties at random",
    citation: "AIBrix, pkg/plugins/gateway/algorithms/least_kv_cache.go at e3e10f9 (2026-08-22)",
    deviations: &["the share of CPU cache, which the product adds, counts as 0: `least-gpu-cache` is the same policy"],
    signals: Signals { snapshots: true, ..Signals::NONE },
    hooks: false,
    params: no_params,
    build: |params, context| {
        typed::<crate::NoParams>(params)?;
        Ok(Box::new(LeastKvCache { ties: Ties::new(&context.streams) }))
    },
};

struct LeastKvCache {
    ties: Ties,
}

impl Scheduler for LeastKvCache {
    fn route(&mut self, _: &Arrival<'_>, view: &ClusterView<'_>, actions: &mut Actions) -> Decision {
        let least = self.ties.least(view.members().iter().copied(), |i| {
            let held = view.snapshot(i).kv_use();
            actions.score(i, held);
            held
        });
        Decision::Route(least.expect("a scheduler is asked only while there is a member"))
    }
}
