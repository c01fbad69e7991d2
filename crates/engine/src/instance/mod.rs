//! One serving instance: its queue, its batch, its KV cache, and the step in progress.
//!
//! The life of a step is `plan` (form a batch, allocate blocks, ask what it costs), then `finish_step` when its time is
//! over. A batch of decodes that nothing can change is planned as a run of many steps at once; `interrupt` cuts a run at
//! the first step boundary after an arrival, and `settle` brings the cache up to date for somebody who looks.

mod decode;
mod finish;
mod leave;
mod load;
mod plan;

use std::collections::VecDeque;
use std::sync::Arc;

use trimtab_core::{Gaps, PrefixForest, SimTime};
use trimtab_sched::History;

use crate::cache::KvCache;
use crate::config::{InstanceConfig, Order, Stepping, WritePolicy};
use crate::cost::StepCost;
use crate::eviction;
use crate::macro_step::MacroStep;
use crate::meter::{Level, Meter};
use crate::record::Row;
use crate::seq::{Seq, Seqs};
use crate::timeline::{Batch, Levels, Stage};
use decode::Decodes;
pub(crate) use load::{Behind, Load};

/// What an instance needs of the world around it.
pub(crate) struct World<'a> {
    pub(crate) forest: &'a PrefixForest,
    pub(crate) seqs: &'a mut Seqs,
    pub(crate) rows: &'a mut [Row],
    pub(crate) gaps: &'a mut Gaps,
    pub(crate) stepping: Stepping,
    /// What happened to requests, for the router to take note of: slot and kind.
    pub(crate) news: &'a mut Vec<(u32, News)>,
    /// The same for a timeline, where one is wanted.
    pub(crate) stages: Option<&'a mut Vec<(u32, Stage)>>,
}

impl World<'_> {
    fn note(&mut self, slot: u32, stage: Stage) {
        if let Some(stages) = &mut self.stages {
            stages.push((slot, stage));
        }
    }
}

/// Something the router hears of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum News {
    /// Its prefill ended, for the first time since it was sent here.
    FirstToken,
    /// It completed.
    Finished,
    /// Its client had hung up, and the batch let go of it.
    Dropped,
}

/// The step in progress.
#[derive(Clone, Debug)]
enum Step {
    Idle,
    /// Prefill chunks (slot, tokens), with or without the decodes, and how long it takes.
    Prefill {
        decodes: bool,
        span: u64,
    },
    /// Decodes only.
    Decode(MacroStep),
}

/// A serving instance.
pub(crate) struct Instance {
    pub(crate) config: InstanceConfig,
    /// How long a step takes now, and from the next batch on if that differs: see [`Self::slow`]. Predictions go by
    /// `config`.
    cost: Arc<dyn StepCost>,
    next_cost: Option<Arc<dyn StepCost>>,
    cache: KvCache,
    waiting: VecDeque<u32>,
    /// How many at the front of `waiting` were preempted; they go first in any order.
    preempted: usize,
    /// Under Preble's order, groups visited since the highest.
    visited: u32,
    /// The one request that is admitted and not prefilled yet, after the first step that it shared.
    partial: Option<u32>,
    decodes: Decodes,
    /// The prefill chunks of the step in progress.
    chunks: Vec<(u32, u32)>,
    step: Step,
    /// When the step in progress ends.
    ends: SimTime,
    /// Distinguishes the end of the current step from ends that an interruption made void.
    epoch: u32,
    /// Requests whose clients hung up during the step in progress.
    dropped: Vec<u32>,
    /// Prompt tokens still to be computed, of waiting and running requests.
    pending: u64,
    /// When a prefill last made progress or, if that is later, the queue began to form.
    last_prefill_end: SimTime,
    pub(crate) iterations: u64,
    pub(crate) history: History,
    pub(crate) prompt_tokens: u64,
    pub(crate) hit_tokens: u64,
    pub(crate) loaded_tokens: u64,
    /// The tier behind the cache.
    behind: Option<Behind>,
    /// When everything has come from the tier that the step being planned needs.
    loading_until: SimTime,
    meter: Meter,
}

