//! AIBrix `least-request`: the fewest requests in flight by the gateway's own count.

use crate::parts::Ties;
use crate::{Actions, Arrival, ClusterView, Decision, Scheduler, SchedulerDef, Signals, no_params, typed};

/// AIBrix `least-request` in the registry.
pub(super) const DEF: SchedulerDef = SchedulerDef {
    name: "aibrix-least-request",
    summary: "the fewest requests in flight by the gateway's own count, ties at random",
    citation: "AIBrix, pkg/plugins/gateway/algorithms/least_request.go at e3e10f9 (2026-08-22)",
    deviations: &["one gateway replica: its count is that of the whole cluster"],
    signals: Signals::NONE,
    hooks: false,
    params: no_params,
    build: |params, context| {
        typed::<crate::NoParams>(params)?;
        Ok(Box::new(LeastRequest { ties: Ties::new(&context.streams) }))
    },
};

struct LeastRequest {
    ties: Ties,
}

impl Scheduler for LeastRequest {
    fn route(&mut self, _: &Arrival<'_>, view: &ClusterView<'_>, _: &mut Actions) -> Decision {
        let in_flight = &view.counters().in_flight;
        let least = self.ties.least(view.members().iter().copied(), |i| in_flight[i.index()]);
        Decision::Route(least.expect("a scheduler is asked only while there is a member"))
    }
}
