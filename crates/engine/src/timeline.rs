//! What happened in a window of a run, event by event, for people to look at.

use trimtab_core::{InstanceId, RequestId, SimTime};

use crate::dynamics::FleetEvent;
use crate::record::Outcome;

/// Everything that happened in a window. Times are those of the run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Timeline {
    /// When the window begins.
    pub from: SimTime,
    /// When it ends.
    pub to: SimTime,
    /// The engine iterations that overlap it, in the order of their beginnings.
    pub steps: Vec<StepSpan>,
    /// The state of instances whenever it changes, and at the beginning.
    pub levels: Vec<LevelAt>,
    /// What happened to the requests that are in the system at any time of the window, from their arrivals on, request
    /// by request.
    pub requests: Vec<RequestEvent>,
    /// What happened to the cluster.
    pub fleet: Vec<FleetEvent>,
    /// The last levels before it, by instance.
    before: Vec<Option<Levels>>,
    /// What happened to each request so far, unless it ended before the window.
    lives: Vec<Vec<RequestEvent>>,
    /// How much is kept.
    kept: usize,
}

/// One engine iteration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StepSpan {
    /// Whose.
    pub instance: InstanceId,
    /// When it begins.
    pub start: SimTime,
    /// When it ends, or its instance fails.
    pub end: SimTime,
    /// What is in it.
    pub batch: Batch,
}

/// The shape of a batch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Batch {
    /// Requests of which a piece is prefilled.
    pub prefill_requests: u32,
    /// Tokens of these pieces.
    pub prefill_tokens: u32,
    /// Sequences that decode a token.
    pub decode_seqs: u32,
    /// Tokens that these have behind them.
    pub decode_context: u64,
}

/// The state of an instance from a time on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LevelAt {
    /// From when on.
    pub at: SimTime,
    /// Whose.
    pub instance: InstanceId,
    /// What it is.
    pub level: Levels,
}

/// What is counted of an instance.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Levels {
    /// KV blocks held by requests in the batch.
    pub used_blocks: u64,
    /// KV blocks that can be evicted.
    pub cached_blocks: u64,
    /// Prompt tokens still to be computed.
    pub pending_tokens: u64,
    /// Requests in the batch.
    pub running: u32,
    /// Requests in the queue.
    pub waiting: u32,
}

/// Something that happened to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestEvent {
    /// When.
    pub at: SimTime,
    /// To which.
    pub request: RequestId,
    /// What.
    pub what: Stage,
}

/// What can happen to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// It reaches the router.
    Arrived {
        /// Tokens of its prompt.
        prompt_tokens: u32,
    },
    /// The scheduler keeps it.
    Parked,
    /// It is sent to this instance.
    Sent(InstanceId),
    /// It joins the queue of the instance that it was sent to.
    Queued,
    /// It enters the batch.
    Admitted {
        /// Prompt tokens found cached.
        hit_tokens: u32,
    },
    /// Its prefill is over.
    Prefilled,
    /// It loses its KV and waits again.
    Preempted,
    /// It leaves the instance, or its way there, for the router or for another instance.
    Withdrawn,
    /// It is gone.
    Ended(Outcome),
}

impl Timeline {
    pub(crate) fn new(from: SimTime, to: SimTime) -> Self {
        Self { from, to, ..Self::default() }
    }

    /// How many events are kept, levels before the window not counted.
    pub(crate) fn kept(&self) -> usize {
        self.kept
    }

    pub(crate) fn request(&mut self, at: SimTime, request: RequestId, what: Stage) {
        if self.lives.len() <= request.index() {
            self.lives.resize_with(request.index() + 1, Vec::new);
        }
        let life = &mut self.lives[request.index()];
        if at < self.from && matches!(what, Stage::Ended(_)) {
            self.kept -= life.len();
            *life = Vec::new();
        } else if at <= self.to {
            life.push(RequestEvent { at, request, what });
            self.kept += 1;
        }
    }

    pub(crate) fn step(&mut self, span: StepSpan) {
        if span.end > self.from && span.start < self.to {
            self.steps.push(span);
            self.kept += 1;
        }
    }

    /// An instance fails.
    pub(crate) fn cut(&mut self, at: SimTime, instance: InstanceId) {
        if let Some(step) = self.steps.iter_mut().rev().find(|step| step.instance == instance) {
            step.end = step.end.min(at);
        }
    }

    pub(crate) fn level(&mut self, at: SimTime, instance: InstanceId, level: Levels) {
        if at > self.to {
            return;
        }
        if at > self.from {
            self.levels.push(LevelAt { at, instance, level });
            self.kept += 1;
            return;
        }
        if self.before.len() <= instance.index() {
            self.before.resize(instance.index() + 1, None);
        }
        self.before[instance.index()] = Some(level);
    }

    /// Puts together what is in the window.
    pub(crate) fn close(mut self, fleet: Vec<FleetEvent>) -> Self {
        self.requests = std::mem::take(&mut self.lives).into_iter().flatten().collect();
        self.close_levels();
        let (from, to) = (self.from, self.to);
        self.fleet = fleet.into_iter().filter(|event| (from..=to).contains(&event.at)).collect();
        self
    }

    /// What each instance was at when the window began, and then every change up to its end.
    fn close_levels(&mut self) {
        let mut last = std::mem::take(&mut self.before);
        let at_first = |(index, level): (usize, &Option<Levels>)| {
            level.map(|level| LevelAt { at: self.from, instance: InstanceId::from_index(index), level })
        };
        let mut kept: Vec<LevelAt> = last.iter().enumerate().filter_map(at_first).collect();
        let instances = self.levels.iter().map(|level| level.instance.index() + 1).max().unwrap_or(0);
        last.resize(last.len().max(instances), None);
        for level in &self.levels {
            if last[level.instance.index()].replace(level.level) != Some(level.level) {
                kept.push(*level);
            }
        }
        self.levels = kept;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_those_of_the_window() {
        let at = |at: u64, instance: u32, waiting: u32| {
            let level = Levels { waiting, ..Levels::default() };
            LevelAt { at: SimTime(at), instance: InstanceId(instance), level }
        };
        let mut timeline = Timeline::new(SimTime(5), SimTime(10));
        for seen in [at(1, 0, 1), at(2, 1, 5), at(3, 0, 2), at(6, 0, 2), at(7, 0, 3), at(9, 1, 6), at(11, 0, 4)] {
            timeline.level(seen.at, seen.instance, seen.level);
        }
        let closed = timeline.close(Vec::new());
        assert_eq!(closed.levels, [at(5, 0, 2), at(5, 1, 5), at(7, 0, 3), at(9, 1, 6)]);
    }

    #[test]
    fn requests_that_ended_before_are_forgotten() {
        let mut timeline = Timeline::new(SimTime(5), SimTime(10));
        let arrived = Stage::Arrived { prompt_tokens: 1 };
        let ended = Stage::Ended(Outcome::Completed);
        for (at, request, what) in [(1, 0, arrived), (2, 1, arrived), (4, 0, ended), (6, 1, ended), (11, 2, arrived)] {
            timeline.request(SimTime(at), RequestId(request), what);
        }
        assert_eq!(timeline.kept(), 2);
        let closed = timeline.close(Vec::new());
        assert_eq!(
            closed.requests.iter().map(|event| (event.at.0, event.request.0)).collect::<Vec<_>>(),
            [(2, 1), (6, 1)]
        );
    }
}
