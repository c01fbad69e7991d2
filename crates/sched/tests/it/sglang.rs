//! SGLang's policies: golden vectors, and the rules of their sources one by one.

use serde_json::{Value, json};
use trimtab_core::{InstanceId, PrefixId, RequestId, SessionId, SimTime, TenantId};
use trimtab_sched::{Decision, Registry};

use crate::mock::{BLOCK, Cluster, Run, secs};

fn routed(run: &mut Run, id: RequestId) -> u32 {
    match run.offer(id).decision {
        Decision::Route(InstanceId(at)) => at,
        other => panic!("{other:?}"),
    }
}

/// Where a prompt goes of which instance 0 was sent `shared` of `blocks` blocks, at these requests in flight.
fn choice(params: &Value, in_flight: &[u32], shared: u32, blocks: u32) -> u32 {
    let mut cluster = Cluster::new(u32::try_from(in_flight.len()).unwrap(), 100);
    cluster.frozen = true;
    let head = cluster.chain(None, shared);
    let (tail, other) = (cluster.chain(head, blocks - shared), cluster.chain(head, 1));
    let (first, second) = (cluster.request(SimTime::ZERO, other), cluster.request(SimTime::ZERO, tail));
    let mut run = Run::new("sglang-cache-aware", params, cluster);
    assert_eq!(routed(&mut run, first), 0, "all are idle: the first");
    run.cluster.counters.in_flight = in_flight.to_vec();
    routed(&mut run, second)
}

/// Golden vectors 1 and 2: both tests are strict and both must hold.
#[test]
fn imbalance() {
    let cli = json!({});
    for (params, loads, expected) in [
        // 70 > 64 and 100 > 45: the shortest queue, although instance 0 matches.
        (&cli, [100, 30], 1),
        // 60 <= 64, then 300 <= 315: balanced, so the match.
        (&cli, [140, 80], 0),
        (&cli, [300, 210], 0),
        // The edges: a difference of exactly 64, and exactly 1.5 times.
        (&cli, [64, 0], 0),
        (&cli, [65, 0], 1),
        (&cli, [195, 130], 0),
        (&cli, [196, 130], 1),
        (&json!({ "preset": "rust" }), [33, 0], 1),
        (&json!({ "preset": "rust" }), [32, 0], 0),
        (&json!({ "preset": "rust", "balance_abs_threshold": 40 }), [33, 0], 0),
        (&json!({ "preset": "early" }), [400, 366], 1),
        (&json!({ "preset": "rust" }), [400, 366], 0),
    ] {
        assert_eq!(choice(params, &loads, 9, 10), expected, "{params} {loads:?}");
    }
}

/// Three of ten blocks are 0.3 of the prompt, which is not more than the threshold.
#[test]
fn low_matches_leave_the_tree() {
    let smallest = json!({ "low_match": "smallest-tree" });
    for (params, loads, shared, expected) in [
        (&json!({}), [9, 5, 7], 4, 0),
        (&json!({}), [9, 5, 7], 3, 1),
        (&json!({ "cache_threshold": 0.29 }), [9, 5, 7], 3, 0),
        (&json!({ "preset": "rust", "max_tree_size": 1 << 26 }), [9, 5, 7], 5, 1),
        // Instances 1 and 2 hold nothing yet: the first of them, whatever its load.
        (&smallest, [9, 7, 5], 3, 1),
        (&smallest, [9, 7, 5], 4, 0),
        // Nothing matches where the tree was cut to nothing between the two requests.
        (&json!({}), [0, 0, 0], 0, 0),
    ] {
        assert_eq!(choice(params, &loads, shared, 10), expected, "{params} {shared}");
    }
}

/// One tree for all workers: the deepest edge names who was sent it first, not who holds most or was used last.
#[test]
fn the_deepest_edge_names_its_first_tenant() {
    let mut cluster = Cluster::new(3, 100);
    cluster.frozen = true;
    let head = cluster.chain(None, 4);
    let leaves: Vec<_> = (0..6).map(|_| cluster.chain(head, 1)).collect();
    let ids: Vec<_> = leaves.iter().map(|&leaf| cluster.request(SimTime::ZERO, leaf)).collect();
    let again = cluster.request(SimTime::ZERO, leaves[1]);
    let mut run = Run::new("sglang-cache-aware", &json!({ "balance_abs_threshold": 2 }), cluster);
    let mut chosen = Vec::new();
    for &id in &ids {
        chosen.push(routed(&mut run, id));
    }
    // Instance 0 takes three by affinity; then 3 - 0 > 2 and the shortest queues take one each, whose tails are theirs;
    // then all but the balance is back: max 3, min 1, and the shared head still names instance 0.
    assert_eq!(chosen, [0, 0, 0, 1, 2, 0]);
    // 4 - 1 > 2 once more: a shortest queue, and from now on two hold that leaf.
    assert_eq!(routed(&mut run, again), 1);
    run.leave(InstanceId(0));
    let leaf = run.cluster.chain(leaves[1], 0);
    run.cluster.counters.in_flight = vec![0; 3];
    let last = run.cluster.request(SimTime::ZERO, leaf);
    assert_eq!(routed(&mut run, last), 1, "who named it has left, one holder remains");
}

