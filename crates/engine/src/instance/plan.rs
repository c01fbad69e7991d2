//! Forming the batch of a step.

use trimtab_core::SimTime;

use super::{Instance, Step, World};
use crate::config::{Mixing, Order, Stepping, Visible};
use crate::cost::StepShape;
use crate::macro_step::MacroStep;
use crate::timeline::Stage;

/// What became of an attempt to form a batch.
enum Batch {
    /// It holds prefill work, and the decodes if `decodes`.
    Prefill { decodes: bool },
    /// It holds decodes only. After a preemption the queue was not looked at, so it must be after one step.
    Decode { preempted: bool },
    /// Everything was preempted: try again.
    Nothing,
}

/// What one step may admit under Preble's order.
struct Visit {
    /// The first of the group.
    members: Vec<u32>,
    /// How many of them are in the batch.
    admitted: usize,
    /// Whose turn it is after that.
    after: u32,
}

impl Visit {
    fn named(&self, slot: u32) -> bool {
        self.members.get(self.admitted) == Some(&slot)
    }
}

impl Instance {
    /// Starts a step if there is anything to do, and returns when it ends.
    pub(crate) fn plan(&mut self, now: SimTime, world: &mut World<'_>) -> Option<SimTime> {
        self.measure(now);
        self.sync_tier(now);
        if let Some(cost) = self.next_cost.take() {
            self.cost = cost;
        }
        while !(self.waiting.is_empty() && self.partial.is_none() && self.decodes.is_empty()) {
            let batch = match self.config.mixing {
                Mixing::DecodeFirst => self.batch_decode_first(now, world),
                Mixing::PrefillFirst => self.batch_prefill_first(now, world),
            };
            let end = match batch {
                Batch::Nothing => continue,
                Batch::Prefill { decodes } => self.start_prefill(now, decodes, world),
                Batch::Decode { preempted } => self.start_decode(now, preempted, world),
            };
            self.epoch += 1;
            self.ends = end;
            return Some(end);
        }
        None
    }

    fn batch_decode_first(&mut self, now: SimTime, world: &mut World<'_>) -> Batch {
        let mut preempted = self.make_room(now, world);
        let mut budget = self.config.max_batched_tokens - self.decodes.seqs();
        preempted |= !self.continue_partial(now, &mut budget, world);
        if !preempted {
            self.admit(now, budget, world);
        }
        match (self.chunks.is_empty(), self.decodes.is_empty()) {
            (false, no_decodes) => Batch::Prefill { decodes: !no_decodes },
            (true, false) => Batch::Decode { preempted },
            (true, true) => Batch::Nothing,
        }
    }

    fn batch_prefill_first(&mut self, now: SimTime, world: &mut World<'_>) -> Batch {
        let mut budget = self.config.max_batched_tokens;
        if self.continue_partial(now, &mut budget, world) {
            self.admit(now, budget, world);
        }
        if !self.chunks.is_empty() {
            return Batch::Prefill { decodes: false };
        }
        let preempted = self.make_room(now, world);
        if self.decodes.is_empty() { Batch::Nothing } else { Batch::Decode { preempted } }
    }

    /// Takes the blocks of the decodes' next step, preempting the last admitted until there are enough. Whether any was
    /// preempted.
    fn make_room(&mut self, now: SimTime, world: &mut World<'_>) -> bool {
        let mut preempted = false;
        loop {
            let demand = self.decodes.demand(1, self.config.block_tokens);
            if demand <= self.cache.available() {
                self.cache.allocate(demand);
                return preempted;
            }
            self.preempt_last(now, world);
            preempted = true;
        }
    }

    fn preempt_last(&mut self, now: SimTime, world: &mut World<'_>) {
        let slot = if let Some(slot) = self.partial.take() {
            self.release(slot, world.seqs[slot].done, world);
            slot
        } else {
            let left = self.decodes.pop().expect("somebody holds the blocks that are short");
            self.leave_decodes(left, world)
        };
        let seq = &mut world.seqs[slot];
        seq.start_over();
        world.rows[seq.request.id.index()].preemptions += 1;
        let before = seq.pending;
        seq.pending = seq.target;
        self.pending += u64::from(seq.target - before);
        if self.waiting.is_empty() {
            self.last_prefill_end = now;
        }
        self.waiting.push_front(slot);
        self.preempted += 1;
        world.note(slot, Stage::Preempted);
    }

