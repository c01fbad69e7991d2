//! SGLang's bounded consistent hashing: sessions stay on their ring owner, and spill clockwise when it is too busy.

use serde::{Deserialize, Serialize};
use trimtab_core::InstanceId;

use crate::parts::{Ring, Ties, hash64};
use crate::{
    Actions, Arrival, ClusterView, Decision, Hook, Scheduler, SchedulerDef, Signals, params_doc, require, typed,
};

/// SGLang's bounded consistent hashing in the registry.
pub(super) const DEF: SchedulerDef = SchedulerDef {
    name: "sglang-bounded-hash",
    summary: "the first worker clockwise of the session's hash whose load is at most 1.5 times the mean",
    citation: "SGLang model gateway, `bounded_consistent_hashing`: \
               sgl-model-gateway/src/policies/bounded_consistent_hashing.rs (1cfac30), read 2026-11",
    deviations: &[
        "the explicit routing key is the session, an inferred one (authorization, forwarded-for or cookie header) the tenant",
        "no header names a target worker",
        "a fixed 64-bit hash instead of blake3: other positions on the ring, the same distribution",
    ],
    signals: Signals::NONE,
    hooks: true,
    params: || {
        params_doc::<Params>(&[
            ("max_load_skew", "accept up to this many times the mean of requests in flight, this one not counted; source: 1.5"),
            ("implicit_key", "what requests without a session are hashed by, never spilling: `none`: any worker at random, or \
              `tenant`, as when clients send credentials"),
            ("virtual_nodes", "ring points of a worker; source: 150"),
        ])
    },
    build: |params, context| {
        let params: Params = typed(params)?;
        require(params.max_load_skew > 0.0, "max_load_skew", "positive")?;
        require(params.virtual_nodes >= 1, "virtual_nodes", "at least 1")?;
        Ok(Box::new(BoundedHash { params, ring: None, ties: Ties::new(&context.streams) }))
    },
};

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Params {
    max_load_skew: f64,
    implicit_key: ImplicitKey,
    virtual_nodes: u32,
}

impl Default for Params {
    fn default() -> Self {
        Self { max_load_skew: 1.5, implicit_key: ImplicitKey::None, virtual_nodes: 150 }
    }
}

#[derive(Serialize, Deserialize, Clone, Copy)]
#[serde(rename_all = "kebab-case")]
enum ImplicitKey {
    None,
    Tenant,
}

struct BoundedHash {
    params: Params,
    ring: Option<Ring>,
    ties: Ties,
}

impl Scheduler for BoundedHash {
    fn route(&mut self, arrival: &Arrival<'_>, view: &ClusterView<'_>, actions: &mut Actions) -> Decision {
        let members = view.members();
        let ring = self.ring.get_or_insert_with(|| Ring::new(members, self.params.virtual_nodes, 0));
        if let Some(session) = arrival.session {
            let load = |i: InstanceId| view.counters().in_flight[i.index()];
            let total: u64 = members.iter().map(|&i| u64::from(load(i))).sum();
            let bound = total as f64 / members.len() as f64 * self.params.max_load_skew;
            let accepts = |i: InstanceId| total == 0 || f64::from(load(i)) <= bound;
            let hash = hash64(3, u64::from(session.0));
            let owner = ring.owner(hash).expect("a scheduler is asked only while there is a member");
            actions.reason(if accepts(owner) { "owner" } else { "spill" });
            return Decision::Route(ring.walk(hash).find(|&i| accepts(i)).unwrap_or(owner));
        }
        if let ImplicitKey::Tenant = self.params.implicit_key {
            actions.reason("implicit key");
            let owner = ring.owner(hash64(4, u64::from(arrival.tenant.0)));
            return Decision::Route(owner.expect("a scheduler is asked only while there is a member"));
        }
        actions.reason("no key");
        Decision::Route(self.ties.any(members).expect("a scheduler is asked only while there is a member"))
    }

    fn hook(&mut self, hook: &Hook, _: &ClusterView<'_>, _: &mut Actions) {
        if matches!(hook, Hook::Joined { .. } | Hook::Left { .. }) {
            self.ring = None;
        }
    }
}
