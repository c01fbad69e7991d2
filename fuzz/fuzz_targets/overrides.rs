//! Lines as `--set`, `--param` and the like: what they make of the default scenario, checked and, where it is small, run.
#![no_main]

use libfuzzer_sys::fuzz_target;
use trimtab_engine::Stepping;
use trimtab_experiment::overrides::{Override, overridden};
use trimtab_experiment::scenario::Scenario;
use trimtab_experiment::simulate::run;
use trimtab_sched::Registry;

fuzz_target!(|bytes: &[u8]| {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let mut base = Scenario::default();
    base.workload.kind = Some("conversation".to_owned());
    base.workload.limit = Some(8);
    let Ok(set) = text.lines().map(|line| Override::parse("--set", line)).collect::<Result<Vec<_>, _>>() else {
        return;
    };
    let Ok(scenario) = overridden(&base, &set) else { return };
    let small = scenario.workload.limit.is_some_and(|limit| limit <= 8)
        && scenario.workload.trace.is_none()
        && scenario.workload.duration_s.is_none()
        && scenario.cluster.instances <= 16
        && scenario.event.is_empty()
        && scenario.autoscaler.is_none()
        && scenario.dynamics.mtbf_s.is_none()
        && scenario.cluster.group.iter().all(|group| group.instances <= 16);
    if small {
        let _ = run(&scenario, &Registry::default(), Stepping::Macro);
    } else {
        let _ = scenario.cluster_config(Stepping::Macro, false);
    }
});
