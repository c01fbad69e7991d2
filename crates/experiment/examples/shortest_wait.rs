//! A scheduler from outside, beside two of ours: this file could live in a crate of its own.
//!
//!     cargo run --release -p trimtab-experiment --example shortest_wait
#![expect(clippy::print_stdout, reason = "an example talks to its reader")]

use serde::{Deserialize, Serialize};
use trimtab_engine::Stepping;
use trimtab_experiment::metrics::metrics;
use trimtab_experiment::scenario::Scenario;
use trimtab_experiment::simulate;
use trimtab_sched::{
    Actions, Arrival, ClusterView, Decision, ParamsDoc, Registry, Scheduler, SchedulerDef, Signals, params_doc, typed,
};

/// The entry for the registry.
const SHORTEST_WAIT: SchedulerDef = SchedulerDef {
    name: "shortest-wait",
    summary: "the instance with the shortest predicted wait, unless another has much more of the prompt",
    citation: "an example",
    deviations: &[],
    signals: Signals { prefix: true, latency: true, ..Signals::NONE },
    hooks: false,
    params: doc,
    build: |params, _| Ok(Box::new(ShortestWait { params: typed(params)?, hits: Vec::new() })),
};

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Params {
    min_hit: f64,
}

impl Default for Params {
    fn default() -> Self {
        Self { min_hit: 0.9 }
    }
}

fn doc() -> ParamsDoc {
    params_doc::<Params>(&[("min_hit", "the share of a prompt for which its holder is preferred")])
}

struct ShortestWait {
    params: Params,
    hits: Vec<u32>,
}

impl Scheduler for ShortestWait {
    fn route(&mut self, arrival: &Arrival<'_>, view: &ClusterView<'_>, _: &mut Actions) -> Decision {
        view.all_hit_tokens(arrival.id, &mut self.hits);
        let enough = self.params.min_hit * f64::from(arrival.prompt.tokens);
        Decision::Route(view.argmin(|i| (f64::from(self.hits[i.index()]) < enough, view.queue_ps(i))))
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let registry = Registry::default().with(SHORTEST_WAIT);
    let mut scenario = Scenario { warmup_requests: 200, ..Scenario::default() };
    scenario.workload.kind = Some("conversation".into());
    scenario.workload.limit = Some(2000);
    scenario.workload.rate = Some(20.0);
    println!("{:<15} {:>12} {:>9}", "", "TTFT mean, s", "hit ratio");
    for name in ["round-robin", "dualmap", SHORTEST_WAIT.name] {
        scenario.scheduler.kind = name.into();
        let metrics = metrics(&scenario, &simulate::run(&scenario, &registry, Stepping::Macro)?);
        let (ttft, hits) = (metrics.ttft_s.mean.unwrap_or_default(), metrics.hit_ratio.tokens.unwrap_or_default());
        println!("{name:<15} {ttft:>12.3} {hits:>9.3}");
    }
    Ok(())
}
