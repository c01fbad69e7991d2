//! The router's side: its books, what it can see, and what it has parked.

use std::cell::RefCell;

use rustc_hash::FxHashMap;
use trimtab_core::{InstanceId, PrefixForest, RequestId, SimTime};
use trimtab_sched::{Counters, History, Probe, Queued, Snapshot};

use crate::beliefs::Beliefs;
use crate::config::RouterConfig;
use crate::cost::{Predictor, StepShape};
use crate::instance::Instance;
use crate::links::Links;
use crate::reports::Reports;
use crate::seq::{Seq, Seqs};
use crate::trial;

/// Where each request in the router's hands is.
pub(crate) type Slots = FxHashMap<RequestId, u32>;

/// The looks of a scheduler at the engine.
pub(crate) struct Looks<'a> {
    pub(crate) now: SimTime,
    /// The request that the scheduler is asked about; the last to arrive when it is told something.
    pub(crate) because: RequestId,
    /// What makes predicted times wrong.
    pub(crate) predictor: Option<&'a Predictor>,
    pub(crate) instances: &'a [RefCell<Instance>],
    pub(crate) seqs: &'a Seqs,
    pub(crate) slots: &'a Slots,
    pub(crate) forest: &'a PrefixForest,
    pub(crate) beliefs: &'a RefCell<Beliefs>,
    /// What each instance last reported, unless snapshots are taken when somebody looks.
    pub(crate) reports: &'a Reports,
    /// Whose eyes these are, where there are several routers: the requests of the others are not seen before they are there.
    pub(crate) replica: Option<usize>,
    /// The requests on their way to each instance.
    pub(crate) transit: &'a [Vec<u32>],
    pub(crate) links: &'a Links,
    pub(crate) router: RouterConfig,
}

impl Looks<'_> {
    /// An instance with all steps accounted for that began before now: only what is read is settled.
    fn settled(&self, instance: InstanceId) -> std::cell::Ref<'_, Instance> {
        let cell = &self.instances[instance.index()];
        cell.borrow_mut().settle(self.now);
        cell.borrow()
    }

    fn slot(&self, request: RequestId) -> u32 {
        *self.slots.get(&request).expect("schedulers ask about requests that are in the system")
    }

    /// Whether a request came to this router.
    fn is_own(&self, slot: u32) -> bool {
        self.replica.is_none_or(|replica| self.seqs[slot].replica == replica)
    }

    /// A true time as the predictor has it.
    fn predicted(&self, ps: u64, request: RequestId, instance: InstanceId) -> u64 {
        self.predictor.map_or(ps, |predictor| predictor.predict(ps, request, instance))
    }

    fn believed_hit(&self, slot: u32, instance: InstanceId) -> u32 {
        let seq = &self.seqs[slot];
        self.beliefs.borrow_mut().hit_tokens(seq, instance.index(), self.now, self.instances)
    }
}

/// What an instance reports of itself. It must be settled.
pub(crate) fn snapshot(it: &Instance, now: SimTime) -> Snapshot {
    let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    Snapshot {
        at: now,
        waiting: count(it.waiting().len()),
        running: count(it.batch_size()),
        used_blocks: it.cache().used(),
        total_blocks: it.cache().total(),
        pending_prefill_tokens: it.pending(),
        last_prefill_end: it.last_progress(now),
    }
}

