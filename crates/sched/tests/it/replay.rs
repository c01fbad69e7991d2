//! Static replays of the Mooncake conversation trace: an LRU for each instance, no timing, work that never drains.

use rustc_hash::FxHashMap;
use serde_json::{Value, json};
use std::path::PathBuf;
use trimtab_core::{PrefixId, Prompt, RequestId, SimTime};
use trimtab_sched::Decision;
use trimtab_sched::parts::{HotnessTree, KeyRule};

use crate::mock::{BLOCK, Cluster, Run};

#[expect(clippy::print_stderr, reason = "a skipped test says so")]
fn trace() -> Option<PathBuf> {
    let Some(folder) = std::env::var_os("TRIMTAB_TRACES") else {
        eprintln!("SKIPPED: set TRIMTAB_TRACES to the folder of mooncake_conversation.jsonl");
        return None;
    };
    Some(PathBuf::from(folder).join("mooncake_conversation.jsonl"))
}

/// Announces the first `limit` requests of the trace, prompts cut to `max_tokens`.
fn load(cluster: &mut Cluster, limit: usize, max_tokens: u32) -> Option<()> {
    let text = std::fs::read_to_string(trace()?).unwrap();
    let mut nodes: FxHashMap<(Option<PrefixId>, u64), PrefixId> = FxHashMap::default();
    for line in text.lines().take(limit) {
        let row: Value = serde_json::from_str(line).unwrap();
        let tokens = u32::try_from(row["input_length"].as_u64().unwrap()).unwrap().min(max_tokens);
        let mut leaf = None;
        for hash in row["hash_ids"].as_array().unwrap().iter().take(tokens.div_ceil(BLOCK) as usize) {
            let key = (leaf, hash.as_u64().unwrap());
            leaf = Some(*nodes.entry(key).or_insert_with(|| {
                let end = leaf.map_or(0, |leaf| cluster.forest.end(leaf)) + BLOCK;
                cluster.forest.add(leaf, end).unwrap()
            }));
        }
        cluster.request_of(SimTime(row["timestamp"].as_u64().unwrap() * 1_000_000_000), Prompt { leaf, tokens });
    }
    Some(())
}

struct Outcome {
    hit_tokens: f64,
    hit_mean: f64,
    load_cv: f64,
    load_max: f64,
}

/// Hit ratios after 500 requests of warm-up; loads are all computed tokens.
fn replay(name: &str, params: &Value, instances: u32, capacity_blocks: usize, max_tokens: u32) -> Option<Outcome> {
    let mut cluster = Cluster::new(instances, capacity_blocks);
    cluster.frozen = true;
    load(&mut cluster, 4_000, max_tokens)?;
    let mut run = Run::new(name, params, cluster);
    let (mut hits, mut tokens, mut ratios) = (0, 0, 0.0);
    for id in 0..4_000 {
        let did = run.offer(RequestId(id));
        assert!(matches!(did.decision, Decision::Route(_)));
        if id >= 500 {
            let prompt = run.cluster.requests[id as usize].prompt.tokens;
            hits += u64::from(did.hit);
            tokens += u64::from(prompt);
            ratios += f64::from(did.hit) / f64::from(prompt);
        }
    }
    let loads: Vec<f64> = run.cluster.counters.pending_prefill_tokens.iter().map(|&t| t as f64).collect();
    let mean = loads.iter().sum::<f64>() / loads.len() as f64;
    let variance = loads.iter().map(|l| (l - mean) * (l - mean)).sum::<f64>() / loads.len() as f64;
    Some(Outcome {
        hit_tokens: hits as f64 / tokens as f64,
        hit_mean: ratios / 3_500.0,
        load_cv: variance.sqrt() / mean,
        load_max: loads.iter().copied().fold(0.0, f64::max) / mean,
    })
}

/// Keys of two blocks, as in the table.
fn two_blocks(extra: &[(&str, Value)]) -> Value {
    let mut params = json!({ "initial_blocks": 2, "adaptive": false });
    for (name, value) in extra {
        params[*name] = value.clone();
    }
    params
}

