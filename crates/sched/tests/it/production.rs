//! Routers of serving products: golden vectors, and what is particular to each.

use serde_json::{Value, json};
use trimtab_core::{InstanceId, PS_PER_MS, Prompt, RequestId, SessionId, SimTime, TenantId};
use trimtab_sched::{Decision, History, Snapshot};

use crate::mock::{BLOCK, Cluster, Run, secs};

fn to(run: &mut Run, id: RequestId) -> u32 {
    match run.offer(id).decision {
        Decision::Route(InstanceId(at)) => at,
        other => panic!("{other:?}"),
    }
}

/// Where a prompt of one block goes, over many seeds of a cluster that is set up by `set`.
fn choices(name: &str, params: &Value, instances: u32, set: impl Fn(&mut Cluster)) -> Vec<u32> {
    let mut seen: Vec<u32> = (0..60)
        .map(|n| {
            let mut cluster = Cluster::new(instances, 1000);
            cluster.frozen = true;
            let leaf = cluster.chain(None, 1);
            set(&mut cluster);
            cluster.seed = n;
            let id = cluster.request(SimTime::ZERO, leaf);
            to(&mut Run::new(name, params, cluster), id)
        })
        .collect();
    seen.sort_unstable();
    seen.dedup();
    seen
}

fn kv(used: u64, waiting: u32, running: u32) -> (Snapshot, History) {
    let snapshot = Snapshot { used_blocks: used, total_blocks: 100, waiting, running, ..Snapshot::default() };
    (snapshot, History::default())
}

fn history(requests: u64, queue_s: f64, prefill_s: f64, decode_s: f64, lengths: [u64; 2]) -> (Snapshot, History) {
    let ps = |seconds: f64| u128::from(secs(seconds).0) * u128::from(requests);
    let history = History {
        requests,
        queue_ps: ps(queue_s),
        prefill_ps: ps(prefill_s),
        decode_ps: ps(decode_s),
        prompt_tokens: lengths[0] * requests,
        output_tokens: lengths[1] * requests,
    };
    (Snapshot::default(), history)
}

#[test]
fn aibrix_minima() {
    let requests = |counts: &'static [u32]| move |cluster: &mut Cluster| cluster.counters.in_flight = counts.to_vec();
    assert_eq!(choices("aibrix-least-request", &json!({}), 3, requests(&[3, 1, 1])), [1, 2], "ties at random");
    assert_eq!(choices("aibrix-least-request", &json!({}), 3, requests(&[3, 1, 0])), [2]);
    for (name, reports, expected) in [
        ("aibrix-least-kv-cache", vec![kv(50, 0, 0), kv(20, 9, 9), kv(20, 0, 0)], vec![1, 2]),
        // 2 x 100 + 50 = 250 against 2 x 120 + 5 = 245.
        ("aibrix-throughput", vec![history(7, 0., 0., 0., [100, 50]), history(3, 9., 9., 9., [120, 5])], vec![1]),
        ("aibrix-throughput", vec![history(7, 0., 0., 0., [1, 1]), history(0, 0., 0., 0., [0, 0])], vec![1]),
        // Common lengths are (100 + 300)/2 = 200 and (50 + 150)/2 = 100: 0.1 + 0.2/100*200 + 1/50*100 = 2.5 against
        // 0.2 + 0.3/300*200 + 3/150*100 = 2.4. Not rescaled, the first would win: 1.3 against 3.5.
        (
            "aibrix-least-latency",
            vec![history(9, 0.1, 0.2, 1.0, [100, 50]), history(2, 0.2, 0.3, 3.0, [300, 150])],
            vec![1],
        ),
    ] {
        assert_eq!(
            choices(name, &json!({}), u32::try_from(reports.len()).unwrap(), |c| c.reports.clone_from(&reports)),
            expected,
            "{name}"
        );
    }
    let late = [history(9, 0.5, 0.2, 1.0, [100, 50]), history(9, 0.0, 0.3, 1.0, [100, 50])];
    for (queue_time, expected) in [(true, 1), (false, 0)] {
        let params = json!({ "queue_time": queue_time });
        assert_eq!(
            choices("aibrix-least-latency", &params, 2, |c| c.reports = late.to_vec()),
            [expected],
            "{queue_time}"
        );
    }
}

