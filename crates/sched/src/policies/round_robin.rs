//! Round robin: each request to the next instance, blind to everything else.

use crate::{Actions, Arrival, ClusterView, Decision, NoParams, Scheduler, SchedulerDef, Signals, no_params, typed};

/// Round robin in the registry.
pub(super) const DEF: SchedulerDef = SchedulerDef {
    name: "round-robin",
    summary: "each request to the next instance in turn",
    citation: "textbook",
    deviations: &[],
    signals: Signals::NONE,
    hooks: false,
    params: no_params,
    build: |params, _| {
        typed::<NoParams>(params)?;
        Ok(Box::new(RoundRobin::default()))
    },
};

#[derive(Default)]
struct RoundRobin {
    turn: usize,
}

impl Scheduler for RoundRobin {
    fn route(&mut self, _: &Arrival<'_>, view: &ClusterView<'_>, _: &mut Actions) -> Decision {
        let members = view.members();
        let chosen = members[self.turn % members.len()];
        self.turn = (self.turn + 1) % members.len();
        Decision::Route(chosen)
    }
}
