//! LBGR, learning-based greedy routing: the least of own work, decayed assigned work and a learned correction.

mod learner;
mod params;

use rustc_hash::FxHashMap;
use trimtab_core::{InstanceId, PS_PER_MS, RequestId, SimTime};

use crate::parts::{Periodic, RadixTree, Text};
use crate::{Actions, Arrival, BuildContext, ClusterView, Decision, Hook, Scheduler, SchedulerDef, Signals};
use learner::Learner;
use params::{Features, Params};

/// LBGR in the registry.
pub(super) const DEF: SchedulerDef = SchedulerDef {
    name: "lbgr",
    summary: "the least of the request's uncached work, decayed assigned work and a learned correction",
    citation: "KVRouting, arXiv 2601.18999 (ICLR 2026), section on LBGR; code on SGLang 0.4.6, policy eta_online_3d",
    deviations: &[
        "the code prices characters; here tokens at 4 characters each",
        "`calibrated` takes the speed that the spec's instances have, and weighs in hits, misses and load as the paper says",
        "a completed prompt is inserted again at its end, whether or not the tree's lock would have been free",
    ],
    signals: Signals::NONE,
    hooks: true,
    params: params::doc,
    build: |params, context| {
        Ok(Box::new(Lbgr::new(Params::read(params)?, context)))
    },
};

/// How often assigned work decays.
const TICK: SimTime = SimTime(20 * PS_PER_MS);
/// What is left of it then.
const DECAY: (u64, u64) = (31, 32);
const TRIM: SimTime = SimTime(60_000 * PS_PER_MS);

struct Lbgr {
    params: Params,
    /// Milliseconds of an uncached token, by instance.
    miss_ms: Vec<f64>,
    tree: RadixTree,
    trim: Periodic,
    workers: Vec<Worker>,
    ticks: u64,
    flights: FxHashMap<RequestId, Flight>,
    text: Text,
    matched: Vec<u32>,
}

/// What is known of an instance.
#[derive(Clone, Debug)]
struct Worker {
    /// Assigned work in milliseconds, decayed.
    work: u64,
    learner: Learner,
}

/// A request in flight.
struct Flight {
    at: InstanceId,
    text: Text,
    routed: SimTime,
    base: f64,
    /// Assigned work when it was routed.
    work: u64,
    features: [f64; 4],
}

impl Lbgr {
    fn new(params: Params, context: &BuildContext) -> Self {
        let own = |i: &crate::InstanceInfo| 1000.0 / i.prefill_tokens_per_s.max(1) as f64;
        let miss_ms = context.instances.iter().map(|i| params.miss_ms_per_token.unwrap_or(own(i))).collect();
        let worker = Worker { work: 0, learner: Learner::new(params.forgetting, params.initial_variance) };
        Self {
            miss_ms,
            tree: RadixTree::new(1),
            trim: Periodic::new(TRIM),
            workers: vec![worker; context.instances.len()],
            ticks: 0,
            flights: FxHashMap::default(),
            text: Text::default(),
            matched: Vec::new(),
            params,
        }
    }

    /// Lets assigned work decay, rounding down at every tick as the code does.
    fn decay(&mut self, now: SimTime) {
        let ticks = now.0 / TICK.0;
        for worker in &mut self.workers {
            for _ in self.ticks..ticks {
                if worker.work == 0 {
                    break;
                }
                worker.work = worker.work * DECAY.0 / DECAY.1;
            }
        }
        self.ticks = ticks;
    }

    /// Milliseconds of the request's own work on an instance.
    fn base_ms(&self, at: InstanceId, tokens: u32) -> f64 {
        let hit = self.matched[at.index()].min(tokens);
        // Instances that joined later are taken to be like the first.
        let miss_ms = self.miss_ms.get(at.index()).or(self.miss_ms.first()).copied().unwrap_or(0.0);
        (self.params.hit_ms_per_token * f64::from(hit) + miss_ms * f64::from(tokens - hit)).max(1.0)
    }

    fn features(&self, at: InstanceId, tokens: u32) -> [f64; 4] {
        let hit = self.matched[at.index()].min(tokens);
        match self.params.features {
            Features::Bias => [1.0, 0.0, 0.0, 0.0],
            // In thousands of tokens and in seconds, so that no coefficient starts far from the others.
            Features::All => {
                let load = self.workers[at.index()].work as f64 / 1e3;
                [1.0, f64::from(hit) / 1e3, f64::from(tokens - hit) / 1e3, load]
            }
        }
    }

    /// The predicted end in milliseconds from now.
    fn predicted_ms(&self, at: InstanceId, tokens: u32) -> f64 {
        let worker = &self.workers[at.index()];
        let learned = worker.learner.predict(&self.features(at, tokens));
        (self.base_ms(at, tokens) + self.params.queue_weight * worker.work as f64 + learned).max(1.0)
    }

    /// The first that no later one beats by more than the margin.
    fn choose(&self, view: &ClusterView<'_>, tokens: u32, actions: &mut Actions) -> InstanceId {
        let mut best: Option<(InstanceId, f64)> = None;
        for &i in view.members() {
            let predicted = self.predicted_ms(i, tokens);
            actions.score(i, predicted);
            if best.is_none_or(|(_, least)| predicted + self.params.margin_ms < least) {
                best = Some((i, predicted));
            }
        }
        best.expect("a scheduler is asked only while there is a member").0
    }

