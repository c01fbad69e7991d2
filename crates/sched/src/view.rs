//! What a scheduler sees.

use trimtab_core::{InstanceId, PrefixForest, PrefixId, Prompt, Request, RequestId, SessionId, SimTime, TenantId};

/// A request as the router sees it: everything but how many tokens it will generate.
#[derive(Clone, Copy, Debug)]
pub struct Arrival<'a> {
    /// The request.
    pub id: RequestId,
    /// When it first reached the router; deadlines count from here, also after a migration or a retry.
    pub arrival: SimTime,
    /// Its prompt.
    pub prompt: Prompt,
    /// The nodes of its prompt, first token first.
    pub path: &'a [PrefixId],
    /// The forest they live in.
    pub forest: &'a PrefixForest,
    /// Its session, when the client names one.
    pub session: Option<SessionId>,
    /// Its position in the session.
    pub turn: u32,
    /// Who sent it.
    pub tenant: TenantId,
    /// Which model it asks for.
    pub model: u16,
    /// Higher is more urgent.
    pub priority: i16,
}

impl<'a> Arrival<'a> {
    /// A request with the nodes of its prompt, without what only time tells.
    pub fn new(request: &Request, path: &'a [PrefixId], forest: &'a PrefixForest) -> Self {
        Self {
            id: request.id,
            arrival: request.arrival,
            prompt: request.prompt,
            path,
            forest,
            session: request.session,
            turn: request.turn,
            tenant: request.tenant,
            model: request.model,
            priority: request.priority,
        }
    }
}

impl Arrival<'_> {
    /// A fixed identity of the first `tokens` tokens of the prompt (or of all of it, when shorter): equal for two
    /// requests exactly when these tokens are known to be equal. Hash it before use. `None` for an empty prompt.
    pub fn prefix_key(&self, tokens: u32) -> Option<u64> {
        let tokens = tokens.min(self.prompt.tokens);
        let at = self.path.partition_point(|&id| self.forest.end(id) < tokens);
        (tokens > 0).then_some(key_of(*self.path.get(at)?, tokens))
    }

    /// The [`Self::prefix_key`] of every multiple of `block_tokens` up to the whole prompt, which comes last.
    pub fn prefix_keys(&self, block_tokens: u32) -> impl Iterator<Item = u64> + '_ {
        let mut at = 0;
        (1..=self.prompt.tokens.div_ceil(block_tokens)).map_while(move |blocks| {
            let tokens = blocks.saturating_mul(block_tokens).min(self.prompt.tokens);
            // Strides double until they pass the position: prompts may consist of many short nodes.
            let before = |at: usize| self.path.get(at).is_some_and(|&id| self.forest.end(id) < tokens);
            let mut stride = 1;
            while before(at + stride - 1) {
                at += stride;
                stride *= 2;
            }
            while stride > 1 {
                stride /= 2;
                if before(at + stride - 1) {
                    at += stride;
                }
            }
            Some(key_of(*self.path.get(at)?, tokens))
        })
    }
}

/// Within one node, equal ends mean equal prefixes; nodes never share an end with their parent.
fn key_of(node: PrefixId, tokens: u32) -> u64 {
    u64::from(node.0) << 32 | u64::from(tokens)
}

/// The signals that a scheduler reads. One that was not declared cannot be read, and a run whose spec turns a declared
/// signal off is refused at start-up. Router counters and membership are always there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Signals {
    /// Engine snapshots: waiting, running, KV use (aged by `signals.refresh_ms`).
    pub snapshots: bool,
    /// Totals over what each engine has completed so far: queue, prefill and decode times, lengths (as old as snapshots).
    pub history: bool,
    /// How much of a prompt each instance is believed to have cached.
    pub prefix: bool,
    /// Prefill times, decode steps, queue waits and KV transfer times predicted from the instance's step cost and its links.
    pub latency: bool,
    /// The requests that wait at an instance, unstarted.
    pub queues: bool,
    /// What would really happen on an instance: no router can know it. For upper bounds only.
    pub oracle: bool,
}

impl Signals {
    /// Everything, for those that are no routers.
    pub const ALL: Self =
        Self { snapshots: true, history: true, prefix: true, latency: true, queues: true, oracle: true };

