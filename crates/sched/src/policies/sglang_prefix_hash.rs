//! SGLang's prefix hash: the ring owner of the first tokens, unless it is too busy, and then whoever is least busy.

use serde::{Deserialize, Serialize};
use trimtab_core::InstanceId;

use crate::parts::{Ring, hash64};
use crate::{
    Actions, Arrival, ClusterView, Decision, Hook, Scheduler, SchedulerDef, Signals, params_doc, require, typed,
};

/// SGLang's prefix-hash policy in the registry.
pub(super) const DEF: SchedulerDef = SchedulerDef {
    name: "sglang-prefix-hash",
    summary: "the owner of the first 256 tokens on a hash ring, or the least loaded worker when it is above a bound",
    citation: "SGLang model gateway, `prefix_hash`: sgl-model-gateway/src/policies/prefix_hash.rs (065f331), read 2026-11; \
               ring of core/worker_registry.rs",
    deviations: &[
        "a fixed 64-bit hash instead of xxh3 and blake3: other positions on the ring, the same distribution",
        "an empty prompt goes to the least loaded worker; the source gives no route and leaves it to its caller",
    ],
    signals: Signals::NONE,
    hooks: true,
    params: || {
        params_doc::<Params>(&[
            ("prefix_token_count", "how many leading tokens are hashed (or fewer); source: 256"),
            ("load_factor", "accept up to this many times (total + 1)/n requests in flight; source: 1.25"),
            ("virtual_nodes", "ring points of a worker; source: 150"),
        ])
    },
    build: |params, _| {
        let params: Params = typed(params)?;
        require(params.prefix_token_count >= 1, "prefix_token_count", "at least 1")?;
        require(params.load_factor > 0.0, "load_factor", "positive")?;
        require(params.virtual_nodes >= 1, "virtual_nodes", "at least 1")?;
        Ok(Box::new(PrefixHash { params, ring: None }))
    },
};

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Params {
    prefix_token_count: u32,
    load_factor: f64,
    virtual_nodes: u32,
}

impl Default for Params {
    fn default() -> Self {
        Self { prefix_token_count: 256, load_factor: 1.25, virtual_nodes: 150 }
    }
}

struct PrefixHash {
    params: Params,
    ring: Option<Ring>,
}

impl Scheduler for PrefixHash {
    fn route(&mut self, arrival: &Arrival<'_>, view: &ClusterView<'_>, actions: &mut Actions) -> Decision {
        let members = view.members();
        let load = |i: InstanceId| view.counters().in_flight[i.index()];
        let Some(key) = arrival.prefix_key(self.params.prefix_token_count) else {
            actions.reason("no tokens");
            return Decision::Route(view.argmin(load));
        };
        let ring = self.ring.get_or_insert_with(|| Ring::new(members, self.params.virtual_nodes, 0));
        let owner = ring.owner(hash64(2, key)).expect("a scheduler is asked only while there is a member");
        let total: u64 = members.iter().map(|&i| u64::from(load(i))).sum();
        let bound = (total + 1) as f64 / members.len() as f64 * self.params.load_factor;
        let accepts = |i: InstanceId| total == 0 || f64::from(load(i)) <= bound;
        if accepts(owner) {
            actions.reason("owner");
            return Decision::Route(owner);
        }
        actions.reason("owner above the bound");
        let least = view.argmin(load);
        Decision::Route(if accepts(least) { least } else { owner })
    }

    fn hook(&mut self, hook: &Hook, _: &ClusterView<'_>, _: &mut Actions) {
        if matches!(hook, Hook::Joined { .. } | Hook::Left { .. }) {
            self.ring = None;
        }
    }
}
