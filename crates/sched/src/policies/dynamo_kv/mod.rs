//! NVIDIA Dynamo's KV router: the least blocks of prefill and decode load, cached blocks taken off.
//!
//! The cost of a worker is in blocks: what it still has to prefill with this request, less a credit for what it has
//! cached, and the distinct blocks of its live requests with this one. When every worker is busy requests wait at the
//! router, and the whole selection runs again for each as room comes.

mod ledger;
mod params;

use serde_json::Value;
use trimtab_core::{InstanceId, RequestId, SimTime};

use self::ledger::{Ledger, Load};
use self::params::{Index, Params, doc, span};
use crate::parts::{BlockTtl, Ties, Waiting, hash64};
use crate::{
    Actions, Arrival, BuildContext, ClusterView, Decision, Hook, ParamError, Scheduler, SchedulerDef, Signals,
};

/// Dynamo's KV router in the registry.
pub(super) const DEF: SchedulerDef = SchedulerDef {
    name: "dynamo-kv",
    summary: "the least blocks of uncached prefill and of decode load, by the router's own ledger; parks when all are busy",
    citation: "NVIDIA Dynamo, crate dynamo-kv-router 1.6.1 (commit 0d9c24a, as on crates.io in 2026-11): \
               scheduling/selector/reference.rs, scheduling/queue.rs, sequences/, indexer/pruning.rs; choices checked \
               against that crate",
    deviations: &[
        "host, disk and shared caches (weights 0.75, 0.25 and 0.5) are not visible to schedulers: their credits are 0",
        "one pool without taints, pinned workers or request classes; the prefill and decode rules of disaggregation are apart",
        "blocks of generated tokens are not tracked (router_track_output_blocks, off by default)",
        "a prompt that is cached whole counts one block less, since engines compute one token at least",
        "strict priority is the request's own; no request has a priority jump",
        "`earlier` and `classic` differ by defaults alone: requests are charged their uncached tokens, as in 1.6.1",
    ],
    signals: Signals { prefix: true, ..Signals::NONE },
    hooks: true,
    params: doc,
    build,
};

fn build(params: &Value, context: &BuildContext) -> Result<Box<dyn Scheduler>, ParamError> {
    let params = Params::read(params)?;
    let capacity = params.max_blocks.unwrap_or(usize::MAX);
    let bucket = SimTime::from_ms(params.ttl_bucket_ms)
        .ok_or_else(|| ParamError("parameter `ttl_bucket_ms` must be a span of time".into()))?;
    let index = |ttl: SimTime| BlockTtl::new(ttl, capacity, params.prune_to).in_buckets(bucket);
    let sent = match (params.index, params.predicted_ttl_s) {
        (Index::Approximate, _) => Some(index(span(params.ttl_s, "ttl_s")?)),
        (Index::Events, Some(seconds)) => Some(index(span(seconds, "predicted_ttl_s")?)),
        (Index::Events, None) => None,
    };
    let block_tokens = params.block_tokens.or(context.instances.first().map(|info| info.block_tokens)).unwrap_or(16);
    Ok(Box::new(DynamoKv {
        block_tokens,
        budgets: context.instances.iter().map(|info| info.max_batched_tokens).collect(),
        params,
        sent,
        ledger: Ledger::default(),
        waiting: Waiting::default(),
        waiting_tokens: 0,
        ties: Ties::new(&context.streams),
        overlaps: Vec::new(),
        scratch: Vec::new(),
        costs: Vec::new(),
    }))
}

struct DynamoKv {
    params: Params,
    block_tokens: u32,
    /// The token budget of a step, by instance.
    budgets: Vec<u32>,
    /// What was sent where, when the policy keeps that.
    sent: Option<BlockTtl>,
    ledger: Ledger,
    waiting: Waiting<Parked>,
    waiting_tokens: u64,
    ties: Ties,
    /// Cached blocks of the request at hand, by instance.
    overlaps: Vec<u32>,
    scratch: Vec<u32>,
    costs: Vec<f64>,
}

/// A request with what a selection needs of it.
struct Parked {
    id: RequestId,
    tokens: u32,
    /// Of its whole blocks.
    keys: Vec<u64>,
}

/// A token budget that was not announced: never busy.
const UNKNOWN_BUDGET: u32 = 10_000_000;

impl DynamoKv {
    fn request(&self, arrival: &Arrival<'_>) -> Parked {
        let (tokens, salt) = (arrival.prompt.tokens, u64::from(arrival.id.0));
        let whole = (tokens / self.block_tokens) as usize;
        let mut keys: Vec<u64> = Vec::with_capacity(whole);
        keys.extend(arrival.prefix_keys(self.block_tokens).take(whole));
        if !self.params.assume_kv_reuse {
            for key in &mut keys {
                *key = hash64(salt, *key);
            }
        }
        Parked { id: arrival.id, tokens, keys }
    }

