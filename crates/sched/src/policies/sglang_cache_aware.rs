//! SGLang's cache-aware router.
//!
//! While requests in flight are balanced it follows one radix tree over the text it sent anywhere: to the worker that the
//! deepest matching edge names if enough of the prompt matches, and otherwise to the emptiest cache or the least loaded
//! worker. When they are not, it takes the shortest queue until they are.

use serde::{Deserialize, Serialize};
use serde_json::json;
use trimtab_core::{InstanceId, SimTime};

use crate::parts::{Periodic, RadixTree, Text, characters};
use crate::{
    Actions, Arrival, BuildContext, ClusterView, Decision, Hook, ParamError, Scheduler, SchedulerDef, Signals,
    params_doc, preset, require, typed,
};

/// SGLang's cache-aware policy in the registry.
pub(super) const DEF: SchedulerDef = SchedulerDef {
    name: "sglang-cache-aware",
    summary: "the worker of the longest matching text in one tree of all texts sent, the shortest queue when imbalanced",
    citation: "SGLang model gateway, `cache_aware`: sgl-model-gateway/src/policies/cache_aware.rs (053b63f) and tree.rs \
               (03744db), read 2026-11; defaults of router_args.py; choices checked against the sglang-router 0.3.2 wheel",
    deviations: &[
        "prompts are compared node by node: two that differ share nothing of the first block in which they differ, while \
         real texts may share its first characters",
        "when the worker that an edge names has left it, the lowest id among its holders is named; the source takes any",
        "edges that were never used since they were split are equally old; the source evicts them in an arbitrary order",
        "one model and one gateway: one tree",
    ],
    signals: Signals::NONE,
    hooks: true,
    params: || {
        params_doc::<Params>(&[
            ("preset", "defaults of `cli` (router_args.py), of the `rust` struct CacheAwareConfig, or of the `early` Python \
              router that SkyLB ported (also SGLang 0.4.6, where low matches went to the smallest tree)"),
            ("cache_threshold", "follow the tree when more than this share of the prompt matches; CLI: 0.3"),
            ("balance_abs_threshold", "imbalanced when max - min of requests in flight is above this; CLI: 64"),
            ("balance_rel_threshold", "and max is above this many times min; CLI: 1.5"),
            ("eviction_interval_s", "seconds between two trimmings of the tree, 0: never; CLI: 120, 60 in one version"),
            ("max_tree_size", "characters that the tree keeps for each worker; CLI: 2^26"),
            ("low_match", "where a low match goes: `min-load`, as the code does, or `smallest-tree`, as its header and \
              older versions have it"),
            ("units", "what the tree is measured in: `characters`, as over HTTP, or `tokens`, as over gRPC"),
            ("chars_per_token", "characters of a token, for `max_tree_size`; 4 is usual for English"),
            ("refresh_every", "a match refreshes its edge once in so many tree operations; 8 (epoch & 7 = 0)"),
            (
                "epoch_start",
                "operations that were counted before the workers were entered, which decides what `refresh_every` meets; a \
                 race in the source, where each worker that registers enters all known ones, so only the remainder by 8 \
                 is a property of a run",
            ),
            ("insert_when_imbalanced", "whether a request that the shortest queue gets enters the tree: it does"),
        ])
    },
    build,
};

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Params {
    preset: String,
    cache_threshold: f64,
    balance_abs_threshold: u32,
    balance_rel_threshold: f64,
    eviction_interval_s: f64,
    max_tree_size: u64,
    low_match: LowMatch,
    units: Units,
    chars_per_token: f64,
    refresh_every: u64,
    epoch_start: u64,
    insert_when_imbalanced: bool,
}

impl Default for Params {
    fn default() -> Self {
        Self {
            preset: "cli".into(),
            cache_threshold: 0.3,
            balance_abs_threshold: 64,
            balance_rel_threshold: 1.5,
            eviction_interval_s: 120.0,
            max_tree_size: 1 << 26,
            low_match: LowMatch::MinLoad,
            units: Units::Characters,
            chars_per_token: 4.0,
            refresh_every: 8,
            epoch_start: 0,
            insert_when_imbalanced: true,
        }
    }
}

#[derive(Serialize, Deserialize, Clone, Copy)]
#[serde(rename_all = "kebab-case")]
enum LowMatch {
    MinLoad,
    SmallestTree,
}

#[derive(Serialize, Deserialize, Clone, Copy)]
#[serde(rename_all = "kebab-case")]
enum Units {
    Characters,
    Tokens,
}

