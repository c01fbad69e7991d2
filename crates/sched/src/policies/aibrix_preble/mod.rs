//! AIBrix `prefix-cache-preble`: a port of Preble that differs from it in much.

mod tree;
mod window;

use rustc_hash::FxHashMap;
use serde::{Deserialize, Serialize};
use trimtab_core::{InstanceId, RequestId, SimTime};

use super::preble::speeds::Speeds;
use crate::parts::{Periodic, Ties};
use crate::{
    Actions, Arrival, ClusterView, Decision, Hook, ParamError, Scheduler, SchedulerDef, Signals, params_doc, require,
    typed,
};
use tree::{NodeId, Tree};
use window::Window;

/// AIBrix `prefix-cache-preble` in the registry.
pub(super) const DEF: SchedulerDef = SchedulerDef {
    name: "aibrix-preble",
    summary: "the longest shared prefix if more than half of the prompt, else the least fitted cost of the last 3 minutes",
    citation: "AIBrix, pkg/plugins/gateway/algorithms/prefix_cache_preble.go at e3e10f9 (2026-08-22)",
    deviations: &[
        "the tree consists of whole prefix-forest blocks instead of tokens",
        "ties at random; the product takes any, in the order of a hash map",
        "the time per token is the median of a pod's last 200 requests",
    ],
    signals: Signals::NONE,
    hooks: true,
    params: || {
        params_doc::<Params>(&[
            ("threshold", "follow a prefix when it makes up more than this share of the prompt; the product: 0.5"),
            ("imbalance", "counts further apart than this: only the least busy pods; the product: 8"),
            ("window_s", "seconds of traffic that costs come from; the product: 3 minutes"),
            ("ttl_s", "seconds after which an unused node is forgotten, at least the window; the product: 5 minutes"),
            ("gpu", "the fit of prefill times: `v100`, a constant in the product, or `a6000`, 2.5 times as fast"),
            ("output_tokens", "tokens that every node is expected to generate; the product: 45"),
            ("initial_tpot_s", "seconds per output token before any was seen; the product: 0.15"),
        ])
    },
    build: |params, context| {
        let params: Params = typed(params)?;
        let span = |seconds: f64, name: &str| {
            SimTime::from_secs_f64(seconds)
                .ok_or_else(|| ParamError(format!("parameter `{name}` must be a span of time")))
        };
        let (window, ttl) = (span(params.window_s, "window_s")?, span(params.ttl_s, "ttl_s")?);
        require(ttl >= window, "ttl_s", "at least `window_s`")?;
        let tpot = span(params.initial_tpot_s, "initial_tpot_s")?;
        let slowness = if params.gpu == Gpu::V100 { 2.5 } else { 1.0 };
        Ok(Box::new(Port {
            ties: Ties::new(&context.streams),
            tree: Tree::default(),
            window: Window::new(window, slowness),
            sweep: Periodic::new(SimTime(trimtab_core::PS_PER_S)),
            ttl,
            speeds: Speeds::new(200, tpot.0),
            ttfts: FxHashMap::default(),
            candidates: Vec::new(),
            params,
        }))
    },
};

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Params {
    threshold: f64,
    imbalance: u32,
    window_s: f64,
    ttl_s: f64,
    gpu: Gpu,
    output_tokens: f64,
    initial_tpot_s: f64,
}

#[derive(Serialize, Deserialize, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
enum Gpu {
    V100,
    A6000,
}

impl Default for Params {
    fn default() -> Self {
        Self {
            threshold: 0.5,
            imbalance: 8,
            window_s: 180.0,
            ttl_s: 300.0,
            gpu: Gpu::V100,
            output_tokens: 45.0,
            initial_tpot_s: 0.15,
        }
    }
}

struct Port {
    params: Params,
    ties: Ties,
    tree: Tree,
    window: Window,
    sweep: Periodic,
    ttl: SimTime,
    speeds: Speeds,
    /// First tokens of requests that still run.
    ttfts: FxHashMap<RequestId, SimTime>,
    candidates: Vec<InstanceId>,
}