    /// Schedules the next chunk of the request in prefill. False when it had to be preempted.
    fn continue_partial(&mut self, now: SimTime, budget: &mut u32, world: &mut World<'_>) -> bool {
        let Some(slot) = self.partial else { return true };
        let seq = &world.seqs[slot];
        let chunk = (seq.target - seq.done).min(*budget);
        if chunk == 0 {
            return true;
        }
        if self.blocks_for(slot, chunk, world) > self.cache.available() {
            self.preempt_last(now, world);
            return false;
        }
        *budget -= chunk;
        self.schedule(slot, chunk, world);
        true
    }

    /// Blocks that the next `chunk` tokens of a request take from those that can be had.
    fn blocks_for(&self, slot: u32, chunk: u32, world: &World<'_>) -> u64 {
        let seq = &world.seqs[slot];
        let covered = (seq.done + chunk).div_ceil(self.config.block_tokens);
        let mut blocks = covered.saturating_sub(seq.held);
        if self.config.cache.visible == Visible::Scheduled && blocks > 0 {
            // Blocks that became resident meanwhile are shared; those that somebody pins cost nothing.
            let chain = seq.chain(&self.config);
            let pinned = self.cache.peek(&chain, seq.named(&chain, seq.done + chunk, self.config.block_tokens)).pinned;
            blocks -= pinned.saturating_sub(seq.held);
        }
        u64::from(blocks)
    }

    /// Takes the blocks for a chunk and puts it into the batch.
    fn schedule(&mut self, slot: u32, chunk: u32, world: &mut World<'_>) {
        let scheduled = self.config.cache.visible == Visible::Scheduled;
        let seq = &mut world.seqs[slot];
        seq.done += chunk;
        seq.processed += u64::from(chunk);
        if scheduled {
            self.share_resident(slot, world);
        }
        let seq = &mut world.seqs[slot];
        let covered = seq.done.div_ceil(self.config.block_tokens).max(seq.held);
        self.cache.allocate(u64::from(covered - seq.held));
        seq.held = covered;
        self.chunks.push((slot, chunk));
        if scheduled {
            self.identify(slot, world);
        }
    }

    /// Shares the blocks of a chunk that are resident already, before anything is evicted for the rest of it.
    fn share_resident(&mut self, slot: u32, world: &mut World<'_>) {
        let seq = &world.seqs[slot];
        let chain = seq.chain(&self.config);
        let resident = self.cache.peek(&chain, seq.named(&chain, seq.done, self.config.block_tokens)).blocks;
        if resident > seq.shared {
            self.cache.pin(&chain, seq.shared, resident, resident.min(seq.held) - seq.shared);
            let seq = &mut world.seqs[slot];
            seq.shared = resident;
            seq.held = seq.held.max(resident);
        }
    }

    /// Admits waiting requests while the budget, the sequence limit and the blocks allow.
    fn admit(&mut self, now: SimTime, mut budget: u32, world: &mut World<'_>) {
        let mut visit = None;
        while budget > 0 && self.running() + self.admitted_chunks() < self.config.max_seqs as usize {
            let Some(at) = self.next_waiting(&mut visit, world) else { break };
            let slot = self.waiting[at];
            let seq = &world.seqs[slot];
            let block = self.config.block_tokens;
            let chain = seq.chain(&self.config);
            let hit = self.cache.peek(&chain, seq.hit_limit(&chain, block));
            let tokens = seq.hit_tokens(&chain, hit.blocks, block);
            let needed = u64::from(seq.target.div_ceil(block) - hit.pinned);
            if needed + self.config.watermark_blocks > self.cache.available() {
                break;
            }
            self.cache.pin(&chain, 0, hit.blocks, 0);
            let found = self.load(slot, hit.blocks, now, world);
            self.waiting.remove(at);
            self.preempted -= usize::from(at < self.preempted);
            if let Some(Visit { admitted, after, .. }) = visit.as_mut().filter(|visit| visit.named(slot)) {
                *admitted += 1;
                self.visited = *after;
            }
            self.note_admission(slot, tokens, found, now, world);
            let seq = &world.seqs[slot];
            let chunk = (seq.target - seq.done).min(budget);
            budget -= chunk;
            self.schedule(slot, chunk, world);
        }
    }

    /// A request is admitted that found `blocks` blocks, `cached` tokens of them in the cache itself.
    fn note_admission(&mut self, slot: u32, cached: u32, blocks: u32, now: SimTime, world: &mut World<'_>) {
        let seq = &world.seqs[slot];
        let tokens = seq.hit_tokens(&seq.chain(&self.config), blocks, self.config.block_tokens);
        let seq = &mut world.seqs[slot];
        let row = &mut world.rows[seq.request.id.index()];
        if row.admitted == SimTime::MAX {
            row.admitted = now;
            row.hit_tokens = tokens;
            row.hit_blocks = blocks;
            row.loaded_tokens = tokens - cached;
            self.prompt_tokens += u64::from(seq.request.prompt.tokens);
            self.hit_tokens += u64::from(tokens);
            self.loaded_tokens += u64::from(tokens - cached);
        }
        world.note(slot, Stage::Admitted { hit_tokens: tokens });
        let seq = &mut world.seqs[slot];
        (seq.done, seq.held, seq.shared) = (tokens, blocks, blocks);
        seq.started = true;
        seq.processed += u64::from(tokens);
        self.pending = self.pending - u64::from(seq.pending) + u64::from(seq.target - tokens);
        seq.pending = seq.target - tokens;
    }

