//! What one decision costs, by fleet size: `cargo bench -p trimtab-sched`.
//!
//! The probe answers from a few arithmetic operations, so that the policy is measured and not a cluster. Prompts have 20
//! blocks of 512 tokens and share heads as in a conversation workload. Preble and the oracle keep state for, or try, every
//! instance and are listed apart.
#![expect(clippy::print_stdout, reason = "a benchmark reports on standard output")]
#![expect(clippy::disallowed_methods, reason = "a benchmark reads the clock")]

use serde_json::{Value, json};
use std::collections::VecDeque;
use std::hint::black_box;
use std::time::Instant;
use trimtab_core::{
    InstanceId, PS_PER_MS, PrefixForest, PrefixId, Prompt, RequestId, RngStreams, SessionId, SimTime, TenantId,
};
use trimtab_sched::{
    Actions, Arrival, BuildContext, ClusterView, Counters, Decision, Hook, InstanceInfo, Probe, Queued, Registry,
    Snapshot, parts,
};

/// Loads and hits that differ between instances and cost nothing to find.
struct Fixed {
    pending: Vec<u64>,
    queued: u32,
}

impl Probe for Fixed {
    fn snapshot(&self, at: InstanceId) -> Snapshot {
        Snapshot { waiting: 1, running: 8, pending_prefill_tokens: self.pending[at.index()], ..Snapshot::default() }
    }
    fn hit_tokens(&self, request: RequestId, at: InstanceId) -> u32 {
        (request.0.wrapping_mul(31) ^ at.0) % 8 * 512
    }
    fn all_hit_tokens(&self, request: RequestId, out: &mut Vec<u32>) {
        out.clear();
        out.resize(self.pending.len(), 512);
        out[request.index() % self.pending.len()] = 4096;
    }
    fn prefill_ps(&self, _: InstanceId, new: u32, _: u32) -> u64 {
        u64::from(new) * 100_000_000
    }
    fn queue_ps(&self, at: InstanceId) -> u64 {
        self.pending[at.index()] * 100_000_000
    }
    fn queued(&self, _: InstanceId, out: &mut Vec<Queued>) {
        out.clear();
        out.extend((0..self.queued).map(|n| Queued {
            id: RequestId(n),
            arrival: SimTime::ZERO,
            prompt_tokens: 10_240,
            hit_tokens: 512,
        }));
    }
    fn transfer_ps(&self, _: InstanceId, _: InstanceId, tokens: u32) -> Option<u64> {
        Some(u64::from(tokens) * 10_000_000)
    }
}

/// Short rounds, so that the best one was not interrupted.
const ROUNDS: u32 = 60;
/// Prompts of a round; none is repeated in another.
const PROMPTS: u32 = 100;

/// Prompts of so many blocks: one shared block, one of 400 sessions, the rest its own.
fn prompts(blocks: u32) -> (PrefixForest, Vec<Vec<PrefixId>>) {
    let mut forest = PrefixForest::new();
    let mut grow = |parent: Option<PrefixId>, blocks: u32| {
        (0..blocks).fold(parent, |parent, _| {
            let end = parent.map_or(0, |p| forest.end(p)) + 512;
            Some(forest.add(parent, end).expect("grows"))
        })
    };
    let system = grow(None, 1);
    let sessions: Vec<_> = (0..400).map(|_| grow(system, 1)).collect();
    let leaves: Vec<_> = (0..ROUNDS * PROMPTS)
        .map(|n| grow(sessions[usize::try_from(parts::mix64(u64::from(n)) % 400).expect("small")], blocks - 2))
        .collect();
    let mut path = Vec::new();
    let paths = leaves
        .into_iter()
        .map(|leaf| {
            forest.path(Prompt { leaf, tokens: blocks * 512 }, &mut path);
            path.clone()
        })
        .collect();
    (forest, paths)
}

