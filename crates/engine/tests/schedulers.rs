//! Every registered scheduler on the engine: whatever it does, including parking, a run ends, and both ways of stepping
//! give the same rows.

#[expect(dead_code, reason = "the tests of agreement use more of it")]
mod common;

use common::generate::Case;
use serde_json::{Value, json};
use trimtab_engine::{ClusterConfig, Stepping, build_context, run};
use trimtab_sched::{Registry, SchedulerDef};

fn check(def: &SchedulerDef, params: &Value, seed: u64) {
    let case = Case::new(seed);
    let go = |stepping| {
        let config = ClusterConfig { stepping, ..case.config.clone() };
        let policy = (def.build)(params, &build_context(&config)).expect("valid parameters");
        run(&config, def, policy, &mut case.workload.clone())
    };
    let (by_run, by_step) = (go(Stepping::Macro), go(Stepping::Every));
    assert_eq!(by_run.rows.len(), case.workload.requests.len(), "{} {params}, seed {seed}", def.name);
    assert_eq!(by_run.rows, by_step.rows, "{} {params}, seed {seed}", def.name);
}

#[test]
fn every_scheduler_ends_and_sees_the_same_in_both_ways_of_stepping() {
    let registry = Registry::default();
    for def in registry.all() {
        (0..60).for_each(|seed| check(def, &Value::Null, seed));
    }
}

/// Routers that park: their clients may hang up meanwhile.
#[test]
fn those_who_wait_may_leave() {
    let registry = Registry::default();
    for (name, params) in [
        ("ray-prefix-affinity", json!({ "max_ongoing": 1 })),
        ("llm-d", json!({ "usage_limit": 0.3, "flow_control": true })),
    ] {
        let def = registry.get(name).expect("a built-in scheduler");
        (0..300).for_each(|seed| check(def, &params, seed));
    }
}

/// A router that parks as soon as anything waits for its first token, and lets go in every order.
#[test]
fn parked_requests_are_let_go() {
    let registry = Registry::default();
    let def = registry.get("dynamo-kv").expect("a built-in scheduler");
    for policy in ["fcfs", "lcfs", "wspt"] {
        for index in ["events", "approximate"] {
            let params =
                json!({ "queue_threshold": 0.0, "queue_policy": policy, "index": index, "predicted_ttl_s": 1e-9 });
            (0..300).for_each(|seed| check(def, &params, seed));
        }
    }
}
