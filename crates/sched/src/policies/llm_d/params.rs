//! llm-d's parameters: which filters, scorers and picker make up the endpoint picker, and its presets.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::parts::Detector;
use crate::{ParamError, ParamsDoc, params_doc, preset, require, typed};

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Params {
    preset: String,
    pub(super) filters: Vec<Filter>,
    pub(super) scorers: Vec<Scorer>,
    pub(super) picker: Picker,
    pub(super) shed: Shed,
    pub(super) flow_control: bool,
    pub(super) fairness: Fairness,
    pub(super) detector: Detector,
    pub(super) usage_limit: f64,
    pub(super) stale_ms: f64,
    pub(super) block_tokens: Option<u32>,
    pub(super) max_blocks: u32,
    pub(super) lru_blocks: Option<usize>,
    pub(super) slo_ttft_s: Option<f64>,
    pub(super) slo_tpot_s: f64,
}

/// Narrows the endpoints down.
#[derive(Serialize, Deserialize, Clone, Debug)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub(super) enum Filter {
    /// Only endpoints with nearly all of the prompt, unless waiting there costs too much.
    PrefixCacheAffinity {
        #[serde(default = "affinity_threshold")]
        threshold: f64,
        #[serde(default = "one_percent")]
        exploration: f64,
        #[serde(default = "five_seconds")]
        max_ttft_penalty_ms: f64,
    },
    /// Endpoints that are predicted to meet the objectives, and now and then the others.
    SloHeadroomTier {
        #[serde(default = "one_percent")]
        exploration: f64,
    },
    /// The endpoint that the session was last sent to.
    SessionAffinity,
    /// Drops endpoints whose queue or KV use is above the detector's limits.
    Utilization {
        #[serde(default)]
        headroom: f64,
    },
    /// Drops endpoints with more requests or tokens in flight than the detector's capacity.
    Concurrency {
        #[serde(default = "requests")]
        unit: Unit,
        #[serde(default)]
        headroom: f64,
    },
}

/// Rates endpoints from 0 to 1.
#[derive(Serialize, Deserialize, Clone, Debug)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub(super) enum Scorer {
    PrefixCache {
        #[serde(default = "one")]
        weight: f64,
    },
    PrecisePrefixCache {
        #[serde(default = "one")]
        weight: f64,
    },
    Queue {
        #[serde(default = "one")]
        weight: f64,
    },
    KvCacheUtilization {
        #[serde(default = "one")]
        weight: f64,
    },
    RunningRequestsSize {
        #[serde(default = "one")]
        weight: f64,
    },
    LoadAware {
        #[serde(default = "one")]
        weight: f64,
        #[serde(default = "load_threshold")]
        threshold: f64,
    },
    ActiveRequest {
        #[serde(default = "one")]
        weight: f64,
        #[serde(default)]
        idle_threshold: u32,
        #[serde(default = "one")]
        max_busy_score: f64,
    },
    TokenLoad {
        #[serde(default = "one")]
        weight: f64,
        #[serde(default = "token_budget")]
        threshold: f64,
    },
    SessionAffinity {
        #[serde(default = "one")]
        weight: f64,
    },
    NoHitLru {
        #[serde(default = "one")]
        weight: f64,
        #[serde(default = "lru_size")]
        lru_size: usize,
    },
    Latency {
        #[serde(default = "one")]
        weight: f64,
        #[serde(default)]
        strategy: Strategy,
        #[serde(default = "ttft_weight")]
        ttft_weight: f64,
        #[serde(default = "tpot_weight")]
        tpot_weight: f64,
    },
}

impl Scorer {
    pub(super) fn weight(&self) -> f64 {
        match *self {
            Self::PrefixCache { weight }
            | Self::PrecisePrefixCache { weight }
            | Self::Queue { weight }
            | Self::KvCacheUtilization { weight }
            | Self::RunningRequestsSize { weight }
            | Self::LoadAware { weight, .. }
            | Self::ActiveRequest { weight, .. }
            | Self::TokenLoad { weight, .. }
            | Self::SessionAffinity { weight }
            | Self::NoHitLru { weight, .. }
            | Self::Latency { weight, .. } => weight,
        }
    }
}

