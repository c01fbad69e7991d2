//! One instance, and how it plans a step.

use trimtab_core::{PrefixForest, Request, SimTime, StreamRng};
use trimtab_engine::cost::StepShape;
use trimtab_engine::{InstanceConfig, Mixing, Order, Visible};

use std::collections::BTreeMap;

use super::NaiveResult;
use super::blocks::{Cache, Held, Name, covered, prompt_names};
use super::chooser::Chooser;
use super::tier::{Behind, Reading};

/// A request in the queue.
#[derive(Clone, Copy)]
pub(super) struct Waiting {
    pub(super) request: usize,
    /// Tokens generated before it was preempted.
    pub(super) generated: u32,
    pub(super) preempted: bool,
    /// Tokens that it seemed to need when it began to wait.
    pub(super) pending: u32,
}

/// What a running request does in the step in progress.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Work {
    Nothing,
    Chunk(u32),
    Decode,
}

pub(super) struct Sequence {
    pub(super) request: usize,
    /// Tokens to prefill.
    pub(super) target: u32,
    /// Tokens of them hit or computed.
    pub(super) done: u32,
    pub(super) generated: u32,
    /// By position in the sequence.
    pub(super) held: Vec<Held>,
    pub(super) work: Work,
}

impl Sequence {
    pub(super) fn decodes(&self) -> bool {
        self.done == self.target
    }
}

pub(crate) struct Instance<'a> {
    pub(super) config: &'a InstanceConfig,
    pub(super) forest: &'a PrefixForest,
    pub(super) requests: &'a [Request],
    /// First in the queue first.
    pub(super) waiting: Vec<Waiting>,
    /// In the order of admission.
    pub(super) running: Vec<Sequence>,
    pub(super) cache: Cache,
    pub(super) chooser: Chooser,
    pub(super) rng: StreamRng,
    pub(super) now: SimTime,
    pub(super) behind: Option<Behind>,
    /// What waiting requests are reading from the tier.
    pub(super) ahead: BTreeMap<usize, Reading>,
    /// When the step being planned has all that it reads.
    pub(super) reading_until: SimTime,
    /// When the step in progress ends.
    pub(crate) step_end: Option<SimTime>,
    /// Thousandths of its usual time that a step takes, and which change made it so.
    pub(crate) thousandths: u64,
    pub(crate) paced: Option<u32>,
    /// Which change parted it from the router.
    pub(crate) cut: Option<u32>,
    /// The report that stays, while none gets through.
    pub(crate) frozen: Option<(u32, u32)>,
    /// Running requests without a client, which leave after the step in progress.
    pub(super) hung_up: Vec<usize>,
}

impl<'a> Instance<'a> {
    pub(crate) fn new(
        config: &'a InstanceConfig,
        rng: StreamRng,
        behind: Option<Behind>,
        forest: &'a PrefixForest,
        requests: &'a [Request],
    ) -> Self {
        let (waiting, running, cache) = (Vec::new(), Vec::new(), Cache::default());
        let (chooser, now) = (Chooser::new(config, rng.clone()), SimTime::ZERO);
        Self {
            config,
            forest,
            requests,
            waiting,
            running,
            cache,
            chooser,
            rng,
            now,
            behind,
            ahead: BTreeMap::new(),
            reading_until: SimTime::ZERO,
            step_end: None,
            thousandths: 1000,
            paced: None,
            cut: None,
            frozen: None,
            hung_up: Vec::new(),
        }
    }

    /// Whether the request could ever run here. The last output token is never computed.
    pub(crate) fn accepts(&self, request: usize) -> bool {
        let request = &self.requests[request];
        let tokens = request.prompt.tokens + request.output_tokens - 1;
        self.blocks(tokens) + self.config.watermark_blocks <= self.config.kv_blocks
    }

    pub(crate) fn enqueue(&mut self, request: usize, generated: u32, now: SimTime) {
        self.read_ahead(request, generated, now);
        let target = self.requests[request].prompt.tokens + generated;
        let pending = target - self.lookup(request, target).0;
        self.waiting.push(Waiting { request, generated, preempted: false, pending });
    }

    /// Starts a step if there is anything to do.
    pub(crate) fn plan(&mut self, now: SimTime, result: &mut NaiveResult) {
        self.now = now;
        if self.running.is_empty() && self.waiting.is_empty() {
            return;
        }
        match self.config.mixing {
            Mixing::DecodeFirst => self.plan_decode_first(now, result),
            Mixing::PrefillFirst => self.plan_prefill_first(now, result),
        }
        self.check_blocks();
        let planned = self.running.iter().any(|s| s.work != Work::Nothing);
        assert!(planned, "an instance with requests can always do something");
        self.start_step(now, result);
    }

