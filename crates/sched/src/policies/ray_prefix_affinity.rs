//! Ray Serve's `PrefixCacheAffinityRouter`: the replicas that were sent the longest prefix, and of these the shortest queue.

use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use trimtab_core::{InstanceId, RequestId, SimTime};

use crate::parts::{Periodic, RadixTree, Text, Ties};
use crate::{
    Actions, Arrival, ClusterView, Decision, Hook, ParamError, Scheduler, SchedulerDef, Signals, params_doc, require,
    typed,
};

/// Ray Serve's prefix affinity in the registry.
pub(super) const DEF: SchedulerDef = SchedulerDef {
    name: "ray-prefix-affinity",
    summary: "the shortest queue among the replicas that were sent the longest prefix, or hold the least text",
    citation: "Ray Serve LLM, PrefixCacheAffinityRouter; files read one at a time, release not pinned (2026-08)",
    deviations: &[
        "lengths in tokens, limits converted at 4 characters a token",
        "queue lengths are the router's own count; the product probes replicas or uses a cache of that",
        "a replica at its limit is left out at once; in the product it refuses and the request is tried again",
    ],
    signals: Signals::NONE,
    hooks: true,
    params: || {
        params_doc::<Params>(&[
            ("imbalance", "queue lengths further apart than this: power of two choices; null: never (Ray: infinity)"),
            ("match_rate", "follow a prefix of at least this share of the prompt; Ray: 0.1"),
            ("max_ongoing", "requests that a replica takes at a time, others wait at the router; null: no limit"),
            ("eviction", "whether the tree forgets; Ray: no"),
            ("eviction_threshold_characters", "text of a replica above which eviction begins; Ray: 400,000"),
            ("eviction_target_characters", "text of a replica at which it ends; Ray: 360,000"),
            ("eviction_interval_s", "seconds between evictions; Ray: 10"),
            ("chars_per_token", "converts the limits above; 4 is a choice"),
        ])
    },
    build: |params, context| {
        let params: Params = typed(params)?;
        require(params.chars_per_token > 0.0, "chars_per_token", "positive")?;
        require(params.max_ongoing.is_none_or(|limit| limit >= 1), "max_ongoing", "at least 1, or null")?;
        let interval = SimTime::from_secs_f64(params.eviction_interval_s)
            .ok_or_else(|| ParamError("parameter `eviction_interval_s` must be a span of time".into()))?;
        Ok(Box::new(PrefixAffinity {
            params,
            ties: Ties::new(&context.streams),
            tree: RadixTree::new(1),
            eviction: Periodic::new(interval),
            text: Text::default(),
            matched: Vec::new(),
            preferred: Vec::new(),
            open: Vec::new(),
            parked: VecDeque::new(),
        }))
    },
};

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Params {
    imbalance: Option<u32>,
    match_rate: f64,
    max_ongoing: Option<u32>,
    eviction: bool,
    eviction_threshold_characters: u64,
    eviction_target_characters: u64,
    eviction_interval_s: f64,
    chars_per_token: f64,
}

impl Default for Params {
    fn default() -> Self {
        Self {
            imbalance: None,
            match_rate: 0.1,
            max_ongoing: None,
            eviction: false,
            eviction_threshold_characters: 400_000,
            eviction_target_characters: 360_000,
            eviction_interval_s: 10.0,
            chars_per_token: 4.0,
        }
    }
}

struct PrefixAffinity {
    params: Params,
    ties: Ties,
    tree: RadixTree,
    eviction: Periodic,
    text: Text,
    matched: Vec<u32>,
    preferred: Vec<InstanceId>,
    open: Vec<InstanceId>,
    parked: VecDeque<(RequestId, Text)>,
}