    /// The position in the queue of the request to admit next.
    fn next_waiting(&self, visit: &mut Option<Visit>, world: &World<'_>) -> Option<usize> {
        if self.waiting.is_empty() {
            return None;
        }
        if self.preempted > 0 {
            return Some(0);
        }
        match self.config.order {
            Order::Fcfs => Some(0),
            Order::LongestPrefix => {
                let hit = |at: &usize| self.hit_tokens(&world.seqs[self.waiting[*at]]);
                (0..self.waiting.len()).min_by_key(|at| std::cmp::Reverse(hit(at)))
            }
            Order::Preble { groups, per_visit } => {
                let visit = visit.get_or_insert_with(|| self.visit(groups, per_visit, world));
                let next = *visit.members.get(visit.admitted)?;
                self.waiting.iter().position(|&slot| slot == next)
            }
        }
    }

    /// The visit of Preble's order that comes next.
    fn visit(&self, groups: u32, per_visit: u32, world: &World<'_>) -> Visit {
        let group_of = |slot: u32| {
            let seq = &world.seqs[slot];
            let hit = u64::from(self.hit_tokens(seq)) * u64::from(groups);
            u32::try_from(hit.div_ceil(u64::from(seq.target))).expect("no more than groups").saturating_sub(1)
        };
        let grouped: Vec<(u32, u32)> = self.waiting.iter().map(|&slot| (group_of(slot), slot)).collect();
        // Groups count from the highest here.
        let turn = |group: u32| groups - 1 - group;
        let wait = |group: u32| (turn(group) + groups - self.visited) % groups;
        let group = grouped.iter().map(|&(group, _)| group).min_by_key(|&group| wait(group)).expect("somebody waits");
        let quota = usize::try_from(u64::from(group + 1) * u64::from(per_visit)).unwrap_or(usize::MAX);
        let members = grouped.iter().filter(|&&(g, _)| g == group).map(|&(_, slot)| slot).take(quota).collect();
        Visit { members, admitted: 0, after: (turn(group) + 1) % groups }
    }

    fn start_prefill(&mut self, now: SimTime, decodes: bool, world: &mut World<'_>) -> SimTime {
        let mut shape = StepShape::default();
        for &(slot, tokens) in &self.chunks {
            shape.add_chunk(tokens, world.seqs[slot].done - tokens);
        }
        if decodes {
            shape.decode_seqs = self.decodes.seqs();
            shape.decode_context = self.decodes.context();
        }
        let span = self.cost.step(&shape).max(1);
        let span = self.with_loading(span, now);
        self.step = Step::Prefill { decodes, span };
        now + SimTime(span)
    }

    fn start_decode(&mut self, now: SimTime, preempted: bool, world: &mut World<'_>) -> SimTime {
        let cost = &*self.cost;
        let block = self.config.block_tokens;
        // Under PrefillFirst, decodes may have stood still: the gap before this step's token is longer than the step.
        let stalled = self.config.mixing == Mixing::PrefillFirst
            && self.decodes.last_tokens().iter().any(|&(last, _)| last != now);
        let limit = self.decodes.steps_to_first_end();
        // The blocks of the first step are taken already.
        let first = self.decodes.demand(1, block);
        let steps = if world.stepping == Stepping::Every || stalled || preempted {
            1
        } else if self.config.order != Order::Fcfs && !self.waiting.is_empty() {
            // An eviction may change whose turn it is. Under PrefillFirst the queue was looked at before the first step
            // took its blocks, perhaps from the cache.
            let looked_before = self.config.mixing == Mixing::PrefillFirst && first > 0;
            if looked_before { 1 } else { self.decodes.steps_within(first + self.cache.free(), limit, block) }
        } else {
            self.decodes.steps_within(first + self.cache.available(), limit, block)
        };
        let mut run = MacroStep::new(cost, now, self.decodes.seqs(), self.decodes.context(), steps);
        (run.allocated, run.stalled) = (1, stalled);
        let end = run.end;
        self.step = Step::Decode(run);
        end
    }
}
