//! Only the caches: requests one after the other through a KV cache, without time.

use trimtab_core::{PrefixForest, Request};

use crate::cache::{Chain, KvCache, Path};
use crate::eviction::{Order, User};

/// What a cache hit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CacheHits {
    /// Blocks of all prompts, partial ones included.
    pub blocks: u64,
    /// Of these, found cached.
    pub hit_blocks: u64,
    /// Prompt tokens.
    pub tokens: u64,
    /// Of these, found cached.
    pub hit_tokens: u64,
    /// Cached blocks that left.
    pub evicted_blocks: u64,
}

impl CacheHits {
    /// Of two caches together.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            blocks: self.blocks + other.blocks,
            hit_blocks: self.hit_blocks + other.hit_blocks,
            tokens: self.tokens + other.tokens,
            hit_tokens: self.hit_tokens + other.hit_tokens,
            evicted_blocks: self.evicted_blocks + other.evicted_blocks,
        }
    }
}

/// Requests in order through a cache of so many blocks: each finds its longest cached prefix, then its whole prompt is
/// cached, and released before the next one comes. A prompt that is longer than the cache leaves its head there.
pub fn replay_cache<'a>(
    forest: &PrefixForest,
    requests: impl Iterator<Item = &'a Request>,
    (capacity, block): (u64, u32),
    partial_tail: bool,
    order: Order,
) -> CacheHits {
    let mut cache = KvCache::with_order(capacity, block, order);
    let room = u32::try_from(capacity).unwrap_or(u32::MAX);
    let (mut path, mut hits) = (Path::default(), CacheHits::default());
    for request in requests {
        let tokens = request.prompt.tokens;
        hits.blocks += u64::from(tokens.div_ceil(block));
        hits.tokens += u64::from(tokens);
        path.set(forest, request.prompt);
        if path.nodes().is_empty() {
            continue;
        }
        let tail = if partial_tail && tokens % block > 0 { tokens } else { 0 };
        let chain = Chain { path: &path, full: tokens / block, tail };
        let wanted = chain.blocks().min(room);
        let known = cache.peek(&chain, wanted).blocks;
        hits.hit_blocks += u64::from(known);
        hits.hit_tokens += u64::from(if known > chain.full { tokens } else { known * block });
        cache.set_clock(request.arrival);
        cache.pin(&chain, 0, known, 0);
        cache.allocate(u64::from(wanted - known));
        cache.pin(&chain, known, wanted, wanted - known);
        cache.unpin(&chain, wanted, User { request: request.id, session: request.session });
    }
    cache.check();
    hits.evicted_blocks = cache.evicted();
    hits
}
