//! Every scheduler on a fleet of two kinds of instances.

use serde_json::json;
use trimtab_engine::{Outcome, RunResult, Stepping};
use trimtab_experiment::scenario::{Cost, Group, Scenario};
use trimtab_experiment::simulate::run;
use trimtab_sched::Registry;

const QUICK: usize = 2;

/// Two instances that prefill quickly and have much memory, two at a quarter of the speed with a tenth of it and steps
/// half as large.
fn scenario(scheduler: &str) -> Scenario {
    let mut scenario = Scenario::default();
    let cost =
        |us: f64| Cost::Linear { step_us: 4000.0, per_prefill_token_us: us, per_seq_us: 20.0, per_context_us: 0.02 };
    let kind = |us: f64, kv_tokens: u64, budget: u32| Group {
        instances: 2,
        kv_tokens: Some(kv_tokens),
        max_batched_tokens: Some(budget),
        cost: Some(cost(us)),
        ..Group::default()
    };
    scenario.cluster.group = vec![kind(50.0, 400_000, 8192), kind(200.0, 40_000, 4096)];
    scenario.workload.kind = Some("conversation".into());
    scenario.workload.params = json!({ "tick_ms": 0 });
    scenario.workload.max_input_tokens = Some(8_000);
    scenario.workload.rate = Some(6.0);
    scenario.workload.limit = Some(300);
    scenario.scheduler.kind = scheduler.into();
    scenario.slo.ttft_s = Some(3.0);
    scenario
}

/// The same in both stepping modes.
fn result(scheduler: &str) -> RunResult {
    let go = |stepping| run(&scenario(scheduler), &Registry::default(), stepping).unwrap();
    let (by_run, by_step) = (go(Stepping::Macro), go(Stepping::Every));
    assert_eq!(by_run.rows, by_step.rows, "{scheduler}");
    by_run
}

#[test]
fn every_scheduler_serves_a_mixed_fleet() {
    let registry = Registry::default();
    for def in registry.all() {
        let rows = result(def.name).rows;
        let ended = |outcome| rows.iter().filter(|row| row.outcome == outcome).count();
        // Only those with an early rejection of their own turn requests away.
        assert_eq!(ended(Outcome::Completed) + ended(Outcome::Rejected), 300, "{}", def.name);
        assert!(ended(Outcome::Completed) > 200, "{}: {} completed", def.name, ended(Outcome::Completed));
    }
}

/// Who predicts knows how fast each instance is; who counts does not.
#[test]
fn predictors_give_quick_instances_more() {
    let quick_share = |scheduler: &str| {
        let rows = result(scheduler).rows;
        rows.iter().filter(|row| row.instance.index() < QUICK).count() as f64 / rows.len() as f64
    };
    for scheduler in ["min-ttft", "oracle-min-ttft", "mooncake"] {
        let share = quick_share(scheduler);
        assert!(share > 0.65, "{scheduler}: {share}");
    }
    for scheduler in ["round-robin", "consistent-hash"] {
        let share = quick_share(scheduler);
        assert!((0.35..0.65).contains(&share), "{scheduler}: {share}");
    }
}
