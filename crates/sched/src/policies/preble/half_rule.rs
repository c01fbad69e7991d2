//! The 50 % rule: Preble as DualMap's authors compare with it.

use trimtab_core::InstanceId;

use super::params::Ties;
use crate::{Actions, Arrival, ClusterView, Decision, Scheduler};

/// An instance that has more than half of the prompt cached, else the least queue wait plus prefill.
pub(super) struct HalfRule {
    threshold: f64,
    ties: Ties,
    hits: Vec<u32>,
}

impl HalfRule {
    pub(super) fn new(threshold: f64, ties: Ties) -> Self {
        Self { threshold, ties, hits: Vec::new() }
    }
}

impl Scheduler for HalfRule {
    fn route(&mut self, arrival: &Arrival<'_>, view: &ClusterView<'_>, actions: &mut Actions) -> Decision {
        view.all_hit_tokens(arrival.id, &mut self.hits);
        let tokens = arrival.prompt.tokens;
        let best = view.members().iter().map(|i| self.hits[i.index()]).max().unwrap_or(0);
        if f64::from(best) > self.threshold * f64::from(tokens) {
            actions.reason("exploit");
            let order = |i: InstanceId| match self.ties {
                _ if self.hits[i.index()] < best => u64::MAX,
                Ties::FirstFree => view.queue_ps(i),
                Ties::LowestId => 0,
            };
            return Decision::Route(view.argmin(order));
        }
        actions.reason("explore");
        Decision::Route(view.argmin(|i| {
            let cost = view.queue_ps(i) + view.prefill_prompt_ps(i, tokens, self.hits[i.index()]);
            actions.score(i, cost as f64);
            cost
        }))
    }
}
