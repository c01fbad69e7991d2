//! llm-d's endpoint picker: filters, weighted scorers and a picker, put together in the parameters.

mod filter;
mod params;
mod scene;
mod score;

use rustc_hash::FxHashMap;
use std::collections::BTreeMap;
use trimtab_core::{InstanceId, PS_PER_MS, RequestId, SessionId, SimTime, TenantId};

use crate::parts::{BlockLru, Limits, Order, Ties, Waiting, shed_probability};
use crate::{Actions, Arrival, BuildContext, ClusterView, Decision, Hook, Scheduler, SchedulerDef, Signals};
use params::{Fairness, Filter, Params, Picker, Scorer, Shed};
use scene::{Request, Scene};
use score::ColdOrder;

/// llm-d in the registry.
pub(super) const DEF: SchedulerDef = SchedulerDef {
    name: "llm-d",
    summary: "filters, then the best sum of weighted scores: queue, KV use and prefix unless told otherwise",
    citation: "llm-d scheduler, pkg/epp/framework/plugins at 520af47 (2026-05-17), and Gateway API Inference Extension",
    deviations: &[
        "the latency predictor is that of the simulator, where the product trains one on what it observed",
        "one objective for all requests, from the spec or the parameters, instead of headers; deadlines then order waiting \
         requests as arrivals do",
        "in-flight tokens are 2.5 times the prompts', not rounded for each request; a scored endpoint gets at least 0.01 \
         where the latency scorer leaves others out with 0",
        "no adapters, no context-length labels, one pool: the scorers for these and the prefill/decode decider are missing",
    ],
    signals: Signals { snapshots: true, prefix: true, latency: true, ..Signals::NONE },
    hooks: true,
    params: params::doc,
    build: |params, context| Ok(Box::new(LlmD::new(Params::read(params)?, context))),
};

struct LlmD {
    params: Params,
    ties: Ties,
    index: BlockLru,
    known: Known,
    /// Blocks that are remembered of each endpoint.
    capacities: Vec<usize>,
    /// Whether prefixes are looked up in the engines, or at all.
    precise: bool,
    looks_up: bool,
    cold: ColdOrder,
    queue: FlowQueue,
    among: Vec<InstanceId>,
    totals: Vec<f64>,
    spare: Vec<u64>,
}

/// What filters and scorers ask for beside the view.
struct Known {
    /// Tokens of a prefix block.
    block: u32,
    /// Leading blocks of the request at hand believed cached, by instance.
    matched: Vec<u32>,
    sessions: FxHashMap<SessionId, InstanceId>,
    slo: [f64; 2],
    limits: Limits,
}

impl Known {
    fn scene<'a>(&'a self, request: &'a Request, view: &'a ClusterView<'a>) -> Scene<'a> {
        Scene {
            view,
            request,
            bound: request.session.and_then(|session| self.sessions.get(&session).copied()),
            matched: &self.matched,
            block: self.block,
            slo: self.slo,
            limits: &self.limits,
        }
    }
}

/// Requests that wait until the pool is not saturated any more, by tenant.
#[derive(Debug, Default)]
struct FlowQueue {
    flows: BTreeMap<u16, Waiting<Request>>,
    /// Whose turn it was last.
    last: u16,
}

impl FlowQueue {
    fn park(&mut self, request: Request, fairness: Fairness) {
        let flow = if fairness == Fairness::RoundRobin { request.tenant.0 } else { 0 };
        let key = Order::Fcfs.key(request.arrival, 0.0, 0);
        self.flows.entry(flow).or_default().park(i64::from(request.priority), key, request);
    }

    fn is_empty(&self) -> bool {
        self.flows.is_empty()
    }

    fn remove(&mut self, request: RequestId) {
        self.flows.retain(|_, flow| {
            flow.remove(|parked| parked.id == request);
            !flow.is_empty()
        });
    }

    /// The first of the next flow among those with the highest priority.
    fn pop(&mut self) -> Option<Request> {
        let urgent = self.flows.values().filter_map(|flow| Some(flow.first()?.priority)).max()?;
        let ready = |flow: &Waiting<Request>| flow.first().is_some_and(|first| first.priority == urgent);
        let turn = |after: bool| {
            let mut flows = self.flows.iter().filter(|&(&id, _)| (id > self.last) == after);
            flows.find(|(_, flow)| ready(flow)).map(|(&id, _)| id)
        };
        let id = turn(true).or_else(|| turn(false))?;
        self.last = id;
        let flow = self.flows.get_mut(&id)?;
        let request = flow.pop();
        if flow.is_empty() {
            self.flows.remove(&id);
        }
        request
    }
}

