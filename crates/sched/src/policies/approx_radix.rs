//! Cache-aware gateways: an approximate copy of every cache, and the longest match wins whatever the load.

use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use trimtab_core::{InstanceId, SimTime};

use crate::parts::{BlockTtl, LOADS, Load};
use crate::{
    Actions, Arrival, ClusterView, Decision, Hook, ParamError, Scheduler, SchedulerDef, Signals, params_doc, require,
    typed,
};

/// The approximate radix gateway in the registry.
pub(super) const DEF: SchedulerDef = SchedulerDef {
    name: "approx-radix",
    summary: "the longest match in an approximate copy of the caches, ties to the least loaded",
    citation: "a gateway described in a blog post without code or numbers (read 2026-08); time to live as in NVIDIA Dynamo",
    deviations: &[
        "the post gives no details: what was sent is remembered for a time to live, up to a number of blocks",
        "the load guard is that of SGLang 0.4.6 and off unless asked for",
    ],
    signals: Signals { snapshots: true, prefix: true, ..Signals::NONE },
    hooks: true,
    params: || {
        params_doc::<Params>(&[
            ("index", "`sent`: blocks sent there; `signal`: the prefix signal, which sees what engines evict"),
            ("block_tokens", "tokens of a block of the copy; 512 is that of the published traces"),
            ("ttl_s", "seconds after which what was sent is forgotten; Dynamo without events: 120"),
            ("max_blocks", "blocks remembered on all workers; Dynamo: 2^20"),
            ("lag_s", "seconds until the copy knows what was sent; unpublished, 0 is a choice"),
            ("balance_abs", "balance when requests in flight differ by more than this (SGLang 0.4.6: 32); null: never"),
            ("balance_rel", "and the most exceeds this times the fewest; SGLang 0.4.6: 1.0001"),
            ("load", LOADS),
        ])
    },
    build: |params, _| {
        let params: Params = typed(params)?;
        require(params.block_tokens >= 1, "block_tokens", "at least 1")?;
        require(params.max_blocks >= 1, "max_blocks", "at least 1")?;
        let span = |seconds: f64, name: &str| {
            SimTime::from_secs_f64(seconds)
                .ok_or_else(|| ParamError(format!("parameter `{name}` must be a span of time")))
        };
        let (ttl, lag) = (span(params.ttl_s, "ttl_s")?, span(params.lag_s, "lag_s")?);
        let copy = BlockTtl::new(ttl, params.max_blocks, 0.8);
        Ok(Box::new(ApproxRadix { params, lag, copy, sent: VecDeque::new(), keys: Vec::new(), matched: Vec::new() }))
    },
};

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Params {
    index: Index,
    block_tokens: u32,
    ttl_s: f64,
    max_blocks: usize,
    lag_s: f64,
    balance_abs: Option<u32>,
    balance_rel: f64,
    load: Load,
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
            block_tokens: 512,
            ttl_s: 120.0,
            max_blocks: 1 << 20,
            lag_s: 0.0,
            balance_abs: None,
            balance_rel: 1.0001,
            load: Load::InFlight,
        }
    }
}

struct ApproxRadix {
    params: Params,
    lag: SimTime,
    copy: BlockTtl,
    /// What the copy does not know yet, and since when it was sent.
    sent: VecDeque<(SimTime, InstanceId, Vec<u64>)>,
    keys: Vec<u64>,
    matched: Vec<u32>,
}

impl ApproxRadix {
    fn look_up(&mut self, arrival: &Arrival<'_>, view: &ClusterView<'_>) {
        if self.params.index == Index::Signal {
            view.all_hit_tokens(arrival.id, &mut self.matched);
            return;
        }
        while self.sent.front().is_some_and(|(at, ..)| view.now().saturating_since(*at) >= self.lag) {
            let (at, to, keys) = self.sent.pop_front().expect("looked at above");
            self.copy.insert(at.checked_add(self.lag).unwrap_or(at), to, keys.into_iter());
        }
        self.take_keys(arrival);
        self.copy.matched(view.now(), self.keys.iter().copied(), view.counters().in_flight.len(), &mut self.matched);
    }

    fn unbalanced(&self, view: &ClusterView<'_>) -> bool {
        let Some(most_apart) = self.params.balance_abs else { return false };
        let loads = || view.members().iter().map(|i| view.counters().in_flight[i.index()]);
        let (most, fewest) = (loads().max().unwrap_or(0), loads().min().unwrap_or(0));
        most - fewest > most_apart && f64::from(most) > self.params.balance_rel * f64::from(fewest)
    }

    /// The whole blocks of a prompt.
    fn take_keys(&mut self, arrival: &Arrival<'_>) {
        self.keys.clear();
        let whole = (arrival.prompt.tokens / self.params.block_tokens) as usize;
        self.keys.extend(arrival.prefix_keys(self.params.block_tokens).take(whole));
    }

    fn remember(&mut self, now: SimTime, to: InstanceId) {
        if self.params.index == Index::Signal || self.keys.is_empty() {
            return;
        }
        if self.lag == SimTime::ZERO {
            self.copy.insert(now, to, self.keys.iter().copied());
        } else {
            self.sent.push_back((now, to, self.keys.clone()));
        }
    }
}

impl Scheduler for ApproxRadix {
    fn route(&mut self, arrival: &Arrival<'_>, view: &ClusterView<'_>, actions: &mut Actions) -> Decision {
        self.look_up(arrival, view);
        let load = self.params.load;
        let chosen = if self.unbalanced(view) {
            actions.reason("unbalanced");
            load.least(view)
        } else {
            view.argmin(|i| (std::cmp::Reverse(self.matched[i.index()]), load.of(view, i)))
        };
        if self.params.index == Index::Sent {
            let block = self.params.block_tokens;
            actions.expect_hit(arrival.id, self.matched[chosen.index()] * block);
        }
        self.remember(view.now(), chosen);
        Decision::Route(chosen)
    }

    fn learn(&mut self, arrival: &Arrival<'_>, to: InstanceId, now: SimTime) {
        self.take_keys(arrival);
        self.remember(now, to);
    }

    fn hook(&mut self, hook: &Hook, _: &ClusterView<'_>, _: &mut Actions) {
        if let Hook::Left { instance } = *hook {
            self.copy.remove_worker(instance);
            self.sent.retain(|&(_, to, _)| to != instance);
        }
    }
}
