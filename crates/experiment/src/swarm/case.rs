//! The random scenario of a seed.

use rand::{RngExt, seq::IndexedRandom};
use serde_json::{Value, json};
use trimtab_core::{RngStreams, StreamRng};
use trimtab_engine::{Mixing, Promotion, Split, Survives, WritePolicy, evictions};
use trimtab_sched::Registry;

use crate::scenario::{
    Admission, Autoscaler, Clients, Cluster, Cost, Event, Events, Feedback, Group, Order, Prefix, Router, Scenario,
    Signals, Tier, Transfer, Travel,
};

fn pick<T: Clone>(rng: &mut StreamRng, choices: &[T]) -> T {
    choices.choose(rng).expect("a choice").clone()
}

/// The scenario of a seed.
pub fn case(seed: u64, registry: &Registry) -> Scenario {
    let rng = &mut RngStreams::new(seed).stream("swarm");
    let mut scenario = Scenario { seed, ..Scenario::default() };
    scenario.cluster = cluster(rng);
    let (kind, params) = workload(rng);
    scenario.workload.kind = Some(kind.into());
    scenario.workload.params = params;
    scenario.workload.limit = Some(rng.random_range(5..=60));
    let def = registry.all().choose(rng).expect("there are schedulers");
    scenario.scheduler.kind = def.name.into();
    scenario.slo.ttft_s = rng.random_bool(0.8).then(|| pick(rng, &[0.2, 1.0, 5.0]));
    let signals = &mut scenario.signals;
    signals.prefix = pick(rng, &[Prefix::Oracle, Prefix::Oracle, Prefix::Events, Prefix::Shadow]);
    match signals.prefix {
        Prefix::Events => signals.delay_ms = pick(rng, &[1.0, 50.0, 2000.0]),
        Prefix::Shadow => {
            signals.capacity_tokens = rng.random_bool(0.5).then(|| rng.random_range(0..20_000));
            signals.ttl_ms = rng.random_bool(0.5).then(|| pick(rng, &[10.0, 5000.0]));
        }
        Prefix::Oracle | Prefix::Off => {}
    }
    signals.refresh_ms = pick(rng, &[0.0, 0.0, 10.0, 500.0]);
    lags(&mut RngStreams::new(seed).stream("swarm/lags"), signals);
    if rng.random_bool(0.3) {
        scenario.router.decision_us = pick(rng, &[0.0, 500.0, 50_000.0]);
        scenario.router.serial = rng.random_bool(0.5);
        scenario.router.network_us = pick(rng, &[0.0, 1000.0, 100_000.0]);
    }
    replicas(&mut RngStreams::new(seed).stream("swarm/replicas"), &mut scenario.router);
    if rng.random_bool(0.3) {
        scenario.transfer = Some(Transfer {
            bandwidth_gb_s: pick(rng, &[0.1, 10.0]),
            latency_us: pick(rng, &[0.0, 500.0]),
            overlapped: rng.random_bool(0.5),
            kv_bytes_per_token: Some(50_000.0),
        });
    }
    let instances = scenario.cluster.instances_at_start();
    if rng.random_bool(0.7) {
        scenario.event = (0..rng.random_range(1..=10)).map(|_| event(rng, instances)).collect();
        let dynamics = &mut scenario.dynamics;
        dynamics.startup_s = pick(rng, &[0.0, 0.5, 5.0]);
        dynamics.retries = pick(rng, &[0, 1, 3]);
        dynamics.retry_delay_s = pick(rng, &[0.0, 0.1]);
    }
    if rng.random_bool(0.2) {
        scenario.dynamics.mtbf_s = Some(pick(rng, &[2.0, 20.0]));
        scenario.dynamics.mttr_s = pick(rng, &[0.5, 10.0]);
    }
    scenario.clients = rng.random_bool(0.25).then(|| Clients {
        patience_s: pick(rng, &[0.05, 0.5, 3.0]),
        until_end: rng.random_bool(0.5),
        retries: pick(rng, &[0, 1, 4]),
        backoff_s: pick(rng, &[0.0, 0.2, 2.0]),
        retry_rejected: false,
    });
    if rng.random_bool(0.2) {
        scenario.autoscaler = Some(autoscaler(rng, &scenario));
    }
    let open = scenario.workload.kind.as_deref() != Some("multi-turn");
    let def = pick(rng, evictions());
    if rng.random_bool(0.5) && (open || !def.clairvoyant) {
        scenario.cluster.eviction = def.name.into();
    }
    match rng.random_range(0..4) {
        0 => scenario.cluster.host = Some(tier(rng, false)),
        1 => scenario.cluster.pool = Some(tier(rng, true)),
        _ => {}
    }
    gate(&mut RngStreams::new(seed).stream("swarm/admission"), &mut scenario);
    scenario
}

