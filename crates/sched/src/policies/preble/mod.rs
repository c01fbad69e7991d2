//! Preble's E2: exploit a long cached prefix, else explore for the instance where the request costs the least.
//!
//! The router keeps a radix tree of all prompts (`tree`) with two facts about each node: where requests for it are sent
//! and where it is believed cached. When more of a prompt was seen before than not, the request follows the assignment of
//! its longest known prefix; otherwise every instance is a candidate. Among candidates the least cost wins, in GPU time:
//! the load that the last minutes' traffic implies (`window`), the cached prefixes that would have to be evicted, and
//! the prefill of what is missing. After each placement the assignments of the most loaded instance are evened out
//! (`rebalance`).
//!
//! Preble also orders requests *inside* an instance ("fcfs-mpq"): ten groups by hit ratio, visited from the best to the
//! worst in turn, with at most 10 times (group + 1) admitted on each visit, first come first served within a group, so that
//! none starves. That is a waiting order of the engine and chosen there, not here.

mod half_rule;
mod params;
mod rebalance;
pub(super) mod speeds;
mod tree;
mod window;

use rustc_hash::FxHashMap;
use std::collections::VecDeque;
use trimtab_core::{InstanceId, RequestId, SimTime};

use self::half_rule::HalfRule;
use self::params::{EvictWeight, Params, Variant};
use self::speeds::Speeds;
use self::tree::{NodeId, Tree};
use self::window::Window;
use crate::{Actions, Arrival, BuildContext, ClusterView, Decision, Hook, Scheduler, SchedulerDef, Signals, typed};

/// Preble in the registry.
pub(super) const DEF: SchedulerDef = SchedulerDef {
    name: "preble",
    summary: "follow a prefix that makes up most of the prompt, else the least cost of load, eviction and prefill; \
              assignments are rebalanced",
    citation: "Preble, ICLR 2025, arXiv 2407.00023, and its released code",
    deviations: &[
        "prefill times come from the simulator's own cost model instead of a regression",
        "the prefill of the missing tokens is part of the cost, as in the paper; the released code leaves it out",
        "evicted prefixes cost what their hits are worth, as in the paper; the code weighs with misses (`evict_weight`)",
        "the best position among several candidates is mapped back to its instance; the code returns the position",
        "the match is measured before the prompt enters the tree, so an exact repeat is a full match; the code measures \
         after and explores",
        "missing tokens are counted on each candidate, not once for the tree",
        "outputs are as long as the mean of the window, as in the paper: the code uses the request's token limit, which \
         no request of ours states",
        "the tree consists of whole prefix-forest blocks",
        "eviction candidates come from a least-recently-used list for each instance instead of a scan of all nodes",
        "nodes that nobody caches, counts or extends are removed; the code keeps them",
        "estimated capacity is the instance's own; the code assumes 198,516 tokens",
    ],
    signals: Signals { prefix: true, latency: true, ..Signals::NONE },
    hooks: true,
    params: params::doc,
    build: |params, context| {
        let params: Params = typed(params)?;
        params.check()?;
        Ok(match params.variant {
            Variant::HalfRule => Box::new(HalfRule::new(params.threshold, params.ties)),
            Variant::Full => Box::new(E2::new(params, context)),
        })
    },
};

/// The full policy.
struct E2 {
    params: Params,
    tree: Tree,
    window: Window,
    speeds: Speeds,
    /// Output lengths seen in the window, and their mean.
    outputs: VecDeque<(SimTime, u32)>,
    output_sum: u64,
    mean_output: u64,
    /// Cached tokens that each instance known at the start can hold.
    capacities: Vec<u64>,
    running: FxHashMap<RequestId, Running>,
    routed: u64,
    hits: Vec<u32>,
    candidates: Vec<InstanceId>,
    buffers: rebalance::Buffers,
}

/// A request in flight.
#[derive(Clone, Copy)]
struct Running {
    leaf: NodeId,
    at: InstanceId,
    ttft: Option<SimTime>,
}

/// Time that requests in flight will still decode.
fn decode_ps(active: u64, mean_output: u64, tpot_ps: u64) -> u64 {
    active.saturating_mul(mean_output).saturating_mul(tpot_ps)
}

