//! What eviction policies must do, on the caches alone: `replay_cache` runs requests through one cache without time.
//! That each of them is what it says is held against `naive/chooser.rs` by the agreement test.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "the figures of docs/caches.md; a loud skip")]

use std::path::PathBuf;
use std::sync::Arc;

use proptest::prelude::*;
use rand::RngExt;
use serde_json::{Value, json};
use trimtab_core::{FixedWorkload, PS_PER_S, PrefixForest, PrefixId, Prompt, Request, RngStreams, SessionId, SimTime};
use trimtab_engine::cost::Linear;
use trimtab_engine::{
    CacheConfig, CacheContext, CacheHits, ClusterConfig, EvictionConfig, EvictionDef, Future, InstanceConfig, Mixing,
    Order as WaitingOrder, evictions, replay_cache, run,
};
use trimtab_sched::{Actions, Arrival, ClusterView, Decision, Scheduler, SchedulerDef, Signals, no_params};
use trimtab_workload::stats::lru_hits;
use trimtab_workload::{GenOptions, ReadOptions, generator_by_name, read_file};

fn def(name: &str) -> &'static EvictionDef {
    evictions().iter().find(|def| def.name == name).expect("a policy")
}

fn hits(def: &EvictionDef, params: &Value, all: &FixedWorkload, (capacity, block): (u64, u32), seed: u64) -> CacheHits {
    let context = CacheContext {
        blocks: capacity,
        block_tokens: block,
        rng: RngStreams::new(seed).stream("eviction/instance-0"),
        cost: Arc::new(Linear { step: 5_000, per_prefill_token: 60, per_context: 1, ..Linear::default() }),
        max_batched_tokens: 2048,
        future: Some(Arc::new(Future::new(&all.forest, &all.requests))),
    };
    let order = (def.build)(params, &context).expect("the parameters are right");
    replay_cache(&all.forest, all.requests.iter(), (capacity, block), false, order)
}

fn blocks(name: &str, all: &FixedWorkload, capacity: u64) -> u64 {
    hits(def(name), &Value::Null, all, (capacity, 1), 1).hit_blocks
}

/// Prompts of one block each.
fn one_block(keys: impl IntoIterator<Item = u32>) -> FixedWorkload {
    one_block_by(keys.into_iter().map(|key| (key, None)))
}

/// The same with the sessions that send them.
fn one_block_by(keys: impl IntoIterator<Item = (u32, Option<u32>)>) -> FixedWorkload {
    let mut forest = PrefixForest::new();
    let mut nodes: Vec<PrefixId> = Vec::new();
    let mut requests = Vec::new();
    for (id, (key, session)) in (0..).zip(keys) {
        while nodes.len() <= key as usize {
            nodes.push(forest.add(None, 1).expect("a node"));
        }
        let prompt = Prompt { leaf: Some(nodes[key as usize]), tokens: 1 };
        let session = session.map(SessionId);
        requests.push(Request { session, ..Request::new(id, SimTime(u64::from(id) * PS_PER_S), prompt, 1) });
    }
    FixedWorkload::new(forest, requests)
}

/// Documents of several blocks with shared heads, asked about again and again by sessions; some more popular.
fn documents(seed: u64) -> FixedWorkload {
    let mut rng = RngStreams::new(seed).stream("documents");
    let mut forest = PrefixForest::new();
    let heads: Vec<PrefixId> = (0..8).map(|_| forest.add(None, 4).expect("a node")).collect();
    let documents: Vec<PrefixId> = (0..60)
        .map(|_| {
            let head = heads[rng.random_range(0..heads.len())];
            forest.add(Some(head), 4 + rng.random_range(1..12)).expect("a node")
        })
        .collect();
    let requests = (0..1500).map(|id| {
        let document = rng.random_range(0..documents.len()).min(rng.random_range(0..documents.len()));
        let node = documents[document];
        let end = forest.end(node) + rng.random_range(1..4);
        let leaf = forest.add(Some(node), end).expect("a node");
        let prompt = Prompt { leaf: Some(leaf), tokens: end };
        let session = Some(SessionId(u32::try_from(document).expect("few")));
        Request { session, ..Request::new(id, SimTime(u64::from(id) * PS_PER_S), prompt, 1) }
    });
    let requests = requests.collect();
    FixedWorkload::new(forest, requests)
}

#[test]
fn one_pass_and_a_replay_of_lru_agree() {
    let all = documents(3);
    let capacities = [1, 7, 30, 100, 300, 1000, 10_000];
    let passed = lru_hits(&all.forest, &all.requests, 1, false, &capacities);
    for (capacity, expected) in capacities.into_iter().zip(passed) {
        let replayed = hits(def("lru"), &Value::Null, &all, (capacity, 1), 1);
        assert_eq!((replayed.hit_blocks, replayed.hit_tokens), expected, "{capacity} blocks");
    }
}

