//! Minimum TTFT: the instance with the least predicted queue wait and prefill time.
//!
//! This is the "Min TTFT" baseline of DualMap (arXiv 2602.06502), and Mooncake's Algorithm 1 without transfers ("local
//! cache-aware" in Mooncake's Figure 5).

use crate::{Actions, Arrival, ClusterView, Decision, NoParams, Scheduler, SchedulerDef, Signals, no_params, typed};

/// Minimum TTFT in the registry.
pub(super) const DEF: SchedulerDef = SchedulerDef {
    name: "min-ttft",
    summary: "the instance with the least predicted queue wait plus prefill time of the uncached tokens",
    citation: "baseline of DualMap, arXiv 2602.06502, section 5; Mooncake, FAST'25, Algorithm 1 without transfers",
    deviations: &[],
    signals: Signals { prefix: true, latency: true, ..Signals::NONE },
    hooks: false,
    params: no_params,
    build: |params, _| {
        typed::<NoParams>(params)?;
        Ok(Box::new(MinTtft { hits: Vec::new() }))
    },
};

struct MinTtft {
    hits: Vec<u32>,
}

impl Scheduler for MinTtft {
    fn route(&mut self, arrival: &Arrival<'_>, view: &ClusterView<'_>, actions: &mut Actions) -> Decision {
        view.all_hit_tokens(arrival.id, &mut self.hits);
        Decision::Route(view.argmin(|i| {
            let ttft = view.queue_ps(i) + view.prefill_prompt_ps(i, arrival.prompt.tokens, self.hits[i.index()]);
            actions.score(i, ttft as f64);
            ttft
        }))
    }
}