fn tier(rng: &mut StreamRng, pool: bool) -> Tier {
    let survives = pick(rng, &[Survives::Nothing, Survives::Restart, Survives::Failure]);
    Tier {
        capacity_tokens: pick(rng, &[5_000, 100_000]),
        bandwidth_gb_s: pick(rng, &[0.5, 10.0, 200.0]),
        latency_us: pick(rng, &[0.0, 500.0]),
        total_bandwidth_gb_s: (pool && rng.random_bool(0.5)).then_some(10.0),
        write: pick(rng, &[WritePolicy::Back, WritePolicy::Through]),
        promotion: pick(rng, &[Promotion::Copy, Promotion::Move]),
        prefetch: rng.random_bool(0.5),
        overlapped: rng.random_bool(0.5),
        survives: if pool { Survives::Nothing } else { survives },
        kv_bytes_per_token: Some(50_000.0),
    }
}

/// How reports travel, in a stream of its own: the rest of a case does not depend on it.
fn lags(rng: &mut StreamRng, signals: &mut Signals) {
    let span = |rng: &mut StreamRng| pick(rng, &[0.0, 5.0, 300.0]);
    let loss = |rng: &mut StreamRng| pick(rng, &[0.0, 0.1, 0.7]);
    if rng.random_bool(0.5) && signals.refresh_ms > 0.0 {
        signals.load = Travel { delay_ms: span(rng), jitter_ms: span(rng), loss: loss(rng) };
    }
    if rng.random_bool(0.5) && signals.prefix == Prefix::Events {
        signals.events = Events { refresh_ms: span(rng), jitter_ms: span(rng), loss: loss(rng) };
    }
    if rng.random_bool(0.3) {
        signals.feedback = Feedback {
            refresh_ms: span(rng),
            delay_ms: span(rng),
            jitter_ms: span(rng),
            loss: loss(rng),
            timeout_ms: pick(rng, &[10.0, 5000.0]),
        };
    }
}

/// Who stands before the router, in a stream of its own.
fn gate(rng: &mut StreamRng, scenario: &mut Scenario) {
    if rng.random_bool(0.6) {
        return;
    }
    for _ in 0..rng.random_range(1..=2) {
        let ttl = pick(rng, &[None, Some(0.3), Some(5.0)]);
        let (kind, params) = pick(
            rng,
            &[
                ("token-bucket", json!({ "rate": 5.0, "burst": 3.0, "per": "tenant" })),
                (
                    "token-bucket",
                    json!({ "rate": 2000.0, "burst": 4000.0, "unit": "tokens", "over": "wait", "ttl_s": ttl }),
                ),
                ("flow-control", json!({ "waiting": 1.0, "kv": 0.5, "ttl_s": ttl, "max_waiting": 8 })),
                ("flow-control", json!({ "detector": "concurrency-requests", "requests": 2.0, "ttl_s": ttl })),
                ("shedding", json!({ "below": 1, "rule": "probabilistic" })),
                ("shedding", json!({ "below": 1, "rule": "saturated" })),
                ("early-rejection", json!({ "ttft_slo_s": 1.0 })),
            ],
        );
        scenario.admission.push(Admission { kind: kind.into(), params });
    }
    if let Some(clients) = &mut scenario.clients {
        clients.retry_rejected = rng.random_bool(0.5);
    }
}

fn replicas(rng: &mut StreamRng, router: &mut Router) {
    if rng.random_bool(0.3) {
        router.replicas = Some(rng.random_range(2..=4));
        router.sync_s = pick(rng, &[None, Some(0.02), Some(1.0)]);
        router.split = pick(rng, &[None, Some(Split::RoundRobin), Some(Split::Hash)]);
    }
}

