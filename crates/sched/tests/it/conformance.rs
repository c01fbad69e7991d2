//! What every registered scheduler has to do.

use rand::RngExt;
use serde_json::{Map, Value, json};
use trimtab_core::{InstanceId, RequestId, RngStreams, SessionId, TenantId};
use trimtab_sched::{Decision, ParamsDoc, Registry, SchedulerDef};

use crate::mock::{Cluster, Did, Run, secs};

fn defaults(doc: &ParamsDoc) -> Value {
    Value::Object(doc.params.iter().map(|(name, value, _)| ((*name).to_owned(), value.clone())).collect::<Map<_, _>>())
}

/// A busy hour in small: shared prompts of three kinds, bursts, sessions, an instance that leaves and one that comes back.
fn busy(def: SchedulerDef, params: &Value, instances: u32) -> Vec<Did> {
    let mut cluster = Cluster::new(instances, 400);
    cluster.link = Some(1_000_000);
    let mut rng = RngStreams::new(3).stream("busy");
    let trunks: Vec<_> = (0..6).map(|kind| cluster.chain(None, 1 + 3 * kind)).collect();
    let mut at = 0.0;
    for n in 0..600_u32 {
        // Ten at a time, as in traces with coarse clocks.
        if n % 10 == 0 {
            at += f64::from(rng.random_range(1..4_u32)) * 0.7;
        }
        let trunk = trunks[rng.random_range(0..trunks.len())];
        let leaf = if n % 50 == 7 { None } else { cluster.chain(trunk, rng.random_range(0..6)) };
        let id = cluster.request(secs(at), leaf);
        let request = &mut cluster.requests[id.index()];
        request.session = (n % 3 != 0).then_some(SessionId(n % 40));
        request.tenant = TenantId(u16::try_from(n % 5).unwrap());
    }
    let mut run = Run::of(def, params, cluster);
    let mut done = Vec::new();
    for id in 0..600 {
        if instances > 2 && id == 200 {
            run.leave(InstanceId(1));
        }
        if instances > 2 && id == 400 {
            run.join(InstanceId(1));
        }
        done.push(run.offer(RequestId(id)));
    }
    run.advance(secs(1e6));
    assert!(run.cluster.counters.in_flight.iter().all(|&n| n == 0), "{}: something never ended", def.name);
    assert!(run.parked.is_empty(), "{} parked {:?} for ever", def.name, run.parked);
    done
}

fn all() -> Vec<SchedulerDef> {
    Registry::default().all().to_vec()
}

#[test]
fn busy_clusters_are_served_and_reproducible() {
    for def in all() {
        for instances in [1, 2, 3, 8] {
            let first = busy(def, &Value::Null, instances);
            assert_eq!(first, busy(def, &Value::Null, instances), "{} with {instances} is not deterministic", def.name);
            assert!(first.iter().any(|did| matches!(did.decision, Decision::Route(_))), "{}", def.name);
        }
    }
}

