//! The oracle: tries the request on every instance and keeps the best.
//!
//! An upper bound to compare with, not a policy that could be built: it runs each instance ahead on its true state, the
//! output lengths of running requests included, as if nothing else arrived. It is greedy: it minimises this request's TTFT
//! and not the sum over the requests to come, so a policy with foresight may still beat it.

use crate::{Actions, Arrival, ClusterView, Decision, NoParams, Scheduler, SchedulerDef, Signals, no_params, typed};

/// The oracle in the registry.
pub(super) const DEF: SchedulerDef = SchedulerDef {
    name: "oracle-min-ttft",
    summary: "the instance with the least true TTFT, found by trying each: a bound, not a router",
    citation: "none; an upper bound for greedy TTFT routing",
    deviations: &["sees what no router can: running it elsewhere than in a simulator is impossible"],
    signals: Signals { oracle: true, ..Signals::NONE },
    hooks: false,
    params: no_params,
    build: |params, _| {
        typed::<NoParams>(params)?;
        Ok(Box::new(Oracle))
    },
};

struct Oracle;

impl Scheduler for Oracle {
    fn route(&mut self, arrival: &Arrival<'_>, view: &ClusterView<'_>, actions: &mut Actions) -> Decision {
        Decision::Route(view.argmin(|i| {
            let ttft = view.trial_ps(arrival, i);
            actions.score(i, ttft as f64);
            ttft
        }))
    }
}
