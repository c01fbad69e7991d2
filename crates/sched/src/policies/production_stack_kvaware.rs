//! vLLM production-stack `kvaware`: follow the cache where nearly everything is cached.

use serde::{Deserialize, Serialize};
use trimtab_core::SimTime;

use super::production_stack_session::SessionRing;
use crate::{
    Actions, Arrival, ClusterView, Decision, Hook, ParamError, Scheduler, SchedulerDef, Signals, params_doc, require,
    typed,
};

/// The KV-aware router of production-stack in the registry.
pub(super) const DEF: SchedulerDef = SchedulerDef {
    name: "production-stack-kvaware",
    summary: "the longest cached prefix if fewer than 2,000 tokens are missing, else as `production-stack-session`",
    citation: "vLLM production-stack, src/vllm_router/routers/routing_logic.py at a6c01db (2026-08-05)",
    deviations: &[
        "the LMCache controller is the prefix signal; of several holders of the longest match it names the first it finds, \
         here the lowest id",
    ],
    signals: Signals { prefix: true, ..Signals::NONE },
    hooks: true,
    params: || {
        params_doc::<Params>(&[
            ("threshold_tokens", "follow the cache unless more tokens than this are missing; the product: 2000"),
            ("virtual_nodes", "ring points of an instance; 160 is the default of `uhashring` (ring.py)"),
            ("window_s", "over how long the request rate is taken; the product's --request-stats-window: 60"),
        ])
    },
    build: |params, _| {
        let params: Params = typed(params)?;
        require(params.virtual_nodes >= 1, "virtual_nodes", "at least 1")?;
        let window = SimTime::from_secs_f64(params.window_s)
            .ok_or_else(|| ParamError("parameter `window_s` must be a span of time".into()))?;
        let fallback = SessionRing::with(params.virtual_nodes, window);
        Ok(Box::new(KvAware { threshold: params.threshold_tokens, fallback, hits: Vec::new() }))
    },
};

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Params {
    threshold_tokens: u32,
    virtual_nodes: u32,
    window_s: f64,
}

impl Default for Params {
    fn default() -> Self {
        Self { threshold_tokens: 2000, virtual_nodes: 160, window_s: 60.0 }
    }
}

struct KvAware {
    threshold: u32,
    fallback: SessionRing,
    hits: Vec<u32>,
}

impl Scheduler for KvAware {
    fn route(&mut self, arrival: &Arrival<'_>, view: &ClusterView<'_>, actions: &mut Actions) -> Decision {
        view.all_hit_tokens(arrival.id, &mut self.hits);
        let holder = view.argmin(|i| std::cmp::Reverse(self.hits[i.index()]));
        let matched = self.hits[holder.index()];
        let follow = matched > 0 && matched >= arrival.prompt.tokens.saturating_sub(self.threshold);
        actions.reason(if follow { "cached" } else { "fallback" });
        let chosen = if follow { holder } else { self.fallback.choose(arrival, view) };
        self.fallback.record(view.now(), chosen);
        Decision::Route(chosen)
    }

    fn hook(&mut self, hook: &Hook, _: &ClusterView<'_>, _: &mut Actions) {
        self.fallback.hear(hook);
    }
}
