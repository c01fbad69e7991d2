//! The decoding part of a batch.
//!
//! All decoding sequences advance together, so an instance counts decode steps once, and each sequence remembers only
//! where it stood when it joined: a run of a thousand steps touches no sequence.

use std::ops::Range;

use trimtab_core::SimTime;

use crate::seq::Seq;

/// One decoding sequence.
#[derive(Clone, Copy, Debug)]
struct Decode {
    slot: u32,
    /// Prompt and generated tokens, less the instance's step counter.
    offset: i64,
    /// The step counter at which its last token comes out.
    end: u64,
    /// When its last token before it joined came out.
    joined: SimTime,
}

/// The decoding sequences of an instance in the order of admission.
#[derive(Clone, Debug, Default)]
pub(crate) struct Decodes {
    list: Vec<Decode>,
    /// Decode steps done.
    counter: u64,
    /// Prompt and generated tokens of all sequences: what the next step reads.
    context: u64,
    /// When the last decode step ended.
    pub(crate) last_end: SimTime,
}

impl Decodes {
    /// A copy with other slots.
    pub(crate) fn fork(&self, mut renumber: impl FnMut(u32) -> u32) -> Self {
        let list = self.list.iter().map(|decode| Decode { slot: renumber(decode.slot), ..*decode }).collect();
        Self { list, ..*self }
    }

    pub(crate) fn len(&self) -> usize {
        self.list.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    pub(crate) fn seqs(&self) -> u32 {
        u32::try_from(self.list.len()).expect("at most max_seqs")
    }

    pub(crate) fn context(&self) -> u64 {
        self.context
    }

    /// A sequence starts to decode; its first token (or the next one, after a preemption) came out at `now`.
    pub(crate) fn push(&mut self, slot: u32, seq: &Seq, now: SimTime) {
        let tokens = u64::from(seq.request.prompt.tokens) + u64::from(seq.generated);
        self.context += tokens;
        self.list.push(Decode {
            slot,
            offset: tokens.cast_signed() - self.counter.cast_signed(),
            end: self.counter + u64::from(seq.request.output_tokens - seq.generated),
            joined: now,
        });
    }

    /// Takes the last admitted sequence out: its slot, its prompt and generated tokens, and when its last token came.
    pub(crate) fn pop(&mut self) -> Option<(u32, u64, SimTime)> {
        let last = self.list.pop()?;
        let tokens = self.tokens(&last);
        self.context -= tokens;
        Some((last.slot, tokens, last.joined.max(self.last_end)))
    }

    /// Takes one sequence out, like [`Self::pop`].
    pub(crate) fn remove(&mut self, slot: u32) -> Option<(u32, u64, SimTime)> {
        let at = self.list.iter().position(|decode| decode.slot == slot)?;
        let left = self.list.remove(at);
        let tokens = self.tokens(&left);
        self.context -= tokens;
        Some((slot, tokens, left.joined.max(self.last_end)))
    }

    fn tokens(&self, decode: &Decode) -> u64 {
        self.counter.cast_signed().wrapping_add(decode.offset).cast_unsigned()
    }

    /// Steps until the first sequence ends.
    pub(crate) fn steps_to_first_end(&self) -> u64 {
        self.list.iter().map(|d| d.end).min().map_or(0, |end| end - self.counter)
    }

    /// KV blocks that the next `steps` steps take beyond those held. A step that reads `t` tokens computes the KV of
    /// token `t - 1`, which takes a new block when `t - 1` is a multiple of the block size.
    pub(crate) fn demand(&self, steps: u64, block: u32) -> u64 {
        if steps == 0 {
            return 0;
        }
        let block = u64::from(block);
        self.list
            .iter()
            .map(|d| {
                // Tokens past the start of the block that it writes next, less one.
                let within = (self.tokens(d) + block - 2) % block + steps;
                if within < block { 0 } else { within / block }
            })
            .sum()
    }

    /// The largest number of steps, at most `limit`, that take no more than `available` blocks.
    pub(crate) fn steps_within(&self, available: u64, limit: u64, block: u32) -> u64 {
        let most = (limit / u64::from(block) + 1) * self.list.len() as u64;
        if most <= available || self.demand(limit, block) <= available {
            return limit;
        }
        let (mut low, mut high) = (0, limit);
        while low + 1 < high {
            let middle = low + (high - low) / 2;
            if self.demand(middle, block) <= available {
                low = middle;
            } else {
                high = middle;
            }
        }
        low
    }

    /// Calls `each` with every step in `steps` that takes a new block, once for each block, in no order.
    pub(crate) fn growth(&self, steps: Range<u64>, block: u32, mut each: impl FnMut(u64)) {
        let block = u64::from(block);
        for d in &self.list {
            // Step j computes token `tokens - 1 + j`.
            let token = self.tokens(d) - 1;
            let mut step = (token + steps.start).next_multiple_of(block) - token;
            while step < steps.end {
                each(step);
                step += block;
            }
        }
    }

    /// All sequences got a token in each of `steps` steps.
    pub(crate) fn advance(&mut self, steps: u64) {
        self.counter += steps;
        self.context += steps * self.list.len() as u64;
    }

    /// Takes out the sequences whose last token is out, in order.
    pub(crate) fn take_finished(&mut self) -> Vec<u32> {
        let counter = self.counter;
        if self.list.iter().all(|d| d.end > counter) {
            return Vec::new();
        }
        let mut finished = Vec::new();
        let mut freed = 0;
        self.list.retain(|d| {
            if d.end == counter {
                finished.push(d.slot);
                freed += counter.cast_signed().wrapping_add(d.offset).cast_unsigned();
            }
            d.end > counter
        });
        self.context -= freed;
        finished
    }

    /// When the sequences got their last tokens, and how many at each time. Nearly all of them share one.
    pub(crate) fn last_tokens(&self) -> Vec<(SimTime, u32)> {
        let mut times: Vec<(SimTime, u32)> = Vec::new();
        for last in self.list.iter().map(|d| d.joined.max(self.last_end)) {
            match times.iter_mut().find(|(time, _)| *time == last) {
                Some((_, seqs)) => *seqs += 1,
                None => times.push((last, 1)),
            }
        }
        times
    }
}