    /// Counters only.
    pub const NONE: Self =
        Self { snapshots: false, history: false, prefix: false, latency: false, queues: false, oracle: false };

    /// Whether every signal of `self` is also in `other`.
    pub const fn within(self, other: Self) -> bool {
        (!self.snapshots || other.snapshots)
            && (!self.history || other.history)
            && (!self.prefix || other.prefix)
            && (!self.latency || other.latency)
            && (!self.queues || other.queues)
            && (!self.oracle || other.oracle)
    }

    /// The names of the signals that are on, for messages and documentation.
    pub fn names(self) -> Vec<&'static str> {
        let all = [
            (self.snapshots, "snapshots"),
            (self.history, "history"),
            (self.prefix, "prefix"),
            (self.latency, "latency"),
            (self.queues, "queues"),
            (self.oracle, "oracle"),
        ];
        all.into_iter().filter_map(|(on, name)| on.then_some(name)).collect()
    }
}

/// The router's own book-keeping, indexed by instance: exact and without lag, unless reports of first tokens and ends take
/// their time or several routers share the fleet. Instances that left keep their slot.
#[derive(Clone, Debug, Default)]
pub struct Counters {
    /// Requests ever dispatched.
    pub dispatched: Vec<u64>,
    /// Requests dispatched and not yet ended.
    pub in_flight: Vec<u32>,
    /// Prompt tokens of the requests in flight.
    pub in_flight_tokens: Vec<u64>,
    /// Whole prompts of the requests dispatched whose first token is still out (Dynamo's active prefill tokens).
    pub active_prefill_tokens: Vec<u64>,
    /// The same, less the tokens believed cached when they were dispatched.
    pub pending_prefill_tokens: Vec<u64>,
}

/// What an engine last reported of itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// When the report was made.
    pub at: SimTime,
    /// Requests waiting for admission.
    pub waiting: u32,
    /// Requests in the batch.
    pub running: u32,
    /// KV blocks held by requests in the batch.
    pub used_blocks: u64,
    /// All KV blocks.
    pub total_blocks: u64,
    /// Prompt tokens still to be computed, of waiting and running requests.
    pub pending_prefill_tokens: u64,
    /// When a prefill last made progress, or the time of the report where nobody waits.
    pub last_prefill_end: SimTime,
}

impl Snapshot {
    /// The share of KV blocks held by requests in the batch.
    pub fn kv_use(&self) -> f64 {
        if self.total_blocks == 0 { 0.0 } else { self.used_blocks as f64 / self.total_blocks as f64 }
    }
}

/// Totals over the requests that an engine has completed, as its metrics endpoint exports them: they only grow, and a
/// mean is the quotient of two.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct History {
    /// Requests completed.
    pub requests: u64,
    /// Picoseconds from joining the queue to the first admission.
    pub queue_ps: u128,
    /// Picoseconds from the first admission to the first token.
    pub prefill_ps: u128,
    /// Picoseconds from the first token to the last.
    pub decode_ps: u128,
    /// Prompt tokens, cached ones included.
    pub prompt_tokens: u64,
    /// Generated tokens.
    pub output_tokens: u64,
}

impl History {
    /// A total as the mean of a request, 0 before the first one.
    pub fn mean(&self, total: u128) -> f64 {
        if self.requests == 0 { 0.0 } else { total as f64 / self.requests as f64 }
    }
}

/// A request that waits at an instance and has not started: it can still be migrated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Queued {
    /// The request.
    pub id: RequestId,
    /// When it first reached the router.
    pub arrival: SimTime,
    /// Its prompt length.
    pub prompt_tokens: u32,
    /// Its prompt tokens believed cached where it waits.
    pub hit_tokens: u32,
}