fn build(params: &serde_json::Value, context: &BuildContext) -> Result<Box<dyn Scheduler>, ParamError> {
    let sets = [
        ("cli", json!({})),
        (
            "rust",
            json!({ "cache_threshold": 0.5, "balance_abs_threshold": 32, "balance_rel_threshold": 1.1,
                    "eviction_interval_s": 30.0, "max_tree_size": 10_000 }),
        ),
        (
            "early",
            json!({ "cache_threshold": 0.5, "balance_abs_threshold": 32, "balance_rel_threshold": 1.0001,
                    "eviction_interval_s": 60.0, "max_tree_size": 1 << 24, "low_match": "smallest-tree" }),
        ),
    ];
    let params: Params = typed(&preset(params, &sets)?)?;
    require(params.chars_per_token > 0.0 && params.chars_per_token < 1e3, "chars_per_token", "positive")?;
    require(params.refresh_every >= 1, "refresh_every", "at least 1")?;
    let interval = SimTime::from_secs_f64(params.eviction_interval_s)
        .ok_or_else(|| ParamError("parameter `eviction_interval_s` must be a span of time".into()))?;
    let mut tree = RadixTree::new(params.refresh_every).counting_from(params.epoch_start);
    for index in 0..context.instances.len() {
        // A worker is entered by inserting the empty text under it, which counts as an operation on the tree.
        tree.insert(&Text::default(), InstanceId::from_index(index));
    }
    let per_token = match params.units {
        Units::Characters => params.chars_per_token,
        Units::Tokens => 1.0,
    };
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "positive, and saturating")]
    let cap_tokens = (params.max_tree_size as f64 / per_token) as u64;
    let (eviction, text) = (Periodic::new(interval), Text::default());
    Ok(Box::new(CacheAware { params, per_token, cap_tokens, tree, eviction, text }))
}

struct CacheAware {
    params: Params,
    per_token: f64,
    cap_tokens: u64,
    tree: RadixTree,
    eviction: Periodic,
    text: Text,
}

impl CacheAware {
    /// Single precision, as in the source.
    #[expect(clippy::cast_possible_truncation, reason = "the source compares in single precision")]
    fn imbalanced(&self, view: &ClusterView<'_>) -> bool {
        let loads = || view.members().iter().map(|&i| view.counters().in_flight[i.index()]);
        let (max, min) = (loads().max().unwrap_or(0), loads().min().unwrap_or(0));
        max - min > self.params.balance_abs_threshold
            && max as f32 > min as f32 * self.params.balance_rel_threshold as f32
    }

    #[expect(clippy::cast_possible_truncation, reason = "the source compares in single precision")]
    fn well_matched(&self, matched: u32) -> bool {
        let (matched, all) = (characters(matched, self.per_token), characters(self.text.tokens(), self.per_token));
        all > 0 && matched as f32 / all as f32 > self.params.cache_threshold as f32
    }
}

impl Scheduler for CacheAware {
    fn route(&mut self, arrival: &Arrival<'_>, view: &ClusterView<'_>, actions: &mut Actions) -> Decision {
        if self.eviction.due(view.now()) {
            self.tree.evict(self.cap_tokens);
        }
        self.text.refill(arrival);
        let least_loaded = || view.argmin(|i| view.counters().in_flight[i.index()]);
        if self.imbalanced(view) {
            actions.reason("imbalanced: shortest queue");
            let chosen = least_loaded();
            if self.params.insert_when_imbalanced {
                self.tree.insert(&self.text, chosen);
            }
            return Decision::Route(chosen);
        }
        let found = self.tree.matched(&self.text);
        let chosen = match found.worker {
            Some(named) if self.well_matched(found.tokens) => {
                actions.reason(if found.any { "match: any holder" } else { "match" });
                named
            }
            _ => match self.params.low_match {
                LowMatch::MinLoad => {
                    actions.reason("low match: least loaded");
                    least_loaded()
                }
                LowMatch::SmallestTree => {
                    actions.reason("low match: smallest tree");
                    view.argmin(|i| self.tree.held(i))
                }
            },
        };
        if !view.is_member(chosen) {
            actions.reason("the matched worker has left");
            self.tree.remove_worker(chosen);
            return Decision::Route(view.members()[0]);
        }
        let named = found.worker == Some(chosen);
        actions.expect_hit(arrival.id, if named { found.tokens } else { 0 });
        self.tree.insert(&self.text, chosen);
        Decision::Route(chosen)
    }

    fn learn(&mut self, arrival: &Arrival<'_>, to: InstanceId, _: SimTime) {
        self.text.refill(arrival);
        self.tree.insert(&self.text, to);
    }

    fn hook(&mut self, hook: &Hook, _: &ClusterView<'_>, _: &mut Actions) {
        match *hook {
            Hook::Joined { instance } => self.tree.insert(&Text::default(), instance),
            Hook::Left { instance } => self.tree.remove_worker(instance),
            _ => {}
        }
    }
}
