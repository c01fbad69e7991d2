//! xLLM-service's cache-aware routing.

use serde::{Deserialize, Serialize};
use trimtab_core::InstanceId;

use crate::{Actions, Arrival, ClusterView, Decision, Scheduler, SchedulerDef, Signals, params_doc, typed};

/// xLLM cache-aware in the registry.
pub(super) const DEF: SchedulerDef = SchedulerDef {
    name: "xllm-cache-aware",
    summary: "the most of cached share less KV use less waiting share",
    citation: "xLLM-service, cache-aware routing at c8033e0 (2026-04-09)",
    deviations: &["one pool: the product chooses so in its prefill pool and again in its decode pool"],
    signals: Signals { snapshots: true, prefix: true, ..Signals::NONE },
    hooks: false,
    params: || {
        params_doc::<Params>(&[(
            "division",
            "`integer`: the code divides whole numbers, so that the shares are 1 for the largest and 0 for all others; \
             `real`: what was meant",
        )])
    },
    build: |params, _| Ok(Box::new(CacheAware { params: typed(params)?, hits: Vec::new() })),
};

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Params {
    division: Division,
}

#[derive(Serialize, Deserialize, Clone, Copy)]
#[serde(rename_all = "kebab-case")]
enum Division {
    Integer,
    Real,
}

impl Default for Params {
    fn default() -> Self {
        Self { division: Division::Integer }
    }
}

impl Division {
    /// A share of the largest; 0 when that is 0.
    fn share(self, part: u32, largest: u32) -> f64 {
        match self {
            _ if largest == 0 => 0.0,
            Self::Integer => f64::from(part / largest),
            Self::Real => f64::from(part) / f64::from(largest),
        }
    }
}

struct CacheAware {
    params: Params,
    hits: Vec<u32>,
}

impl Scheduler for CacheAware {
    fn route(&mut self, arrival: &Arrival<'_>, view: &ClusterView<'_>, actions: &mut Actions) -> Decision {
        view.all_hit_tokens(arrival.id, &mut self.hits);
        let members = view.members();
        let longest = members.iter().map(|i| self.hits[i.index()]).max().unwrap_or(0);
        let waiting = members.iter().map(|&i| view.snapshot(i).waiting).max().unwrap_or(0);
        let division = self.params.division;
        let score = |i: InstanceId| {
            let snapshot = view.snapshot(i);
            division.share(self.hits[i.index()], longest) - snapshot.kv_use() - division.share(snapshot.waiting, waiting)
        };
        Decision::Route(view.argmin(|i| {
            let score = score(i);
            actions.score(i, score);
            -score
        }))
    }
}
