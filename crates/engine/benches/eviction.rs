//! What one eviction costs, by policy and size of the cache: `cargo bench -p trimtab-engine --bench eviction`.
//!
//! Prompts of four blocks, each in a node of its own, two of them new and two drawn among those of before, so that every
//! request evicts two blocks once the cache is full. Times are of the whole replay, lookups and insertions included, per evicted
//! block: CPU time where the system tells it (Linux), so that other work on the machine disturbs little.
#![expect(clippy::print_stdout, reason = "a benchmark reports on standard output")]
#![expect(clippy::disallowed_methods, reason = "a benchmark reads the clock")]

use std::sync::{Arc, OnceLock};
use std::time::Instant;

use rand::RngExt;
use serde_json::Value;
use trimtab_core::{PS_PER_MS, PrefixForest, PrefixId, Prompt, Request, RngStreams, SimTime};
use trimtab_engine::cost::Linear;
use trimtab_engine::{CacheContext, Future, evictions, replay_cache};

fn workload(requests: u32) -> (PrefixForest, Vec<Request>) {
    let mut rng = RngStreams::new(1).stream("bench");
    let mut forest = PrefixForest::new();
    let mut heads: Vec<PrefixId> = Vec::new();
    let list = (0..requests).map(|id| {
        if heads.len() < 64 || rng.random_bool(0.2) {
            let head = forest.add(None, 1).expect("a node");
            heads.push(forest.add(Some(head), 2).expect("a node"));
        }
        let head = heads[rng.random_range(0..heads.len())];
        let middle = forest.add(Some(head), 3).expect("a node");
        let leaf = forest.add(Some(middle), 4).expect("a node");
        Request::new(id, SimTime(u64::from(id) * PS_PER_MS), Prompt { leaf: Some(leaf), tokens: 4 }, 1)
    });
    let list = list.collect();
    (forest, list)
}

/// Nanoseconds of this thread on a processor; of the clock where the system does not tell.
fn nanoseconds() -> u128 {
    static START: OnceLock<Instant> = OnceLock::new();
    let told = std::fs::read_to_string("/proc/thread-self/schedstat").ok();
    let on_cpu = told.and_then(|text| text.split_whitespace().next()?.parse().ok());
    on_cpu.unwrap_or_else(|| START.get_or_init(Instant::now).elapsed().as_nanos())
}

fn main() {
    let sizes = [1_000, 10_000, 100_000, 1_000_000_u64];
    let (forest, requests) = workload(1_000_000);
    let future = Arc::new(Future::new(&forest, &requests));
    println!("nanoseconds per evicted block, by blocks of the cache\n");
    println!("{:14}{}", "", sizes.map(|size| format!("{size:>12}")).concat());
    for def in evictions() {
        let times = sizes.map(|blocks| {
            let context = CacheContext {
                blocks,
                block_tokens: 1,
                rng: RngStreams::new(1).stream("eviction/instance-0"),
                cost: Arc::new(Linear { per_prefill_token: 60, ..Linear::default() }),
                max_batched_tokens: 2048,
                future: Some(Arc::clone(&future)),
            };
            let order = (def.build)(&Value::Null, &context).expect("the defaults are right");
            let start = nanoseconds();
            let hits = replay_cache(&forest, requests.iter(), (blocks, 1), false, order);
            format!("{:>12.0}", (nanoseconds() - start) as f64 / hits.evicted_blocks.max(1) as f64)
        });
        println!("{:14}{}", def.name, times.concat());
    }
}
