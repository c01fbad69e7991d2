//! vLLM's own balancing of data-parallel ranks.

use serde::{Deserialize, Serialize};
use trimtab_core::InstanceId;

use crate::{Actions, Arrival, ClusterView, Decision, Scheduler, SchedulerDef, Signals, Snapshot, params_doc, typed};

/// vLLM's data-parallel balancing in the registry.
pub(super) const DEF: SchedulerDef = SchedulerDef {
    name: "vllm-data-parallel",
    summary: "the least of 4 waiting + running as last reported, counting what was sent since",
    citation: "vLLM, vllm/v1/engine/core_client.py, DPLBAsyncMPClient (364631a); reports are about 100 ms old there",
    deviations: &["one API server: what is sent counts once and the search begins with the first rank"],
    signals: Signals { snapshots: true, ..Signals::NONE },
    hooks: false,
    params: || {
        params_doc::<Params>(&[
            ("waiting_weight", "what a waiting request counts against a running one; vLLM: 4"),
            ("count_sent", "whether a request sent since the last report counts as waiting there; vLLM: yes"),
        ])
    },
    build: |params, _| Ok(Box::new(DataParallel { params: typed(params)?, ranks: Vec::new() })),
};

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Params {
    waiting_weight: u64,
    count_sent: bool,
}

impl Default for Params {
    fn default() -> Self {
        Self { waiting_weight: 4, count_sent: true }
    }
}

struct DataParallel {
    params: Params,
    /// The last report seen of each rank, and how many requests were sent there since.
    ranks: Vec<(Snapshot, u64)>,
}

impl DataParallel {
    fn sent_since(&mut self, i: InstanceId, snapshot: Snapshot) -> u64 {
        if self.ranks.len() <= i.index() {
            self.ranks.resize(i.index() + 1, (Snapshot::default(), 0));
        }
        let rank = &mut self.ranks[i.index()];
        // A report that is always fresh changes within an instant too, as soon as a request has arrived.
        if rank.0 != snapshot {
            *rank = (snapshot, 0);
        }
        rank.1
    }
}

impl Scheduler for DataParallel {
    fn route(&mut self, _: &Arrival<'_>, view: &ClusterView<'_>, actions: &mut Actions) -> Decision {
        let best = view.argmin(|i| {
            let snapshot = view.snapshot(i);
            let sent = if self.params.count_sent { self.sent_since(i, snapshot) } else { 0 };
            let waiting = u64::from(snapshot.waiting) + sent;
            let score = self.params.waiting_weight.saturating_mul(waiting) + u64::from(snapshot.running);
            actions.score(i, score as f64);
            score
        });
        if self.params.count_sent {
            self.ranks[best.index()].1 += 1;
        }
        Decision::Route(best)
    }
}
