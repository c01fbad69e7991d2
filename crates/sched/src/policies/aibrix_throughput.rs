//! AIBrix `throughput`: despite its name, the instance whose requests so far were the smallest.

use crate::parts::Ties;
use crate::{Actions, Arrival, ClusterView, Decision, Scheduler, SchedulerDef, Signals, no_params, typed};

/// AIBrix `throughput` in the registry.
pub(super) const DEF: SchedulerDef = SchedulerDef {
    name: "aibrix-throughput",
    summary: "the smallest mean request so far (twice the prompt tokens and the generated ones), ties at random",
    citation: "AIBrix, pkg/plugins/gateway/algorithms/throughput.go at e3e10f9 (2026-08-22)",
    deviations: &[
        "means are over all requests that an engine has completed; the product asks Prometheus, whose range is a setting",
        "an engine that has completed nothing reports 0 and attracts requests; the product skips one without the metric",
    ],
    signals: Signals { history: true, ..Signals::NONE },
    hooks: false,
    params: no_params,
    build: |params, context| {
        typed::<crate::NoParams>(params)?;
        Ok(Box::new(Throughput { ties: Ties::new(&context.streams) }))
    },
};

struct Throughput {
    ties: Ties,
}

impl Scheduler for Throughput {
    fn route(&mut self, _: &Arrival<'_>, view: &ClusterView<'_>, actions: &mut Actions) -> Decision {
        let least = self.ties.least(view.members().iter().copied(), |i| {
            let history = view.history(i);
            let size = history.mean(u128::from(2 * history.prompt_tokens + history.output_tokens));
            actions.score(i, size);
            size
        });
        Decision::Route(least.expect("a scheduler is asked only while there is a member"))
    }
}
