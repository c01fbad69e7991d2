//! Cache affinity: go where the cache is, whatever the load.
//!
//! The affinity extreme among DualMap's baselines (arXiv 2602.06502). Taken literally ("the instance with the most cached
//! tokens") it sends a workload whose requests all share one system prompt to a single instance for ever, so the default
//! is the sensible reading: one home for each of DualMap's keys.

use serde::{Deserialize, Serialize};
use trimtab_core::InstanceId;

use crate::parts::{Choices, HotnessTree, KeyRule, LOADS, Load, Placement};
use crate::{
    Actions, Arrival, ClusterView, Decision, Hook, Scheduler, SchedulerDef, Signals, params_doc, require, typed,
};

/// Cache affinity in the registry.
pub(super) const DEF: SchedulerDef = SchedulerDef {
    name: "cache-affinity",
    summary: "one home for each prefix, or the instance with the most cached tokens; load ignored",
    citation: "baseline of DualMap, arXiv 2602.06502, section 5",
    deviations: &[
        "`prefix-hash` mode (the default) is an interpretation: the published rule, most reusable KV wins, is `literal` \
         and collapses onto one instance when all prompts share their first block",
    ],
    signals: Signals { snapshots: true, prefix: true, ..Signals::NONE },
    hooks: true,
    params: || {
        params_doc::<Params>(&[
            ("mode", "`prefix-hash`: one home for each key, keys as in DualMap; `literal`: most cached tokens, ties to the lowest id"),
            ("key_block_tokens", "tokens of a key block; DualMap: 512"),
            ("initial_blocks", "blocks of a key before growth; interpretation: 1"),
            ("adaptive", "whether keys grow and shrink with traffic, as in DualMap"),
            ("window", "recent requests that traffic shares are taken over; DualMap's is unpublished, 1,000 as in a port"),
            ("placement", "`mod-n` as in DualMap for a fixed fleet, `ring` or `rendezvous`"),
            ("virtual_nodes", "ring points of an instance"),
            ("salt", "another value maps the keys to other instances"),
            ("load", LOADS),
        ])
    },
    build: |params, _| {
        let params: Params = typed(params)?;
        require(params.key_block_tokens >= 1, "key_block_tokens", "at least 1")?;
        require(params.initial_blocks >= 1, "initial_blocks", "at least 1")?;
        require(params.window >= 1, "window", "at least 1")?;
        require(params.virtual_nodes >= 1, "virtual_nodes", "at least 1")?;
        let keys = HotnessTree::new(KeyRule {
            block_tokens: params.key_block_tokens,
            initial_blocks: params.initial_blocks,
            adaptive: params.adaptive,
            window: params.window,
        });
        let homes = Choices::new(params.placement, 1, params.virtual_nodes, params.salt);
        Ok(Box::new(CacheAffinity { mode: params.mode, load: params.load, keys, homes, hits: Vec::new() }))
    },
};

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Params {
    mode: Mode,
    key_block_tokens: u32,
    initial_blocks: u32,
    adaptive: bool,
    window: usize,
    placement: Placement,
    virtual_nodes: u32,
    salt: u64,
    load: Load,
}

impl Default for Params {
    fn default() -> Self {
        Self {
            mode: Mode::PrefixHash,
            key_block_tokens: 512,
            initial_blocks: 1,
            adaptive: true,
            window: 1000,
            placement: Placement::ModN,
            virtual_nodes: 64,
            salt: 0,
            load: Load::EnginePendingTokens,
        }
    }
}

#[derive(Serialize, Deserialize, Clone, Copy)]
#[serde(rename_all = "kebab-case")]
enum Mode {
    PrefixHash,
    Literal,
}

struct CacheAffinity {
    mode: Mode,
    load: Load,
    keys: HotnessTree,
    homes: Choices,
    hits: Vec<u32>,
}

impl CacheAffinity {
    fn most_cached(&mut self, arrival: &Arrival<'_>, view: &ClusterView<'_>) -> InstanceId {
        view.all_hit_tokens(arrival.id, &mut self.hits);
        view.argmin(|i| std::cmp::Reverse(self.hits[i.index()]))
    }
}

impl Scheduler for CacheAffinity {
    fn route(&mut self, arrival: &Arrival<'_>, view: &ClusterView<'_>, actions: &mut Actions) -> Decision {
        if let Mode::Literal = self.mode {
            return Decision::Route(self.most_cached(arrival, view));
        }
        let Some(key) = self.keys.key(arrival, view.members().len()) else {
            actions.reason("shorter than a key block");
            return Decision::Route(self.load.least(view));
        };
        Decision::Route(self.homes.of(key.id, view.members()).as_slice()[0])
    }

    fn hook(&mut self, hook: &Hook, _: &ClusterView<'_>, _: &mut Actions) {
        if matches!(hook, Hook::Joined { .. } | Hook::Left { .. }) {
            self.homes.members_changed();
        }
    }
}