/// Users with 1,000 and 9,000 recent tokens make a bucket of 5,000: places 0.2 and 1.8 in the list.
#[test]
fn vtc_basic_maps_users_onto_the_list() {
    // One prompt of n tokens counts n + 2 x 1.5 n = 4 n.
    let mut cluster = Cluster::new(3, 100);
    cluster.frozen = true;
    let prompt = |cluster: &mut Cluster, at: f64, tokens: u32, tenant: u16| {
        let leaf = cluster.forest.add(None, tokens).ok();
        let id = cluster.request(secs(at), leaf);
        cluster.requests[id.index()].tenant = TenantId(tenant);
        id
    };
    let ids = [
        // Nobody known: bucket 4,500, place 0.
        prompt(&mut cluster, 0.0, 250, 1),
        prompt(&mut cluster, 0.0, 2250, 2),
        prompt(&mut cluster, 1.0, 1, 1),
        prompt(&mut cluster, 1.0, 1, 2),
        prompt(&mut cluster, 1.0, 1, 3),
        // The window is over: the heavy user starts anew.
        prompt(&mut cluster, 302.0, 1, 2),
    ];
    let mut run = Run::new("aibrix-vtc-basic", &json!({ "noise": 0.0 }), cluster);
    let chosen = ids.map(|id| to(&mut run, id));
    assert_eq!(chosen, [0, 0, 0, 2, 0, 0]);
    // 60 requests on instance 0 are worth 0.6: from place 0.2 the next one, at 0.8, is still further than 0.2 + 0.6.
    for (busy, expected) in [(59, 0), (61, 1)] {
        let mut cluster = Cluster::new(3, 100);
        cluster.frozen = true;
        let ids = [(250, 1), (2250, 2), (1, 1)].map(|(tokens, tenant)| prompt(&mut cluster, 0.0, tokens, tenant));
        let mut run = Run::new("aibrix-vtc-basic", &json!({ "noise": 0.0 }), cluster);
        to(&mut run, ids[0]);
        to(&mut run, ids[1]);
        run.cluster.counters.in_flight = vec![busy, 0, 0];
        assert_eq!(to(&mut run, ids[2]), expected, "{busy} in flight");
    }
}

/// 4 waiting + running, and what was sent since the last report waits.
#[test]
fn vllm_counts_what_it_sent() {
    for (count_sent, expected) in [(true, [1, 0, 1, 2, 1]), (false, [1, 1, 1, 1, 0])] {
        let mut cluster = Cluster::new(3, 10);
        cluster.frozen = true;
        // Scores 7, 3 and 8.
        cluster.reports = vec![kv(0, 1, 3), kv(0, 0, 3), kv(0, 2, 0)];
        let ids: Vec<_> = (0..5).map(|n| cluster.request(SimTime(n * PS_PER_MS), None)).collect();
        let mut run = Run::new("vllm-data-parallel", &json!({ "count_sent": count_sent }), cluster);
        let mut chosen: Vec<u32> = ids[..4].iter().map(|&id| to(&mut run, id)).collect();
        // 11, 11 and 12 at last when counted: the next report forgets all that. Scores 4, 2 (or 5) and 4.
        run.cluster.reports = vec![kv(0, 1, 0), kv(0, u32::from(!count_sent), 2), kv(0, 0, 5)];
        chosen.push(to(&mut run, ids[4]));
        assert_eq!(chosen, expected, "{count_sent}");
    }
}

/// Cached 1,024 and 512 of 1,024 tokens, KV use 0.6 and 0.1, waiting 3 and 2.
#[test]
fn xllm_divides_whole_numbers() {
    // As coded 1 - 0.6 - 1 against 0 - 0.1 - 0; as meant 1 - 0.6 - 1 against 0.5 - 0.1 - 0.67. At equal queues as coded
    // 1 - 0.6 - 1 against 0 - 0.1 - 1, and as meant 1 - 0.6 - 1 against 0.5 - 0.1 - 1.
    for (division, waiting, used, expected) in [
        ("integer", 2, 60, 1),
        ("integer", 3, 60, 0),
        ("real", 2, 60, 1),
        ("real", 3, 60, 0),
        ("integer", 3, 80, 0),
        ("real", 3, 80, 1),
    ] {
        let mut cluster = Cluster::new(2, 100);
        let half = cluster.chain(None, 1);
        let leaf = cluster.chain(half, 1);
        cluster.warm(InstanceId(0), leaf);
        cluster.warm(InstanceId(1), half);
        cluster.reports = vec![kv(used, 3, 0), kv(10, waiting, 0)];
        let id = cluster.request(SimTime::ZERO, leaf);
        let mut run = Run::new("xllm-cache-aware", &json!({ "division": division }), cluster);
        assert_eq!(to(&mut run, id), expected, "{division} {waiting} {used}");
    }
}

