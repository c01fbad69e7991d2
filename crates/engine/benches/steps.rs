//! What a step and a cache lookup cost: `cargo bench -p trimtab-engine --bench steps`.
//!
//! First a cluster of eight instances under constant load, in closed form and step by step: nanoseconds of an iteration and
//! of a request. Then prompts whose whole prefix is cached, by the number of forest nodes that a prompt passes.
#![expect(clippy::print_stdout, reason = "a benchmark reports on standard output")]
#![expect(clippy::disallowed_methods, reason = "a benchmark reads the clock")]

use std::sync::Arc;
use std::time::Instant;

use rand::RngExt;
use serde_json::{Map, Value};
use trimtab_core::{FixedWorkload, PS_PER_MS, PrefixForest, Prompt, Request, RngStreams, SimTime};
use trimtab_engine::cost::{Linear, Polynomial, StepCost};
use trimtab_engine::{
    CacheConfig, CacheContext, ClusterConfig, EvictionConfig, InstanceConfig, Mixing, Order, Stepping, build_context,
    evictions, replay_cache, run,
};
use trimtab_sched::Registry;

/// Prompts of 2,000 tokens without shared prefixes and outputs of 300 on average, 40 a second.
fn load(requests: u32) -> FixedWorkload {
    let mut rng = RngStreams::new(1).stream("bench");
    let list = (0..requests).map(|id| {
        let prompt = Prompt { leaf: None, tokens: rng.random_range(1000..3000) };
        Request::new(id, SimTime(u64::from(id) * 25 * PS_PER_MS), prompt, rng.random_range(100..500))
    });
    FixedWorkload::new(PrefixForest::new(), list.collect())
}

fn cluster(cost: &Arc<dyn StepCost>, stepping: Stepping) -> ClusterConfig {
    let instance = InstanceConfig {
        cost: Arc::clone(cost),
        kv_blocks: 20_000,
        block_tokens: 16,
        max_batched_tokens: 2048,
        max_seqs: 256,
        mixing: Mixing::DecodeFirst,
        order: Order::Fcfs,
        watermark_blocks: 0,
        cache: CacheConfig::default(),
        eviction: EvictionConfig::default(),
    };
    ClusterConfig { stepping, ..ClusterConfig::new(vec![instance; 8]) }
}

fn steps() {
    let linear = Linear { step: 8 * PS_PER_MS, per_prefill_token: PS_PER_MS / 30, per_seq: 0, per_context: 20_000 };
    let costs: [(&str, Arc<dyn StepCost>); 2] =
        [("linear", Arc::new(linear)), ("polynomial", Arc::new(Polynomial { kv_tokens: 320_000 }))];
    println!("{:34}{:>14}{:>14}{:>14}", "", "iterations", "ns/iteration", "ns/request");
    for (name, cost) in &costs {
        for (how, stepping) in [("closed form", Stepping::Macro), ("every step", Stepping::Every)] {
            let requests = 20_000;
            let config = cluster(cost, stepping);
            let registry = Registry::default();
            let def = registry.get("least-loaded").expect("a built-in scheduler");
            let scheduler = (def.build)(&Value::Object(Map::new()), &build_context(&config)).expect("defaults");
            let mut workload = load(requests);
            let start = Instant::now();
            let result = run(&config, def, scheduler, &mut workload);
            let nanos = start.elapsed().as_nanos() as f64;
            let iterations: u64 = result.instances.iter().map(|instance| instance.iterations).sum();
            println!(
                "{:34}{iterations:>14}{:>14.1}{:>14.0}",
                format!("{name} cost, {how}"),
                nanos / iterations as f64,
                nanos / f64::from(requests)
            );
        }
    }
}

fn lookups() {
    println!("\n{:34}{:>14}", "nodes of a prompt", "ns/lookup");
    for nodes in [1, 8, 64, 512_u32] {
        let mut forest = PrefixForest::new();
        let mut rng = RngStreams::new(1).stream("bench");
        let tokens = 512 * nodes;
        let leaves: Vec<_> = (0..64)
            .map(|_| (1..=nodes).fold(None, |above, node| Some(forest.add(above, 512 * node).expect("a node"))))
            .collect();
        let count = 2_000_000 / (nodes + 8);
        let requests: Vec<Request> = (0..count)
            .map(|id| {
                let leaf = leaves[rng.random_range(0..leaves.len())];
                Request::new(id, SimTime(u64::from(id)), Prompt { leaf, tokens }, 1)
            })
            .collect();
        let context = CacheContext {
            blocks: u64::from(64 * nodes),
            block_tokens: 512,
            rng: RngStreams::new(1).stream("eviction/instance-0"),
            cost: Arc::new(Linear::default()),
            max_batched_tokens: 2048,
            future: None,
        };
        let lru = evictions().iter().find(|def| def.name == "lru").expect("the default");
        let order = (lru.build)(&Value::Null, &context).expect("defaults");
        let start = Instant::now();
        let hits = replay_cache(&forest, requests.iter(), (context.blocks, 512), false, order);
        let nanos = start.elapsed().as_nanos() as f64;
        assert!(hits.hit_blocks * 10 > hits.blocks * 9, "nearly everything is cached");
        println!("{nodes:<34}{:>14.0}", nanos / f64::from(count));
    }
}

fn main() {
    steps();
    lookups();
}