impl LlmD {
    fn new(params: Params, context: &BuildContext) -> Self {
        let precise = params.scorers.iter().any(|s| matches!(s, Scorer::PrecisePrefixCache { .. }));
        let by_prefix = |s: &Scorer| {
            matches!(s, Scorer::PrefixCache { .. } | Scorer::NoHitLru { .. } | Scorer::Latency { .. })
        };
        let filters_by_prefix = |f: &Filter| {
            matches!(f, Filter::PrefixCacheAffinity { .. } | Filter::SloHeadroomTier { .. })
        };
        let looks_up = precise || params.scorers.iter().any(by_prefix) || params.filters.iter().any(filters_by_prefix);
        let own = context.instances.first().map_or(16, |i| i.block_tokens);
        let slo = params.slo_ttft_s.or(context.slo_ttft.map(SimTime::as_secs_f64)).unwrap_or(0.0);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates; never negative")]
        let stale = SimTime((params.stale_ms * PS_PER_MS as f64) as u64);
        let known = Known {
            block: params.block_tokens.unwrap_or(own),
            matched: Vec::new(),
            sessions: FxHashMap::default(),
            slo: [slo, params.slo_tpot_s],
            limits: Limits::llm_d(stale),
        };
        let blocks = |i: &crate::InstanceInfo| usize::try_from(i.kv_blocks).unwrap_or(usize::MAX);
        Self {
            ties: Ties::new(&context.streams),
            index: BlockLru::new(params.lru_blocks.unwrap_or(31_250)),
            known,
            capacities: context.instances.iter().map(|i| params.lru_blocks.unwrap_or(blocks(i))).collect(),
            precise,
            looks_up,
            cold: ColdOrder::default(),
            queue: FlowQueue::default(),
            among: Vec::new(),
            totals: Vec::new(),
            spare: Vec::new(),
            params,
        }
    }

    fn request(&mut self, arrival: &Arrival<'_>) -> Request {
        let mut keys = std::mem::take(&mut self.spare);
        keys.clear();
        if self.looks_up {
            // The limit is that of the approximate index.
            let unlimited = self.params.max_blocks == 0 || self.precise;
            let most = if unlimited { u32::MAX } else { self.params.max_blocks };
            let whole = (arrival.prompt.tokens / self.known.block).min(most) as usize;
            keys.extend(arrival.prefix_keys(self.known.block).take(whole));
        }
        Request {
            id: arrival.id,
            arrival: arrival.arrival,
            tokens: arrival.prompt.tokens,
            session: arrival.session,
            tenant: TenantId(arrival.tenant.0),
            priority: arrival.priority,
            keys,
        }
    }

    /// Fills `matched` with leading blocks by instance.
    fn look_up(&mut self, request: &Request, view: &ClusterView<'_>) {
        let slots = view.counters().in_flight.len();
        if self.precise {
            let block = self.known.block;
            view.all_hit_tokens(request.id, &mut self.known.matched);
            let most = u32::try_from(request.keys.len()).unwrap_or(u32::MAX);
            self.known.matched.iter_mut().for_each(|tokens| *tokens = (*tokens / block).min(most));
        } else {
            self.index.matched(request.keys.iter().copied(), slots, &mut self.known.matched);
        }
    }

    fn refuses(&mut self, request: &Request, view: &ClusterView<'_>) -> bool {
        if request.priority >= 0 {
            return false;
        }
        let scene = self.known.scene(request, view);
        match self.params.shed {
            Shed::None => false,
            Shed::Probabilistic => {
                let chance = shed_probability(self.params.detector.saturation(view, &self.known.limits));
                self.ties.unit() < chance
            }
            Shed::LatencySlo => !view.members().iter().any(|&i| {
                scene.in_flight(i) == 0
                    || view.snapshot(i).kv_use() < 0.02
                    || scene.headroom(i).iter().all(|&left| left >= 0.0)
            }),
        }
    }

    /// Runs the profile: filters, scorers, picker.
    fn pick(&mut self, request: &Request, view: &ClusterView<'_>, actions: &mut Actions) -> InstanceId {
        let (mut among, mut totals) = (std::mem::take(&mut self.among), std::mem::take(&mut self.totals));
        let ties = &mut self.ties;
        let scene = self.known.scene(request, view);
        among.clear();
        among.extend(view.members());
        for filter in &self.params.filters {
            filter.apply(&scene, ties, &mut among);
        }
        totals.clear();
        totals.resize(among.len(), 0.0);
        for scorer in &self.params.scorers {
            let scores = scorer.scores(&scene, &self.cold, &among);
            totals.iter_mut().zip(scores).for_each(|(total, score)| *total += scorer.weight() * score);
        }
        for (&i, &total) in among.iter().zip(&totals) {
            actions.score(i, total);
        }
        let chosen = match self.params.picker {
            Picker::Random => ties.any(&among),
            Picker::WeightedRandom => ties.weighted(&totals).map(|at| among[at]),
            Picker::MaxScore => {
                let mut totals = totals.iter();
                ties.least(among.iter().copied(), |_| -totals.next().expect("one for each"))
            }
        };
        (self.among, self.totals) = (among, totals);
        chosen.expect("a scheduler is asked only while there is a member, and no filter leaves nothing")
    }

