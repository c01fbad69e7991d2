//! DualMap: the choice within the pair, and moving queued requests.

use rand::RngExt;
use serde_json::{Value, json};
use trimtab_core::{InstanceId, RequestId, RngStreams, SimTime};
use trimtab_sched::Decision;
use trimtab_sched::parts::{Choices, Placement};

use crate::mock::{BLOCK, Cluster, Moved, Run, secs};

/// Fixed keys of one block, so that tests know the candidates.
fn params(extra: &Value) -> Value {
    let mut params = json!({ "adaptive": false });
    for (name, value) in extra.as_object().unwrap() {
        params[name] = value.clone();
    }
    params
}

/// The candidates of a request under `params` and defaults.
fn pair(cluster: &Cluster, id: RequestId) -> [InstanceId; 2] {
    let key = cluster.with_arrival(id, |arrival| arrival.prefix_key(BLOCK)).unwrap();
    let candidates = Choices::new(Placement::ModN, 2, 64, 0).of(key, &cluster.members);
    candidates.as_slice().try_into().unwrap()
}

/// The better-cached candidate is left exactly when pending and own tokens exceed the threshold.
#[test]
fn affinity_ends_at_the_threshold() {
    // Prompts of 4 blocks of which the first candidate has 3: 512 tokens of its own.
    for (own_tokens, pending, other, expected) in [
        ("both", 9_488, 0, 0),
        ("both", 9_489, 0, 1),
        // Compared with own tokens: 9,489 + 512 against 8,465 + 2,048 and against 7,953 + 2,048.
        ("both", 9_489, 8_465, 0),
        ("both", 9_489, 7_952, 1),
        ("test", 9_489, 9_000, 1),
        ("test", 9_489, 9_489, 0),
        ("neither", 10_000, 0, 0),
        ("neither", 10_001, 0, 1),
        ("neither", 10_001, 10_002, 0),
    ] {
        let mut cluster = Cluster::new(8, 100);
        let trunk = cluster.chain(None, 3);
        let leaf = cluster.chain(trunk, 1);
        let id = cluster.request(SimTime::ZERO, leaf);
        let pair = pair(&cluster, id);
        cluster.warm(pair[0], trunk);
        cluster.counters.pending_prefill_tokens[pair[0].index()] = pending;
        cluster.counters.pending_prefill_tokens[pair[1].index()] = other;
        let params = params(&json!({
            "threshold_tokens": 10_000, "load": "pending-prefill-tokens", "own_tokens": own_tokens
        }));
        let did = Run::new("dualmap", &params, cluster).offer(id);
        assert_eq!(did.decision, Decision::Route(pair[expected]), "{own_tokens} {pending} {other}");
    }
}

#[test]
fn the_threshold_follows_objective_and_speed() {
    // 5 s at 4,000 tokens a second.
    for (slo, pending, expected) in [(None, 19_488, 0), (None, 19_489, 1), (Some(2.5), 9_488, 0), (Some(2.5), 9_489, 1)]
    {
        let mut cluster = Cluster::new(8, 100);
        cluster.slo = slo.map(secs);
        let trunk = cluster.chain(None, 3);
        let leaf = cluster.chain(trunk, 1);
        let id = cluster.request(SimTime::ZERO, leaf);
        let pair = pair(&cluster, id);
        cluster.warm(pair[0], trunk);
        cluster.counters.pending_prefill_tokens[pair[0].index()] = pending;
        let did = Run::new("dualmap", &params(&json!({ "load": "pending-prefill-tokens" })), cluster).offer(id);
        assert_eq!(did.decision, Decision::Route(pair[expected]), "{slo:?} {pending}");
    }
}

/// A single instance is its own pair; with two, the pair is the fleet.
#[test]
fn small_fleets() {
    for instances in [1, 2] {
        let mut cluster = Cluster::new(instances, 100);
        let leaf = cluster.chain(None, 5);
        let ids: Vec<_> = (0..40).map(|_| cluster.request(SimTime::ZERO, leaf)).collect();
        let mut run = Run::new("dualmap", &json!({ "threshold_tokens": 100 }), cluster);
        let used: Vec<_> = ids.into_iter().map(|id| run.offer(id).decision).collect();
        for i in 0..instances {
            assert!(used.contains(&Decision::Route(InstanceId(i))), "{instances}");
        }
    }
}

