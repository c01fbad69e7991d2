//! Least loaded: the instance with the fewest pending prefill tokens.
//!
//! This is the "Least Loaded" baseline of DualMap (arXiv 2602.06502): the load of an instance is the number of prompt
//! tokens that it still has to compute, of queued requests and of the running prefill.

use serde::{Deserialize, Serialize};

use crate::parts::{LOADS, Load};
use crate::{Actions, Arrival, ClusterView, Decision, Scheduler, SchedulerDef, Signals, params_doc, typed};

/// Least loaded in the registry.
pub(super) const DEF: SchedulerDef = SchedulerDef {
    name: "least-loaded",
    summary: "the instance with the fewest pending prefill tokens",
    citation: "baseline of DualMap, arXiv 2602.06502, section 5",
    deviations: &[],
    signals: Signals { snapshots: true, ..Signals::NONE },
    hooks: false,
    params: || params_doc::<Params>(&[("load", LOADS)]),
    build: |params, _| Ok(Box::new(LeastLoaded { params: typed(params)? })),
};

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Params {
    load: Load,
}

impl Default for Params {
    fn default() -> Self {
        Self { load: Load::EnginePendingTokens }
    }
}

struct LeastLoaded {
    params: Params,
}

impl Scheduler for LeastLoaded {
    fn route(&mut self, _: &Arrival<'_>, view: &ClusterView<'_>, _: &mut Actions) -> Decision {
        Decision::Route(self.params.load.least(view))
    }
}
