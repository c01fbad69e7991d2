//! AIBrix `prefix-cache`: the longest match by percent, but no pod above one standard deviation.

mod table;

use serde::{Deserialize, Serialize};
use trimtab_core::{InstanceId, SimTime};

use crate::parts::{Periodic, Ties};
use crate::{
    Actions, Arrival, ClusterView, Decision, Hook, ParamError, Scheduler, SchedulerDef, Signals, params_doc, require,
    typed,
};
use table::PrefixTable;

/// AIBrix `prefix-cache` in the registry.
pub(super) const DEF: SchedulerDef = SchedulerDef {
    name: "aibrix-prefix-cache",
    summary: "the longest prefix sent there, unless more than a standard deviation busier than the mean",
    citation: "AIBrix, pkg/plugins/gateway/algorithms/prefix_cache.go and pkg/utils/prefixcacheindexer at e3e10f9 \
               (2026-08-22)",
    deviations: &[
        "blocks of one token instead of four bytes (4 characters a token)",
        "a block that is forgotten and known again within one prompt keeps its pods",
    ],
    signals: Signals { prefix: true, ..Signals::NONE },
    hooks: true,
    params: || {
        params_doc::<Params>(&[
            ("index", "`sent`: a table of what was sent (the default of the product); `signal`: the prefix signal, as its exact mode"),
            ("block_tokens", "tokens of a block; the product's default tokenizer: 4 characters"),
            ("capacity_blocks", "blocks of all pods that are remembered; the product: 200,000"),
            ("ttl_s", "seconds after which an unused block is forgotten; the product: 20 minutes"),
            ("imbalance", "counts further apart than this: only the least busy pods; the product: 8"),
            ("std_factor", "standard deviations that a pod may be above the mean; the product: 1"),
        ])
    },
    build: |params, context| {
        let params: Params = typed(params)?;
        require(params.block_tokens >= 1, "block_tokens", "at least 1")?;
        require(params.capacity_blocks >= 1, "capacity_blocks", "at least 1")?;
        let ttl = SimTime::from_secs_f64(params.ttl_s)
            .ok_or_else(|| ParamError("parameter `ttl_s` must be a span of time".into()))?;
        Ok(Box::new(PrefixCache {
            table: PrefixTable::new(params.block_tokens, params.capacity_blocks, ttl),
            sweep: Periodic::new(SWEEP),
            ties: Ties::new(&context.streams),
            matched: Vec::new(),
            candidates: Vec::new(),
            params,
        }))
    },
};

/// How often the product looks for blocks whose time is over.
const SWEEP: SimTime = SimTime(trimtab_core::PS_PER_S);

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Params {
    index: Index,
    block_tokens: u32,
    capacity_blocks: u64,
    ttl_s: f64,
    imbalance: u32,
    std_factor: f64,
}

#[derive(Serialize, Deserialize, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
enum Index {
    Sent,
    Signal,
}

impl Default for Params {
    fn default() -> Self {
        Self {
            index: Index::Sent,
            block_tokens: 1,
            capacity_blocks: 200_000,
            ttl_s: 1200.0,
            imbalance: 8,
            std_factor: 1.0,
        }
    }
}

struct PrefixCache {
    params: Params,
    table: PrefixTable,
    sweep: Periodic,
    ties: Ties,
    /// Leading blocks, by pod.
    matched: Vec<u32>,
    candidates: Vec<InstanceId>,
}

/// Mean and sample standard deviation.
fn moments(counts: impl Iterator<Item = u32> + Clone) -> (f64, f64) {
    let n = counts.clone().count() as f64;
    let mean = counts.clone().map(f64::from).sum::<f64>() / n;
    if n <= 1.0 {
        return (mean, 0.0);
    }
    let squares: f64 = counts.map(|c| (f64::from(c) - mean) * (f64::from(c) - mean)).sum();
    (mean, libm::sqrt(squares / (n - 1.0)))
}

impl PrefixCache {
    /// Fills `matched` for the candidates.
    fn look_up(&mut self, arrival: &Arrival<'_>, view: &ClusterView<'_>) {
        if self.params.index == Index::Signal {
            view.all_hit_tokens(arrival.id, &mut self.matched);
            self.matched.iter_mut().for_each(|tokens| *tokens /= self.params.block_tokens);
            return;
        }
        if self.sweep.due(view.now()) {
            self.table.expire(view.now());
        }
        self.matched.resize(view.counters().in_flight.len(), 0);
        self.table.matched(arrival, &self.candidates, &mut self.matched);
    }

    /// The best match that is not too busy.
    fn by_match(&mut self, view: &ClusterView<'_>, blocks: u32) -> Option<InstanceId> {
        let count = |i: InstanceId| view.counters().in_flight[i.index()];
        let (mean, std) = moments(view.members().iter().map(|&i| count(i)));
        let bound = mean + self.params.std_factor * std;
        let percent = |i: InstanceId| u64::from(self.matched[i.index()]) * 100 / u64::from(blocks.max(1));
        let fit = self.candidates.iter().copied().filter(|&i| self.matched[i.index()] > 0 && f64::from(count(i)) <= bound);
        self.ties.least(fit, |i| (std::cmp::Reverse(percent(i)), count(i)))
    }
}

impl Scheduler for PrefixCache {
    fn route(&mut self, arrival: &Arrival<'_>, view: &ClusterView<'_>, actions: &mut Actions) -> Decision {
        let members = view.members();
        let count = |i: InstanceId| view.counters().in_flight[i.index()];
        let least = members.iter().map(|&i| count(i)).min().unwrap_or(0);
        let most = members.iter().map(|&i| count(i)).max().unwrap_or(0);
        let imbalanced = most - least > self.params.imbalance;
        self.candidates.clear();
        self.candidates.extend(members.iter().copied().filter(|&i| !imbalanced || count(i) == least));
        self.look_up(arrival, view);
        let blocks = arrival.prompt.tokens / self.params.block_tokens;
        let matched = self.by_match(view, blocks);
        actions.reason(match (matched, imbalanced) {
            (Some(_), false) => "prefix",
            (Some(_), true) => "prefix among the least busy",
            (None, _) => "least busy",
        });
        let chosen = matched.or_else(|| self.ties.least(members.iter().copied(), count));
        let chosen = chosen.expect("a scheduler is asked only while there is a member");
        if self.params.index == Index::Sent {
            // Only the candidates were looked up.
            let blocks = if self.candidates.contains(&chosen) { self.matched[chosen.index()] } else { 0 };
            actions.expect_hit(arrival.id, blocks * self.params.block_tokens);
            self.table.add(arrival, chosen, view.now());
        }
        Decision::Route(chosen)
    }

    fn learn(&mut self, arrival: &Arrival<'_>, to: InstanceId, now: SimTime) {
        if self.params.index == Index::Sent {
            self.table.add(arrival, to, now);
        }
    }

    fn hook(&mut self, hook: &Hook, _: &ClusterView<'_>, _: &mut Actions) {
        if let Hook::Left { instance } = *hook {
            self.table.remove_pod(instance);
        }
    }
}
