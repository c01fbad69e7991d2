//! How a step ends, and how a sequence leaves.

use trimtab_core::SimTime;
use trimtab_engine::Generated;

use super::NaiveResult;
use super::blocks::{Held, Name, full_name};
use super::instance::{Instance, Sequence, Waiting, Work};

impl Instance<'_> {
    /// Ends the step in progress.
    pub(crate) fn end_step(&mut self, now: SimTime, result: &mut NaiveResult) {
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
                    self.release(finished, computed, true);
                    continue;
                }
            }
            i += 1;
        }
        self.check_blocks();
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
        self.waiting.insert(0, Waiting { request: s.request, generated: s.generated, preempted: true });
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
    } else {
        result.gaps.push((now - result.last_token[request]).0);
    }
    result.last_token[request] = now;
}