    fn reserve(&mut self, arrival: &Arrival<'_>, at: InstanceId, now: SimTime) {
        let tokens = arrival.prompt.tokens;
        let (base, features) = (self.base_ms(at, tokens), self.features(at, tokens));
        let worker = &mut self.workers[at.index()];
        let flight = Flight { at, text: self.text.clone(), routed: now, base, work: worker.work, features };
        worker.work += whole(base);
        self.tree.insert(&self.text, at);
        self.flights.insert(arrival.id, flight);
    }

    /// Takes back what is left of a request's reservation.
    fn release(&mut self, request: RequestId, now: SimTime) -> Option<Flight> {
        let flight = self.flights.remove(&request)?;
        let ticks = now.saturating_since(flight.routed).0 / TICK.0;
        let left = flight.base * libm::pow(DECAY.0 as f64 / DECAY.1 as f64, ticks as f64);
        let worker = &mut self.workers[flight.at.index()];
        worker.work = worker.work.saturating_sub(whole(left));
        Some(flight)
    }
}

/// Milliseconds to the nearest whole one.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "times are not negative")]
fn whole(ms: f64) -> u64 {
    libm::round(ms) as u64
}

impl Scheduler for Lbgr {
    fn route(&mut self, arrival: &Arrival<'_>, view: &ClusterView<'_>, actions: &mut Actions) -> Decision {
        self.release(arrival.id, view.now());
        self.decay(view.now());
        if self.trim.due(view.now()) {
            self.tree.evict(self.params.max_tree_characters / 4);
        }
        let slots = view.counters().in_flight.len();
        if self.workers.len() < slots {
            let fresh = Learner::new(self.params.forgetting, self.params.initial_variance);
            self.workers.resize(slots, Worker { work: 0, learner: fresh });
        }
        self.text.refill(arrival);
        self.tree.matched_by_all(&self.text, slots, &mut self.matched);
        let chosen = self.choose(view, arrival.prompt.tokens, actions);
        self.reserve(arrival, chosen, view.now());
        Decision::Route(chosen)
    }

    fn hook(&mut self, hook: &Hook, view: &ClusterView<'_>, _: &mut Actions) {
        match *hook {
            Hook::Finished { request, instance, e2e, output_tokens } => {
                self.decay(view.now());
                let Some(flight) = self.release(request, view.now()) else { return };
                // A failure teaches nothing.
                if output_tokens == 0 {
                    return;
                }
                if view.is_member(instance) {
                    self.tree.insert(&flight.text, instance);
                }
                let late = e2e.as_secs_f64() * 1e3 - (flight.base + flight.work as f64);
                let error = if self.params.floor_error { late.max(1.0) } else { late };
                self.workers[instance.index()].learner.learn(&flight.features, error);
            }
            Hook::Withdrawn { request, .. } => {
                self.decay(view.now());
                self.release(request, view.now());
            }
            Hook::Left { instance } => self.tree.remove_worker(instance),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::InstanceInfo;
    use trimtab_core::RngStreams;

    fn lbgr(preset: &str) -> Lbgr {
        let info = InstanceInfo {
            kv_blocks: 1,
            block_tokens: 16,
            max_batched_tokens: 1,
            max_seqs: 1,
            prefill_tokens_per_s: 10_000,
        };
        let context = BuildContext { instances: vec![info; 2], streams: RngStreams::new(1), slo_ttft: None };
        Lbgr::new(Params::read(&serde_json::json!({ "preset": preset })).unwrap(), &context)
    }

    /// 1 ms a character is 4 ms a token; 10,000 tokens a second are 0.1 ms a token.
    #[test]
    fn own_work() {
        for (preset, tokens, hit, expected) in [
            ("as-coded", 4096, 2048, 8192.0),
            ("as-coded", 100, 100, 1.0),
            ("calibrated", 4096, 2048, 204.8),
            ("calibrated", 5, 0, 1.0),
        ] {
            let mut it = lbgr(preset);
            it.matched = vec![hit, 0];
            assert!((it.base_ms(InstanceId(0), tokens) - expected).abs() < 1e-9, "{tokens} {hit}");
        }
    }

    /// Half of the work is gone after 437 ms, a fifth is left after a second, rounding aside.
    #[test]
    fn assigned_work_decays() {
        for (at_ms, low, high) in [(19, 100_000, 100_000), (20, 96_875, 96_875), (437, 50_000, 53_000), (1000, 20_300, 20_500)] {
            let mut it = lbgr("as-coded");
            it.workers[0].work = 100_000;
            it.decay(SimTime(at_ms * PS_PER_MS));
            assert!((low..=high).contains(&it.workers[0].work), "{at_ms} ms: {}", it.workers[0].work);
            it.decay(SimTime(1_000_000 * PS_PER_MS));
            assert_eq!(it.workers[0].work, 0, "rounding down ends at nothing");
        }
    }
}
