//! Reading blocks from the tier behind the cache.

use std::cell::RefCell;
use std::rc::Rc;

use trimtab_core::SimTime;

use super::{Instance, World};
use crate::cache::Chain;
use crate::seq::Seq;
use crate::tier::Tier;

/// An instance's place at a tier.
#[derive(Clone, Debug)]
pub(crate) struct Behind {
    pub(crate) tier: Rc<RefCell<Tier>>,
    pub(crate) member: usize,
}

impl Behind {
    /// A copy of the whole tier.
    pub(super) fn fork(&self) -> Self {
        Self { tier: Rc::new(RefCell::new(self.tier.borrow().clone())), member: self.member }
    }
}

/// Blocks that a request would read from the tier: from and up to which one of its chain, and when they are all there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Load {
    pub(crate) from: u32,
    pub(crate) upto: u32,
    pub(crate) ready: SimTime,
}

impl Instance {
    /// Tells the tier what was written by now.
    pub(crate) fn tell_tier(&mut self, now: SimTime) {
        if self.behind.is_none() {
            return;
        }
        self.settle(now);
        let behind = self.behind.as_ref().expect("just seen");
        behind.tier.borrow_mut().write(behind.member, self.cache.drain_spills());
    }

    /// Tells the tier what was written by now, and makes readable what all wrote before.
    pub(super) fn sync_tier(&mut self, now: SimTime) {
        self.tell_tier(now);
        if let Some(behind) = &self.behind {
            behind.tier.borrow_mut().absorb(now);
        }
    }

    /// What a request that finds `cached` blocks in the cache should read from the tier now, if that is sooner than
    /// computing it. A choice in between all and nothing is never better without overlap: the time to compute the rest is
    /// concave in what is read.
    fn worth_loading(&self, seq: &Seq, chain: &Chain<'_>, cached: u32, now: SimTime) -> Option<Load> {
        let behind = self.behind.as_ref()?;
        let tier = behind.tier.borrow();
        let block = self.config.block_tokens;
        let upto = cached + tier.held(chain, cached, seq.hit_limit(chain, block));
        let (with, without) = (seq.hit_tokens(chain, upto, block), seq.hit_tokens(chain, cached, block));
        if with <= without {
            return None;
        }
        let ready = tier.end(behind.member, with - without, now);
        let compute = |hit: u32| self.config.cost.prefill_time(seq.target - hit, hit, self.config.max_batched_tokens);
        let (wait, rest) = ((ready - now).0, compute(with));
        let loading = if tier.config.overlapped { wait.max(rest) } else { wait.saturating_add(rest) };
        (loading < compute(without)).then_some(Load { from: cached, upto, ready })
    }

    /// Takes the links for what a request reads.
    fn book(&self, load: Load, seq: &Seq, chain: &Chain<'_>, cached: u32, now: SimTime) {
        let behind = self.behind.as_ref().expect("it has been looked at");
        let block = self.config.block_tokens;
        let tokens = seq.hit_tokens(chain, load.upto, block) - seq.hit_tokens(chain, cached, block);
        let end = behind.tier.borrow_mut().read(behind.member, chain, (cached, load.upto), tokens, now);
        assert_eq!(end, load.ready, "a read ends when it was said to end");
    }

    /// Begins to read what a request that joins the queue will need, if the tier reads ahead.
    pub(super) fn prefetch(&mut self, slot: u32, now: SimTime, world: &mut World<'_>) {
        if self.behind.as_ref().is_none_or(|behind| !behind.tier.borrow().config.prefetch) {
            return;
        }
        let seq = &world.seqs[slot];
        let chain = seq.chain(world.forest, &self.config);
        let cached = self.cache.peek(&chain, seq.hit_limit(&chain, self.config.block_tokens)).blocks;
        let load = self.worth_loading(seq, &chain, cached, now);
        if let Some(load) = load {
            self.book(load, seq, &chain, cached, now);
        }
        world.seqs[slot].prefetched = load;
    }

    /// Up to which block a request that is admitted now, with `cached` blocks in the cache, finds its prefix; the step
    /// waits for what comes from the tier.
    pub(super) fn load(&mut self, slot: u32, cached: u32, now: SimTime, world: &World<'_>) -> u32 {
        let seq = &world.seqs[slot];
        let chain = seq.chain(world.forest, &self.config);
        let limit = seq.hit_limit(&chain, self.config.block_tokens);
        // What was cached when the reading began may have been evicted since: the rest is no use without it.
        let ahead = seq.prefetched.filter(|load| load.from <= cached && load.upto.min(limit) > cached);
        let load = match ahead {
            Some(load) => Some(Load { upto: load.upto.min(limit), ..load }),
            None => self.worth_loading(seq, &chain, cached, now).inspect(|&load| {
                self.book(load, seq, &chain, cached, now);
            }),
        };
        let Some(Load { upto, ready, .. }) = load else { return cached };
        let fresh = upto - cached;
        self.cache.allocate(u64::from(fresh));
        self.cache.pin(&chain, cached, upto, fresh);
        self.loading_until = self.loading_until.max(ready);
        upto
    }

    /// How long a step takes that has to wait for blocks from the tier.
    pub(super) fn with_loading(&mut self, span: u64, now: SimTime) -> u64 {
        let wait = std::mem::take(&mut self.loading_until).saturating_since(now).0;
        let overlapped = self.behind.as_ref().is_some_and(|behind| behind.tier.borrow().config.overlapped);
        if overlapped { span.max(wait) } else { span + wait }
    }
}
