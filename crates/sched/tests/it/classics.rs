//! The classics: golden vectors and the known failure modes.

use serde_json::{Value, json};
use trimtab_core::{InstanceId, RequestId, SessionId, SimTime, TenantId};
use trimtab_sched::Decision;

use crate::mock::{BLOCK, Cluster, Run, secs};

/// Where a policy sends a prompt of one block when instances have these numbers of requests in flight.
fn choice(name: &str, params: &Value, in_flight: &[u32]) -> u32 {
    let mut cluster = Cluster::new(u32::try_from(in_flight.len()).unwrap(), 10);
    cluster.counters.in_flight = in_flight.to_vec();
    let leaf = cluster.chain(None, 1);
    let id = cluster.request(SimTime::ZERO, leaf);
    match Run::new(name, params, cluster).offer(id).decision {
        Decision::Route(InstanceId(at)) => at,
        other => panic!("{other:?}"),
    }
}

/// Loads such that the owner of the prompt has `owner` and everyone else `others`.
fn around(name: &str, params: &Value, owner: u32, others: [u32; 3]) -> (u32, u32) {
    let home = choice(name, params, &[0; 4]);
    let mut loads = Vec::from(others);
    loads.insert(home as usize, owner);
    (home, choice(name, params, &loads))
}

/// Golden vectors: bounds of 1.25 (100 + 1)/4 = 31.56 and 1.25 (7 + 1)/4 = 2.5.
#[test]
fn bounds_on_the_owner() {
    let chwbl = json!({});
    let prefix_hash = json!({ "load_factor": 1.25, "placement": "ring" });
    for (name, params, owner, others, stays) in [
        ("prefix-hash", &prefix_hash, 31, [23, 23, 23], true),
        ("prefix-hash", &prefix_hash, 32, [22, 23, 23], false),
        ("chwbl", &chwbl, 2, [1, 2, 2], true),
        ("chwbl", &chwbl, 3, [1, 1, 2], false),
    ] {
        let (home, chosen) = around(name, params, owner, others);
        assert_eq!(home == chosen, stays, "{name} {owner}");
    }
    // Beyond the bound prefix-hash goes to the least loaded instance, without walking the ring.
    let (home, chosen) = around("prefix-hash", &prefix_hash, 40, [25, 5, 30]);
    assert_eq!(chosen, (0..4).filter(|&i| i != home).nth(1).unwrap());
}

/// Loads 5, 0, 0: mean 1.667, bound 2.5 without the arriving request. The owner spills clockwise.
#[test]
fn chwbl_spills_to_the_next_on_the_ring() {
    let params = json!({ "load_factor": 1.5, "count_this": false });
    let home = choice("chwbl", &params, &[0; 3]);
    let mut loads = [0; 3];
    loads[home as usize] = 5;
    let next = choice("chwbl", &params, &loads);
    assert_ne!(next, home);
    // 7, 6, 0: bound 6.5, so the neighbour still takes it; the last one never has to.
    (loads[home as usize], loads[next as usize]) = (7, 6);
    assert_eq!(choice("chwbl", &params, &loads), next);
}

#[test]
fn least_of_a_measure() {
    for (name, load, in_flight, expected) in [
        ("join-shortest-queue", "in-flight", [3, 1, 1, 2], 1),
        ("least-loaded", "in-flight", [3, 2, 1, 0], 3),
        ("power-of-d", "in-flight", [3, 2, 0, 1], 2),
    ] {
        let mut params = json!({ "load": load });
        if name == "power-of-d" {
            params["d"] = json!(4);
        }
        assert_eq!(choice(name, &params, &in_flight), expected, "{name}");
    }
}

/// Two of the eight are sampled: the busiest is never chosen, the idlest in a quarter of all pairs.
#[test]
fn power_of_two_compares_two() {
    let mut cluster = Cluster::new(8, 10);
    cluster.frozen = true;
    let ids: Vec<_> = (0..4_000).map(|_| cluster.request(SimTime::ZERO, None)).collect();
    let mut run = Run::new("power-of-d", &json!({}), cluster);
    let mut counts = [0_u32; 8];
    for id in ids {
        run.cluster.counters.in_flight = (0..8).map(|i| i * 1_000_000).collect();
        let Decision::Route(at) = run.offer(id).decision else { panic!("always routes") };
        counts[at.index()] += 1;
    }
    for (rank, &count) in counts.iter().enumerate() {
        // Of 28 pairs, 7 - rank have this instance as their less loaded one.
        let expected = 4_000.0 * (7 - rank) as f64 / 28.0;
        assert!((f64::from(count) - expected).abs() <= 4.0 * expected.sqrt(), "{rank}: {count} of {expected}");
    }
}

