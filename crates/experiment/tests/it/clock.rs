//! Times near the end of the clock, 213 days: an error that says so, or none at all; never an overflow.

use std::fmt::Write as _;
use std::fs;

use trimtab_engine::Stepping;
use trimtab_experiment::metrics::metrics;
use trimtab_experiment::overrides::{Override, overridden};
use trimtab_experiment::scenario::Scenario;
use trimtab_experiment::simulate::run;
use trimtab_sched::Registry;

/// Requests of (seconds, prompt, output) on one instance under some settings: the statistics as text, or the error.
fn statistics(requests: &[(u32, u32, u32)], settings: &[&str], stepping: Stepping) -> Result<String, String> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("trace.jsonl");
    let mut trace = String::new();
    for (second, input, output) in requests {
        let millis = second * 1000;
        writeln!(
            trace,
            r#"{{"timestamp": {millis}, "input_length": {input}, "output_length": {output}, "hash_ids": []}}"#
        )
        .unwrap();
    }
    fs::write(&path, trace).unwrap();
    let trace = format!("workload.trace='{}'", path.display());
    let settings = [trace.as_str(), "cluster.instances=1"].into_iter().chain(settings.iter().copied());
    let settings: Vec<Override> = settings.map(|pair| Override::parse("--set", pair).unwrap()).collect();
    let scenario: Scenario = overridden(&Scenario::default(), &settings).unwrap().resolved().unwrap();
    let result = run(&scenario, &Registry::default(), stepping).map_err(|error| error.to_string())?;
    Ok(serde_json::to_string(&metrics(&scenario, &result)).unwrap())
}

/// Two prompts of 116 days each: who predicts that the second waits for the first, and then for its own, adds them up.
#[test]
fn predictions_that_no_clock_holds_add_up() {
    let cost = "cluster.cost={ kind = 'linear', per_prefill_token_us = 1e9 }";
    let mut predicting = 0;
    for def in Registry::default().all().iter().filter(|def| def.signals.latency) {
        let kind = format!("scheduler.kind='{}'", def.name);
        match statistics(&[(0, 10_000, 2), (1, 10_000, 2)], &[cost, &kind, "slo.ttft_s=5.0"], Stepping::Macro) {
            Err(error) => assert!(error.contains("clock"), "{}: {error}", def.name),
            // Who turns away what comes too late turns away both.
            Ok(statistics) => assert!(statistics.contains("\"rejected\":2"), "{}: {statistics}", def.name),
        }
        predicting += 1;
    }
    assert!(predicting >= 5, "only {predicting} schedulers predict");
}

/// Six thousand steps of an hour do not fit, but the client hangs up in the first one.
#[test]
fn steps_that_never_come_are_not_counted() {
    for cost in
        ["{ kind = 'linear', step_us = 3599000000.0 }", "{ kind = 'fixed', prefill_ms = 1, decode_ms = 3599000 }"]
    {
        let cost = format!("cluster.cost={cost}");
        let settings = [cost.as_str(), "clients={ patience_s = 100.0, until_end = true }"];
        let [by_step, at_once] =
            [Stepping::Every, Stepping::Macro].map(|stepping| statistics(&[(0, 100, 6_000)], &settings, stepping));
        assert_eq!(by_step, at_once);
        by_step.expect("one step fits");
    }
}