impl E2 {
    fn new(params: Params, context: &BuildContext) -> Self {
        let own = |i: &crate::InstanceInfo| i.kv_blocks * u64::from(i.block_tokens);
        Self {
            tree: Tree::default(),
            window: Window::new(params.window()),
            speeds: Speeds::new(params.tpot_samples, params.initial_tpot().0),
            outputs: VecDeque::new(),
            output_sum: 0,
            mean_output: u64::from(params.initial_output_tokens),
            capacities: context.instances.iter().map(|i| params.capacity_tokens.unwrap_or(own(i))).collect(),
            running: FxHashMap::default(),
            routed: 0,
            hits: Vec::new(),
            candidates: Vec::new(),
            buffers: rebalance::Buffers::default(),
            params,
        }
    }

    /// What a request of `tokens` costs an instance that has `hit` of them.
    fn cost_ps(&self, view: &ClusterView<'_>, at: InstanceId, tokens: u32, hit: u32) -> u64 {
        let load = self.window.load(at);
        let busy = load.prefill_ps.saturating_add(decode_ps(load.active, self.mean_output, self.speeds.get(at)));
        let missing = tokens.saturating_sub(hit);
        let evicted = if self.params.eviction_cost { self.eviction_ps(view, at, missing) } else { 0 };
        let prefill = if self.params.prefill_cost { view.prefill_prompt_ps(at, tokens, hit) } else { 0 };
        busy.saturating_add(evicted).saturating_add(prefill)
    }

    /// What the prefixes are worth that would make room for `tokens`, memory taken to be full.
    fn eviction_ps(&self, view: &ClusterView<'_>, at: InstanceId, tokens: u32) -> u64 {
        let (mut freed, mut cost) = (0, 0_u64);
        for node in self.tree.victims(at) {
            if freed >= tokens {
                break;
            }
            freed += node.tokens;
            if let Some(stat) = node.stat.filter(|_| node.is_large()) {
                let stat = self.window.get(stat);
                let once = view.prefill_ps(at, node.tokens, node.before());
                let all = once.saturating_mul(u64::from(stat.count));
                cost = cost.saturating_add(stat.weigh(all, self.params.evict_weight == EvictWeight::Hit));
            }
        }
        cost
    }

    /// Where requests for the longest assigned prefix go; nowhere when there is none.
    fn assigned(&mut self, leaf: NodeId, view: &ClusterView<'_>) {
        let found = self.tree.upwards(leaf).map(|id| &self.tree.node(id).assigned).find(|assigned| !assigned.is_empty());
        self.candidates.extend(found.into_iter().flatten().filter(|&&i| view.is_member(i)));
    }

    fn choose(&mut self, view: &ClusterView<'_>, tokens: u32, actions: &mut Actions) -> InstanceId {
        if let [only] = self.candidates[..] {
            return only;
        }
        if self.candidates.is_empty() {
            self.candidates.extend(view.members());
        }
        let costs = self.candidates.iter().map(|&i| (self.cost_ps(view, i, tokens, self.hits[i.index()]), i));
        let best = costs.inspect(|&(cost, i)| actions.score(i, cost as f64)).min();
        best.expect("a scheduler is asked only while there is a member").1
    }

    /// Enters a placement into the tree and the window.
    fn commit(&mut self, leaf: NodeId, at: InstanceId, prompt: u32, view: &ClusterView<'_>) {
        let hit = self.hits[at.index()];
        self.tree.hold(leaf, at);
        let mut next = Some(leaf);
        while let Some(id) = next {
            next = self.tree.upwards(id).nth(1);
            let node = self.tree.node_mut(id);
            let newly = node.assigned.binary_search(&at).map_err(|place| node.assigned.insert(place, at)).is_err();
            let (stat, active) = (node.stat, node.active(at));
            match stat {
                Some(stat) if newly => self.window.refresh(stat, &self.tree, view),
                Some(stat) => self.window.set_active(stat, at, active),
                None => {}
            }
        }
        let important = self.tree.important(leaf);
        self.window.record(important, hit, prompt, &mut self.tree, view);
        // Instances that joined later are taken to be like the first.
        let capacity = self.capacities.get(at.index()).or(self.capacities.first()).copied().unwrap_or(u64::MAX);
        self.tree.evict(at, capacity);
    }