/// Where requests of one key go before and after an instance leaves and comes back.
#[test]
fn affinity_survives_other_instances_leaving() {
    for (name, params) in [
        ("sticky-session", json!({})),
        ("consistent-hash", json!({})),
        ("consistent-hash", json!({ "key": "tenant" })),
        ("consistent-hash", json!({ "key": "prefix" })),
        ("consistent-hash", json!({ "key": "prefix", "placement": "rendezvous" })),
        ("prefix-hash", json!({})),
        ("prefix-hash", json!({ "owner": "least-loaded" })),
        ("chwbl", json!({ "load_factor": 1e9 })),
    ] {
        let mut cluster = Cluster::new(8, 100);
        let heads: Vec<_> = (0..40).map(|_| cluster.chain(None, 1)).collect();
        for round in 0..3_u16 {
            for (key, &head) in heads.iter().enumerate() {
                let id = cluster.request(secs(f64::from(round)), head);
                cluster.requests[id.index()].session = Some(SessionId(u32::try_from(key).unwrap()));
                cluster.requests[id.index()].tenant = TenantId(u16::try_from(key).unwrap());
            }
        }
        let mut run = Run::new(name, &params, cluster);
        let round = |first: u32, run: &mut Run| -> Vec<Decision> {
            (first..first + 40).map(|id| run.offer(RequestId(id)).decision).collect()
        };
        let before = round(0, &mut run);
        let gone = Decision::Route(InstanceId(3));
        assert!(before.contains(&gone), "{name} {params}");
        run.leave(InstanceId(3));
        let during = round(40, &mut run);
        for (key, (old, new)) in before.iter().zip(&during).enumerate() {
            assert_eq!(*old == gone, old != new, "{name} {params} {key}: {old:?} {new:?}");
        }
        run.join(InstanceId(3));
        let after = round(80, &mut run);
        let remembers = name == "sticky-session" || params["owner"] == "least-loaded";
        assert_eq!(after, if remembers { during } else { before }, "{name} {params}");
    }
}

#[test]
fn sticky_sessions_expire() {
    for (ttl, pause, sticks) in [(Value::Null, 1e6, true), (json!(10.0), 10.0, true), (json!(10.0), 10.1, false)] {
        let mut cluster = Cluster::new(2, 10);
        let ids = [0.0, pause].map(|at| cluster.request(secs(at), None));
        for id in ids {
            cluster.requests[id.index()].session = Some(SessionId(7));
        }
        let mut run = Run::new("sticky-session", &json!({ "ttl_s": ttl }), cluster);
        let first = run.offer(ids[0]).decision;
        // The home is busier than the other when the session comes back.
        run.advance(secs(pause));
        run.cluster.counters.in_flight = vec![9, 0];
        assert_eq!(first, Decision::Route(InstanceId(0)));
        assert_eq!(run.offer(ids[1]).decision == first, sticks, "{ttl} {pause}");
    }
}

/// The two lessons of a fixed hash length: one system prompt, one instance; a growing conversation, many.
#[test]
fn fixed_prefixes_fail_both_ways() {
    let used = |tokens: u32| {
        let mut cluster = Cluster::new(8, 1000);
        let system = cluster.chain(None, 1);
        let mut ids = Vec::new();
        for user in 0..20 {
            let mut leaf = system;
            for turn in 0..6 {
                leaf = cluster.chain(leaf, 2);
                ids.push((user, cluster.request(secs(f64::from(turn)), leaf)));
            }
        }
        let mut run = Run::new("prefix-hash", &json!({ "tokens": tokens }), cluster);
        let mut seen: Vec<(u32, Decision)> = ids.iter().map(|&(user, id)| (user, run.offer(id).decision)).collect();
        seen.sort_by_key(|&(user, at)| (user, format!("{at:?}")));
        seen.dedup();
        let mut instances: Vec<String> = seen.iter().map(|(_, at)| format!("{at:?}")).collect();
        instances.sort();
        instances.dedup();
        // Instances in all, and for each user.
        (instances.len(), seen.len() as f64 / 20.0)
    };
    assert_eq!(used(256), (1, 1.0));
    let (instances, each) = used(8 * BLOCK);
    assert_eq!(instances, 8);
    assert!(each > 2.0, "the turns of a session are torn apart: {each}");
}
