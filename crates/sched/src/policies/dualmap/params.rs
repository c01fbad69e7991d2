//! DualMap's parameters.

use serde::{Deserialize, Serialize};
use trimtab_core::SimTime;

use crate::parts::{KeyRule, LOADS, Load, MAX_CHOICES, Placement};
use crate::{ParamError, ParamsDoc, params_doc, require};

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Params {
    pub(super) variant: Variant,
    pub(super) d: usize,
    pub(super) ttft_slo_s: Option<f64>,
    pub(super) threshold_tokens: Option<u64>,
    pub(super) own_tokens: OwnTokens,
    pub(super) load: Load,
    pub(super) ignore_hit_tokens: u32,
    key_block_tokens: u32,
    initial_blocks: u32,
    adaptive: bool,
    window: usize,
    pub(super) placement: Placement,
    pub(super) virtual_nodes: u32,
    pub(super) salt: u64,
    pub(super) decode_bottleneck_s: Option<f64>,
    min_benefit_s: f64,
}

impl Default for Params {
    fn default() -> Self {
        Self {
            variant: Variant::Full,
            d: 2,
            ttft_slo_s: None,
            threshold_tokens: None,
            own_tokens: OwnTokens::Both,
            load: Load::EnginePendingTokens,
            ignore_hit_tokens: 0,
            key_block_tokens: 512,
            initial_blocks: 1,
            adaptive: true,
            window: 1000,
            placement: Placement::ModN,
            virtual_nodes: 64,
            salt: 0,
            decode_bottleneck_s: Some(3.0),
            min_benefit_s: 0.0,
        }
    }
}

/// What is done with the candidates; all but the first are the paper's ablations.
#[derive(Serialize, Deserialize, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Variant {
    Full,
    NoRebalance,
    MinTtft,
    LeastLoaded,
    CacheAffinity,
}

/// Where the request's own uncached tokens count.
#[derive(Serialize, Deserialize, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub(super) enum OwnTokens {
    Both,
    Test,
    Neither,
}

impl Params {
    pub(super) fn check(&self) -> Result<(), ParamError> {
        require((1..=MAX_CHOICES).contains(&self.d), "d", "between 1 and 4")?;
        require(self.key_block_tokens >= 1, "key_block_tokens", "at least 1")?;
        require(self.initial_blocks >= 1, "initial_blocks", "at least 1")?;
        require(self.window >= 1, "window", "at least 1")?;
        require(self.virtual_nodes >= 1, "virtual_nodes", "at least 1")?;
        require(SimTime::from_secs_f64(self.min_benefit_s).is_some(), "min_benefit_s", "a span of time")
    }

    pub(super) fn keys(&self) -> KeyRule {
        KeyRule {
            block_tokens: self.key_block_tokens,
            initial_blocks: self.initial_blocks,
            adaptive: self.adaptive,
            window: self.window,
        }
    }

    pub(super) fn min_benefit_ps(&self) -> u64 {
        SimTime::from_secs_f64(self.min_benefit_s).expect("checked when the policy was built").0
    }
}

pub(super) fn doc() -> ParamsDoc {
    params_doc::<Params>(&[
        (
            "variant",
            "`full`; or an ablation of the paper: `no-rebalance` (queued requests stay), and inside the candidates \
             `min-ttft`, `least-loaded`, `cache-affinity`",
        ),
        ("d", "candidates of a key, 1 to 4; the paper: 2"),
        ("ttft_slo_s", "the objective in seconds; null: that of the spec, or else 5 (the paper's)"),
        (
            "threshold_tokens",
            "pending tokens above which an instance is overloaded; null: the objective times its sustained prefill speed \
             (the paper's rule; its value is unpublished)",
        ),
        (
            "own_tokens",
            "where the request's own uncached tokens count: `both` in the test and in the comparison, `test` (Dynamo's \
             port), `neither`; the paper does not say",
        ),
        ("load", LOADS),
        (
            "ignore_hit_tokens",
            "hits of at most this many tokens count as none, a remedy when all prompts share a first block; the paper: 0",
        ),
        ("key_block_tokens", "tokens of a key block, whatever the engine's block; the paper: 512"),
        ("initial_blocks", "blocks of a key before growth; interpretation: 1"),
        ("adaptive", "whether keys grow above a traffic share of 2/n and shrink below 1/n; the paper: yes"),
        ("window", "recent requests that traffic shares are taken over; unpublished, 1,000 as in a port"),
        (
            "placement",
            "`mod-n` (the paper, for a fixed fleet; no skew), `ring` (the paper, for fleets that change), `rendezvous` (a \
             port; stable and without skew, looks at every instance)",
        ),
        ("virtual_nodes", "ring points of an instance; the paper names none. At 8 instances the busiest gets 2.3 times its \
         share of the keys with 1, 1.2 with 64, and near capacity even that costs; take 1,024 where memory allows"),
        ("salt", "another value maps the keys to other instances"),
        (
            "decode_bottleneck_s",
            "when an instance with a queue made no prefill progress for longer than this, the time since is added to its \
             wait; the paper: 3; null: never",
        ),
        ("min_benefit_s", "a queued request moves only when it gains more than this; the paper: 0"),
    ])
}