/// Golden vector: new work 10 at load 20 costs 210, 100 at load 1 costs 200.
#[test]
fn lmetric_products() {
    for (params, in_flight, active, expected) in [
        (json!({}), [20, 1], [0, 0], 1),
        (json!({}), [18, 1], [0, 0], 0),
        (json!({ "reading": "queue-inclusive" }), [18, 1], [1, 0], 1),
        (json!({ "preset": "paper" }), [0, 0], [0, 0], 0),
        // A floor makes new work 100 and 100: the load decides.
        (json!({ "min_new_tokens": 100 }), [2, 1], [0, 0], 1),
    ] {
        let mut cluster = Cluster::new(2, 100);
        cluster.frozen = true;
        let head = cluster.forest.add(None, 900).ok();
        let more = cluster.forest.add(head, 990).ok();
        let whole = cluster.forest.add(more, 1000).ok();
        cluster.believed = vec![990, 900];
        let first = [more, head].map(|leaf| cluster.request(SimTime::ZERO, leaf));
        let probe = cluster.request(SimTime::ZERO, whole);
        let mut run = Run::new("lmetric", &params, cluster);
        // Instance 0 is sent 990 of the tokens, instance 1 is sent 900.
        for (at, id) in (0..).zip(first) {
            run.cluster.members = vec![InstanceId(at)];
            to(&mut run, id);
        }
        run.cluster.members = vec![InstanceId(0), InstanceId(1)];
        run.cluster.counters.in_flight = in_flight.to_vec();
        run.cluster.counters.active_prefill_tokens = active.to_vec();
        assert_eq!(to(&mut run, probe), expected, "{params} {in_flight:?}");
    }
}

/// Golden vector: of 5,000 tokens 2,900 cached are not enough, 3,000 are.
#[test]
fn kvaware_follows_nearly_full_hits_only() {
    for (cached, session, follows) in
        [(2900, None, false), (3000, None, true), (2999, Some(4), false), (0, None, false)]
    {
        let mut cluster = Cluster::new(4, 100_000);
        let head = if cached > 0 { cluster.forest.add(None, cached).ok() } else { None };
        let leaf = cluster.forest.add(head, 5000).ok();
        cluster.believed = vec![0, 0, 0, cached];
        let id = cluster.request(SimTime::ZERO, leaf);
        cluster.requests[id.index()].session = session.map(SessionId);
        let mut by_session = Run::new("production-stack-session", &json!({}), Cluster::new(4, 10));
        let twin = by_session.cluster.request(SimTime::ZERO, None);
        by_session.cluster.requests[twin.index()].session = session.map(SessionId);
        let fallback = to(&mut by_session, twin);
        let chosen = to(&mut Run::new("production-stack-kvaware", &json!({}), cluster), id);
        assert_eq!(chosen, if follows { 3 } else { fallback }, "{cached} {session:?}");
        assert!(session.is_some() || fallback == 0, "the first that was never used");
    }
}

#[test]
fn session_ring_keeps_sessions_and_spreads_the_rest() {
    let mut cluster = Cluster::new(4, 10);
    cluster.frozen = true;
    let ids: Vec<_> = (0..12).map(|n| cluster.request(secs(f64::from(n)), None)).collect();
    for (n, id) in ids.iter().enumerate() {
        cluster.requests[id.index()].session = (n % 3 == 0).then_some(SessionId(7));
    }
    let mut run = Run::new("production-stack-session", &json!({}), cluster);
    let chosen: Vec<u32> = ids.iter().map(|&id| to(&mut run, id)).collect();
    let home = chosen[0];
    assert!(chosen.iter().step_by(3).all(|&at| at == home), "{chosen:?}");
    let others: Vec<u32> = (0..4).filter(|&i| i != home).collect();
    let rest: Vec<u32> = chosen.iter().enumerate().filter(|(n, _)| n % 3 != 0).map(|(_, &at)| at).collect();
    assert_eq!(rest[..3], others, "first those that were never used");
}

