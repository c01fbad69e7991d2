//! Consistent hashing on the session, the tenant or the first tokens of the prompt.

use serde::{Deserialize, Serialize};

use crate::parts::{Choices, LOADS, Load, Placement};
use crate::{
    Actions, Arrival, ClusterView, Decision, Hook, Scheduler, SchedulerDef, Signals, params_doc, require, typed,
};

/// Consistent hashing in the registry.
pub(super) const DEF: SchedulerDef = SchedulerDef {
    name: "consistent-hash",
    summary: "the owner of the session, tenant or prompt head on a hash ring",
    citation: "Karger et al., STOC 1997; `session` mode as in vLLM production-stack (routing_logic.py, a6c01db)",
    deviations: &["requests without a key go to the least loaded instance by `load`; production-stack uses measured QPS"],
    signals: Signals { snapshots: true, ..Signals::NONE },
    hooks: true,
    params: || {
        params_doc::<Params>(&[
            ("key", "`session`, `tenant` or `prefix`; production-stack hashes the session"),
            ("prefix_tokens", "with `key = prefix`, how many leading tokens are hashed; one 512-token block"),
            ("placement", "`ring`, `mod-n` or `rendezvous`"),
            ("virtual_nodes", "ring points of an instance; 64 bounds the skew near 1.2"),
            ("load", LOADS),
        ])
    },
    build: |params, _| {
        let params: Params = typed(params)?;
        require(params.virtual_nodes >= 1, "virtual_nodes", "at least 1")?;
        require(params.prefix_tokens >= 1, "prefix_tokens", "at least 1")?;
        let owners = Choices::new(params.placement, 1, params.virtual_nodes, 0);
        Ok(Box::new(ConsistentHash { params, owners }))
    },
};

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Params {
    key: KeyKind,
    prefix_tokens: u32,
    placement: Placement,
    virtual_nodes: u32,
    load: Load,
}

impl Default for Params {
    fn default() -> Self {
        Self {
            key: KeyKind::Session,
            prefix_tokens: 512,
            placement: Placement::Ring,
            virtual_nodes: 64,
            load: Load::InFlight,
        }
    }
}

#[derive(Serialize, Deserialize, Clone, Copy)]
#[serde(rename_all = "kebab-case")]
enum KeyKind {
    Session,
    Tenant,
    Prefix,
}

struct ConsistentHash {
    params: Params,
    owners: Choices,
}

impl Scheduler for ConsistentHash {
    fn route(&mut self, arrival: &Arrival<'_>, view: &ClusterView<'_>, actions: &mut Actions) -> Decision {
        let key = match self.params.key {
            KeyKind::Session => arrival.session.map(|s| u64::from(s.0)),
            KeyKind::Tenant => Some(u64::from(arrival.tenant.0)),
            KeyKind::Prefix => arrival.prefix_key(self.params.prefix_tokens),
        };
        let Some(key) = key else {
            actions.reason("no key");
            return Decision::Route(self.params.load.least(view));
        };
        Decision::Route(self.owners.of(key, view.members()).as_slice()[0])
    }

    fn hook(&mut self, hook: &Hook, _: &ClusterView<'_>, _: &mut Actions) {
        if matches!(hook, Hook::Joined { .. } | Hook::Left { .. }) {
            self.owners.members_changed();
        }
    }
}