#[test]
fn a_cycle_just_above_the_capacity() {
    let cycle = one_block((0..10_000).map(|index| index % 101));
    for (name, least, most) in [
        ("lru", 0, 0),
        ("fifo", 0, 0),
        // A marking policy keeps about 1 - 1/H_k of a cycle of k + 1, and random eviction not much less.
        ("rlt", 9_000, 9_800),
        ("random-leaf", 8_800, 9_800),
        // 100 of 101 cannot be had: one miss in 100 requests.
        ("belady", 9_750, 9_810),
    ] {
        let found = blocks(name, &cycle, 100);
        println!("cycle of 101 through 100 blocks, {name}: {found} of 10,000");
        assert!((least..=most).contains(&found), "{name}: {found}");
    }
    let paper = hits(def("rlt"), &json!({ "form": "as-paper" }), &cycle, (100, 1), 1);
    assert!(paper.hit_blocks > 9_000, "as-paper: {}", paper.hit_blocks);
}

#[test]
fn all_policies_are_equal_when_all_fits() {
    let all = documents(5);
    let unbounded = hits(def("lru"), &Value::Null, &all, (1 << 40, 1), 1);
    for def in evictions() {
        let found = hits(def, &Value::Null, &all, (100_000, 1), 1);
        assert_eq!((found.hit_blocks, found.evicted_blocks), (unbounded.hit_blocks, 0), "{}", def.name);
    }
}

#[test]
fn pins_of_sessions_outlast_others_and_yield_under_pressure() {
    let ttl =
        |all: &FixedWorkload, seconds: f64| hits(def("ttl"), &json!({ "ttl_s": seconds }), all, (4, 1), 1).hit_blocks;
    // Two turns of session 0 with four strangers between them: LRU has lost it by then.
    let strangers = one_block_by([(0, Some(0)), (1, None), (2, None), (3, None), (4, None), (0, Some(0))]);
    assert_eq!((ttl(&strangers, 60.0), ttl(&strangers, 2.0), blocks("lru", &strangers, 4)), (1, 0, 0));
    // Six sessions on four blocks: all is pinned, and the sessions that came last yield.
    let keys = (0..6).chain([0, 1, 2]);
    let sessions = one_block_by(keys.map(|key| (key, Some(key))));
    let pinned = hits(def("ttl"), &json!({ "ttl_s": 60.0 }), &sessions, (4, 1), 1);
    assert_eq!((pinned.hit_blocks, pinned.evicted_blocks), (3, 2));
    assert_eq!(blocks("lru", &sessions, 4), 0);
}

#[test]
fn a_cache_never_hits_more_than_an_endless_one() {
    let all = documents(7);
    let unbounded = hits(def("lru"), &Value::Null, &all, (1 << 40, 1), 1).hit_blocks;
    for def in evictions() {
        for capacity in [1, 3, 10, 64, 200] {
            let found = hits(def, &Value::Null, &all, (capacity, 1), 1);
            assert!(found.hit_blocks <= unbounded, "{} at {capacity}", def.name);
        }
    }
}

proptest! {
    #[test]
    fn nothing_beats_belady_on_prompts_of_one_block(
        keys in prop::collection::vec(0u32..12, 1..200),
        capacity in 1u64..10,
        seed in any::<u64>(),
    ) {
        let all = one_block(keys);
        let best = blocks("belady", &all, capacity);
        for def in evictions() {
            let found = hits(def, &Value::Null, &all, (capacity, 1), seed).hit_blocks;
            prop_assert!(found <= best, "{}: {} > {}", def.name, found, best);
        }
    }
}

/// Capacities of the golden counts.
const SIZES: [u64; 8] = [16, 32, 64, 128, 256, 512, 1024, 2048];

/// Hit blocks of [`documents`] by policy at [`SIZES`]; a change here changes stored results.
const GOLDEN: [(&str, [u64; 8]); 12] = [
    ("lru", [1618, 2835, 4806, 7571, 10284, 12629, 13261, 13332]),
    ("lfu", [1770, 4506, 6916, 9511, 12420, 13183, 13311, 13332]),
    ("length-aware", [1861, 4730, 6964, 9549, 12656, 13332, 13332, 13332]),
    ("fifo", [1618, 2835, 4806, 7571, 10284, 12629, 13261, 13332]),
    ("random-leaf", [1734, 3407, 5819, 8418, 11313, 13173, 13328, 13332]),
    ("rlt", [1714, 3233, 5417, 7939, 10757, 12892, 13285, 13332]),
    ("sieve", [1683, 3848, 6454, 8960, 11935, 13183, 13311, 13332]),
    ("s3-fifo", [1695, 4136, 6787, 9196, 12451, 13193, 13309, 13332]),
    ("gdsf", [1645, 3754, 6445, 8621, 11665, 13113, 13311, 13332]),
    ("preble", [1770, 4551, 7012, 9468, 12135, 12926, 13261, 13332]),
    ("ttl", [1775, 3467, 4784, 7191, 10172, 12629, 13261, 13332]),
    ("belady", [2298, 5763, 8641, 11123, 13041, 13332, 13332, 13332]),
];

