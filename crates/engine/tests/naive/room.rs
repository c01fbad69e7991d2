//! What is resident, and what room there is.

use super::NaiveResult;
use super::blocks::{Held, Name, prompt_names};
use super::instance::Instance;

impl Instance<'_> {
    /// The tokens and blocks that a request with `target` tokens to prefill would hit now: never all its tokens.
    pub(crate) fn lookup(&self, request: usize, target: u32) -> (u32, Vec<Name>) {
        let request = &self.requests[request];
        let b = self.config.block_tokens;
        let (mut tokens, mut hits) = (0, Vec::new());
        for name in prompt_names(self.config, self.forest, request) {
            if !self.cache.contains(name) {
                break;
            }
            match name {
                Name::Tail { .. } => tokens = request.prompt.tokens.min(target - 1),
                _ if tokens + b < target => tokens += b,
                _ => break,
            }
            hits.push(name);
        }
        (tokens, hits)
    }

    /// How many blocks hold this many tokens.
    pub(super) fn blocks(&self, tokens: u32) -> u64 {
        u64::from(tokens.div_ceil(self.config.block_tokens))
    }

    pub(super) fn is_pinned(&self, held: Held) -> bool {
        held != Held::Private && self.running.iter().any(|s| s.held.contains(&held))
    }

    /// Blocks that are private or resident.
    pub(super) fn occupied(&self) -> u64 {
        let private = self.running.iter().flat_map(|s| &s.held).filter(|&&held| held == Held::Private).count();
        (private + self.cache.released.len()) as u64
    }

    /// Blocks that can be had: free ones, and cached ones that nobody pins.
    pub(super) fn available(&self) -> u64 {
        let cached = self.cache.released.keys().filter(|&&name| !self.is_pinned(Held::Shared(name))).count();
        self.config.kv_blocks - self.occupied() + cached as u64
    }

    /// Evicts until the blocks held and cached fit.
    pub(super) fn make_room(&mut self, result: &mut NaiveResult) {
        self.refresh();
        let short = self.occupied().saturating_sub(self.config.kv_blocks);
        if short > 0 {
            self.begin_choice(short);
        }
        while self.occupied() > self.config.kv_blocks {
            let victim = self.choose();
            self.cache.released.remove(&victim);
            self.note_write(victim, true);
            self.note_loss(victim);
            result.evicted_blocks += 1;
            result.reached.evictions += 1;
            result.reached.anonymous_evictions += u64::from(matches!(victim, Name::Anonymous { .. }));
        }
    }

    pub(super) fn check_blocks(&self) {
        assert!(self.occupied() <= self.config.kv_blocks, "more blocks than there are");
        assert!(self.running.len() as u64 <= u64::from(self.config.max_seqs), "more sequences than allowed");
    }
}
