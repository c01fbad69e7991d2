//! Preble's parameters.

use serde::{Deserialize, Serialize};
use trimtab_core::SimTime;

use crate::{ParamError, ParamsDoc, params_doc, require};

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Params {
    pub(super) variant: Variant,
    pub(super) threshold: f64,
    pub(super) ties: Ties,
    window_s: f64,
    pub(super) prefill_cost: bool,
    pub(super) eviction_cost: bool,
    pub(super) evict_weight: EvictWeight,
    pub(super) rebalance: bool,
    pub(super) balance_ratio: f64,
    pub(super) overload_ratio: f64,
    pub(super) gate_per_instance: u64,
    pub(super) chain_guard: usize,
    pub(super) tpot_samples: usize,
    initial_tpot_s: f64,
    pub(super) initial_output_tokens: u32,
    pub(super) capacity_tokens: Option<u64>,
}

impl Default for Params {
    fn default() -> Self {
        Self {
            variant: Variant::Full,
            threshold: 0.5,
            ties: Ties::FirstFree,
            window_s: 180.0,
            prefill_cost: true,
            eviction_cost: true,
            evict_weight: EvictWeight::Hit,
            rebalance: true,
            balance_ratio: 1.5,
            overload_ratio: 2.0,
            gate_per_instance: 50,
            chain_guard: 3,
            tpot_samples: 200,
            initial_tpot_s: 0.15,
            initial_output_tokens: 45,
            capacity_tokens: None,
        }
    }
}

#[derive(Serialize, Deserialize, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Variant {
    Full,
    HalfRule,
}

/// Which of the equally cached instances the 50 % rule takes.
#[derive(Serialize, Deserialize, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Ties {
    FirstFree,
    LowestId,
}

#[derive(Serialize, Deserialize, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub(super) enum EvictWeight {
    Hit,
    Miss,
}

impl Params {
    pub(super) fn check(&self) -> Result<(), ParamError> {
        require((0.0..=1.0).contains(&self.threshold), "threshold", "between 0 and 1")?;
        require(SimTime::from_secs_f64(self.window_s).is_some(), "window_s", "a span of time")?;
        require(SimTime::from_secs_f64(self.initial_tpot_s).is_some(), "initial_tpot_s", "a span of time")?;
        require(self.balance_ratio >= 1.0, "balance_ratio", "at least 1")?;
        require(self.overload_ratio >= 1.0, "overload_ratio", "at least 1")?;
        require(self.tpot_samples >= 1, "tpot_samples", "at least 1")
    }

    /// The length of the window.
    pub(super) fn window(&self) -> SimTime {
        SimTime::from_secs_f64(self.window_s).expect("checked when the policy was built")
    }

    /// The time per output token before any was seen.
    pub(super) fn initial_tpot(&self) -> SimTime {
        SimTime::from_secs_f64(self.initial_tpot_s).expect("checked when the policy was built")
    }
}

pub(super) fn doc() -> ParamsDoc {
    params_doc::<Params>(&[
        (
            "variant",
            "`full`: E2; `half-rule`: the instance with more than half of the prompt cached, else the least queue wait \
             plus prefill time, which is how DualMap's authors model Preble (it uses `threshold` and `ties` alone)",
        ),
        ("threshold", "follow a prefix when it makes up more than this share of the prompt; paper and code: 0.5"),
        (
            "ties",
            "of equally cached instances the 50 % rule takes the one that is free first (`first-free`) or the first in \
             order (`lowest-id`); the source names no order",
        ),
        ("window_s", "the window of traffic in seconds; paper and code: 180"),
        ("prefill_cost", "whether the prefill of the missing tokens counts; the paper: yes, the code: no"),
        ("eviction_cost", "whether the prefixes that would be evicted count; on in the released server"),
        ("evict_weight", "an evicted prefix costs its `hit` share (the paper) or its `miss` share (the code)"),
        ("rebalance", "whether assignments are evened out after placements; paper and code: yes"),
        ("balance_ratio", "loads may differ by less than this factor; the code: 1.5"),
        ("overload_ratio", "growth of the TTFT within the window at which a prefix is given to a second instance; the code: 2"),
        ("gate_per_instance", "requests for each instance before any rebalancing; the code: 50"),
        ("chain_guard", "no rebalancing for prompts with this many nodes below their important one; the code: 3"),
        ("tpot_samples", "requests that an instance's decode speed is the median of; the code: 200"),
        ("initial_tpot_s", "seconds per output token before any was seen; the code: 0.15"),
        ("initial_output_tokens", "output length before any was seen; 45 as in AIBrix's port"),
        ("capacity_tokens", "tokens that an instance is taken to cache; null: its KV cache; the code: 198,516"),
    ])
}