#[test]
fn bracket_of_hit_ratios() {
    let dualmap = |variant: &str| ("dualmap", two_blocks(&[("variant", json!(variant))]));
    // The table compares loads without the request's own tokens.
    let dualmap_blind =
        ("dualmap", two_blocks(&[("variant", json!("least-loaded")), ("own_tokens", json!("neither"))]));
    let rows: [((&str, Value), [f64; 4]); 5] = [
        (("cache-affinity", two_blocks(&[])), [0.323, 0.360, 0.317, 0.352]),
        (dualmap("cache-affinity"), [0.311, 0.349, 0.302, 0.341]),
        (dualmap_blind, [0.215, 0.274, 0.209, 0.267]),
        (("random", json!({})), [0.100, 0.187, 0.115, 0.191]),
        (("least-loaded", json!({})), [0.103, 0.190, 0.116, 0.192]),
    ];
    for ((name, params), expected) in rows {
        // 1 M tokens and prompts to 20,480; 0.5 M tokens and prompts to 10,240.
        let Some(large) = replay(name, &params, 8, 1_000_000 / 512, 20_480) else { return };
        let Some(small) = replay(name, &params, 8, 500_000 / 512, 10_240) else { return };
        let got = [large.hit_tokens, large.hit_mean, small.hit_tokens, small.hit_mean];
        for (got, expected) in got.iter().zip(expected) {
            assert!((got - expected).abs() <= 0.01, "{name} {params}: {got} instead of {expected}");
        }
    }
    let unlimited = replay("round-robin", &json!({}), 1, usize::MAX, 20_480).unwrap();
    assert!((unlimited.hit_tokens - 0.375).abs() <= 0.01 && (unlimited.hit_mean - 0.396).abs() <= 0.01);
}

#[test]
fn literal_affinity_collapses() {
    let Some(outcome) = replay("cache-affinity", &json!({ "mode": "literal" }), 8, 1_000_000 / 512, 20_480) else {
        return;
    };
    assert!((outcome.load_max - 8.0).abs() < 1e-9, "one instance does it all: {}", outcome.load_max);
    assert!((outcome.hit_tokens - 0.078).abs() <= 0.01, "{}", outcome.hit_tokens);
}

/// Without load pressure a candidate that never served loses to every warm one by the first block, which all share.
#[test]
fn one_instance_starves_without_load_pressure() {
    for salt in 0..4 {
        let params = two_blocks(&[
            ("variant", json!("no-rebalance")),
            ("threshold_tokens", json!(u64::MAX)),
            ("salt", json!(salt)),
        ]);
        let Some(outcome) = replay("dualmap", &params, 8, 1_000_000 / 512, 20_480) else { return };
        assert!((outcome.load_cv - 0.378).abs() <= 0.01, "salt {salt}: {}", outcome.load_cv);
        let mut cured = params.clone();
        cured["ignore_hit_tokens"] = json!(BLOCK);
        let cured = replay("dualmap", &cured, 8, 1_000_000 / 512, 20_480).unwrap();
        assert!(cured.load_cv < 0.1, "hits on the shared block no longer count: {}", cured.load_cv);
    }
}

#[test]
fn conversation_keys_are_two_blocks_long() {
    for window in [50, 100, 500, 1000] {
        let mut cluster = Cluster::new(8, 1);
        if load(&mut cluster, 4_000, 20_480).is_none() {
            return;
        }
        let rule = KeyRule { block_tokens: BLOCK, initial_blocks: 1, adaptive: true, window };
        let mut tree = HotnessTree::new(rule);
        let mut mix = std::collections::BTreeMap::new();
        for id in 0..4_000 {
            let key = cluster.with_arrival(RequestId(id), |arrival| tree.key(arrival, 8)).unwrap();
            *mix.entry(key.blocks).or_insert(0) += 1;
        }
        assert!(mix[&2] >= 3_800, "window {window}: {mix:?}");
    }
}
