//! What "load" can mean.

use serde::{Deserialize, Serialize};
use trimtab_core::InstanceId;

use crate::ClusterView;

/// A measure of how busy an instance is. `engine-*` comes from its last report, the others from the router's own
/// book-keeping, which has no lag.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Load {
    /// Requests dispatched and not yet ended.
    InFlight,
    /// Prompt tokens of the requests in flight.
    InFlightTokens,
    /// Whole prompts whose first token is still out.
    ActivePrefillTokens,
    /// The same, less the tokens believed cached.
    PendingPrefillTokens,
    /// Requests waiting and running.
    EngineRequests,
    /// Four times the requests waiting and once those running: how vLLM balances its data-parallel ranks.
    EngineVllmDp,
    /// Prompt tokens still to be computed.
    EnginePendingTokens,
}

impl Load {
    /// The load of an instance, in the measure's own unit. The `engine-*` measures read the signal `snapshots`.
    pub fn of(self, view: &ClusterView<'_>, instance: InstanceId) -> u64 {
        let (counters, at) = (view.counters(), instance.index());
        match self {
            Self::InFlight => u64::from(counters.in_flight[at]),
            Self::InFlightTokens => counters.in_flight_tokens[at],
            Self::ActivePrefillTokens => counters.active_prefill_tokens[at],
            Self::PendingPrefillTokens => counters.pending_prefill_tokens[at],
            Self::EngineRequests | Self::EngineVllmDp => {
                let snapshot = view.snapshot(instance);
                let weight = if self == Self::EngineVllmDp { 4 } else { 1 };
                weight * u64::from(snapshot.waiting) + u64::from(snapshot.running)
            }
            Self::EnginePendingTokens => view.snapshot(instance).pending_prefill_tokens,
        }
    }

    /// The least loaded member, the lowest id among equals.
    pub fn least(self, view: &ClusterView<'_>) -> InstanceId {
        view.argmin(|i| self.of(view, i))
    }
}

/// For parameter documentation: the measures and where they come from.
pub const LOADS: &str = "`in-flight` requests, `in-flight-tokens`, `active-prefill-tokens` (whole prompts without \
    a first token), `pending-prefill-tokens` (less what was believed cached): the router's own count; \
    `engine-requests`, `engine-vllm-dp` (4 waiting + running), `engine-pending-tokens`: as the engine reports";