fn cluster(rng: &mut StreamRng) -> Cluster {
    let cost = |rng: &mut StreamRng| Cost::Linear {
        step_us: pick(rng, &[500.0, 4000.0, 10_000.0]),
        per_prefill_token_us: pick(rng, &[5.0, 50.0, 200.0]),
        per_seq_us: pick(rng, &[0.0, 20.0]),
        per_context_us: pick(rng, &[0.0, 0.02, 0.1]),
    };
    let mut cluster = Cluster {
        instances: rng.random_range(1..=6),
        kv_tokens: Some(pick(rng, &[3_000, 6_000, 20_000, 200_000])),
        block_tokens: pick(rng, &[16, 16, 64, 512]),
        max_batched_tokens: pick(rng, &[64, 512, 8192]),
        max_seqs: pick(rng, &[2, 8, 64]),
        mixing: pick(rng, &[Mixing::DecodeFirst, Mixing::DecodeFirst, Mixing::PrefillFirst]),
        order: pick(rng, &[Order::Fcfs, Order::Fcfs, Order::LongestPrefix, Order::Preble]),
        watermark: pick(rng, &[0.0, 0.0, 0.05]),
        cost: cost(rng),
        ..Cluster::default()
    };
    cluster.cache.partial_tail = rng.random_bool(0.2);
    if rng.random_bool(0.25) {
        for _ in 0..rng.random_range(2..=3) {
            cluster.group.push(Group {
                instances: rng.random_range(1..=3),
                kv_tokens: Some(pick(rng, &[6_000, 40_000])),
                cost: rng.random_bool(0.6).then(|| cost(rng)),
                max_batched_tokens: rng.random_bool(0.3).then_some(1024),
                ..Group::default()
            });
        }
    }
    cluster
}

fn workload(rng: &mut StreamRng) -> (&'static str, Value) {
    let rate = pick(rng, &[2.0, 10.0, 60.0]);
    let law = |low: f64, high: f64| json!({ "uniform": [low, high] });
    pick(
        rng,
        &[
            ("no-sharing", json!({ "rate": rate, "input": law(1.0, 2500.0), "output": law(1.0, 400.0) })),
            (
                "zipf",
                json!({ "rate": rate, "groups": 5, "prefix_tokens": 700, "suffix": law(1.0, 300.0), "output": law(1.0, 200.0) }),
            ),
            ("gsp", json!({ "rate": rate, "groups": 4, "total_tokens": 1200, "output_tokens": 30 })),
            (
                "multi-turn",
                json!({ "rate": rate, "first": law(50.0, 600.0), "output": law(5.0, 150.0), "think": law(0.0, 2.0), "known_outputs": true }),
            ),
            ("toolbench", json!({ "rate": rate })),
        ],
    )
}

fn autoscaler(rng: &mut StreamRng, scenario: &Scenario) -> Autoscaler {
    let aimed = scenario.slo.ttft_s.is_some();
    let open = scenario.workload.kind.as_deref() != Some("multi-turn");
    let (kind, params) = match rng.random_range(0..5) {
        0 if aimed => ("slo-target", json!({ "cooldown_up_s": 0.5, "cooldown_down_s": 1.0 })),
        1 if aimed => (
            "reactive",
            json!({ "metric": "late", "above": 0.3, "below": 0.1, "cooldown_up_s": 0.5, "cooldown_down_s": 1.0 }),
        ),
        2 if open => ("oracle", json!({ "horizon_s": 2.0 })),
        3 => ("scheduled", json!({ "plan": [[0.5, 2], [2.0, 5], [4.0, 1]] })),
        _ => ("reactive", json!({ "above": 1.0, "cooldown_up_s": 0.2, "cooldown_down_s": 0.5 })),
    };
    Autoscaler { kind: kind.into(), params, every_s: pick(rng, &[0.1, 1.0]), min: 1, max: rng.random_range(1..=8) }
}

fn event(rng: &mut StreamRng, instances: u32) -> Event {
    let mut event = Event { at_s: f64::from(rng.random_range(0..200_u32)) / 10.0, ..Event::default() };
    let some = |rng: &mut StreamRng| (0..instances).filter(|_| rng.random_bool(0.5)).take(3).collect::<Vec<u32>>();
    let mut listed = some(rng);
    if listed.is_empty() {
        listed.push(rng.random_range(0..instances));
    }
    let span = pick(rng, &[0.1, 1.0, 8.0]);
    match rng.random_range(0..10) {
        0 | 1 => event.add = Some(rng.random_range(1..=3)),
        2 => event.remove = Some(rng.random_range(1..=2)),
        3 => event.drain = listed,
        4 => (event.restart, event.every_s) = (listed, Some(span)),
        5 => (event.fail, event.for_s) = (listed, rng.random_bool(0.7).then_some(span)),
        6 => (event.slow, event.factor, event.for_s) = (listed, Some(pick(rng, &[0.5, 2.0, 3.7])), Some(span)),
        7 => (event.cut, event.for_s) = (listed, Some(span)),
        8 => (event.freeze, event.for_s) = (listed, Some(span)),
        _ => event.flush = listed,
    }
    event
}
