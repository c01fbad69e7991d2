use rand::RngExt;
use serde_json::{Value, json};
use trimtab_core::{PS_PER_S, PrefixForest, PrefixId, Prompt, RngStreams, TenantId};

use super::*;
use crate::{Counters, InstanceInfo, Probe, Queued, Snapshot};

const BLOCK: u32 = 512;
const N: usize = 4;

/// Prefill at a million tokens a second, and nothing else to see.
struct Flat;

impl Probe for Flat {
    fn snapshot(&self, _: InstanceId) -> Snapshot {
        Snapshot::default()
    }
    fn hit_tokens(&self, _: RequestId, _: InstanceId) -> u32 {
        0
    }
    fn all_hit_tokens(&self, _: RequestId, out: &mut Vec<u32>) {
        out.clear();
    }
    fn prefill_ps(&self, _: InstanceId, new: u32, _: u32) -> u64 {
        u64::from(new) * PS_PER_S / 1_000_000
    }
    fn queue_ps(&self, _: InstanceId) -> u64 {
        0
    }
    fn queued(&self, _: InstanceId, out: &mut Vec<Queued>) {
        out.clear();
    }
}

/// An E2 with its world.
struct Bench {
    e2: E2,
    forest: PrefixForest,
    members: Vec<InstanceId>,
    counters: Counters,
    now: SimTime,
    next: u32,
}

impl Bench {
    fn new(params: &Value, capacity_blocks: u64) -> Self {
        let info = InstanceInfo {
            kv_blocks: capacity_blocks,
            block_tokens: BLOCK,
            max_batched_tokens: 2048,
            max_seqs: 256,
            prefill_tokens_per_s: 1_000_000,
        };
        let context = BuildContext { instances: vec![info; N], streams: RngStreams::new(1), slo_ttft: None };
        Self {
            e2: E2::new(typed(params).unwrap(), &context),
            forest: PrefixForest::new(),
            members: (0..N).map(InstanceId::from_index).collect(),
            counters: Counters { in_flight: vec![0; N], ..Counters::default() },
            now: SimTime::ZERO,
            next: 0,
        }
    }

    fn chain(&mut self, parent: Option<PrefixId>, blocks: u32) -> Option<PrefixId> {
        (0..blocks).fold(parent, |parent, _| {
            let end = parent.map_or(0, |p| self.forest.end(p)) + BLOCK;
            Some(self.forest.add(parent, end).unwrap())
        })
    }

    fn offer(&mut self, leaf: Option<PrefixId>) -> (RequestId, InstanceId, &'static str) {
        let id = RequestId(self.next);
        self.next += 1;
        let prompt = Prompt { leaf, tokens: leaf.map_or(0, |leaf| self.forest.end(leaf)) };
        let mut path = Vec::new();
        self.forest.path(prompt, &mut path);
        let arrival = Arrival {
            id,
            arrival: self.now,
            prompt,
            path: &path,
            forest: &self.forest,
            session: None,
            turn: 0,
            tenant: TenantId(0),
            model: 0,
            priority: 0,
        };
        let view = ClusterView::new(self.now, &self.members, DEF.signals, &self.counters, &Flat);
        let mut actions = Actions::new(true);
        let Decision::Route(at) = self.e2.route(&arrival, &view, &mut actions) else { panic!("always routes") };
        (id, at, actions.logged().0.unwrap())
    }

    fn tell(&mut self, hook: Hook) {
        let view = ClusterView::new(self.now, &self.members, DEF.signals, &self.counters, &Flat);
        self.e2.hook(&hook, &view, &mut Actions::new(false));
    }

    fn end(&mut self, request: RequestId, instance: InstanceId, ttft: u64) {
        self.tell(Hook::FirstToken { request, instance, ttft: SimTime(ttft) });
        self.tell(Hook::Finished { request, instance, output_tokens: 1, e2e: SimTime(ttft) });
    }