/// Modes that are not the default.
#[test]
fn every_mode_serves_a_busy_cluster() {
    let loads = [
        "in-flight",
        "in-flight-tokens",
        "active-prefill-tokens",
        "pending-prefill-tokens",
        "engine-requests",
        "engine-vllm-dp",
        "engine-pending-tokens",
    ];
    let mut modes: Vec<(&str, Value)> = loads.map(|load| ("least-loaded", json!({ "load": load }))).to_vec();
    for placement in ["ring", "mod-n", "rendezvous"] {
        modes.push(("consistent-hash", json!({ "key": "prefix", "placement": placement })));
        modes.push(("prefix-hash", json!({ "tokens": 4000, "placement": placement, "load_factor": 1.25 })));
        modes.push(("cache-affinity", json!({ "placement": placement })));
        for d in 1..=4 {
            modes.push(("dualmap", json!({ "placement": placement, "d": d, "threshold_tokens": 4000 })));
        }
    }
    for variant in ["full", "no-rebalance", "min-ttft", "least-loaded", "cache-affinity"] {
        modes.push(("dualmap", json!({ "variant": variant, "ttft_slo_s": 2.0 })));
    }
    modes.extend([
        ("cache-affinity", json!({ "mode": "literal" })),
        ("prefix-hash", json!({ "owner": "least-loaded" })),
        ("power-of-d", json!({ "d": 5 })),
        ("sticky-session", json!({ "ttl_s": 1.0 })),
        ("chwbl", json!({ "load_factor": 1.5, "count_this": false, "virtual_nodes": 1 })),
        ("preble", json!({ "variant": "half-rule" })),
        ("preble", json!({ "variant": "half-rule", "ties": "lowest-id" })),
        ("preble", json!({ "gate_per_instance": 0, "evict_weight": "miss", "window_s": 5.0 })),
        ("preble", json!({ "capacity_tokens": 5000, "threshold": 0.2, "initial_output_tokens": 0 })),
        ("mooncake", json!({ "theta": null })),
        ("aibrix-prefix-cache", json!({ "index": "signal", "imbalance": 1, "block_tokens": 16 })),
        ("aibrix-prefix-cache", json!({ "capacity_blocks": 5000, "block_tokens": 3, "ttl_s": 2.0 })),
        ("llm-d", json!({ "preset": "no-hit-lru", "lru_blocks": 50 })),
        ("llm-d", json!({ "preset": "precise", "picker": "weighted-random" })),
        ("llm-d", json!({ "preset": "latency", "slo_ttft_s": 2.0, "slo_tpot_s": 0.1 })),
        ("llm-d", json!({ "preset": "session", "picker": "random" })),
        ("llm-d", json!({ "preset": "sticky-until-saturated" })),
        ("llm-d", json!({ "preset": "flow-control", "detector": "concurrency-requests", "usage_limit": 0.05 })),
        ("llm-d", json!({ "preset": "flow-control", "fairness": "global-strict" })),
        ("llm-d", json!({ "preset": "load", "filters": [{ "kind": "utilization" }, { "kind": "concurrency" }] })),
        ("aibrix-preble", json!({ "gpu": "a6000", "imbalance": 2, "window_s": 2.0, "ttl_s": 4.0 })),
        ("aibrix-least-latency", json!({ "queue_time": false })),
        ("aibrix-vtc-basic", json!({ "user": "session", "window_s": 3.0 })),
        ("production-stack-prefixaware", json!({ "min_match_tokens": 1000, "chunk_tokens": 512 })),
        ("production-stack-kvaware", json!({ "threshold_tokens": 512 })),
        ("ray-prefix-affinity", json!({ "imbalance": 3, "max_ongoing": 4, "eviction": true })),
        ("vllm-data-parallel", json!({ "count_sent": false })),
        ("xllm-cache-aware", json!({ "division": "real" })),
        ("lmetric", json!({ "preset": "paper", "reading": "queue-inclusive", "min_new_tokens": 512 })),
        ("lbgr", json!({ "preset": "calibrated", "max_tree_characters": 10_000 })),
        ("approx-radix", json!({ "index": "signal" })),
        ("approx-radix", json!({ "lag_s": 0.5, "ttl_s": 3.0, "max_blocks": 50, "balance_abs": 4 })),
        ("mooncake", json!({ "theta": 1.0, "transfer": "overlapped", "guard": true, "reject": false })),
        ("sglang-cache-aware", json!({ "preset": "rust" })),
        ("sglang-cache-aware", json!({ "preset": "early", "balance_abs_threshold": 3, "max_tree_size": 9000 })),
        ("sglang-cache-aware", json!({ "units": "tokens", "max_tree_size": 9000, "eviction_interval_s": 2.0 })),
        ("sglang-power-of-two", json!({ "poll_s": 0.0 })),
        ("sglang-power-of-two", json!({ "loads": "requests" })),
        ("sglang-bounded-hash", json!({ "implicit_key": "tenant", "max_load_skew": 1.1 })),
        ("sglang-bucket", json!({ "rejoin": "even", "adjust_interval_s": 1.0, "balance_abs_threshold": 100_000 })),
        ("sglang-least-load", json!({ "poll_s": 5.0 })),
        ("sglang-least-load", json!({ "answers": "exact" })),
        ("dynamo-kv", json!({ "preset": "classic", "temperature": 0.5 })),
        ("dynamo-kv", json!({ "preset": "earlier", "index": "approximate", "ttl_s": 3.0, "max_blocks": 60 })),
        ("dynamo-kv", json!({ "queue_threshold": 0.0, "queue_policy": "wspt", "predicted_ttl_s": 1.0 })),
        ("dynamo-kv", json!({ "queue_threshold_tokens": 3000, "queue_policy": "lcfs", "queue_limit_tokens": 9000 })),
        ("dynamo-kv", json!({ "track_active_blocks": false, "overlap_score_credit_decay": 1.0 })),
        ("dynamo-kv", json!({ "track_prefill_tokens": false, "assume_kv_reuse": false, "block_tokens": 64 })),
    ]);
    let registry = Registry::default();
    for (name, params) in modes {
        for instances in [1, 2, 8] {
            let first = busy(*registry.get(name).unwrap(), &params, instances);
            let again = busy(*registry.get(name).unwrap(), &params, instances);
            assert_eq!(first, again, "{name} {params} with {instances}");
        }
    }
}

