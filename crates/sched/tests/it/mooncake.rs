//! Mooncake's Algorithm 1 and what it turns into at its limits.

use rand::RngExt;
use serde_json::{Value, json};
use trimtab_core::{InstanceId, RequestId, RngStreams, SimTime};
use trimtab_sched::{Action, Decision};

use crate::mock::{BLOCK, Cluster, Run, secs};

/// Random traffic with shared heads.
fn traffic(link: Option<u64>) -> Cluster {
    let mut cluster = Cluster::new(6, 200);
    cluster.link = link;
    let mut rng = RngStreams::new(5).stream("mooncake");
    let heads: Vec<_> = (0..10).map(|n| cluster.chain(None, 2 + n)).collect();
    let mut at = 0.0;
    for _ in 0..300 {
        at += f64::from(rng.random_range(0..60_u32)) / 100.0;
        let head = heads[rng.random_range(0..heads.len())];
        let leaf = cluster.chain(head, rng.random_range(0..5));
        cluster.request(secs(at), leaf);
    }
    cluster
}

fn decisions(name: &str, params: &Value, link: Option<u64>) -> Vec<Decision> {
    let mut run = Run::new(name, params, traffic(link));
    (0..300).map(|id| run.offer(RequestId(id)).decision).collect()
}

#[test]
fn without_fetching_it_is_min_ttft() {
    let patient = json!({ "reject": false, "theta": null });
    assert_eq!(decisions("mooncake", &patient, Some(1_000_000)), decisions("min-ttft", &Value::Null, None));
    // The same without a link, whatever the threshold.
    let eager = json!({ "reject": false, "theta": 1.0 });
    assert_eq!(decisions("mooncake", &eager, None), decisions("min-ttft", &Value::Null, None));
    assert_ne!(decisions("mooncake", &eager, Some(1_000_000)), decisions("min-ttft", &Value::Null, None));
}

/// With free transfers the caches are one, and only the queue decides.
#[test]
fn with_free_transfers_the_shortest_wait_wins() {
    let mut run = Run::new("mooncake", &json!({ "reject": false, "theta": 1.0 }), traffic(Some(1_000_000_000_000)));
    let mut fetched = 0;
    for id in 0..300 {
        let id = RequestId(id);
        run.advance(run.cluster.requests[id.index()].arrival);
        let waits: Vec<u64> = run.cluster.members.iter().map(|&i| run.cluster.wait_ps(i)).collect();
        let best = run.cluster.members.iter().map(|&i| run.cluster.hit(id, i)).max();
        let did = run.offer(id);
        let Decision::Route(to) = did.decision else { panic!("nothing is rejected") };
        // A transfer takes at most a microsecond here: shorter waits win whatever they have cached.
        let shortest = waits.iter().min().unwrap();
        assert!(waits[to.index()] <= shortest + 1_000_000, "{waits:?} {to:?}");
        assert_eq!(Some(did.hit), best, "the pool's best match, wherever it was");
        fetched += did.actions.len();
    }
    assert!(fetched > 10, "{fetched}");
}

/// An idle instance beside a busy holder of `held` blocks of a prompt of 16, with `own` blocks of its own.
fn holder_and_idle(held: u32, own: u32, link: u64) -> (Cluster, RequestId) {
    let mut cluster = Cluster::new(2, 100);
    cluster.link = Some(link);
    let own_leaf = cluster.chain(None, own);
    let held_leaf = cluster.chain(own_leaf, held - own);
    let leaf = cluster.chain(held_leaf, 16 - held);
    let busy = cluster.chain(None, 40);
    let running = cluster.request(SimTime::ZERO, busy);
    let id = cluster.request(SimTime::ZERO, leaf);
    cluster.warm(InstanceId(0), held_leaf);
    cluster.warm(InstanceId(1), own_leaf);
    cluster.dispatch(running, InstanceId(0));
    (cluster, id)
}

#[test]
fn fetches_only_above_the_threshold() {
    for (held, own, theta, guard, link, fetches) in [
        (8, 4, json!(2.0), false, 1_000_000, false),
        (9, 4, json!(2.0), false, 1_000_000, true),
        (8, 4, json!(1.9), false, 1_000_000, true),
        (8, 0, json!(100.0), false, 1_000_000, true),
        (8, 0, Value::Null, false, 1_000_000, false),
        // Slower than computing it anew (4,000 tokens a second): only the guard sees that.
        (8, 0, json!(2.0), false, 3_000, true),
        (8, 0, json!(2.0), true, 3_000, false),
        (8, 0, json!(2.0), true, 5_000, true),
    ] {
        let (cluster, id) = holder_and_idle(held, own, link);
        let mut run = Run::new("mooncake", &json!({ "theta": theta, "guard": guard }), cluster);
        let did = run.offer(id);
        let case = format!("{held} {own} {theta} {guard} {link}");
        assert_eq!(did.decision, Decision::Route(InstanceId(1)), "{case}");
        let fetch = Action::Fetch { request: id, from: InstanceId(0), tokens: held * BLOCK };
        assert_eq!(did.actions, if fetches { vec![fetch] } else { vec![] }, "{case}");
        // The replica stays.
        let expected = if fetches { held } else { own };
        assert_eq!(did.hit, expected * BLOCK, "{case}");
    }
}

/// Transfer and prefill one after the other, or the longer of the two.
#[test]
fn serial_and_overlapped_transfers() {
    // 8 of 16 blocks missing: 4,096 tokens, 1.024 s to prefill; 4,096 tokens to fetch at 4,096 a second: 1 s. Holder: busy
    // for 5.12 s and then 1.024 s.
    for (transfer, slo, rejected) in
        [("serial", 2.1, false), ("serial", 2.0, true), ("overlapped", 1.1, false), ("overlapped", 1.0, true)]
    {
        let (cluster, id) = holder_and_idle(8, 0, 4_096);
        let mut run = Run::new("mooncake", &json!({ "transfer": transfer, "ttft_slo_s": slo }), cluster);
        assert_eq!(run.offer(id).decision == Decision::Reject, rejected, "{transfer} {slo}");
    }
}

#[test]
fn rejects_exactly_what_breaks_the_objective() {
    // 20 blocks on an idle instance: 2.56 s.
    for (param, spec, reject, rejected) in [
        (json!(2.56), None, true, false),
        (json!(2.55), None, true, true),
        (json!(2.55), None, false, false),
        (Value::Null, Some(2.55), true, true),
        (json!(3.0), Some(2.55), true, false),
        (Value::Null, None, true, false),
    ] {
        let mut cluster = Cluster::new(1, 100);
        cluster.slo = spec.map(secs);
        let leaf = cluster.chain(None, 20);
        let id = cluster.request(SimTime::ZERO, leaf);
        let mut run = Run::new("mooncake", &json!({ "ttft_slo_s": param, "reject": reject }), cluster);
        assert_eq!(run.offer(id).decision == Decision::Reject, rejected, "{param} {spec:?} {reject}");
    }
}

/// The oracle of a cluster whose predictions are exact is Min TTFT.
#[test]
fn the_oracle_agrees_with_exact_predictions() {
    assert_eq!(decisions("oracle-min-ttft", &Value::Null, None), decisions("min-ttft", &Value::Null, None));
}
