//! Dynamo's KV router: golden vectors, its queue and its index.

use serde_json::{Value, json};
use trimtab_core::{InstanceId, RequestId, SimTime};
use trimtab_sched::Decision;

use crate::mock::{Cluster, Run, secs};

const A: InstanceId = InstanceId(0);
const B: InstanceId = InstanceId(1);

/// Two workers; A has `cached` of the request's 64 blocks, and a request of `active` blocks that is past its prefill if
/// `prefilled`. B is idle. Where the request goes, and at what costs. Everything is in blocks, so their size is no matter.
fn choice(params: &Value, cached: u32, active: u32, prefilled: bool) -> (InstanceId, [f64; 2]) {
    let mut cluster = Cluster::new(2, 10_000);
    cluster.frozen = true;
    let other = cluster.chain(None, active);
    let head = cluster.chain(None, cached);
    let leaf = cluster.chain(head, 64 - cached);
    let (first, second) = (cluster.request(SimTime::ZERO, other), cluster.request(SimTime::ZERO, leaf));
    let mut run = Run::new("dynamo-kv", params, cluster);
    run.cluster.members = vec![A];
    if active > 0 {
        run.offer(first);
        if prefilled {
            run.first_token(first, A);
        }
    }
    run.cluster.members = vec![A, B];
    run.cluster.warm(A, head);
    let did = run.offer(second);
    let Decision::Route(to) = did.decision else { panic!("{did:?}") };
    (to, [did.scores[0].1, did.scores[1].1])
}

/// Golden vectors 8 and 9, then one weight at a time.
#[test]
fn costs_in_blocks() {
    for (params, cached, active, prefilled, expected) in [
        // (64 - 48) + 40 + 64 = 120 against 64 + 64.
        (json!({}), 48, 40, true, (A, [120.0, 128.0])),
        (json!({}), 48, 60, true, (B, [140.0, 128.0])),
        // 128 blocks of backlog above the floor, twice the request: a third of the credit. 192 - 16 + 128 + 64.
        (json!({ "overlap_score_credit_decay": 1.0 }), 48, 128, false, (B, [368.0, 128.0])),
        // Past their prefill they are no backlog.
        (json!({ "overlap_score_credit_decay": 1.0 }), 48, 128, true, (B, [208.0, 128.0])),
        (json!({}), 48, 40, false, (B, [160.0, 128.0])),
        (json!({ "overlap_score_credit": 0.5 }), 48, 40, true, (B, [144.0, 128.0])),
        (json!({ "prefill_load_scale": 2.0 }), 48, 40, true, (A, [136.0, 192.0])),
        (json!({ "active_request_weight": 9.0 }), 48, 40, true, (B, [129.0, 128.0])),
        (json!({ "track_active_blocks": false }), 48, 60, true, (A, [16.0, 64.0])),
        (json!({ "track_prefill_tokens": false }), 48, 40, false, (B, [104.0, 64.0])),
        // The classic form: weight x (apt + L - cached)/b + decode blocks.
        (json!({ "preset": "classic" }), 48, 40, true, (A, [120.0, 128.0])),
        (json!({ "overlap_score_weight": 3.0 }), 48, 40, true, (A, [152.0, 256.0])),
        // The deprecated weight of zero takes the credit along.
        (json!({ "overlap_score_weight": 0.0 }), 48, 40, true, (B, [104.0, 64.0])),
    ] {
        assert_eq!(choice(&params, cached, active, prefilled), expected, "{params}");
    }
}

/// A block of a live request is not counted twice for one that shares it, unless reuse is not assumed.
#[test]
fn live_requests_share_their_blocks() {
    for (params, expected) in [(json!({}), 10.0 + 20.0), (json!({ "assume_kv_reuse": false }), 10.0 + 30.0)] {
        let mut cluster = Cluster::new(1, 1000);
        cluster.frozen = true;
        let head = cluster.chain(None, 10);
        let leaves = [cluster.chain(head, 5), cluster.chain(head, 5)];
        let ids = leaves.map(|leaf| cluster.request(SimTime::ZERO, leaf));
        let mut run = Run::new("dynamo-kv", &params, cluster);
        run.offer(ids[0]);
        run.first_token(ids[0], A);
        // 15 and 15 blocks with 10 in common, all but the last five of prefill cached after the first.
        let did = run.offer(ids[1]);
        assert_eq!(did.scores, [(A, 5.0 + expected - 10.0)], "{params}");
    }
}

/// Equal costs are drawn; a temperature spreads the choice by cost.
#[test]
fn ties_and_temperature() {
    let count = |params: &Value, warm: bool| {
        let mut cluster = Cluster::new(2, 10_000);
        cluster.frozen = true;
        // Each prompt is new to the worker that it does not go to.
        let leaves: Vec<_> = (0..400).map(|_| cluster.chain(None, 8)).collect();
        let ids: Vec<_> = leaves.iter().map(|&leaf| cluster.request(SimTime::ZERO, leaf)).collect();
        let mut run = Run::new("dynamo-kv", params, cluster);
        let mut to_a = 0;
        for (id, leaf) in ids.into_iter().zip(leaves) {
            if warm {
                run.cluster.warm(A, leaf);
            }
            let Decision::Route(to) = run.offer(id).decision else { panic!("no queue is on") };
            to_a += u32::from(to == A);
            run.finish(id, to);
        }
        to_a
    };
    // With two workers the range is all there is: 1/(1 + e^-1) = 0.731 and 1/(1 + e^-2) = 0.881 of 400 at T = 1 and 1/2.
    // The tolerances are three standard deviations.
    for (params, warm, expected, tolerance) in [
        (json!({ "overlap_score_credit": 0.0 }), false, 200, 30),
        (json!({}), true, 400, 0),
        (json!({ "temperature": 1.0 }), true, 292, 27),
        (json!({ "temperature": 0.5 }), true, 352, 19),
    ] {
        let to_a = count(&params, warm);
        assert!(to_a.abs_diff(expected) <= tolerance, "{params}: {to_a}");
    }
}

