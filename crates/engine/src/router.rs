//! The router's side: its books, what it can see, and what it has parked.

use std::cell::RefCell;

use rustc_hash::FxHashMap;
use trimtab_core::{InstanceId, PrefixForest, RequestId, SimTime};
use trimtab_sched::{Counters, Probe, Queued, Snapshot};

use crate::instance::Instance;
use crate::seq::Seqs;

/// Where each request in the router's hands is.
pub(crate) type Slots = FxHashMap<RequestId, u32>;

/// The looks of a scheduler at the engine, answered from the true state of `now`.
pub(crate) struct Looks<'a> {
    pub(crate) now: SimTime,
    pub(crate) instances: &'a [RefCell<Instance>],
    pub(crate) seqs: &'a Seqs,
    pub(crate) slots: &'a Slots,
    pub(crate) forest: &'a PrefixForest,
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
}

impl Probe for Looks<'_> {
    fn snapshot(&self, instance: InstanceId) -> Snapshot {
        let it = self.settled(instance);
        let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        Snapshot {
            at: self.now,
            waiting: count(it.waiting().len()),
            running: count(it.batch_size()),
            used_blocks: it.cache().used(),
            total_blocks: it.cache().total(),
            pending_prefill_tokens: it.pending(),
            last_prefill_end: it.last_prefill_end(),
        }
    }

    fn hit_tokens(&self, request: RequestId, instance: InstanceId) -> u32 {
        self.settled(instance).hit_tokens(&self.seqs[self.slot(request)], self.forest)
    }

    fn all_hit_tokens(&self, request: RequestId, out: &mut Vec<u32>) {
        out.clear();
        out.extend((0..self.instances.len()).map(|i| self.hit_tokens(request, InstanceId::from_index(i))));
    }

    fn prefill_ps(&self, instance: InstanceId, new: u32, cached: u32) -> u64 {
        let it = self.instances[instance.index()].borrow();
        it.config.cost.prefill_time(new, cached, it.config.max_batched_tokens)
    }

    fn queue_ps(&self, instance: InstanceId) -> u64 {
        let it = self.settled(instance);
        let budget = it.config.max_batched_tokens;
        let work = |slot: u32| {
            let seq = &self.seqs[slot];
            it.config.cost.prefill_time(seq.pending, seq.target - seq.pending, budget)
        };
        it.waiting().iter().copied().chain(it.prefilling()).map(work).sum()
    }

    fn queued(&self, instance: InstanceId, out: &mut Vec<Queued>) {
        let it = self.settled(instance);
        out.clear();
        out.extend(it.waiting().iter().skip(it.preempted()).map(|&slot| {
            let seq = &self.seqs[slot];
            Queued {
                id: seq.request.id,
                arrival: seq.request.arrival,
                prompt_tokens: seq.request.prompt.tokens,
                hit_tokens: it.hit_tokens(seq, self.forest),
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