/// Which endpoints with headroom the latency scorer prefers.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Strategy {
    #[default]
    Least,
    Most,
}

#[derive(Serialize, Deserialize, Clone, Copy, Debug)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Unit {
    Requests,
    Tokens,
}

#[derive(Serialize, Deserialize, Clone, Copy, Debug)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Picker {
    MaxScore,
    WeightedRandom,
    Random,
}

#[derive(Serialize, Deserialize, Clone, Copy, Debug)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Shed {
    None,
    Probabilistic,
    LatencySlo,
}

#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Fairness {
    RoundRobin,
    GlobalStrict,
}

fn one() -> f64 {
    1.0
}
fn one_percent() -> f64 {
    0.01
}
fn affinity_threshold() -> f64 {
    0.8
}
fn five_seconds() -> f64 {
    5000.0
}
fn load_threshold() -> f64 {
    128.0
}
fn token_budget() -> f64 {
    4_194_304.0
}
fn lru_size() -> usize {
    1024
}
fn ttft_weight() -> f64 {
    0.8
}
fn tpot_weight() -> f64 {
    0.2
}
fn requests() -> Unit {
    Unit::Requests
}

impl Default for Params {
    fn default() -> Self {
        Self {
            preset: "default".into(),
            filters: Vec::new(),
            scorers: vec![
                Scorer::Queue { weight: 2.0 },
                Scorer::KvCacheUtilization { weight: 2.0 },
                Scorer::PrefixCache { weight: 3.0 },
            ],
            picker: Picker::MaxScore,
            shed: Shed::None,
            flow_control: false,
            fairness: Fairness::RoundRobin,
            detector: Detector::Utilization,
            usage_limit: 1.0,
            stale_ms: 200.0,
            block_tokens: None,
            max_blocks: 256,
            lru_blocks: None,
            slo_ttft_s: None,
            slo_tpot_s: 0.0,
        }
    }
}

impl Params {
    /// What is given, and the rest as the preset says.
    pub(super) fn read(given: &Value) -> Result<Self, ParamError> {
        let params: Self = typed(&preset(given, &presets())?)?;
        require(!params.scorers.is_empty(), "scorers", "at least one")?;
        require(params.scorers.iter().all(|s| s.weight() >= 0.0), "scorers", "weighted by at least 0")?;
        require(params.block_tokens.is_none_or(|block| block >= 1), "block_tokens", "at least 1, or null")?;
        require(params.lru_blocks.is_none_or(|blocks| blocks >= 1), "lru_blocks", "at least 1, or null")?;
        let bounded = |scorer: &Scorer| match *scorer {
            Scorer::LoadAware { threshold, .. } | Scorer::TokenLoad { threshold, .. } => threshold > 0.0,
            _ => true,
        };
        require(params.scorers.iter().all(bounded), "scorers", "with positive thresholds")?;
        require(params.usage_limit > 0.0, "usage_limit", "positive")?;
        Ok(params)
    }
}

