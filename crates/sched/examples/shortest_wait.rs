//! A scheduler from outside: this file could live in a crate of its own, which depends on `trimtab-sched`.
#![expect(clippy::print_stdout, reason = "an example talks to its reader")]

use serde::{Deserialize, Serialize};
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

fn main() {
    let registry = Registry::default().with(SHORTEST_WAIT);
    for def in registry.all() {
        println!("{:<20} {}", def.name, def.summary);
    }
}