/// The looks that cost something; implemented by the engine, which settles only what is read.
pub trait Probe {
    /// What an instance last reported.
    fn snapshot(&self, instance: InstanceId) -> Snapshot;
    /// What an instance has completed, by its last report.
    fn history(&self, instance: InstanceId) -> History {
        let _ = instance;
        History::default()
    }
    /// Leading prompt tokens of a request in the router's hands (arriving, parked or queued) believed cached.
    fn hit_tokens(&self, request: RequestId, instance: InstanceId) -> u32;
    /// The same for every instance in one walk over the prompt, indexed by instance; `out` is resized.
    fn all_hit_tokens(&self, request: RequestId, out: &mut Vec<u32>);
    /// Predicted picoseconds to prefill `new` tokens after `cached` ones, alone on the instance.
    fn prefill_ps(&self, instance: InstanceId, new: u32, cached: u32) -> u64;
    /// Predicted picoseconds of a decode step of the instance's batch with one more sequence of `tokens` tokens.
    fn decode_step_ps(&self, instance: InstanceId, tokens: u32) -> u64 {
        let _ = (instance, tokens);
        0
    }
    /// Predicted picoseconds until the instance has prefilled everything it was given so far.
    fn queue_ps(&self, instance: InstanceId) -> u64;
    /// The unstarted requests at an instance in the order they will be served; `out` is cleared.
    fn queued(&self, instance: InstanceId, out: &mut Vec<Queued>);
    /// Predicted picoseconds to copy the cached prefix of `tokens` tokens between instances, waiting transfers included.
    /// `None` where there is no link.
    fn transfer_ps(&self, from: InstanceId, to: InstanceId, tokens: u32) -> Option<u64> {
        let _ = (from, to, tokens);
        None
    }
    /// The picoseconds from now to the first token of an arriving request if it went to this instance and nothing else
    /// arrived there, found by trying it on the true state. The default is the prediction, for probes that cannot try.
    fn trial_ps(&self, request: RequestId, prompt_tokens: u32, instance: InstanceId) -> u64 {
        let hit = self.hit_tokens(request, instance).min(prompt_tokens.saturating_sub(1));
        self.queue_ps(instance).saturating_add(self.prefill_ps(instance, prompt_tokens - hit, hit))
    }
}

/// The longest predicted time, in picoseconds: 13 days. A prediction can be wrong by any factor; with this bound the sum of
/// a few of them always fits.
pub const LONGEST_PS: u64 = 1 << 60;

/// The cluster, as the router sees it at one moment.
#[derive(Clone, Copy)]
pub struct ClusterView<'a> {
    now: SimTime,
    members: &'a [InstanceId],
    signals: Signals,
    counters: &'a Counters,
    probe: &'a dyn Probe,
}

impl<'a> ClusterView<'a> {
    /// A view that lets the declared signals through. `members` are the instances that can be chosen, ascending.
    pub fn new(
        now: SimTime,
        members: &'a [InstanceId],
        signals: Signals,
        counters: &'a Counters,
        probe: &'a dyn Probe,
    ) -> Self {
        Self { now, members, signals, counters, probe }
    }

    /// The time of the decision.
    pub fn now(&self) -> SimTime {
        self.now
    }