    /// Looks the request up in the index.
    fn look_up(&mut self, request: &Parked, view: &ClusterView<'_>) {
        let highest = *view.members().last().expect("a scheduler is asked only while there is a member");
        self.ledger.cover(highest);
        if self.params.index == Index::Events {
            view.all_hit_tokens(request.id, &mut self.overlaps);
            for hit in self.overlaps.iter_mut().filter(|hit| **hit > 0) {
                *hit /= self.block_tokens;
            }
        }
        let Some(sent) = &mut self.sent else { return };
        let (keys, workers) = (request.keys.iter().copied(), highest.index() + 1);
        if self.params.index == Index::Approximate {
            sent.matched(view.now(), keys, workers, &mut self.overlaps);
        } else {
            sent.matched(view.now(), keys, workers, &mut self.scratch);
            for (overlap, &predicted) in self.overlaps.iter_mut().zip(&self.scratch) {
                *overlap = predicted.max(*overlap);
            }
        }
    }

    fn uncached(&self, request: &Parked, worker: InstanceId) -> u32 {
        let cached = u64::from(self.overlaps[worker.index()]) * u64::from(self.block_tokens);
        request.tokens.saturating_sub(u32::try_from(cached).unwrap_or(u32::MAX))
    }

    /// The cost of each member, after [`Self::look_up`].
    fn cost(&mut self, request: &Parked, view: &ClusterView<'_>) {
        let (ledger, params, block) = (&mut self.ledger, &self.params, f64::from(self.block_tokens));
        if params.track_active_blocks {
            ledger.shared_blocks(&request.keys, &mut self.scratch);
        } else {
            self.scratch.clear();
            self.scratch.resize(self.overlaps.len(), 0);
        }
        let decays = params.track_prefill_tokens && params.overlap_score_credit_decay > 0.0;
        // Of all workers, members or not, which lie side by side, and without a test of its own for each: with hundreds of
        // them this is most of a run. Tokens and blocks are below 2^53, so sums of them as floats are exact.
        let tokens = f64::from(request.tokens);
        let keys = request.keys.len() as f64;
        let [prefills, decodes] = [params.track_prefill_tokens, params.track_active_blocks].map(f64::from);
        let [credit, scale] = [params.overlap_score_credit, params.prefill_load_scale];
        let [decay_by, weight] = [params.overlap_score_credit_decay, params.active_request_weight];
        let cost = move |load: Load, overlap: u32, shared: u32, decay: f64| {
            let uncovered = prefills * (load.prefill_tokens as f64 + tokens) / block - credit * decay * f64::from(overlap);
            let prefill = if uncovered > 0.0 { uncovered } else { 0.0 };
            let decode = decodes * (load.distinct_blocks as f64 + keys - f64::from(shared));
            scale * prefill + decode + weight * f64::from(load.requests)
        };
        let workers = ledger.loads().zip(&self.overlaps).zip(&self.scratch);
        self.costs.clear();
        if decays {
            let floor = view.members().iter().map(|&i| ledger.prefill_tokens(i)).min().unwrap_or(0);
            let request_blocks = f64::from(request.tokens.div_ceil(self.block_tokens).max(1));
            self.costs.extend(workers.map(move |((load, &overlap), &shared)| {
                let excess = load.prefill_tokens.saturating_sub(floor) as f64 / block / request_blocks;
                cost(load, overlap, shared, 1.0 / (1.0 + decay_by * excess))
            }));
        } else {
            self.costs.extend(workers.map(move |((load, &overlap), &shared)| cost(load, overlap, shared, 1.0)));
        }
        if view.members().len() < self.costs.len() {
            for (at, worker) in view.members().iter().enumerate() {
                self.costs[at] = self.costs[worker.index()];
            }
            self.costs.truncate(view.members().len());
        }
    }

    fn pick(&mut self, view: &ClusterView<'_>, actions: &mut Actions) -> InstanceId {
        let members = view.members();
        for (&i, &cost) in members.iter().zip(&self.costs) {
            actions.score(i, cost);
        }
        if self.params.temperature == 0.0 {
            let least = self.ties.least_cost(members, &self.costs);
            return least.expect("a scheduler is asked only while there is a member");
        }
        soften(&mut self.costs, self.params.temperature);
        members[self.ties.weighted(&self.costs).expect("a cost for each member")]
    }

    /// Selects a worker for a request and books it there. The index was looked up.
    fn admit(&mut self, request: Parked, view: &ClusterView<'_>, actions: &mut Actions) -> InstanceId {
        self.cost(&request, view);
        let chosen = self.pick(view, actions);
        let tokens = if self.params.track_prefill_tokens { self.uncached(&request, chosen) } else { 0 };
        if let Some(sent) = &mut self.sent {
            sent.insert(view.now(), chosen, request.keys.iter().copied());
        }
        let keys = if self.params.track_active_blocks { request.keys } else { Vec::new() };
        self.ledger.book(request.id, chosen, u64::from(tokens), keys);
        chosen
    }

