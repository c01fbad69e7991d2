//! LMetric: the least product of new prefill and load.

use serde::{Deserialize, Serialize};
use serde_json::json;
use trimtab_core::SimTime;

use crate::parts::{Periodic, RadixTree, Text};
use crate::{
    Actions, Arrival, ClusterView, Decision, Hook, ParamError, Scheduler, SchedulerDef, Signals, params_doc, preset,
    require, typed,
};

/// LMetric in the registry.
pub(super) const DEF: SchedulerDef = SchedulerDef {
    name: "lmetric",
    summary: "the least product of tokens to prefill there and load",
    citation: "LMetric, arXiv 2603.15202; port in SGLang's sgl-model-gateway/src/policies/lmetric.rs (read 2026-08)",
    deviations: &[
        "tokens instead of characters, which scales all products alike",
        "one is added to the batch size too, as the port adds it to its count: a product with an idle batch would be 0",
    ],
    signals: Signals { snapshots: true, prefix: true, ..Signals::NONE },
    hooks: true,
    params: || {
        params_doc::<Params>(&[
            (
                "preset",
                "`sglang`: the port (own tree of what was sent, own count of requests); `paper`: the engines' caches and \
                 batch sizes",
            ),
            (
                "reading",
                "new prefill is that of the request alone, `request-only`, or with all prompts whose first token is still \
                 out, `queue-inclusive`; an interpretation of the abstract, the port: `request-only`",
            ),
            ("index", "`approximate`: a tree of what was sent (the port); `signal`: the prefix signal"),
            ("load", "`in-flight` requests (the port) or `batch`, the running ones as reported (the paper); plus one"),
            (
                "min_new_tokens",
                "new prefill counts at least this much; the port: 0, so that a full hit wins whatever the load; a cure is \
                 one block",
            ),
            ("max_tree_characters", "text remembered for each worker; as SGLang's cache-aware policy, 2^26"),
            ("eviction_interval_s", "seconds between trimmings of the tree; as SGLang's cache-aware policy, 120"),
            ("chars_per_token", "converts the limit above; 4 is a choice"),
        ])
    },
    build: |params, _| {
        let sets = [("sglang", json!({})), ("paper", json!({ "index": "signal", "load": "batch" }))];
        let params: Params = typed(&preset(params, &sets)?)?;
        require(params.chars_per_token > 0.0, "chars_per_token", "positive")?;
        let interval = SimTime::from_secs_f64(params.eviction_interval_s)
            .ok_or_else(|| ParamError("parameter `eviction_interval_s` must be a span of time".into()))?;
        Ok(Box::new(LMetric {
            params,
            tree: RadixTree::new(1),
            eviction: Periodic::new(interval),
            text: Text::default(),
            matched: Vec::new(),
        }))
    },
};

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Params {
    preset: String,
    reading: Reading,
    index: Index,
    load: Measure,
    min_new_tokens: u64,
    max_tree_characters: u64,
    eviction_interval_s: f64,
    chars_per_token: f64,
}

#[derive(Serialize, Deserialize, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
enum Reading {
    RequestOnly,
    QueueInclusive,
}

#[derive(Serialize, Deserialize, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
enum Index {
    Approximate,
    Signal,
}

#[derive(Serialize, Deserialize, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
enum Measure {
    InFlight,
    Batch,
}

impl Default for Params {
    fn default() -> Self {
        Self {
            preset: "sglang".into(),
            reading: Reading::RequestOnly,
            index: Index::Approximate,
            load: Measure::InFlight,
            min_new_tokens: 0,
            max_tree_characters: 1 << 26,
            eviction_interval_s: 120.0,
            chars_per_token: 4.0,
        }
    }
}

struct LMetric {
    params: Params,
    tree: RadixTree,
    eviction: Periodic,
    text: Text,
    matched: Vec<u32>,
}

impl LMetric {
    fn look_up(&mut self, arrival: &Arrival<'_>, view: &ClusterView<'_>) {
        if self.params.index == Index::Signal {
            view.all_hit_tokens(arrival.id, &mut self.matched);
            return;
        }
        if self.eviction.due(view.now()) {
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a positive number of tokens")]
            let cap = (self.params.max_tree_characters as f64 / self.params.chars_per_token) as u64;
            self.tree.evict(cap);
        }
        self.text.refill(arrival);
        self.tree.matched_by_all(&self.text, view.counters().in_flight.len(), &mut self.matched);
    }
}

impl Scheduler for LMetric {
    fn route(&mut self, arrival: &Arrival<'_>, view: &ClusterView<'_>, actions: &mut Actions) -> Decision {
        self.look_up(arrival, view);
        let counters = view.counters();
        let best = view.argmin(|i| {
            let missing = u64::from(arrival.prompt.tokens.saturating_sub(self.matched[i.index()]));
            let queued = match self.params.reading {
                Reading::RequestOnly => 0,
                Reading::QueueInclusive => counters.active_prefill_tokens[i.index()],
            };
            let new = (queued + missing).max(self.params.min_new_tokens);
            let in_flight = counters.in_flight[i.index()];
            let load = if self.params.load == Measure::Batch { view.snapshot(i).running } else { in_flight };
            let product = new.saturating_mul(u64::from(load) + 1);
            actions.score(i, product as f64);
            (product, load, new)
        });
        if self.params.index == Index::Approximate {
            self.tree.insert(&self.text, best);
        }
        Decision::Route(best)
    }

    fn hook(&mut self, hook: &Hook, _: &ClusterView<'_>, _: &mut Actions) {
        if let Hook::Left { instance } = *hook {
            self.tree.remove_worker(instance);
        }
    }
}
