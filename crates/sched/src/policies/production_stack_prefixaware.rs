//! vLLM production-stack `prefixaware`: the longest chain of text chunks ever sent, whatever the load.

use rustc_hash::FxHashMap;
use serde::{Deserialize, Serialize};
use trimtab_core::{InstanceId, SimTime};

use crate::parts::{RadixTree, SendRates, Text, Ties};
use crate::{
    Actions, Arrival, ClusterView, Decision, Hook, ParamError, Scheduler, SchedulerDef, Signals, params_doc, require,
    typed,
};

/// The prefix-aware router of production-stack in the registry.
pub(super) const DEF: SchedulerDef = SchedulerDef {
    name: "production-stack-prefixaware",
    summary: "any of the instances that were sent the longest chain of 128-character chunks, load ignored",
    citation: "vLLM production-stack, src/vllm_router/prefix/hashtrie.py at a6c01db (2026-08-05)",
    deviations: &[
        "chunks are of 32 tokens (4 characters a token)",
        "an instance that leaves is forgotten; the product keeps its entries and never chooses it",
    ],
    signals: Signals::NONE,
    hooks: true,
    params: || {
        params_doc::<Params>(&[
            ("chunk_tokens", "tokens of a chunk, of which the last one may be shorter; the product: 128 characters"),
            ("min_match_tokens", "below this match the instance that was sent the fewest lately; the product: 0, never"),
            ("window_s", "over how long the request rate is taken; the product's --request-stats-window: 60"),
        ])
    },
    build: |params, context| {
        let params: Params = typed(params)?;
        require(params.chunk_tokens >= 1, "chunk_tokens", "at least 1")?;
        let window = SimTime::from_secs_f64(params.window_s)
            .ok_or_else(|| ParamError("parameter `window_s` must be a span of time".into()))?;
        Ok(Box::new(PrefixAware {
            params,
            ties: Ties::new(&context.streams),
            rates: SendRates::new(window),
            tree: RadixTree::new(u64::MAX),
            whole: FxHashMap::default(),
            text: Text::default(),
            matched: Vec::new(),
            longest: Vec::new(),
        }))
    },
};

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Params {
    chunk_tokens: u32,
    min_match_tokens: u32,
    window_s: f64,
}

impl Default for Params {
    fn default() -> Self {
        Self { chunk_tokens: 32, min_match_tokens: 0, window_s: 60.0 }
    }
}

/// The product keeps a trie of chunks. A radix tree and the set of whole prompts with a partial last chunk say the same:
/// such a chunk is in the trie exactly where the very prompt was sent.
struct PrefixAware {
    params: Params,
    ties: Ties,
    rates: SendRates,
    tree: RadixTree,
    whole: FxHashMap<u64, Vec<InstanceId>>,
    text: Text,
    matched: Vec<u32>,
    longest: Vec<InstanceId>,
}

impl PrefixAware {
    /// The identity of the prompt, if its last chunk is a partial one.
    fn tail(&self, arrival: &Arrival<'_>) -> Option<u64> {
        let tokens = arrival.prompt.tokens;
        (!tokens.is_multiple_of(self.params.chunk_tokens)).then(|| arrival.prefix_key(tokens)).flatten()
    }

    /// Fills `matched` with tokens in whole chunks, the partial last one included where it was sent.
    fn look_up(&mut self, arrival: &Arrival<'_>, slots: usize) {
        self.tree.matched_by_all(&self.text, slots, &mut self.matched);
        for tokens in &mut self.matched {
            *tokens -= *tokens % self.params.chunk_tokens;
        }
        for holder in self.tail(arrival).and_then(|key| self.whole.get(&key)).into_iter().flatten() {
            self.matched[holder.index()] = arrival.prompt.tokens;
        }
    }
}

impl PrefixAware {
    /// Enters the prompt, whose text is at hand.
    fn remember(&mut self, arrival: &Arrival<'_>, to: InstanceId) {
        self.tree.insert(&self.text, to);
        if let Some(key) = self.tail(arrival) {
            let holders = self.whole.entry(key).or_default();
            if !holders.contains(&to) {
                holders.push(to);
            }
        }
    }
}

impl Scheduler for PrefixAware {
    fn route(&mut self, arrival: &Arrival<'_>, view: &ClusterView<'_>, actions: &mut Actions) -> Decision {
        self.text.refill(arrival);
        self.look_up(arrival, view.counters().in_flight.len());
        let best = view.members().iter().map(|i| self.matched[i.index()]).max().unwrap_or(0);
        let chosen = if best < self.params.min_match_tokens {
            actions.reason("lowest rate");
            self.rates.lowest(view.now(), view.members())
        } else {
            actions.reason(if best > 0 { "prefix" } else { "nothing matched" });
            self.longest.clear();
            self.longest.extend(view.members().iter().filter(|i| self.matched[i.index()] == best));
            self.ties.any(&self.longest).expect("some member has the longest match")
        };
        self.rates.record(view.now(), chosen);
        actions.expect_hit(arrival.id, self.matched[chosen.index()]);
        self.remember(arrival, chosen);
        Decision::Route(chosen)
    }

    fn learn(&mut self, arrival: &Arrival<'_>, to: InstanceId, _: SimTime) {
        self.text.refill(arrival);
        self.remember(arrival, to);
    }

    fn hook(&mut self, hook: &Hook, _: &ClusterView<'_>, _: &mut Actions) {
        if let Hook::Left { instance } = *hook {
            self.tree.remove_worker(instance);
            self.whole.retain(|_, holders| {
                holders.retain(|&holder| holder != instance);
                !holders.is_empty()
            });
        }
    }
}