/// The tree is trimmed at most once in an interval, to so many characters for each worker.
#[test]
fn the_tree_is_trimmed_on_time() {
    for (interval, at, tokens, expected) in [
        // Ten blocks are 5,120 tokens: 20,480 characters at four each.
        (10.0, 9.0, 20_479, 0),
        (10.0, 10.0, 20_479, 1),
        (10.0, 10.0, 20_480, 0),
        (0.0, 1e5, 20_479, 0),
    ] {
        let mut cluster = Cluster::new(2, 100);
        cluster.frozen = true;
        let leaf = cluster.chain(None, 10);
        let ids = [0.0, at].map(|at| cluster.request(secs(at), leaf));
        let params = json!({ "max_tree_size": tokens, "eviction_interval_s": interval });
        let mut run = Run::new("sglang-cache-aware", &params, cluster);
        assert_eq!(routed(&mut run, ids[0]), 0);
        assert_eq!(routed(&mut run, ids[1]), expected, "{interval} {at} {tokens}");
    }
}

/// A monitor's token loads decide when it has them for both, and requests in flight otherwise.
#[test]
fn power_of_two_never_mixes_units() {
    let pick = |params: &Value, long_first: bool, joined: bool| {
        let mut cluster = Cluster::new(2, 100);
        cluster.frozen = true;
        // One long prompt on instance 0, three short ones on instance 1.
        let (long, short) = (cluster.chain(None, 20), cluster.chain(None, 1));
        let sent = [(long, 0), (short, 1), (short, 1), (short, 1)];
        let mut ids = Vec::new();
        for (leaf, to) in sent {
            ids.push((cluster.request(SimTime::ZERO, leaf), InstanceId(to)));
        }
        let probe = cluster.request(secs(1.0), short);
        let mut run = Run::new("sglang-power-of-two", params, cluster);
        if long_first {
            for &(id, to) in &ids {
                run.cluster.dispatch(id, to);
            }
        }
        if joined {
            run.cluster.members = vec![InstanceId(0)];
            let first = run.cluster.request(SimTime::ZERO, None);
            routed(&mut run, first);
            run.cluster.members = vec![InstanceId(0), InstanceId(1)];
        }
        routed(&mut run, probe)
    };
    assert_eq!(pick(&json!({ "poll_s": 0.0 }), true, false), 1, "10,240 tokens against 3 x 512");
    assert_eq!(pick(&json!({ "loads": "requests" }), true, false), 0, "one request against three");
    assert_eq!(pick(&json!({}), true, false), 1, "the first poll is at the start");
}

/// Golden vector 3, in this policy: 1.25 (100 + 1)/4 = 31.56, and the least loaded rather than the next on the ring.
#[test]
fn prefix_hash_bounds_its_owner() {
    let send = |loads: [u32; 4]| {
        let mut cluster = Cluster::new(4, 10);
        let leaf = cluster.chain(None, 1);
        cluster.counters.in_flight = loads.to_vec();
        let id = cluster.request(SimTime::ZERO, leaf);
        routed(&mut Run::new("sglang-prefix-hash", &json!({}), cluster), id)
    };
    let home = send([0; 4]);
    for (own, others, expected) in [(31, [23, 23, 23], None), (32, [23, 22, 23], Some(22)), (40, [25, 5, 30], Some(5))]
    {
        let mut loads = Vec::from(others);
        loads.insert(home as usize, own);
        let chosen = send(loads.clone().try_into().unwrap());
        assert_eq!((chosen != home).then(|| loads[chosen as usize]), expected, "{loads:?}");
    }
}

