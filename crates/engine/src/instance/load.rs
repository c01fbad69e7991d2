//! Reading blocks from the tier behind the cache.

use std::cell::RefCell;
use std::rc::Rc;

use trimtab_core::{PS_PER_S, SimTime};

use super::{Instance, World};
use crate::cache::Chain;
use crate::cluster::prefill_tokens_per_s;
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

/// What a tier holds of a prompt is weighed in at most so many ranges of blocks.
const RANGES: u32 = 64;

/// How many of `held` blocks could be read: all, or up to the end of a range.
fn split_points(held: u32) -> impl Iterator<Item = u32> {
    let range = held.div_ceil(RANGES).max(1);
    (1..=held.div_ceil(range)).map(move |ranges| (ranges * range).min(held))
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

    /// Loses the tier's memory, and what was on its way there.
    pub(crate) fn lose_tier(&mut self) {
        self.cache.drain_spills().for_each(drop);
        if let Some(behind) = &self.behind {
            behind.tier.borrow_mut().clear();
        }
    }

    /// What a request that has the blocks up to `base.upto`, at `base.ready`, should read from the tier now on top, if its
    /// prefill can begin at `start`: as many of the blocks that are there as make its estimated time least, and of such
    /// numbers the least.
    fn worth_loading(
        &self,
        seq: &Seq,
        chain: &Chain<'_>,
        base: Load,
        (now, start): (SimTime, SimTime),
    ) -> Option<Load> {
        let behind = self.behind.as_ref()?;
        let tier = behind.tier.borrow();
        let block = self.config.block_tokens;
        let held = tier.held(chain, base.upto, seq.hit_limit(chain, block));
        let without = seq.hit_tokens(chain, base.upto, block);
        let overlapped = tier.config.overlapped;
        let mut best = (self.estimate(seq, without, base.ready.saturating_since(start).0, overlapped), None);
        for blocks in split_points(held) {
            let upto = base.upto + blocks;
            let with = seq.hit_tokens(chain, upto, block);
            if with > without {
                let ready = tier.end(behind.member, with - without, now).max(base.ready);
                let time = self.estimate(seq, with, ready.saturating_since(start).0, overlapped);
                if time < best.0 {
                    best = (time, Some(Load { from: base.upto, upto, ready }));
                }
            }
        }
        best.1
    }

    /// How long a request takes that finds `hit` tokens and has to wait for some of them: its first step is not over, or
    /// does not begin, before they are there.
    fn estimate(&self, seq: &Seq, hit: u32, wait: u64, overlapped: bool) -> u64 {
        let (cost, budget) = (&self.config.cost, self.config.max_batched_tokens);
        let rest = seq.target - hit;
        let chunk = rest.min(budget);
        let first = cost.prefill_time(chunk, hit, budget);
        let later = cost.prefill_time(rest - chunk, hit + chunk, budget);
        let first = if overlapped { first.max(wait) } else { first.saturating_add(wait) };
        first.saturating_add(later)
    }

    /// When a request that joins the queue now could begin: after the prefill of what is ahead of it.
    fn expected_start(&self, now: SimTime) -> SimTime {
        let ahead = u128::from(self.pending) * u128::from(PS_PER_S);
        let wait = ahead / u128::from(prefill_tokens_per_s(&self.config).max(1));
        u64::try_from(wait).ok().and_then(|wait| now.checked_add(SimTime(wait))).unwrap_or(SimTime::MAX)
    }

    /// Takes the links for what a request reads.
    fn book(&self, load: Load, seq: &Seq, chain: &Chain<'_>, now: SimTime) {
        let behind = self.behind.as_ref().expect("it has been looked at");
        let block = self.config.block_tokens;
        let tokens = seq.hit_tokens(chain, load.upto, block) - seq.hit_tokens(chain, load.from, block);
        let end = behind.tier.borrow_mut().read(behind.member, chain, (load.from, load.upto), tokens, now);
        assert!(end <= load.ready, "a read ends when it was said to end");
    }

    /// Begins to read what a request that joins the queue will need, if the tier reads ahead.
    pub(super) fn prefetch(&mut self, slot: u32, now: SimTime, world: &mut World<'_>) {
        if self.behind.as_ref().is_none_or(|behind| !behind.tier.borrow().config.prefetch) {
            return;
        }
        let seq = &world.seqs[slot];
        let chain = seq.chain(&self.config);
        let cached = self.cache.peek(&chain, seq.hit_limit(&chain, self.config.block_tokens)).blocks;
        let base = Load { from: cached, upto: cached, ready: now };
        let load = self.worth_loading(seq, &chain, base, (now, self.expected_start(now)));
        if let Some(load) = load {
            self.book(load, seq, &chain, now);
        }
        world.seqs[slot].prefetched = load;
    }

    /// Up to which block a request that is admitted now, with `cached` blocks in the cache, finds its prefix; the step
    /// waits for what comes from the tier.
    pub(super) fn load(&mut self, slot: u32, cached: u32, now: SimTime, world: &World<'_>) -> u32 {
        let seq = &world.seqs[slot];
        let chain = seq.chain(&self.config);
        let limit = seq.hit_limit(&chain, self.config.block_tokens);
        // What was cached when the reading began may have been evicted since: the rest is no use without it.
        let ahead = seq.prefetched.filter(|load| load.from <= cached && load.upto.min(limit) > cached);
        let base = match ahead {
            Some(load) => Load { upto: load.upto.min(limit), ..load },
            None => Load { from: cached, upto: cached, ready: now },
        };
        let more = self.worth_loading(seq, &chain, base, (now, now)).inspect(|&load| self.book(load, seq, &chain, now));
        let Load { upto, ready, .. } = more.unwrap_or(base);
        if upto == cached {
            return cached;
        }
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

#[cfg(test)]
mod tests {
    use super::split_points;

    #[test]
    fn split_points_are_all_blocks_or_64_ranges() {
        for held in [0, 1, 2, 63, 64, 65, 100, 1000, 100_000] {
            let points: Vec<u32> = split_points(held).collect();
            assert!(points.is_sorted_by(|a, b| a < b) && points.len() <= 64, "{held}: {points:?}");
            assert_eq!(points.last().copied(), (held > 0).then_some(held));
            let widest = points.iter().scan(0, |before, &point| Some(point - std::mem::replace(before, point))).max();
            assert!(widest.unwrap_or(0) <= held.div_ceil(64), "{held}: {points:?}");
        }
    }
}
