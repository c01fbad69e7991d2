//! What can be set, and the defaults that were shipped.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use trimtab_core::SimTime;

use crate::parts::Order;
use crate::{ParamError, ParamsDoc, params_doc, preset, require, typed};

pub(super) fn doc() -> ParamsDoc {
    params_doc::<Params>(&[
        (
            "preset",
            "defaults of `1.6`, the published crate 1.6.1; of `earlier` releases, which park by default and cap the \
             approximate index; or `classic`, the cost of papers and older releases: overlap_score_weight 1",
        ),
        ("overlap_score_credit", "blocks of load that a cached block cancels, c; 1.6: 1"),
        ("overlap_score_credit_decay", "how fast the credit falls with prefill load above the least, k; 1.6: 0, not at all"),
        ("prefill_load_scale", "weight of prefill blocks against decode blocks, s; 1.6: 1"),
        ("active_request_weight", "blocks of load that a request in flight counts beside its own, q; 1.6: 0"),
        (
            "overlap_score_weight",
            "the classic weight of prefill blocks, deprecated: sets prefill_load_scale, and 0 also sets the credit to 0; \
             null: not given",
        ),
        ("temperature", "0: the least cost; above, a softmax over costs scaled to [0, 1]; 1.6: 0"),
        ("index", "`events`: the run's prefix signal; `approximate`: what was sent within `ttl_s` (use_kv_events = false)"),
        ("ttl_s", "how long the approximate index remembers a block, in seconds; 120"),
        ("ttl_bucket_ms", "expiries are rounded up to multiples of this; 1.6: 100, earlier: 0, exact"),
        ("max_blocks", "block and worker pairs that the approximate index holds; null: any number (1.6); earlier: 2^20"),
        ("prune_to", "the share of `max_blocks` that is left when it outgrows them; earlier: 0.8"),
        ("predicted_ttl_s", "with `events`: also believe for so long what was sent; null, the default: do not"),
        ("block_tokens", "tokens of a router block; null: those of the instances"),
        ("track_active_blocks", "whether blocks of live requests count as decode load; 1.6: yes"),
        ("track_prefill_tokens", "whether prompts that wait for their first token count as prefill load; 1.6: yes"),
        ("assume_kv_reuse", "whether live requests with a common prefix share its blocks; 1.6: yes"),
        ("queue_threshold", "busy above this many times a step's token budget; null: never park (1.6); earlier: 16"),
        ("queue_threshold_tokens", "busy above so many active prefill tokens; null: not tested"),
        ("queue_policy", "which parked request goes first: `fcfs`, `lcfs` or `wspt`; 1.6: fcfs"),
        ("queue_limit_tokens", "parked prompt tokens for each worker beyond which requests are rejected; null: no limit"),
    ])
}

#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Params {
    pub(super) preset: String,
    pub(super) overlap_score_credit: f64,
    pub(super) overlap_score_credit_decay: f64,
    pub(super) prefill_load_scale: f64,
    pub(super) active_request_weight: f64,
    pub(super) overlap_score_weight: Option<f64>,
    pub(super) temperature: f64,
    pub(super) index: Index,
    pub(super) ttl_s: f64,
    pub(super) ttl_bucket_ms: u64,
    pub(super) max_blocks: Option<usize>,
    pub(super) prune_to: f64,
    pub(super) predicted_ttl_s: Option<f64>,
    pub(super) block_tokens: Option<u32>,
    pub(super) track_active_blocks: bool,
    pub(super) track_prefill_tokens: bool,
    pub(super) assume_kv_reuse: bool,
    pub(super) queue_threshold: Option<f64>,
    pub(super) queue_threshold_tokens: Option<u64>,
    pub(super) queue_policy: Order,
    pub(super) queue_limit_tokens: Option<u64>,
}

impl Default for Params {
    fn default() -> Self {
        Self {
            preset: "1.6".into(),
            overlap_score_credit: 1.0,
            overlap_score_credit_decay: 0.0,
            prefill_load_scale: 1.0,
            active_request_weight: 0.0,
            overlap_score_weight: None,
            temperature: 0.0,
            index: Index::Events,
            ttl_s: 120.0,
            ttl_bucket_ms: 100,
            max_blocks: None,
            prune_to: 0.8,
            predicted_ttl_s: None,
            block_tokens: None,
            track_active_blocks: true,
            track_prefill_tokens: true,
            assume_kv_reuse: true,
            queue_threshold: None,
            queue_threshold_tokens: None,
            queue_policy: Order::Fcfs,
            queue_limit_tokens: None,
        }
    }
}

#[derive(Serialize, Deserialize, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Index {
    Events,
    Approximate,
}

impl Params {
    pub(super) fn read(params: &Value) -> Result<Self, ParamError> {
        let earlier = json!({ "queue_threshold": 16.0, "ttl_bucket_ms": 0, "max_blocks": 1 << 20 });
        let sets = [
            ("1.6", json!({})),
            ("earlier", earlier),
            ("classic", json!({ "overlap_score_weight": 1.0, "ttl_bucket_ms": 0, "max_blocks": 1 << 20 })),
        ];
        let mut it: Self = typed(&preset(params, &sets)?)?;
        if let Some(weight) = it.overlap_score_weight {
            require(weight >= 0.0, "overlap_score_weight", "at least 0, or null")?;
            it.prefill_load_scale = weight;
            if weight == 0.0 {
                it.overlap_score_credit = 0.0;
            }
        }
        for (name, value) in [
            ("overlap_score_credit", it.overlap_score_credit),
            ("overlap_score_credit_decay", it.overlap_score_credit_decay),
            ("prefill_load_scale", it.prefill_load_scale),
            ("active_request_weight", it.active_request_weight),
            ("temperature", it.temperature),
            ("queue_threshold", it.queue_threshold.unwrap_or(0.0)),
        ] {
            require(value >= 0.0 && value.is_finite(), name, "at least 0")?;
        }
        require((0.0..=1.0).contains(&it.prune_to), "prune_to", "a share")?;
        require(it.block_tokens != Some(0), "block_tokens", "at least 1, or null")?;
        Ok(it)
    }
}

pub(super) fn span(seconds: f64, name: &str) -> Result<SimTime, ParamError> {
    SimTime::from_secs_f64(seconds).ok_or_else(|| ParamError(format!("parameter `{name}` must be a span of time")))
}