    fn start_step(&mut self, now: SimTime, result: &mut NaiveResult) {
        let mut shape = StepShape::default();
        for s in &self.running {
            match s.work {
                Work::Nothing => {}
                Work::Chunk(tokens) => {
                    shape.add_chunk(tokens, s.done);
                    result.hit_or_prefilled[s.request] += u64::from(tokens);
                    result.reached.budget_cuts += u64::from(s.done + tokens < s.target);
                }
                Work::Decode => {
                    shape.decode_seqs += 1;
                    shape.decode_context += u64::from(self.requests[s.request].prompt.tokens + s.generated);
                }
            }
        }
        let stalled = self.running.iter().any(|s| s.decodes() && s.work == Work::Nothing);
        result.reached.stalled_decodes += u64::from(stalled);
        result.reached.mixed_steps += u64::from(shape.prefill_seqs > 0 && shape.decode_seqs > 0);
        result.iterations += 1;
        let span = SimTime((self.config.cost.step(&shape) * self.thousandths / 1000).max(1));
        self.step_end = Some(now + self.with_reading(span, now));
    }

    /// Decodes, then the partial prefill, then, if nothing was preempted, admissions.
    fn plan_decode_first(&mut self, now: SimTime, result: &mut NaiveResult) {
        let mut preempted = self.plan_decodes(result);
        let mut budget = self.config.max_batched_tokens;
        for s in &self.running {
            budget -= u32::from(s.work == Work::Decode);
        }
        preempted |= self.plan_partial(&mut budget, result);
        if !preempted {
            self.plan_admissions(budget, now, result);
        }
    }

    /// Prefills alone, or decodes when there is nothing to prefill.
    fn plan_prefill_first(&mut self, now: SimTime, result: &mut NaiveResult) {
        let mut budget = self.config.max_batched_tokens;
        let preempted = self.plan_partial(&mut budget, result);
        assert!(!preempted, "no decode takes the blocks that a partial prefill was promised");
        self.plan_admissions(budget, now, result);
        if self.running.iter().all(|s| s.work == Work::Nothing) {
            self.plan_decodes(result);
        }
    }

    /// One token for each sequence that is prefilled. Tells whether anything was preempted.
    fn plan_decodes(&mut self, result: &mut NaiveResult) -> bool {
        let mut preempted = false;
        loop {
            let demand: u64 = self.running.iter().filter(|s| s.decodes()).map(|s| self.decode_demand(s)).sum();
            if demand <= self.available() {
                break;
            }
            self.preempt_last(result);
            preempted = true;
        }
        for i in 0..self.running.len() {
            if self.running[i].decodes() {
                for _ in 0..self.decode_demand(&self.running[i]) {
                    self.running[i].held.push(Held::Private);
                }
                self.running[i].work = Work::Decode;
            }
        }
        self.make_room(result);
        preempted
    }

    /// New blocks that the next token of a decoding sequence needs.
    fn decode_demand(&self, s: &Sequence) -> u64 {
        let context = self.requests[s.request].prompt.tokens + s.generated;
        self.blocks(context) - s.held.len() as u64
    }

    /// The next chunk of the partial prefill, if there is one. Tells whether it was preempted instead.
    fn plan_partial(&mut self, budget: &mut u32, result: &mut NaiveResult) -> bool {
        let Some(i) = self.running.iter().position(|s| !s.decodes()) else { return false };
        assert_eq!(i + 1, self.running.len(), "only the last sequence can be partly prefilled");
        let chunk = (self.running[i].target - self.running[i].done).min(*budget);
        if chunk == 0 {
            return false;
        }
        let tokens = self.running[i].done + chunk;
        let wanted = self.wanted(&self.running[i], tokens);
        // A resident block that nobody pins stops being available as well once it is pinned.
        let pinned_already = wanted.iter().filter(|&&held| self.is_pinned(held)).count();
        if (wanted.len() - pinned_already) as u64 > self.available() {
            self.preempt_last(result);
            return true;
        }
        self.take_chunk(i, chunk, &wanted, result);
        *budget -= chunk;
        false
    }

    fn plan_admissions(&mut self, mut budget: u32, now: SimTime, result: &mut NaiveResult) {
        while budget > 0 && !self.waiting.is_empty() {
            if self.running.len() as u64 >= u64::from(self.config.max_seqs) {
                result.reached.sequence_stops += 1;
                return;
            }
            let position = self.first_in_order();
            let Waiting { request, generated, .. } = self.waiting[position];
            let target = self.requests[request].prompt.tokens + generated;
            let (hit_tokens, hits) = self.lookup(request, target);
            let pinned = hits.iter().filter(|&&name| self.is_pinned(Held::Shared(name))).count();
            let need = self.blocks(target) - pinned as u64;
            if need + self.config.watermark_blocks > self.available() {
                result.reached.kv_exhausted += 1;
                result.reached.watermark_stops += u64::from(need <= self.available());
                return;
            }
            result.reached.overtakes += u64::from(position > 0);
            self.waiting.remove(position);
            let held = hits.iter().copied().map(Held::Shared).collect();
            let (found_tokens, found) = self.read_at_admission(request, target, &hits, now, result);
            self.note_admission(request, (hit_tokens, found_tokens), &found, now, result);
            self.running.push(Sequence { request, target, done: found_tokens, generated, held, work: Work::Nothing });
            let i = self.running.len() - 1;
            self.take_in(i, &found, result);
            let hit_tokens = found_tokens;
            let chunk = (target - hit_tokens).min(budget);
            let wanted = self.wanted(&self.running[i], hit_tokens + chunk);
            self.take_chunk(i, chunk, &wanted, result);
            budget -= chunk;
        }
    }