impl Instance {
    /// An instance whose cached blocks leave in some order.
    pub(crate) fn new(config: InstanceConfig, order: eviction::Order, series: bool) -> Self {
        let cache = KvCache::with_order(config.kv_blocks, config.block_tokens, order);
        Self {
            cost: Arc::clone(&config.cost),
            next_cost: None,
            config,
            cache,
            waiting: VecDeque::new(),
            preempted: 0,
            visited: 0,
            partial: None,
            decodes: Decodes::default(),
            chunks: Vec::new(),
            step: Step::Idle,
            ends: SimTime::ZERO,
            epoch: 0,
            dropped: Vec::new(),
            pending: 0,
            last_prefill_end: SimTime::ZERO,
            iterations: 0,
            history: History::default(),
            prompt_tokens: 0,
            hit_tokens: 0,
            loaded_tokens: 0,
            behind: None,
            loading_until: SimTime::ZERO,
            meter: Meter::new(series),
        }
    }

    /// Puts a tier behind the cache.
    pub(crate) fn attach(&mut self, behind: Behind) {
        self.cache.start_spilling(behind.tier.borrow().config.write == WritePolicy::Through);
        self.behind = Some(behind);
    }

    pub(crate) fn cache(&self) -> &KvCache {
        &self.cache
    }

    pub(crate) fn cache_mut(&mut self) -> &mut KvCache {
        &mut self.cache
    }

    pub(crate) fn epoch(&self) -> u32 {
        self.epoch
    }

    /// When the step in progress ends, if there is one.
    pub(crate) fn step_end(&self) -> Option<SimTime> {
        (!self.is_idle()).then_some(self.ends)
    }

    /// A copy to try things on, its requests renumbered, without measurements and logs.
    pub(crate) fn fork(&self, mut renumber: impl FnMut(u32) -> u32) -> Self {
        Self {
            config: self.config.clone(),
            cost: Arc::clone(&self.cost),
            next_cost: self.next_cost.clone(),
            cache: self.cache.fork(),
            waiting: self.waiting.iter().map(|&slot| renumber(slot)).collect(),
            preempted: self.preempted,
            partial: self.partial.map(&mut renumber),
            chunks: self.chunks.iter().map(|&(slot, tokens)| (renumber(slot), tokens)).collect(),
            dropped: self.dropped.iter().map(|&slot| renumber(slot)).collect(),
            decodes: self.decodes.fork(&mut renumber),
            step: self.step.clone(),
            meter: self.meter.fork(),
            behind: self.behind.as_ref().map(Behind::fork),
            ..*self
        }
    }

    pub(crate) fn is_idle(&self) -> bool {
        matches!(self.step, Step::Idle)
    }

    pub(crate) fn waiting(&self) -> &VecDeque<u32> {
        &self.waiting
    }

    /// How many at the front of the queue have started before and lost their KV.
    pub(crate) fn preempted(&self) -> usize {
        self.preempted
    }

    /// The requests in the batch, those of the step in progress included.
    pub(crate) fn batch_size(&self) -> usize {
        self.running() + self.admitted_chunks()
    }

