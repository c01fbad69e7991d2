//! Join the shortest queue: the instance with the fewest requests.

use serde::{Deserialize, Serialize};

use crate::parts::{LOADS, Load};
use crate::{Actions, Arrival, ClusterView, Decision, Scheduler, SchedulerDef, Signals, params_doc, typed};

/// Join the shortest queue in the registry.
pub(super) const DEF: SchedulerDef = SchedulerDef {
    name: "join-shortest-queue",
    summary: "the instance with the fewest requests",
    citation: "textbook; with `load = engine-vllm-dp` how vLLM balances its data-parallel ranks",
    deviations: &[],
    signals: Signals { snapshots: true, ..Signals::NONE },
    hooks: false,
    params: || params_doc::<Params>(&[("load", LOADS)]),
    build: |params, _| Ok(Box::new(JoinShortestQueue { params: typed(params)? })),
};

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Params {
    load: Load,
}

impl Default for Params {
    fn default() -> Self {
        Self { load: Load::InFlight }
    }
}

struct JoinShortestQueue {
    params: Params,
}

impl Scheduler for JoinShortestQueue {
    fn route(&mut self, _: &Arrival<'_>, view: &ClusterView<'_>, _: &mut Actions) -> Decision {
        Decision::Route(self.params.load.least(view))
    }
}
