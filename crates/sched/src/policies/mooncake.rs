//! Mooncake's Conductor: KV-cache-centric scheduling (FAST'25, Algorithm 1).
//!
//! For every instance it predicts the TTFT with the cache that the instance has, or, where another instance has much more
//! of it, with that cache fetched over the network first. The best prediction wins; one that breaks the TTFT objective is
//! rejected. A fetched prefix stays, and that is how hot prefixes spread: nothing replicates them on purpose.

use serde::{Deserialize, Serialize};
use trimtab_core::{InstanceId, SimTime};

use crate::{
    Actions, Arrival, ClusterView, Decision, ParamError, Scheduler, SchedulerDef, Signals, params_doc, require, typed,
};

/// Mooncake in the registry.
pub(super) const DEF: SchedulerDef = SchedulerDef {
    name: "mooncake",
    summary: "the least predicted TTFT, with the choice to fetch a longer cached prefix from another instance",
    citation: "Mooncake, FAST'25, Algorithm 1 (arXiv 2407.00079)",
    deviations: &[
        "prefill time comes from the simulator's own cost model instead of a fitted polynomial",
        "no decode side: there are no prefill/decode pools, so TBT neither chooses nor rejects",
        "the balancing threshold is hand-tuned and unpublished; 2 is a choice",
    ],
    signals: Signals { prefix: true, latency: true, ..Signals::NONE },
    hooks: false,
    params: || {
        params_doc::<Params>(&[
            (
                "theta",
                "fetch when the best match anywhere is more than this many times the own match; null: never fetch, which \
                 makes it `min-ttft`; unpublished, 2 is a choice",
            ),
            (
                "transfer",
                "`serial`: transfer and prefill times add up (Algorithm 1); `overlapped`: the longer of the two counts \
                 (layer-wise transfer). Should match the engine's transfer model",
            ),
            ("guard", "fetch only when the transfer is predicted to take less time than it saves; not in Algorithm 1"),
            ("reject", "whether a predicted TTFT above the objective is rejected; Algorithm 1: yes"),
            ("ttft_slo_s", "the objective in seconds; null: that of the spec, or else 30 (the paper's)"),
        ])
    },
    build: |params, context| {
        let params: Params = typed(params)?;
        require(params.theta.is_none_or(|theta| theta >= 1.0), "theta", "at least 1, or null")?;
        let slo = match (params.ttft_slo_s, context.slo_ttft) {
            (None, Some(slo)) => slo,
            (seconds, _) => SimTime::from_secs_f64(seconds.unwrap_or(30.0))
                .ok_or_else(|| ParamError("parameter `ttft_slo_s` must be a span of time".into()))?,
        };
        Ok(Box::new(Mooncake { params, slo, hits: Vec::new() }))
    },
};

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Params {
    theta: Option<f64>,
    transfer: Transfer,
    guard: bool,
    reject: bool,
    ttft_slo_s: Option<f64>,
}

impl Default for Params {
    fn default() -> Self {
        Self { theta: Some(2.0), transfer: Transfer::Serial, guard: false, reject: true, ttft_slo_s: None }
    }
}

#[derive(Serialize, Deserialize, Clone, Copy)]
#[serde(rename_all = "kebab-case")]
enum Transfer {
    Serial,
    Overlapped,
}

struct Mooncake {
    params: Params,
    slo: SimTime,
    hits: Vec<u32>,
}

/// What one instance would do with the request.
#[derive(Clone, Copy)]
struct Plan {
    ttft_ps: u64,
    fetch: bool,
}

impl Mooncake {
    fn plan(&self, arrival: &Arrival<'_>, view: &ClusterView<'_>, i: InstanceId, holder: InstanceId) -> Plan {
        let (own, best) = (self.hits[i.index()], self.hits[holder.index()]);
        let tokens = arrival.prompt.tokens;
        let queue = view.queue_ps(i);
        let local = view.prefill_prompt_ps(i, tokens, own);
        let wanted = best > own && self.params.theta.is_some_and(|theta| f64::from(best) > theta * f64::from(own));
        let transfer = if wanted { view.transfer_ps(holder, i, best - own) } else { None };
        let Some(transfer) = transfer else {
            return Plan { ttft_ps: queue + local, fetch: false };
        };
        let prefill = view.prefill_prompt_ps(i, tokens, best);
        if self.params.guard && transfer >= local.saturating_sub(prefill) {
            return Plan { ttft_ps: queue + local, fetch: false };
        }
        let work = match self.params.transfer {
            Transfer::Serial => transfer + prefill,
            Transfer::Overlapped => transfer.max(prefill),
        };
        Plan { ttft_ps: queue + work, fetch: true }
    }
}

impl Scheduler for Mooncake {
    fn route(&mut self, arrival: &Arrival<'_>, view: &ClusterView<'_>, actions: &mut Actions) -> Decision {
        view.all_hit_tokens(arrival.id, &mut self.hits);
        let holder = view.argmin(|i| std::cmp::Reverse(self.hits[i.index()]));
        let mut best: Option<(InstanceId, Plan)> = None;
        for &i in view.members() {
            let plan = self.plan(arrival, view, i, holder);
            actions.score(i, plan.ttft_ps as f64);
            if best.is_none_or(|(_, b)| plan.ttft_ps < b.ttft_ps) {
                best = Some((i, plan));
            }
        }
        let (chosen, plan) = best.expect("a scheduler is asked only while there is a member");
        let waited = view.now().saturating_since(arrival.arrival);
        if self.params.reject && waited.0.saturating_add(plan.ttft_ps) > self.slo.0 {
            actions.reason("predicted TTFT above the objective");
            return Decision::Reject;
        }
        if plan.fetch {
            actions.reason("fetch");
            actions.fetch(arrival.id, holder, self.hits[holder.index()]);
        }
        Decision::Route(chosen)
    }
}
