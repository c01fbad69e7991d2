//! Power of d choices: the less loaded of d random instances.
//!
//! Sampling two instead of one shrinks the longest queue exponentially (Mitzenmacher, 2001), at the cost of two looks.

use rand::RngExt;
use serde::{Deserialize, Serialize};
use trimtab_core::{InstanceId, StreamRng};

use crate::parts::{LOADS, Load};
use crate::{Actions, Arrival, ClusterView, Decision, Scheduler, SchedulerDef, Signals, params_doc, require, typed};

/// Power of d choices in the registry.
pub(super) const DEF: SchedulerDef = SchedulerDef {
    name: "power-of-d",
    summary: "the least loaded of d distinct random instances",
    citation: "Mitzenmacher, The Power of Two Choices in Randomized Load Balancing, IEEE TPDS 2001",
    deviations: &[],
    signals: Signals { snapshots: true, ..Signals::NONE },
    hooks: false,
    params: || {
        params_doc::<Params>(&[
            ("d", "how many instances are sampled, without replacement; 2 is the textbook value"),
            ("load", LOADS),
        ])
    },
    build: |params, context| {
        let params: Params = typed(params)?;
        require(params.d >= 1, "d", "at least 1")?;
        Ok(Box::new(PowerOfD { params, rng: context.streams.stream("scheduler"), sampled: Vec::new() }))
    },
};

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Params {
    d: usize,
    load: Load,
}

impl Default for Params {
    fn default() -> Self {
        Self { d: 2, load: Load::InFlight }
    }
}

struct PowerOfD {
    params: Params,
    rng: StreamRng,
    sampled: Vec<InstanceId>,
}

impl Scheduler for PowerOfD {
    fn route(&mut self, _: &Arrival<'_>, view: &ClusterView<'_>, actions: &mut Actions) -> Decision {
        let members = view.members();
        self.sampled.clear();
        if self.params.d >= members.len() {
            self.sampled.extend(members);
        }
        while self.sampled.len() < self.params.d.min(members.len()) {
            let drawn = members[self.rng.random_range(0..members.len())];
            if !self.sampled.contains(&drawn) {
                self.sampled.push(drawn);
            }
        }
        // `min_by_key` keeps the first of equals: the first sampled.
        let loads = self.sampled.iter().map(|&i| (i, self.params.load.of(view, i)));
        let (chosen, _) = loads
            .inspect(|&(i, load)| actions.score(i, load as f64))
            .min_by_key(|&(_, load)| load)
            .expect("at least one instance is sampled");
        Decision::Route(chosen)
    }
}