    /// Chooses and remembers.
    fn place(&mut self, request: Request, view: &ClusterView<'_>, actions: &mut Actions) -> InstanceId {
        let chosen = self.pick(&request, view, actions);
        for scorer in &self.params.scorers {
            if let Scorer::NoHitLru { lru_size, .. } = *scorer
                && self.known.matched.iter().all(|&blocks| blocks == 0)
            {
                self.cold.record(chosen, lru_size);
            }
        }
        if self.looks_up && !self.precise {
            actions.expect_hit(request.id, self.known.matched[chosen.index()] * self.known.block);
        }
        self.remember(&request, chosen);
        self.spare = request.keys;
        chosen
    }

    fn remember(&mut self, request: &Request, to: InstanceId) {
        if self.looks_up && !self.precise {
            // Instances that joined later are taken to be like the first.
            let own = self.capacities.get(to.index()).or(self.capacities.first());
            self.index.insert_within(to, request.keys.iter().copied(), own.copied().unwrap_or(31_250));
        }
        if let Some(session) = request.session {
            self.known.sessions.insert(session, to);
        }
    }
}

impl Scheduler for LlmD {
    fn route(&mut self, arrival: &Arrival<'_>, view: &ClusterView<'_>, actions: &mut Actions) -> Decision {
        let request = self.request(arrival);
        self.look_up(&request, view);
        if self.refuses(&request, view) {
            actions.reason("shed");
            return Decision::Reject;
        }
        if self.params.flow_control {
            let saturation = self.params.detector.saturation(view, &self.known.limits);
            if !self.queue.is_empty() || saturation >= self.params.usage_limit {
                actions.reason("saturated");
                self.queue.park(request, self.params.fairness);
                return Decision::Park;
            }
        }
        Decision::Route(self.place(request, view, actions))
    }

    fn learn(&mut self, arrival: &Arrival<'_>, to: InstanceId, _: SimTime) {
        let request = self.request(arrival);
        self.remember(&request, to);
        self.spare = request.keys;
    }

    fn hook(&mut self, hook: &Hook, view: &ClusterView<'_>, actions: &mut Actions) {
        if let Hook::Left { instance } = *hook {
            self.index.remove_worker(instance);
            self.cold.forget(instance);
            self.known.sessions.retain(|_, bound| *bound != instance);
        }
        if let Hook::Withdrawn { request, instance: None } = *hook {
            self.queue.remove(request);
        }
        if self.queue.is_empty() || matches!(hook, Hook::Dispatched { .. }) || view.members().is_empty() {
            return;
        }
        // Turns pass with dispatches alone: whether the pool is saturated is the same for all that wait.
        if self.params.detector.saturation(view, &self.known.limits) >= self.params.usage_limit {
            return;
        }
        let Some(request) = self.queue.pop() else { return };
        self.look_up(&request, view);
        let id = request.id;
        let chosen = self.place(request, view, actions);
        actions.route(id, chosen);
        if !self.queue.is_empty() {
            // What is sent now is in the counters at the next call.
            actions.timer(view.now(), 0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Golden vectors.
    #[test]
    fn shedding() {
        for (saturation, expected) in [(0.15, 0.022_781_25), (0.34, 1.0), (0.0, 0.0)] {
            assert!((shed_probability(saturation) - expected).abs() < 1e-9, "{saturation}");
        }
    }

    #[test]
    fn tenants_take_turns_within_a_priority() {
        let request = |id: u32, tenant: u16, priority: i16| Request {
            id: trimtab_core::RequestId(id),
            arrival: SimTime(u64::from(id)),
            tokens: 0,
            session: None,
            tenant: TenantId(tenant),
            priority,
            keys: Vec::new(),
        };
        let parked = [(0, 1, 0), (1, 1, 0), (2, 1, 0), (3, 2, 0), (4, 7, 0), (5, 2, 0), (6, 2, 3)];
        for (fairness, expected) in
            [(Fairness::RoundRobin, [6, 4, 0, 3, 1, 5, 2]), (Fairness::GlobalStrict, [6, 0, 1, 2, 3, 4, 5])]
        {
            let mut queue = FlowQueue::default();
            for (id, tenant, priority) in parked {
                queue.park(request(id, tenant, priority), fairness);
            }
            let order: Vec<u32> = std::iter::from_fn(|| queue.pop()).map(|r| r.id.0).collect();
            assert_eq!(order, expected, "{fairness:?}");
            assert!(queue.is_empty());
        }
    }
}