    /// The instances that can be chosen, ascending; never empty when a scheduler is asked.
    pub fn members(&self) -> &'a [InstanceId] {
        self.members
    }

    /// Whether an instance can be chosen.
    pub fn is_member(&self, instance: InstanceId) -> bool {
        self.members.binary_search(&instance).is_ok()
    }

    /// The router's own book-keeping.
    pub fn counters(&self) -> &'a Counters {
        self.counters
    }

    /// What an instance last reported.
    pub fn snapshot(&self, instance: InstanceId) -> Snapshot {
        check(self.signals.snapshots, "snapshots");
        self.probe.snapshot(instance)
    }

    /// What an instance has completed, by its last report.
    pub fn history(&self, instance: InstanceId) -> History {
        check(self.signals.history, "history");
        self.probe.history(instance)
    }

    /// Leading prompt tokens of an arriving, parked or queued request believed cached at an instance.
    pub fn hit_tokens(&self, request: RequestId, instance: InstanceId) -> u32 {
        check(self.signals.prefix, "prefix");
        self.probe.hit_tokens(request, instance)
    }

    /// The same for every instance, indexed by instance, in one walk over the prompt.
    pub fn all_hit_tokens(&self, request: RequestId, out: &mut Vec<u32>) {
        check(self.signals.prefix, "prefix");
        self.probe.all_hit_tokens(request, out);
    }

    /// Predicted picoseconds to prefill `new` tokens after `cached` ones, alone on the instance.
    pub fn prefill_ps(&self, instance: InstanceId, new: u32, cached: u32) -> u64 {
        check(self.signals.latency, "latency");
        self.probe.prefill_ps(instance, new, cached).min(LONGEST_PS)
    }

    /// Predicted picoseconds to prefill a prompt of which `hit` leading tokens are cached: as in real engines, at least
    /// one token of it is always computed.
    pub fn prefill_prompt_ps(&self, instance: InstanceId, prompt_tokens: u32, hit: u32) -> u64 {
        let cached = hit.min(prompt_tokens.saturating_sub(1));
        self.prefill_ps(instance, prompt_tokens - cached, cached)
    }

    /// Predicted picoseconds of a decode step of an instance's batch with one more sequence of `tokens` tokens.
    pub fn decode_step_ps(&self, instance: InstanceId, tokens: u32) -> u64 {
        check(self.signals.latency, "latency");
        self.probe.decode_step_ps(instance, tokens).min(LONGEST_PS)
    }

    /// Predicted picoseconds to copy a cached prefix of `tokens` tokens between instances; `None` without a link.
    pub fn transfer_ps(&self, from: InstanceId, to: InstanceId, tokens: u32) -> Option<u64> {
        check(self.signals.latency, "latency");
        self.probe.transfer_ps(from, to, tokens).map(|ps| ps.min(LONGEST_PS))
    }

    /// The true picoseconds from now to the first token of the request at hand if it went to this instance and nothing
    /// else arrived there.
    pub fn trial_ps(&self, arrival: &Arrival<'_>, instance: InstanceId) -> u64 {
        check(self.signals.oracle, "oracle");
        self.probe.trial_ps(arrival.id, arrival.prompt.tokens, instance)
    }

    /// Predicted picoseconds until an instance has prefilled everything it was given so far.
    pub fn queue_ps(&self, instance: InstanceId) -> u64 {
        check(self.signals.latency, "latency");
        self.probe.queue_ps(instance).min(LONGEST_PS)
    }

    /// The unstarted requests at an instance, in the order they will be served.
    pub fn queued(&self, instance: InstanceId, out: &mut Vec<Queued>) {
        check(self.signals.queues, "queues");
        self.probe.queued(instance, out);
    }

    /// The member with the smallest key, the lowest id among equals.
    pub fn argmin<K: PartialOrd>(&self, mut key: impl FnMut(InstanceId) -> K) -> InstanceId {
        let (&first, others) = self.members.split_first().expect("a scheduler is asked only while there is a member");
        let (mut best, mut least) = (first, key(first));
        for &instance in others {
            let k = key(instance);
            if k < least {
                (best, least) = (instance, k);
            }
        }
        best
    }
}

fn check(declared: bool, signal: &str) {
    assert!(declared, "a scheduler read the signal `{signal}` without declaring it in its SchedulerDef");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefix_keys_name_equal_prefixes() {
        let mut forest = PrefixForest::new();
        let mut parent = None;
        // Nodes of 16 tokens, of 100, and one long run.
        for end in (16..800).step_by(16).chain((900..3000).step_by(100)).chain([9000]) {
            parent = forest.add(parent, end).ok();
        }
        for (tokens, block) in
            [(0, 512), (1, 512), (512, 512), (513, 16), (700, 100), (2950, 512), (8999, 512), (9000, 7)]
        {
            let prompt = Prompt { leaf: parent, tokens };
            let mut path = Vec::new();
            forest.path(prompt, &mut path);
            let arrival = Arrival {
                id: RequestId(0),
                arrival: SimTime::ZERO,
                prompt,
                path: &path,
                forest: &forest,
                session: None,
                turn: 0,
                tenant: TenantId(0),
                model: 0,
                priority: 0,
            };
            let all: Vec<u64> = arrival.prefix_keys(block).collect();
            let each: Vec<u64> = (1..=tokens.div_ceil(block)).filter_map(|b| arrival.prefix_key(b * block)).collect();
            assert_eq!(all, each, "{tokens} {block}");
            assert_eq!(all.len(), tokens.div_ceil(block) as usize);
            assert_eq!(arrival.prefix_key(u32::MAX), all.last().copied());
        }
    }
}