/// What was sent is believed for 120 s and no longer, with expiries at tenths of a second.
#[test]
fn the_approximate_index_forgets() {
    for (params, again, hit) in [
        (json!({ "index": "approximate" }), 119.9, true),
        (json!({ "index": "approximate" }), 120.05, true),
        (json!({ "index": "approximate" }), 120.1, false),
        (json!({ "index": "approximate", "ttl_bucket_ms": 0 }), 120.05, false),
        (json!({ "index": "approximate", "max_blocks": 7 }), 1.0, false),
        // The cluster's own cache forgot at once; a prediction beside it did not.
        (json!({}), 1.0, false),
        (json!({ "predicted_ttl_s": 5.0 }), 1.0, true),
        (json!({ "predicted_ttl_s": 5.0 }), 6.0, false),
    ] {
        let mut cluster = Cluster::new(2, 0);
        cluster.frozen = true;
        let leaf = cluster.chain(None, 8);
        let ids = [0.01, again].map(|at| cluster.request(secs(at), leaf));
        let mut run = Run::new("dynamo-kv", &params, cluster);
        let Decision::Route(first) = run.offer(ids[0]).decision else { panic!("no queue is on") };
        run.finish(ids[0], first);
        let did = run.offer(ids[1]);
        let costs: Vec<f64> = did.scores.iter().map(|s| s.1).collect();
        // Eight blocks of prefill less eight of credit; with room for 7, 5 are left after pruning.
        let expected = if params.get("max_blocks").is_some() {
            3.0
        } else if hit {
            0.0
        } else {
            8.0
        };
        assert!((costs[first.index()] - 8.0 - expected).abs() < 1e-9, "{params} {again}: {costs:?}");
    }
}

/// Five blocks are 2,560 tokens, above a step's 2,048: a worker with one such prompt is busy.
fn queue(params: &Value, sizes: &[u32], priorities: &[i16]) -> Run {
    let mut cluster = Cluster::new(2, 1000);
    for (n, &size) in sizes.iter().enumerate() {
        let leaf = cluster.chain(None, size);
        let id = cluster.request(secs(n as f64 * 0.001), leaf);
        cluster.requests[id.index()].priority = priorities.get(n).copied().unwrap_or(0);
    }
    let mut run = Run::new("dynamo-kv", params, cluster);
    for n in 0..u32::try_from(sizes.len()).unwrap() {
        run.offer(RequestId(n));
    }
    run
}

#[test]
fn requests_wait_in_order_while_all_are_busy() {
    let on = |policy: &str| json!({ "queue_threshold": 1.0, "queue_policy": policy });
    for (params, priorities, first) in [
        (on("fcfs"), &[][..], 2),
        (on("lcfs"), &[], 5),
        (on("wspt"), &[], 3),
        (on("fcfs"), &[0, 0, 0, 0, 7, 0], 4),
        // One token over the bound is busy too.
        (json!({ "queue_threshold_tokens": 2559 }), &[], 2),
    ] {
        let mut run = queue(&params, &[5, 5, 4, 1, 5, 5], priorities);
        assert_eq!(run.parked.len(), 4, "{params}");
        // The first prompt is prefilled after 0.64 s; its worker takes one more, and is busy or not by its size.
        run.advance(secs(0.6401));
        assert!(!run.parked.contains(&RequestId(first)), "{params}: {:?}", run.parked);
        assert!(run.parked.len() <= 3);
        run.advance(secs(60.0));
        assert!(run.parked.is_empty());
        assert_eq!(run.ttfts.len(), 6);
    }
    for (params, parked) in [
        (json!({}), 0),
        (json!({ "preset": "earlier" }), 0),
        // 2,560 are 1.25 x 2,048: busy is above.
        (json!({ "queue_threshold": 1.25 }), 0),
        (json!({ "queue_threshold": 1.24 }), 1),
        (json!({ "queue_threshold_tokens": 2560 }), 0),
    ] {
        assert_eq!(queue(&params, &[5, 5, 5], &[]).parked.len(), parked, "{params}");
    }
}

/// While one waits nobody overtakes it, and beyond the limit they are turned away.
#[test]
fn no_overtaking_and_a_limit() {
    let run = queue(&json!({ "queue_threshold": 1.0 }), &[5, 5, 5, 1], &[]);
    assert_eq!(run.parked, [RequestId(2), RequestId(3)]);
    let run = queue(&json!({ "queue_threshold": 1.0, "queue_limit_tokens": 1536 }), &[5, 5, 5, 2, 1], &[]);
    // Two workers: 3,072 tokens. 2,560 wait, 1,024 more are too many, 512 are not.
    assert_eq!(
        (run.parked.as_slice(), run.rejected.as_slice()),
        (&[RequestId(2), RequestId(4)][..], &[RequestId(3)][..])
    );
}
