//! The decision log: what a scheduler decided, on which grounds, and what came of it.

use trimtab_core::{InstanceId, RequestId, SimTime};

use crate::record::Row;

/// What was decided of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decided {
    /// It goes to this instance.
    Route(InstanceId),
    /// It moves from one queue to that of this instance.
    Migrate(InstanceId),
    /// It waits at the router.
    Park,
    /// It is turned away.
    Reject,
}

impl Decided {
    /// Where it goes, if anywhere.
    pub fn instance(self) -> Option<InstanceId> {
        match self {
            Self::Route(to) | Self::Migrate(to) => Some(to),
            Self::Park | Self::Reject => None,
        }
    }
}

/// How far a choice was from the best one for this request alone, by trying all on the true state as if nothing else
/// arrived. Both count from the decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Regret {
    /// The instance with the first token soonest; of equals, the lowest id.
    pub best: InstanceId,
    /// When it would have come there.
    pub best_ttft: SimTime,
    /// When it comes from the chosen instance. A fetched prefix does not count in a trial.
    pub chosen_ttft: SimTime,
}

/// One decision.
#[derive(Clone, Debug, PartialEq)]
pub struct DecisionRow {
    /// When.
    pub at: SimTime,
    /// Of which request.
    pub request: RequestId,
    /// What.
    pub decided: Decided,
    /// The instances that the scheduler weighed, with its own scores.
    pub candidates: Vec<(InstanceId, f64)>,
    /// The rule that decided, in the scheduler's words.
    pub reason: Option<&'static str>,
    /// Arrival to first token as the latency predictor has it. `None` unless the request was sent to an instance.
    pub predicted_ttft: Option<SimTime>,
    /// Prompt tokens believed cached at the chosen instance, those it fetches included.
    pub predicted_hit: u32,
    /// Against the best choice, when that was asked for.
    pub regret: Option<Regret>,
    /// Arrival to first token in the end, wherever that was.
    pub actual_ttft: Option<SimTime>,
    /// Prompt tokens found cached in the end.
    pub actual_hit: u32,
}

impl DecisionRow {
    pub(crate) fn new(
        at: SimTime,
        request: RequestId,
        decided: Decided,
        candidates: Vec<(InstanceId, f64)>,
        reason: Option<&'static str>,
        regret: Option<Regret>,
    ) -> Self {
        Self {
            at,
            request,
            decided,
            candidates,
            reason,
            predicted_ttft: None,
            predicted_hit: 0,
            regret,
            actual_ttft: None,
            actual_hit: 0,
        }
    }

    /// Adds what became of the request.
    pub(crate) fn conclude(&mut self, row: &Row) {
        self.actual_ttft = row.ttft();
        self.actual_hit = row.hit_tokens;
    }
}