/// Golden vector 5: loads 5, 0, 0 have a mean of 1.667 and a bound of 2.5, so the session spills, always the same way.
#[test]
fn sessions_spill_clockwise_and_inferred_keys_do_not() {
    let send = |params: &Value, loads: [u32; 3], session: Option<u32>, tenant: u16| {
        let mut cluster = Cluster::new(3, 10);
        cluster.counters.in_flight = loads.to_vec();
        let id = cluster.request(SimTime::ZERO, None);
        cluster.requests[id.index()].session = session.map(SessionId);
        cluster.requests[id.index()].tenant = TenantId(tenant);
        routed(&mut Run::new("sglang-bounded-hash", params, cluster), id)
    };
    let (shipped, tenants) = (json!({}), json!({ "implicit_key": "tenant" }));
    let mut spills = [0; 3];
    for session in 0..30 {
        let home = send(&shipped, [0; 3], Some(session), 0);
        let mut loads = [0; 3];
        loads[home as usize] = 5;
        let next = send(&shipped, loads, Some(session), 0);
        assert_ne!(next, home);
        // 7, 6, 0: the bound is 6.5, so the neighbour still takes it.
        (loads[home as usize], loads[next as usize]) = (7, 6);
        assert_eq!(send(&shipped, loads, Some(session), 0), next);
        assert_eq!(send(&json!({ "max_load_skew": 3.0 }), loads, Some(session), 0), home, "7 <= 13");
        spills[next as usize] += 1;
        let tenant = u16::try_from(session).unwrap();
        let home = send(&tenants, [0; 3], None, tenant);
        loads = [0; 3];
        loads[home as usize] = 100;
        assert_eq!(send(&tenants, loads, None, tenant), home, "an inferred key never spills");
    }
    assert!(spills.iter().all(|&n| n > 0), "{spills:?}");
}

/// Answers take the oldest load off, whichever request they answer.
#[test]
fn least_load_counts_characters() {
    for (answers, expected) in [("fifo", 0), ("exact", 1)] {
        let mut cluster = Cluster::new(2, 100);
        let (long, short, middle) = (cluster.chain(None, 8), cluster.chain(None, 1), cluster.chain(None, 4));
        // Instance 0 gets the long one; instance 1 the short one and the middle one.
        let ids: Vec<_> = [long, short, middle].map(|leaf| cluster.request(SimTime::ZERO, leaf)).into();
        let probe = cluster.request(SimTime::ZERO, short);
        let params = json!({ "answers": answers });
        let mut scheduler = Registry::default();
        let mut def = *scheduler.get("sglang-least-load").unwrap();
        def.name = "probe";
        scheduler = scheduler.with(def);
        let mut run = Run::of(*scheduler.get("probe").unwrap(), &params, cluster);
        assert_eq!(ids.iter().map(|&id| routed(&mut run, id)).collect::<Vec<_>>(), [0, 1, 1]);
        // Of instance 1's two requests, 512 and 2,048 tokens, the second is answered first: 4 blocks against 1 are left.
        run.finish(ids[2], InstanceId(1));
        run.finish(ids[0], InstanceId(0));
        run.cluster.frozen = true;
        let filler = run.cluster.chain(None, 2);
        let filler = run.cluster.request(SimTime::ZERO, filler);
        // Instance 0 is empty and takes two blocks; then it has two against four (fifo) or one (exact).
        assert_eq!(routed(&mut run, filler), 0);
        assert_eq!(routed(&mut run, probe), expected, "{answers}");
    }
}

/// Prompts go to the range of their length until one worker was sent 32 characters more than another.
#[test]
fn buckets() {
    let mut cluster = Cluster::new(3, 100);
    cluster.frozen = true;
    let node = |cluster: &mut Cluster, tokens: u32| Some(cluster.forest.add(None::<PrefixId>, tokens).unwrap());
    // With four characters a token: 8 are in [0, 1364], 1,400 in the second range, 400,000 in the last.
    let ids: Vec<_> = [2, 350, 100_000, 2, 2]
        .into_iter()
        .map(|tokens| {
            let leaf = node(&mut cluster, tokens);
            cluster.request(SimTime::ZERO, leaf)
        })
        .collect();
    let params = json!({ "balance_abs_threshold": 1_000_000 });
    let mut run = Run::new("sglang-bucket", &params, cluster);
    let chosen: Vec<_> = ids[..4].iter().map(|&id| routed(&mut run, id)).collect();
    assert_eq!(chosen, [0, 1, 2, 0]);

    let mut cluster = Cluster::new(3, 100);
    cluster.frozen = true;
    let ids: Vec<_> = (0..4)
        .map(|_| {
            let leaf = node(&mut cluster, 10);
            cluster.request(SimTime::ZERO, leaf)
        })
        .collect();
    let mut run = Run::new("sglang-bucket", &json!({}), cluster);
    let chosen: Vec<_> = ids.iter().map(|&id| routed(&mut run, id)).collect();
    // 40 characters on the first are more than 32: the other two, in either order, then even, so the range again.
    assert_eq!((chosen[0], chosen[1] + chosen[2], chosen[3]), (0, 3, 0));
    assert_ne!(chosen[1], 0);
    assert_eq!(BLOCK, 512);
}
