//! How a step ends, and how a sequence leaves.

use trimtab_core::SimTime;
use trimtab_engine::Generated;

use super::NaiveResult;
use super::blocks::{Held, Name, full_name};
use super::chooser::Chooser;
use super::instance::{Instance, Sequence, Waiting, Work};

impl Instance<'_> {
    /// Ends the step in progress and returns the requests that finished.
    pub(crate) fn end_step(&mut self, now: SimTime, result: &mut NaiveResult) -> Vec<usize> {
        let mut over = Vec::new();
        self.step_end = None;
        self.now = now;
        let mut i = 0;
        while i < self.running.len() {
            if let Work::Chunk(tokens) = self.running[i].work {
                self.running[i].done += tokens;
                self.name_prompt_blocks(i, self.running[i].done, false, result);
                self.refresh();
            }
            let s = &mut self.running[i];
            let token = s.work != Work::Nothing && s.decodes();
            s.work = Work::Nothing;
            if token {
                s.generated += 1;
                note_token(s.request, now, result);
                let request = &self.requests[s.request];
                if s.generated == request.output_tokens {
                    result.rows[s.request].finish = Some(now);
                    result.reached.one_token_outputs += u64::from(request.output_tokens == 1);
                    let finished = self.running.remove(i);
                    let computed = request.prompt.tokens + request.output_tokens - 1;
                    over.push(finished.request);
                    self.release(finished, computed, true);
                    continue;
                }
            }
            i += 1;
        }
        self.check_blocks();
        over
    }

    pub(crate) fn has(&self, request: usize) -> bool {
        self.waiting.iter().any(|w| w.request == request) || self.running.iter().any(|s| s.request == request)
    }

    /// Waiting and running requests, as the instance last reported them.
    pub(crate) fn report(&self) -> (u32, u32) {
        let count = |n: usize| u32::try_from(n).expect("a test is small");
        self.frozen.unwrap_or((count(self.waiting.len()), count(self.running.len())))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.running.is_empty()
    }

    /// The requests that have not started here, which leave the queue.
    pub(crate) fn give_back(&mut self, generated: &mut [u32]) -> Vec<usize> {
        let (stay, leave) = self.waiting.iter().partition::<Vec<Waiting>, _>(|w| w.preempted);
        self.waiting = stay;
        for w in &leave {
            generated[w.request] = w.generated;
            self.ahead.remove(&w.request);
        }
        leave.iter().map(|w| w.request).collect()
    }

    /// Everything is lost. Returns the requests that were here, and whose client is gone.
    pub(crate) fn fail(&mut self, generated: &mut [u32], result: &mut NaiveResult) -> Vec<(usize, bool)> {
        result.iterations -= u64::from(self.step_end.take().is_some());
        let mut lost = Vec::new();
        for s in self.running.drain(..) {
            let chunk = if let Work::Chunk(tokens) = s.work { tokens } else { 0 };
            let prompt = self.requests[s.request].prompt.tokens;
            let row = &mut result.rows[s.request];
            row.recomputed += u64::from(if s.decodes() { prompt + s.generated } else { s.done + chunk });
            generated[s.request] = s.generated;
            lost.push((s.request, self.hung_up.contains(&s.request)));
        }
        self.hung_up.clear();
        for w in self.waiting.drain(..) {
            generated[w.request] = w.generated;
            lost.push((w.request, false));
        }
        self.forget();
        lost
    }

    /// A stopped instance knows nothing any more.
    pub(crate) fn forget(&mut self) {
        (self.cache, self.thousandths, self.paced, self.cut) = (super::blocks::Cache::default(), 1000, None, None);
        self.frozen = None;
        self.chooser = Chooser::new(self.config, self.rng.clone());
        self.ahead.clear();
        self.reading_until = SimTime::ZERO;
    }

    /// Loses the cached blocks that nobody pins, and says how many.
    pub(crate) fn flush(&mut self, now: SimTime) -> u64 {
        self.now = now;
        let loose = |it: &Self| it.cache.released.keys().filter(|&&name| !it.is_pinned(Held::Shared(name))).count();
        let lost = loose(self) as u64;
        if lost > 0 {
            self.begin_choice(lost);
        }
        for _ in 0..lost {
            let victim = self.choose();
            self.cache.released.remove(&victim);
            self.note_loss(victim);
        }
        lost
    }

    /// A client hangs up: a request that waits is gone at once (true).
    pub(crate) fn hang_up(&mut self, request: usize) -> bool {
        let before = self.waiting.len();
        self.waiting.retain(|w| w.request != request);
        self.ahead.remove(&request);
        self.hung_up.extend(self.running.iter().map(|s| s.request).filter(|&running| running == request));
        self.waiting.len() < before
    }

    /// Between two steps, the batch lets go of the requests whose clients are gone, unless they have just finished.
    pub(crate) fn drop_hung_up(&mut self) -> Vec<usize> {
        if self.step_end.is_some() {
            return Vec::new();
        }
        let mut dropped = std::mem::take(&mut self.hung_up);
        dropped.retain(|&request| self.running.iter().any(|s| s.request == request));
        for &request in &dropped {
            let i = self.running.iter().position(|s| s.request == request).expect("it was found before");
            let s = self.running.remove(i);
            let computed = if s.decodes() { self.requests[request].prompt.tokens + s.generated - 1 } else { s.done };
            self.release(s, computed, false);
        }
        dropped
    }

    /// Sends the request admitted last back to the front of the queue.
    pub(super) fn preempt_last(&mut self, result: &mut NaiveResult) {
        let s = self.running.pop().expect("one sequence alone always has room");
        let prompt = self.requests[s.request].prompt.tokens;
        let row = &mut result.rows[s.request];
        row.preemptions += 1;
        row.recomputed += u64::from(if s.decodes() { prompt + s.generated } else { s.done });
        result.reached.preemptions += 1;
        result.reached.partial_preemptions += u64::from(!s.decodes());
        self.waiting.insert(
            0,
            Waiting { request: s.request, generated: s.generated, preempted: true, pending: prompt + s.generated },
        );
        let computed = if s.decodes() { prompt + s.generated - 1 } else { s.done };
        self.release(s, computed, false);
    }

    /// Gives up the blocks of a sequence that has left, `computed` tokens long.
    fn release(&mut self, mut s: Sequence, computed: u32, finished: bool) {
        let (b, request) = (self.config.block_tokens, &self.requests[s.request]);
        // A cached partial tail stands where the first block of output would: such an output gets no names.
        let has_tail = s.held.iter().any(|held| matches!(held, Held::Shared(Name::Tail { .. })));
        let output_leaf = request.output_leaf.filter(|_| finished && !has_tail);
        let keep = self.config.cache.generated == Generated::Keep;
        for (index, held) in (0..computed / b).zip(&mut s.held) {
            let of_output = (index + 1) * b > request.prompt.tokens;
            if !self.config.cache.enabled || !of_output || *held != Held::Private {
                continue;
            }
            if let Some(leaf) = output_leaf {
                let name = full_name(self.forest, leaf, index, b);
                if !self.cache.contains(name) {
                    self.cache.insert(name);
                    self.note_write(name, false);
                }
                self.cache.generated.push(name);
                *held = Held::Shared(name);
            } else if keep {
                *held = Held::Shared(self.cache.insert_anonymous(s.request, index));
            }
        }
        self.cache.release(&s.held);
        // What it generated is pinned for a moment.
        self.running.push(s);
        self.refresh();
        let s = self.running.pop().expect("just pushed");
        self.note_release(s.request, &s.held);
    }
}

fn note_token(request: usize, now: SimTime, result: &mut NaiveResult) {
    let row = &mut result.rows[request];
    row.output += 1;
    if row.first_token.is_none() {
        row.first_token = Some(now);
        result.recent.first_tokens += 1;
        result.recent.in_time += u64::from(result.slo.is_some_and(|slo| now - row.arrival <= slo));
    } else {
        result.gaps.push((now - result.last_token[request]).0);
    }
    result.last_token[request] = now;
}