#[test]
fn empty_prompts_and_idle_clusters_are_served() {
    for def in all() {
        for instances in [1, 2, 5] {
            let mut cluster = Cluster::new(instances, 4);
            let leaf = cluster.chain(None, 1);
            let ids = [None, leaf, None, leaf].map(|leaf| cluster.request(secs(0.0), leaf));
            let mut run = Run::of(def, &Value::Null, cluster);
            for id in ids {
                let did = run.offer(id);
                assert!(matches!(did.decision, Decision::Route(_)), "{} with {instances}: {did:?}", def.name);
            }
        }
    }
}

/// Members whose ids have gaps, as after instances left for good.
#[test]
fn only_members_are_chosen() {
    for def in all() {
        let mut cluster = Cluster::new(8, 100);
        cluster.members = vec![InstanceId(1), InstanceId(4), InstanceId(6)];
        let ids: Vec<_> = (0..60)
            .map(|n| {
                let leaf = cluster.chain(None, 1 + n % 7);
                cluster.request(secs(f64::from(n) * 0.1), leaf)
            })
            .collect();
        let mut run = Run::of(def, &Value::Null, cluster);
        for id in ids {
            run.offer(id);
        }
    }
}

#[test]
fn parameters_round_trip() {
    for def in all() {
        let (doc, context) = ((def.params)(), Cluster::new(2, 10).context());
        let full = defaults(&doc);
        assert!((def.build)(&full, &context).is_ok(), "{}: its own defaults", def.name);
        assert!((def.build)(&Value::Null, &context).is_ok(), "{}: nothing", def.name);
        assert!((def.build)(&json!([1]), &context).is_err(), "{}: a list", def.name);
        for (name, _, text) in &doc.params {
            assert!(text.len() > 10, "{}: `{name}` needs a description", def.name);
            let mut wrong = full.clone();
            wrong[*name] = json!({ "a": 1 });
            let error = (def.build)(&wrong, &context).err().expect("an object is no value").0;
            assert!(error.contains(&format!("`{name}`")), "{}: {error}", def.name);
            let misspelt = format!("{name}x");
            let error = (def.build)(&json!({ misspelt: 1 }), &context).err().expect("an unknown name").0;
            assert!(error.contains(&format!("did you mean `{name}`?")), "{}: {error}", def.name);
        }
        let error = (def.build)(&json!({ "qqqqqqqq": 1 }), &context).err().expect("an unknown name").0;
        assert!(error.contains("qqqqqqqq"), "{}: {error}", def.name);
    }
}

#[test]
fn names_and_texts_are_fit_to_list() {
    let all = all();
    for (at, def) in all.iter().enumerate() {
        assert!(def.name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-'), "{}", def.name);
        assert!(all[..at].iter().all(|other| other.name != def.name), "{} twice", def.name);
        for text in [def.summary, def.citation].iter().chain(def.deviations) {
            assert!(!text.is_empty() && !text.ends_with('.') && !text.contains("  "), "{}: {text}", def.name);
        }
        assert!(!def.summary.starts_with(char::is_uppercase), "{}: {}", def.name, def.summary);
    }
}

#[test]
#[should_panic(expected = "without declaring it")]
fn undeclared_signals_cannot_be_read() {
    let mut def = *Registry::default().get("min-ttft").unwrap();
    def.signals = trimtab_sched::Signals::NONE;
    let mut cluster = Cluster::new(2, 4);
    let id = cluster.request(secs(0.0), None);
    Run::of(def, &Value::Null, cluster).offer(id);
}