/// Nanoseconds per decision, the best of several rounds.
fn measure(name: &str, params: &Value, instances: u32, queued: u32, blocks: u32) -> f64 {
    let (forest, paths) = prompts(blocks);
    let n = instances as usize;
    let info = InstanceInfo {
        kv_blocks: 2_000,
        block_tokens: 512,
        max_batched_tokens: 2048,
        max_seqs: 256,
        prefill_tokens_per_s: 10_000,
    };
    let context = BuildContext { instances: vec![info; n], streams: RngStreams::new(1), slo_ttft: None };
    let registry = Registry::default();
    let def = registry.get(name).expect("a built-in scheduler");
    let mut scheduler = (def.build)(params, &context).expect("valid parameters");
    let loads: Vec<u64> =
        (0..n as u64).map(|i| parts::mix64(i) % 40_000 + if queued > 0 { 60_000 } else { 0 }).collect();
    let counters = Counters {
        dispatched: loads.clone(),
        in_flight: loads.iter().map(|&l| u32::try_from(l / 1000).expect("small")).collect(),
        in_flight_tokens: loads.clone(),
        active_prefill_tokens: loads.clone(),
        pending_prefill_tokens: loads.clone(),
    };
    let probe = Fixed { pending: loads, queued };
    let members: Vec<InstanceId> = (0..instances).map(InstanceId).collect();
    let mut actions = Actions::new(false);
    let mut live = VecDeque::new();
    let mut best = f64::INFINITY;
    for round in 0..ROUNDS {
        let start = Instant::now();
        for at in round * PROMPTS..(round + 1) * PROMPTS {
            let now = SimTime(u64::from(at) * 10 * PS_PER_MS);
            let arrival = Arrival {
                id: RequestId(at),
                arrival: now,
                prompt: Prompt { leaf: paths[at as usize].last().copied(), tokens: blocks * 512 },
                path: &paths[at as usize],
                forest: &forest,
                session: Some(SessionId(at % 400)),
                turn: 0,
                tenant: TenantId(0),
                model: 0,
                priority: 0,
            };
            let view = ClusterView::new(now, &members, def.signals, &counters, &probe);
            let decision = black_box(scheduler.route(&arrival, &view, &mut actions));
            actions.clear();
            // Every request ends 500 later, so that ledgers neither stay empty nor grow for ever.
            if let Decision::Route(instance) = decision {
                live.push_back((arrival.id, instance));
            }
            if def.hooks && live.len() > 500 {
                let (request, instance) = live.pop_front().expect("it is not empty");
                scheduler.hook(&Hook::FirstToken { request, instance, ttft: SimTime::ZERO }, &view, &mut actions);
                let finished = Hook::Finished { request, instance, output_tokens: 1, e2e: SimTime::ZERO };
                scheduler.hook(&finished, &view, &mut actions);
                actions.clear();
            }
        }
        // The first rounds fill tables and windows.
        if round >= 12 {
            best = best.min(start.elapsed().as_secs_f64() * 1e9 / f64::from(PROMPTS));
        }
    }
    best
}

fn main() {
    const FLEETS: [u32; 4] = [8, 64, 512, 4096];
    let line = |name: &str, params: &Value, queued: u32| {
        let times = FLEETS.map(|n| measure(name, params, n, queued, 20));
        let slope = (times[3] - times[1]) / f64::from(FLEETS[3] - FLEETS[1]);
        let label = if params.is_null() { name.to_owned() } else { format!("{name} {params}") };
        print!("{label:<58}");
        for time in times {
            print!("{time:>12.0}");
        }
        println!("{slope:>14.2}");
    };
    if std::env::args().any(|arg| arg == "--long-prompts") {
        return long_prompts();
    }
    println!("{:<58}{:>12}{:>12}{:>12}{:>12}{:>14}", "ns per decision, by instances", 8, 64, 512, 4096, "ns/instance");
    let registry = Registry::default();
    let apart = ["preble", "oracle-min-ttft"];
    for def in registry.all().iter().filter(|def| !apart.contains(&def.name)) {
        line(def.name, &Value::Null, 0);
    }
    line("dualmap", &json!({ "variant": "no-rebalance" }), 0);
    line("cache-affinity", &json!({ "mode": "literal" }), 0);
    line("preble", &json!({ "variant": "half-rule" }), 0);
    println!("apart:");
    line("preble", &Value::Null, 0);
    line("oracle-min-ttft", &Value::Null, 0);
    println!("both candidates overloaded, 100 requests queued at each (divide by 200 for one queued request scanned):");
    line("dualmap", &Value::Null, 100);
    long_prompts();
}

fn long_prompts() {
    let registry = Registry::default();
    println!("64 instances, prompts of 100 blocks, ends of requests included:");
    for def in registry.all() {
        println!("{:<58}{:>12.0}", def.name, measure(def.name, &Value::Null, 64, 0, 100));
    }
    for (name, params) in [
        ("sglang-cache-aware", json!({ "max_tree_size": 1_000_000, "eviction_interval_s": 1.0 })),
        ("dynamo-kv", json!({ "index": "approximate" })),
        (
            "dynamo-kv",
            json!({ "index": "approximate", "preset": "earlier", "queue_threshold": null, "max_blocks": 100_000 }),
        ),
        ("dynamo-kv", json!({ "temperature": 1.0, "overlap_score_credit_decay": 1.0 })),
    ] {
        println!("{:<58}{:>12.0}", format!("{name} {params}"), measure(name, &params, 64, 0, 100));
    }
}