impl Port {
    /// The least burdened of the pods that were sent the longest part of the prompt.
    fn by_prefix(&mut self, leaf: NodeId) -> Option<InstanceId> {
        let held = |id: &NodeId| self.tree.node(*id).pods.iter().any(|pod| self.candidates.contains(pod));
        let node = self.tree.upwards(leaf).find(held)?;
        let pods = &self.tree.node(node).pods;
        let ready = pods.iter().copied().filter(|pod| self.candidates.contains(pod));
        self.ties.least(ready, |pod| self.window.burden(pod).prompts)
    }

    /// The pod with the least cost of what it was sent lately.
    fn by_cost(&mut self, actions: &mut Actions) -> Option<InstanceId> {
        self.ties.least(self.candidates.iter().copied(), |pod| {
            let burden = self.window.burden(pod);
            let decode = self.params.output_tokens * self.speeds.get(pod) as f64 / 1e12;
            let cost = burden.prefill_ns as f64 / 1e9 + burden.nodes as f64 * decode;
            actions.score(pod, cost);
            cost
        })
    }

    fn register(&mut self, leaf: NodeId, pod: InstanceId) {
        let path: Vec<NodeId> = self.tree.upwards(leaf).collect();
        for id in path {
            if let Err(place) = self.tree.node(id).pods.binary_search(&pod) {
                self.window.change(&mut self.tree, id, |node| node.pods.insert(place, pod));
            }
        }
    }
}

impl Scheduler for Port {
    fn route(&mut self, arrival: &Arrival<'_>, view: &ClusterView<'_>, actions: &mut Actions) -> Decision {
        self.window.expire(&mut self.tree, view.now());
        if self.sweep.due(view.now()) {
            self.tree.expire(view.now(), self.ttl);
        }
        // A node that is cut in two costs less from now on.
        let cut = self.tree.would_split(arrival.path);
        if let Some(node) = cut {
            self.window.withdraw(self.tree.node(node));
        }
        let place = self.tree.insert(arrival, view.now());
        if let Some(node) = cut {
            self.window.book(self.tree.node_mut(node));
        }
        let count = |i: InstanceId| view.counters().in_flight[i.index()];
        let least = view.members().iter().map(|&i| count(i)).min().unwrap_or(0);
        let most = view.members().iter().map(|&i| count(i)).max().unwrap_or(0);
        let imbalanced = most - least > self.params.imbalance;
        self.candidates.clear();
        self.candidates.extend(view.members().iter().copied().filter(|&i| !imbalanced || count(i) == least));
        let tokens = arrival.prompt.tokens;
        let shared = place.as_ref().filter(|p| f64::from(p.matched) > self.params.threshold * f64::from(tokens));
        let chosen = shared.map(|p| p.leaf).and_then(|leaf| self.by_prefix(leaf));
        actions.reason(if chosen.is_some() { "prefix" } else { "cost" });
        let chosen = chosen.or_else(|| self.by_cost(actions)).expect("there is a candidate");
        if let Some(place) = place {
            self.register(place.leaf, chosen);
            self.window.record(&mut self.tree, place.leaf, view.now(), place.matched, tokens);
        }
        Decision::Route(chosen)
    }