    fn wait(&mut self, seconds: u64) {
        self.now += SimTime(seconds * PS_PER_S);
    }

    fn assigned(&self, leaf: PrefixId) -> Vec<u32> {
        let mut path = Vec::new();
        self.forest.path(Prompt { leaf: Some(leaf), tokens: 1 }, &mut path);
        self.e2.tree.find(&path).map_or(vec![], |id| self.e2.tree.node(id).assigned.iter().map(|i| i.0).collect())
    }

    /// What is kept step by step equals what can be counted afresh.
    fn check(&mut self) {
        self.e2.tree.check();
        let view = ClusterView::new(self.now, &self.members, DEF.signals, &self.counters, &Flat);
        let kept: Vec<_> = (0..N).map(InstanceId::from_index).map(|i| self.loads(i)).collect();
        let ids: Vec<_> = self.e2.window.all().map(|(id, _)| id).collect();
        for id in ids {
            self.e2.window.refresh(id, &self.e2.tree, &view);
        }
        let fresh: Vec<_> = (0..N).map(InstanceId::from_index).map(|i| self.loads(i)).collect();
        assert_eq!(kept, fresh);
    }

    fn loads(&self, at: InstanceId) -> (window::Load, window::Load) {
        (self.e2.window.load(at), self.e2.window.repeated_load(at))
    }
}

#[test]
fn half_of_the_prompt_is_not_enough() {
    for (shared, own, expected) in [(2, 3, "explore"), (2, 2, "explore"), (3, 2, "exploit"), (4, 0, "exploit")] {
        let mut bench = Bench::new(&json!({ "rebalance": false }), 1000);
        let trunk = bench.chain(None, shared);
        let first = bench.chain(trunk, 1);
        let (_, home, reason) = bench.offer(first);
        assert_eq!(reason, "explore");
        let second = bench.chain(trunk, own);
        let (_, at, reason) = bench.offer(second);
        assert_eq!(reason, expected, "{shared} {own}");
        if reason == "exploit" {
            assert_eq!(at, home);
        }
    }
}

/// Unshared prompts are spread like in any load balancing.
#[test]
fn strangers_are_spread_evenly() {
    let mut bench = Bench::new(&Value::Null, 1000);
    let mut counts = [0; N];
    for _ in 0..40 {
        let leaf = bench.chain(None, 8);
        counts[bench.offer(leaf).1.index()] += 1;
    }
    assert_eq!(counts, [10; N]);
}

#[test]
fn the_window_forgets() {
    let mut bench = Bench::new(&json!({ "window_s": 180.0 }), 4);
    let leaf = bench.chain(None, 8);
    let (id, at, _) = bench.offer(leaf);
    bench.end(id, at, 1);
    assert!(bench.loads(at).0.prefill_ps > 0);
    bench.wait(180);
    let other = bench.chain(None, 1);
    bench.offer(other);
    assert!(bench.loads(at).0.prefill_ps > 0, "180 s are within the window");
    bench.wait(181);
    let empty = bench.offer(None);
    assert_eq!(empty.2, "empty prompt");
    for i in 0..N {
        assert_eq!(bench.loads(InstanceId::from_index(i)), Default::default());
    }
    assert_eq!(bench.assigned(leaf.unwrap()), [0_u32; 0]);
}

/// Two large prefixes on one instance, an idle one beside it: the cheaper prefix moves, and requests follow it.
#[test]
fn redirects_until_loads_are_near() {
    // Without decode time the prefixes cost 20, 10 and 6 blocks: 36 : 0, then 30 : 6, then 20 : 16, near enough.
    let mut bench = Bench::new(&json!({ "gate_per_instance": 0, "initial_output_tokens": 0 }), 10_000);
    let prefixes = [bench.chain(None, 20), bench.chain(None, 10), bench.chain(None, 6)];
    for &prefix in &prefixes {
        bench.members = vec![InstanceId(0)];
        for _ in 0..3 {
            bench.offer(prefix);
        }
    }
    assert!(prefixes.iter().all(|p| bench.assigned(p.unwrap()) == [0]));
    bench.members = vec![InstanceId(0), InstanceId(1)];
    bench.offer(prefixes[0]);
    let homes: Vec<_> = prefixes.iter().map(|p| bench.assigned(p.unwrap())).collect();
    assert_eq!(homes, [vec![0], vec![1], vec![1]]);
    assert_eq!(bench.offer(prefixes[2]).1, InstanceId(1));
    bench.check();
}