/// Chunks of 32 tokens; a partial last chunk matches the same prompt alone.
#[test]
fn prefixaware_matches_chunks() {
    let params = json!({});
    for (sent, probe, matched) in [
        // Tokens of the prompt sent to instance 2, of which the probe continues or repeats the head, and of the probe.
        (100, 100, true),
        (100, 99, true),
        (31, 100, false),
        (31, 31, true),
        (100, 31, false),
        (33, 32, true),
    ] {
        let mut used = Vec::new();
        for seed in 0..40 {
            let mut cluster = Cluster::new(4, 100);
            cluster.frozen = true;
            cluster.seed = seed;
            let leaf = cluster.forest.add(None, 200).ok();
            let ids = [sent, probe].map(|tokens| cluster.request_of(SimTime::ZERO, Prompt { leaf, tokens }));
            cluster.members = vec![InstanceId(2)];
            let mut run = Run::new("production-stack-prefixaware", &params, cluster);
            to(&mut run, ids[0]);
            run.cluster.members = (0..4).map(InstanceId).collect();
            used.push(to(&mut run, ids[1]));
        }
        used.sort_unstable();
        used.dedup();
        let expected: &[u32] = if matched { &[2] } else { &[0, 1, 2, 3] };
        assert_eq!(used, expected, "{sent} then {probe}: with nothing matched any instance");
    }
}

/// Instance 1 was sent 10 tokens of 100, which is just enough; with less, the emptiest trees are 0 and 2.
#[test]
fn ray_follows_a_tenth() {
    for (shared, imbalance, busy, expected) in [
        (10, Value::Null, 99, vec![1]),
        (9, Value::Null, 0, vec![0, 2]),
        (10, json!(5), 5, vec![1]),
        // Out of balance, the less busy of two: never the busiest.
        (10, json!(5), 6, vec![0, 2]),
    ] {
        let mut used = Vec::new();
        for seed in 0..40 {
            let mut cluster = Cluster::new(3, 100);
            cluster.frozen = true;
            cluster.seed = seed;
            let head = cluster.forest.add(None, shared).ok();
            let leaf = cluster.forest.add(head, 100).ok();
            let ids = [head, leaf].map(|leaf| cluster.request(SimTime::ZERO, leaf));
            cluster.members = vec![InstanceId(1)];
            let mut run = Run::new("ray-prefix-affinity", &json!({ "imbalance": imbalance }), cluster);
            to(&mut run, ids[0]);
            run.cluster.members = (0..3).map(InstanceId).collect();
            run.cluster.counters.in_flight = vec![0, busy, 0];
            used.push(to(&mut run, ids[1]));
        }
        used.sort_unstable();
        used.dedup();
        assert_eq!(used, expected, "{shared} {imbalance} {busy}");
    }
}

/// Replicas take two requests each; the fifth waits until one has ended.
#[test]
fn ray_waits_for_capacity() {
    let mut cluster = Cluster::new(2, 100);
    let leaf = cluster.chain(None, 1);
    let ids: Vec<_> = (0..5).map(|_| cluster.request(SimTime::ZERO, leaf)).collect();
    let mut run = Run::new("ray-prefix-affinity", &json!({ "max_ongoing": 2 }), cluster);
    let done: Vec<_> = ids.iter().map(|&id| run.offer(id).decision).collect();
    assert_eq!(done[4], Decision::Park);
    assert_eq!(run.cluster.counters.in_flight, [2, 2], "full replicas are left out");
    run.advance(secs(1000.0));
    assert_eq!((run.ttfts.len(), run.parked.len()), (5, 0));
}

/// With the true caches and no lag the copy is the cache: the literal cache affinity, ties aside.
#[test]
fn approx_radix_on_true_caches_is_cache_affinity() {
    let run_of = |name: &str, params: &Value| {
        let mut cluster = Cluster::new(6, 40);
        let trunks: Vec<_> = (0..6).map(|n| cluster.chain(None, 3 + n)).collect();
        for (at, &trunk) in trunks.iter().enumerate() {
            cluster.warm(InstanceId::from_index(at), trunk);
        }
        let ids: Vec<_> = (0..200_u32)
            .map(|n| {
                let leaf = cluster.chain(trunks[(n * 7 % 6) as usize], n % 4);
                cluster.request(secs(f64::from(n)), leaf)
            })
            .collect();
        let mut run = Run::new(name, params, cluster);
        ids.iter().map(|&id| to(&mut run, id)).collect::<Vec<u32>>()
    };
    let literal = run_of("cache-affinity", &json!({ "mode": "literal" }));
    assert_eq!(run_of("approx-radix", &json!({ "index": "signal" })), literal);
}