fn presets() -> [(&'static str, Value); 8] {
    let weighed = |prefix: &str, weights: [f64; 3]| {
        json!([{ "kind": "queue", "weight": weights[0] }, { "kind": "kv-cache-utilization", "weight": weights[1] },
               { "kind": prefix, "weight": weights[2] }])
    };
    let mut with_lru = weighed("prefix-cache", [2.0, 2.0, 3.0]);
    with_lru.as_array_mut().expect("a list").push(json!({ "kind": "no-hit-lru", "weight": 2.0 }));
    let mut with_session = weighed("prefix-cache", [2.0, 2.0, 3.0]);
    with_session.as_array_mut().expect("a list").push(json!({ "kind": "session-affinity", "weight": 3.0 }));
    [
        ("default", json!({})),
        ("precise", json!({ "scorers": weighed("precise-prefix-cache", [1.0, 1.0, 2.0]), "block_tokens": 64 })),
        ("no-hit-lru", json!({ "scorers": with_lru })),
        ("session", json!({ "scorers": with_session })),
        (
            "latency",
            json!({
                "filters": [{ "kind": "prefix-cache-affinity", "threshold": 0.99 }, { "kind": "slo-headroom-tier" },
                            { "kind": "prefix-cache-affinity", "threshold": 0.8 }],
                "scorers": [{ "kind": "latency" }],
                "picker": "weighted-random",
            }),
        ),
        (
            "sticky-until-saturated",
            json!({
                "filters": [{ "kind": "concurrency", "unit": "tokens" }, { "kind": "session-affinity" }],
                "scorers": [{ "kind": "token-load" }],
            }),
        ),
        ("flow-control", json!({ "flow_control": true })),
        ("load", json!({ "scorers": [{ "kind": "active-request" }] })),
    ]
}

pub(super) fn doc() -> ParamsDoc {
    params_doc::<Params>(&[
        (
            "preset",
            "`default` (llm-d without a configuration: queue 2, KV 2, prefix 3); `precise` (inference-sim's parity: prefix by \
             KV events 2, queue 1, KV 1); `latency` (predicted latency, as its documents combine it); interpretations: \
             `no-hit-lru`, `session`, `sticky-until-saturated`, `flow-control`, `load`",
        ),
        (
            "filters",
            "in order, each with `kind`: `prefix-cache-affinity` (threshold 0.8, exploration 0.01, max_ttft_penalty_ms 5000), \
             `slo-headroom-tier` (exploration 0.01), `session-affinity`, `utilization` (headroom 0), `concurrency` (unit \
             `requests` or `tokens`, headroom 0)",
        ),
        (
            "scorers",
            "each with `kind` and `weight` (1): `prefix-cache`, `precise-prefix-cache`, `queue`, `kv-cache-utilization`, \
             `running-requests-size`, `load-aware` (threshold 128), `active-request` (idle_threshold 0, max_busy_score 1), \
             `token-load` (threshold 4194304), `session-affinity`, `no-hit-lru` (lru_size 1024), `latency` (strategy `least` \
             or `most`, ttft_weight 0.8, tpot_weight 0.2)",
        ),
        ("picker", "`max-score` (ties at random), `weighted-random` or `random`; llm-d: `max-score`"),
        (
            "shed",
            "which requests of negative priority are refused: `none`, `probabilistic` (300 x saturation^5) or `latency-slo` \
             (unless an endpoint meets the objectives, is idle or uses less than 2 % of its KV)",
        ),
        ("flow_control", "whether requests wait at the router while the pool is saturated; llm-d without configuration: no"),
        ("fairness", "whose turn it is among waiting tenants: `round-robin`, or `global-strict`, first come first served"),
        (
            "detector",
            "of saturation: `utilization` (mean of max(waiting/5, KV/0.8)), `concurrency-requests` (100 each) or \
             `concurrency-tokens` (1,000,000 each)",
        ),
        ("usage_limit", "the saturation from which requests wait; llm-d: 1"),
        ("stale_ms", "a report older than this counts as saturated; llm-d: 200"),
        ("block_tokens", "tokens of a prefix block; null: the engine's (auto-tuning), llm-d without it: 16"),
        ("max_blocks", "leading blocks of a prompt that are looked at; llm-d: 256, 0: all (its README)"),
        ("lru_blocks", "blocks remembered for each endpoint; null: as many as it reports, llm-d without that: 31250"),
        ("slo_ttft_s", "the TTFT objective; null: that of the spec, or else 0: the lowest predicted latency wins"),
        ("slo_tpot_s", "the objective for the time per token; 0: the lowest wins"),
    ])
}