/// A single hot prefix gets a second home only when its first tokens have slowed down twofold.
#[test]
fn autoscales_one_hot_prefix_that_slows_down() {
    for (hot, growth, expected) in [(1, 2, 2), (1, 1, 1), (2, 3, 1)] {
        let mut bench = Bench::new(&json!({ "gate_per_instance": 0 }), 10_000);
        bench.members = vec![InstanceId(0)];
        let prefixes: Vec<_> = (0..hot).map(|_| bench.chain(None, 10)).collect();
        for ttft in [1000, growth * 1000] {
            for &prefix in &prefixes {
                for _ in 0..3 {
                    let (id, at, _) = bench.offer(prefix);
                    bench.end(id, at, ttft);
                }
            }
            bench.wait(80);
        }
        bench.members = vec![InstanceId(0), InstanceId(1)];
        bench.offer(prefixes[0]);
        assert_eq!(bench.assigned(prefixes[0].unwrap()).len(), expected, "{hot} {growth}");
    }
}

/// Memory is taken to be full: room for a prompt costs what the least recently used prefixes are worth.
#[test]
fn eviction_costs_the_worth_of_the_oldest_prefixes() {
    // Three offers of 8 blocks on instance 0: two of three are hits. Prefill of 8 blocks: 4,096 us.
    for (weight, missing, expected_us) in [("hit", 1, 8_192), ("miss", 1, 4_096), ("hit", 0, 0), ("hit", 9 * BLOCK, 8_192)] {
        let mut bench = Bench::new(&json!({ "evict_weight": weight, "rebalance": false }), 1000);
        bench.members = vec![InstanceId(0)];
        let (old, young) = (bench.chain(None, 8), bench.chain(None, 8));
        for leaf in [old, old, old, young] {
            let (id, at, _) = bench.offer(leaf);
            bench.end(id, at, 1);
        }
        let view = ClusterView::new(bench.now, &bench.members, DEF.signals, &bench.counters, &Flat);
        let cost = bench.e2.eviction_ps(&view, InstanceId(0), missing);
        assert_eq!(cost / 1_000_000, expected_us, "{weight} {missing}");
    }
}

/// Everything that is kept incrementally, under random traffic with departures.
#[test]
fn bookkeeping_holds() {
    for seed in 0..6 {
        let mut rng = RngStreams::new(seed).stream("preble");
        let mut bench = Bench::new(&json!({ "gate_per_instance": 1, "window_s": 20.0 }), 60);
        let mut leaves = vec![None];
        let mut flying = Vec::new();
        for step in 0..600 {
            let parent = leaves[rng.random_range(0..leaves.len())];
            let leaf = bench.chain(parent, rng.random_range(0..6));
            // Any point of the chain may be continued later, so that nodes are split.
            leaves.extend(leaf.and_then(|leaf| bench.forest.parent(leaf)).map(Some));
            leaves.push(leaf);
            let (id, at, _) = bench.offer(leaf);
            flying.push((id, at));
            while flying.len() > 12 {
                let (id, at) = flying.remove(rng.random_range(0..flying.len()));
                bench.end(id, at, 1000);
            }
            bench.wait(rng.random_range(0..3));
            if step == 300 {
                bench.members.remove(1);
                bench.tell(Hook::Left { instance: InstanceId(1) });
            }
            bench.check();
        }
        assert!(bench.e2.tree.len() < 400, "the tree is pruned: {}", bench.e2.tree.len());
    }
}