/// Sent at 0 s, a prompt of two blocks is known after the lag and until its time is over.
#[test]
fn approx_radix_lags_and_forgets() {
    for (at, lag_s, ttl_s, known) in [
        (0.0, 0.0, 10.0, true),
        (0.9, 1.0, 10.0, false),
        (1.0, 1.0, 10.0, true),
        (9.9, 0.0, 10.0, true),
        (10.0, 0.0, 10.0, false),
    ] {
        let mut cluster = Cluster::new(2, 100);
        cluster.frozen = true;
        let leaf = cluster.chain(None, 2);
        let ids = [0.0, at].map(|at| cluster.request(secs(at), leaf));
        let mut run = Run::new("approx-radix", &json!({ "lag_s": lag_s, "ttl_s": ttl_s }), cluster);
        assert_eq!(to(&mut run, ids[0]), 0);
        // The holder is the busier one.
        assert_eq!(to(&mut run, ids[1]), u32::from(!known), "{at} s, lag {lag_s}, {ttl_s} to live");
    }
    // The guard of SGLang 0.4.6: a difference of more than 32.
    for (busy, expected) in [(32, 0), (33, 1)] {
        let mut cluster = Cluster::new(2, 100);
        cluster.frozen = true;
        let leaf = cluster.chain(None, 2);
        let ids = [leaf, leaf].map(|leaf| cluster.request(SimTime::ZERO, leaf));
        let mut run = Run::new("approx-radix", &json!({ "balance_abs": 32 }), cluster);
        to(&mut run, ids[0]);
        run.cluster.counters.in_flight = vec![busy, 0];
        assert_eq!(to(&mut run, ids[1]), expected);
    }
}

/// 4 ms a token: what is cached is free, what was assigned decays, and a tie within 1 ms goes to the first.
#[test]
fn lbgr_weighs_cache_against_assigned_work() {
    let mut cluster = Cluster::new(2, 100);
    cluster.frozen = true;
    let head = cluster.forest.add(None, 1000).ok();
    let leaf = cluster.forest.add(head, 1100).ok();
    let other = cluster.forest.add(None, 500).ok();
    let ids = [(0.0, head), (0.0, other), (0.0, leaf), (1.0, leaf)].map(|(at, leaf)| cluster.request(secs(at), leaf));
    let mut run = Run::new("lbgr", &json!({}), cluster);
    let chosen = ids.map(|id| to(&mut run, id));
    // 4,000 ms on the first; 2,000 against 6,000; 400 + 4,000 against 4,400 + 2,000; all cached on the first, which a
    // second later has a fifth of 4,400 ms left, against 4,400 + a fifth of 2,000.
    assert_eq!(chosen, [0, 1, 0, 0]);
}

#[test]
fn kubeai_and_sglang_bounds_are_presets() {
    // Three instances: the home has 5 of 5. KubeAI's bound is 1.25 x 6/3 = 2.5; the bound of 1.5 x 5/3 is 2.5 as well. At
    // 2 of 3 they are 1.67 and 1.5: both spill; at 2 of 4 they are 2.08 and 2.0.
    for (preset, loads, stays) in [
        ("kubeai", [5, 0, 0], false),
        ("sglang", [5, 0, 0], false),
        ("kubeai", [2, 1, 1], true),
        ("sglang", [2, 1, 0], false),
    ] {
        let choose = |loads: &[u32]| {
            choices("chwbl", &json!({ "preset": preset }), 3, |c| c.counters.in_flight = loads.to_vec())
        };
        let home = choose(&[0, 0, 0]);
        let mut turned = loads.to_vec();
        turned.rotate_right(home[0] as usize);
        assert_eq!(choose(&turned) == home, stays, "{preset} {loads:?}");
    }
    assert_eq!(BLOCK, 512, "the key of 25 tokens lies within the first block");
}

