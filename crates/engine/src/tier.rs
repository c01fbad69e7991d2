//! A second tier of KV blocks behind the instances' caches: host memory of each instance, or one pool for all.
//!
//! What is evicted from a cache (or, written through, what becomes resident there) is written to the tier in the
//! background, and can be read from the next instant on: the order of what happens within an instant never matters. The
//! tier keeps what was written or read last. A read takes the instance's own link and, in a pool, the pool's; reads over
//! a link follow one another.

use std::collections::VecDeque;

use rustc_hash::FxHashMap;
use trimtab_core::SimTime;

use crate::cache::{Chain, Spill};
use crate::config::{Promotion, TierConfig, WritePolicy};

/// No block.
const NONE: u32 = u32::MAX;

/// A block: the key of its node, and its place in the node.
type Name = (u64, u32);

/// A block in the list of uses.
#[derive(Clone, Copy, Debug)]
struct Entry {
    name: Name,
    before: u32,
    after: u32,
}

/// One tier, and the instances behind it.
#[derive(Clone, Debug)]
pub(crate) struct Tier {
    pub(crate) config: TierConfig,
    block: u32,
    entries: Vec<Entry>,
    spare: Vec<u32>,
    slots: FxHashMap<Name, u32>,
    /// The ends of the list of uses: `oldest` goes first.
    oldest: u32,
    newest: u32,
    /// What was written and cannot be read yet, by instance.
    pending: Vec<VecDeque<Spill>>,
    /// When the link of each instance, and that of the pool, is free again.
    free_at: Vec<SimTime>,
    pool_free_at: SimTime,
}

impl Tier {
    pub(crate) fn new(config: TierConfig, members: usize, block: u32) -> Self {
        Self {
            config,
            block,
            entries: Vec::new(),
            spare: Vec::new(),
            slots: FxHashMap::default(),
            oldest: NONE,
            newest: NONE,
            pending: vec![VecDeque::new(); members],
            free_at: vec![SimTime::ZERO; members],
            pool_free_at: SimTime::ZERO,
        }
    }

    /// Forgets everything, reads that are under way included.
    pub(crate) fn clear(&mut self) {
        *self = Self::new(self.config, self.pending.len(), self.block);
    }

    /// Takes what a member writes, in its order.
    pub(crate) fn write(&mut self, member: usize, spills: impl Iterator<Item = Spill>) {
        self.pending[member].extend(spills);
    }

    /// Makes readable what was written before now. Every member must have told what it wrote by now.
    pub(crate) fn absorb(&mut self, now: SimTime) {
        let mut ready: Vec<(SimTime, usize, Spill)> = Vec::new();
        for (member, pending) in self.pending.iter_mut().enumerate() {
            while let Some(spill) = pending.pop_front_if(|spill| spill.at < now) {
                ready.push((spill.at, member, spill));
            }
        }
        ready.sort_by_key(|&(at, member, _)| (at, member));
        for (.., spill) in ready {
            let Spill { key, from, to, evicted, .. } = spill;
            if evicted {
                let insert = self.config.write == WritePolicy::Back;
                (from..to).rev().for_each(|index| self.put((key, index), insert));
            } else {
                (from..to).for_each(|index| self.put((key, index), true));
            }
        }
    }

    /// A block is the one used last; if it is not there, it comes in where `insert`.
    fn put(&mut self, name: Name, insert: bool) {
        if let Some(&at) = self.slots.get(&name) {
            self.unlink(at);
            self.link(at);
        } else if insert && self.config.blocks > 0 {
            if self.slots.len() as u64 == self.config.blocks {
                self.remove(self.entries[self.oldest as usize].name);
            }
            let entry = Entry { name, before: NONE, after: NONE };
            let at = if let Some(at) = self.spare.pop() {
                self.entries[at as usize] = entry;
                at
            } else {
                self.entries.push(entry);
                u32::try_from(self.entries.len() - 1).expect("fewer than 2^32 blocks")
            };
            self.slots.insert(name, at);
            self.link(at);
        }
    }

    fn remove(&mut self, name: Name) {
        if let Some(at) = self.slots.remove(&name) {
            self.unlink(at);
            self.spare.push(at);
        }
    }

    fn link(&mut self, at: u32) {
        (self.entries[at as usize].before, self.entries[at as usize].after) = (self.newest, NONE);
        match self.newest {
            NONE => self.oldest = at,
            newest => self.entries[newest as usize].after = at,
        }
        self.newest = at;
    }

    fn unlink(&mut self, at: u32) {
        let Entry { before, after, .. } = self.entries[at as usize];
        match before {
            NONE => self.oldest = after,
            before => self.entries[before as usize].after = after,
        }
        match after {
            NONE => self.newest = before,
            after => self.entries[after as usize].before = before,
        }
    }

    /// The blocks `from..limit` of a chain.
    fn names<'a>(&self, chain: &'a Chain<'_>, from: u32, limit: u32) -> impl DoubleEndedIterator<Item = Name> + 'a {
        chain.spans(self.block).flat_map(move |(key, first, last)| {
            (from.clamp(first, last) - first..limit.clamp(first, last) - first).map(move |index| (key, index))
        })
    }

    /// How many blocks of a chain from `from` on are here without a gap, up to `limit`.
    pub(crate) fn held(&self, chain: &Chain<'_>, from: u32, limit: u32) -> u32 {
        let held = self.names(chain, from, limit).take_while(|name| self.slots.contains_key(name)).count();
        u32::try_from(held).expect("no more than the chain has")
    }

    /// When a read by a member lets go of the links (its own, the pool's), and when its last byte arrives.
    fn times(&self, member: usize, tokens: u32, now: SimTime) -> (SimTime, SimTime, SimTime) {
        let TierConfig { link, pool_ps_per_token, .. } = self.config;
        let start = now.max(self.free_at[member]).max(self.pool_free_at);
        let span = |ps: u64| SimTime(ps.saturating_mul(u64::from(tokens)));
        let own = start + span(link.ps_per_token.max(pool_ps_per_token));
        (own, start + span(pool_ps_per_token), own + link.latency)
    }

    /// When a read that is asked for now would end.
    pub(crate) fn end(&self, member: usize, tokens: u32, now: SimTime) -> SimTime {
        self.times(member, tokens, now).2
    }

    /// Reads the blocks `from..to` of a chain: takes the links, and returns the end.
    pub(crate) fn read(
        &mut self,
        member: usize,
        chain: &Chain<'_>,
        (from, to): (u32, u32),
        tokens: u32,
        now: SimTime,
    ) -> SimTime {
        let names: Vec<Name> = self.names(chain, from, to).collect();
        for name in names.into_iter().rev() {
            match self.config.promotion {
                Promotion::Copy => self.put(name, false),
                Promotion::Move => self.remove(name),
            }
        }
        let (own, pool, end) = self.times(member, tokens, now);
        self.free_at[member] = own;
        if self.config.pool_ps_per_token > 0 {
            self.pool_free_at = pool;
        }
        end
    }
}
