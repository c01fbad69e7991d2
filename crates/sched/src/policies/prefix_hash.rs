//! Prefix hash: the first tokens of the prompt name the instance.
//!
//! What it is for: its two failure modes. With 256 tokens every request of a workload with one system prompt goes to one
//! instance; with 4,000 the turns of a conversation whose first turn was shorter hash apart. DualMap's key that follows
//! the traffic is an answer to both.

use rustc_hash::FxHashMap;
use serde::{Deserialize, Serialize};
use trimtab_core::InstanceId;

use crate::parts::{Choices, LOADS, Load, Placement};
use crate::{
    Actions, Arrival, ClusterView, Decision, Hook, Scheduler, SchedulerDef, Signals, params_doc, require, typed,
};

/// Prefix hash in the registry.
pub(super) const DEF: SchedulerDef = SchedulerDef {
    name: "prefix-hash",
    summary: "the instance that the first 256 (or 4,000) tokens of the prompt hash to",
    citation: "cache-aware gateways that hash the first 256 or 4,000 tokens; with `placement = ring` and \
               `load_factor = 1.25` SGLang's `prefix_hash`",
    deviations: &[
        "a fixed 64-bit hash of the prefix identity instead of BLAKE2b or XXH3",
        "the sources give no load rule for prompts without tokens: they go to the least loaded instance",
    ],
    signals: Signals { snapshots: true, ..Signals::NONE },
    hooks: true,
    params: || {
        params_doc::<Params>(&[
            ("tokens", "how many leading tokens are hashed; the gateways use 256 or 4,000, SGLang 256"),
            (
                "owner",
                "`hash`: by `placement`, stateless; `least-loaded`: a new prefix goes to the least loaded instance, \
                 which is remembered",
            ),
            ("placement", "`ring`, `mod-n` or `rendezvous`"),
            ("virtual_nodes", "ring points of an instance"),
            (
                "load_factor",
                "when the owner's load exceeds this times (total + 1)/n, the least loaded instance instead; null: never \
                 (the gateways); SGLang: 1.25",
            ),
            ("load", LOADS),
        ])
    },
    build: |params, _| {
        let params: Params = typed(params)?;
        require(params.tokens >= 1, "tokens", "at least 1")?;
        require(params.virtual_nodes >= 1, "virtual_nodes", "at least 1")?;
        require(params.load_factor.is_none_or(|f| f > 0.0), "load_factor", "positive or null")?;
        let hash = Choices::new(params.placement, 1, params.virtual_nodes, 0);
        Ok(Box::new(PrefixHash { params, hash, table: FxHashMap::default() }))
    },
};

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Params {
    tokens: u32,
    owner: Owner,
    placement: Placement,
    virtual_nodes: u32,
    load_factor: Option<f64>,
    load: Load,
}

impl Default for Params {
    fn default() -> Self {
        Self {
            tokens: 256,
            owner: Owner::Hash,
            placement: Placement::Rendezvous,
            virtual_nodes: 64,
            load_factor: None,
            load: Load::InFlight,
        }
    }
}

#[derive(Serialize, Deserialize, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
enum Owner {
    Hash,
    LeastLoaded,
}

struct PrefixHash {
    params: Params,
    hash: Choices,
    table: FxHashMap<u64, InstanceId>,
}

impl PrefixHash {
    fn owner(&mut self, key: u64, view: &ClusterView<'_>) -> InstanceId {
        match self.params.owner {
            Owner::Hash => self.hash.of(key, view.members()).as_slice()[0],
            Owner::LeastLoaded => {
                let load = self.params.load;
                let home = self.table.entry(key).or_insert_with(|| load.least(view));
                if !view.is_member(*home) {
                    *home = load.least(view);
                }
                *home
            }
        }
    }
}

impl Scheduler for PrefixHash {
    fn route(&mut self, arrival: &Arrival<'_>, view: &ClusterView<'_>, actions: &mut Actions) -> Decision {
        let load = self.params.load;
        let Some(key) = arrival.prefix_key(self.params.tokens) else {
            actions.reason("no tokens");
            return Decision::Route(load.least(view));
        };
        let owner = self.owner(key, view);
        let Some(factor) = self.params.load_factor else {
            return Decision::Route(owner);
        };
        let total: u64 = view.members().iter().map(|&i| load.of(view, i)).sum();
        let bound = factor * (total + 1) as f64 / view.members().len() as f64;
        let fits = |i: InstanceId| total == 0 || load.of(view, i) as f64 <= bound;
        if fits(owner) {
            return Decision::Route(owner);
        }
        // The least loaded instance passes whenever any does.
        let least = load.least(view);
        actions.reason("owner above its bound");
        Decision::Route(if fits(least) { least } else { owner })
    }

    fn hook(&mut self, hook: &Hook, _: &ClusterView<'_>, _: &mut Actions) {
        if matches!(hook, Hook::Joined { .. } | Hook::Left { .. }) {
            self.hash.members_changed();
        }
    }
}
