//! What filters and scorers look at.

use trimtab_core::{InstanceId, PS_PER_S, RequestId, SessionId, SimTime, TenantId};

use crate::ClusterView;
use crate::parts::{Limits, token_load};

/// A request, with what is needed of it when it has waited.
#[derive(Clone, Debug)]
pub(super) struct Request {
    pub(super) id: RequestId,
    pub(super) arrival: SimTime,
    pub(super) tokens: u32,
    pub(super) session: Option<SessionId>,
    pub(super) tenant: TenantId,
    pub(super) priority: i16,
    /// Its leading blocks.
    pub(super) keys: Vec<u64>,
}

/// One decision.
pub(super) struct Scene<'a> {
    pub(super) view: &'a ClusterView<'a>,
    pub(super) request: &'a Request,
    /// The endpoint that the session was last sent to.
    pub(super) bound: Option<InstanceId>,
    /// Leading blocks believed cached, by instance.
    pub(super) matched: &'a [u32],
    /// Tokens of a block.
    pub(super) block: u32,
    /// Objectives in seconds: first token, and each that follows.
    pub(super) slo: [f64; 2],
    pub(super) limits: &'a Limits,
}

impl Scene<'_> {
    /// The share of the prompt's blocks believed cached.
    pub(super) fn ratio(&self, i: InstanceId) -> f64 {
        match self.request.keys.len() {
            0 => 0.0,
            all => f64::from(self.matched[i.index()]) / all as f64,
        }
    }

    pub(super) fn in_flight(&self, i: InstanceId) -> u32 {
        self.view.counters().in_flight[i.index()]
    }

    /// Tokens in flight: prompts, and one and a half times as many that are expected to be generated.
    pub(super) fn token_load(&self, i: InstanceId) -> f64 {
        token_load(self.view, i)
    }

    /// The predicted time to the first token in seconds.
    pub(super) fn ttft_s(&self, i: InstanceId) -> f64 {
        let hit = self.matched[i.index()].saturating_mul(self.block);
        let ps = self.view.queue_ps(i) + self.view.prefill_prompt_ps(i, self.request.tokens, hit);
        ps as f64 / PS_PER_S as f64
    }

    /// What is left of the objectives for the first token and for each that follows, in seconds.
    pub(super) fn headroom(&self, i: InstanceId) -> [f64; 2] {
        let tpot = self.view.decode_step_ps(i, self.request.tokens) as f64 / PS_PER_S as f64;
        [self.slo[0] - self.ttft_s(i), self.slo[1] - tpot]
    }

    /// Whether an endpoint's queue or KV use is above the limits, stretched by `headroom`.
    pub(super) fn overused(&self, i: InstanceId, headroom: f64) -> bool {
        let report = self.view.snapshot(i);
        f64::from(report.waiting) > self.limits.waiting * (1.0 + headroom)
            || report.kv_use() > (self.limits.kv * (1.0 + headroom)).min(1.0)
    }

    /// The load of an endpoint and its capacity, in requests or tokens.
    pub(super) fn concurrency(&self, i: InstanceId, tokens: bool) -> (f64, f64) {
        let Limits { requests, tokens: most, .. } = *self.limits;
        if tokens { (self.token_load(i), most) } else { (f64::from(self.in_flight(i)), requests) }
    }
}