    /// The position in the queue of the request to admit next: preempted ones are at its front.
    fn first_in_order(&self) -> usize {
        let mut best = 0;
        if self.config.order == Order::LongestPrefix && !self.waiting[0].preempted {
            let hit = |w: &Waiting| self.lookup(w.request, self.requests[w.request].prompt.tokens + w.generated).0;
            for position in 1..self.waiting.len() {
                if hit(&self.waiting[position]) > hit(&self.waiting[best]) {
                    best = position;
                }
            }
        }
        best
    }

    fn note_admission(
        &self,
        request: usize,
        (cached_tokens, hit_tokens): (u32, u32),
        hits: &[Name],
        now: SimTime,
        result: &mut NaiveResult,
    ) {
        result.hit_or_prefilled[request] += u64::from(hit_tokens);
        let row = &mut result.rows[request];
        let reached = &mut result.reached;
        if row.admitted.is_none() {
            row.admitted = Some(now);
            row.hit_tokens = hit_tokens;
            row.loaded_tokens = hit_tokens - cached_tokens;
            row.hit_blocks = u32::try_from(hits.len()).expect("a test is small");
            let all = hit_tokens > 0 && row.prompt - hit_tokens <= self.config.block_tokens;
            reached.full_hits += u64::from(all);
            reached.partial_hits += u64::from(hit_tokens > 0 && !all);
        } else {
            reached.readmission_hits += u64::from(hit_tokens > 0);
        }
        reached.tail_hits += u64::from(hits.iter().any(|name| matches!(name, Name::Tail { .. })));
        reached.generated_hits += u64::from(hits.iter().any(|name| self.cache.generated.contains(name)));
        let of_this_step = self.running.iter().filter(|s| s.work != Work::Nothing && s.work != Work::Decode);
        let uncomputed = |s: &Sequence, name| {
            let index = s.held.iter().position(|&h| h == Held::Shared(name));
            index.is_some_and(|index| index as u64 >= self.blocks(s.done))
        };
        reached.hits_within_step +=
            u64::from(of_this_step.into_iter().any(|s| hits.iter().any(|&name| uncomputed(s, name))));
    }

    /// The blocks that a prefilling sequence must get to hold `tokens` tokens. What is scheduled can be shared at once
    /// if scheduled blocks are visible.
    fn wanted(&self, s: &Sequence, tokens: u32) -> Vec<Held> {
        let prompt = self.requests[s.request].prompt;
        let names = prompt_names(self.config, self.forest, &self.requests[s.request]);
        let mut wanted = Vec::new();
        for (index, block) in (0..tokens.div_ceil(self.config.block_tokens)).zip(0..) {
            if block < s.held.len() {
                continue;
            }
            let shared = names.get(block).filter(|&&name| {
                self.config.cache.visible == Visible::Scheduled
                    && covered(prompt, index, tokens, self.config.block_tokens)
                    && self.cache.contains(name)
            });
            wanted.push(shared.map_or(Held::Private, |&name| Held::Shared(name)));
        }
        wanted
    }

    fn take_chunk(&mut self, i: usize, chunk: u32, wanted: &[Held], result: &mut NaiveResult) {
        result.reached.shared_at_planning += wanted.iter().filter(|&&held| held != Held::Private).count() as u64;
        if self.config.cache.visible == Visible::Scheduled {
            // Private copies of what is resident by now are given up before anything is evicted.
            self.name_prompt_blocks(i, self.running[i].done + chunk, true, result);
        }
        self.running[i].held.extend(wanted);
        self.running[i].work = Work::Chunk(chunk);
        self.make_room(result);
        if self.config.cache.visible == Visible::Scheduled {
            self.name_prompt_blocks(i, self.running[i].done + chunk, false, result);
        }
    }

    /// Shares the private blocks of a sequence that the first `tokens` tokens of its prompt fill; only those that are
    /// resident already if `resident`.
    pub(super) fn name_prompt_blocks(&mut self, i: usize, tokens: u32, resident: bool, result: &mut NaiveResult) {
        let mut written = Vec::new();
        let s = &mut self.running[i];
        let request = &self.requests[s.request];
        let names = prompt_names(self.config, self.forest, request);
        for ((index, held), name) in (0..).zip(&mut s.held).zip(names) {
            if resident && !self.cache.contains(name) {
                break;
            }
            if *held == Held::Private && covered(request.prompt, index, tokens, self.config.block_tokens) {
                if self.cache.contains(name) {
                    result.reached.shared_later += 1;
                } else {
                    self.cache.insert(name);
                    written.push(name);
                }
                *held = Held::Shared(name);
            }
        }
        for name in written {
            self.note_write(name, false);
        }
    }
}
