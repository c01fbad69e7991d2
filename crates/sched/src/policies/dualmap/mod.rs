//! DualMap: two candidate instances for each prefix, the better-cached one while it can meet the objective.
//!
//! Requests with the same key (the head of the prompt, as long as the traffic asks for, see
//! [`HotnessTree`](crate::parts::HotnessTree)) share two candidates chosen by independent hashes. Affinity comes from
//! there being only two; balance from there being two, and from different keys having different pairs. The candidate with
//! more cache is taken while its expected TTFT is within the objective, otherwise the less loaded one. When both are
//! overloaded, requests that wait at them move to *their* other candidates, which differ from key to key: one hot
//! instance drains into many others (`rebalance`).
//!
//! The two-choices bound does not hold for repeats of one key, which always meet the same pair: growing keys and moving
//! queued requests exist for that.
//!
//! A trap at low load: when all prompts share their first block, a candidate that never served loses to any warm one by
//! that block and stays idle until load pressure moves something there. `ignore_hit_tokens` is a remedy.

mod params;
mod rebalance;

use rustc_hash::FxHashMap;
use trimtab_core::{InstanceId, PS_PER_S, RequestId, SimTime};

use self::params::{OwnTokens, Params, Variant};
use self::rebalance::{Estimate, Joining, Rebalancer};
use crate::parts::{Candidates, Choices, HotnessTree, MAX_CHOICES};
use crate::{Actions, Arrival, ClusterView, Decision, Hook, ParamError, Queued, Scheduler, SchedulerDef, Signals, typed};

/// DualMap in the registry.
pub(super) const DEF: SchedulerDef = SchedulerDef {
    name: "dualmap",
    summary: "two hashed candidates for each prefix: the better-cached one within the TTFT objective, else the less \
              loaded one; queued requests move when both are overloaded",
    citation: "DualMap, ICLR 2026, arXiv 2602.06502",
    deviations: &[
        "keys grow by one block at a time and start at one block: unpublished, the only step that gives the published \
         key lengths of 2, 6 and 13 blocks",
        "traffic shares are taken over the last 1,000 requests: unpublished, the value of a port",
        "traffic is counted on the whole path of a prompt, beyond its key: with counts that start at each growth the \
         published mix of key lengths cannot come about",
        "with `placement = ring`, 64 ring points for each instance; one, as published, makes the busiest instance a \
         candidate 2.3 times too often at 8 instances",
        "the overload threshold is the objective times the instance's sustained prefill speed: its value is unpublished",
        "the overload test and the comparison count the request's own uncached tokens: the paper does not say",
        "after each move the waits at both ends are predicted again, so that every moved request still meets the objective",
        "the time a queued request has waited counts towards its predicted TTFT when it is considered for a move",
        "prompts shorter than one key block go to the least loaded instance, as in a port",
        "with d = 1 or more than two candidates the rules generalise: the best-cached within its threshold, else the \
         least loaded; all overloaded starts the moves",
    ],
    signals: Signals { snapshots: true, prefix: true, latency: true, queues: true, ..Signals::NONE },
    hooks: true,
    params: params::doc,
    build: |params, context| {
        let params: Params = typed(params)?;
        params.check()?;
        let slo = match (params.ttft_slo_s, context.slo_ttft) {
            (None, Some(slo)) => slo,
            (seconds, _) => SimTime::from_secs_f64(seconds.unwrap_or(5.0))
                .ok_or_else(|| ParamError("parameter `ttft_slo_s` must be a span of time".into()))?,
        };
        let stall = SimTime::from_secs_f64(params.decode_bottleneck_s.unwrap_or(0.0))
            .ok_or_else(|| ParamError("parameter `decode_bottleneck_s` must be a span of time or null".into()))?;
        Ok(Box::new(DualMap {
            keys: HotnessTree::new(params.keys()),
            choices: Choices::new(params.placement, params.d, params.virtual_nodes, params.salt),
            estimate: Estimate { slo, stall: params.decode_bottleneck_s.map(|_| stall) },
            speeds: context.instances.iter().map(|i| i.prefill_tokens_per_s).collect(),
            placed: FxHashMap::default(),
            rebalancer: Rebalancer::default(),
            params,
        }))
    },
};

struct DualMap {
    params: Params,
    keys: HotnessTree,
    choices: Choices,
    estimate: Estimate,
    /// Sustained prefill tokens per second of the instances known at the start.
    speeds: Vec<u64>,
    /// The candidates of the requests without a first token: where each may still move.
    placed: FxHashMap<RequestId, Candidates>,
    rebalancer: Rebalancer,
}

/// What one candidate offers.
#[derive(Clone, Copy)]
struct Look {
    instance: InstanceId,
    hit: u32,
    /// For the comparison of loads.
    load: u64,
    overloaded: bool,
}

