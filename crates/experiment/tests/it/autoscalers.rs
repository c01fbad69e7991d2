//! Each autoscaler on a cluster: it scales, within its bounds, to some use, and alike in both stepping modes.

use serde_json::{Value, json};
use trimtab_core::SimTime;
use trimtab_engine::{Happened, RunResult, Stepping};
use trimtab_experiment::scenario::{Autoscaler, Cost, Loop, Scenario};
use trimtab_experiment::simulate::run;
use trimtab_sched::Registry;
use trimtab_sched::autoscalers::AUTOSCALERS;

/// A cluster of one instance that would need four, or of six of which one is enough.
fn scenario(instances: u32, rate: f64, autoscaler: Option<(&str, Value)>) -> Scenario {
    let mut scenario = Scenario::default();
    scenario.cluster.instances = instances;
    scenario.cluster.kv_tokens = Some(200_000);
    scenario.cluster.cost =
        Cost::Linear { step_us: 4000.0, per_prefill_token_us: 50.0, per_seq_us: 0.0, per_context_us: 0.0 };
    scenario.workload.kind = Some("no-sharing".into());
    let law = |low: f64, high: f64| json!({ "uniform": [low, high] });
    scenario.workload.params = json!({ "rate": rate, "input": law(500.0, 1500.0), "output": law(1.0, 60.0) });
    scenario.workload.limit = Some(if rate > 10.0 { 500 } else { 40 });
    scenario.scheduler.kind = "join-shortest-queue".into();
    scenario.slo.ttft_s = Some(1.0);
    scenario.dynamics.startup_s = 0.5;
    scenario.autoscaler =
        autoscaler.map(|(kind, params)| Autoscaler { kind: kind.into(), params, every_s: 0.5, min: 1, max: 6 });
    scenario
}

/// Runs in both stepping modes.
fn result(scenario: &Scenario) -> RunResult {
    let go = |stepping| run(scenario, &Registry::default(), stepping).unwrap();
    let (by_run, by_step) = (go(Stepping::Macro), go(Stepping::Every));
    assert_eq!(by_run.rows, by_step.rows);
    assert_eq!(by_run.fleet, by_step.fleet);
    by_run
}

fn in_time(result: &RunResult) -> usize {
    let slo = SimTime::from_secs_f64(1.0).unwrap();
    result.rows.iter().filter(|row| row.first_token.saturating_since(row.arrival) <= slo).count()
}

#[test]
fn each_scales_up_when_there_is_more_to_do_and_down_when_there_is_less() {
    let quick = |mut params: Value| {
        params["cooldown_up_s"] = 0.5.into();
        params["cooldown_down_s"] = 1.0.into();
        params
    };
    let cases = [
        ("reactive", quick(json!({ "metric": "queue" }))),
        ("reactive", quick(json!({ "metric": "late", "above": 0.3, "below": 0.1 }))),
        ("reactive", quick(json!({ "metric": "kv", "above": 0.02, "below": 0.015 }))),
        ("slo-target", quick(json!({}))),
        ("scheduled", json!({ "plan": [[1.0, 5], [20.0, 2]] })),
        ("oracle", json!({ "horizon_s": 2.0 })),
    ];
    for def in AUTOSCALERS {
        assert!(cases.iter().any(|(name, _)| *name == def.name), "{} is not tried", def.name);
    }
    let overloaded = in_time(&result(&scenario(1, 40.0, None)));
    for (name, params) in cases {
        for (start, rate) in [(1, 40.0), (6, 1.0)] {
            let scaled = result(&scenario(start, rate, Some((name, params.clone()))));
            let fleet = scaled.fleet.as_ref().unwrap();
            let happened = |what| fleet.events.iter().filter(|event| event.what == what).count();
            assert!(fleet.events.iter().all(|event| (1..=6).contains(&event.members)), "{name} {params}");
            if start == 1 {
                assert!(happened(Happened::Joined) >= 2, "{name} {params}");
                let served = in_time(&scaled);
                assert!(served > overloaded * 3 / 2, "{name} {params}: {served} in time, {overloaded} without");
            } else {
                assert!(happened(Happened::Stopped) >= 3, "{name} {params}");
                assert_eq!(in_time(&scaled), 40, "{name} {params}");
            }
        }
    }
}

#[test]
fn what_cannot_be_is_refused() {
    let scaler = |kind: &'static str, change: fn(&mut Autoscaler)| {
        let mut scenario = scenario(2, 1.0, Some((kind, json!({}))));
        change(scenario.autoscaler.as_mut().unwrap());
        scenario
    };
    let mut of_closed_loop = scaler("oracle", |_| ());
    of_closed_loop.workload.r#loop = Loop::Sessions { think_s: 1.0 };
    let mut aimless = scaler("slo-target", |_| ());
    aimless.slo.ttft_s = None;
    for (scenario, reason) in [
        (scaler("reactiv", |_| ()), "did you mean `reactive`?"),
        (scaler("reactive", |it| it.min = 0), "autoscaler.max"),
        (scaler("reactive", |it| it.min = 7), "autoscaler.max"),
        (scaler("reactive", |it| it.every_s = 0.0), "autoscaler.every_s"),
        (scaler("reactive", |it| it.params = json!({ "abov": 1.0 })), "above"),
        (aimless, "slo.ttft_s"),
        (of_closed_loop, "must know all requests in advance"),
    ] {
        let error = run(&scenario, &Registry::default(), Stepping::Macro).err().map(|error| error.to_string());
        assert!(error.as_ref().is_some_and(|error| error.contains(reason)), "{error:?}, not {reason}");
    }
}