    fn queueing(&self) -> bool {
        self.params.queue_threshold.is_some() || self.params.queue_threshold_tokens.is_some()
    }

    fn all_busy(&self, view: &ClusterView<'_>) -> bool {
        let budget = |i: InstanceId| f64::from(self.budgets.get(i.index()).copied().unwrap_or(UNKNOWN_BUDGET));
        view.members().iter().all(|&i| {
            let tokens = self.ledger.prefill_tokens(i);
            self.params.queue_threshold_tokens.is_some_and(|threshold| tokens > threshold)
                || self.params.queue_threshold.is_some_and(|threshold| tokens as f64 > threshold * budget(i))
        })
    }

    fn park(&mut self, request: Parked, arrival: &Arrival<'_>, view: &ClusterView<'_>) -> Decision {
        let limit = self.params.queue_limit_tokens.map(|each| each.saturating_mul(view.members().len() as u64));
        if limit.is_some_and(|limit| self.waiting_tokens + u64::from(request.tokens) > limit) {
            return Decision::Reject;
        }
        let best = view.members().iter().map(|&i| self.uncached(&request, i)).min().unwrap_or(request.tokens);
        let key = self.params.queue_policy.key(arrival.arrival, 0.0, best);
        self.waiting_tokens += u64::from(request.tokens);
        self.waiting.park(i64::from(arrival.priority), key, request);
        Decision::Park
    }

    /// Admits parked requests in turn until all workers are busy.
    fn drain(&mut self, view: &ClusterView<'_>, actions: &mut Actions) {
        while !self.waiting.is_empty() && !view.members().is_empty() && !self.all_busy(view) {
            let request = self.waiting.pop().expect("it is not empty");
            self.waiting_tokens -= u64::from(request.tokens);
            let id = request.id;
            self.look_up(&request, view);
            let to = self.admit(request, view, actions);
            actions.route(id, to);
        }
    }
}

/// From costs to weights: exp(-(cost - least)/(range x temperature)).
fn soften(costs: &mut [f64], temperature: f64) {
    let least = costs.iter().copied().fold(f64::INFINITY, f64::min);
    let range = costs.iter().copied().fold(f64::NEG_INFINITY, f64::max) - least;
    for cost in costs {
        *cost = if range > 0.0 { libm::exp(-(*cost - least) / (range * temperature)) } else { 1.0 };
    }
}

impl Scheduler for DynamoKv {
    fn route(&mut self, arrival: &Arrival<'_>, view: &ClusterView<'_>, actions: &mut Actions) -> Decision {
        // One that is placed anew has left its worker.
        self.ledger.free(arrival.id);
        let request = self.request(arrival);
        self.look_up(&request, view);
        if self.queueing() && (!self.waiting.is_empty() || self.all_busy(view)) {
            actions.reason("all workers are busy, or others wait");
            return self.park(request, arrival, view);
        }
        Decision::Route(self.admit(request, view, actions))
    }

    fn hook(&mut self, hook: &Hook, view: &ClusterView<'_>, actions: &mut Actions) {
        match *hook {
            Hook::FirstToken { request, .. } => self.ledger.prefilled(request),
            Hook::Finished { request, .. } | Hook::Withdrawn { request, instance: Some(_) } => self.ledger.free(request),
            Hook::Withdrawn { request, instance: None } => {
                let gone = self.waiting.remove(|parked| parked.id == request);
                self.waiting_tokens -= gone.map_or(0, |parked| u64::from(parked.tokens));
            }
            Hook::Left { instance } => {
                if let Some(sent) = &mut self.sent {
                    sent.remove_worker(instance);
                }
                return;
            }
            Hook::Joined { instance } => self.ledger.cover(instance),
            _ => return,
        }
        self.drain(view, actions);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Golden vector 10.
    #[test]
    fn softmax_is_scaled_by_the_range() {
        let weights = |temperature| {
            let mut costs = [0.0, 3.0, 9.0];
            soften(&mut costs, temperature);
            let sum: f64 = costs.iter().sum();
            costs.map(|w| w / sum)
        };
        for (share, expected) in weights(1.0).into_iter().zip([0.480, 0.344, 0.176]) {
            assert!((share - expected).abs() < 5e-4, "{share} {expected}");
        }
        // The temperature has no unit: scaled costs have the same weights.
        let mut scaled = [7.0, 307.0, 907.0];
        soften(&mut scaled, 0.5);
        let mut plain = [0.0, 3.0, 9.0];
        soften(&mut plain, 0.5);
        assert!(scaled.iter().zip(plain).all(|(a, b)| (a - b).abs() < 1e-12));
        let mut equal = [4.0; 3];
        soften(&mut equal, 0.1);
        assert_eq!(equal.map(f64::to_bits), [1.0_f64; 3].map(f64::to_bits));
    }
}