impl DualMap {
    fn look(&self, arrival: &Arrival<'_>, view: &ClusterView<'_>, instance: InstanceId) -> Look {
        let hit = view.hit_tokens(arrival.id, instance);
        let miss = u64::from(arrival.prompt.tokens.saturating_sub(hit));
        let pending = self.params.load.of(view, instance);
        let (tested, load) = match self.params.own_tokens {
            OwnTokens::Both => (pending + miss, pending + miss),
            OwnTokens::Test => (pending + miss, pending),
            OwnTokens::Neither => (pending, pending),
        };
        let hit = if hit > self.params.ignore_hit_tokens { hit } else { 0 };
        Look { instance, hit, load, overloaded: tested > self.threshold(view, instance) }
    }

    /// The pending tokens that an instance can prefill within the objective.
    fn threshold(&self, view: &ClusterView<'_>, instance: InstanceId) -> u64 {
        if let Some(tokens) = self.params.threshold_tokens {
            return tokens;
        }
        // Instances that joined later are taken to be like the first.
        let speed = self.speeds.get(instance.index()).or(self.speeds.first()).copied().unwrap_or(0);
        let within = self.estimate.slo.0.saturating_sub(self.estimate.stalled_ps(view, instance));
        u64::try_from(u128::from(within) * u128::from(speed) / u128::from(PS_PER_S)).unwrap_or(u64::MAX)
    }

    /// Step C: the better-cached candidate within its threshold, else the less loaded one.
    fn slo_aware(looks: &[Look], actions: &mut Actions) -> InstanceId {
        let best_hit = looks.iter().map(|look| look.hit).max().unwrap_or(0);
        let cached = looks.iter().filter(|look| look.hit == best_hit).min_by_key(|look| look.load);
        match cached {
            Some(look) if !look.overloaded => {
                actions.reason("cached");
                look.instance
            }
            _ => {
                actions.reason("less loaded");
                least(looks, |look| look.load)
            }
        }
    }

    fn choose(&self, arrival: &Arrival<'_>, view: &ClusterView<'_>, looks: &[Look], actions: &mut Actions) -> InstanceId {
        match self.params.variant {
            Variant::Full | Variant::NoRebalance => Self::slo_aware(looks, actions),
            Variant::LeastLoaded => least(looks, |look| look.load),
            Variant::CacheAffinity => least(looks, |look| (std::cmp::Reverse(look.hit), look.load)),
            Variant::MinTtft => least(looks, |look| {
                self.estimate.wait_ps(view, look.instance)
                    + view.prefill_prompt_ps(look.instance, arrival.prompt.tokens, look.hit)
            }),
        }
    }
}

/// The candidate with the smallest key, the first among equals.
fn least<K: Ord>(looks: &[Look], key: impl FnMut(&&Look) -> K) -> InstanceId {
    looks.iter().min_by_key(key).expect("a key has at least one candidate").instance
}

impl Scheduler for DualMap {
    fn route(&mut self, arrival: &Arrival<'_>, view: &ClusterView<'_>, actions: &mut Actions) -> Decision {
        let members = view.members();
        let Some(key) = self.keys.key(arrival, members.len()) else {
            actions.reason("shorter than a key block");
            self.placed.remove(&arrival.id);
            return Decision::Route(self.params.load.least(view));
        };
        let candidates = self.choices.of(key.id, members);
        let nothing = Look { instance: InstanceId(0), hit: 0, load: 0, overloaded: false };
        let mut looks = [nothing; MAX_CHOICES];
        let looks = &mut looks[..candidates.as_slice().len()];
        for (look, &instance) in looks.iter_mut().zip(candidates.as_slice()) {
            *look = self.look(arrival, view, instance);
            actions.score(instance, look.load as f64);
        }
        let chosen = self.choose(arrival, view, looks, actions);
        if self.params.variant == Variant::Full && candidates.as_slice().len() > 1 {
            if looks.iter().all(|look| look.overloaded) {
                actions.reason("all overloaded");
                let queued = Queued {
                    id: arrival.id,
                    arrival: arrival.arrival,
                    prompt_tokens: arrival.prompt.tokens,
                    hit_tokens: view.hit_tokens(arrival.id, chosen),
                };
                self.placed.remove(&arrival.id);
                self.rebalancer.start(view, &self.estimate, Joining { chosen, queued });
                for &hot in candidates.as_slice() {
                    self.rebalancer.drain(hot, view, &self.estimate, &self.placed, self.params.min_benefit_ps(), actions);
                }
            }
            self.placed.insert(arrival.id, candidates);
        }
        Decision::Route(chosen)
    }

    fn hook(&mut self, hook: &Hook, _: &ClusterView<'_>, _: &mut Actions) {
        match *hook {
            Hook::Joined { .. } | Hook::Left { .. } => self.choices.members_changed(),
            Hook::FirstToken { request, .. }
            | Hook::Finished { request, .. }
            | Hook::Withdrawn { request, .. } => {
                self.placed.remove(&request);
            }
            _ => {}
        }
    }
}
