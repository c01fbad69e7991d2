//! The tier behind the caches, block by block.

use std::cell::RefCell;
use std::rc::Rc;

use trimtab_core::SimTime;
use trimtab_engine::cost::StepShape;
use trimtab_engine::{Promotion, TierConfig, WritePolicy};

use super::NaiveResult;
use super::blocks::{Held, Name, prompt_names};
use super::instance::Instance;

/// A block that became resident, or was evicted.
#[derive(Clone, Copy)]
struct Write {
    at: SimTime,
    member: usize,
    name: Name,
    evicted: bool,
}

pub(super) struct Tier {
    config: TierConfig,
    /// The one used last at the end.
    blocks: Vec<Name>,
    /// In the order of happening.
    writes: Vec<Write>,
    free_at: Vec<SimTime>,
    pool_free_at: SimTime,
}

impl Tier {
    pub(super) fn new(config: TierConfig, members: usize) -> Self {
        let free_at = vec![SimTime::ZERO; members];
        Self { config, blocks: Vec::new(), writes: Vec::new(), free_at, pool_free_at: SimTime::ZERO }
    }

    fn ready(&self, member: usize, tokens: u32, now: SimTime) -> SimTime {
        let start = now.max(self.free_at[member]).max(self.pool_free_at);
        start + self.span(tokens).0 + self.config.link.latency
    }

    /// What was written before now can be read.
    fn absorb(&mut self, now: SimTime) {
        let (mut past, rest): (Vec<Write>, Vec<Write>) = self.writes.iter().partition(|write| write.at < now);
        self.writes = rest;
        past.sort_by_key(|write| (write.at, write.member));
        for Write { name, evicted, .. } in past {
            let there = self.blocks.contains(&name);
            self.blocks.retain(|&other| other != name);
            if there || !evicted || self.config.write == WritePolicy::Back {
                self.blocks.push(name);
                if self.blocks.len() as u64 > self.config.blocks {
                    self.blocks.remove(0);
                }
            }
        }
    }

    fn span(&self, tokens: u32) -> (SimTime, SimTime) {
        let (own, pool) = (self.config.link.ps_per_token, self.config.pool_ps_per_token);
        (SimTime(own.max(pool) * u64::from(tokens)), SimTime(pool * u64::from(tokens)))
    }
}

/// What a request reads: all the names it then finds, and when they are there.
#[derive(Clone, Debug)]
pub(super) struct Reading {
    /// How many of them were in the cache when the reading began.
    pub(super) cached: usize,
    pub(super) names: Vec<Name>,
    pub(super) ready: SimTime,
    /// Whether the tier held more.
    part: bool,
}

/// An instance's place at a tier.
#[derive(Clone)]
pub(super) struct Behind {
    pub(super) tier: Rc<RefCell<Tier>>,
    pub(super) member: usize,
}