/// Golden vectors: a gap of 8 is balanced, and a pod above mean + std = 9.36 is skipped; a gap of 9 leaves only the least
/// busy, who have nothing.
#[test]
fn aibrix_prefix_cache_caps_the_load() {
    for (in_flight, cached, expected) in [
        ([10, 2, 3], [1000, 500, 0], vec![1]),
        ([11, 2, 2], [1000, 0, 0], vec![1, 2]),
        ([11, 2, 2], [1000, 0, 10], vec![2]),
        ([9, 2, 3], [1000, 1000, 0], vec![1]),
        ([2, 2, 2], [500, 504, 509], vec![0, 1, 2]),
        ([3, 2, 2], [500, 504, 509], vec![1, 2]),
        ([3, 2, 2], [520, 504, 0], vec![1]),
        ([3, 3, 2], [520, 504, 0], vec![0]),
    ] {
        for index in ["signal", "sent"] {
            let mut used = Vec::new();
            for seed in 0..40 {
                let mut cluster = Cluster::new(3, 100);
                cluster.frozen = true;
                cluster.seed = seed;
                cluster.believed = cached.to_vec();
                let leaf = cluster.forest.add(None, 1000).ok();
                let sent = cached.map(|tokens| cluster.request_of(SimTime::ZERO, Prompt { leaf, tokens }));
                let id = cluster.request(SimTime::ZERO, leaf);
                let mut run = Run::new("aibrix-prefix-cache", &json!({ "index": index }), cluster);
                for (at, id) in (0..).zip(sent) {
                    run.cluster.members = vec![InstanceId(at)];
                    to(&mut run, id);
                }
                run.cluster.members = (0..3).map(InstanceId).collect();
                run.cluster.counters.in_flight = in_flight.to_vec();
                used.push(to(&mut run, id));
            }
            used.sort_unstable();
            used.dedup();
            assert_eq!(used, expected, "{index}: {in_flight:?} {cached:?}");
        }
    }
}

/// Golden vectors: 2 + 0.2 + 3 against 0 + 1.8 + 0, and 0 + 0.2 + 3 against 2 + 1.8 + 0.
#[test]
fn llm_d_weighs_queue_kv_and_prefix() {
    let all = json!({});
    for (params, queues, kvs, expected) in [
        (&all, [0, 4], [90, 10], 0),
        (&all, [6, 0], [90, 10], 1),
        // A full hit beats any queue while KV use differs by less than a half.
        (&all, [600, 0], [50, 10], 0),
        (&all, [600, 0], [61, 10], 1),
        (&json!({ "preset": "precise" }), [1, 0], [5, 10], 0),
        // Here a full hit is worth as much as both others together.
        (&json!({ "preset": "precise" }), [1, 0], [99, 0], 0),
        (&json!({ "scorers": [{ "kind": "kv-cache-utilization" }] }), [0, 9], [11, 10], 1),
        (&json!({ "scorers": [{ "kind": "load-aware" }] }), [2, 1], [0, 0], 1),
        (&json!({ "scorers": [{ "kind": "running-requests-size" }] }), [1, 0], [0, 0], 0),
        (&json!({ "filters": [{ "kind": "utilization" }] }), [6, 5], [0, 0], 1),
        (&json!({ "filters": [{ "kind": "utilization" }] }), [0, 0], [81, 80], 1),
        (&json!({ "filters": [{ "kind": "utilization" }] }), [6, 6], [0, 0], 0),
    ] {
        let mut cluster = Cluster::new(2, 1000);
        cluster.frozen = true;
        let leaf = cluster.chain(None, 8);
        let [first, probe] = [0, 1].map(|_| cluster.request(SimTime::ZERO, leaf));
        cluster.believed = vec![8 * BLOCK, 0];
        cluster.members = vec![InstanceId(0)];
        let mut run = Run::new("llm-d", params, cluster);
        to(&mut run, first);
        run.cluster.members = (0..2).map(InstanceId).collect();
        run.cluster.counters.in_flight = vec![0, 0];
        run.cluster.reports = (0..2).map(|i| kv(kvs[i], queues[i], 7 - queues[i].min(7))).collect();
        let chosen = to(&mut run, probe);
        assert_eq!(chosen, expected, "{params} {queues:?} {kvs:?}");
    }
}

