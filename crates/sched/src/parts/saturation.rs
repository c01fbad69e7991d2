//! How full a pool of instances is, by llm-d's saturation detectors.

use serde::{Deserialize, Serialize};
use trimtab_core::{InstanceId, SimTime};

use crate::ClusterView;

/// What saturation is measured by.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub enum Detector {
    /// Of each instance, the larger of waiting requests and KV use over their limits; the mean over instances.
    Utilization,
    /// Requests in flight over what the instances are taken to carry.
    ConcurrencyRequests,
    /// Tokens in flight over what the instances are taken to carry.
    ConcurrencyTokens,
}

/// The limits of an instance; llm-d's by default.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Waiting requests.
    pub waiting: f64,
    /// Share of the KV cache in use.
    pub kv: f64,
    /// Requests in flight.
    pub requests: f64,
    /// Tokens in flight, prompts and expected outputs.
    pub tokens: f64,
    /// A report older than this says that the instance is saturated.
    pub stale: SimTime,
}

impl Limits {
    /// The product's limits: 5 waiting, 80 % of the KV, 100 requests, a million tokens.
    pub const fn llm_d(stale: SimTime) -> Self {
        Self { waiting: 5.0, kv: 0.8, requests: 100.0, tokens: 1_000_000.0, stale }
    }
}

/// Tokens in flight at an instance: prompts, and one and a half times as many that are expected to be generated.
pub fn token_load(view: &ClusterView<'_>, i: InstanceId) -> f64 {
    view.counters().in_flight_tokens[i.index()] as f64 * 2.5
}

/// The probability that llm-d refuses a request of negative priority.
pub fn shed_probability(saturation: f64) -> f64 {
    (300.0 * libm::pow(saturation, 5.0)).min(1.0)
}

impl Detector {
    /// How full the pool is; 1 is full, and so is a pool without instances.
    pub fn saturation(self, view: &ClusterView<'_>, limits: &Limits) -> f64 {
        let members = view.members();
        if members.is_empty() {
            return 1.0;
        }
        let n = members.len() as f64;
        match self {
            Self::Utilization => members.iter().map(|&i| utilization(view, i, limits)).sum::<f64>() / n,
            Self::ConcurrencyRequests => {
                let load: f64 = members.iter().map(|&i| f64::from(view.counters().in_flight[i.index()])).sum();
                load / (limits.requests * n)
            }
            Self::ConcurrencyTokens => members.iter().map(|&i| token_load(view, i)).sum::<f64>() / (limits.tokens * n),
        }
    }
}

fn utilization(view: &ClusterView<'_>, i: InstanceId, limits: &Limits) -> f64 {
    let report = view.snapshot(i);
    if view.now().saturating_since(report.at) > limits.stale {
        return 1.0;
    }
    (f64::from(report.waiting) / limits.waiting).max(report.kv_use() / limits.kv)
}
