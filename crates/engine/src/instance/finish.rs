//! The end of a step: tokens appear, requests complete, and their blocks become cached ones.

use trimtab_core::{Prompt, SimTime};

use super::{Instance, News, Step, World};
use crate::cache::Chain;
use crate::config::{Generated, Visible};
use crate::macro_step::MacroStep;
use crate::record::Outcome;
use crate::timeline::Stage;

impl Instance {
    /// Ends the step in progress. `now` is when it was due.
    pub(crate) fn finish_step(&mut self, now: SimTime, world: &mut World<'_>) {
        self.measure(now);
        match std::mem::replace(&mut self.step, Step::Idle) {
            Step::Idle => unreachable!("invariant: only a step in progress can end"),
            Step::Prefill { decodes, span } => {
                self.iterations += 1;
                if decodes {
                    world.gaps.push(span, 0, 1, self.decodes.seqs());
                    self.decodes.advance(1);
                    self.finish_decodes(now, world);
                }
                self.finish_chunks(now, world);
                self.last_prefill_end = now;
            }
            Step::Decode(mut run) => {
                self.allocate_run(&mut run, now);
                self.cache.set_clock(now);
                self.iterations += run.steps;
                self.note_gaps(&run, world);
                self.decodes.advance(run.steps);
                self.finish_decodes(now, world);
            }
        }
        self.drop_hung_up(now, world);
        self.cache.check();
    }

    /// Counts the gaps before the tokens of a run that has ended.
    pub(super) fn note_gaps(&self, run: &MacroStep, world: &mut World<'_>) {
        if run.stalled {
            // Under PrefillFirst decodes stood still before it: it is a single step, and its gaps are longer.
            for (last, seqs) in self.decodes.last_tokens() {
                world.gaps.push((run.end - last).0, 0, 1, seqs);
            }
            return;
        }
        run.note_gaps(&*self.cost, world.gaps);
    }

    fn finish_decodes(&mut self, now: SimTime, world: &mut World<'_>) {
        self.decodes.last_end = now;
        for slot in self.decodes.take_finished() {
            let seq = &mut world.seqs[slot];
            seq.generated = seq.request.output_tokens;
            seq.last_token = now;
            self.complete(slot, now, world);
        }
    }

    fn finish_chunks(&mut self, now: SimTime, world: &mut World<'_>) {
        let chunks = std::mem::take(&mut self.chunks);
        for &(slot, tokens) in &chunks {
            let seq = &mut world.seqs[slot];
            seq.pending -= tokens;
            self.pending -= u64::from(tokens);
            if self.config.cache.visible == Visible::Computed {
                self.identify(slot, world);
            }
            let seq = &mut world.seqs[slot];
            if seq.done < seq.target {
                self.partial = Some(slot);
                continue;
            }
            if self.partial == Some(slot) {
                self.partial = None;
            }
            world.note(slot, Stage::Prefilled);
            let seq = &mut world.seqs[slot];
            seq.generated += 1;
            if seq.generated == 1 {
                world.rows[seq.request.id.index()].first_token = now;
            } else {
                world.gaps.push((now - seq.last_token).0, 0, 1, 1);
            }
            if !seq.prefilled {
                seq.prefilled = true;
                world.news.push((slot, News::FirstToken));
            }
            seq.last_token = now;
            if seq.generated == seq.request.output_tokens {
                self.complete(slot, now, world);
            } else {
                self.decodes.push(slot, seq, now);
            }
        }
        self.chunks = chunks;
        self.chunks.clear();
    }

    /// Gives the prompt blocks that are fully computed (or scheduled) so far their identity in the cache.
    pub(super) fn identify(&mut self, slot: u32, world: &mut World<'_>) {
        let seq = &world.seqs[slot];
        let chain = seq.chain(&self.config);
        let upto = seq.named(&chain, seq.done, self.config.block_tokens);
        if upto > seq.shared {
            self.cache.pin(&chain, seq.shared, upto, upto - seq.shared);
            world.seqs[slot].shared = upto;
        }
    }

    fn complete(&mut self, slot: u32, now: SimTime, world: &mut World<'_>) {
        let seq = &mut world.seqs[slot];
        let computed = seq.request.prompt.tokens + seq.generated - 1;
        seq.held = computed.div_ceil(self.config.block_tokens);
        if !self.release_named(slot, computed, world) {
            self.release(slot, computed, world);
        }
        let seq = &mut world.seqs[slot];
        assert_eq!(
            seq.processed,
            u64::from(seq.request.prompt.tokens) + seq.recomputed,
            "invariant: hit and computed tokens are the prompt and what was recomputed"
        );
        let row = &mut world.rows[seq.request.id.index()];
        assert_eq!(row.outcome, Outcome::Open, "invariant: every request ends exactly once");
        row.finish = now;
        row.outcome = Outcome::Completed;
        row.recomputed_tokens = seq.recomputed;
        let total = &mut self.history;
        total.requests += 1;
        // Saturating, because on a copy to try things on a running request has lost its past.
        total.queue_ps += u128::from(row.admitted.saturating_since(seq.joined).0);
        total.prefill_ps += u128::from(row.first_token.saturating_since(row.admitted).0);
        total.decode_ps += u128::from(now.saturating_since(row.first_token).0);
        total.prompt_tokens += u64::from(seq.request.prompt.tokens);
        total.output_tokens += u64::from(seq.generated);
        world.news.push((slot, News::Finished));
    }

    /// Gives back the blocks of a finished request so that its output can be hit too. False, and nothing done, when the
    /// workload does not know what was generated.
    fn release_named(&mut self, slot: u32, computed: u32, world: &mut World<'_>) -> bool {
        let seq = &mut world.seqs[slot];
        let prompt = seq.chain(&self.config);
        let Some(leaf) = seq.request.output_leaf else { return false };
        let full = computed / self.config.block_tokens;
        // A cached partial tail and the full block at its place are two blocks; the request holds only one of them.
        if !self.config.cache.enabled || prompt.tail > 0 || full <= seq.shared {
            return false;
        }
        let mut path = std::mem::take(&mut seq.path);
        path.set(world.forest, Prompt { leaf: Some(leaf), tokens: computed });
        let chain = Chain { path: &path, full, tail: 0 };
        self.cache.pin(&chain, seq.shared, full, full - seq.shared);
        self.cache.unpin(&chain, full, seq.user);
        self.cache.release(u64::from(seq.held - full));
        seq.path = path;
        true
    }

    /// Gives back all blocks of a request that has computed `computed` tokens.
    pub(super) fn release(&mut self, slot: u32, computed: u32, world: &mut World<'_>) {
        let seq = &world.seqs[slot];
        let block = self.config.block_tokens;
        let kept = if self.config.cache.enabled && self.config.cache.generated == Generated::Keep {
            (computed / block).saturating_sub(seq.shared.max(seq.request.prompt.tokens / block))
        } else {
            0
        };
        self.cache.retire(computed / block - kept, kept, seq.user);
        self.cache.release(u64::from(seq.held - seq.shared - kept));
        self.cache.unpin(&seq.chain(&self.config), seq.shared, seq.user);
    }
}