/// Sessions stick until a million tokens are in flight where they are bound.
#[test]
fn llm_d_sticks_until_saturated() {
    for (in_flight_tokens, moves) in [(400_000, false), (400_001, true)] {
        let mut cluster = Cluster::new(3, 10);
        cluster.frozen = true;
        let ids: Vec<_> = (0..3).map(|_| cluster.request(SimTime::ZERO, None)).collect();
        for id in &ids {
            cluster.requests[id.index()].session = Some(SessionId(3));
        }
        let mut run = Run::new("llm-d", &json!({ "preset": "sticky-until-saturated" }), cluster);
        let home = to(&mut run, ids[0]);
        run.cluster.counters.in_flight_tokens[home as usize] = in_flight_tokens;
        let next = to(&mut run, ids[1]);
        assert_eq!(next != home, moves, "{in_flight_tokens} tokens, which count two and a half times");
        run.cluster.counters.in_flight_tokens = vec![0; 3];
        assert_eq!(to(&mut run, ids[2]), next, "the session is bound where it went");
    }
}

/// Cold requests go around; those that somebody knows go where they are known.
#[test]
fn llm_d_spreads_cold_requests() {
    let params = json!({ "scorers": [{ "kind": "no-hit-lru" }, { "kind": "prefix-cache", "weight": 3 }] });
    let mut cluster = Cluster::new(4, 1000);
    cluster.frozen = true;
    let mut ids = Vec::new();
    for _ in 0..8 {
        let leaf = cluster.chain(None, 2);
        ids.extend([leaf, leaf].map(|leaf| cluster.request(SimTime::ZERO, leaf)));
    }
    let mut run = Run::new("llm-d", &params, cluster);
    let chosen: Vec<u32> = ids.iter().map(|&id| to(&mut run, id)).collect();
    assert_eq!(chosen, [0, 0, 1, 1, 2, 2, 3, 3, 0, 0, 1, 1, 2, 2, 3, 3]);
}

/// Nothing more is sent to a saturated pool until it has drained.
#[test]
fn llm_d_holds_requests_while_saturated() {
    let mut cluster = Cluster::new(2, 1000);
    let leaf = cluster.chain(None, 1);
    let ids: Vec<_> = (0..40).map(|_| cluster.request(SimTime::ZERO, leaf)).collect();
    let last = cluster.request(secs(0.1), leaf);
    cluster.requests[last.index()].priority = -1;
    let mut run = Run::new("llm-d", &json!({ "preset": "flow-control", "shed": "probabilistic" }), cluster);
    let decisions: Vec<Decision> = ids.iter().map(|&id| run.offer(id).decision).collect();
    let sent = decisions.iter().filter(|d| matches!(d, Decision::Route(_))).count();
    // All follow the prefix. With ten waiting on one endpoint and none on the other, 2 and 0 make 1 in the mean.
    assert_eq!(sent, 11, "{decisions:?}");
    assert!(decisions[sent..].iter().all(|&d| d == Decision::Park));
    assert_eq!(run.offer(last).decision, Decision::Reject, "a saturated pool sheds what has no priority");
    run.advance(secs(1e4));
    assert_eq!((run.ttfts.len(), run.parked.len()), (40, 0), "all that waited were sent in the end");
}

/// More than half of the prompt is followed, exactly half is not; nine requests more are too many.
#[test]
fn aibrix_preble_follows_half_within_balance() {
    for (shared, extra, busy, follows) in
        [(512, 511, 0, true), (512, 512, 0, false), (512, 511, 8, true), (512, 511, 9, false)]
    {
        let mut cluster = Cluster::new(2, 100);
        cluster.frozen = true;
        let head = cluster.forest.add(None, shared).ok();
        let leaf = cluster.forest.add(head, shared + extra).ok();
        let ids = [head, leaf].map(|leaf| cluster.request(SimTime::ZERO, leaf));
        cluster.members = vec![InstanceId(1)];
        let mut run = Run::new("aibrix-preble", &json!({}), cluster);
        to(&mut run, ids[0]);
        run.cluster.members = (0..2).map(InstanceId).collect();
        run.cluster.counters.in_flight = vec![0, busy];
        // The cost model knows nothing against the other one.
        assert_eq!(to(&mut run, ids[1]), u32::from(follows), "{shared} and {extra}, {busy} in flight");
    }
}