impl Probe for Looks<'_> {
    fn snapshot(&self, instance: InstanceId) -> Snapshot {
        match self.reports.latest(instance.index()) {
            Some(report) => report.snapshot,
            None => snapshot(&self.settled(instance), self.now),
        }
    }

    fn history(&self, instance: InstanceId) -> History {
        match self.reports.latest(instance.index()) {
            Some(report) => report.history,
            None => self.instances[instance.index()].borrow().history,
        }
    }

    fn hit_tokens(&self, request: RequestId, instance: InstanceId) -> u32 {
        self.believed_hit(self.slot(request), instance)
    }

    fn all_hit_tokens(&self, request: RequestId, out: &mut Vec<u32>) {
        let seq = &self.seqs[self.slot(request)];
        self.beliefs.borrow_mut().all_hit_tokens(seq, self.now, self.instances, out);
    }

    fn prefill_ps(&self, instance: InstanceId, new: u32, cached: u32) -> u64 {
        let it = self.instances[instance.index()].borrow();
        let time = it.config.cost.prefill_time(new, cached, it.config.max_batched_tokens);
        self.predicted(time, self.because, instance)
    }

    fn decode_step_ps(&self, instance: InstanceId, tokens: u32) -> u64 {
        let it = self.settled(instance);
        let seqs = u32::try_from(it.batch_size() + 1).unwrap_or(u32::MAX).min(it.config.max_seqs);
        // What the batch reads is taken to be what it holds: a prefix that several share counts once.
        let held = it.cache().used() * u64::from(it.config.block_tokens);
        let step = it.config.cost.step(&StepShape::decode(seqs, held + u64::from(tokens)));
        self.predicted(step, self.because, instance)
    }

    fn queue_ps(&self, instance: InstanceId) -> u64 {
        let it = self.settled(instance);
        let prefill = |seq: &Seq, miss: u32| {
            let time = it.config.cost.prefill_time(miss, seq.target - miss, it.config.max_batched_tokens);
            self.predicted(time, seq.request.id, instance)
        };
        let there = it.waiting().iter().copied().chain(it.prefilling()).map(|slot| {
            let seq = &self.seqs[slot];
            prefill(seq, seq.pending)
        });
        let coming = self.transit[instance.index()].iter().filter(|&&slot| self.is_own(slot)).map(|&slot| {
            let seq = &self.seqs[slot];
            prefill(seq, seq.booked_miss)
        });
        there.chain(coming).fold(0, u64::saturating_add)
    }

    fn transfer_ps(&self, from: InstanceId, to: InstanceId, tokens: u32) -> Option<u64> {
        let end = self.links.end(from.index(), to.index(), tokens, self.now + self.router.decision)?;
        Some((end - self.now).0)
    }

    fn trial_ps(&self, request: RequestId, _: u32, instance: InstanceId) -> u64 {
        // What another instance writes to a pool may be read here.
        self.instances.iter().for_each(|instance| instance.borrow_mut().tell_tier(self.now));
        let slot = self.slot(request);
        let there = self.now + self.router.decision + self.router.network;
        let coming = self.transit[instance.index()].iter().map(|&slot| {
            let (at, _) = self.seqs[slot].delivery.expect("it is on its way");
            (at, slot)
        });
        let it = self.settled(instance);
        let mut joining: Vec<(SimTime, u32)> = coming.collect();
        // A request that was sent there before keeps its place.
        if !it.waiting().contains(&slot) && joining.iter().all(|&(_, other)| other != slot) {
            joining.push((there, slot));
        }
        joining.sort_by_key(|&(at, _)| at);
        trial::first_token(&it, slot, &joining, self.now, self.seqs, self.forest).map_or(u64::MAX, |t| (t - self.now).0)
    }

    fn queued(&self, instance: InstanceId, out: &mut Vec<Queued>) {
        out.clear();
        let unstarted: Vec<u32> = {
            let it = self.instances[instance.index()].borrow();
            it.waiting().iter().skip(it.preempted()).copied().filter(|&slot| self.is_own(slot)).collect()
        };
        out.extend(unstarted.into_iter().map(|slot| {
            let seq = &self.seqs[slot];
            Queued {
                id: seq.request.id,
                arrival: seq.request.arrival,
                prompt_tokens: seq.request.prompt.tokens,
                hit_tokens: self.believed_hit(slot, instance),
            }
        }));
    }
}

/// Changes of the router's own books.
pub(crate) trait Books {
    /// Makes room for this many instances.
    fn with_instances(count: usize) -> Self;
    /// A request of `prompt` tokens goes to an instance that is believed to lack `miss` of them.
    fn dispatched(&mut self, instance: usize, prompt: u32, miss: u32);
    /// It leaves the instance unstarted.
    fn withdrawn(&mut self, instance: usize, prompt: u32, miss: u32);
    /// Its first token came.
    fn prefilled(&mut self, instance: usize, prompt: u32, miss: u32);
    /// It ended after its first token.
    fn ended(&mut self, instance: usize, prompt: u32);
}

impl Books for Counters {
    fn with_instances(count: usize) -> Self {
        Self {
            dispatched: vec![0; count],
            in_flight: vec![0; count],
            in_flight_tokens: vec![0; count],
            active_prefill_tokens: vec![0; count],
            pending_prefill_tokens: vec![0; count],
        }
    }

    fn dispatched(&mut self, instance: usize, prompt: u32, miss: u32) {
        self.dispatched[instance] += 1;
        self.in_flight[instance] += 1;
        self.in_flight_tokens[instance] += u64::from(prompt);
        self.active_prefill_tokens[instance] += u64::from(prompt);
        self.pending_prefill_tokens[instance] += u64::from(miss);
    }

    fn withdrawn(&mut self, instance: usize, prompt: u32, miss: u32) {
        self.prefilled(instance, prompt, miss);
        self.ended(instance, prompt);
    }

    fn prefilled(&mut self, instance: usize, prompt: u32, miss: u32) {
        self.active_prefill_tokens[instance] -= u64::from(prompt);
        self.pending_prefill_tokens[instance] -= u64::from(miss);
    }

    fn ended(&mut self, instance: usize, prompt: u32) {
        self.in_flight[instance] -= 1;
        self.in_flight_tokens[instance] -= u64::from(prompt);
    }
}
