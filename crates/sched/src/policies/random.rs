//! Uniformly random placement.

use rand::RngExt;
use trimtab_core::StreamRng;

use crate::{Actions, Arrival, ClusterView, Decision, NoParams, Scheduler, SchedulerDef, Signals, no_params, typed};

/// Random placement in the registry.
pub(super) const DEF: SchedulerDef = SchedulerDef {
    name: "random",
    summary: "a uniformly random instance",
    citation: "textbook",
    deviations: &[],
    signals: Signals::NONE,
    hooks: false,
    params: no_params,
    build: |params, context| {
        typed::<NoParams>(params)?;
        Ok(Box::new(Random { rng: context.streams.stream("scheduler") }))
    },
};

struct Random {
    rng: StreamRng,
}

impl Scheduler for Random {
    fn route(&mut self, _: &Arrival<'_>, view: &ClusterView<'_>, _: &mut Actions) -> Decision {
        Decision::Route(view.members()[self.rng.random_range(0..view.members().len())])
    }
}
