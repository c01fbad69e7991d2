//! What another replica of the router has sent counts like what one has sent oneself, and so does what is expected of it.

use serde_json::json;
use trimtab_core::{InstanceId, SessionId, SimTime};
use trimtab_sched::Decision;

use crate::mock::{BLOCK, Cluster, Run};

#[test]
fn policies_with_an_index_of_their_own_take_note() {
    let all = Some(10 * BLOCK);
    for (name, params, expected) in [
        ("sglang-cache-aware", json!({}), all),
        ("approx-radix", json!({ "block_tokens": BLOCK }), all),
        ("production-stack-prefixaware", json!({}), all),
        ("aibrix-prefix-cache", json!({ "block_tokens": BLOCK }), all),
        ("llm-d", json!({ "block_tokens": BLOCK }), all),
        ("ray-prefix-affinity", json!({}), None),
        ("sticky-session", json!({}), None),
    ] {
        for learns in [false, true] {
            let mut cluster = Cluster::new(4, 100);
            let leaf = cluster.chain(None, 10);
            let (other, own) = (cluster.request(SimTime::ZERO, leaf), cluster.request(SimTime::ZERO, leaf));
            for request in &mut cluster.requests {
                request.session = Some(SessionId(5));
            }
            // Whoever knows of nothing takes another instance, by load.
            cluster.counters.in_flight = vec![0, 1, 1, 1];
            let mut run = Run::new(name, &params, cluster);
            if learns {
                run.learn(other, InstanceId(2));
            }
            let did = run.offer(own);
            let to = InstanceId(2);
            if learns {
                assert_eq!((did.decision, did.expected), (Decision::Route(to), expected), "{name}");
            } else {
                assert_eq!(did.expected, expected.map(|_| 0), "{name}");
            }
        }
    }
}