impl PrefixAffinity {
    /// The replica for the text at hand, which is entered there; `None` when all are at their limit.
    fn choose(&mut self, view: &ClusterView<'_>, actions: &mut Actions) -> Option<InstanceId> {
        let queue = |i: InstanceId| view.counters().in_flight[i.index()];
        let limit = self.params.max_ongoing.unwrap_or(u32::MAX);
        self.open.clear();
        self.open.extend(view.members().iter().copied().filter(|&i| queue(i) < limit));
        let queues = || view.members().iter().map(|&i| queue(i));
        let apart = queues().max()? - queues().min()?;
        self.preferred.clear();
        if self.text.tokens() == 0 || self.params.imbalance.is_some_and(|most| apart > most) {
            actions.reason("power of two");
            let first = self.ties.below(view.members().len());
            let second = (first + 1 + self.ties.below(view.members().len().max(2) - 1)) % view.members().len();
            self.preferred.extend([first, second].map(|at| view.members()[at]));
        } else {
            self.prefer_by_text(view, actions);
        }
        self.preferred.retain(|&i| queue(i) < limit);
        let among = if self.preferred.is_empty() { &self.open } else { &self.preferred };
        let chosen = self.ties.least(among.iter().copied(), queue)?;
        self.tree.insert(&self.text, chosen);
        Some(chosen)
    }

    fn prefer_by_text(&mut self, view: &ClusterView<'_>, actions: &mut Actions) {
        self.tree.matched_by_all(&self.text, view.counters().in_flight.len(), &mut self.matched);
        let matched = |i: &InstanceId| self.matched[i.index()];
        let best = view.members().iter().map(matched).max().unwrap_or(0);
        if f64::from(best) >= self.params.match_rate * f64::from(self.text.tokens()) {
            actions.reason("prefix");
            self.preferred.extend(view.members().iter().filter(|i| matched(i) == best));
        } else {
            actions.reason("least text");
            let least = view.members().iter().map(|&i| self.tree.held(i)).min();
            self.preferred.extend(view.members().iter().filter(|&&i| Some(self.tree.held(i)) == least));
        }
    }

    /// Brings the text of each replica that has too much down to the target.
    fn evict(&mut self) {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a positive number of tokens")]
        let tokens = |characters: u64| (characters as f64 / self.params.chars_per_token) as u64;
        let limit = tokens(self.params.eviction_threshold_characters);
        self.tree.evict_above(limit, tokens(self.params.eviction_target_characters));
    }
}

impl Scheduler for PrefixAffinity {
    fn route(&mut self, arrival: &Arrival<'_>, view: &ClusterView<'_>, actions: &mut Actions) -> Decision {
        if self.params.eviction && self.eviction.due(view.now()) {
            self.evict();
        }
        self.text.refill(arrival);
        if let Some(chosen) = self.choose(view, actions) {
            return Decision::Route(chosen);
        }
        self.parked.push_back((arrival.id, self.text.clone()));
        Decision::Park
    }

    fn learn(&mut self, arrival: &Arrival<'_>, to: InstanceId, _: SimTime) {
        self.text.refill(arrival);
        self.tree.insert(&self.text, to);
    }

    fn hook(&mut self, hook: &Hook, view: &ClusterView<'_>, actions: &mut Actions) {
        match *hook {
            Hook::Left { instance } => self.tree.remove_worker(instance),
            Hook::Withdrawn { request, instance: None } => self.parked.retain(|&(id, _)| id != request),
            Hook::Finished { .. }
            | Hook::Withdrawn { .. }
            | Hook::Joined { .. }
            | Hook::Elsewhere
            | Hook::Timer { .. } => {}
            _ => return,
        }
        if let Some((request, text)) = self.parked.pop_front() {
            self.text = text;
            match self.choose(view, actions) {
                Some(chosen) => {
                    actions.route(request, chosen);
                    if !self.parked.is_empty() {
                        // What is sent now is in the counters at the next call.
                        actions.timer(view.now(), 0);
                    }
                }
                None => self.parked.push_front((request, std::mem::take(&mut self.text))),
            }
        }
    }
}