    /// The requests whose prefill is under way.
    pub(crate) fn prefilling(&self) -> impl Iterator<Item = u32> + '_ {
        let idle = self.partial.filter(|slot| self.chunks.iter().all(|(chunk, _)| chunk != slot));
        self.chunks.iter().map(|&(slot, _)| slot).chain(idle)
    }

    fn running(&self) -> usize {
        self.decodes.len() + usize::from(self.partial.is_some())
    }

    pub(crate) fn pending(&self) -> u64 {
        self.pending
    }

    /// When a prefill last made progress or the queue was last empty, whichever is later.
    pub(crate) fn last_progress(&self, now: SimTime) -> SimTime {
        if self.waiting.is_empty() { now } else { self.last_prefill_end }
    }

    /// Whether the instance could ever hold this request.
    pub(crate) fn fits(&self, seq: &Seq) -> bool {
        let tokens = u64::from(seq.request.prompt.tokens) + u64::from(seq.request.output_tokens) - 1;
        tokens.div_ceil(u64::from(self.config.block_tokens))
            <= self.cache.total().saturating_sub(self.config.watermark_blocks)
    }

    /// Leading prompt tokens of a request that are cached here now. The cache must be settled.
    pub(crate) fn hit_tokens(&self, seq: &Seq) -> u32 {
        let chain = seq.chain(&self.config);
        let block = self.config.block_tokens;
        let hit = self.cache.peek(&chain, seq.hit_limit(&chain, block));
        seq.hit_tokens(&chain, hit.blocks, block)
    }

    /// A request joins the queue. Returns the new end of the step in progress if it was cut short.
    pub(crate) fn enqueue(&mut self, slot: u32, now: SimTime, world: &mut World<'_>) -> Option<SimTime> {
        self.settle(now);
        self.measure(now);
        self.sync_tier(now);
        self.prefetch(slot, now, world);
        let hit = self.hit_tokens(&world.seqs[slot]);
        let seq = &mut world.seqs[slot];
        seq.pending = seq.target - hit;
        seq.joined = now;
        self.pending += u64::from(seq.pending);
        let blocked = !self.waiting.is_empty() && self.config.order == Order::Fcfs;
        if self.waiting.is_empty() {
            // Nobody waited: the prefill has not been held up until now.
            self.last_prefill_end = now;
        }
        self.waiting.push_back(slot);
        if blocked || self.running() >= self.config.max_seqs as usize { None } else { self.interrupt(now) }
    }

    /// The first `tokens` tokens of a prompt come in from another instance, as far as there is room for their blocks, and
    /// are cached.
    pub(crate) fn receive(&mut self, slot: u32, tokens: u32, now: SimTime, world: &mut World<'_>) {
        self.settle(now);
        self.measure(now);
        let chain = world.seqs[slot].chain(&self.config);
        let wanted = chain.full.min(tokens / self.config.block_tokens);
        let own = self.cache.peek(&chain, wanted).blocks;
        // Pinned, so that nothing of the prefix makes room for the rest of it.
        self.cache.pin(&chain, 0, own, 0);
        let fresh = (wanted - own).min(u32::try_from(self.cache.available()).unwrap_or(u32::MAX));
        self.cache.allocate(u64::from(fresh));
        self.cache.pin(&chain, own, own + fresh, fresh);
        self.cache.unpin(&chain, own + fresh, world.seqs[slot].user);
    }

    /// Takes a request out of the queue again; it must be waiting and unstarted. Returns the new end of the step in
    /// progress if it was cut short, because the request may have been in the way of another one.
    pub(crate) fn dequeue(&mut self, slot: u32, now: SimTime, seqs: &mut Seqs) -> Option<SimTime> {
        self.settle(now);
        self.measure(now);
        let at =
            self.waiting.iter().position(|&waiting| waiting == slot).expect("a request that waits is in the queue");
        assert!(at >= self.preempted, "a request that has started cannot be moved");
        self.waiting.remove(at);
        self.pending -= u64::from(seqs[slot].pending);
        seqs[slot].pending = 0;
        seqs[slot].prefetched = None;
        if self.waiting.is_empty() { None } else { self.interrupt(now) }
    }

    /// Cuts a run of decode steps at its first boundary at or after `now`, so that the queue is looked at again there.
    pub(crate) fn interrupt(&mut self, now: SimTime) -> Option<SimTime> {
        let Step::Decode(run) = &mut self.step else { return None };
        let (steps, end) = run.boundary(&*self.cost, now);
        if steps == run.steps {
            return None;
        }
        // The plan of a run made its first step, whatever interrupts it at the same instant.
        let first = SimTime(run.time_of(&*self.cost, 1));
        (run.steps, run.end) = (steps.max(1), end.max(run.start + first));
        self.epoch += 1;
        self.ends = run.end;
        Some(run.end)
    }

    /// Brings the cache up to date with all steps that began before `now`.
    pub(crate) fn settle(&mut self, now: SimTime) {
        let mut step = std::mem::replace(&mut self.step, Step::Idle);
        if let Step::Decode(run) = &mut step {
            self.allocate_run(run, now);
        }
        self.step = step;
    }

    fn allocate_run(&mut self, run: &mut MacroStep, now: SimTime) {
        let steps = run.started(&*self.cost, now);
        if steps > run.allocated {
            let block = self.config.block_tokens;
            let (before, after) = (self.decodes.demand(run.allocated, block), self.decodes.demand(steps, block));
            if self.cache.by_step() && after - before > self.cache.free() {
                self.allocate_by_step(run, steps);
            } else {
                self.cache.allocate(after - before);
            }
            run.allocated = steps;
        }
    }

    /// Takes the blocks of a run up to `steps`, each at its time.
    fn allocate_by_step(&mut self, run: &MacroStep, steps: u64) {
        let mut growth = Vec::new();
        self.decodes.growth(run.allocated..steps, self.config.block_tokens, |step| growth.push(step));
        growth.sort_unstable();
        let mut left = &growth[..];
        run.stretches(&*self.cost, run.allocated, steps, |stretch, start| {
            let (these, later) = left.split_at(left.partition_point(|&step| step < stretch.end));
            for step in these.chunk_by(|a, b| a == b) {
                self.cache.set_clock(run.start + SimTime(start(step[0])));
                self.cache.allocate(step.len() as u64);
            }
            left = later;
        });
    }

    /// When a step of the run in progress evicts blocks for the first time since the cache was brought up to date.
    pub(crate) fn next_eviction(&self) -> SimTime {
        let Step::Decode(run) = &self.step else { return SimTime::MAX };
        let block = self.config.block_tokens;
        let held = self.decodes.demand(run.allocated, block);
        let steps = self.decodes.steps_within(held + self.cache.free(), run.steps, block);
        if steps >= run.steps { SimTime::MAX } else { run.start + SimTime(run.time_of(&*self.cost, steps)) }
    }

    /// What is in the step in progress.
    pub(crate) fn batch(&self) -> Batch {
        let decodes = match &self.step {
            Step::Idle => return Batch::default(),
            Step::Prefill { decodes, .. } => *decodes,
            Step::Decode(_) => true,
        };
        Batch {
            prefill_requests: u32::try_from(self.chunks.len()).expect("at most max_seqs run"),
            prefill_tokens: self.chunks.iter().map(|&(_, tokens)| tokens).sum(),
            decode_seqs: if decodes { self.decodes.seqs() } else { 0 },
            decode_context: if decodes { self.decodes.context() } else { 0 },
        }
    }

    /// What a timeline shows of its state.
    pub(crate) fn levels(&self) -> Levels {
        Levels {
            used_blocks: self.cache.used(),
            cached_blocks: self.cache.available() - self.cache.free(),
            pending_tokens: self.pending,
            running: u32::try_from(self.batch_size()).expect("at most max_seqs run"),
            waiting: u32::try_from(self.waiting.len()).expect("ids have 32 bits"),
        }
    }

    /// A request left the queue for another instance.
    pub(crate) fn note_move(&mut self, now: SimTime) {
        self.meter.moved(now);
    }

    /// Accounts for the time since the last change, at the level of now. Call before anything changes.
    pub(crate) fn measure(&mut self, now: SimTime) {
        self.cache.set_clock(now);
        let level = Level {
            busy: !self.is_idle(),
            running: u32::try_from(self.batch_size()).expect("at most max_seqs run"),
            waiting: u32::try_from(self.waiting.len()).expect("ids have 32 bits"),
            used_blocks: self.cache.used(),
            pending_tokens: self.pending,
        };
        let mut step = std::mem::replace(&mut self.step, Step::Idle);
        match &mut step {
            Step::Decode(run) => self.measure_run(run, now, level),
            _ => self.meter.advance(now, level),
        }
        self.step = step;
    }

    /// Requests admitted in the step in progress that are not in `partial` or `decodes` yet.
    fn admitted_chunks(&self) -> usize {
        self.chunks.len() - usize::from(self.chunks.first().is_some_and(|&(slot, _)| self.partial == Some(slot)))
    }

    /// In a run, the used blocks grow step by step, where a sequence takes a new block.
    fn measure_run(&mut self, run: &mut MacroStep, now: SimTime, level: Level) {
        let block = self.config.block_tokens;
        let (from, to) = (run.measured, run.started(&*self.cost, now));
        // `level.used_blocks` counts the steps allocated so far; step back to the last measurement.
        let before = level.used_blocks + self.decodes.demand(from, block) - self.decodes.demand(run.allocated, block);
        self.meter.advance(now, Level { used_blocks: before, ..level });
        let (decodes, meter) = (&self.decodes, &mut self.meter);
        run.stretches(&*self.cost, from, to, |stretch, start| {
            decodes.growth(stretch, block, |step| meter.one_block_more(run.start + SimTime(start(step))));
        });
        run.measured = to;
    }

    /// The measurements, closed at the end of the run.
    pub(crate) fn close(&mut self, now: SimTime) -> Meter {
        self.measure(now);
        std::mem::take(&mut self.meter)
    }
}