impl Instance<'_> {
    pub(super) fn note_write(&mut self, name: Name, evicted: bool) {
        let Some(Behind { tier, member }) = &self.behind else { return };
        if matches!(name, Name::Anonymous { .. }) {
            return;
        }
        let mut tier = tier.borrow_mut();
        if evicted || tier.config.write == WritePolicy::Through {
            tier.writes.push(Write { at: self.now, member: *member, name, evicted });
        }
    }

    /// The tokens that these leading blocks of a request stand for.
    fn tokens_of(&self, request: usize, target: u32, names: &[Name]) -> u32 {
        match names.last() {
            Some(Name::Tail { .. }) => self.requests[request].prompt.tokens.min(target - 1),
            _ => u32::try_from(names.len()).expect("a test is small") * self.config.block_tokens,
        }
    }

    /// How many blocks are in the memory behind the cache, if it is its own.
    pub(super) fn memory(&self) -> u64 {
        let own = self.behind.as_ref().map(|behind| behind.tier.borrow()).filter(|tier| !tier.config.shared);
        own.map_or(0, |tier| tier.blocks.len() as u64)
    }

    /// Loses that memory.
    pub(super) fn lose_memory(&mut self) {
        if let Some(Behind { tier, .. }) = &self.behind {
            let mut tier = tier.borrow_mut();
            if !tier.config.shared {
                *tier = Tier::new(tier.config, 1);
            }
        }
    }

    /// What a request should read now, given what it has of its prompt and when that is `there`: of all splits into what is read and what is
    /// computed, the one that takes the least time from `start` on, and reads least of those.
    fn worth_reading(
        &self,
        (request, target): (usize, u32),
        cached: &[Name],
        (now, start): (SimTime, SimTime),
        there: SimTime,
    ) -> Option<Reading> {
        let Behind { tier, member } = self.behind.as_ref()?;
        tier.borrow_mut().absorb(now);
        let tier = tier.borrow();
        let mut names = cached.to_vec();
        for name in prompt_names(self.config, self.forest, &self.requests[request]).into_iter().skip(cached.len()) {
            let full = matches!(name, Name::Full { .. });
            let beyond = full && self.tokens_of(request, target, &names) + self.config.block_tokens >= target;
            if beyond || !tier.blocks.contains(&name) {
                break;
            }
            names.push(name);
        }
        let without = self.tokens_of(request, target, cached);
        let mut best = (self.time_from(target, without, there.saturating_since(start)), None);
        let held = names.len();
        for count in cached.len() + 1..=held {
            let names = names[..count].to_vec();
            let with = self.tokens_of(request, target, &names);
            if with > without {
                let ready = tier.ready(*member, with - without, now).max(there);
                let time = self.time_from(target, with, ready.saturating_since(start));
                if time < best.0 {
                    let part = count < held;
                    best = (time, Some(Reading { cached: cached.len(), names, ready, part }));
                }
            }
        }
        best.1
    }

    /// How long the steps take that prefill a request alone, of which `hit` tokens are there after a while.
    fn time_from(&self, target: u32, hit: u32, wait: SimTime) -> u64 {
        let overlapped = self.behind.as_ref().is_some_and(|behind| behind.tier.borrow().config.overlapped);
        let (mut done, mut time) = (hit, 0);
        while done < target {
            let chunk = (target - done).min(self.config.max_batched_tokens);
            let mut shape = StepShape::default();
            shape.add_chunk(chunk, done);
            let step = self.config.cost.step(&shape);
            time += match (done == hit, overlapped) {
                (false, _) => step,
                (true, true) => step.max(wait.0),
                (true, false) => step + wait.0,
            };
            done += chunk;
        }
        time
    }

    /// When a request that joins the queue could begin, if the tokens before it are computed as fast as a long prompt.
    fn expected_start(&self, now: SimTime) -> SimTime {
        let waiting: u64 = self.waiting.iter().map(|w| u64::from(w.pending)).sum();
        let running: u64 = self.running.iter().map(|s| u64::from(s.target - s.done)).sum();
        let second = self.config.cost.prefill_time(8192, 0, self.config.max_batched_tokens).max(1);
        let rate = u64::try_from(8192 * 1_000_000_000_000_u128 / u128::from(second)).expect("not so fast");
        let wait = u128::from(waiting + running) * 1_000_000_000_000 / u128::from(rate.max(1));
        now + SimTime(u64::try_from(wait).expect("a test is small"))
    }

    fn read(&self, request: usize, target: u32, cached: &[Name], reading: &Reading, now: SimTime) {
        let Behind { tier, member } = self.behind.as_ref().expect("there is a tier");
        let mut tier = tier.borrow_mut();
        for name in reading.names[cached.len()..].iter().rev() {
            tier.blocks.retain(|other| other != name);
            if tier.config.promotion == Promotion::Copy {
                tier.blocks.push(*name);
            }
        }
        let tokens = self.tokens_of(request, target, &reading.names) - self.tokens_of(request, target, cached);
        let start = now.max(tier.free_at[*member]).max(tier.pool_free_at);
        let (own, pool) = tier.span(tokens);
        tier.free_at[*member] = start + own;
        if pool > SimTime::ZERO {
            tier.pool_free_at = start + pool;
        }
    }

    /// A request that joins the queue begins to read.
    pub(super) fn read_ahead(&mut self, request: usize, generated: u32, now: SimTime) {
        if self.behind.as_ref().is_none_or(|behind| !behind.tier.borrow().config.prefetch) {
            return;
        }
        let target = self.requests[request].prompt.tokens + generated;
        let (_, cached) = self.lookup(request, target);
        let times = (now, self.expected_start(now));
        let Some(reading) = self.worth_reading((request, target), &cached, times, now) else { return };
        self.read(request, target, &cached, &reading, now);
        self.ahead.insert(request, reading);
    }

    /// A request is admitted that finds `cached` in the cache: all that it finds, with what it reads. The step waits.
    pub(super) fn read_at_admission(
        &mut self,
        request: usize,
        target: u32,
        cached: &[Name],
        now: SimTime,
        result: &mut NaiveResult,
    ) -> (u32, Vec<Name>) {
        let covers = |reading: &Reading| reading.cached <= cached.len() && reading.names.len() > cached.len();
        let ahead = self.ahead.remove(&request).filter(covers);
        result.reached.read_ahead += u64::from(ahead.is_some());
        let mut part = ahead.as_ref().is_some_and(|reading| reading.part);
        let (mut names, mut ready) = ahead.map_or((cached.to_vec(), now), |reading| (reading.names, reading.ready));
        if let Some(more) = self.worth_reading((request, target), &names, (now, now), ready) {
            self.read(request, target, &names, &more, now);
            result.reached.read_at_admission += 1;
            (names, ready, part) = (more.names, more.ready, more.part);
        }
        result.reached.partial_reads += u64::from(part);
        if names.len() == cached.len() {
            return (self.tokens_of(request, target, cached), cached.to_vec());
        }
        self.reading_until = self.reading_until.max(ready);
        (self.tokens_of(request, target, &names), names)
    }

    /// How long a step takes that waits for what it reads.
    pub(super) fn with_reading(&mut self, span: SimTime, now: SimTime) -> SimTime {
        let wait = std::mem::take(&mut self.reading_until).saturating_since(now);
        let overlapped = self.behind.as_ref().is_some_and(|behind| behind.tier.borrow().config.overlapped);
        if overlapped { span.max(wait) } else { span + wait }
    }

    /// The blocks that a sequence has just read become its own and then resident.
    pub(super) fn take_in(&mut self, i: usize, names: &[Name], result: &mut NaiveResult) {
        let held = self.running[i].held.len();
        let fresh = &names[held..];
        self.running[i].held.extend(fresh.iter().map(|_| Held::Private));
        self.make_room(result);
        for (held, &name) in self.running[i].held[held..].iter_mut().zip(fresh) {
            *held = Held::Shared(name);
        }
        for &name in fresh {
            self.cache.insert(name);
            self.note_write(name, false);
        }
    }
}
