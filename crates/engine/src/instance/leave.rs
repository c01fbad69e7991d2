//! Leaving in a hurry: an instance that fails, a client that hangs up, a cache that is lost; and a pace that changes.

use std::sync::Arc;

use trimtab_core::SimTime;

use super::{Instance, News, Step, World};
use crate::cost::{Slowed, UNSLOWED};
use crate::record::Outcome;

impl Instance {
    /// Whether it has nothing to do and nothing to finish.
    pub(crate) fn is_empty(&self) -> bool {
        self.is_idle() && self.waiting.is_empty() && self.partial.is_none() && self.decodes.is_empty()
    }

    /// Stops, empty as it is: it would start again as new.
    pub(crate) fn stop(&mut self, now: SimTime) {
        self.measure(now);
        self.cache.restart();
        (self.cost, self.next_cost) = (Arc::clone(&self.config.cost), None);
    }

    /// Fails: the step in progress never ends, and all KV is lost. Returns the requests that were here, those of the batch
    /// in the order of admission and then the queue. Each can start over.
    pub(crate) fn fail(&mut self, now: SimTime, world: &mut World<'_>) -> Vec<u32> {
        self.settle(now);
        self.measure(now);
        let block = self.config.block_tokens;
        let begun = self.stop_step(now, world);
        self.cache.release(self.decodes.demand(begun, block));
        let mut lost = Vec::new();
        while let Some(left) = self.decodes.pop() {
            lost.push(self.leave_decodes(left, world));
        }
        lost.reverse();
        let prefilling: Vec<u32> = self.prefilling().collect();
        for slot in prefilling {
            self.release(slot, world.seqs[slot].done, world);
            lost.push(slot);
        }
        self.partial = None;
        self.chunks.clear();
        lost.extend(self.waiting.drain(..));
        for &slot in &lost {
            world.seqs[slot].pending = 0;
            world.seqs[slot].start_over();
        }
        (self.pending, self.preempted, self.visited) = (0, 0, 0);
        self.dropped.clear();
        self.epoch += 1;
        self.stop(now);
        lost
    }

    /// Ends the step in progress without its tokens, and a run of decodes after the steps that have ended. Returns for how
    /// many steps (none or one) the decodes hold blocks that they have not used.
    fn stop_step(&mut self, now: SimTime, world: &mut World<'_>) -> u64 {
        match std::mem::replace(&mut self.step, Step::Idle) {
            Step::Idle => 0,
            Step::Prefill { decodes, .. } => u64::from(decodes),
            Step::Decode(mut run) => {
                let done = run.ended(&*self.cost, now);
                let begun = run.allocated - done;
                if done > 0 {
                    run.cut(&*self.cost, done);
                    self.iterations += done;
                    self.note_gaps(&run, world);
                    self.decodes.advance(done);
                    self.decodes.last_end = run.end;
                }
                begun
            }
        }
    }

    /// A sequence that decoded gives up its blocks: its slot, its prompt and generated tokens, and when its last one came.
    pub(super) fn leave_decodes(
        &mut self,
        (slot, tokens, last_token): (u32, u64, SimTime),
        world: &mut World<'_>,
    ) -> u32 {
        let tokens = u32::try_from(tokens).expect("a request has fewer than 2^32 tokens");
        let seq = &mut world.seqs[slot];
        seq.generated = tokens - seq.request.prompt.tokens;
        seq.last_token = last_token;
        seq.held = (tokens - 1).div_ceil(self.config.block_tokens);
        self.release(slot, tokens - 1, world);
        slot
    }

    /// The client of a request hangs up. One that waits is gone at once (true); the batch lets go of one that it holds at
    /// the end of the step in progress, and says so. Returns also the new end of that step if it was cut short.
    pub(crate) fn hang_up(&mut self, slot: u32, now: SimTime, world: &mut World<'_>) -> (bool, Option<SimTime>) {
        self.settle(now);
        self.measure(now);
        if let Some(at) = self.waiting.iter().position(|&waiting| waiting == slot) {
            self.waiting.remove(at);
            self.preempted -= usize::from(at < self.preempted);
            self.pending -= u64::from(world.seqs[slot].pending);
            world.seqs[slot].pending = 0;
            return (true, if self.waiting.is_empty() { None } else { self.interrupt(now) });
        }
        self.dropped.push(slot);
        if self.is_idle() {
            self.drop_hung_up(now, world);
            return (false, None);
        }
        (false, self.interrupt(now))
    }

    /// Lets go of the requests whose clients hung up, unless their last token has just come.
    pub(super) fn drop_hung_up(&mut self, now: SimTime, world: &mut World<'_>) {
        for slot in std::mem::take(&mut self.dropped) {
            let request = world.seqs[slot].request.id;
            if world.rows[request.index()].outcome != Outcome::Open {
                continue;
            }
            if self.partial == Some(slot) {
                self.partial = None;
                self.release(slot, world.seqs[slot].done, world);
            } else {
                let left = self.decodes.remove(slot).expect("what a batch holds is prefilling or decoding");
                self.leave_decodes(left, world);
            }
            self.pending -= u64::from(world.seqs[slot].pending);
            world.seqs[slot].pending = 0;
            world.news.push((slot, News::Dropped));
        }
        self.cache.set_clock(now);
    }

    /// All cached blocks that nobody pins are lost. Returns the new end of the step in progress if it was cut short,
    /// because another request may be next.
    pub(crate) fn flush(&mut self, now: SimTime) -> Option<SimTime> {
        self.settle(now);
        self.measure(now);
        self.cache.flush();
        self.interrupt(now)
    }

    /// From the next batch on a step takes this many thousandths of its time. Returns the new end of the step in progress
    /// if it was cut short.
    pub(crate) fn slow(&mut self, thousandths: u64, now: SimTime) -> Option<SimTime> {
        let usual = Arc::clone(&self.config.cost);
        let cost = if thousandths == UNSLOWED { usual } else { Arc::new(Slowed::new(usual, thousandths)) };
        self.next_cost = Some(cost);
        self.interrupt(now)
    }
}