    fn hook(&mut self, hook: &Hook, _: &ClusterView<'_>, _: &mut Actions) {
        match *hook {
            Hook::FirstToken { request, ttft, .. } => {
                self.ttfts.insert(request, ttft);
            }
            Hook::Finished { request, instance, output_tokens, e2e } => {
                if let Some(ttft) = self.ttfts.remove(&request).filter(|_| output_tokens > 1) {
                    self.speeds.record(instance, e2e.saturating_since(ttft).0 / u64::from(output_tokens - 1));
                }
            }
            Hook::Withdrawn { request, .. } => {
                self.ttfts.remove(&request);
            }
            Hook::Left { instance } => {
                for id in self.tree.of_pod(instance) {
                    self.window.change(&mut self.tree, id, |node| node.pods.retain(|&pod| pod != instance));
                }
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::window::prefill_s;
    use super::*;
    use trimtab_core::{PrefixForest, PrefixId, Prompt, TenantId};

    /// The fit, by hand: linear, attention and quadratic parts in milliseconds, over 0.9.
    #[test]
    fn fitted_prefill() {
        for (own, context, ms) in [
            (100, 100, 22.0 + 0.32),
            (200, 1024, -118.0 + 250.0 - 102.4 + 0.32),
            (1000, 2000, 108.4 + 4.21 + 0.372 + 0.159),
            (5000, 5000, 542.0 + 4.21 + 0.93 + 0.159 - 7.37 + 19.3 + 54.0),
        ] {
            assert!((prefill_s(own, context) * 900.0 - ms).abs() < 1e-9, "{own} {context}");
        }
    }

    fn arrival<'a>(forest: &'a PrefixForest, leaf: PrefixId, path: &'a mut Vec<PrefixId>) -> Arrival<'a> {
        let prompt = Prompt { leaf: Some(leaf), tokens: forest.end(leaf) };
        forest.path(prompt, path);
        Arrival {
            id: RequestId(0),
            arrival: SimTime::ZERO,
            prompt,
            path,
            forest,
            session: None,
            turn: 0,
            tenant: TenantId(0),
            model: 0,
            priority: 0,
        }
    }

    /// What is kept up to date equals what is added up from the nodes, and all is gone when its time is over.
    #[test]
    fn burdens_are_sums_over_nodes() {
        let mut forest = PrefixForest::new();
        let mut leaves: Vec<PrefixId> = Vec::new();
        let (mut tree, mut window) = (Tree::default(), Window::new(SimTime(60), 2.5));
        for n in 0..2000_u64 {
            let draw = |k: u64, below: usize| usize::try_from(crate::parts::mix64(n * 4 + k) % below as u64).unwrap();
            let parent = if leaves.is_empty() || draw(0, 4) == 0 { None } else { Some(leaves[draw(1, leaves.len())]) };
            let mut leaf = parent;
            for _ in 0..draw(2, 4) + usize::from(parent.is_none()) {
                leaf = forest.add(leaf, leaf.map_or(0, |l| forest.end(l)) + 300).ok();
            }
            leaves.extend(leaf);
            if leaves.len() > 40 {
                leaves.remove(0);
            }
            let (mut path, now) = (Vec::new(), SimTime(n));
            let arrival = arrival(&forest, leaf.unwrap(), &mut path);
            window.expire(&mut tree, now);
            tree.expire(now, SimTime(80));
            let cut = tree.would_split(arrival.path);
            if let Some(node) = cut {
                window.withdraw(tree.node(node));
            }
            let place = tree.insert(&arrival, now).unwrap();
            if let Some(node) = cut {
                window.book(tree.node_mut(node));
            }
            let pod = InstanceId::from_index(draw(3, 3));
            let above: Vec<NodeId> = tree.upwards(place.leaf).collect();
            for id in above {
                if let Err(at) = tree.node(id).pods.binary_search(&pod) {
                    window.change(&mut tree, id, |node| node.pods.insert(at, pod));
                }
            }
            window.record(&mut tree, place.leaf, now, place.matched, arrival.prompt.tokens);
            let mut copy = Window::new(SimTime(60), 2.5);
            for pod in (0..3).map(InstanceId) {
                for id in tree.of_pod(pod) {
                    if tree.node(id).pods[0] == pod {
                        copy.book(tree.node_mut(id));
                    }
                }
            }
            for pod in (0..3).map(InstanceId) {
                assert_eq!(window.burden(pod), copy.burden(pod), "{n} {pod:?}");
            }
        }
        window.expire(&mut tree, SimTime(9999));
        tree.expire(SimTime(9999), SimTime(80));
        assert_eq!(tree.len(), 0);
        assert!((0..3).all(|pod| window.burden(InstanceId(pod)) == window::Burden::default()));
    }
}
