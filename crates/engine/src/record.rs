//! What a run leaves behind: one row per request, totals per instance, and the inter-token gaps.

use trimtab_core::{Gaps, InstanceId, Request, SimTime, TenantId};

use crate::admission::AdmissionRecord;
use crate::decisions::DecisionRow;
use crate::dynamics::FleetRecord;
use crate::meter::Integrals;

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Still in the system; no finished run has any.
    Open,
    /// All its tokens came out.
    Completed,
    /// Turned away: by the scheduler, or because no instance could ever hold it.
    Rejected,
    /// Lost with its instance, given up by its client, or never taken by any instance.
    Failed,
}

/// One request. Times that never came are [`SimTime::MAX`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    /// When it reached the router.
    pub arrival: SimTime,
    /// When it was last decided where it goes.
    pub routed: SimTime,
    /// When it first entered a batch.
    pub admitted: SimTime,
    /// When its first token came out.
    pub first_token: SimTime,
    /// When it ended.
    pub finish: SimTime,
    /// The instance that served it.
    pub instance: InstanceId,
    /// Prompt tokens.
    pub prompt_tokens: u32,
    /// Prompt tokens found cached at its first admission.
    pub hit_tokens: u32,
    /// Prompt blocks found cached at its first admission.
    pub hit_blocks: u32,
    /// Prompt tokens that the router believed cached on its instance when it sent it there, up to its first admission.
    pub believed_tokens: u32,
    /// Prompt tokens that were cached there at that time.
    pub cached_tokens: u32,
    /// Of the hit tokens, read from the tier behind the cache.
    pub loaded_tokens: u32,
    /// Tokens processed again because of preemptions.
    pub recomputed_tokens: u64,
    /// Tokens it generated, or was to generate when it did not complete.
    pub output_tokens: u32,
    /// How often it lost its KV.
    pub preemptions: u32,
    /// How often it moved to another instance before it started.
    pub migrations: u32,
    /// Who sent it.
    pub tenant: TenantId,
    /// Its class: higher is more urgent.
    pub priority: i16,
    /// How often it was sent anew: by the router after its instance failed, or by its client after it had hung up or was
    /// turned away.
    pub retries: u32,
    /// How often it lost its instance.
    pub lost: u32,
    /// How often its client hung up.
    pub hung_up: u32,
    /// How it ended.
    pub outcome: Outcome,
}

impl Row {
    /// A request that has just arrived.
    pub(crate) fn open(request: &Request) -> Self {
        Self {
            arrival: request.arrival,
            routed: SimTime::MAX,
            admitted: SimTime::MAX,
            first_token: SimTime::MAX,
            finish: SimTime::MAX,
            instance: InstanceId(0),
            prompt_tokens: request.prompt.tokens,
            hit_tokens: 0,
            hit_blocks: 0,
            believed_tokens: 0,
            cached_tokens: 0,
            loaded_tokens: 0,
            recomputed_tokens: 0,
            output_tokens: request.output_tokens,
            preemptions: 0,
            migrations: 0,
            tenant: request.tenant,
            priority: request.priority,
            retries: 0,
            lost: 0,
            hung_up: 0,
            outcome: Outcome::Open,
        }
    }

    /// Time to first token, once there is one.
    pub fn ttft(&self) -> Option<SimTime> {
        (self.first_token != SimTime::MAX).then(|| self.first_token - self.arrival)
    }

    /// Arrival to end, for completed requests.
    pub fn e2e(&self) -> Option<SimTime> {
        (self.outcome == Outcome::Completed).then(|| self.finish - self.arrival)
    }

    /// Arrival to first admission.
    pub fn queued(&self) -> Option<SimTime> {
        (self.admitted != SimTime::MAX).then(|| self.admitted - self.arrival)
    }

    /// Mean time per output token after the first, rounded down to a picosecond; for completed requests with at least
    /// two tokens.
    pub fn tpot(&self) -> Option<SimTime> {
        let gaps = u64::from(self.output_tokens).checked_sub(1).filter(|&gaps| gaps > 0)?;
        (self.outcome == Outcome::Completed).then(|| SimTime((self.finish - self.first_token).0 / gaps))
    }
}

/// Totals of one instance.
#[derive(Clone, Debug, Default)]
pub struct InstanceTotals {
    /// Requests that ended here.
    pub requests: u64,
    /// Prompt tokens admitted here, first admissions only.
    pub prompt_tokens: u64,
    /// Of these, found cached.
    pub hit_tokens: u64,
    /// Of these, read from the tier behind the cache.
    pub loaded_tokens: u64,
    /// Engine iterations.
    pub iterations: u64,
    /// Cached blocks evicted.
    pub evicted_blocks: u64,
    /// KV blocks it has.
    pub total_blocks: u64,
    /// Tokens of a KV block.
    pub block_tokens: u32,
    /// Time-weighted state.
    pub integrals: Integrals,
    /// The first 10 s window with busy time.
    pub first_busy_window: usize,
    /// Busy picoseconds by 10 s window, from that one on.
    pub busy_windows: Vec<u64>,
    /// All integrals by 10 s window, when a series was asked for.
    pub windows: Option<Vec<Integrals>>,
}

/// What the router believed of the prompts of sampled decisions on all instances that it could choose, against what was so.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BeliefSample {
    /// Prompt tokens, once for each instance.
    pub prompt_tokens: u64,
    /// Tokens that were cached.
    pub cached: u64,
    /// Tokens believed cached that were not.
    pub absent: u64,
    /// Tokens that were cached, which the router did not know.
    pub unknown: u64,
}

/// Everything a run leaves behind.
#[derive(Clone, Debug)]
pub struct RunResult {
    /// One row per request, in arrival order.
    pub rows: Vec<Row>,
    /// One entry per instance.
    pub instances: Vec<InstanceTotals>,
    /// Times between consecutive output tokens of every request.
    pub gaps: Gaps,
    /// When the last thing happened.
    pub makespan: SimTime,
    /// Time mean of the spread of pending prefill tokens over instances.
    pub load_cv: f64,
    /// Every decision in order, when a log was asked for.
    pub decisions: Option<Vec<DecisionRow>>,
    /// The router's beliefs about all instances, sampled, where it can be wrong.
    pub beliefs: Option<BeliefSample>,
    /// What the admission policies did, when there were any.
    pub admission: Option<Vec<AdmissionRecord>>,
    /// What happened to the cluster, when it could change or clients could hang up.
    pub fleet: Option<FleetRecord>,
}
