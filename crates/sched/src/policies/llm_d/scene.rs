//! What filters and scorers look at.

use trimtab_core::{InstanceId, PS_PER_S, RequestId, SessionId, SimTime, TenantId};

use super::params::Detector;
use crate::ClusterView;

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
    pub(super) stale: SimTime,
}

/// Requests waiting and the share of KV cache in use from which an endpoint is saturated.
const QUEUE_LIMIT: f64 = 5.0;
const KV_LIMIT: f64 = 0.8;
/// Requests and tokens in flight that an endpoint is taken to carry.
const REQUEST_CAPACITY: f64 = 100.0;
const TOKEN_CAPACITY: f64 = 1_000_000.0;

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
        self.view.counters().in_flight_tokens[i.index()] as f64 * 2.5
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
        f64::from(report.waiting) > QUEUE_LIMIT * (1.0 + headroom)
            || report.kv_use() > (KV_LIMIT * (1.0 + headroom)).min(1.0)
    }

    /// The load of an endpoint and its capacity, in requests or tokens.
    pub(super) fn concurrency(&self, i: InstanceId, tokens: bool) -> (f64, f64) {
        if tokens { (self.token_load(i), TOKEN_CAPACITY) } else { (f64::from(self.in_flight(i)), REQUEST_CAPACITY) }
    }

    /// How full the pool is; 1 is full.
    pub(super) fn saturation(&self, detector: Detector) -> f64 {
        let members = self.view.members();
        let tokens = match detector {
            Detector::Utilization => {
                let sum: f64 = members.iter().map(|&i| self.utilization(i)).sum();
                return sum / members.len() as f64;
            }
            Detector::ConcurrencyRequests => false,
            Detector::ConcurrencyTokens => true,
        };
        let all = members.iter().map(|&i| self.concurrency(i, tokens));
        let (load, capacity) = all.fold((0.0, 0.0), |(l, c), (load, capacity)| (l + load, c + capacity));
        load / capacity
    }

    fn utilization(&self, i: InstanceId) -> f64 {
        let report = self.view.snapshot(i);
        if self.view.now().saturating_since(report.at) > self.stale {
            return 1.0;
        }
        (f64::from(report.waiting) / QUEUE_LIMIT).max(report.kv_use() / KV_LIMIT)
    }
}