/// Bursts of one prefix after the other, near what its pair can serve in time.
fn overload(params: &Value) -> (Vec<Moved>, u32) {
    let mut cluster = Cluster::new(8, 400);
    let mut rng = RngStreams::new(11).stream("overload");
    let heads: Vec<_> = (0..24).map(|_| cluster.chain(None, 2)).collect();
    let mut at = 0.0;
    for _ in 0..40 {
        at += 0.9;
        let head = heads[rng.random_range(0..24)];
        for _ in 0..10 {
            let leaf = cluster.chain(head, rng.random_range(1..8));
            cluster.request(secs(at), leaf);
        }
    }
    let mut run = Run::new("dualmap", params, cluster);
    let (mut moves, mut late) = (Vec::new(), 0);
    for id in 0..400 {
        let did = run.offer(RequestId(id));
        for moved in &did.moves {
            let pair = pair(&run.cluster, moved.request);
            assert!(pair.contains(&moved.to), "{moved:?} is not a candidate: {pair:?}");
            assert!(moved.after < moved.before, "gains nothing: {moved:?}");
            assert!(moved.after < secs(5.0), "would still be late: {moved:?}");
        }
        moves.extend(did.moves);
    }
    run.advance(secs(1e4));
    for ttft in &run.ttfts {
        late += u32::from(*ttft > secs(5.0));
    }
    assert_eq!(run.ttfts.len(), 400);
    (moves, late)
}

#[test]
fn moves_help_and_keep_to_the_pair() {
    let (moves, late) = overload(&params(&json!({})));
    let (none, late_without) = overload(&params(&json!({ "variant": "no-rebalance" })));
    assert!(moves.len() >= 5, "{} moves", moves.len());
    assert!(none.is_empty());
    assert!(late < late_without, "{late} late with moves, {late_without} without");
    let (reluctant, _) = overload(&params(&json!({ "min_benefit_s": 1000.0 })));
    assert!(reluctant.is_empty(), "no move gains 1,000 s");
}

/// An instance whose prefills have not moved for longer than the bound is taken to be blocked by decodes.
#[test]
fn stalled_prefills_count_as_wait() {
    for (now, bound, expected) in [(2.9, json!(3.0), 0), (3.1, json!(3.0), 1), (3.1, Value::Null, 0)] {
        let mut cluster = Cluster::new(2, 100);
        cluster.frozen = true;
        let (short, long) = (cluster.chain(None, 1), cluster.chain(None, 20));
        let waiting = [cluster.request(SimTime::ZERO, short), cluster.request(SimTime::ZERO, short)];
        let running = cluster.request(SimTime::ZERO, long);
        let fresh = cluster.chain(None, 2);
        let id = cluster.request(secs(now), fresh);
        let params = params(&json!({ "variant": "min-ttft", "decode_bottleneck_s": bound }));
        let mut run = Run::new("dualmap", &params, cluster);
        for id in waiting {
            run.cluster.dispatch(id, InstanceId(0));
        }
        run.cluster.dispatch(running, InstanceId(1));
        assert_eq!(run.offer(id).decision, Decision::Route(InstanceId(expected)), "{now} {bound}");
    }
}

/// Looks do not depend on the size of the fleet. (Requests come slowly, so that queues are alike.)
#[test]
fn probes_only_the_candidates() {
    let looks = |instances: u32| {
        let mut cluster = Cluster::new(instances, 100);
        let trunk = cluster.chain(None, 1);
        for n in 0..50 {
            let leaf = cluster.chain(trunk, 20);
            cluster.request(secs(f64::from(n) * 10.0), leaf);
        }
        let mut run = Run::new("dualmap", &json!({}), cluster);
        for id in 0..50 {
            run.offer(RequestId(id));
        }
        run.cluster.looks.get()
    };
    assert!(looks(8) > 0);
    assert_eq!(looks(8), looks(4096));
}