#[test]
fn golden_counts() {
    let all = documents(1);
    let counts = |name: &str| SIZES.map(|capacity| blocks(name, &all, capacity));
    assert_eq!(GOLDEN.len(), evictions().len());
    for (name, expected) in GOLDEN {
        assert_eq!(counts(name), expected, "{name}");
    }
}

/// The shape of Mooncake's table 1 (arXiv 2407.00079): LRU, then LFU, then length-aware, in blocks of 512 tokens.
fn check_shape(all: &FixedWorkload, capacities: &[u64]) {
    for &capacity in capacities {
        let of = |name: &str| hits(def(name), &Value::Null, all, (capacity, 512), 1).hit_blocks;
        let (lru, lfu, length) = (of("lru"), of("lfu"), of("length-aware"));
        println!("{capacity} blocks: lru {lru}, lfu {lfu}, length-aware {length}");
        // Below 5,000 blocks the order turns round: the most common heads are all that can be hit.
        assert!(capacity < 5_000 || (lru >= lfu && lfu >= length), "{capacity} blocks: {lru}, {lfu}, {length}");
    }
}

#[test]
fn lru_lfu_and_length_aware_on_generated_conversations() {
    let generator = generator_by_name("conversation").expect("there is one");
    let options = GenOptions { requests: Some(12_000), ..GenOptions::default() };
    let mut all = generator.generate(&Value::Null, &options).expect("the defaults are right");
    check_shape(&FixedWorkload::foreseen(&mut *all), &[10_000, 30_000, 50_000, 100_000]);
}

#[test]
fn lru_lfu_and_length_aware_on_a_real_trace() {
    let Some(folder) = std::env::var_os("TRIMTAB_TRACES") else {
        eprintln!("SKIPPED: set TRIMTAB_TRACES to a folder with mooncake_conversation.jsonl to run this test");
        return;
    };
    let file = PathBuf::from(folder).join("mooncake_conversation.jsonl");
    let all = read_file(file, &ReadOptions::default()).expect("the public trace is clean").into_workload();
    check_shape(&all, &[1_000, 2_000, 5_000, 10_000, 20_000, 30_000, 50_000, 100_000, 200_000]);
}

/// Asks how much of each prompt is cached where, several times, or does not, and sends requests round robin.
struct Peeking {
    times: u32,
    next: usize,
}

impl Scheduler for Peeking {
    fn route(&mut self, arrival: &Arrival<'_>, view: &ClusterView<'_>, _: &mut Actions) -> Decision {
        for _ in 0..self.times {
            view.members().iter().for_each(|&member| assert!(view.hit_tokens(arrival.id, member) < 100_000));
        }
        self.next += 1;
        Decision::Route(view.members()[self.next % view.members().len()])
    }
}

#[test]
fn looking_prompts_up_has_no_effect() {
    const DEF: SchedulerDef = SchedulerDef {
        name: "peeking",
        summary: "a look at every cache",
        citation: "test",
        deviations: &[],
        signals: Signals { prefix: true, ..Signals::NONE },
        hooks: false,
        params: no_params,
        build: |_, _| unreachable!("built by hand"),
    };
    let all = documents(2);
    for def in evictions() {
        let instance = InstanceConfig {
            cost: Arc::new(Linear { step: 5_000, per_prefill_token: 60, per_context: 1, ..Linear::default() }),
            kv_blocks: 128,
            block_tokens: 1,
            max_batched_tokens: 64,
            max_seqs: 8,
            mixing: Mixing::DecodeFirst,
            order: WaitingOrder::Fcfs,
            watermark_blocks: 0,
            cache: CacheConfig::default(),
            eviction: EvictionConfig { def: *def, params: Value::Null },
        };
        let config = ClusterConfig::new(vec![instance; 2]);
        let go = |times| run(&config, &DEF, Box::new(Peeking { times, next: 0 }), &mut all.clone());
        let (silent, curious) = (go(0), go(3));
        assert!(silent.instances.iter().all(|instance| instance.evicted_blocks > 500), "{}", def.name);
        assert_eq!(silent.rows, curious.rows, "{}", def.name);
    }
}