    fn release(&mut self, request: RequestId) -> Option<Running> {
        let running = self.running.remove(&request)?;
        self.tree.release(running.leaf, running.at);
        for id in self.tree.upwards(running.leaf) {
            let node = self.tree.node(id);
            if let Some(stat) = node.stat {
                self.window.set_active(stat, running.at, node.active(running.at));
            }
        }
        Some(running)
    }

    fn finished(&mut self, running: Running, output_tokens: u32, e2e: SimTime, now: SimTime) {
        let oldest = now.0.saturating_sub(self.params.window().0);
        while self.outputs.front().is_some_and(|&(time, _)| time.0 < oldest) {
            let (_, tokens) = self.outputs.pop_front().expect("looked at above");
            self.output_sum -= u64::from(tokens);
        }
        self.outputs.push_back((now, output_tokens));
        self.output_sum += u64::from(output_tokens);
        self.mean_output = self.output_sum / self.outputs.len() as u64;
        if let Some(ttft) = running.ttft.filter(|_| output_tokens > 1) {
            self.speeds.record(running.at, e2e.saturating_since(ttft).0 / u64::from(output_tokens - 1));
        }
    }

    /// Long chains are left alone, and so is a cluster that has hardly started.
    fn may_rebalance(&self, leaf: NodeId, view: &ClusterView<'_>) -> bool {
        let important = self.tree.important(leaf);
        let chain = self.tree.upwards(leaf).take_while(|&id| id != important).count();
        self.params.rebalance
            && chain < self.params.chain_guard
            && self.routed >= self.params.gate_per_instance * view.members().len() as u64
    }
}

impl Scheduler for E2 {
    fn route(&mut self, arrival: &Arrival<'_>, view: &ClusterView<'_>, actions: &mut Actions) -> Decision {
        self.release(arrival.id);
        self.window.expire(&mut self.tree, view);
        self.routed += 1;
        let tokens = arrival.prompt.tokens;
        let slots = view.counters().in_flight.len();
        self.hits.clear();
        self.hits.resize(slots, 0);
        self.candidates.clear();
        let Some(inserted) = self.tree.insert(arrival.path, arrival.forest) else {
            actions.reason("empty prompt");
            return Decision::Route(self.choose(view, tokens, actions));
        };
        if let Some((upper, lower)) = inserted.split {
            self.window.moved_up(upper, lower, &mut self.tree, view);
        }
        self.tree.hits(inserted.leaf, tokens, &mut self.hits);
        let exploit = f64::from(inserted.matched.min(tokens)) > self.params.threshold * f64::from(tokens);
        actions.reason(if exploit { "exploit" } else { "explore" });
        if exploit {
            self.assigned(inserted.leaf, view);
        }
        let chosen = self.choose(view, tokens, actions);
        self.commit(inserted.leaf, chosen, tokens, view);
        self.running.insert(arrival.id, Running { leaf: inserted.leaf, at: chosen, ttft: None });
        if self.may_rebalance(inserted.leaf, view) {
            self.rebalance(view);
        }
        Decision::Route(chosen)
    }

    fn hook(&mut self, hook: &Hook, view: &ClusterView<'_>, _: &mut Actions) {
        match *hook {
            Hook::FirstToken { request, instance, ttft } => {
                let Some(running) = self.running.get_mut(&request) else { return };
                running.ttft = Some(ttft);
                let important = self.tree.important(running.leaf);
                if let Some(stat) = self.tree.node(important).stat {
                    self.window.first_token(stat, instance, ttft, view.now());
                }
            }
            Hook::Finished { request, output_tokens, e2e, .. } => {
                // One that its instance turned away generated nothing, and says nothing of lengths and speeds.
                if let Some(running) = self.release(request)
                    && output_tokens > 0
                {
                    self.finished(running, output_tokens, e2e, view.now());
                }
            }
            Hook::Withdrawn { request, .. } => {
                self.release(request);
            }
            Hook::Left { instance } => {
                self.running.retain(|_, running| running.at != instance);
                for stat in self.tree.forget(instance) {
                    self.window.refresh(stat, &self.tree, view);
                }
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests;
