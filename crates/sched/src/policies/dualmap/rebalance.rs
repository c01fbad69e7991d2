//! Moving queued requests away from overloaded candidates: one round, each request to its own other candidate.

use rustc_hash::FxHashMap;
use trimtab_core::{InstanceId, RequestId, SimTime};

use crate::parts::Candidates;
use crate::{Actions, ClusterView, Queued};

/// How waits are predicted.
#[derive(Clone, Copy)]
pub(super) struct Estimate {
    /// The TTFT objective.
    pub(super) slo: SimTime,
    /// How long an instance with a queue may go without prefill progress before decodes are taken to block it.
    pub(super) stall: Option<SimTime>,
}

impl Estimate {
    /// When memory is full, waiting prefills stall behind decodes, which no count of pending tokens shows. The time since
    /// the last progress then stands for the delay.
    pub(super) fn stalled_ps(&self, view: &ClusterView<'_>, instance: InstanceId) -> u64 {
        let Some(stall) = self.stall else { return 0 };
        let snapshot = view.snapshot(instance);
        let idle = view.now().saturating_since(snapshot.last_prefill_end);
        if snapshot.waiting == 0 || idle <= stall {
            return 0;
        }
        // After a quiet time the last progress is long ago, but nobody has been held up for longer than it waits.
        let mut queue = Vec::new();
        view.queued(instance, &mut queue);
        let longest = queue.iter().map(|queued| waited_ps(view, queued)).max().unwrap_or(0);
        let held_up = idle.0.min(longest);
        if held_up > stall.0 { held_up } else { 0 }
    }

    /// The predicted wait of a request that joins the tail now.
    pub(super) fn wait_ps(&self, view: &ClusterView<'_>, instance: InstanceId) -> u64 {
        view.queue_ps(instance) + self.stalled_ps(view, instance)
    }
}

/// A request in the queue of an overloaded instance.
struct Waiting {
    queued: Queued,
    /// Its prefill here.
    work_ps: u64,
    /// Its predicted TTFT if it stays.
    ttft_ps: u64,
    moved: bool,
}

/// A move that would help.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Move {
    benefit_ps: std::cmp::Reverse<u64>,
    /// Its position in the queue.
    at: usize,
    to: InstanceId,
    /// Its prefill there.
    work_ps: u64,
}

/// Buffers of the rebalancing step.
#[derive(Default)]
pub(super) struct Rebalancer {
    queue: Vec<Queued>,
    waiting: Vec<Waiting>,
    moves: Vec<Move>,
    /// The predicted wait at the tail of each instance looked at, moves of this round included.
    tails: FxHashMap<InstanceId, u64>,
    joining: Option<Joining>,
}

/// The arriving request. It waits with the others, but it cannot move: all its candidates are overloaded.
#[derive(Clone, Copy)]
pub(super) struct Joining {
    pub(super) chosen: InstanceId,
    pub(super) queued: Queued,
}

impl Rebalancer {
    /// Begins a round in which this request joins an instance.
    pub(super) fn start(&mut self, view: &ClusterView<'_>, estimate: &Estimate, joining: Joining) {
        let Joining { chosen, queued } = joining;
        let work_ps = view.prefill_prompt_ps(chosen, queued.prompt_tokens, queued.hit_tokens);
        self.tails.clear();
        self.tails.insert(chosen, estimate.wait_ps(view, chosen) + work_ps);
        self.joining = Some(joining);
    }

    /// Moves requests from the queue of `hot`, those that gain most first, until everyone left there is predicted to meet
    /// the objective or nobody gains.
    pub(super) fn drain(
        &mut self,
        hot: InstanceId,
        view: &ClusterView<'_>,
        estimate: &Estimate,
        placed: &FxHashMap<RequestId, Candidates>,
        min_benefit_ps: u64,
        actions: &mut Actions,
    ) {
        let slo = estimate.slo.0;
        let ahead = self.read_queue(hot, view, estimate);
        if self.predict(ahead, view) <= slo {
            return;
        }
        self.find_moves(hot, view, estimate, placed);
        for at in 0..self.moves.len() {
            let Move { at, to, work_ps, .. } = self.moves[at];
            let waiting = &mut self.waiting[at];
            let there = waited_ps(view, &waiting.queued) + self.tails[&to] + work_ps;
            // Earlier moves have changed both ends.
            if there >= slo || waiting.ttft_ps <= there.saturating_add(min_benefit_ps) {
                continue;
            }
            actions.migrate(waiting.queued.id, to);
            waiting.moved = true;
            let freed = waiting.work_ps;
            *self.tails.get_mut(&to).expect("looked at when the move was found") += work_ps;
            if let Some(tail) = self.tails.get_mut(&hot) {
                *tail = tail.saturating_sub(freed);
            }
            if self.predict(ahead, view) <= slo {
                break;
            }
        }
    }

    /// Reads the queue of `hot` and returns the wait of its head.
    fn read_queue(&mut self, hot: InstanceId, view: &ClusterView<'_>, estimate: &Estimate) -> u64 {
        view.queued(hot, &mut self.queue);
        self.waiting.clear();
        let waiting = |queued: Queued| {
            let work_ps = view.prefill_prompt_ps(hot, queued.prompt_tokens, queued.hit_tokens);
            Waiting { queued, work_ps, ttft_ps: 0, moved: false }
        };
        self.waiting.extend(self.queue.iter().copied().map(waiting));
        let queued_ps: u64 = self.waiting.iter().map(|waiting| waiting.work_ps).sum();
        let joining = self.joining.filter(|joining| joining.chosen == hot);
        self.waiting.extend(joining.map(|joining| waiting(joining.queued)));
        view.queue_ps(hot).saturating_sub(queued_ps) + estimate.stalled_ps(view, hot)
    }

    /// Predicts the TTFT of everyone still in the queue, and returns the worst.
    fn predict(&mut self, mut ahead: u64, view: &ClusterView<'_>) -> u64 {
        let mut worst = 0;
        for waiting in self.waiting.iter_mut().filter(|waiting| !waiting.moved) {
            ahead += waiting.work_ps;
            waiting.ttft_ps = waited_ps(view, &waiting.queued) + ahead;
            worst = worst.max(waiting.ttft_ps);
        }
        worst
    }

    fn find_moves(
        &mut self,
        hot: InstanceId,
        view: &ClusterView<'_>,
        estimate: &Estimate,
        placed: &FxHashMap<RequestId, Candidates>,
    ) {
        self.moves.clear();
        for (at, waiting) in self.waiting.iter().enumerate() {
            let queued = &waiting.queued;
            let Some(candidates) = placed.get(&queued.id) else { continue };
            let partners = candidates.as_slice().iter().copied().filter(|&i| i != hot && view.is_member(i));
            let best = partners
                .map(|to| {
                    let tail = *self.tails.entry(to).or_insert_with(|| estimate.wait_ps(view, to));
                    let hit = view.hit_tokens(queued.id, to);
                    let work = view.prefill_prompt_ps(to, queued.prompt_tokens, hit);
                    (waited_ps(view, queued) + tail + work, to, work)
                })
                .min();
            let Some((ttft_ps, to, work_ps)) = best else { continue };
            if ttft_ps < estimate.slo.0 && ttft_ps < waiting.ttft_ps {
                let benefit_ps = std::cmp::Reverse(waiting.ttft_ps - ttft_ps);
                self.moves.push(Move { benefit_ps, at, to, work_ps });
            }
        }
        self.moves.sort_unstable();
    }
}

fn waited_ps(view: &ClusterView<'_>, queued: &Queued) -> u64 {
    view.now().saturating_since(queued.arrival).0
}
